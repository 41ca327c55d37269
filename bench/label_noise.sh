#!/bin/sh
# Wrong labels: 4,000 training images of Fashion-MNIST, 40 % of their labels replaced by another class, 80 epochs without augmentation;
# softmax, and [sat] target=ema with a warm-up of 4 and of 32 epochs. Prints test error and AURC of the last weights. `make data` first.
set -eu
out=${OUT:-backup/label_noise}
mkdir -p "$out"
python3 - "$out" <<'END'
import random, sys
rng = random.Random(1)
labels = [l.rstrip("\n") for l in open("data/fashion/labels")]
lines = [l.rstrip("\n") for l in open("data/fashion/train.list")]
with open(sys.argv[1] + "/train.list", "w") as f:
    for path in rng.sample(lines, 4000):
        label = path.split("/")[-2]
        if rng.random() < 0.4:
            label = rng.choice([l for l in labels if l != label])
        f.write("data/fashion/%s\t%s\n" % (path, label))
with open(sys.argv[1] + "/test.list", "w") as f:
    for l in open("data/fashion/test.list"):
        f.write("data/fashion/%s\t%s\n" % (l.rstrip("\n"), l.split("/")[-2]))
END
cat >"$out/noise.data" <<END
train=$out/train.list
test=$out/test.list
valid=$out/test.list
labels=data/fashion/labels
labels_from=list
backup=$out
END
body='[convolutional]
batch_normalize=1
filters=16
size=3
pad=1
activation=leaky

[maxpool]
size=2
stride=2

[convolutional]
batch_normalize=1
filters=32
size=3
pad=1
activation=leaky

[maxpool]
size=2
stride=2

[convolutional]
batch_normalize=1
filters=64
size=3
pad=1
activation=leaky

[maxpool]
size=2
stride=2
padding=0

[connected]
output=10
activation=linear'
head='[net]
batch=100
height=28
width=28
channels=1
min_crop=28
max_crop=28
flip=0
learning_rate=0.1
policy=poly
power=1
momentum=0.9
decay=0.0005'
for run in softmax ema_warmup4 ema_warmup32; do
    case $run in
    softmax) end='[softmax]' ;;
    *) end="[sat]
target=ema
warmup_epochs=${run#ema_warmup}" ;;
    esac
    printf '%s\n\n%s\n\n%s\n' "$head" "$body" "$end" >"$out/$run.cfg"
    ./darknet classifier train "$out/noise.data" "$out/$run.cfg" -epochs 80 >/dev/null 2>"$out/$run.log"
    ./darknet classifier reject "$out/noise.data" "$out/$run.cfg" "$out/$run.weights" -json "$out/$run.json" >/dev/null
    python3 -c 'import json, sys
r = json.load(open(sys.argv[1]))
print("%-14s test error %.1f %%  AURC %.4f" % (sys.argv[2], 100 * (1 - r["accuracy"]), r["aurc"]))' "$out/$run.json" "$run"
done
