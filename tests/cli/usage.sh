#!/bin/sh
# Help at every level, typing errors, exit statuses, output that cannot be written, commands of stock Darknet.
. tests/cli/lib.sh

begin "no words: usage on standard error, status 2"
run "$D"
expect_status 2
expect_err '^error: '
expect_err '^usage: [^ ]*darknet'
end

for word in --help -help help; do
    begin "$word: usage on standard output"
    run "$D" $word
    expect_status 0
    expect_out '^usage: [^ ]*darknet'
    expect_out '^  classifier train '
    expect_out '^  layers '
    expect_quiet
    end
done

begin "--version"
run "$D" --version
expect_status 0
expect_out '^darknet-sat [0-9]'
expect_quiet
end

begin "help of a group lists its commands and the keys of .data files"
run "$D" classifier --help
expect_status 0
for word in train valid predict reject calibrate import; do
    expect_out "^  classifier $word"
done
expect_out '^  labels_from='
expect_quiet
end

# COMMAND|a flag that its help must name
while IFS='|' read -r words flag; do
    begin "help of $words"
    for help in --help -help; do
        run "$D" $words $help
        expect_status 0
        expect_out "^usage: [^ ]*darknet $words "
        expect_out "^  -$flag"
        expect_quiet
    done
    run "$D" $words a b --help
    expect_status 0
    end
done <<'END'
classifier train|epochs E
classifier train|loaders N
classifier train|upto N
classifier train|skip-bad
classifier valid|threads N
classifier train|cache
classifier predict|threshold T
classifier predict|list F
classifier reject|coverage C
classifier reject|json F
classifier reject|from F
classifier reject|list NAME=F
classifier reject|compare F
classifier calibrate|risk R
classifier calibrate|out NEW.cfg
classifier watch|state F
classifier noise|rate R
classifier audit|truth F
classifier import idx|split
classifier import cifar10|names
classifier import cifar100|names
classifier import folders|out
layers|markdown
END

# Wrong usage: name|pattern of the message|arguments
while IFS='|' read -r what pattern words; do
    error_case "$what" 2 "$pattern" "$D" $words
done <<'END'
unknown command|unknown command 'clasifier', did you mean 'classifier'|clasifier train
unknown command that is near one of stock Darknet|unknown command 'detectr', did you mean 'detector'|detectr
a command of classifier without it|did you mean 'classifier train'|train a b
a misspelt one|did you mean 'classifier train'|trian a b
unknown command that is near nothing|unknown command 'zzzzzzzzzz', expected one of: classifier, layers|zzzzzzzzzz
unknown sub-command|unknown command 'vald', did you mean 'valid'|classifier vald a b c
unknown sub-sub-command|unknown command 'idxx', did you mean 'idx'|classifier import idxx
group without a word|expected one of: new, check, train, valid, predict, reject, calibrate, watch, serve, noise, audit, export, import|classifier
import without a word|expected one of: idx, cifar10, cifar100, folders|classifier import
classifier command of stock Darknet|did you mean 'classifier valid'|classifier validcrop a b c
another one|did you mean 'classifier predict'|classifier demo a b c
unknown flag of train|unknown flag '-epoch', did you mean '-epochs'|classifier train a b -epoch 3
unknown flag with two dashes|unknown flag '--treshold', did you mean '-threshold'|classifier predict a b c d --treshold 1
flag given twice|-seed given twice|classifier train a b -seed 1 -seed 2
flag without a value|-seed without a value|classifier train a b -seed
flag whose value is a flag|-json without a value|classifier reject a b c -json -csv x
number that is none|-seed x1, expected an integer|classifier train a b -seed x1
number that is no int|-seed 4294967296, expected an integer from 0 below 2\^31|classifier train a b -seed 4294967296
number that overflows|-epochs 99999999999999999999, expected|classifier train a b -epochs 99999999999999999999
number out of range|-epochs 0, expected|classifier train a b -epochs 0
operand too many|unexpected argument 'd'|classifier valid a b c d
train without a cfg|CFG|classifier train a
valid without weights|WEIGHTS is missing, expected DATA CFG WEIGHTS|classifier valid a b
predict without an image|IMAGE is missing|classifier predict a b c
reject without data|DATA is missing|classifier reject
coverage in percent|-coverage 80, expected a fraction in .0, 1.; did you mean 0\.8|classifier reject a b c -coverage 80
coverage of nothing|-coverage 0, expected a fraction|classifier reject a b c -coverage 0
negative coverage|-coverage -0.5, expected a fraction|classifier reject a b c -coverage -0.5
coverage that is no number|-coverage nan, expected a number|classifier reject a b c -coverage nan
threshold and coverage|-threshold and -coverage, expected one of the two|classifier reject a b c -threshold .5 -coverage .5
from and a network|expected one of the two|classifier reject a b c -from f.csv
from and a score|-from and -confidence|classifier reject -from f.csv -confidence msp
from and csv|-from and -csv|classifier reject -from f.csv -csv g.csv
json and csv in one place|expected two places|classifier reject a b c -json - -csv -
unknown score|did you mean 'msp'|classifier reject a b c -confidence mps
watch without a state|-state F is missing|classifier watch x.csv
watch without a promise|expected -risk R or -calib|classifier watch -state /nowhere
watch of an impossible promise|-risk 2, expected|classifier watch -state /nowhere -risk 2
import without a folder|-out|classifier import idx a b
import without archives|IMAGES LABELS|classifier import idx -out x
import of the wrong CIFAR|unknown command 'cifar', did you mean 'cifar10'|classifier import cifar a -out x
import of CIFAR without a folder|-out|classifier import cifar10 a
import of CIFAR without an archive|cifar100 DIR.FILE.tar.gz -out DIR|classifier import cifar100 -out x
END

begin "a hint says where the help is"
run "$D" classifier reject --foo
expect_err "see '[^ ]*darknet classifier reject --help'"
end

if [ -w /dev/full ]; then
    begin "standard output on a full disk"
    status=0
    "$D" --help >/dev/full 2>"$T/err" || status=$?
    command_line="$D --help >/dev/full"
    expect_error 1 'standard output'
    end
else
    skip "standard output on a full disk" "no /dev/full"
fi

begin "standard output is a closed pipe: a quiet end with the status of SIGPIPE"
{
    sleep 0.3 # its reader has ended by then
    status=0
    "$D" --help 2>"$T/err" || status=$?
    echo $status >"$T/status"
} | true
status=$(cat "$T/status")
command_line="$D --help | true"
expect_status 141
expect_quiet
end

begin "standard output is closed"
status=0
"$D" --help >&- 2>"$T/err" || status=$?
command_line="$D --help >&-"
expect_error 1 'standard output'
end

# ---- stock Darknet ----

cat >"$T/sat.cfg" <<'END'
[net]
 [sat]
END

begin "a command of stock Darknet with a cfg that it does not know"
run "$D" detector test "$T/some.data" "$T/sat.cfg" "$T/some.weights"
expect_error 1 'sat\.cfg:2: .*does not know \[sat\]'
end

if [ -x /usr/bin/darknet ]; then
    begin "other commands of stock Darknet are run by it"
    run "$D" detector
    cp "$T/out" "$T/out.ours"
    cp "$T/err" "$T/err.ours"
    run /usr/bin/darknet detector
    sed "s,/usr/bin/darknet,$D," "$T/err" >"$T/err.stock"
    expect_same "$T/out.ours" "$T/out"
    expect_same "$T/err.ours" "$T/err.stock"
    end
else
    begin "without the package its name is in the message"
    run "$D" detector
    expect_error 1 "package darknet"
    end
fi

finish
