#!/bin/sh
# tests/run.sh PROGRAM…: runs test programs that print TAP lines, JOBS of them (2) at the same time, shows what failed, ends with
# "N passed, N failed, N skipped".
set -u
if [ "$1" = -one ]; then # -one FOLDER PROGRAM: its lines, and a file of its counts
    folder=$2 program=$3
    name=$(echo "$program" | tr / _)
    log=$folder/$name.log begin=$(date +%s)
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
    echo "$((ok - skip)) $bad $skip" >"$folder/$name.counts"
    {
        if [ "$bad" -eq 0 ]; then
            echo "$program: $ok ok, $(($(date +%s) - begin)) s"
        else
            echo "$program: $bad failed, status $status"
            grep -v '^ok' "$log" | tail -n 60 | sed 's/^/    /'
        fi
        grep '^ok.*# skip' "$log"
    } >"$log.shown"
    cat "$log.shown"
    exit 0
fi
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
printf '%s\n' "$@" | xargs -P "${JOBS:-2}" -I PROGRAM sh "$0" -one "$folder" PROGRAM
cat "$folder"/*.counts | awk -v programs=$# '
    { passed += $1; failed += $2; skipped += $3 }
    END { failed += programs - NR; print passed + 0 " passed, " failed " failed, " skipped + 0 " skipped"; exit !(failed == 0 && passed > 0) }'
