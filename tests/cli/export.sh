#!/bin/sh
# `classifier export`: what OpenCV, ONNX Runtime and stock Darknet say of an exported network. From the repository root.
. tests/cli/lib.sh
export OMP_WAIT_POLICY=passive OMP_NUM_THREADS=1
py=/usr/bin/python3 # Debian's, which has Debian's packages
stock=/usr/share/darknet/cfg

if ! "$py" -c 'import cv2, numpy, onnx' 2>"$T/err"; then
    skip "exported networks in OpenCV" "python3-opencv or python3-onnx is not installed"
else
    "$py" -c 'import onnxruntime' 2>"$T/err" || skip "exported networks in ONNX Runtime" "python3-onnxruntime is not installed"
    run "$py" tests/cli/export.py "$T" "$D" cfg/*.cfg $(printf "$stock/%s.cfg " alexnet darknet19 \
        resnet18 strided vgg-16 go.test darknet9000 rnn)
    while IFS='~' read -r name lines pattern; do
        begin "$name"
        expect_status 0
        grep -E "^$lines" "$T/out" >"$T/lines" || complain "no line $lines"
        grep -Ev -- "$pattern" "$T/lines" >"$T/others" && complain "$(cat "$T/others")"
        end
    done <<'LIST'
networks are the same in other programs~network (.*_s.*|alexnet|darknet19)~: onnx equal; cfg equal$
layers that OpenCV's cfg has not: strides~network resnet18.cfg~: onnx equal; cfg error: .*\[shortcut\], cannot be exported
layers that OpenCV's cfg has not: crops~network (strided|vgg-16)~: onnx equal; cfg error: .*\[crop\], cannot be exported
layers that neither has~network go~: onnx error: .*\[reorg\], cannot be exported.*; cfg error: .*\[reorg\], cannot be exported
a softmax that is no cost section~network darknet9000~: onnx error: .*no cost section.*; cfg error: .*no cost section
a network that is no classifier~network rnn~: onnx error: .*\[rnn\] has no place.*; cfg error: .*\[rnn\] has no place
confidences and verdicts are the same~answer~\[False, True\]: onnx equal; cfg (equal|error: .*confidence=(abstain|energy|maxlogit) cannot be told)
the manual's example makes the pixels that the program makes~pixels~: equal$
LIST
fi

# ---- a network of another kind each for stock Darknet and for errors ----

tiny_png "$T/png"
cfg=$T/png/tiny.cfg weights=$T/png/backup/tiny.weights
run "$D" classifier train "$tiny_data" "$cfg" -epochs 2 -threads 1
sed 's/^\[softmax\]/[softmax]\ntemperature=2\n[reject]\nthreshold=0.5/' "$cfg" >"$T/reject.cfg"

error_case "export: a folder as place" 2 "expected a file.s name" "$D" classifier export "$cfg" "$weights" -out "$T/"

begin "a JSON says what goes in and what decides"
run "$D" classifier export "$T/reject.cfg" "$weights" -out "$T/tiny.onnx"
expect_status 0
expect_quiet
expect_out "^$T/tiny.onnx$"
[ "$(json_value "$T/tiny.json" threshold)" = 0.5 ] || complain "threshold $(json_value "$T/tiny.json" threshold)"
[ "$(json_value "$T/tiny.json" temperature)" = 0.5 ] || complain "temperature $(json_value "$T/tiny.json" temperature)"
[ "$(json_value "$T/tiny.json" classes)" = 3 ] || complain "classes $(json_value "$T/tiny.json" classes)"
[ "$(json_value "$T/tiny.json" names)" = null ] || complain "names without DATA"
run "$D" classifier export "$tiny_data" "$T/reject.cfg" "$weights" -out "$T/tiny.onnx"
expect_status 0
json_value "$T/tiny.json" names | tr -d "[]' " | tr , '\n' >"$T/names"
expect_same "$T/names" "$(sed -n 's/^labels=//p' "$tiny_data")"
end

# The host prints percents with two digits, in falling order.
begin "stock Darknet says the same of an exported cfg"
run "$D" classifier export "$T/reject.cfg" "$weights" -format cfg -out "$T/stock"
expect_status 0
image=$(head -n 1 "$T/png/valid.list")
# 8 x 8, so that nobody resizes
python3 - "$T/eight.png" <<'PY'
import sys
sys.path.insert(0, "tests/cli")
import tiny
tiny.write_png(sys.argv[1], 8, 8, bytes(range(10, 202)))
PY
run "$D" classifier predict "$tiny_data" "$T/reject.cfg" "$weights" "$T/eight.png" -format csv -top 3
awk -F, 'NR == 2 { for (i = 7; i < NF; i += 2) printf "%.2f%% %s\n", $(i + 1) * 100, $i }' "$T/out" >"$T/ours"
(cd "$T" && /usr/bin/darknet classifier predict "$tiny_data" stock.cfg stock.weights eight.png -t 3) </dev/null 2>"$T/err" |
    sed -n 's/^ *\([0-9.]*%\): /\1 /p' >"$T/stock.out"
[ "$(wc -l <"$T/ours")" -ge 2 ] || complain "no answer of ours"
head -n "$(wc -l <"$T/stock.out")" "$T/ours" | cmp -s - "$T/stock.out" || complain "$(cat "$T/ours" "$T/stock.out")"
end

# Nothing is left of a run that fails.
mkdir "$T/none"
printf 'kept' >"$T/none/kept.onnx"
head -c 100 "$weights" >"$T/short.weights"
sed 's/^threshold.*/&\nnovelty=x\nnovelty_rate=.1/' "$T/reject.cfg" >"$T/novelty.cfg"
sed 's/^threshold.*/&\nviews=2/' "$T/reject.cfg" >"$T/views.cfg"
sed "s|^threshold.*|&\nwith=$cfg,$weights|" "$T/reject.cfg" >"$T/with.cfg"
sed 's/^\[softmax\]/[softmax]\ntree=x/' "$cfg" >"$T/tree.cfg"
sed 's/^activation=leaky/activation=plse/' "$cfg" >"$T/plse.cfg"
while IFS='|' read -r name code pattern words; do
    # shellcheck disable=SC2086
    error_case "export: $name" "$code" "$pattern" "$D" classifier export $(eval echo "$words")
done <<'LIST'
no operands|2|CFG is missing|
no weights|2|WEIGHTS is missing|$cfg
no place|2|-out is missing|$cfg $weights
an unknown format|2|format|$cfg $weights -format pt -out $T/none/x
a cut file|1|short.weights: .*expected|$cfg $T/short.weights -out $T/none/kept
novelty=|1|novelty.cfg:[0-9]*: novelty= cannot be exported|$T/novelty.cfg $weights -out $T/none/x
views=|1|views.cfg:[0-9]*: views= cannot be exported|$T/views.cfg $weights -out $T/none/x
with=|1|with.cfg:[0-9]*: with= cannot be exported|$T/with.cfg $weights -out $T/none/x
no cost|1|tree.cfg:.*no cost section|$T/tree.cfg $weights -out $T/none/x
an activation that ONNX has not|1|plse.cfg:[0-9]*: layer 0, .convolutional., cannot be exported: activation=plse|$T/plse.cfg $weights -out $T/none/kept
an activation that OpenCV has not|1|plse.cfg:[0-9]*: layer 0, .convolutional., cannot be exported: OpenCV|$T/plse.cfg $weights -format cfg -out $T/none/x
a device|2|expected a file.s name|$cfg $weights -out /dev/null
its own cfg|2|would overwrite|$T/reject.cfg $weights -format cfg -out $T/reject
no folder|1|none/none/x.onnx|$cfg $weights -out $T/none/none/x
LIST

begin "a name that a folder has"
mkdir "$T/named"
run "$D" classifier export "$cfg" "$weights" -out "$T/named"
expect_status 0
expect_file "$T/named.onnx"
end

begin "nothing is left of those"
[ "$(ls -A "$T/none")" = kept.onnx ] || complain "$(ls -lA "$T/none")"
[ "$(cat "$T/none/kept.onnx")" = kept ] || complain "kept.onnx has changed"
end
finish
