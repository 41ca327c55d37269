#!/bin/sh
# `classifier watch`: alarms, its state from call to call, bad input, two at once.
. tests/cli/lib.sh

watch() {
    run "$D" classifier watch -state "$@"
}

# labelled FIRST LAST EVERY: images FIRST … LAST, all accepted, each EVERY-th of them wrong.
labelled() {
    echo path,label,prediction,confidence,accepted
    awk -v a="$1" -v b="$2" -v every="$3" \
        'BEGIN { for (i = a; i <= b; i++) print i ".png," (i % every ? "cat" : "dog") ",cat,0.9,1" }'
}

labelled 1 2000 100 >"$T/good.csv"
labelled 1 2000 20 >"$T/bad.csv"

begin "a kept promise: no alarm"
watch "$T/good" -risk 0.02 "$T/good.csv"
expect_status 0
expect_quiet
expect_out '^labelled images +2000 accepted, 20 of them wrong \(1\.00 %\), promised: at most 2 %'
expect_out '^promise +no evidence against it'
expect_file "$T/good"
end

begin "a broken promise: status 4, at once in the output, and again in the next call"
watch "$T/bad" -risk 0.02 "$T/bad.csv"
expect_error 4 'an alarm was raised'
expect_out '^ALARM after row [0-9]+ of .*bad\.csv: more accepted images are wrong than was promised'
expect_out '^promise +BROKEN'
head -n 1 "$T/good.csv" >"$T/none.csv"
watch "$T/bad" "$T/none.csv"
expect_error 4 'an alarm was raised'
end

begin "rejected images and those without a label say nothing"
sed '1! { s/dog,cat,0.9,1/dog,cat,0.1,0/; s/cat,cat,0.9,1/,cat,0.9,1/; }' "$T/bad.csv" >"$T/silent.csv"
watch "$T/silent" -risk 0.02 "$T/silent.csv"
expect_status 0
expect_out '^labelled images +0 accepted, 0 of them wrong, promised'
end

begin "the columns of predict, with labels"
sed '1s/.*/path,label,answer,confidence,accepted/' "$T/bad.csv" >"$T/answer.csv"
watch "$T/answer" -risk 0.02 "$T/answer.csv"
expect_status 4
expect_same "$T/answer" "$T/bad"
end

begin "any parts, in files and pipes, give the same state"
for to in 1 7 500 1300 2000; do
    labelled $((${from:-0} + 1)) "$to" 100 >"$T/part.csv"
    if [ "$to" = 7 ] || [ "$to" = 1300 ]; then
        cat "$T/part.csv" | "$D" classifier watch -state "$T/parts" -risk 0.02 >"$T/out" || complain "status $?"
    else
        watch "$T/parts" -risk 0.02 "$T/part.csv"
        expect_status 0
    fi
    from=$to
done
expect_same "$T/parts" "$T/good"
end

# ---- without labels ----

# scores N POWER: confidences spread as u^POWER, u from 0 to 1 in a mixed order; one image in 100 could not be read.
scores() {
    echo path,answer,accepted,confidence,error,novelty
    awk -v n="$1" -v power="$2" 'BEGIN { for (i = 1; i <= n; i++) {
        u = (i * 611 % 1009) / 1009
        print i ".png" (i % 100 ? ",cat,1," u ^ power ",," u : ",,,,cannot read,") } }'
}
scores 1000 1 >"$T/calib.csv"
scores 1000 2 >"$T/shifted.csv"
cut -d, -f1-5 "$T/calib.csv" >"$T/confidence.csv"

begin "confidences as in the calibration: no alarm"
watch "$T/same" -calib "$T/calib.csv" "$T/calib.csv"
expect_status 0
expect_quiet
expect_out '^confidence +of 990 images, against 990 of the calibration'
expect_out '^novelty +of 990 images'
expect_out '^change +no evidence of any'
end

begin "an unknown image has no confidence, whether the file gives one or not"
scores 500 1 | awk -F, -v OFS=, 'NR == 1 { print $0, "verdict"; next } { v = NR % 5 ? "accepted" : "unknown"; print $0, v }' >"$T/with.csv"
awk -F, -v OFS=, 'NR > 1 && $NF == "unknown" && $4 != "" { $4 = "nan" } { print }' "$T/with.csv" >"$T/without.csv"
cmp -s "$T/with.csv" "$T/without.csv" && complain "both are the same"
for calib in with without; do
    for stream in with without; do
        watch "$T/unknown.$calib.$stream" -calib "$T/$calib.csv" "$T/$stream.csv"
        expect_status 0
        sed 's/with\(out\)*//g' "$T/out" >"$T/unknown.$calib.$stream.out"
        expect_same "$T/unknown.$calib.$stream.out" "$T/unknown.with.with.out"
    done
done
end

begin "other confidences: an alarm of change, which says that it is not one of harm"
watch "$T/shifted" -calib "$T/calib.csv" "$T/shifted.csv"
expect_error 4 'an alarm was raised'
expect_out '^ALARM after row [0-9]+ of .*: confidences have changed since the calibration'
expect_out '^change +YES; this is no proof of harm'
grep -q 'ALARM.*novelty' "$T/out" && complain "an alarm of novelty, which is as it was"
end

begin "parts of a stream without labels give the same state"
head -n 400 "$T/shifted.csv" >"$T/part.csv"
watch "$T/parts2" -calib "$T/calib.csv" "$T/part.csv"
{ head -n 1 "$T/shifted.csv" && tail -n +401 "$T/shifted.csv"; } >"$T/part.csv"
"$D" classifier watch -state "$T/parts2" -calib "$T/calib.csv" >"$T/out" 2>"$T/err" <"$T/part.csv"
expect_same "$T/parts2" "$T/shifted"
end

begin "the calibration of the first call may be named again, not changed"
watch "$T/same" -calib "$T/shifted.csv" "$T/calib.csv"
expect_error 2 'was begun with other images'
watch "$T/same" -calib "$T/confidence.csv" "$T/calib.csv"
expect_error 2 'was begun with other images'
watch "$T/same" "$T/confidence.csv"
expect_error 1 "no column 'novelty' in the header"
end

begin "labels and scores in one state"
sed 's/$/,0/; 1s/,0$/,label/' "$T/calib.csv" >"$T/both.csv"
watch "$T/both" -risk 0.02 -calib "$T/calib.csv" "$T/both.csv"
expect_error 4 'an alarm'
expect_out '^labelled images +990 accepted, 990 of them wrong'
expect_out '^promise +BROKEN'
expect_out '^change +no evidence'
end

# ---- nothing lost, nothing half-written ----

begin "a file with a bad row does not count, not even in part"
cp "$T/good" "$T/before"
{ labelled 1 300 5 && echo broken.png,cat; } >"$T/broken.csv"
watch "$T/good" "$T/broken.csv"
expect_error 1 'broken\.csv:302: a row of 2 fields, expected 5'
expect_same "$T/good" "$T/before"
end

begin "of a pipe what came before a bad row counts"
cat "$T/broken.csv" | "$D" classifier watch -state "$T/piped" -risk 0.5 >"$T/out" 2>"$T/err"
watch "$T/piped" "$T/none.csv"
expect_out '^labelled images +300 accepted, 60 of them wrong'
end

begin "a damaged state is refused and left alone"
for damage in 'sed s/state/stage/' 'sed s/crc32/crc23/;s/F64/F32/' 'tr \000 \001' 'head -c 1000' 'head -c 2'; do
    $damage <"$T/before" >"$T/damaged"
    cp "$T/damaged" "$T/copy"
    watch "$T/damaged" -risk 0.02 "$T/good.csv"
    expect_error 1 "damaged: (is damaged, or of another kind, expected a state that classifier watch wrote|has no whole array 'state')"
    expect_same "$T/damaged" "$T/copy"
done
: >"$T/empty"
watch "$T/empty" -risk 0.02 "$T/good.csv"
expect_error 1 'empty: is damaged'
end

begin "one process at a time; Ctrl-C keeps what the pipe has told"
mkfifo "$T/fifo"
"$D" classifier watch -state "$T/shared" -risk 0.02 "$T/fifo" >"$T/out.first" 2>"$T/err.first" &
first=$!
exec 9>"$T/fifo"
labelled 1 10 100 >&9
tries=0
until [ -e "$T/shared.lock" ] || [ $((tries += 1)) -gt 100 ]; do sleep 0.05; done
sleep 0.3
watch "$T/shared" -risk 0.02 "$T/good.csv"
expect_error 1 'another process watches with it'
kill -TERM $first
status=0
wait $first || status=$?
exec 9>&-
cp "$T/err.first" "$T/err"
command_line="watch of a fifo"
expect_error 143 'stopped after row 10 of .*fifo, which are counted'
watch "$T/shared" "$T/none.csv"
expect_out '^labelled images +10 accepted'
end

begin "a state that cannot be written: the file of before stays"
mkdir "$T/closed"
cp "$T/before" "$T/closed/state"
: >"$T/closed/state.lock"
(
    ulimit -f 0
    "$D" classifier watch -state "$T/closed/state" "$T/good.csv"
) >/dev/null 2>"$T/err" </dev/null
status=$?
command_line="watch with ulimit -f 0"
cp "$T/err" "$T/out"
expect_status 1
expect_same "$T/closed/state" "$T/before"
end

# ---- wrong use: name|status|pattern|arguments behind the state of before ----

printf 'path,label,confidence\na,b,0.5\n' >"$T/columns.csv"
echo confidence >"$T/nobody.csv"
printf 'confidence\nhigh\n' >"$T/high.csv"
printf 'path,label,prediction,accepted\na,b,b,yes\n' >"$T/yes.csv"
while IFS='|' read -r what code pattern words; do
    error_case "$what" "$code" "$pattern" "$D" classifier watch -state "$T/before" $words
done <<END
another risk than that of the state|2|-risk 0\.03, but .*before was begun with 0\.02|-risk 0.03 $T/good.csv
another alpha|2|-alpha 0\.1, but|-alpha 0.1 $T/good.csv
the state as input|2|before|$T/before
a missing file|1|cannot open: No such file|$T/nothing.csv
a folder|1|cannot read: Is a directory|$T
no column|1|columns\.csv:1: no column 'prediction' in the header|$T/columns.csv
a calibration for a state without|2|begun with other images|-calib $T/calib.csv $T/good.csv
a calibration without images|1|has no confidence|-calib $T/nobody.csv $T/good.csv
a confidence that is none|1|high\.csv:2: confidence is 'high', expected a number or nan|-calib $T/high.csv $T/good.csv
accepted is no number|1|yes\.csv:2: accepted is 'yes', expected 0 or 1|$T/yes.csv
END

finish
