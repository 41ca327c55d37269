#!/bin/sh
# What is wrong is told all at once: by every command that reads a cfg, a .data file and lists, and by `classifier check`.
. tests/cli/lib.sh

tiny_idx "$T/idx"
grey_data=$tiny_data
I=$(dirname "$grey_data")
tiny_png "$T/png"

# told FILE: on standard error there is an error that matches each line of FILE, and no other error
told() {
    while read -r pattern; do
        expect_err "^error: .*$pattern"
    done <"$1"
    [ "$(grep -c '^error: ' "$T/err")" -eq "$(wc -l <"$1")" ] || {
        complain "$(grep -c '^error: ' "$T/err") errors, planted $(wc -l <"$1")"
        show err
    }
}

begin "valid= that is train= is told of, before training too"
sed 's/^valid=.*/valid=train.list/' "$grey_data" >"$I/same.data"
for command in check train; do
    tiny_cfg "$T/same.cfg" 1 3 '[softmax]\n'
    run "$D" classifier $command "$I/same.data" "$T/same.cfg" -epochs 1
    expect_status 0
    expect_err '^warning: .*same\.data: valid= is the list of train=: '
done
end

# ---- a cfg and a .data file with a mistake on many lines ----

cat >"$T/bad.cfg" <<'END'
[net]
batch=16
subdivisions=3
height=8
width=8
channels=1
learning_rat=0.05
policy=constnt
max_batches=60
no pair

[convolutional]
filters=8
size=3
stride=1
pad=1
activation=leeky

[maxpol]
size=2

[connected
output=4
unheard=of

[l2norm]

[saat]
target=abstain

[reject]
confidence=mps
threshold=50
END
cat >"$T/bad.data" <<'END'
clases=3
train=no_train.list
valid=no_valid.list
labels=no_labels
labels_from=directry
END
echo "backup=$T/bad.data/backup" >>"$T/bad.data"
cat >"$T/planted" <<'END'
bad.cfg:3: .*subdivisions
bad.cfg:7: .*learning_rate
bad.cfg:8: policy=constnt
bad.cfg:10: 
bad.cfg:17: .*leaky
bad.cfg:19: .*maxpool
bad.cfg:22: unterminated
bad.cfg:24: .*unheard
bad.cfg:26: .*l2norm
bad.cfg:28: .*\[sat\]
bad.cfg:32: .*msp
bad.data:1: .*classes
bad.data:5: .*directory
no_labels: cannot open
no_train.list: cannot open
no_valid.list: cannot open
bad.data: .*backup=/
END

begin "valid: all mistakes of the .data file"
run "$D" classifier valid "$T/bad.data" "$T/bad.cfg" weights
expect_status 1
grep '^bad.data:[15]\|no_labels' "$T/planted" >"$T/part"
told "$T/part"
end

begin "valid: all mistakes of the cfg"
run "$D" classifier valid "$grey_data" "$T/bad.cfg" weights
expect_status 1
grep '^bad.cfg' "$T/planted" | grep -v l2norm >"$T/part"
told "$T/part"
end

begin "train: all mistakes of cfg, .data file, lists and backup="
run "$D" classifier train "$T/bad.data" "$T/bad.cfg"
expect_status 1
told "$T/planted"
end

begin "train: many lines without a label: the first of them and how many more"
mkdir "$T/list"
for i in $(seq 30); do echo "$T/list/no_$i.png"; done >"$T/list/no.list"
sed "s,^ *train *=.*,train=$T/list/no.list,;s,^ *labels_from *=.*,labels_from=directory," "$grey_data" >"$I/no.data"
tiny_cfg "$T/good.cfg" 1 3 '[softmax]\n'
run "$D" classifier train "$I/no.data" "$T/good.cfg"
expect_status 1
[ "$(grep -c 'no.list:[0-9]*: image' "$T/err")" -eq 20 ] || complain "$(grep -c 'no.list:[0-9]*: image' "$T/err") lines"
expect_err '^error: .*no\.list: and 10 more'
end

# ---- classifier check ----

SOFTMAX='[softmax]\n'
# compare JSON PLANTED: the problems of JSON are the lines severity|kind|file|line|pattern of PLANTED ("-": null), no more, no less
cat >"$T/compare.py" <<'END'
import json, os, re, sys
found = json.load(open(sys.argv[1]))
rows = found["problems"]
for line in open(sys.argv[2]):
    severity, kind, file, number, pattern = line.rstrip("\n").split("|")
    fits = [r for r in rows if r["severity"] == severity and r["kind"] == kind
            and (os.path.basename(r["file"]) if r["file"] else "-") == file
            and ("-" if r["line"] is None else str(r["line"])) == number and re.search(pattern, r["text"])]
    if len(fits) != 1:
        print("%d problems are: %s" % (len(fits), line.rstrip()))
    else:
        rows.remove(fits[0])
for r in rows:
    print("not planted: %s" % r)
for key in "error", "warning":
    planted = sum(line.startswith(key) for line in open(sys.argv[2]))
    if found[key + "s"] != planted:
        print("%d %ss, planted %d" % (found[key + "s"], key, planted))
END
expect_problems() {
    python3 "$T/compare.py" "$T/check.json" "$1" >"$T/compared" 2>&1
    [ ! -s "$T/compared" ] || complain "$(head -n 20 "$T/compared")"
}

# All files below $T but for those of the test itself.
state() {
    (cd "$T" && find idx good.cfg trained -type f -exec cksum {} + | sort)
}

tiny_cfg "$T/good.cfg" 1 3 "$SOFTMAX"
sed "s,^backup=.*,backup=$T/trained," "$grey_data" >"$I/good.data"
"$D" classifier train "$I/good.data" "$T/good.cfg" -epochs 1 >"$T/trained.out" 2>&1 || complain "no weights to check"
cp "$T/trained/good.weights" "$T/good.weights"
state >"$T/before"

begin "check: a sound set has no problems; its counts are right, the network's those that train prints"
run "$D" classifier check "$I/good.data" "$T/good.cfg" "$T/good.weights" -json "$T/check.json"
expect_status 0
expect_quiet
: >"$T/none"
expect_problems "$T/none"
expect_out '^train +120 +0 +8 +8 '
expect_out '^0 errors, 0 warnings$'
python3 - "$T/check.json" "$T/trained.out" <<'END' >"$T/counts" 2>&1 || complain "$(cat "$T/counts")"
import json, sys
found, total = json.load(open(sys.argv[1])), [l.split() for l in open(sys.argv[2]) if l.startswith("total")][0]
assert [l["images"] for l in found["lists"] if l] == [120, 30, 60], found["lists"]
assert found["lists"][0]["width"] == [8, 8] and found["lists"][0]["grey"] == 120, found["lists"][0]
assert [sum(c[k] or 0 for c in found["classes"]) for k in ("train", "valid", "calib", "test")] == [120, 30, 0, 60], found["classes"]
assert [c["test"] for c in found["classes"]] == [20] * 3, found["classes"]
net = found["network"]
assert net["parameters"] == int(total[1]) and round(net["flops"] / 1e6, 3) == float(total[2]), (net, total)
assert net["memory_training"] > net["memory_answering"] > 0, net
END
end

begin "check: nothing is written, and -json - leaves nothing else on standard output"
run "$D" classifier check "$I/good.data" "$T/good.cfg" -json -
expect_quiet
python3 -c 'import json, sys; json.load(open(sys.argv[1]))' "$T/out" || show out
sed "s,^backup=.*,backup=$T/idx/new/backup," "$grey_data" >"$T/new.data"
mv "$T/new.data" "$I/new.data"
run "$D" classifier check "$I/new.data" "$T/good.cfg"
expect_status 0
rm "$I/new.data"
state >"$T/after"
expect_same "$T/before" "$T/after"
end

error_case "check: -json over a list" 2 'would overwrite' "$D" classifier check "$I/good.data" "$T/good.cfg" -json "$I/train.list"
error_case "check: without CFG" 2 'CFG is missing' "$D" classifier check "$I/good.data"

begin "check: warnings alone are status 0"
{
    cat "$I/train.list"
    head -n 1 "$I/train.list"
} >"$I/twice.list"
sed "s,^train=.*,train=twice.list," "$I/good.data" >"$I/twice.data"
run "$D" classifier check "$I/twice.data" "$T/good.cfg" -json "$T/check.json"
expect_status 0
echo 'warning|duplicate|twice.list|121|is the file of .*/twice.list:1$' >"$T/twice"
expect_problems "$T/twice"
end

# ---- faults of every kind, all found in one run ----

tiny_cfg "$T/colour.cfg" 3 3 "$SOFTMAX"
python3 tests/cli/faults.py "$T/faults" "$T/colour.cfg"
begin "check: every planted fault is found, and nothing else"
run "$D" classifier check "$T/faults/bad.data" "$T/faults/bad.cfg" "$T/faults/nan.weights" -json "$T/check.json"
expect_status 1
expect_problems "$T/faults/planted"
while IFS='|' read -r severity kind file line pattern; do
    [ "$line" = - ] || expect_err "^$severity: .*/$file:$line: .*$pattern"
done <"$T/faults/planted"
expect_err '^error: a run would fail'
end

begin "check -untrusted finds the same"
run "$D" classifier check "$T/faults/bad.data" "$T/faults/bad.cfg" "$T/faults/nan.weights" -json "$T/check.json" -untrusted
expect_status 1
expect_problems "$T/faults/planted"
end

begin "train finds what needs no pixels"
run "$D" classifier train "$T/faults/bad.data" "$T/faults/bad.cfg"
expect_status 1
grep '^error|input' "$T/faults/planted" | sed 's/.*|input|\([^|]*\)|\([^|]*\)|/\1:\2: .*/; s/:-:/:/' >"$T/part"
told "$T/part"
end

begin "check: weights of another network"
head -c -4 "$T/good.weights" >"$T/short.weights"
run "$D" classifier check "$I/good.data" "$T/good.cfg" "$T/short.weights"
expect_error 1 'short.weights: has [0-9]+ bytes, expected [0-9]+'
end

# ---- memory ----

if [ -z "${DARKNET:-}" ]; then # a sanitizer's build takes more
    begin "check: the memory for training is near what training takes"
    sed 's/^batch=.*/batch=64/; s/^filters=11/filters=4/; s/^classes=.*//; s/^warmup_epochs=.*/warmup_epochs=0/' cfg/cifar_small_sat.cfg >"$T/small.cfg"
    run "$D" classifier check "$T/png/tiny.data" "$T/small.cfg" -epochs 1 -json "$T/check.json"
    expect_status 0
    python3 - "$T/check.json" "$D" classifier train "$T/png/tiny.data" "$T/small.cfg" -epochs 1 <<'END' >"$T/memory" 2>&1 || complain "$(cat "$T/memory")"
import json, resource, subprocess, sys
guess = json.load(open(sys.argv[1]))["network"]["memory_training"]
subprocess.run(sys.argv[2:], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
took = 1024 * resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
print(guess, took)
assert .75 * took < guess < 1.25 * took
END
    end
fi

begin "DATA and CFG the other way round: one message of each"
run "$D" classifier check cfg/fashion_sat.cfg cfg/fashion.data
expect_error 1 "cfg/fashion.data:[0-9]+: key '[a-z]+' before any section, expected \[net\] first"
expect_err "cfg/fashion_sat.cfg:[0-9]+: '\[net\]': a network, expected a .data file: DATA comes before CFG"
[ "$(grep -c '^error: cfg/' "$T/err")" -eq 2 ] || show err
end

finish
