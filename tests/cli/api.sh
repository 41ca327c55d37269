#!/bin/sh
# The C library and the Python module: their examples, compiled, say what `predict` says, to the bit; what it refuses; what it exports and leaves alone.
. tests/cli/lib.sh
short_runs
LIB=$(dirname "$D")
COMPILE="${CC:-cc} ${SANITIZER:-} -std=c11 -Wall -Wextra -Werror -pthread -Isrc/api"

tiny_idx "$T/idx" valid=10 calib=60
data=$tiny_data
tiny_cfg "$T/sat.cfg" 1 3 '[sat]\ntarget=abstain\nwarmup_epochs=1\n' '[reject]\nconfidence=abstain\nthreshold=0.99\n'
tiny_cfg "$T/soft.cfg" 1 3 '[softmax]\n'
for net in sat soft; do
    "$D" classifier train "$data" "$T/$net.cfg" -epochs 6 -threads 1 >"$T/out" 2>"$T/err" </dev/null || {
        echo "not ok training of the networks"
        sed 's/^/# /' "$T/err"
        exit 1
    }
done
W=$T/idx/backup
"$D" classifier calibrate "$data" "$T/soft.cfg" "$W/soft.weights" -novelty 0.3 -out "$T/novel.cfg" >"$T/out" 2>"$T/err" || cat "$T/err"
{ cat "$T/soft.cfg"; printf '[reject]\nthresholds=0.7,0.9,0.99\n'; } >"$T/classes.cfg"
{ cat "$T/soft.cfg"; printf '[reject]\nthreshold=0.9\nviews=3\nwith=%s\n' "$T/soft.cfg,$W/soft.weights"; } >"$T/mean.cfg"
cp "$W/soft.weights" "$W/novel.weights"
cp "$W/soft.weights" "$W/classes.weights"
cp "$W/soft.weights" "$W/mean.weights"

for example in examples/*.c; do
    program=$(basename "$example" .c)
    begin "$example compiles without warnings"
    run $COMPILE -o "$T/$program" "$example" -L"$LIB" -ldarknet_sat -Wl,-rpath,"$(realpath "$LIB")"
    expect_status 0
    expect_quiet
    end
done

# as classify prints them
answers() {
    python3 -c 'import json, sys
for line in sys.stdin:
    a = json.loads(line)
    number = lambda v: "nan" if v is None else "%.17g" % v
    if "error" in a:
        print(a["path"] + ": " + a["error"])
    elif a["accepted"]:
        print("%s: %s, probability %s" % (a["path"], a["answer"], number(a["top"][0]["probability"])))
    else:
        print("%s: rejected (%s): confidence %s, threshold %s" % (a["path"], a["verdict"], number(a["confidence"]), number(a["threshold"])))'
}

images=$(find "$T/idx/train" "$T/idx/test" -name '*.png' | sort | sed -n '1~5p')
printf 'no image' >"$T/bad.png"
for net in sat classes mean novel; do
    begin "$net: answers of the library are those of predict, to the bit"
    "$D" classifier predict "$data" "$T/$net.cfg" "$W/$net.weights" $images -format jsonl 2>/dev/null | answers >"$T/expected"
    run "$T/classify" "$data" "$T/$net.cfg" "$W/$net.weights" $images
    expect_status 0
    expect_quiet
    expect_same "$T/out" "$T/expected"
    expect_out ', probability 0'
    expect_out ': rejected'
    end
done

begin "a stranger's verdict is unknown"
expect_out 'rejected \(unknown\)'
end

begin "exif=0 of the data file counts"
{ cat "$data" && echo exif=0; } >"$T/idx/stored.data"
cp tests/fuzz/corpus/image/jpeg-exif "$T/turned.jpeg"
for of in "$data" "$T/idx/stored.data"; do
    "$D" classifier predict "$of" "$T/soft.cfg" "$W/soft.weights" "$T/turned.jpeg" -format jsonl | answers >"$T/expected"
    run "$T/classify" "$of" "$T/soft.cfg" "$W/soft.weights" "$T/turned.jpeg"
    expect_status 0
    expect_same "$T/out" "$T/expected"
    mv "$T/out" "$T/$(basename "$of").answers"
done
expect_different "$T/idx.data.answers" "$T/stored.data.answers"
end

begin "an image that cannot be read is the answer of that image alone"
first=$(echo "$images" | head -n 1)
run "$T/classify" "$data" "$T/classes.cfg" "$W/classes.weights" "$T/bad.png" "$first" "$T/none.png"
expect_status 0
[ "$(wc -l <"$T/out")" -eq 3 ] || complain "not three lines"
expect_out "^$T/bad\.png: cannot decode: .*expected"
expect_out "^$first: [0-2], "
expect_out "^$T/none\.png: cannot open: "
end

begin "several threads ask one model"
run "$T/threads" "$T/soft.cfg" "$W/soft.weights" 25
expect_status 0
expect_quiet
[ "$(grep -c '^camera [0-3]: 25 of 25 pictures accepted$' "$T/out")" -eq 4 ] || show out
end

sed 's/^activation=leaky/activation=elu/' "$T/soft.cfg" >"$T/elu.cfg"
sed 's/^\[softmax\]/[sogtmax]/' "$T/soft.cfg" >"$T/odd.cfg"
head -c 400 "$W/soft.weights" >"$T/short.weights"
error_case "a layer of Darknet's library alone is refused by name" 1 'elu\.cfg:[0-9]+: layer [0-9]+: \[[a-z]+\] activation=elu of this shape is left to Darknet' \
    "$T/classify" "$data" "$T/elu.cfg" "$W/soft.weights" "$first"
error_case "a bad cfg" 1 'odd\.cfg:[0-9]+: .*sogtmax' "$T/classify" "$data" "$T/odd.cfg" "$W/soft.weights" "$first"
error_case "weights without their end" 1 'short\.weights: ' "$T/classify" "$data" "$T/soft.cfg" "$T/short.weights" "$first"
sed 's,^labels=.*,labels=none/labels,' "$data" >"$T/lost.data"
error_case "labels that a data file names" 1 'lost\.data:[0-9]+: labels=.*none/labels: cannot open' \
    "$T/classify" "$T/lost.data" "$T/soft.cfg" "$W/soft.weights" "$first"
error_case "no data file" 1 'none\.data: ' "$T/classify" "$T/none.data" "$T/soft.cfg" "$W/soft.weights" "$first"

begin "it exports nothing but its functions, under its name"
run nm -D --defined-only "$LIB/libdarknet_sat.so.1"
expect_status 0
grep -v ' darknet_sat_[a-z_]*@@DARKNET_SAT_1$' "$T/out" | grep -vq ' A DARKNET_SAT_1$' && show out
run readelf -d "$LIB/libdarknet_sat.so.1"
expect_out 'soname: \[libdarknet_sat\.so\.1\]'
end

$COMPILE -o "$T/api" tests/cli/api.c -L"$LIB" -ldarknet_sat -lm -Wl,-rpath,"$(realpath "$LIB")" || failures=$((failures + 1))
run "$T/api" "$T/classes.cfg" "$W/classes.weights" "$T/elu.cfg" "$first"
cat "$T/out"
[ "$status" -eq 0 ] || { failures=$((failures + 1)); sed 's/^/# /' "$T/err"; }

PYTHON=/usr/bin/python3
export PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=python LD_LIBRARY_PATH="$LIB"
if [ -n "${SANITIZER:-}" ]; then
    skip "the Python module" "a sanitizer's runtime must come first"
else
    begin "examples/classify.py prints what examples/classify.c does"
    run "$T/classify" "$data" "$T/classes.cfg" "$W/classes.weights" $images "$T/bad.png"
    mv "$T/out" "$T/expected"
    run $PYTHON examples/classify.py "$data" "$T/classes.cfg" "$W/classes.weights" $images "$T/bad.png"
    expect_status 0
    expect_quiet
    expect_same "$T/out" "$T/expected"
    end
    error_case "no weights, in Python" 1 'none\.weights' $PYTHON examples/classify.py "$data" "$T/classes.cfg" "$T/none.weights" "$first"
    run $PYTHON tests/cli/api.py "$data" "$T/classes.cfg" "$W/classes.weights" "$first"
    cat "$T/out"
    [ "$status" -eq 0 ] || { failures=$((failures + 1)); sed 's/^/# /' "$T/err"; }
fi
finish
