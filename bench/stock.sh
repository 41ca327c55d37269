#!/bin/sh
# Training speed against stock Darknet: the network of cfg/cifar_small_sat.cfg with [softmax], batch 128, on Fashion-MNIST's images as
# 32 x 32 x 3, both programs in turn. Prints images a second of each and the ratio of the medians. `make data` first.
set -eu
rounds=${ROUNDS:-3} batches=${BATCHES:-4}
out=${OUT:-backup/stock}
mkdir -p "$out"
sed "s#^#$PWD/data/fashion/#" data/fashion/train.list | head -n 4096 >"$out/train.list"
printf 'classes=10\ntrain=%s\nlabels=%s\nbackup=%s\n' "$out/train.list" data/fashion/labels "$out" >"$out/stock.data"
printf 'train=%s\nlabels=%s\nlabels_from=directory\nbackup=%s\n' "$out/train.list" data/fashion/labels "$out" >"$out/ours.data"
sed -e '/^\[reject\]/,$d' -e '/^\[sat\]/,$d' -e 's/^filters=11/filters=10/' -e "s/^max_batches=.*/max_batches=$batches/" cfg/cifar_small_sat.cfg |
    grep -vE '^(flip|precision)' >"$out/small.cfg"
printf '[softmax]\n' >>"$out/small.cfg"
speed() { # seconds of each batch but the first -> images a second
    grep -oE '[0-9.]+ seconds, [0-9]+ images' | tail -n +2 | awk '{ s += $1; n++ } END { print 128 * n / s }'
}
for i in $(seq "$rounds"); do
    ./darknet classifier train "$out/ours.data" "$out/small.cfg" 2>/dev/null | speed >>"$out/ours.$$"
    /usr/bin/darknet classifier train "$out/stock.data" "$out/small.cfg" 2>/dev/null | speed >>"$out/theirs.$$"
done
median() { sort -g "$1" | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }
ours=$(median "$out/ours.$$") theirs=$(median "$out/theirs.$$")
rm -f "$out/ours.$$" "$out/theirs.$$"
grep -m1 'model name' /proc/cpuinfo | sed 's/.*: //'
echo "ours $ours images/s, stock $theirs images/s, ratio $(awk "BEGIN { print $ours / $theirs }")"
