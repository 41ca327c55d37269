#!/bin/sh
# What bfloat16 costs in accuracy: networks of one cfg, trained and asked in f32 and in bf16 with the same seeds on Fashion-MNIST; error and
# AURC on the test images, and the difference of each pair with 95 % of a paired bootstrap. `make data` first; needs AMX.
#   SEEDS=3 EPOCHS=40 CFG=cfg/fashion_sat.cfg DATA=cfg/fashion.data OUT=backup/precision THREADS=2 sh bench/precision.sh
# Networks that are there already are not trained again.
set -eu
seeds=${SEEDS:-3} epochs=${EPOCHS:-40} cfg=${CFG:-cfg/fashion_sat.cfg} data=${DATA:-cfg/fashion.data} out=${OUT:-backup/precision} threads=${THREADS:-2}
mkdir -p "$out"
# the same lists, another backup=
folder=$(cd "$(dirname "$data")" && pwd)
sed -E "s#^(train|valid|calib|test|labels|names) *= *([^/].*)#\1=$folder/\2#; s#^backup *=.*#backup=$out#" "$data" >"$out/precision.data"
for seed in $(seq "$seeds"); do
    for precision in f32 bf16; do
        net=$out/$precision-$seed
        sed '/^precision *=/d' "$cfg" >"$net.cfg"
        [ -e "$net.weights" ] || ./darknet classifier train "$out/precision.data" "$net.cfg" -epochs "$epochs" -seed "$seed" \
            -precision $precision -threads "$threads" >/dev/null 2>"$net.log" || { cat "$net.log" >&2; exit 1; }
        compare=
        [ $precision = f32 ] || compare="-compare $out/f32-$seed.csv"
        ./darknet classifier reject "$out/precision.data" "$net.cfg" "$net.weights" -precision $precision -threads "$threads" \
            -csv "$net.csv" -json "$net.json" $compare >/dev/null
    done
done
python3 - "$out" "$seeds" <<'END'
import json, statistics, sys
out, seeds = sys.argv[1], int(sys.argv[2])
print("| seed | error f32 | bf16 | AURC f32 | bf16 | difference of AURC |\n|---|--:|--:|--:|--:|--:|")
errors = {"f32": [], "bf16": []}
for seed in range(1, seeds + 1):
    a, b = (json.load(open("%s/%s-%d.json" % (out, p, seed))) for p in ("f32", "bf16"))
    for name, r in (("f32", a), ("bf16", b)):
        errors[name].append(100 * (1 - r["accuracy"]))
    c = b["compare"][0]
    print("| %d | %.2f %% | %.2f %% | %.6f | %.6f | %+.6f [%+.6f, %+.6f] |" % (
        seed, errors["f32"][-1], errors["bf16"][-1], a["aurc"], b["aurc"], c["difference"]["aurc"], *c["intervals"]["aurc"]))
print("| mean | %.2f %% | %.2f %% | | | |" % (statistics.mean(errors["f32"]), statistics.mean(errors["bf16"])))
END
