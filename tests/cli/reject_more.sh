#!/bin/sh
# `classifier reject` beyond one list: classes, intervals, other lists, comparisons, an asked risk. Figures by hand.
. tests/cli/lib.sh

reject() {
    run "$D" classifier reject "$@"
}

# expect_at PATH VALUE: PATH is a Python expression on the JSON object v, e.g. v["lists"][0]["n"]
expect_at() {
    found=$(python3 -c 'import json, sys
v = json.load(open(sys.argv[1]))
r = eval(sys.argv[2])
print("null" if r is None else r)' "$T/out" "$1" 2>&1 | tail -1)
    [ "$found" = "$2" ] || close_to "$found" "$2" || complain "$1 is $found, expected $2"
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

# Another program on the same images: wrong at .8 and .6.
cat >"$T/other.csv" <<'END'
confidence,prediction,label,path
0.9,cat,cat,a.png
0.8,cat,dog,b.png
0.7,dog,dog,c.png
0.6,dog,cat,d.png
0.5,cat,cat,e.png
END
printf 'path,confidence\nx,0.65\ny,0.3\nz,nan\n' >"$T/noise.csv"

# ---- classes ----

begin "figures of classes and confusion in the JSON"
reject -from "$T/five.csv" -threshold 0.7 -json -
expect_status 0
expect_quiet
expect_at 'len(v["classes"])' 2
expect_at 'v["classes"][0]["name"]' cat
expect_at 'v["classes"][0]["n"]' 3
expect_at 'v["classes"][0]["accepted"]' 1
expect_at 'v["classes"][0]["accuracy"]' 0.6666666666666666
expect_at 'v["classes"][0]["reject_rate"]' 0.6666666666666666
expect_at 'v["classes"][0]["risk"]' 0
expect_at 'v["classes"][1]["risk"]' 0.5
expect_at 'v["classes"][1]["reject_rate"]' 0
expect_at 'v["confusion"]' '[[1, 0, 2], [1, 1, 0]]'
end

begin "in the table when asked"
reject -from "$T/five.csv" -threshold 0.7
! grep -q '^confusion' "$T/out" || complain "a confusion matrix that nobody asked for"
reject -from "$T/five.csv" -threshold 0.7 -classes
expect_status 0
expect_out '^  cat +3 +66\.67 % +66\.67 % +0\.00 % +2 +50\.00 %$'
expect_out '^  dog +2 +50\.00 % +0\.00 % +50\.00 % +1 +0\.00 %$'
expect_out '^ +1  cat +1 +0 +2$'
expect_out '^ +2  dog +1 +1 +0$'
end

begin "more classes than a table can show, and than have figures"
python3 -c 'print("label,prediction,confidence")
for i in range(30): print("%d,%d,0.5" % (i, i))' >"$T/wide.csv"
reject -from "$T/wide.csv" -classes
expect_status 0
expect_out '^  29 +1 +100\.00 %'
expect_out '^confusion of 30 classes'
python3 -c 'print("label,prediction,confidence")
for i in range(1001): print("%d,%d,0.5" % (i, i))' >"$T/many.csv"
reject -from "$T/many.csv" -classes
expect_out '^classes: more than 1000'
reject -from "$T/many.csv" -json -
expect_at 'v["classes"]' null
expect_at 'v["confusion"]' null
end

# ---- intervals ----

begin "exact intervals of rates"
reject -from "$T/five.csv" -threshold 0.7 -json -
expect_at 'v["intervals"]["level"]' 0.95
expect_at 'v["intervals"]["accuracy"][0]' 0.14663279963467
expect_at 'v["intervals"]["accuracy"][1]' 0.94725504947368
expect_at 'v["intervals"]["reject_rate"][0]' 0.05274495052631
expect_at 'v["intervals"]["risk"][1]' 0.90570067594975
expect_at 'v["intervals"]["replicates"]' 0
expect_at 'v["intervals"]["aurc"]' null
end

begin "of nothing accepted, and of no images"
reject -from "$T/five.csv" -threshold 0.95 -json -
expect_at 'v["intervals"]["risk"]' null
expect_at 'v["intervals"]["reject_rate"][1]' 1
printf 'path,label,prediction,confidence\n' >"$T/none.csv"
reject -from "$T/none.csv" -bootstrap 20 -classes -compare "$T/none.csv" -list "a=$T/none.csv" -list "b=$T/none.csv:unlabelled" -json -
expect_status 0
for key in accuracy reject_rate risk aurc eaurc augrc auroc; do
    expect_at "v['intervals']['$key']" null
done
expect_at 'v["classes"]' '[]'
expect_at 'v["lists"][1]["reject_rate"]' null
expect_at 'v["lists"][0]["auroc"]' null
expect_at 'v["compare"][0]["difference"]["aurc"]' null
reject -from "$T/none.csv" -bootstrap 20 -classes -compare "$T/none.csv" -list "a=$T/none.csv"
expect_status 0
! grep -qw nan "$T/out" || complain "a nan in the table"
end

python3 -c 'import random
random.seed(1)
print("path,label,prediction,confidence")
for i in range(400):
    c = round(random.random(), 2)
    print("%d.png,a,%s,%g" % (i, "a" if random.random() < c else "b", c))' >"$T/random.csv"

begin "bootstrap: seeded, the same on one core and on all"
reject -from "$T/random.csv" -bootstrap 200 -json "$T/one.json"
expect_status 0
expect_out '^AURC +0\.[0-9]+ \[0\.[0-9]+, 0\.[0-9]+\]$'
expect_out 'bootstrap for areas \(200 replicates, seed 1\)'
OMP_NUM_THREADS=1 reject -from "$T/random.csv" -bootstrap 200 -seed 1 -json "$T/again.json"
expect_same "$T/one.json" "$T/again.json"
reject -from "$T/random.csv" -bootstrap 200 -seed 2 -json -
expect_different "$T/out" "$T/one.json"
for key in aurc eaurc augrc auroc; do
    expect_at "v['intervals']['$key'][0] < v['$key'] < v['intervals']['$key'][1]" True
done
end

# ---- comparisons ----

begin "comparison by path, in another order"
reject -from "$T/five.csv" -threshold 0.7 -compare "$T/other.csv" -json -
expect_status 0
expect_quiet
expect_at 'len(v["compare"])' 1
expect_at 'v["compare"][0]["other"]["accuracy"]' 0.6
expect_at 'v["compare"][0]["other"]["aurc"]' 0.3466666666666667
expect_at 'v["compare"][0]["difference"]["aurc"]' -0.15
expect_at 'v["compare"][0]["difference"]["accuracy"]' 0
expect_at 'v["compare"][0]["coverage"]' 0.6
expect_at 'v["compare"][0]["other"]["coverage"]' 0.6
expect_at 'v["compare"][0]["other"]["risk"]' 0.3333333333333333
expect_at 'v["intervals"]["replicates"]' 1000
expect_at 'v["compare"][0]["intervals"]["aurc"][0] < -0.15 < v["compare"][0]["intervals"]["aurc"][1]' True
expect_at 'v["compare"][0]["p_aurc"] > 0.3' True
reject -from "$T/five.csv" -compare "$T/other.csv" -bootstrap 0 -json -
expect_at 'v["compare"][0]["difference"]["aurc"]' -0.15
expect_at 'v["compare"][0]["intervals"]["aurc"]' null
expect_at 'v["compare"][0]["p_aurc"]' null
end

begin "with itself: no difference; two files at once"
reject -from "$T/random.csv" -coverage 0.5 -compare "$T/random.csv" -compare "$T/random.csv" -bootstrap 50 -json -
expect_status 0
expect_at 'len(v["compare"])' 2
for key in accuracy risk aurc auroc; do
    expect_at "v['compare'][1]['difference']['$key']" 0
    expect_at "v['compare'][1]['intervals']['$key']" '[0.0, 0.0]'
done
expect_at 'v["compare"][1]["p_aurc"]' 1
end

# The same confidences, but every answer of the surer half right: the difference shows.
awk -F, 'NR == 1 || $4 < 0.5 { print; next } { print $1 ",a,a," $4 }' "$T/random.csv" | sed '1!G;h;$!d' >"$T/reversed.csv"
{ tail -n 1 "$T/reversed.csv"; sed '$d' "$T/reversed.csv"; } >"$T/better.csv"
begin "a better one is better, its risk at the same coverage too"
reject -from "$T/random.csv" -threshold 0.5 -compare "$T/better.csv" -json -
expect_status 0
expect_at 'v["compare"][0]["other"]["risk"]' 0
expect_at 'v["compare"][0]["intervals"]["risk"][0] > 0' True
expect_at 'v["compare"][0]["intervals"]["risk"][0] < v["risk"] < v["compare"][0]["intervals"]["risk"][1]' True
expect_at 'v["compare"][0]["difference"]["risk"] == v["risk"]' True
expect_at 'v["compare"][0]["intervals"]["aurc"][0] > 0' True
expect_at 'v["compare"][0]["intervals"]["accuracy"][1] < 0' True
expect_at 'v["compare"][0]["p_aurc"] < 0.01' True
reject -from "$T/random.csv" -threshold 0.5 -compare "$T/better.csv"
expect_out "^compared with $T/better.csv$"
expect_out '^  AURC +0\.[0-9]+ +0\.[0-9]+ +\+0\.[0-9]+ \[\+0'
end

sed 2d "$T/other.csv" >"$T/lacks.csv"
sed 's/a\.png/A.png/; s/c\.png/C.png/' "$T/other.csv" >"$T/renamed.csv"
{ cat "$T/other.csv"; echo 0.5,cat,cat,f.png; } >"$T/more.csv"
sed 's/dog,cat,d\.png/dog,dog,d.png/' "$T/other.csv" >"$T/relabelled.csv"
cut -d, -f2-4 "$T/five.csv" >"$T/pathless.csv"
while IFS='|' read -r what first second pattern; do
    error_case "comparison: $what" 1 "$pattern" "$D" classifier reject -from "$T/$first" -compare "$T/$second"
done <<'END'
an image is missing|five.csv|lacks.csv|lacks\.csv: 1 of the 5 images of .*five\.csv are missing .first: 'a\.png'\), expected the same images by the same paths
images of other names|five.csv|renamed.csv|renamed\.csv: 2 of the 5 images of .* are missing .first: 'a\.png'
an image too many|five.csv|more.csv|more\.csv: 1 images are not in .*five\.csv .first: 'f\.png'
another label|five.csv|relabelled.csv|relabelled\.csv: 1 images have another label .*'d\.png', 'dog' for 'cat'
no paths there|five.csv|pathless.csv|pathless\.csv:1: no column 'path'
no paths here|pathless.csv|five.csv|pathless\.csv:1: no column 'path'
no such file|five.csv|missing.csv|missing\.csv: 
END

# ---- other lists ----

begin "lists with and without labels at the same threshold"
reject -from "$T/five.csv" -threshold 0.7 -list "shifted=$T/other.csv" -list "noise=$T/noise.csv:unlabelled" -json -
expect_status 0
expect_quiet
expect_at '[l["name"] for l in v["lists"]]' "['shifted', 'noise']"
expect_at 'v["lists"][0]["labelled"]' True
expect_at 'v["lists"][0]["accuracy"]' 0.6
expect_at 'v["lists"][0]["reject_rate"]' 0.4
expect_at 'v["lists"][0]["risk"]' 0.3333333333333333
expect_at 'v["lists"][0]["auroc"]' 0.5
expect_at 'v["lists"][1]["labelled"]' False
expect_at 'v["lists"][1]["n"]' 3
expect_at 'v["lists"][1]["reject_rate"]' 1
expect_at 'v["lists"][1]["accuracy"]' null
expect_at 'v["lists"][1]["risk"]' null
expect_at 'v["lists"][1]["auroc"]' 0.8666666666666667
reject -from "$T/five.csv" -threshold 0.3 -list "noise=$T/noise.csv:unlabelled"
expect_out '^  images +5 +0\.00 % '
expect_out '^  noise +3 +33\.33 % \[0\.84, 90\.57\] +no labels +0\.866667$'
end

error_case "a list whose labels are missing" 1 "noise\.csv:1: no column 'label'" \
    "$D" classifier reject -from "$T/five.csv" -list "noise=$T/noise.csv"

while IFS='|' read -r what pattern words; do
    # shellcheck disable=SC2086
    error_case "$what" 2 "$pattern" "$D" classifier reject -from "$T/five.csv" $words
done <<END
list without a name|-list $T/noise.csv, expected NAME=FILE|-list $T/noise.csv
list with an empty name|expected NAME=FILE|-list =$T/noise.csv
list without a file|expected NAME=FILE|-list noise=:unlabelled
two lists of a name|second list of that name|-list a=$T/five.csv -list a=$T/other.csv
list named as the first|second list of that name|-list images=$T/five.csv
result over a list|-json .* would overwrite|-list a=$T/noise.csv:unlabelled -json $T/noise.csv
result over a comparison|-json .* would overwrite|-compare $T/other.csv -json $T/./other.csv
risk without delta|-risk without -delta|-risk 0.1
delta without risk|-delta without -risk|-delta 0.1
risk and threshold|-risk and -threshold, expected one|-risk 0.1 -delta 0.1 -threshold 0.5
risk and coverage|-risk and -coverage, expected one|-risk 0.1 -delta 0.1 -coverage 0.5
risk in percent|did you mean 0\.02|-risk 2 -delta 0.1
risk of 1|-risk 1, expected a fraction above 0 and below 1|-risk 1 -delta 0.1
delta of 0|-delta 0, expected|-risk 0.1 -delta 0
replicates below zero|-bootstrap -1, expected an integer from 0|-bootstrap -1
END

# ---- an asked risk ----

# 23 right answers are the fewest that allow a risk of 10 %: .9^23 <= .95 * .1
for n in 22 23; do
    python3 -c 'import sys
print("label,prediction,confidence")
for i in range(int(sys.argv[1])): print("a,a,%g" % (1 - i / 100))' $n >"$T/right$n.csv"
done
begin "-risk and -delta: optimistic, and said to be"
reject -from "$T/right23.csv" -risk 0.1 -delta 0.1
expect_status 0
expect_out '^risk asked for +10 % with probability 90 %: feasible$'
expect_out 'optimistic figures'
expect_out 'classifier calibrate'
expect_out '^threshold +0\.78 \(for -risk, chosen on these images: optimistic\)$'
reject -from "$T/right23.csv" -risk 0.1 -delta 0.1 -json -
expect_at 'v["risk_control"]["feasible"]' True
expect_at 'v["threshold"]' 0.78
end

begin "no feasible threshold: status 3, and the figures of rejecting all"
reject -from "$T/right22.csv" -risk 0.1 -delta 0.1 -json "$T/none.json"
expect_error 3 'no feasible threshold for -risk 0\.1 -delta 0\.1 .*-risk 0\.102 would be feasible'
expect_out '^risk asked for +10 % with probability 90 %: no feasible threshold, 10\.2 % would be$'
expect_out '^coverage +0\.00 %'
cp "$T/none.json" "$T/out"
expect_at 'v["risk_control"]["feasible"]' False
expect_at 'v["risk_control"]["feasible_risk"]' 0.102
expect_at 'v["coverage"]' 0
end

# ---- a network ----

tiny_idx "$T/idx"
I=$T/idx
tiny_cfg "$T/net.cfg" 1 3 '[softmax]\n' '[reject]\nconfidence=msp\n'
"$D" classifier train "$tiny_data" "$T/net.cfg" -epochs 2 >"$T/train.out" 2>&1 || {
    echo "not ok training the network of these tests"
    sed 's/^/# /' "$T/train.out"
    exit 1
}
W=$I/backup/net.weights

begin "a network: classes, lists, comparison with its own CSV"
reject "$tiny_data" "$T/net.cfg" "$W" -coverage 0.8 -csv "$T/net.csv" -json "$T/net.json"
expect_status 0
reject "$tiny_data" "$T/net.cfg" "$W" -coverage 0.8 -list "valid=$I/valid.list" -list "bare=$I/test.list:unlabelled" \
    -compare "$T/net.csv" -bootstrap 20 -json -
expect_status 0
expect_quiet
expect_at 'v["lists"][0]["n"]' 30
expect_at '0 <= v["lists"][0]["accuracy"] <= 1' True
expect_at 'v["lists"][1]["reject_rate"] == v["reject_rate"]' True
expect_at 'v["lists"][1]["auroc"]' 0.5
expect_at 'v["lists"][1]["accuracy"]' null
expect_at 'v["compare"][0]["difference"]["aurc"]' 0
expect_at 'sum(c["n"] for c in v["classes"])' 60
expect_at 'sum(map(sum, v["confusion"]))' 60
expect_at 'sum(row[-1] for row in v["confusion"]) / 60 == v["reject_rate"]' True
end

begin "the CSV gives the same classes"
mv "$T/net.json" "$T/first.json"
threshold=$(python3 -c 'import json, sys; print(repr(json.load(open(sys.argv[1]))["threshold"]))' "$T/first.json")
reject -from "$T/net.csv" -threshold "$threshold" -json -
expect_at "v['confusion'] == json.load(open('$T/first.json'))['confusion']" True
expect_at "v['classes'] == json.load(open('$T/first.json'))['classes']" True
end

mkdir "$T/strange"
cp "$(find "$I" -name '*.png' | head -n 1)" "$T/strange/picture.png"
echo "$T/strange/picture.png" >"$T/strange.list"
error_case "images without labels are not taken for labelled ones" 1 \
    'strange\.list:1: .*-list strange=.*strange\.list:unlabelled takes images without labels' \
    "$D" classifier reject "$tiny_data" "$T/net.cfg" "$W" -list "strange=$T/strange.list"

begin "they have a reject rate"
reject "$tiny_data" "$T/net.cfg" "$W" -list "strange=$T/strange.list:unlabelled"
expect_status 0
expect_out '^  test +60 '
expect_out '^  strange +1 +0\.00 % \[0\.00, 97\.50\] +no labels '
end

error_case "another list of images is no comparison, found before the pass" 1 'are missing' \
    "$D" classifier reject "$tiny_data" "$T/net.cfg" "$W" -compare "$T/five.csv"

finish
