#!/bin/sh
# tests/fuzz/run.sh PROGRAM SECONDS TARGET…: fuzzes each target in turn. What is found new is kept beside the program, in
# corpus/TARGET; an input that crashes, hangs, leaks or takes too much becomes crash-TARGET-… there, and ends it.
set -eu
program=$1 seconds=$2
shift 2
folder=$(dirname "$program")
export ASAN_OPTIONS=allocator_may_return_null=1:quarantine_size_mb=16:${ASAN_OPTIONS:-} UBSAN_OPTIONS=print_stacktrace=1
export LSAN_OPTIONS=suppressions=$PWD/tests/lsan.supp:print_suppressions=0
# the words that the readers of text know
grep -ohE '"[a-zA-Z_0-9]+"' src/cfg/*.c src/data/datafile.c src/report/csv_read.c src/train/checkpoint.c src/base/safetensors.c plugins/*.c |
    sort -u >"$folder/words"
for target; do
    [ -d "tests/fuzz/corpus/$target" ] || { echo "error: no target '$target', expected a folder of tests/fuzz/corpus" >&2; exit 2; }
    mkdir -p "$folder/corpus/$target"
    case $target in image | cifar | checkpoint) most=16384 ;; list) most=512 ;; *) most=2048 ;; esac
    echo "== $target"
    FUZZ=$target "$program" -max_total_time="$seconds" -timeout=5 -rss_limit_mb=1024 -max_len=$most -print_final_stats=1 \
        -verbosity=0 -artifact_prefix="$folder/crash-$target-" -dict="$folder/words" "$folder/corpus/$target" "tests/fuzz/corpus/$target"
done
