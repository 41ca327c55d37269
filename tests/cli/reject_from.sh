#!/bin/sh
# `classifier reject -from`: tables made by hand, with figures computed by hand.
. tests/cli/lib.sh

reject() {
    run "$D" classifier reject -from "$@"
}

# expect_json KEY VALUE: a number to 1e-9, null, or a text
expect_json() {
    found=$(json_value "$T/out" "$1" 2>&1)
    [ "$found" = "$2" ] || close_to "$found" "$2" || complain "$1 is $found, expected $2"
}

# expect_entry ARRAY INDEX KEY VALUE
expect_entry() {
    found=$(python3 -c 'import json, sys
v = json.load(open(sys.argv[1]))[sys.argv[2]][int(sys.argv[3])][sys.argv[4]]
print("null" if v is None else v)' "$T/out" "$1" "$2" "$3" 2>&1)
    [ "$found" = "$4" ] || close_to "$found" "$4" || complain "$1[$2].$3 is $found, expected $4"
}

# Right, right, wrong, right, wrong from the surest down, in another order.
cat >"$T/five.csv" <<'END'
path,label,prediction,confidence,accepted
e.png,cat,dog,0.5,1
a.png,cat,cat,0.9,1
c.png,dog,cat,0.7,1
b.png,dog,dog,0.8,1
d.png,cat,cat,0.6,1
END

begin "areas of five images"
reject "$T/five.csv" -json -
expect_status 0
expect_quiet
expect_json n 5
expect_json accuracy 0.6
expect_json coverage 1
expect_json reject_rate 0
expect_json risk 0.4
expect_json threshold null
expect_json aurc 0.19666666666666667
expect_json eaurc 0.06666666666666667
expect_json augrc 0.12
expect_json auroc 0.8333333333333333
for key in nll brier ece; do
    expect_json $key null
done
end

begin "risk at coverage"
expect_entry risk_at_coverage 0 coverage 1
expect_entry risk_at_coverage 0 accepted 5
expect_entry risk_at_coverage 0 risk 0.4
expect_entry risk_at_coverage 4 coverage 0.8
expect_entry risk_at_coverage 4 accepted 4
expect_entry risk_at_coverage 4 risk 0.25
expect_entry risk_at_coverage 4 threshold 0.6
expect_entry risk_at_coverage 6 coverage 0.7
expect_entry risk_at_coverage 6 accepted 4
end

begin "coverage at risk"
for i in 0 1 2 3; do
    expect_entry coverage_at_risk $i coverage 0.4
    expect_entry coverage_at_risk $i threshold 0.8
done
expect_entry coverage_at_risk 3 risk 0.05
end

begin "conventions are named"
python3 -c 'import json, sys
c = json.load(open(sys.argv[1]))["conventions"]
assert all(isinstance(c[k], str) and c[k] for k in ("aurc", "eaurc", "augrc", "auroc")), c' "$T/out" 2>"$T/err" ||
    complain "$(tail -1 "$T/err")"
end

begin "-threshold"
reject "$T/five.csv" -json - -threshold 0.7
expect_status 0
expect_json threshold 0.7
expect_json coverage 0.6
expect_json reject_rate 0.4
expect_json risk 0.3333333333333333
expect_json aurc 0.19666666666666667
end

begin "-threshold above every confidence: nothing accepted, risk undefined"
reject "$T/five.csv" -json - -threshold 0.95
expect_status 0
expect_json coverage 0
expect_json reject_rate 1
expect_json risk null
end

begin "-coverage"
reject "$T/five.csv" -json - -coverage 0.5
expect_status 0
expect_json threshold 0.7
expect_json coverage 0.6
reject "$T/five.csv" -json - -coverage 0.4
expect_json threshold 0.8
expect_json coverage 0.4
expect_json risk 0
reject "$T/five.csv" -json - -coverage 1
expect_json coverage 1
end

begin "the table for people"
reject "$T/five.csv" -threshold 0.7
expect_status 0
expect_quiet
expect_out '^images +5$'
expect_out 'threshold +0\.7 '
expect_out '33\.33 %'
expect_out 'AURC +0\.196667'
expect_out 'chosen on these images: optimistic'
end

begin "-json writes a file beside the table"
reject "$T/five.csv" -json "$T/five.json"
expect_status 0
expect_out '^images +5$'
expect_file "$T/five.json"
reject "$T/five.csv" -json -
expect_same "$T/out" "$T/five.json"
end

cat >"$T/ties.csv" <<'END'
label,prediction,confidence
a,a,0.5
a,b,0.5
b,b,0.5
b,a,0.5
END

begin "equal confidences stand or fall together"
reject "$T/ties.csv" -json - -coverage 0.3
expect_status 0
expect_json coverage 1
expect_json risk 0.5
expect_json aurc 0.5
expect_json auroc 0.5
expect_json augrc 0.25
expect_entry coverage_at_risk 3 coverage 0
end

begin "all right: auroc is null, everything else 0"
printf 'label,prediction,confidence\na,a,0.5\nb,b,0.25\n' >"$T/right.csv"
reject "$T/right.csv" -json -
expect_status 0
expect_json auroc null
expect_json aurc 0
expect_json eaurc 0
expect_json augrc 0
expect_entry coverage_at_risk 0 coverage 1
end

begin "all wrong: auroc is null, aurc 1, eaurc 0"
printf 'label,prediction,confidence\na,b,0.5\nb,a,0.25\n' >"$T/wrong.csv"
reject "$T/wrong.csv" -json -
expect_status 0
expect_json auroc null
expect_json aurc 1
expect_json eaurc 0
expect_json accuracy 0
end

begin "no rows: n is 0, the rest null"
printf 'label,prediction,confidence\n' >"$T/none.csv"
reject "$T/none.csv" -json -
expect_status 0
expect_json n 0
for key in accuracy coverage risk aurc eaurc augrc auroc; do
    expect_json $key null
done
end

begin "not-a-number is never accepted"
printf 'label,prediction,confidence\na,a,nan\na,a,0.5\na,b,0.25\n' >"$T/nan.csv"
reject "$T/nan.csv" -json -
expect_status 0
expect_json n 3
expect_json coverage 0.6666666666666666
expect_json risk 0.5
end

begin "columns in another order, others ignored, quotes, CRLF, labels compared as text"
printf '\357\273\277confidence,note,"prediction",label\r\n0.9,"a ""b"", c","x, y","x, y"\r\n0.8,"two\r\nlines",1,01\r\n0.7,,"say ""hi""","say ""hi"""\r\n' \
    >"$T/quotes.csv"
reject "$T/quotes.csv" -json -
expect_status 0
expect_json n 3
expect_json accuracy 0.6666666666666666
expect_json auroc 0.5
end

# ---- tables that are none ----

printf 'label,prediction\na,a\n' >"$T/bad1.csv"
printf 'label,prediction,confidence,label\na,a,1,a\n' >"$T/bad2.csv"
printf 'label,prediction,confidence\na,a,0.5\na,a\n' >"$T/bad3.csv"
printf 'label,prediction,confidence\na,a,high\n' >"$T/bad4.csv"
printf 'label,prediction,confidence\na,a,0.5\n"a,a,0.5\n' >"$T/bad5.csv"
printf 'label,prediction,confidence\na,a,inf\n' >"$T/bad6.csv"
printf 'label,prediction,confidence\na\0,a,0.5\n' >"$T/bad7.csv"
printf 'label,prediction,confidence\na,a,0.5\n,,0.6\n' >"$T/bad8.csv"
printf 'label,prediction,confidence\na,,0.5\n' >"$T/bad9.csv"
: >"$T/empty.csv"
mkdir "$T/folder.csv"
while IFS='|' read -r what file pattern; do
    error_case "$what" 1 "$pattern" "$D" classifier reject -from "$T/$file"
done <<'END'
missing file|nothing.csv|nothing\.csv: 
folder|folder.csv|folder\.csv: 
empty file|empty.csv|empty\.csv:1: no header, expected
no column of that name|bad1.csv|bad1\.csv:1: .*confidence
column twice|bad2.csv|bad2\.csv:1: .*label
short row|bad3.csv|bad3\.csv:3: 
confidence that is no number|bad4.csv|bad4\.csv:2: .*high
open quote|bad5.csv|bad5\.csv:3: 
infinite confidence|bad6.csv|bad6\.csv:2: .*inf
NUL byte|bad7.csv|bad7\.csv:2: a 0 byte, expected
no label|bad8.csv|bad8\.csv:3: has no label, expected one
a confidence in nothing|bad9.csv|bad9\.csv:2: has no prediction, expected one
END

begin "an error leaves the JSON file of before"
echo before >"$T/kept.json"
reject "$T/bad4.csv" -json "$T/kept.json"
expect_error 1 'bad4'
[ "$(cat "$T/kept.json")" = before ] || complain "kept.json was overwritten"
[ "$(ls "$T" | grep -c kept)" -eq 1 ] || complain "a temporary file is left"
end

begin "a folder that does not exist is found before reading"
reject "$T/five.csv" -json "$T/no/such/folder.json"
expect_error 1 'no/such/folder\.json'
end

begin "a directory as the place of the JSON file is found before reading"
reject "$T/missing.csv" -json "$T/folder.csv"
expect_error 1 'folder\.csv: .*directory'
end

begin "a link stays a link, its target is replaced"
echo before >"$T/target.json"
ln -s target.json "$T/link.json"
reject "$T/five.csv" -json "$T/link.json"
expect_status 0
[ -h "$T/link.json" ] || complain "the link is gone"
expect_same "$T/target.json" "$T/five.json"
end

begin "a pipe is written to, not replaced"
mkfifo "$T/pipe.json"
cat "$T/pipe.json" >"$T/piped.json" &
reject "$T/five.csv" -json "$T/pipe.json"
expect_status 0
wait
[ -p "$T/pipe.json" ] || complain "the pipe is gone"
expect_same "$T/piped.json" "$T/five.json"
end

begin "no network library is opened"
if command -v strace >/dev/null 2>&1; then
    run strace -f -e trace=openat,open "$D" classifier reject -from "$T/five.csv"
    ! grep -q libdarknet.so "$T/err" || complain "libdarknet.so was opened"
fi
run "$D" classifier reject -from "$T/five.csv"
expect_status 0
end

finish
