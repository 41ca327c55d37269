#!/bin/sh
# -precision and [net] precision=: bfloat16 where the processor has AMX, a clear answer where it has not.
. tests/cli/lib.sh

tiny_idx "$T/idx"
data=$tiny_data
I=$(dirname "$data")
tiny_cfg "$T/net.cfg" 1 3 '[sat]\ntarget=abstain\nwarmup_epochs=1\n' '[reject]\nconfidence=msp\n'
sed 's/^\[net\].*/&\nprecision=auto/' "$T/net.cfg" >"$T/auto.cfg"

# train NAME CFG FLAGS…: results go to $T/NAME
train() {
    folder=$1
    cfg=$2
    shift 2
    sed '/^ *backup/d' "$data" >"$I/$folder.data"
    echo "backup=$T/$folder" >>"$I/$folder.data"
    run "$@" classifier train "$I/$folder.data" "$cfg" -epochs 6 $flags
}

below_amx="env ONEDNN_MAX_CPU_ISA=AVX512_CORE DNNL_MAX_CPU_ISA=AVX512_CORE $D"

begin "bf16 is refused where it would be slow, before anything is written"
flags="-precision bf16"
train refused "$T/net.cfg" $below_amx
expect_error 2 "AMX|f32 alone"
[ ! -e "$T/refused" ] || complain "a folder was made"
end

begin "bf16 is refused by Darknet's own code"
flags="-precision bf16 -backend host"
train refused "$T/net.cfg" "$D"
expect_error 2 "knows f32 alone"
end

begin "auto goes on in f32 there, and says so"
flags=
train auto "$T/auto.cfg" $below_amx
expect_status 0
expect_err 'note: precision f32: '
[ "$(cut -d, -f3 "$T/auto"/*/auto_results.csv | sort -u | tr '\n' ' ')" = "f32 precision " ] || complain "$(cat "$T/auto"/*/auto_results.csv)"
end

begin "a threshold knows the precision that it was found with, and another is a warning"
sed 's/^valid/calib/' "$data" >"$I/calib.data"
run "$D" classifier calibrate "$I/calib.data" "$T/net.cfg" "$T/auto/auto.weights" -coverage .5 -out "$T/found.cfg"
expect_status 0
grep -q '^precision=f32$' "$T/found.cfg" || complain "$(cat "$T/found.cfg")"
sed 's/^precision=f32$/precision=bf16/' "$T/found.cfg" >"$T/other.cfg"
for command in reject predict; do
    images=$([ $command = reject ] || echo "$I")
    run "$D" classifier $command "$data" "$T/found.cfg" "$T/auto/auto.weights" $images
    expect_status 0
    ! grep -q precision "$T/err" || show err
    run "$D" classifier $command "$data" "$T/other.cfg" "$T/auto/auto.weights" $images
    expect_status 0
    expect_err "^warning: .*other.cfg: the threshold was found with precision bf16, the answers are computed with f32"
done
sed '/^precision=/d' "$T/found.cfg" >"$T/silent.cfg" # says nothing of a precision: bfloat16 is no other
run "$D" classifier reject "$data" "$T/silent.cfg" "$T/auto/auto.weights" -precision auto
! grep -q 'the threshold was found' "$T/err" || show err
end

begin "precision= of another word names those that there are"
sed 's/^precision=.*/precision=fp16/' "$T/auto.cfg" >"$T/bad.cfg"
run "$D" classifier train "$data" "$T/bad.cfg"
expect_error 1 "precision=fp16, expected f32\|bf16\|tf32\|auto"
end

flags="-precision bf16"
train first "$T/net.cfg" "$D"
if [ "$status" = 0 ]; then
    begin "bf16: the loss follows that of f32, and the run says what it was"
    grep -q 'bf16)' "$T/first"/*/run.txt || complain "run.txt does not say bf16"
    average() { sed -n '$s/.*, \([0-9.]*\) avg.*/\1/p' "$1"; }
    bf16=$(grep ' avg, ' "$T/out" | average /dev/stdin)
    flags="-precision f32"
    train exact "$T/auto.cfg" "$D" # the flag wins
    grep -q 'f32)' "$T/exact"/*/run.txt || complain "run.txt does not say f32"
    f32=$(grep ' avg, ' "$T/out" | average /dev/stdin)
    awk -v a="$bf16" -v b="$f32" 'BEGIN { exit !(b > 0 && a < 1.03 * b && b < 1.03 * a) }' || complain "$bf16 against $f32"
    end

    begin "bf16: the same weights again, which f32 can use"
    flags="-precision bf16"
    train again "$T/net.cfg" "$D"
    cmp "$T/first/net.weights" "$T/again/net.weights" || complain "other weights"
    for precision in f32 bf16; do
        run "$D" classifier valid "$data" "$T/net.cfg" "$T/first/net.weights" -precision $precision
        expect_status 0
        sed -n 's/^top 1: //p' "$T/out" >"$T/top.$precision"
    done
    awk 'NR == FNR { a = $1; next } { exit !(a - $1 < 3 && $1 - a < 3) }' "$T/top.f32" "$T/top.bf16" ||
        complain "$(cat "$T/top.f32" "$T/top.bf16")"
    end
else
    begin "SKIP: no AMX"
    expect_error 2 "AMX|f32 alone"
    end
fi

finish
