#!/bin/sh
# Bad input: every file argument missing, empty, binary or a folder; every kind of mistake in cfg, .data, lists and weights.
# Each ends with status 1 and a message, and writes nothing.
. tests/cli/lib.sh

SAT='[sat]\ntarget=abstain\nmomentum=0.9\nwarmup_epochs=1\nclasses=3\n'
REJECT='[reject]\nconfidence=msp\nthreshold=0.5\n'

tiny_idx "$T/idx"
I=$(dirname "$tiny_data")
sed '/^ *backup/d' "$tiny_data" >"$I/good.data"
echo "backup=$T/backup" >>"$I/good.data"
good_data=$I/good.data
tiny_cfg "$T/good.cfg" 1 3 "$SAT" "$REJECT"
good_cfg=$T/good.cfg
"$D" classifier train "$good_data" "$good_cfg" -epochs 2 >"$T/out" 2>"$T/err" </dev/null || {
    echo "not ok training of the network to break"
    sed 's/^/# /' "$T/err"
    exit 1
}
good_weights=$T/backup/good.weights
good_image=$(find "$T/idx" -name '*.png' | sort | head -n 1)

# What must stay as it is whatever goes wrong.
state() {
    (cd "$T" && find backup idx -type f -exec cksum {} + | grep -v 'idx/broken' | sort)
}
state >"$T/state.before"

: >"$T/empty"
mkdir "$T/folder"
head -c 3000 "$D" >"$T/binary"

# ---- files that are none ----

for bad in missing empty binary folder; do
    for command in train valid reject; do
        error_case "$command: $bad data" 1 "/$bad" "$D" classifier $command "$T/$bad" "$good_cfg" "$good_weights"
        error_case "$command: $bad cfg" 1 "/$bad" "$D" classifier $command "$good_data" "$T/$bad" "$good_weights"
        error_case "$command: $bad weights" 1 "/$bad" "$D" classifier $command "$good_data" "$good_cfg" "$T/$bad"
    done
    error_case "predict: $bad weights" 1 "/$bad" "$D" classifier predict "$good_data" "$good_cfg" "$T/$bad" "$good_image"
    error_case "predict: $bad image" 1 "/$bad" "$D" classifier predict "$good_data" "$good_cfg" "$good_weights" "$T/$bad"
done

# ---- weights ----

cat "$good_weights" "$T/binary" >"$T/long.weights"
head -c -4 "$good_weights" >"$T/short.weights"
head -c 10 "$good_weights" >"$T/header.weights"
head -c 436 "$good_weights" >"$T/border.weights" # the first convolution and nothing else
size=$(wc -c <"$good_weights")
error_case "weights too long" 1 "long\.weights.*$size" "$D" classifier valid "$good_data" "$good_cfg" "$T/long.weights"
error_case "weights too short" 1 "short\.weights.*$((size - 4))" "$D" classifier valid "$good_data" "$good_cfg" "$T/short.weights"
error_case "weights that end in their header" 1 'header\.weights' "$D" classifier valid "$good_data" "$good_cfg" "$T/header.weights"
error_case "weights of the first layers only" 1 'border\.weights' "$D" classifier reject "$good_data" "$good_cfg" "$T/border.weights"
error_case "training from weights too long" 1 'long\.weights' "$D" classifier train "$good_data" "$good_cfg" "$T/long.weights"

# ---- cfg: name|pattern of the message|sed script that breaks the good one ----

while IFS='|' read -r what pattern script; do
    sed "$script" "$good_cfg" >"$T/broken.cfg"
    if cmp -s "$good_cfg" "$T/broken.cfg"; then
        echo "not ok $what: the script changes nothing"
        failures=$((failures + 1))
    fi
    error_case "cfg: $what" 1 "broken\.cfg:[0-9]+: .*$pattern" "$D" classifier train "$good_data" "$T/broken.cfg" -epochs 2
done <<'END'
unknown section|maxpool|s/^\[maxpool\]/[maxpol]/
unknown section of ours|sat|s/^\[sat\]/[saat]/
no [net]|net|1,/^$/d
unknown key|filters|s/^filters=/filtres=/
unknown key of [net]|learning_rate|s/^learning_rate=/learning_rat=/
unknown key of [sat]|momentum|/^target/,$s/^momentum=/momentun=/
duplicate key|duplicate key|s/^filters=8/filters=8\nfilters=8/
number that is none|filters|s/^filters=8/filters=8x/
number out of range|filters|s/^filters=8/filters=-8/
number that overflows|filters|s/^filters=8/filters=99999999999999999999/
unknown activation|leaky|s/^activation=leaky/activation=leeky/
unknown policy|constant|s/^policy=constant/policy=constnt/
unknown target|abstain|s/^target=abstain/target=abstian/
key of another target|alpha_end|s/^target=abstain/target=abstain\nalpha_end=0.5/
momentum out of range|momentum|/^target/,$s/^momentum=.*/momentum=1.5/
unknown score|msp|s/^confidence=msp/confidence=mps/
threshold of a probability out of range|threshold|s/^threshold=.*/threshold=50/
class_weights of another length|for each of 3 classes|s/^classes=3/class_weights=1,2/
unknown sampling|balanced|s/^decay=.*/&\nsampling=even/
key of another average|average=swa|s/^decay=.*/&\naverage=ema\naverage_rate=0.1/
mixed images and their history|mixup=1: the loss of \[sat\] in line|s/^decay=.*/&\nmixup=1/
mixed images in two ways|mixup=1 and mixup=1|s/^decay=.*/&\nmixup=1\nregmixup=1/
mixed images, one at a time|batch=2 or more|s/^batch=.*/batch=1/;s/^subdivisions=.*//;s/^decay=.*/&\nregmixup=1/
parts of images that are not mixed|mixup_alpha=2, expected|s/^decay=.*/&\nmixup_alpha=2/
parts of images out of range|mixup_alpha|s/^decay=.*/&\nregmixup=1\nmixup_alpha=0/
hidden square as large as the image|cutout=8|s/^decay=.*/&\ncutout=8/
batch not a multiple of subdivisions|subdivisions|s/^subdivisions=2/subdivisions=3/
classes unlike the outputs|classes|s/^classes=3/classes=4/
outputs unlike the labels|classes|s/^output=4/output=6/;s/^classes=3//
reference to a layer that is not there|layers?|s/^\[maxpool\]/[route]\nlayers=-9\n\n&/
reference to a layer that comes later|layers?|s/^\[maxpool\]/[route]\nlayers=7\n\n&/
window beyond measure|too large|s/^size=2/size=2147483647/
kernel beyond measure|too large|s/^size=3/size=9001/
batch beyond measure|batch=2147483647 images|s/^batch=16/batch=2147483647/;s/^subdivisions=2/subdivisions=2147483647/
shapes that do not fit|8 x 8|s/^\[connected\]/[route]\nlayers=-1,0\n\n&/
[cost] after [sat]|cost|s/^\[reject\]/[cost]\n\n&/
[reject] without a cost section|reject|/^\[sat\]/,/^$/d
line that is neither section nor key|size|s/^size=3/size 3/
key before the first section|net|1s/^/x=1\n/
END

error_case "cfg without a cost section" 1 'broken\.cfg' \
    sh -c 'sed "/^\[sat\]/,\$d" "$1" >"$2"; exec "$3" classifier train "$4" "$2" -epochs 2' sh \
    "$good_cfg" "$T/broken.cfg" "$D" "$good_data"
error_case "max_batches missing" 1 'max_batches' \
    sh -c 'sed "/^max_batches/d" "$1" >"$2"; exec "$3" classifier train "$4" "$2"' sh \
    "$good_cfg" "$T/broken.cfg" "$D" "$good_data"
error_case "max_batches=0" 1 'max_batches' \
    sh -c 'sed "s/^max_batches=.*/max_batches=0/" "$1" >"$2"; exec "$3" classifier train "$4" "$2"' sh \
    "$good_cfg" "$T/broken.cfg" "$D" "$good_data"
for line in mosaic=1 policy=sgdr '[sam]'; do
    error_case "of AlexeyAB's fork: $line" 1 "$(printf %s "$line" | tr '[]' '..') is of AlexeyAB's fork" \
        sh -c 'sed "/^policy=/d; s/^\[net\]/&\n$1/" "$2" >"$3"; exec "$4" classifier train "$5" "$3"' sh \
        "$line" "$good_cfg" "$T/broken.cfg" "$D" "$good_data"
done
error_case "total epochs within the warm-up" 1 'warmup_epochs' \
    sh -c 'sed "s/^max_batches=.*/max_batches=1/" "$1" >"$2"; exec "$3" classifier train "$4" "$2"' sh \
    "$good_cfg" "$T/broken.cfg" "$D" "$good_data"

if [ "$(id -u)" -eq 0 ] && unshare -m true 2>/dev/null; then
    error_case "without the package darknet" 1 "package '?darknet" \
        unshare -m sh -c 'mount -t tmpfs tmpfs /usr/lib/darknet && exec "$@"' sh \
        "$D" classifier valid "$good_data" "$good_cfg" "$good_weights" -backend host
else
    skip "without the package darknet" "needs root and unshare"
fi

# ---- .data files ----

printf '0\n1\n2\n' >"$T/three.labels"
printf '0\n1\n1\n' >"$T/twice.labels"
printf '0\n1\n' >"$T/two.labels"
while IFS='|' read -r what pattern script; do
    sed "$(printf '%s\n' "$script" | sed "s,@,$T,g")" "$good_data" >"$I/broken.data"
    if cmp -s "$good_data" "$I/broken.data"; then
        echo "not ok $what: the script changes nothing"
        failures=$((failures + 1))
    fi
    error_case "data: $what" 1 "$pattern" "$D" classifier train "$I/broken.data" "$good_cfg" -epochs 2
done <<'END'
unknown key|broken\.data:[0-9]+: .*labels_from|s/^ *labels_from *=/labels_form=/
duplicate key|broken\.data:[0-9]+: .*duplicate key|$s/$/\ntrain=x/
unknown rule for labels|broken\.data:[0-9]+: .*directory|s/^ *labels_from *=.*/labels_from=directry/
no train=|train|/^ *train *=/d
missing list|/missing|s,^ *train *=.*,train=@/missing,
empty list|/empty|s,^ *train *=.*,train=@/empty,
binary list|/binary|s,^ *train *=.*,train=@/binary,
folder as list|/folder|s,^ *train *=.*,train=@/folder,
missing list of valid=|/missing|s,^ *valid *=.*,valid=@/missing,
missing labels|/missing|s,^ *labels *=.*,labels=@/missing,
empty labels|/empty|s,^ *labels *=.*,labels=@/empty,
folder as labels|/folder|s,^ *labels *=.*,labels=@/folder,
label twice|twice\.labels|s,^ *labels *=.*,labels=@/twice.labels,
fewer labels than classes|classes|s,^ *labels *=.*,labels=@/two.labels,;s/^ *classes *=.*/classes=3/
backup below a file|/binary|s,^ *backup *=.*,backup=@/binary/backup,
backup is a file|/binary|s,^ *backup *=.*,backup=@/binary,
END

# ---- images ----

mkdir "$T/images"
printf 'alpha\nbeta\nalphabet\n' >"$T/substring.labels"
for name in x_alpha x_beta x_gamma x_alpha_beta; do
    cp "$good_image" "$T/images/$name.png"
done
for name in x_gamma x_alpha_beta; do
    printf '%s\n' "$T/images/x_beta.png" "$T/images/$name.png" >"$T/$name.list"
    printf 'train=%s\nlabels=%s\nbackup=%s\n' "$T/$name.list" "$T/substring.labels" "$T/backup" >"$T/$name.data"
done
error_case "image without a label" 1 'x_gamma\.list:2: .*x_gamma\.png' \
    "$D" classifier train "$T/x_gamma.data" "$good_cfg" -epochs 2
error_case "image with two labels" 1 'x_alpha_beta\.list:2: .*alpha.*beta' \
    "$D" classifier train "$T/x_alpha_beta.data" "$good_cfg" -epochs 2

list=$(sed -n 's/^ *train *= *//p' "$good_data")
[ -e "$list" ] || list=$I/$list
mkdir -p "$T/bad/0" "$T/bad/1"
cp "$T/empty" "$T/bad/0/first.png"
head -c 60 "$good_image" >"$T/bad/1/second.png"
sed '/^ *train *=/d' "$good_data" >"$I/broken.data"
echo "train=$I/broken.list" >>"$I/broken.data"
{
    cat "$list"
    printf '%s\n' "$T/bad/0/first.png" "$T/bad/1/second.png"
} >"$I/broken.list"

begin "undecodable images: all of them are named before the first step"
run "$D" classifier train "$I/broken.data" "$good_cfg" -epochs 2
expect_status 1
expect_err '^error: '
cat "$T/out" "$T/err" >"$T/both"
for name in first second; do
    grep -q "$name\.png" "$T/both" || complain "$name.png is not named"
done
! grep -q ' avg, ' "$T/out" || complain "a batch was trained"
end

begin "nothing was overwritten by all of this"
state >"$T/state.after"
expect_same "$T/state.before" "$T/state.after"
end

begin "-skip-bad trains without them and says how many"
run "$D" classifier train "$I/broken.data" "$good_cfg" -epochs 2 -skip-bad
expect_status 0
cat "$T/out" "$T/err" >"$T/both"
grep -q '2 .*image' "$T/both" || complain "their number is not told"
end

# ---- import ----

head -c 100 "$T/idx.archives/train-images" >"$T/cut-images"
for bad in missing empty binary folder cut-images; do
    error_case "import: $bad images" 1 "/$bad" \
        "$D" classifier import idx "$T/$bad" "$T/idx.archives/train-labels" -out "$T/imported"
done
for bad in missing empty binary folder; do
    error_case "import: $bad labels" 1 "/$bad" \
        "$D" classifier import idx "$T/idx.archives/train-images" "$T/$bad" -out "$T/imported"
done
error_case "import: labels of other images" 1 'test-labels' \
    "$D" classifier import idx "$T/idx.archives/train-images" "$T/idx.archives/test-labels" -out "$T/imported"
error_case "import: folders that are not there" 1 "/missing" \
    "$D" classifier import folders "$T/missing" -out "$T/imported"

# ---- results never replace what they were made from ----

cp "$good_weights" "$T/in.weights"
ln "$T/in.weights" "$T/hard.weights"
printf 'label,prediction,confidence\na,a,0.5\n' >"$T/in.csv"
kept=$(cd "$T" && cksum in.weights in.csv good.cfg "$good_data" "$I"/*.list "$I"/labels)
for flag in -csv -json; do
    for target in "$T/in.weights" "$T/./in.weights" "$T/hard.weights" "$good_cfg" "$good_data" "$I/test.list" "$I/labels"; do
        error_case "reject $flag on its own input $(basename "$target")" 2 "$flag .* would overwrite" \
            "$D" classifier reject "$good_data" "$good_cfg" "$T/in.weights" $flag "$target"
    done
done
tested=$I/$(sed -n 1p "$I/test.list")
trained=$I/$(sed -n 1p "$I/train.list")
ln -s "$tested" "$T/soft.csv"
ln "$tested" "$T/hard.csv"
ln -s "$trained" "$T/soft2.csv"
mkdir "$T/reported"
ln "$tested" "$T/reported/histogram.png"
image_sum=$(cat "$tested" "$trained" | cksum)
for target in "$tested" "$T/soft.csv" "$T/hard.csv" "$trained" "$T/soft2.csv"; do
    for flag in -csv -json; do
        error_case "reject $flag on the image $(basename "$target")" 2 "$target:? would overwrite" \
            "$D" classifier reject "$good_data" "$good_cfg" "$T/in.weights" $flag "$target"
    done
done
error_case "reject -report on an image" 2 "-report .*histogram\\.png would overwrite .*, which it is made from" \
    "$D" classifier reject "$good_data" "$good_cfg" "$T/in.weights" -report "$T/reported"
printf 'path,label,prediction,confidence\n%s,a,a,0.5\n' "$tested" >"$T/paths.csv"
error_case "reject -from -json on an image of the CSV" 2 "would overwrite" "$D" classifier reject -from "$T/paths.csv" -json "$T/hard.csv"
error_case "a result among those of -report" 2 "expected two" \
    "$D" classifier reject -from "$T/paths.csv" -json "$T/reported/report.html" -report "$T/reported/."
begin "the images are as they were"
[ "$(cat "$tested" "$trained" | cksum)" = "$image_sum" ] || complain "other bytes"
end
error_case "reject -from -json on its own input" 2 "would overwrite" "$D" classifier reject -from "$T/in.csv" -json "$T/./in.csv"
error_case "one file under two names" 2 "expected two" \
    "$D" classifier reject "$good_data" "$good_cfg" "$T/in.weights" -json "$T/new" -csv "$T/./new"
begin "all of them are as they were"
[ "$kept" = "$(cd "$T" && cksum in.weights in.csv good.cfg "$good_data" "$I"/*.list "$I"/labels)" ] || complain "an input changed"
expect_no_file "$T/new"
end
begin "the same device twice is no harm"
run "$D" classifier reject "$good_data" "$good_cfg" "$T/in.weights" -json /dev/null -csv /dev/null
expect_status 0
end

# ---- what does not end, and what is too long ----

truncate -s 200G "$T/holes.png"
error_case "predict: a file of 200 GiB" 1 "/holes.png: has more than 2 GiB" \
    "$D" classifier predict "$good_data" "$good_cfg" "$good_weights" "$T/holes.png"
rm "$T/holes.png"

for command in "predict $good_data $good_cfg $good_weights /dev/zero" "valid $good_data $good_cfg /dev/zero" \
    "valid $good_data /dev/zero $good_weights" "reject -from /dev/zero"; do
    begin "endless: $command"
    # shellcheck disable=SC2086
    # a sanitizer's build needs all the addresses there are
    run sh -c '[ -n "${DARKNET:-}" ] || ulimit -v 6000000; exec timeout 60 "$@"' sh "$D" classifier $command
    expect_error 1 '/dev/zero:(1:)? .*expected'
    end
done

begin "a value of a megabyte: the message still says what was expected"
python3 -c 'print("[net]\nwidth=" + "9" * 1000000)' >"$T/long.cfg"
run "$D" classifier train "$good_data" "$T/long.cfg"
expect_error 1 'long\.cfg:2: width=9.*expected an integer'
[ "$(wc -c <"$T/err")" -lt 400 ] || complain "the message has $(wc -c <"$T/err") bytes"
end

finish
