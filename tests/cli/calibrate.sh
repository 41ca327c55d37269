#!/bin/sh
# `classifier calibrate`: thresholds by guarantee, coverage and cost, the cfg that holds them, lists that share images, tables of other programs.
. tests/cli/lib.sh

tiny_idx "$T/idx" valid=15 calib=60
data=$tiny_data
tiny_cfg "$T/plain.cfg" 1 3 '# the cost\n[softmax]\n' &&
    sed -i 's/^learning_rate=.*/learning_rate=0.01/' "$T/plain.cfg" && # so that it makes mistakes
    "$D" classifier train "$data" "$T/plain.cfg" -epochs 1 >"$T/out" 2>"$T/err" </dev/null || {
    echo "not ok training of the network to calibrate"
    sed 's/^/# /' "$T/err"
    exit 1
}
W=$T/idx/backup/plain.weights
# the same images as test=, to see what a new cfg accepts of them
sed "s|^test=.*|test=calib.list|; s|^calib=.*||" "$data" >"$T/idx/again.data"
again=$T/idx/again.data

calibrate() {
    run "$D" classifier calibrate "$data" "$T/plain.cfg" "$W" "$@"
}

# figure NAME WORD: a word of that line of the table
figure() {
    awk -v name="$1 " -v word="$2" 'index($0, name) == 1 { $0 = substr($0, 18); print $word }' "$T/out"
}

# expect_accepted CFG N ERRORS: what `reject` accepts of the calibration images
expect_accepted() {
    "$D" classifier reject "$again" "$1" "$W" -csv - >"$T/rows.csv" 2>"$T/rows.err" || complain "$(cat "$T/rows.err")"
    found=$(awk -F, 'NR > 1 && $5 == 1 { n++; wrong += $2 != $3 } END { print n + 0, wrong + 0 }' "$T/rows.csv")
    [ "$found" = "$2 $3" ] || complain "$1 accepts $found, expected $2 $3 (images, errors)"
}

begin "-risk and -delta: the guarantee in a sentence, what happens to the images, keys to paste"
calibrate -risk 0.3 -delta 0.05
expect_status 0
expect_quiet
expect_out '^images +60, all for the threshold$'
expect_out '^with probability at least 95 % over the draw of the calibration images, the error rate among accepted images of the same kind is at most 30 %$'
expect_out '^threshold +[01]\.[0-9]+$'
accepted=$(figure coverage 3 | tr -d '(')
weights=$(grep -oE '^weights=[0-9a-f]{16}$' "$T/out" | cut -d= -f2)
[ "$(sed -n '/^\[reject\]$/,$p' "$T/out" | tr '\n' ' ')" = "[reject] threshold=$(figure threshold 1) confidence=msp rejected=$((60 - accepted)),60 precision=f32 aim=risk=0.3,delta=0.05 weights=$weights " ] ||
    complain "$(cat "$T/out")"
threshold=$(figure threshold 1)
errors=$(figure 'selective risk' 3 | tr -d '(')
end

begin "-out: a copy of the cfg that accepts exactly the same images"
calibrate -risk 0.3 -delta 0.05 -out "$T/new.cfg"
expect_status 0
expect_quiet
expect_out "^written to $T/new.cfg\$"
[ "$(figure threshold 1)" = "$threshold" ] || complain "another threshold"
{ cat "$T/plain.cfg"; printf '[reject]\nthreshold=%s\nconfidence=msp\nrejected=%s,60\nprecision=f32\naim=risk=0.3,delta=0.05\nweights=%s\n' "$threshold" $((60 - accepted)) "$weights"; } >"$T/expected.cfg"
expect_same "$T/new.cfg" "$T/expected.cfg"
expect_accepted "$T/new.cfg" "$accepted" "$errors"
at_most 1 "$accepted" && at_most "$accepted" 59 || complain "$accepted of 60 accepted: the case shows nothing"
awk -F, -v t="$threshold" 'NR > 1 && ($4 >= t) != $5 { bad = 1 } END { exit bad }' "$T/rows.csv" || complain "not cut at the threshold"
end

begin "a threshold that was found with other weights is a warning"
run "$D" classifier reject "$again" "$T/new.cfg" "$W"
expect_quiet
expect_out "^threshold +$threshold \(from the cfg: risk=0\.3,delta=0\.05\)\$"
sed "s/^weights=.*/weights=0123456789abcdef/" "$T/new.cfg" >"$T/others.cfg"
for command in reject predict; do
    run "$D" classifier $command "$again" "$T/others.cfg" "$W" $([ $command = reject ] || echo "-list $T/idx/calib.list")
    expect_status 0
    expect_err '^warning: .*others\.cfg: the threshold was found with other weights than these'
done
end

begin "-out -: the cfg alone on standard output"
calibrate -risk 0.3 -delta 0.05 -out -
expect_status 0
expect_same "$T/out" "$T/expected.cfg"
expect_err '^with probability at least 95 %'
end

begin "-coverage: every score, its keys replaced in place, and the same images accepted"
for score in msp margin entropy gini maxlogit energy pnorm; do
    tiny_cfg "$T/own.cfg" 1 3 '[softmax]\n' '[reject]\n# mine\n confidence = pnorm\npnorm_p=3\ntemperature=1.5\n# end'
    run "$D" classifier calibrate "$data" "$T/own.cfg" "$W" -coverage 0.5 -confidence $score -out "$T/new.cfg"
    expect_status 0
    expect_out "^confidence +$score\$"
    expect_out '^no guarantee: .*coverage'
    at_most 30 "$(figure coverage 3 | tr -d '(')" || complain "$score: fewer than half accepted"
    [ $score = pnorm ] && p=pnorm_p=3 || p=
    { sed '/^\[reject\]/,$d' "$T/own.cfg"
      printf '[reject]\n# mine\n confidence = %s\n%stemperature=1.5\nthreshold=%s\nrejected=%s,60\nprecision=f32\naim=coverage=0.5\nweights=%s\n# end\n' "$score" "${p:+$p
}" "$(figure threshold 1)" "$(figure 'reject rate' 3 | tr -d '(')" "$weights"; } >"$T/expected2.cfg"
    expect_same "$T/new.cfg" "$T/expected2.cfg"
    expect_accepted "$T/new.cfg" "$(figure coverage 3 | tr -d '(')" "$(figure 'selective risk' 3 | tr -d '(')"
done
end

begin "-cost: Chow's rule"
calibrate -cost 0.3 -out "$T/new.cfg"
expect_status 0
expect_out '^threshold +0\.7$'
expect_out '^no guarantee: .* at most 0\.3, '
expect_accepted "$T/new.cfg" "$(figure coverage 3 | tr -d '(')" "$(figure 'selective risk' 3 | tr -d '(')"
run "$D" classifier calibrate "$data" "$T/own.cfg" "$W" -cost 0.3
expect_error 2 '-cost with confidence=pnorm of .*own\.cfg, expected -confidence msp'
end

begin "best and fit: one seeded half for them, the other for the threshold"
calibrate -coverage 0.5 -confidence best -temperature fit -out "$T/best.cfg"
expect_status 0
expect_out '^images +60: 30 to fit on, the other 30 for the threshold \(-seed 1\)$'
for score in msp margin entropy gini maxlogit energy pnorm; do
    expect_out "^  $score +[0-9.]+\$"
done
grep -q '^  abstain' "$T/out" && complain "there is no abstain output to choose"
best=$(awk '/^  [a-z]+ +[0-9.]+$/ && (!n++ || $2 < least) { least = $2; name = $1 } END { print name }' "$T/out")
expect_out "^confidence +$best \\(lowest AURC"
grep -q "^confidence=$best\$" "$T/best.cfg" || complain "the cfg has another confidence"
grep -q "^temperature=$(figure temperature 1)\$" "$T/best.cfg" || complain "the cfg has another temperature"
grep -q "^threshold=$(figure threshold 1)\$" "$T/best.cfg" || complain "the cfg has another threshold"
cp "$T/out" "$T/seed1"
"$D" classifier reject "$again" "$T/best.cfg" "$W" -csv - >"$T/rows.csv" 2>/dev/null
awk -F, 'NR > 1 && $5 == 1 { n++ } END { exit !(n >= 15 && n <= 45) }' "$T/rows.csv" || complain "not about half of all 60 accepted"
calibrate -coverage 0.5 -confidence best -temperature fit -out "$T/best.cfg"
expect_same "$T/out" "$T/seed1"
calibrate -coverage 0.5 -confidence best -temperature fit -seed 2
expect_out '\(-seed 2\)$'
[ "$(figure temperature 1)" != "$(awk '/^temperature/ { print $2 }' "$T/seed1")" ] || complain "another seed, the same temperature"
for flags in '-temperature fit' '-confidence best' '-confidence pnorm -pnorm fit'; do
    calibrate -coverage 0.5 $flags
    expect_out '^images +60: 30 to fit on, the other 30 '
done
end

begin "-temperature T"
calibrate -coverage 0.5 -temperature 2 -out "$T/new.cfg"
expect_status 0
expect_out '^images +60, all '
grep -q '^temperature=2$' "$T/new.cfg" || complain "$(tail -4 "$T/new.cfg")"
expect_accepted "$T/new.cfg" "$(figure coverage 3 | tr -d '(')" "$(figure 'selective risk' 3 | tr -d '(')"
run "$D" classifier calibrate "$data" "$T/own.cfg" "$W" -coverage 0.5 -temperature 1 -out "$T/new.cfg"
grep -q '^temperature=1$' "$T/new.cfg" || complain "the temperature of before is left"
end

begin "CRLF, and a stock [cost] at the end"
{ cat "$T/plain.cfg"; printf '[cost]\ntype=sse\n'; } | sed 's/$/\r/' >"$T/plain2.cfg"
run "$D" classifier calibrate "$data" "$T/plain2.cfg" "$W" -risk 0.3 -delta 0.05 -out "$T/new.cfg"
expect_status 0
{ cat "$T/plain.cfg"; printf '# [cost]\n# type=sse\n\n[reject]\nthreshold=%s\nconfidence=msp\nrejected=%s,60\nprecision=f32\naim=risk=0.3,delta=0.05\nweights=%s\n' "$threshold" $((60 - accepted)) "$weights"; } | sed 's/$/\r/' >"$T/expected2.cfg"
expect_same "$T/new.cfg" "$T/expected2.cfg"
end

begin "no feasible threshold: status 3, what is feasible, nothing written"
calibrate -risk 0.01 -delta 0.001 -out "$T/none.cfg"
expect_error 3 'no feasible threshold for -risk 0\.01: 60 calibration images with -delta 0\.001 allow -risk 0\.[0-9]+ at the least'
expect_no_file "$T/none.cfg"
least=$(sed -n 's/.*allow -risk \([0-9.]*\) at the least.*/\1/p' "$T/err")
calibrate -risk "$least" -delta 0.001
expect_status 0
end

begin "-per-class: a threshold of each class in the cfg, which reject, predict and the preload follow"
tiny_cfg "$T/own.cfg" 1 3 '[softmax]\n' '[reject]\nthreshold=0.9\nconfidence=msp\n'
run "$D" classifier calibrate "$data" "$T/own.cfg" "$W" -risk 0.45 -delta 0.3 -per-class -out "$T/new.cfg"
expect_status 0
expect_out '^threshold +one of each class$'
expect_out '^with probability at least 70 % .* that are accepted as a class is at most the risk in its line'
expect_accepted "$T/new.cfg" "$(figure coverage 3 | tr -d '(')" "$(figure 'selective risk' 3 | tr -d '(')"
keys=$(sed -n 's/^thresholds=//p' "$T/new.cfg")
! grep -q '^threshold=' "$T/new.cfg" || complain "the threshold for all is left"
printf '%s\n' "$keys" | tr ',' '\n' >"$T/keys"
[ "$(wc -l <"$T/keys")" -eq 3 ] && [ "$(grep -vc inf "$T/keys")" -ge 2 ] || complain "thresholds=$keys"
sed -n '/^  answer/,/^coverage/p' "$T/out" | awk '$5 == "<=" { print $1, $3, $4 }' >"$T/want"
python3 - "$T/rows.csv" "$T/keys" "$T/want" <<'END' >"$T/diff" 2>&1 || complain "$(cat "$T/diff")"
import csv, sys
rows = list(csv.DictReader(open(sys.argv[1])))
names = sorted({r["label"] for r in rows})
thresholds = dict(zip(names, map(float, open(sys.argv[2]))))
for r in rows:
    assert (r["accepted"] == "1") == (float(r["confidence"]) >= thresholds[r["prediction"]]), r
for line in open(sys.argv[3]):
    name, accepted, wrong = line.split()
    its = [r for r in rows if r["prediction"] == name and r["accepted"] == "1"]
    assert (len(its), sum(r["label"] != name for r in its)) == (int(accepted), int(wrong)), line
assert open(sys.argv[3]).read()
END
run "$D" classifier reject "$again" "$T/new.cfg" "$W" -classes -json "$T/new.json" -report "$T/page"
expect_out '^threshold +one of each class \(from the cfg: risk=0\.45,delta=0\.3,per_class\)$'
expect_out '^classes at the thresholds$'
python3 -c 'import json, sys
v = json.load(open(sys.argv[1]))
assert v["threshold"] is None and [c["threshold"] for c in v["classes"] if c["threshold"]]' "$T/new.json" || complain "the JSON has no thresholds"
run "$D" classifier predict "$again" "$T/new.cfg" "$W" -list "$T/idx/calib.list" -format csv
cut -d, -f5 "$T/rows.csv" | sed 1d >"$T/want"
cut -d, -f3 "$T/out" | sed 1d >"$T/got"
expect_same "$T/want" "$T/got"
run "$D" classifier predict "$again" "$T/new.cfg" "$W" "$T/idx/calib.list" -threshold 0 -format csv
run "$D" classifier predict "$again" "$T/new.cfg" "$W" $(sed -n 1p "$T/idx/calib.list" | sed "s|^|$T/idx/|")
expect_out ', threshold (0\.[0-9]+|inf) of its class$'
run "$D" classifier reject "$again" "$T/new.cfg" "$W" -threshold 0.5
expect_out '^threshold +0\.5 \(from -threshold\)$'
run "$D" classifier reject "$again" "$T/new.cfg" "$W" -confidence margin
expect_err '^note: the threshold in the cfg is one of msp'
expect_out '^coverage +100\.00 %'
run "$D" classifier calibrate "$data" "$T/new.cfg" "$W" -risk 0.3 -delta 0.05 -out "$T/back.cfg"
grep -q "^threshold=$threshold\$" "$T/back.cfg" && ! grep -q '^thresholds=' "$T/back.cfg" || complain "$(tail -4 "$T/back.cfg")"
end

begin "-risk NAME=R: a promise for some classes, the others are accepted"
calibrate -risk 1=0.6 -delta 0.1 -out "$T/new.cfg"
expect_status 0
grep -Eq '^thresholds=-inf,[0-9.]+,-inf$' "$T/new.cfg" || complain "$(tail -2 "$T/new.cfg")"
grep -q '^aim=delta=0.1,risk_of_1=0.6,per_class$' "$T/new.cfg" || complain "$(grep '^aim=' "$T/new.cfg")"
calibrate -risk 0.4 -risk 1=0.001 -delta 0.4
expect_status 0
expect_out '^  0 +0 +0 .* never accepted: no R could be kept$'
expect_out '^  1 .* never accepted: [0-9.]+ % could be kept$'
expect_out '^thresholds=inf,inf,0'
end
while IFS='|' read -r name status pattern flags; do
    error_case "$name" "$status" "$pattern" "$D" classifier calibrate "$data" "$T/plain.cfg" "$W" -delta 0.1 $flags
done <<'END'
a class of no network|2|-risk leftish=0.1, expected the name of a class|-risk leftish=0.1
a risk that is no number|2|-risk 0=x, expected a number R or NAME=R|-risk 0=x
two risks for all|2|-risk 0.1 and -risk 0.2|-risk 0.1 -risk 0.2
classes without a risk for all|2|-per-class without a plain -risk R|-per-class -risk leftish=0.1
a class with two risks|2|-risk 0=0.4: a second risk of its class, expected one|-risk 0=0.5 -risk 1=0.1 -risk 0=0.4
a class without a name|2|-risk =0.5, expected the name of a class|-risk =0.5
a percentage|2|-risk 0=5, .*did you mean 0.05|-risk 0=5
a risk of nothing for a class|2|-risk 0=0, expected a fraction above 0 and below 1|-risk 0=0
no class is feasible|3|no feasible threshold for any class: 60 calibration images allow -risk 0.[0-9]+ at the least|-risk 0.001 -per-class
END

# ---- lists that share an image ----

list=$T/idx/calib.list
first=$(sed -n 1p "$list")
for other in train valid test; do
    begin "an image of calib= that is in $other= too"
    cp "$T/idx/$other.list" "$T/kept.list"
    lines=$(wc -l <"$T/kept.list")
    sed -n 3p "$list" >>"$T/idx/$other.list"
    sed -n 2p "$list" >>"$T/idx/$other.list"
    calibrate -risk 0.3 -delta 0.05
    expect_error 1 "calib\\.list:2: image '.*' is also in .*$other\\.list:$((lines + 2)) \\(and 1 more\\)"
    cp "$T/kept.list" "$T/idx/$other.list"
    end
done

begin "by its bytes"
cp "$T/idx/$first" "$T/copy of 0.png" 2>/dev/null || cp "$first" "$T/copy of 0.png"
label=$(basename "$(dirname "$first")")
mkdir "$T/$label" && mv "$T/copy of 0.png" "$T/$label/"
cp "$T/idx/train.list" "$T/kept.list"
echo "$T/$label/copy of 0.png" >>"$T/idx/train.list"
calibrate -risk 0.3 -delta 0.05
expect_error 1 "calib\\.list:1: image '.*' has the bytes of '$T/$label/copy of 0\\.png' in .*train\\.list:$(wc -l <"$T/idx/train.list"), expected"
cp "$T/kept.list" "$T/idx/train.list"
calibrate -risk 0.3 -delta 0.05
expect_status 0
end

begin "images of equal bytes, a class without any, few to choose by: warnings"
cp "$list" "$T/kept.list"
for i in 1 2 3; do echo "$first"; done >>"$list"
calibrate -risk 0.3 -delta 0.05
expect_status 0
expect_err "^warning: .*calib\\.list: 3 of 63 images have the bytes of one before: "
grep -v "/$label/" "$T/kept.list" | head -n 30 >"$list"
calibrate -coverage 0.5 -confidence best
expect_status 0
expect_err "^warning: .*calib\\.list: has no image of 1 of the "
expect_err "^warning: .*calib\\.list: has 30 images, of which half are to choose"
cp "$T/kept.list" "$list"
end

begin "images of other lists that are not here: a warning"
cp "$T/idx/valid.list" "$T/kept.list"
echo "$T/gone/$label/x.png" >>"$T/idx/valid.list"
calibrate -risk 0.3 -delta 0.05
expect_status 0
expect_err "^warning: .*valid\\.list:16: image '$T/gone/$label/x\\.png' cannot be read"
cp "$T/kept.list" "$T/idx/valid.list"
end

# ---- what is refused ----

grep -v '^calib=' "$data" >"$T/idx/no_calib.data"
error_case "no calib=" 1 "no_calib\\.data: no key 'calib', expected a list" "$D" classifier calibrate "$T/idx/no_calib.data" "$T/plain.cfg" "$W" -coverage 0.5

cp "$T/plain.cfg" "$T/kept.cfg"
ln -s plain.cfg "$T/link.cfg"
cp "$list" "$T/kept.list"
for input in plain.cfg link.cfg idx/calib.list idx/train.list idx/backup/plain.weights "${data#"$T"/}"; do
    error_case "-out over $input" 2 "-out .* would overwrite .*, which it is made from" \
        "$D" classifier calibrate "$data" "$T/plain.cfg" "$W" -coverage 0.5 -out "$T/$input"
done
ln "$T/idx/$(head -n 1 "$list")" "$T/listed.cfg"
error_case "-out over an image of calib=" 2 "-out .* would overwrite .*, which it is made from" \
    "$D" classifier calibrate "$data" "$T/plain.cfg" "$W" -coverage 0.5 -out "$T/listed.cfg"
begin "the inputs are as before"
expect_same "$T/plain.cfg" "$T/kept.cfg"
expect_same "$list" "$T/kept.list"
end

error_case "-out where nothing can be written" 1 'no/such/new\.cfg' "$D" classifier calibrate "$data" "$T/plain.cfg" "$W" -coverage 0.5 -out "$T/no/such/new.cfg"
error_case "abstain without such an output" 1 'abstain' "$D" classifier calibrate "$data" "$T/plain.cfg" "$W" -coverage 0.5 -confidence abstain

while IFS='|' read -r what pattern words; do
    error_case "$what" 2 "$pattern" "$D" classifier calibrate $words
done <<'END'
no aim|no flag says what the threshold is for|a b c
two aims|more than one flag says|a b c -coverage 0.5 -cost 0.1
risk without delta|-risk without -delta|a b c -risk 0.1
delta without risk|-delta without -risk|a b c -coverage 0.1 -delta 0.1
risk in percent|-risk 2, .*did you mean 0\.02|a b c -risk 2 -delta 0.1
risk 1|-risk 1, expected a fraction above 0 and below 1|a b c -risk 1 -delta 0.1
risk 0|-risk 0, expected|a b c -risk 0 -delta 0.1
delta 1|-delta 1, expected|a b c -risk 0.1 -delta 1
cost 1|-cost 1, expected|a b c -cost 1
cost with another score|-cost and -confidence margin, expected msp|a b c -cost 0.1 -confidence margin
cost with best|-cost and -confidence best, expected msp|a b c -cost 0.1 -confidence best
temperature that is none|-temperature hot, expected fit or a number|a b c -coverage 0.5 -temperature hot
temperature 0|-temperature 0, expected fit or a number|a b c -coverage 0.5 -temperature 0
unknown score|-confidence mps, expected|a b c -coverage 0.5 -confidence mps
no weights|WEIGHTS is missing|a b -coverage 0.5
from and operands|-from x\.csv and DATA CFG WEIGHTS|a b c -from x.csv -coverage 0.5
from and confidence|-from and -confidence|-from x.csv -coverage 0.5 -confidence best
from and temperature|-from and -temperature|-from x.csv -coverage 0.5 -temperature fit
from and out|-from and -out|-from x.csv -coverage 0.5 -out y.cfg
END

# ---- tables of other programs ----

python3 - "$T/many.csv" <<'END'
import sys
with open(sys.argv[1], "w") as f:
    f.write("label,prediction,confidence\n")
    for i in range(1000):
        f.write("a,%s,%r\n" % ("b" if i >= 600 and i % 2 else "a", 1 - i / 1024))
END

begin "-from: the threshold of a table, without a network"
run "$D" classifier calibrate -from "$T/many.csv" -risk 0.05 -delta 0.001
expect_status 0
expect_quiet
expect_out '^images +1000, all '
expect_out '^with probability at least 99\.9 % .* is at most 5 %$'
grep -q '^\[reject\]' "$T/out" && complain "keys of a cfg without a cfg"
accepted=$(figure coverage 3 | tr -d '(')
at_most 600 "$accepted" && at_most "$accepted" 670 || complain "$accepted accepted, expected 600 to 670"
"$D" classifier reject -from "$T/many.csv" -threshold "$(figure threshold 1)" >"$T/reject.out"
grep -Eq "^coverage .*\\($accepted accepted\\)" "$T/reject.out" || complain "reject accepts another number"
end

begin "-from gives what the network gives"
"$D" classifier reject "$again" "$T/plain.cfg" "$W" -csv "$T/rows.csv" >/dev/null 2>&1
run "$D" classifier calibrate -from "$T/rows.csv" -risk 0.3 -delta 0.05
expect_status 0
[ "$(figure threshold 1)" = "$threshold" ] || complain "threshold $(figure threshold 1), expected $threshold"
end

begin "-from: -coverage, -cost"
run "$D" classifier calibrate -from "$T/many.csv" -coverage 0.5
expect_out '^coverage +50\.00 % \(500 accepted\)$'
run "$D" classifier calibrate -from "$T/many.csv" -cost 0.25
expect_out '^threshold +0\.75$'
expect_out '^coverage +25\.70 % \(257 accepted\)$'
printf 'label,prediction,confidence\na,a,1.5\n' >"$T/logits.csv"
run "$D" classifier calibrate -from "$T/logits.csv" -cost 0.25
expect_error 1 'logits\.csv: has a confidence of 1\.5, expected probabilities'
end

begin "-from: nothing feasible, no images, no confidence"
run "$D" classifier calibrate -from "$T/logits.csv" -risk 0.1 -delta 0.1
expect_error 3 'no feasible threshold for -risk 0\.1: 1 calibration image with -delta 0\.1 allow'
printf 'label,prediction,confidence\n' >"$T/none.csv"
run "$D" classifier calibrate -from "$T/none.csv" -risk 0.1 -delta 0.1
expect_error 1 'none\.csv: has no images'
printf 'label,prediction,confidence\na,a,nan\n' >"$T/nan.csv"
run "$D" classifier calibrate -from "$T/nan.csv" -coverage 0.5
expect_error 3 'none of the 1 calibration images has a confidence'
end

finish
