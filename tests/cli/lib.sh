# Sourced by the tests of this folder, which run from the repository root with ./darknet built (DARKNET=… for another one).
#   begin NAME; run COMMAND…; expect_…; end
# prints "ok NAME" or "not ok NAME" with what was wrong; `finish` ends the file, non-zero after a failure.
set -u
D=${DARKNET:-./darknet}
T=$(mktemp -d "${TMPDIR:-/tmp}/darknet-sat.XXXXXX") || exit 1
trap 'rm -rf "$T"' EXIT
trap 'exit 1' HUP INT TERM
failures=0
status=0

begin() {
    name=$1
    wrong=
}

end() {
    if [ -z "$wrong" ]; then
        echo "ok $name"
    else
        echo "not ok $name"
        printf '%s\n' "$wrong" | sed 's/^/# /'
        failures=$((failures + 1))
    fi
}

skip() {
    echo "ok $1 # skipped: $2"
}

# For many short runs: a gnuplot that draws nothing, since pictures take longer; threads that wait leave the cores to others.
short_runs() {
    mkdir "$T/bin"
    printf '#!/bin/sh\necho picture\n' >"$T/bin/gnuplot"
    chmod +x "$T/bin/gnuplot"
    PATH=$T/bin:$PATH
    export OMP_WAIT_POLICY=passive
}

finish() {
    [ "$failures" -eq 0 ]
    exit
}

complain() {
    wrong="$wrong$*
"
}

# Run a command: $status, $T/out and $T/err tell what came of it.
run() {
    status=0
    "$@" >"$T/out" 2>"$T/err" </dev/null || status=$?
    command_line=$*
}

show() {
    complain "of: $command_line"
    complain "$(head -c 1500 "$T/$1")"
}

expect_status() {
    [ "$status" -eq "$1" ] && return
    complain "status $status, expected $1"
    show err
}

# An extended regular expression that a line of standard output or standard error matches.
expect_out() {
    grep -Eq -- "$1" "$T/out" && return
    complain "standard output lacks: $1"
    show out
}

expect_err() {
    grep -Eq -- "$1" "$T/err" && return
    complain "standard error lacks: $1"
    show err
}

expect_quiet() {
    [ -s "$T/err" ] || return 0
    complain "standard error is not empty"
    show err
}

# A failure: its status, and a message that begins with "error:" and matches; nothing else but notes on standard error.
expect_error() {
    expect_status "$1"
    expect_err "^error: .*$2"
    if grep -Evq '^(error|note|warning): ' "$T/err"; then
        complain "a line on standard error begins otherwise"
        show err
    fi
}

expect_file() {
    [ -s "$1" ] || complain "no file $1"
}

expect_no_file() {
    [ ! -e "$1" ] || complain "there is a file $1"
}

expect_same() {
    cmp -s "$1" "$2" || complain "$1 and $2 differ"
}

expect_different() {
    ! cmp -s "$1" "$2" || complain "$1 and $2 are equal"
}

# A whole case of wrong use: NAME STATUS PATTERN COMMAND…
error_case() {
    begin "$1"
    case_status=$2
    case_pattern=$3
    shift 3
    run "$@"
    expect_error "$case_status" "$case_pattern"
    end
}

# The number after `"KEY": ` of a JSON file of ours, `null` included.
json_value() {
    python3 -c 'import json, sys
v = json.load(open(sys.argv[1]))[sys.argv[2]]
print("null" if v is None else v)' "$1" "$2"
}

# Is the first number at most the second, give or take nothing?
at_most() {
    awk -v a="$1" -v b="$2" 'BEGIN { exit !(a <= b) }'
}

close_to() {
    awk -v a="$1" -v b="$2" 'BEGIN { d = a - b; exit !(a != "null" && d < 1e-9 && d > -1e-9) }'
}

# tiny_cfg FILE CHANNELS CLASSES SECTION…: a network for the tiny image sets; each SECTION is a line of text for printf.
# One output more than CLASSES when a section has an abstain output.
tiny_cfg() {
    cfg_file=$1
    cfg_channels=$2
    cfg_outputs=$3
    shift 3
    case "$*" in *target=abstain* | *gambler* | *selective*) cfg_outputs=$((cfg_outputs + 1)) ;; esac
    python3 tests/cli/tiny.py cfg "$cfg_file" "$cfg_channels" "$cfg_outputs"
    for section; do
        printf "$section\n" >>"$cfg_file"
    done
}

# adam_cfg FILE: the same network with Adam and dropout.
adam_cfg() {
    sed -e 's/^decay=.*/&\nadam=1/' -e 's/^learning_rate=.*/learning_rate=0.003/' -e '/^\[connected\]/i [dropout]\nprobability=0.3\n' "$1"
}

# tiny_idx DIR [SPLIT…]: imports the tiny archives; the .data file is in $tiny_data. Of the 150 training images SPLIT takes some, valid=30.
tiny_idx() {
    tiny_folder=$1
    shift
    [ $# -gt 0 ] || set -- valid=30
    python3 tests/cli/tiny.py idx "$tiny_folder.archives" &&
        "$D" classifier import idx "$tiny_folder.archives/train-images" "$tiny_folder.archives/train-labels" -test \
            "$tiny_folder.archives/test-images" "$tiny_folder.archives/test-labels" -split "$@" -out "$tiny_folder" >"$T/import.out" 2>&1 || {
        echo "not ok import of the tiny image set"
        sed 's/^/# /' "$T/import.out"
        exit 1
    }
    tiny_data=$(tail -n 1 "$T/import.out")
    # backup= inside the folder, so that tests do not meet
    grep -v '^ *backup' "$tiny_data" >"$T/data" && echo "backup=$tiny_folder/backup" >>"$T/data" && cp "$T/data" "$tiny_data"
}

# to FOLDER: $T/idx/FOLDER.data, tiny_idx's with its weights going to $T/FOLDER
to() {
    sed '/^ *backup/d' "$tiny_data" >"$T/idx/$1.data"
    echo "backup=$T/$1" >>"$T/idx/$1.data"
}

# tiny_png DIR: colour PNG files that stock Darknet reads too; the .data file is in $tiny_data.
tiny_png() {
    python3 tests/cli/tiny.py png "$1" || exit 1
    tiny_data=$1/tiny.data
}
