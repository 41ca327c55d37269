#!/bin/sh
# What more answers to an image are worth and what they cost: networks of one cfg and other seeds, trained on Fashion-MNIST; error, risk,
# AURC (and its difference to one answer, 95 % of a paired bootstrap) and images a second on the test images. `make data` first.
#   NETS=4 EPOCHS=40 CFG=cfg/fashion_sat.cfg DATA=cfg/fashion.data OUT=backup/views sh bench/views.sh
# Networks that are there already are not trained again.
set -eu
nets=${NETS:-4} epochs=${EPOCHS:-40} cfg=${CFG:-cfg/fashion_sat.cfg} data=${DATA:-cfg/fashion.data} out=${OUT:-backup/views}
mkdir -p "$out"
folder=$(dirname "$data")
# every list with its full path, test= as valid= too: `valid -profile` counts images a second of valid=
python3 - "$data" "$folder" "$out" <<'END' >"$out/views.data"
import os, sys
data, folder, out = sys.argv[1:]
for line in open(data):
    key, _, value = (w.strip() for w in line.partition("="))
    if key in ("train", "valid", "calib", "test", "labels", "names"):
        near = os.path.join(folder, value)
        value = os.path.abspath(near if os.path.exists(near) else value)
    if key and not key.startswith("#") and key != "backup":
        print("%s=%s" % (key, value))
print("backup=" + os.path.abspath(out))
END
sed 's/^valid=.*//; s/^test=/valid=/' "$out/views.data" >"$out/speed.data"
with=
for seed in $(seq "$nets"); do
    cp "$cfg" "$out/net$seed.cfg"
    [ -e "$out/net$seed.weights" ] || ./darknet classifier train "$out/views.data" "$out/net$seed.cfg" -epochs "$epochs" -seed "$seed" \
        >/dev/null 2>"$out/net$seed.log" || { cat "$out/net$seed.log" >&2; exit 1; }
done
# row NAME FLAGS…
row() {
    name=$1
    shift
    ./darknet classifier reject "$out/views.data" "$out/net1.cfg" "$out/net1.weights" "$@" -csv "$out/$name.csv" \
        -compare "$out/one.csv" -json "$out/$name.json" >/dev/null
    ./darknet classifier valid "$out/speed.data" "$out/net1.cfg" "$out/net1.weights" "$@" -profile >/dev/null 2>"$out/$name.time"
    python3 - "$out/$name" "$name" <<'END'
import json, sys
r = json.load(open(sys.argv[1] + ".json"))
speed = [l.split()[0] for l in open(sys.argv[1] + ".time") if l.endswith(" images/s\n")][-1]
at = {c["coverage"]: c["risk"] for c in r["risk_at_coverage"]}
c = r["compare"][0]
low, high = c["intervals"]["aurc"]
print("| %s | %.2f %% | %.2f %% | %.2f %% | %.6f | %+.6f [%+.6f, %+.6f] | %.4f | %s |" % (
    sys.argv[2].replace("_", " "), 100 * (1 - r["accuracy"]), 100 * at[.9], 100 * at[.8], r["aurc"], c["difference"]["aurc"], low, high,
    r["nll"], speed))
END
}
./darknet classifier reject "$out/views.data" "$out/net1.cfg" "$out/net1.weights" -csv "$out/one.csv" >/dev/null
grep -m1 'model name' /proc/cpuinfo | sed 's/.*: //'
echo "| answers | error | risk at 90 % | at 80 % | AURC | difference | NLL | images/s |"
echo "|---|--:|--:|--:|--:|--:|--:|--:|"
row one_answer
for views in 2 5 6 10; do
    row "-views_$views" -views $views
done
for seed in $(seq 2 "$nets"); do
    with="$with -with $out/net$seed.cfg $out/net$seed.weights"
    row "${seed}_networks" $with
done
[ "$nets" -lt 2 ] || row "${nets}_networks,_-views_2" $with -views 2
