#!/bin/sh
# What keys of [net] and of the cost section do to one small network: averages of weights, unequal classes. `make data` first.
# Prints and keeps in $OUT/table.csv a line a run (of the 10,000 test images); what stands there is not run again.
#   IMAGES=2000 RATIO=1 EPOCHS=40 SEEDS="1 2 3" RUNS="softmax average=ema average=swa" sh bench/variants.sh
# RATIO 20: the first five classes have 20 times fewer images than the others. A run is `softmax` or a key of [net], but class_weights is
# [softmax]'s. The weights are those of the end; one thread.
set -eu
OUT=${OUT:-backup/variants} IMAGES=${IMAGES:-2000} RATIO=${RATIO:-1} EPOCHS=${EPOCHS:-40} SEEDS=${SEEDS:-1 2 3}
RUNS=${RUNS:-softmax average=ema average=swa} D=${DARKNET:-./darknet} DATA=${DATA:-data/fashion}

# lists FOLDER SEED: IMAGES images, the classes alike or RATIO to 1
lists() {
    python3 - "$@" "$IMAGES" "$RATIO" "$DATA" <<'END'
import os, random, sys
out, seed, images, ratio, data = sys.argv[1:]
labels = open(data + "/labels").read().splitlines()
lines = open(data + "/train.list").read().splitlines()
random.Random(int(seed)).shuffle(lines)
most = int(images) * float(ratio) / (len(labels) // 2 * (1 + float(ratio)))
left = {l: round(most / float(ratio) if i < len(labels) // 2 else most) for i, l in enumerate(labels)}
train = []
for line in lines:
    label = line.split("/")[-2]
    if left[label] > 0:
        left[label] -= 1
        train.append(line)
row = lambda l: "%s\t%s\n" % (os.path.abspath(os.path.join(data, l)), l.split("/")[-2])
open(out + "/train.list", "w").writelines(map(row, train))
open(out + "/test.list", "w").writelines(map(row, open(data + "/test.list").read().splitlines()))
open(out + "/set.data", "w").write("train=train.list\ntest=test.list\nlabels=%s/labels\nlabels_from=list\nbackup=%s\n" % (os.path.abspath(data), out))
END
}

# network RUN
network() {
    printf '[net]\nbatch=25\nheight=28\nwidth=28\nchannels=1\nmin_crop=28\nmax_crop=30\nflip=1\n'
    printf 'learning_rate=0.1\npolicy=poly\npower=1\nmomentum=0.9\ndecay=0.0005\n'
    case $1 in softmax | class_weights=*) ;; *) echo "$1" ;; esac
    for filters in 16 32 64; do
        printf '\n[convolutional]\nbatch_normalize=1\nfilters=%s\nsize=3\npad=1\nactivation=leaky\n\n[maxpool]\nsize=2\nstride=2\n' $filters
    done
    printf 'padding=0\n\n[connected]\noutput=10\nactivation=linear\n\n[softmax]\n'
    case $1 in class_weights=*) echo "$1" ;; esac
}

mkdir -p "$OUT"
for seed in $SEEDS; do
    folder=$OUT/$IMAGES-$RATIO-$EPOCHS-$seed
    mkdir -p "$folder"
    [ -s "$folder/set.data" ] || lists "$folder" "$seed"
    for run in $RUNS; do
        grep -qs "^$IMAGES,$RATIO,$EPOCHS,$seed,$run," "$OUT/table.csv" && continue
        name=$(echo "$run" | tr = _)
        network "$run" >"$folder/$name.cfg"
        "$D" classifier train "$folder/set.data" "$folder/$name.cfg" -epochs "$EPOCHS" -seed "$seed" -threads 1 -loaders 1 -name "$name" -exist-ok >/dev/null 2>"$folder/$name.log"
        "$D" classifier reject "$folder/set.data" "$folder/$name.cfg" "$folder/$name/$name.weights" -threads 1 -loaders 1 -json "$folder/$name.json" >/dev/null
        python3 -c 'import json, sys
v = json.load(open(sys.argv[1]))
print(",".join(sys.argv[2:] + ["%.2f" % (100 - 100 * v["accuracy"]), "%.2f" % (100 - 100 * sum(c["accuracy"] for c in v["classes"][:5]) / 5),
                               "%.4f" % v["aurc"], "%.3f" % v["nll"]]))' "$folder/$name.json" "$IMAGES" "$RATIO" "$EPOCHS" "$seed" "$run" |
            tee -a "$OUT/table.csv"
    done
done
