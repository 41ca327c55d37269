#!/bin/sh
# `layers`: list, help of one layer, and that cfg/LAYERS.md is what the tables say.
. tests/cli/lib.sh

begin "the list names every layer"
run "$D" layers
expect_status 0
for layer in sat softmax reject; do
    expect_out "^$layer +[a-z]"
done
expect_quiet
end

begin "keys of [sat] with defaults and conditions"
run "$D" layers sat
expect_status 0
expect_out '^  target=.*blend\|ema\|abstain.*default blend'
expect_out '^  momentum=.*default 0\.9.*target=ema\|abstain'
expect_out '^  alpha_end=.*default 0\.9.*target=blend'
expect_out '^  warmup_epochs=.*an integer from 0 to 1000000 or auto, default auto'
expect_out '^  entropy='
expect_out '^  classes='
expect_out '^  temperature=.*default 1'
expect_quiet
end

begin "keys of [reject] and the scores"
run "$D" layers reject
expect_status 0
expect_out '^  confidence=.*default msp'
expect_out '^  threshold='
for score in msp margin entropy gini maxlogit energy pnorm abstain; do
    expect_out "^  $score +[a-z0-9]"
done
end

error_case "unknown layer" 2 "unknown layer 'rejct', did you mean 'reject'" "$D" layers rejct
error_case "unknown layer near nothing" 2 "unknown layer 'zzzzzzz'" "$D" layers zzzzzzz

begin "keys of sections of Darknet"
run "$D" layers convolutional
expect_status 0
expect_out '^  filters=.*channels out'
run "$D" layers net
expect_out '^  learning_rate='
end

error_case "two layers" 2 "unexpected argument 'reject'" "$D" layers sat reject
error_case "markdown of one layer" 2 "expected no 'sat'" "$D" layers sat -markdown

begin "cfg/LAYERS.md is up to date (else: ./darknet layers -markdown >cfg/LAYERS.md)"
run "$D" layers -markdown
expect_status 0
expect_same "$T/out" cfg/LAYERS.md
end

begin "cfg/LAYERS.md has a table row for every key of the help"
for layer in sat softmax reject; do
    "$D" layers $layer | sed -n 's/^  \([a-z_0-9]*\)=.*/\1/p' >"$T/keys"
    [ -s "$T/keys" ] || complain "no keys in the help of $layer"
    while read -r key; do
        grep -q "^| \`$key\` |" cfg/LAYERS.md || complain "no row for $key of $layer"
    done <"$T/keys"
done
end

# the two files of plugins/README.md, and list.h with one line more
mkdir -p "$T/plugins"
awk '/^```c$/ { n++; inside = 1; next } /^```$/ { inside = 0 } inside { print > dir "/example" n ".c" }' dir="$T" plugins/README.md
{ cat plugins/list.h; echo "DS_LAYER(smooth)"; } >"$T/plugins/list.h"

begin "the example of plugins/README.md compiles without a warning"
run ${CC:-gcc} -std=c11 -D_GNU_SOURCE -Wall -Wextra -Wshadow -Wstrict-prototypes -Werror -fopenmp -I"$T" -Isrc -I. \
    -o "$T/test_smooth" "$T/example1.c" "$T/example2.c" plugins/*.c src/base/*.c src/select/confidence.c \
    src/select/novelty.c src/select/softmax.c -lcmocka -ljansson -lz -lm
expect_status 0
expect_quiet
end
begin "the test of the example"
run "$T/test_smooth"
expect_status 0
end

begin "the tiny network of plugins/README.md learns"
python3 tests/cli/tiny.py png "$T/tiny"
run "$D" classifier train "$T/tiny/tiny.data" "$T/tiny/tiny.cfg"
expect_status 0
expect_err 'best: .*top-1 100\.00 %'
end

finish
