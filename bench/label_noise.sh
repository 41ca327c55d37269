#!/bin/sh
# Wrong labels: [softmax], [sat] target=ema with fixed warm-ups and warmup_epochs=auto, and how well `classifier audit` finds them.
# `make data` first. Prints and keeps in $OUT/table.csv a line a run (the variables, rate, seed, run, test error in %, AURC, AUROC of the audit,
# epochs of the warm-up); what stands there is not run again. bench/label_noise.md has results.
#   IMAGES=2000 HELD=250 EPOCHS=40 BATCH=25 SHIFT=0 RATES="0 0.2 0.4 0.6" SEEDS=1 RUNS="softmax auto 2 4 8 16 32" sh bench/label_noise.sh
# IMAGES train, HELD others with labels as wrong as theirs are valid=; SHIFT: pixels of augmentation. Each run takes about a minute on one core.
set -eu
OUT=${OUT:-backup/label_noise} IMAGES=${IMAGES:-2000} HELD=${HELD:-250} EPOCHS=${EPOCHS:-40} BATCH=${BATCH:-25} SHIFT=${SHIFT:-0}
RATES=${RATES:-0 0.2 0.4 0.6} SEEDS=${SEEDS:-1} RUNS=${RUNS:-softmax auto 2 4 8 16 32} D=${DARKNET:-./darknet} DATA=${DATA:-data/fashion}

# lists FOLDER RATE SEED
lists() {
    python3 - "$@" "$IMAGES" "$HELD" "$DATA" <<'END'
import os, random, sys
out, rate, seed, images, held, data = sys.argv[1:]
labels = open(data + "/labels").read().splitlines()
lines = open(data + "/train.list").read().splitlines()
rng = random.Random(int(seed) * 1000 + 7)
noisy, truth = [], []
for line in rng.sample(lines, int(images) + int(held)):
    label = line.split("/")[-2]
    path = os.path.abspath(os.path.join(data, line))
    truth.append("%s\t%s\n" % (path, label))
    if rng.random() < float(rate):
        label = rng.choice([l for l in labels if l != label])
    noisy.append("%s\t%s\n" % (path, label))
test = ["%s\t%s\n" % (os.path.abspath(os.path.join(data, l)), l.split("/")[-2]) for l in open(data + "/test.list").read().splitlines()]
for name, rows in ("train", noisy[:int(images)]), ("valid", noisy[int(images):]), ("truth", truth), ("test", test):
    open("%s/%s.list" % (out, name), "w").writelines(rows)
open(out + "/noise.data", "w").write("train=train.list\nvalid=valid.list\ntest=test.list\nlabels=%s/labels\nlabels_from=list\nbackup=%s\n"
                                     % (os.path.abspath(data), out))
END
}

# network RUN
network() {
    printf '[net]\nbatch=%s\nheight=28\nwidth=28\nchannels=1\nmin_crop=28\nmax_crop=%s\nflip=0\n' "$BATCH" $((28 + SHIFT))
    printf 'learning_rate=0.1\npolicy=poly\npower=1\nmomentum=0.9\ndecay=0.0005\n'
    for filters in 16 32 64; do
        printf '\n[convolutional]\nbatch_normalize=1\nfilters=%s\nsize=3\npad=1\nactivation=leaky\n\n[maxpool]\nsize=2\nstride=2\n' $filters
    done
    printf 'padding=0\n\n[connected]\noutput=10\nactivation=linear\n\n'
    case $1 in
    softmax) echo '[softmax]' ;;
    *) printf '[sat]\ntarget=ema\nwarmup_epochs=%s\n' "$1" ;;
    esac
}

mkdir -p "$OUT"
for seed in $SEEDS; do
    for rate in $RATES; do
        folder=$OUT/$IMAGES-$EPOCHS-$BATCH-$SHIFT-$rate-$seed
        mkdir -p "$folder"
        [ -s "$folder/noise.data" ] || lists "$folder" "$rate" "$seed"
        for run in $RUNS; do
            line=$IMAGES,$EPOCHS,$BATCH,$SHIFT,$rate,$seed,$run
            grep -qs "^$line," "$OUT/table.csv" && continue
            network "$run" >"$folder/$run.cfg"
            "$D" classifier train "$folder/noise.data" "$folder/$run.cfg" -epochs "$EPOCHS" -seed "$seed" -threads 1 -loaders 1 -name "$run" -exist-ok \
                >/dev/null 2>"$folder/$run.log"
            "$D" classifier reject "$folder/noise.data" "$folder/$run.cfg" "$folder/$run/$run.weights" -threads 1 -loaders 1 -json "$folder/$run.json" >/dev/null
            auroc=$("$D" classifier audit "$folder/noise.data" "$folder/$run.cfg" "$folder/$run/$run.ckpt" -truth "$folder/truth.list" | sed -n 's/^AUROC *//p')
            end=$(awk -F , '$4 == "on" { n++ } END { print n + 0 }' "$folder/$run/${run}_results.csv")
            python3 -c 'import json, sys
r = json.load(open(sys.argv[1]))
print("%s,%.2f,%.4f,%s,%s" % (sys.argv[2], 100 * (1 - r["accuracy"]), r["aurc"], sys.argv[3], sys.argv[4]))' \
                "$folder/$run.json" "$line" "$auroc" "$end" | tee -a "$OUT/table.csv"
        done
    done
done
