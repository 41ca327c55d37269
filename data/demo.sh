#!/bin/sh
# The demo: train two small networks on Fashion-MNIST, [sat] and plain [softmax], compare what they reject, one picture that
# is accepted and one that is not, then a threshold that keeps a promise, and a report.
set -eu
epochs=${EPOCHS:-5}
say() { printf '\n== %s\n' "$*"; }
out=backup/demo
mkdir -p "$out"
sed "s#^backup=.*#backup=$out#" cfg/fashion.data >"$out/demo.data"
sed -i "s#\.\./data/fashion#data/fashion#" "$out/demo.data"

for kind in softmax sat; do
    say "training cfg/fashion_$kind.cfg for $epochs epochs of 48,000 images: ./darknet classifier train"
    ./darknet classifier train "$out/demo.data" "cfg/fashion_$kind.cfg" -epochs "$epochs" -exist-ok >"$out/$kind.log"
    tail -n 3 "$out/$kind.log"
done
best=$out/fashion_sat_best.weights
say "./darknet classifier valid (2,000 images)"
./darknet classifier valid "$out/demo.data" cfg/fashion_sat.cfg "$best"
say "plain softmax: ./darknet classifier reject (10,000 test images)"
./darknet classifier reject "$out/demo.data" cfg/fashion_softmax.cfg "$out/fashion_softmax_best.weights"
say "[sat]: ./darknet classifier reject -coverage 0.8 (10,000 test images)"
./darknet classifier reject "$out/demo.data" cfg/fashion_sat.cfg "$best" -coverage 0.8 -csv "$out/predictions.csv" \
    -json "$out/report.json"
threshold=$(python3 -c 'import json, sys; print(repr(json.load(open(sys.argv[1]))["threshold"]))' "$out/report.json")
accepted=$(awk -F, 'NR > 1 && $5 == 1 { print $1; exit }' "$out/predictions.csv")
rejected=$(awk -F, 'NR > 1 && $5 == 0 { print $1; exit }' "$out/predictions.csv")
say "two images: ./darknet classifier predict -threshold $threshold"
./darknet classifier predict "$out/demo.data" cfg/fashion_sat.cfg "$best" "$accepted" "$rejected" -threshold "$threshold"
calibrated=$out/fashion_sat_calibrated.cfg
say "a threshold with a guarantee, found on 10,000 other images: ./darknet classifier calibrate -risk 0.02 -delta 0.001"
./darknet classifier calibrate "$out/demo.data" cfg/fashion_sat.cfg "$best" -risk 0.02 -delta 0.001 -out "$calibrated"
say "does it hold on the test images? ./darknet classifier reject ... -report"
./darknet classifier reject "$out/demo.data" "$calibrated" "$best" -report "$out/report" | sed -n '/^threshold/,/^selective/p'
photograph=/usr/share/darknet/data/horses.jpg
known=$out/fashion_sat_known.cfg
say "a photograph of horses, and no class for it: ./darknet classifier predict"
./darknet classifier predict "$out/demo.data" "$calibrated" "$best" "$photograph" -top 2
say "the same after ./darknet classifier calibrate -risk 0.02 -delta 0.001 -novelty 0.01"
./darknet classifier calibrate "$out/demo.data" cfg/fashion_sat.cfg "$best" -risk 0.02 -delta 0.001 -novelty 0.01 -out "$known"
./darknet classifier predict "$out/demo.data" "$known" "$best" "$photograph" -top 2
say "the report, for a browser: $PWD/$out/report/report.html"
