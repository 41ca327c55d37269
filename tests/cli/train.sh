#!/bin/sh
# Training on tiny image sets: files, repeatability, exchange with stock Darknet, stopping, transfer.
. tests/cli/lib.sh

STOCK=/usr/bin/darknet
SAT='[sat]\ntarget=abstain\nwarmup_epochs=1\n'
REJECT='[reject]\nconfidence=msp\n'
LINE='^[0-9]+, [0-9.]+: [0-9.]+, [0-9.]+ avg, [0-9.e-]+ rate, [0-9.]+ seconds, [0-9]+ images$'

tiny_idx "$T/idx"
grey_data=$tiny_data
I=$(dirname "$grey_data")
tiny_png "$T/png"
colour_data=$tiny_data
tiny_cfg "$T/net.cfg" 1 3 "$SAT" "$REJECT"
tiny_cfg "$T/soft.cfg" 3 3 '[softmax]\n'
tiny_cfg "$T/soft1.cfg" 1 3 '[softmax]\n'

# beside DATA FOLDER NAME: a copy of DATA in its folder, where relative paths are right, whose weights go to FOLDER
beside() {
    copy=$(dirname "$1")/$3
    sed '/^ *backup/d' "$1" >"$copy"
    echo "backup=$2" >>"$copy"
}

# Images seen in the header of a weights file.
seen() {
    python3 -c 'import struct, sys
print(struct.unpack("<iiiQ", open(sys.argv[1], "rb").read(20))[3])' "$1"
}

# last_number FILE COLUMN: of the last line of a CSV file, by its header
last_number() {
    python3 -c 'import csv, sys
print(list(csv.DictReader(open(sys.argv[1])))[-1][sys.argv[2]])' "$1" "$2"
}

# ---- a run ----

begin "training: a line a batch, the loss falls, far above chance"
beside "$grey_data" "$T/a" a.data
run "$D" classifier train "$I/a.data" "$T/net.cfg" -epochs 8 -loaders 1
expect_status 0
grep -E "$LINE" "$T/out" >"$T/lines"
# 8 epochs of 120 images in batches of 16
[ "$(wc -l <"$T/lines")" -eq 60 ] || complain "$(wc -l <"$T/lines") lines of batches, expected 60"
first=$(sed -n '1s/.*: \([0-9.]*\), .*/\1/p' "$T/lines")
last=$(sed -n '$s/.*, \([0-9.]*\) avg.*/\1/p' "$T/lines")
at_most "$last" "$(awk -v x="$first" 'BEGIN { print 0.6 * x }')" || complain "loss from $first to $last"
tail -n 1 "$T/lines" | grep -q ' 960 images$' || complain "not 960 images at the end"
end

# on_terminal COLUMNS COMMAND…: what it writes on a terminal, a line for each that is drawn or overdrawn.
on_terminal() {
    python3 -c 'import fcntl, os, pty, re, struct, sys, termios
pid, fd = pty.fork()
if pid == 0:
    fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("4H", 24, int(sys.argv[1]), 0, 0))
    os.execvp(sys.argv[2], sys.argv[2:])
text = b""
try:
    while True:
        text += os.read(fd, 4096)
except OSError:  # the end
    pass
print("\n".join(re.split("[\r\n]+", text.decode().replace("\033[K", ""))))
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))' "$@"
}

begin "training on a terminal: one line with a bar that fits, a line an epoch"
beside "$grey_data" "$T/bar" bar.data
for columns in 100 60; do
    run on_terminal $columns "$D" classifier train "$I/bar.data" "$T/net.cfg" -epochs 3
    expect_status 0
    grep -E 'batch [0-9]+/23' "$T/out" >"$T/drawn"
    [ "$(awk '{ if (length > most) most = length } END { print most + 0 }' "$T/drawn")" -lt $columns ] || complain "wider than $columns columns"
done
expect_out '^epoch 3/3 batch 23/23 loss [0-9.]+ acc [0-9.]+%'
run on_terminal 100 "$D" classifier train "$I/bar.data" "$T/net.cfg" -epochs 3
expect_out '^\[#-+\] epoch 1/3 batch 1/23 loss [0-9.]+ acc [0-9.]+% warm-up [0-9]+% [0-9]+ img/s [0-9]+:[0-9]{2} left$'
expect_out '^\[#+\] epoch 3/3 batch 23/23 loss [0-9.]+ acc [0-9.]+% [0-9]+ img/s 0:00 left$'
expect_out '^epoch 3: loss [0-9.]+, training accuracy [0-9.]+ %; valid top-1'
end

begin "files of a run: its folder, links beside it"
for file in net.backup net_best.weights net.weights net.ckpt net_results.csv; do
    expect_file "$T/a/net-1/$file"
    [ "$(readlink "$T/a/$file")" = "net-1/$file" ] || complain "no link $file"
done
expect_no_file "$T/a/net-1/net_8.weights"
expect_same "$T/a/net-1/net.cfg" "$T/net.cfg"
for data in "$T/a/net-1/a.data" "$I/a.data"; do
    grep -vE '^(train|valid|test|labels|names)=' "$data" >"$T/rest.$(basename "$(dirname "$data")")"
done
expect_same "$T/rest.net-1" "$T/rest.$(basename "$I")"
[ "$(grep -cE '^(train|valid|test|labels|names)=/' "$T/a/net-1/a.data")" = 5 ] || complain "not all paths are whole"
for line in "command  $D classifier train .* -epochs 8 -loaders 1" 'program  darknet-sat' 'seed     1'; do
    grep -q "^$line" "$T/a/net-1/run.txt" || complain "run.txt lacks: $line"
done
[ -z "$(find "$T/a" -name '*tmp*')" ] || complain "temporary files are left"
[ "$(seen "$T/a/net.weights")" = 960 ] || complain "seen is $(seen "$T/a/net.weights")"
end

begin "BASE_results.csv: a line an epoch, accuracy far above chance"
[ "$(head -n 1 "$T/a/net_results.csv")" = "epoch,batch,precision,warmup,train_loss,train_accuracy,learning_rate,alpha,valid_top1,valid_nll,valid_ece,valid_aurc,valid_balanced,valid_worst,valid_worst_class,images_per_second" ] ||
    complain "header: $(head -n 1 "$T/a/net_results.csv")"
[ "$(wc -l <"$T/a/net_results.csv")" -eq 9 ] || complain "not 8 epochs"
for column in train_accuracy valid_top1; do
    at_most 0.6 "$(last_number "$T/a/net_results.csv" $column)" ||
        complain "$column $(last_number "$T/a/net_results.csv" $column)"
done
[ "$(last_number "$T/a/net_results.csv" batch)" = 60 ] || complain "not 60 batches in the last line"
end

begin "BASE_results.png: a picture, or one note without gnuplot"
if command -v gnuplot >/dev/null 2>&1; then
    [ "$(head -c 4 "$T/a/net_results.png" | tail -c 3)" = PNG ] || complain "net_results.png is no PNG"
fi
mkdir "$T/bin"
beside "$grey_data" "$T/plain" plain.data
run env PATH="$T/bin" "$(realpath "$D")" classifier train "$I/plain.data" "$T/net.cfg" -epochs 2
expect_status 0
[ "$(grep -c '^note: .*gnuplot-nox' "$T/err")" -eq 1 ] || complain "not one note about gnuplot"
expect_no_file "$T/plain/net_results.png"
end

begin "same seed, same weights, with 1 and 2 loaders"
beside "$grey_data" "$T/b" b.data
run "$D" classifier train "$I/b.data" "$T/net.cfg" -epochs 8 -loaders 2
expect_status 0
expect_same "$T/a/net.weights" "$T/b/net.weights"
expect_same "$T/a/net_best.weights" "$T/b/net_best.weights"
end

begin "another seed, other weights"
beside "$grey_data" "$T/c" c.data
run "$D" classifier train "$I/c.data" "$T/net.cfg" -epochs 2 -seed 2
cp "$T/c/net.weights" "$T/c.weights"
run "$D" classifier train "$I/c.data" "$T/net.cfg" -epochs 2 -seed 3
expect_status 0
expect_different "$T/c.weights" "$T/c/net.weights"
end

begin "max_batches of the cfg without -epochs"
run "$D" classifier train "$I/c.data" "$T/soft1.cfg"
expect_status 0
[ "$(grep -Ec "$LINE" "$T/out")" -eq 60 ] || complain "$(grep -Ec "$LINE" "$T/out") batches, expected 60"
end

# ---- what the weights are good for ----

begin "no validation, and batches larger than the set: notes"
sed '/^valid=/d' "$I/a.data" >"$I/bare.data"
sed 's/^batch=.*/batch=256/' "$T/net.cfg" >"$T/large.cfg"
run "$D" classifier train "$I/bare.data" "$T/large.cfg" -epochs 8
expect_status 0
expect_err '^note: .*bare\.data has no valid=: no epoch is validated, there are no best weights$'
expect_err '^note: batch=256 is more than the 120 training images: a batch ends several epochs$'
expect_file "$T/a/large.weights"
expect_no_file "$T/a/large_best.weights"
end

begin "valid"
run "$D" classifier valid "$I/a.data" "$T/net.cfg" "$T/a/net.weights"
expect_status 0
expect_out '^images: 30 '
expect_out '^nll: [0-9.]+$'
expect_out '^ece: [0-9.]+'
found=$(sed -n 's/^top 1: //p' "$T/out")
awk -v a="$found" -v b="$(last_number "$T/a/net_results.csv" valid_top1)" 'BEGIN { d = a - b; exit !(d < 1e-5 && d > -1e-5) }' ||
    complain "top 1 is $found, but $(last_number "$T/a/net_results.csv" valid_top1) in the results"
end

begin "averages of weights: validated and saved in the place of the weights, which go on the same"
beside "$grey_data" "$T/average" average.data
for average in none ema 'swa\naverage_rate=0.05\naverage_from=0.25'; do
    sed "s/^decay=.*/&\naverage=$average/" "$T/soft1.cfg" >"$T/${average%%\\*}.cfg"
    run "$D" classifier train "$I/average.data" "$T/${average%%\\*}.cfg" -epochs 4 -threads 1
    expect_status 0
done
for kind in ema swa; do
    run "$D" classifier valid "$I/average.data" "$T/$kind.cfg" "$T/average/$kind.weights"
    found=$(sed -n 's/^nll: //p' "$T/out")
    awk -v a="$found" -v b="$(last_number "$T/average/${kind}_results.csv" valid_nll)" 'BEGIN { d = a - b; exit !(d < 1e-5 && d > -1e-5) }' ||
        complain "$kind: nll is $found, but $(last_number "$T/average/${kind}_results.csv" valid_nll) in the results"
    expect_different "$T/average/$kind.weights" "$T/average/none.weights"
    [ "$(last_number "$T/average/${kind}_results.csv" train_loss)" = "$(last_number "$T/average/none_results.csv" train_loss)" ] ||
        complain "$kind: the training itself is another"
done
end
error_case "average_from past the end" 1 'average_from=0\.6 leaves 1\.6 of 4 epochs to average, expected two or more' sh -c \
    'sed "s/^decay=.*/&\naverage=swa\naverage_from=0.6/" "$2" >"$3/late.cfg"; exec "$1" classifier train "$4" "$3/late.cfg" -epochs 4' \
    sh "$D" "$T/soft1.cfg" "$T" "$I/average.data"

begin "mixed images: the same bits with 1 and 2 loaders, about the same loss by Darknet's own layers"
for mix in mixup=1 'mixup=1\nmixup_alpha=1' regmixup=1; do
    sed "s/^decay=.*/&\n$mix/" "$T/soft1.cfg" >"$T/mix.cfg"
    for how in '-loaders 1' '-loaders 2' '-backend host'; do
        beside "$grey_data" "$T/mix${how#* }" mix.data
        run "$D" classifier train "$I/mix.data" "$T/mix.cfg" -epochs 3 -threads 1 -exist-ok $how
        expect_status 0
    done
    expect_same "$T/mix1/mix.weights" "$T/mix2/mix.weights"
    expect_different "$T/mix1/mix.weights" "$T/average/none.weights"
    awk -v a="$(last_number "$T/mix1/mix_results.csv" train_loss)" -v b="$(last_number "$T/mixhost/mix_results.csv" train_loss)" \
        'BEGIN { exit !(a - b < 0.01 && b - a < 0.01) }' || complain "$mix: $(last_number "$T/mix1/mix_results.csv" train_loss) and $(last_number "$T/mixhost/mix_results.csv" train_loss)"
done
end
for cost in target=ema target=abstain target=elr selective; do
    case $cost in
    target=*) tiny_cfg "$T/bound.cfg" 1 3 "[sat]\n$cost\n" ;;
    *) tiny_cfg "$T/bound.cfg" 1 3 "[$cost]\n" ;;
    esac
    sed -i 's/^decay=.*/&\nmixup=1/' "$T/bound.cfg"
    error_case "mixup=1 with $cost" 1 "bound\.cfg:[0-9]+: mixup=1: the loss of \[(sat|selective)\] in line [0-9]+ needs more" \
        "$D" classifier train "$I/a.data" "$T/bound.cfg" -epochs 3
    sed -i 's/^mixup=/regmixup=/' "$T/bound.cfg"
    begin "regmixup=1 with $cost"
    run "$D" classifier train "$I/mix.data" "$T/bound.cfg" -epochs 3
    expect_status 0
    end
done

image=$(find "$T/idx" -name '*.png' | sort | head -n 1)
begin "predict: accepted, and REJECTED with a threshold that nothing reaches"
run "$D" classifier predict "$I/a.data" "$T/net.cfg" "$T/a/net.weights" "$image" "$image" -threshold 0
expect_status 0
expect_out 'accepted'
[ "$(grep -c accepted "$T/out")" -eq 2 ] || complain "not two verdicts"
[ "$(grep -c '%' "$T/out")" -ge 2 ] || complain "no percentages"
run "$D" classifier predict "$I/a.data" "$T/net.cfg" "$T/a/net.weights" "$image" -threshold 1
expect_status 0
expect_out 'REJECTED'
run "$D" classifier predict "$I/a.data" "$T/net.cfg" "$T/a/net.weights" "$image"
expect_out 'accepted'
end

begin "reject: table, CSV and JSON of the test images; the CSV gives the same figures"
run "$D" classifier reject "$I/a.data" "$T/net.cfg" "$T/a/net_best.weights" -json "$T/1.json" -csv "$T/1.csv"
expect_status 0
expect_out '^images +60$'
expect_out 'AURC'
[ "$(head -n 1 "$T/1.csv")" = path,label,prediction,confidence,accepted,verdict ] || complain "header $(head -n 1 "$T/1.csv")"
[ "$(wc -l <"$T/1.csv")" -eq 61 ] || complain "not 60 rows"
run "$D" classifier reject -from "$T/1.csv" -json "$T/2.json"
expect_status 0
for key in n accuracy coverage risk aurc eaurc augrc auroc; do
    [ "$(json_value "$T/1.json" $key)" = "$(json_value "$T/2.json" $key)" ] || complain "$key differs"
done
[ "$(json_value "$T/1.json" nll)" != null ] || complain "nll is null"
end

begin "reject by other scores, -coverage, and a list that chose the best weights"
for score in msp margin entropy gini maxlogit energy pnorm abstain; do
    run "$D" classifier reject "$I/a.data" "$T/net.cfg" "$T/a/net.weights" -confidence $score -coverage 0.8 -json -
    expect_status 0
    [ "$(json_value "$T/out" confidence)" = $score ] || complain "confidence is not $score"
    at_most 0.8 "$(json_value "$T/out" coverage)" || complain "coverage below 0.8 by $score"
done
run "$D" classifier reject "$I/a.data" "$T/net.cfg" "$T/a/net.weights"
! grep -q 'chose the best weights' "$T/out" || complain "test= did not choose the weights"
sed '/^ *test/d' "$I/a.data" >"$I/notest.data"
run "$D" classifier reject "$I/notest.data" "$T/net.cfg" "$T/a/net.weights"
expect_status 0
expect_out '^images +30$'
expect_out 'chose the best weights'
end

error_case "reject by the abstain score without an abstain output" 1 'abstain' \
    "$D" classifier reject "$I/c.data" "$T/soft1.cfg" "$T/c/soft1.weights" -confidence abstain

# ---- stock Darknet ----

if [ -x $STOCK ]; then
    begin "our weights in stock Darknet: the same top-1"
    run "$D" classifier train "$colour_data" "$T/soft.cfg" -epochs 6
    expect_status 0
    weights=$T/png/backup/soft.weights
    run "$D" classifier valid "$colour_data" "$T/soft.cfg" "$weights"
    expect_status 0
    ours=$(sed -n 's/^top 1: //p' "$T/out")
    run $STOCK classifier valid "$colour_data" "$T/soft.cfg" "$weights"
    theirs=$(tail -n 1 "$T/out" | sed -n 's/.*top 1: \([0-9.]*\), .*/\1/p')
    [ -n "$ours" ] && [ "$ours" = "$theirs" ] || complain "top 1 is $ours here, $theirs there"
    end

    begin "its weights here: the same top-1 and top-2"
    mkdir -p "$T/stock"
    beside "$colour_data" "$T/stock" stock.data
    run $STOCK classifier train "$T/png/stock.data" "$T/soft.cfg"
    run $STOCK classifier valid "$T/png/stock.data" "$T/soft.cfg" "$T/stock/soft.weights"
    theirs=$(tail -n 1 "$T/out" | sed -n 's/.*: top 1: \([0-9.]*\), top 2: \([0-9.]*\).*/\1 \2/p')
    run "$D" classifier valid "$T/png/stock.data" "$T/soft.cfg" "$T/stock/soft.weights"
    expect_status 0
    ours="$(sed -n 's/^top 1: //p' "$T/out") $(sed -n 's/^top 2: //p' "$T/out")"
    [ "$ours" = "$theirs" ] || complain "top 1, top 2 are $ours here, $theirs there"
    end
else
    skip "exchange of weights with stock Darknet" "no $STOCK"
fi

# ---- going on, starting from others' weights ----

begin "weights given: the count of images goes on; -clear forgets it"
run "$D" classifier train "$I/c.data" "$T/soft1.cfg" -epochs 1
expect_status 0
[ "$(seen "$T/c/soft1.weights")" = 128 ] || complain "seen $(seen "$T/c/soft1.weights") after one epoch, expected 128"
cp "$T/c/soft1.weights" "$T/one.weights"
run "$D" classifier train "$I/c.data" "$T/soft1.cfg" "$T/one.weights" -epochs 2
expect_status 0
[ "$(seen "$T/c/soft1.weights")" = 240 ] || complain "seen $(seen "$T/c/soft1.weights") after going on, expected 240"
run "$D" classifier train "$I/c.data" "$T/soft1.cfg" "$T/one.weights" -epochs 1 -clear
expect_status 0
[ "$(seen "$T/c/soft1.weights")" = 128 ] || complain "seen $(seen "$T/c/soft1.weights") with -clear, expected 128"
end

begin "-upto: the first layers from the file, the others fresh, no images seen"
run "$D" classifier train "$I/c.data" "$T/soft1.cfg" "$T/one.weights" -upto 1 -epochs 1
expect_status 0
cat "$T/out" "$T/err" >"$T/both"
grep -qi 'fresh' "$T/both" || complain "nothing says which layers start fresh"
[ "$(seen "$T/c/soft1.weights")" = 128 ] || complain "seen $(seen "$T/c/soft1.weights"), expected 128"
end

begin "a file that ends at a layer border starts transfer learning, another network's head too"
head -c 436 "$T/a/net.weights" >"$T/first.conv"
run "$D" classifier train "$I/c.data" "$T/soft1.cfg" "$T/first.conv" -epochs 1
expect_status 0
cat "$T/out" "$T/err" >"$T/both"
grep -qi 'fresh' "$T/both" || complain "nothing says which layers start fresh"
end

# ---- stopping ----

# interrupted COMMAND…: sends Ctrl-C after some batches. A shell's background jobs would ignore it.
interrupted() {
    python3 -c 'import signal, subprocess, sys
p = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                     preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
lines = 0
for line in p.stdout:
    lines += " images" in line and " avg" in line
    if lines == 20:
        p.send_signal(signal.SIGINT)
        lines += 1
sys.stderr.write(p.stderr.read())
sys.exit(p.wait() % 256)' "$@"
}

begin "Ctrl-C: the batch ends, the state is saved, status 130"
beside "$grey_data" "$T/stop" stop.data
cp "$T/net.cfg" "$T/it's a net.cfg"
run interrupted "$D" classifier train "$I/stop.data" "$T/it's a net.cfg" -epochs 20000 -seed 3
expect_status 130
expect_err "^error: interrupted after batch 2[0-9]* of 150000, saved in $T/stop/it's a net-1;"
way=$(sed -n 's,.*to go on: \(.*\),\1,p' "$T/err")
eval "set -- $way"
[ $# -eq 12 ] && [ "$*" = "$D classifier train $I/stop.data $T/it's a net.cfg -epochs 20000 -seed 3 -name it's a net-1 -resume" ] ||
    complain "the command to go on is: $way"
mv "$T/stop/it's a net.backup" "$T/stop/net.backup"
expect_file "$T/stop/net.backup"
expect_no_file "$T/stop/it's a net.weights"
run "$D" classifier valid "$I/stop.data" "$T/net.cfg" "$T/stop/net.backup"
expect_status 0
end

begin "a loss that is not a number: stops, says where, keeps the weights of before"
sed 's/^learning_rate=.*/learning_rate=1e10/' "$T/soft1.cfg" >"$T/nan.cfg"
beside "$grey_data" "$T/nan" nan.data
mkdir "$T/nan"
for file in nan.weights nan.backup nan_best.weights; do
    cp "$T/one.weights" "$T/nan/$file"
done
run "$D" classifier train "$I/nan.data" "$T/nan.cfg" -epochs 20
expect_status 1
expect_err '^error: .*batch [0-9]+ .*not a number'
for file in nan.weights nan.backup nan_best.weights; do
    expect_same "$T/nan/$file" "$T/one.weights"
done
end

# ---- the large networks of cfg/, with a sixteenth of their filters ----

python3 tests/cli/tiny.py cifar "$T/cifar"
run "$D" classifier import cifar10 "$T/cifar/cifar-10-batches-bin" -out "$T/c10"
for net in vgg16bn resnet18; do
    begin "cfg/${net}_cifar_sat.cfg trains on what \`import cifar10\` wrote, and its weights are read again"
    beside "$T/c10/c10.data" "$T/$net" $net.data
    sed -e 's/^filters=64$/filters=4/' -e 's/^filters=128$/filters=8/' -e 's/^filters=256$/filters=16/' -e 's/^filters=512$/filters=32/' \
        -e 's/^batch=128$/batch=4/' -e 's/^max_batches=.*/max_batches=2/' -e 's/^warmup_epochs=.*/warmup_epochs=0/' \
        cfg/${net}_cifar_sat.cfg >"$T/$net.cfg"
    run "$D" classifier train "$T/c10/$net.data" "$T/$net.cfg"
    expect_status 0
    [ "$(grep -Ec "$LINE" "$T/out")" -eq 2 ] || complain "$(grep -Ec "$LINE" "$T/out") batches, expected 2"
    ! grep -q '^note: .*stock Darknet' "$T/err" || complain "stock Darknet would compute something else"
    run "$D" classifier reject "$T/c10/$net.data" "$T/$net.cfg" "$T/$net/$net.weights"
    expect_status 0
    expect_out '^images +20$'
    end
done

# full_disk: a folder of 256 KiB in memory
begin "a full disk leaves the files of before"
mkdir "$T/small"
if [ "$(id -u)" -eq 0 ] && mount -t tmpfs -o size=256k tmpfs "$T/small" 2>/dev/null; then
    trap 'umount "$T/small" 2>/dev/null; rm -rf "$T"' EXIT
    beside "$grey_data" "$T/small" small.data
    run "$D" classifier train "$I/small.data" "$T/net.cfg" -epochs 2
    expect_status 0
    cp "$T/small/net.weights" "$T/kept.weights"
    cat /dev/zero >"$T/small/filler" 2>/dev/null
    run "$D" classifier train "$I/small.data" "$T/net.cfg" -epochs 2 -seed 9
    expect_status 1
    expect_err '^error: .*small/'
    expect_same "$T/small/net.weights" "$T/kept.weights"
    umount "$T/small"
    end
else
    skip "a full disk leaves the files of before" "needs root and tmpfs"
fi

finish
