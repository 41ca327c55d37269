#!/bin/sh
# tests/run.sh PROGRAM…: runs test programs that print TAP lines, shows what failed, ends with "N passed, N failed".
set -u
log=$(mktemp) || exit 1
trap 'rm -f "$log"' EXIT
passed=0 failed=0 skipped=0
for program; do
    begin=$(date +%s)
    case $program in
    *.sh) sh "$program" >"$log" 2>&1 ;;
    *) CMOCKA_MESSAGE_OUTPUT=TAP "$program" >"$log" 2>&1 ;;
    esac
    status=$?
    sed -i 's/^not ok \(.*# \)SKIP/ok \1skip/' "$log" # as older versions of cmocka say it
    ok=$(grep -c '^ok' "$log")
    skip=$(grep -c '^ok.*# skip' "$log")
    bad=$(grep -c '^not ok' "$log")
    # a crash, or a program that ended badly without saying what failed, or one that tested nothing
    { [ "$status" -ne 0 ] || [ "$ok" -eq 0 ]; } && [ "$bad" -eq 0 ] && bad=1
    passed=$((passed + ok - skip)) failed=$((failed + bad)) skipped=$((skipped + skip))
    if [ "$bad" -eq 0 ]; then
        echo "$program: $ok ok, $(($(date +%s) - begin)) s"
    else
        echo "$program: $bad failed, status $status"
        grep -v '^ok' "$log" | tail -n 60 | sed 's/^/    /'
    fi
    grep '^ok.*# skip' "$log"
done
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
