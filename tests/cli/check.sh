#!/bin/sh
# What is wrong is told all at once: by every command that reads a cfg, a .data file and lists, and by `classifier check`.
. tests/cli/lib.sh

tiny_idx "$T/idx"
I=$(dirname "$tiny_data")

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
run "$D" classifier valid "$tiny_data" "$T/bad.cfg" weights
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
sed "s,^ *train *=.*,train=$T/list/no.list,;s,^ *labels_from *=.*,labels_from=directory," "$tiny_data" >"$I/no.data"
tiny_cfg "$T/good.cfg" 1 3 '[softmax]\n'
run "$D" classifier train "$I/no.data" "$T/good.cfg"
expect_status 1
[ "$(grep -c 'no.list:[0-9]*: image' "$T/err")" -eq 20 ] || complain "$(grep -c 'no.list:[0-9]*: image' "$T/err") lines"
expect_err '^error: .*no\.list: and 10 more'
end

finish
