#!/bin/sh
# Runs that were killed or stopped and go on: the same bits as without, one folder a run, what has changed in between.
. tests/cli/lib.sh

short_runs

tiny_idx "$T/idx"
I=$T/idx
data=$tiny_data

# after_batch N SIGNAL COMMAND…: sends a signal after N lines of batches. A shell's background jobs would ignore some.
after_batch() {
    python3 -c 'import signal, subprocess, sys
wanted, number = int(sys.argv[1]), getattr(signal, "SIG" + sys.argv[2])
def plain():
    for s in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(s, signal.SIG_DFL)
p = subprocess.Popen(sys.argv[3:], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=plain)
lines = 0
for line in p.stdout:
    lines += " avg" in line
    if lines == wanted:
        p.send_signal(number)
        lines += 1
sys.stderr.write(p.stderr.read())
sys.exit(p.wait() % 256)' "$@"
}

# The results without the speed.
results() {
    cut -d , -f 1-15 "$1" >"$2"
}

# The shape of an array of a checkpoint; "seen", "results": a counter. Any reader of safetensors would do.
checkpoint() {
    python3 -c 'import json, struct, sys
b = open(sys.argv[1], "rb").read()
n = struct.unpack("<Q", b[:8])[0]
h = json.loads(b[8:8 + n])
assert all(isinstance(text, str) for text in h.pop("__metadata__").values())
end = 0
for name, t in h.items():
    size = int(t["dtype"][1:]) // 8
    for d in t["shape"]:
        size *= d
    assert t["data_offsets"] == [end, end + size], (name, t)
    end += size
assert end == len(b) - 8 - n and n % 8 == 0, (end, len(b), n)
counters = struct.unpack_from("<8Q", b, 8 + n + h["counters"]["data_offsets"][0])
key = sys.argv[2]
values = {"seen": counters[0], "results": counters[4]}
print(values[key] if key in values else "x".join(map(str, h[key]["shape"])))' "$1" "$2"
}

net=$T/net.cfg
tiny_cfg "$net" 1 3 '[sat]\ntarget=ema\nwarmup_epochs=1\n'
adam=$T/adam.cfg
adam_cfg "$net" >"$adam"

# ---- the same bits ----

for kind in blend ema abstain elr gambler selective adam average swa unequal mixup regmixup auto; do
    begin "killed and resumed, $kind: weights and results of a run that was never stopped"
    cfg=$T/$kind.cfg
    case $kind in
    adam) ;;
    average | swa)
        tiny_cfg "$cfg" 1 3 '[softmax]'
        sed "s/^decay=.*/&\naverage=${kind#aver}/;s/=age/=ema\nema_alpha=0.9/;s/=swa/&\naverage_from=0.3/" "$cfg" >"$T/cfg" && mv "$T/cfg" "$cfg"
        ;;
    unequal)
        tiny_cfg "$cfg" 1 3 '[softmax]\nclass_weights=1,2,0.5\n'
        sed 's/^decay=.*/&\nsampling=balanced/' "$cfg" >"$T/cfg" && mv "$T/cfg" "$cfg"
        ;;
    mixup)
        tiny_cfg "$cfg" 1 3 '[gambler]\nwarmup_epochs=1\n'
        sed 's/^decay=.*/&\nmixup=1\nmixup_alpha=0.5/' "$cfg" >"$T/cfg" && mv "$T/cfg" "$cfg"
        ;;
    regmixup) adam_cfg "$net" | sed 's/^decay=.*/&\nregmixup=1/' >"$cfg" ;; # with dropout and a history
    selective) tiny_cfg "$cfg" 1 3 '[selective]\n\n[reject]\nconfidence=abstain\n' ;;
    gambler) tiny_cfg "$cfg" 1 3 '[gambler]\nwarmup_epochs=1\n' ;;
    elr) tiny_cfg "$cfg" 1 3 '[sat]\ntarget=elr\n' ;;
    auto) tiny_cfg "$cfg" 1 3 '[sat]\ntarget=ema\n' ;;
    *) tiny_cfg "$cfg" 1 3 "[sat]\ntarget=$kind\nwarmup_epochs=1\n" ;;
    esac
    to $kind-whole
    to $kind
    [ $kind = auto ] && sed -i /^valid=/d "$I/auto.data" "$I/auto-whole.data"
    [ $kind = ema ] && by='-best aurc' || by=
    run "$D" classifier train "$I/$kind-whole.data" "$cfg" -epochs 5 -save-every 0 -seed 3 $by
    expect_status 0
    # 7.5 batches an epoch: in the first, which begins again, around the end of the second, in the fourth
    places='3:0 16:0.0001 12:0.0001'
    case $kind in elr | gambler | selective | average | unequal | mixup | regmixup) places=16:0.0001 ;; esac # each is in the checkpoint as the others are
    for place in $places; do
        run after_batch ${place%:*} KILL "$D" classifier train "$I/$kind.data" "$cfg" -epochs 5 -seed 3 -resume -save-every ${place#*:} $by
        [ "$status" -eq 247 ] || complain "status $status, expected to be killed"
    done
    run "$D" classifier train "$I/$kind.data" "$cfg" -resume
    expect_status 0
    expect_err '; going on after [1-9][0-9]* images'
    for file in $kind.weights ${kind}_best.weights $kind.backup $kind.ckpt; do # with the history of each image
        expect_same "$T/$kind/$file" "$T/$kind-whole/$file"
    done
    results "$T/$kind/${kind}_results.csv" "$T/1.csv"
    results "$T/$kind-whole/${kind}_results.csv" "$T/2.csv"
    expect_same "$T/1.csv" "$T/2.csv"
    [ "$(ls -d "$T/$kind/"*/)" = "$T/$kind/$kind-1/" ] || complain "other folders: $(ls "$T/$kind")"
    end
done

begin "a run that could not write its first checkpoint is the newest all the same"
tiny_cfg "$T/second.cfg" 1 3 '[softmax]\n'
to second
run "$D" classifier train "$I/second.data" "$T/second.cfg" -epochs 1
expect_status 0
run sh -c "ulimit -f 3; trap '' XFSZ; exec '$D' classifier train '$I/second.data' '$T/second.cfg' -epochs 1 -seed 7"
expect_status 1
expect_err '^error: .*second-2/.*cannot write'
run "$D" classifier train "$I/second.data" "$T/second.cfg" -epochs 1 -seed 7 -resume
expect_status 0
expect_err '^note: begins again in .*/second-2: '
expect_file "$T/second/second-2/second.weights"
rm -r "$T/second/second-1"
for flags in "-seed 3" -resume; do # the newest is not the one of the highest number
    run "$D" classifier train "$I/second.data" "$T/second.cfg" -epochs 1 $flags
    expect_status 0
done
expect_err '^note: .*/second-1: the run is complete'
end

begin "warmup_epochs=auto without valid=: a tenth of the images is kept out, told, and the end of the warm-up with it"
run "$D" classifier train "$I/auto.data" "$T/auto.cfg" -epochs 4
expect_status 0
expect_err '^note: .*auto\.data has no valid=: about a tenth of the 120 training images is kept out'
expect_err '^note: the warm-up is over after epoch 2, the latest in a run of [0-9]+: the nll of the images kept out has not said so'
expect_err '^epoch 2: .*; valid top-1 .*; warm-up$'
[ "$(cut -d , -f 4 "$T/auto/auto_results.csv" | tr '\n' ' ')" = 'warmup on on latest latest ' ] || show err
kept=$(sed -n 's/^\([0-9]*\) training images, \([0-9]*\) for validation.*/\1 + \2/p' "$T/err")
[ $((${kept% + *} + ${kept#* + })) = 120 ] && [ "${kept#* + }" -gt 3 ] || complain "kept out: $kept"
run "$D" classifier check "$I/auto.data" "$T/auto.cfg"
expect_status 0
expect_err '^note: .*about a tenth of the 120 training images is kept out'
end

begin "the checkpoint opens as safetensors, and so does the one before"
ckpt=$T/adam/adam-1/adam.ckpt
[ "$(checkpoint "$ckpt" history)" = 120x3 ] || complain "history is $(checkpoint "$ckpt" history)"
[ "$(checkpoint "$ckpt" images.means)" = 120x2 ] || complain "means are $(checkpoint "$ckpt" images.means)"
[ "$(checkpoint "$ckpt" images)" = 120x1 ] || complain "images are $(checkpoint "$ckpt" images)"
[ "$(checkpoint "$ckpt" layers.3.weights.adam)" = 2x384 ] || complain "moments are $(checkpoint "$ckpt" layers.3.weights.adam)"
[ "$(checkpoint "$ckpt" seen)" = 608 ] || complain "seen is $(checkpoint "$ckpt" seen)"
[ "$(checkpoint "$ckpt.1" results)" = 4 ] || complain "the older one knows $(checkpoint "$ckpt.1" results) lines"
run "$D" classifier valid "$I/adam.data" "$adam" "$ckpt"
expect_error 1 'adam\.ckpt: is a checkpoint or another \.safetensors file, expected a Darknet weights file'
end

begin "a complete run says so, with status 0, and changes nothing"
cksum "$T/adam/adam-1/"* >"$T/before"
run "$D" classifier train "$I/adam.data" "$adam" -resume
expect_status 0
expect_err 'adam-1: the run is complete \(batch 38 of 38\)'
[ ! -s "$T/out" ] || complain "batches were trained"
cksum "$T/adam/adam-1/"* >"$T/after"
expect_same "$T/before" "$T/after"
end

begin "more epochs go on; other threads are told of"
run "$D" classifier train "$I/adam.data" "$adam" -resume -epochs 6 -threads 3
expect_status 0
expect_err '^note: the run was computed by .* so far, by .*, 3 threads from now on'
[ "$(checkpoint "$ckpt" seen)" = 720 ] || complain "seen is $(checkpoint "$ckpt" seen)"
end

begin "a damaged checkpoint: the one before is used"
truncate -s -5 "$ckpt"
run "$D" classifier train "$I/adam.data" "$adam" -resume -epochs 6
expect_status 0
expect_err '^warning: .*adam\.ckpt .*adam\.ckpt\.1'
[ "$(checkpoint "$ckpt" seen)" = 720 ] || complain "seen is $(checkpoint "$ckpt" seen)"
python3 -c 'import sys; b = bytearray(open(sys.argv[1], "rb").read()); b[-9] ^= 1; open(sys.argv[1], "wb").write(b)' "$ckpt"
run "$D" classifier train "$I/adam.data" "$adam" -resume -epochs 6
expect_status 0
expect_err '^warning: .*adam\.ckpt .*adam\.ckpt\.1'
for counter in "0 -1" "1 1e9" "2 1e9" "3 1e9" "4 1e9" "5 1e9" "8 5" "9 5" "10 1e12" "11 1e9"; do # of the enum in src/train/checkpoint.c
    python3 - "$T/adam/adam-1/adam.ckpt" "$T/odd.ckpt" $counter <<'END'
import json, struct, sys
b = bytearray(open(sys.argv[1], "rb").read().replace(b'"crc32":', b'"?rc32":'))
n = struct.unpack_from("<Q", b)[0]
at = 8 + n + json.loads(b[8:8 + n])["counters"]["data_offsets"][0]
struct.pack_into("<q", b, at + 8 * int(sys.argv[3]), int(float(sys.argv[4])))
open(sys.argv[2], "wb").write(b)
END
    mkdir "$T/odd" && cp "$T/odd.ckpt" "$T/odd/adam.ckpt"
    sed "s,^backup=.*,backup=$T," "$I/adam.data" >"$I/odd.data"
    run "$D" classifier train "$I/odd.data" "$adam" -resume -name odd
    expect_error 1 'odd/adam\.ckpt: has an impossible counter, expected a checkpoint'
    rm -r "$T/odd"
done
for file in "$ckpt" "$ckpt.1"; do
    head -c 300 "$ckpt" >"$T/cut" && cp "$T/cut" "$file"
done
run "$D" classifier train "$I/adam.data" "$adam" -resume
expect_error 1 'adam\.ckpt.*expected'
end

# ---- folders ----

begin "-name of a link beside the run is refused, nothing is moved"
for name in ema.ckpt ema.weights ema_results.png; do
    run "$D" classifier train "$I/ema.data" "$T/ema.cfg" -epochs 2 -name $name
    expect_error 2 "-name $name"
done
end

begin "a second run has a folder of its own, the links move to it, the first keeps its files"
cksum "$T/ema/ema-1/"* >"$T/before"
run "$D" classifier train "$I/ema.data" "$T/ema.cfg" -epochs 2 -seed 5 -save-period 2
expect_status 0
cksum "$T/ema/ema-1/"* >"$T/after"
expect_same "$T/before" "$T/after"
for file in ema.weights ema_best.weights ema.backup ema.ckpt ema_results.csv; do
    [ "$(readlink "$T/ema/$file")" = "ema-2/$file" ] || complain "$file links to $(readlink "$T/ema/$file")"
done
expect_file "$T/ema/ema-2/ema_2.weights"
expect_no_file "$T/ema/ema-2/ema_1.weights"
end

begin "two runs at once: the links are those of the one that began last"
to twice
"$D" classifier train "$I/twice.data" "$T/ema.cfg" -epochs 20 >"$T/first" 2>&1 </dev/null &
i=0
until [ -e "$T/twice/ema.backup" ] || [ $i -eq 300 ]; do
    sleep 0.1
    i=$((i + 1))
done
run "$D" classifier train "$I/twice.data" "$T/ema.cfg" -epochs 2
expect_status 0
wait $! || complain "$(cat "$T/first")"
expect_file "$T/twice/ema-1/ema.weights"
[ "$(readlink "$T/twice"/ema* | cut -d / -f 1 | sort -u)" = ema-2 ] || complain "$(ls -l "$T/twice")"
end

begin "-name and -exist-ok"
for folder in own own-2; do
    run "$D" classifier train "$I/ema.data" "$T/ema.cfg" -epochs 2 -name own
    expect_status 0
    [ "$(readlink "$T/ema/ema.weights")" = "$folder/ema.weights" ] || complain "links to $(readlink "$T/ema/ema.weights")"
done
run "$D" classifier train "$I/ema.data" "$T/ema.cfg" -epochs 2 -name own -exist-ok -seed 2
expect_status 0
[ "$(readlink "$T/ema/ema.weights")" = own/ema.weights ] || complain "links to $(readlink "$T/ema/ema.weights")"
expect_different "$T/ema/own-2/ema.weights" "$T/ema/ema.weights"
expect_no_file "$T/ema/own-3"
cp "$T/ema/ema.weights" "$T/kept.weights"
for weights in own/ema.weights ema_best.weights; do
    run "$D" classifier train "$I/ema.data" "$T/ema.cfg" "$T/ema/$weights" -clear -epochs 2 -name own -exist-ok
    expect_status 2
    expect_err "^error: -exist-ok would overwrite .*ema/$weights, which the run begins from"
done
expect_same "$T/ema/own/ema.weights" "$T/kept.weights"
run after_batch 2 INT "$D" classifier train "$I/ema.data" "$T/ema.cfg" -name own
expect_err '; to go on: .* -name own-3 -resume$'
run "$D" classifier train "$I/ema.data" "$T/ema.cfg" -name a/b
expect_error 2 'a/b.*expected the name of a folder'
end

begin "a file from before runs had folders is kept"
to old
mkdir "$T/old"
echo precious >"$T/old/ema.weights"
run "$D" classifier train "$I/old.data" "$T/ema.cfg" -epochs 2
expect_status 0
expect_err '^note: .*old/ema\.weights .*ema\.weights\.old'
[ "$(cat "$T/old/ema.weights.old")" = precious ] || complain "it is not there"
expect_same "$T/old/ema.weights" "$T/old/ema-1/ema.weights"
end

begin "two runs in one folder: the second ends with one message"
to both
"$D" classifier train "$I/both.data" "$T/ema.cfg" -epochs 20000 -save-every 0 >"$T/first" 2>&1 &
first=$!
until [ -e "$T/both/ema.ckpt" ]; do sleep 0.1; done
run "$D" classifier train "$I/both.data" "$T/ema.cfg" -resume
expect_error 1 'both/ema-1: another run writes there'
[ "$(wc -l <"$T/err")" -eq 1 ] || complain "more than a message"
kill -9 $first
wait $first 2>/dev/null
end

# ---- signals ----

for signal in TERM:143 HUP:129 INT:130; do
    begin "SIG${signal%:*} saves and stops with status ${signal#*:}, and the run goes on to the same bits"
    to stop
    rm -rf "$T/stop"
    run after_batch 11 ${signal%:*} "$D" classifier train "$I/stop.data" "$T/ema.cfg" -epochs 5 -seed 3
    expect_status ${signal#*:}
    expect_err '^error: interrupted after batch 1[1-9] of 38, saved in .*/ema-1; to go on: .* -name ema-1 -resume$'
    run "$D" classifier train "$I/stop.data" "$T/ema.cfg" -resume
    expect_status 0
    expect_same "$T/stop/ema.weights" "$T/ema-whole/ema.weights"
    end
done

# ---- what may change, and what not ----

begin "a changed cfg is refused with the lines that differ; a higher max_batches and comments are not"
to changed
run after_batch 3 KILL "$D" classifier train "$I/changed.data" "$T/ema.cfg" -save-every 0.0001
cp "$T/ema.cfg" "$T/ema.kept"
sed -e 's/^learning_rate=.*/learning_rate=0.25/' -e 's/^momentum=.*/momentum=0.5/' "$T/ema.kept" >"$T/ema.cfg"
run "$D" classifier train "$I/changed.data" "$T/ema.cfg" -resume
expect_error 1 "ema\.cfg:[0-9]+: .*'learning_rate=0\.25' was 'learning_rate=0\.05'; 'momentum=0\.5' was 'momentum=0\.9'"
sed -e 's/^max_batches=.*/max_batches=20/' "$T/ema.kept" >"$T/ema.cfg"
run "$D" classifier train "$I/changed.data" "$T/ema.cfg" -resume
expect_error 1 "'max_batches=20' was"
sed -e 's/^max_batches=.*/# longer\nmax_batches = 62/' "$T/ema.kept" >"$T/ema.cfg"
run "$D" classifier train "$I/changed.data" "$T/ema.cfg" -resume
expect_status 0
[ "$(checkpoint "$T/changed/ema.ckpt" seen)" = 992 ] || complain "seen is $(checkpoint "$T/changed/ema.ckpt" seen)"
cp "$T/ema.kept" "$T/ema.cfg"
end

# history CHECKPOINT: a line an image, its key and its row
history() {
    python3 -c 'import json, struct, sys
b = open(sys.argv[1], "rb").read()
n = struct.unpack("<Q", b[:8])[0]
h = json.loads(b[8:8 + n])
def rows(name):
    t = h[name]
    begin, end = (8 + n + x for x in t["data_offsets"])
    size = (end - begin) // t["shape"][0]
    return [b[i:i + size].hex() for i in range(begin, end, size)]
print("\n".join(sorted(" ".join(r) for r in zip(rows("images"), rows("history")))))' "$1"
}

begin "a changed list: history follows the images, new ones are told of"
to list
run "$D" classifier train "$I/list.data" "$T/ema.cfg"
history "$T/list/ema.ckpt" >"$T/1.history"
cp "$I/train.list" "$T/train.list"
{ sed -n '2,120p' "$T/train.list" | sort; sed -n '1,2p' "$I/test.list"; } >"$I/train.list"
sed -i 's/^max_batches=.*/max_batches=61/' "$T/ema.cfg"
run "$D" classifier train "$I/list.data" "$T/ema.cfg" -resume
expect_status 0
expect_err '^note: .*train\.list: the list has changed .*: 120 images then, 121 now; 2 are new'
history "$T/list/ema.ckpt" >"$T/2.history"
# one batch has touched at most 16 of 119 rows
kept=$(comm -12 "$T/1.history" "$T/2.history" | wc -l)
[ "$kept" -ge 103 ] && [ "$kept" -lt 119 ] || complain "$kept rows have stayed"
cp "$T/ema.kept" "$T/ema.cfg"
cp "$T/train.list" "$I/train.list"
end

begin "-patience ends a run early and says so; it needs valid="
to tired
run "$D" classifier train "$I/tired.data" "$T/ema.cfg" -epochs 5000 -patience 2
expect_status 0
expect_err '^note: 2 epochs without a better result on valid=: the run ends after epoch [0-9]+$'
epoch=$(sed -n 's/.*ends after epoch //p' "$T/err")
best=$(sed -n 's/^best: epoch \([0-9]*\),.*/\1/p' "$T/err")
[ "$epoch" -eq $((best + 2)) ] || complain "best is epoch $best, the end $epoch"
expect_file "$T/tired/ema.weights"
run "$D" classifier train "$I/tired.data" "$T/ema.cfg" -resume -patience 2
expect_status 0
expect_err 'the run is complete'
sed '/^valid/d' "$I/tired.data" >"$I/blind.data"
run "$D" classifier train "$I/blind.data" "$T/ema.cfg" -patience 2
expect_error 2 'valid='
end

# ---- images that vanish ----

begin "an image that vanishes in mid-run: saved, an error, and the run goes on when it is back"
to gone
image=$(sed -n 5p "$I/train.list")
cat >"$T/vanish.py" <<'END'
import os, subprocess, sys
image, lines = sys.argv[1], 0
p = subprocess.Popen(sys.argv[2:], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
for line in p.stdout:
    lines += " avg" in line
    if lines == 1 and os.path.exists(image):
        os.rename(image, image + ".gone")
sys.stderr.write(p.stderr.read())
sys.exit(p.wait())
END
run python3 "$T/vanish.py" "$I/$image" "$D" classifier train "$I/gone.data" "$T/ema.cfg" -epochs 5 -seed 3 -cache 0
expect_status 1
expect_err "^error: .*$image: .*; saved in .*gone/ema-1 after batch [0-9]+, -resume goes on"
mv "$I/$image.gone" "$I/$image"
run "$D" classifier train "$I/gone.data" "$T/ema.cfg" -resume
expect_status 0
expect_same "$T/gone/ema.weights" "$T/ema-whole/ema.weights"
end

begin "with -skip-bad the run goes on without it"
run python3 "$T/vanish.py" "$I/$image" "$D" classifier train "$I/gone.data" "$T/ema.cfg" -epochs 5 -cache 0 -skip-bad
expect_status 0
expect_err "^warning: .*$image: .*left out from now on"
expect_err '^note: 1 of 120 training images were lost in mid-run and left out$'
mv "$I/$image.gone" "$I/$image"
image=$(sed -n 5p "$I/valid.list")
for cache in 0 auto; do # an image that is kept is known by its place, which then is another
    run python3 "$T/vanish.py" "$I/$image" "$D" classifier train "$I/gone.data" "$T/ema.cfg" -epochs 5 -skip-bad -cache $cache -name cache-$cache
    expect_status 0
    expect_err '^note: .*valid\.list: 1 of 30 images cannot be decoded and are left out$'
    mv "$I/$image.gone" "$I/$image"
    results "$T/gone/cache-$cache/ema_results.csv" "$T/$cache.csv"
done
expect_same "$T/auto.csv" "$T/0.csv"
end

finish
