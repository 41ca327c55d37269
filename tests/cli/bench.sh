#!/bin/sh
# The programs of bench/: what they answer, and that the driver makes tables of it. No time is judged here.
. tests/cli/lib.sh

P=${BENCH_DIR:-build/bench}
N='[0-9]+(\.[0-9]+)?'
COMMON="batch=4 threads=1 images_per_second=$N step_ms=$N best_ms=$N steps=2 peak_mib=$N"
tiny_cfg "$T/net.cfg" 3 3 '[sat]\ntarget=abstain\nwarmup_epochs=1\n' '[reject]\nconfidence=msp\n'
printf 'train 2\ninfer 2\n' >"$T/commands"

# answers NAME… : a program's answers to the commands
answers() {
    run sh -c 'commands=$1; shift; "$@" <"$commands"' sh "$T/commands" "$@"
}

begin "step trains, predicts and updates"
echo 'update 2' >>"$T/commands"
answers "$P/step" "$T/net.cfg" -batch 4 -threads 1
expect_status 0
expect_out "^step mode=train $COMMON cost_share=0\.[0-9]+ update_share=0\.[0-9]+ loss=$N engine="
expect_out "^step mode=infer $COMMON logit=-?$N engine="
expect_out "^step mode=update $COMMON$"
expect_quiet
end

begin "step -backend host"
answers "$P/step" "$T/net.cfg" -batch 4 -threads 1 -backend host
expect_status 0
expect_out "^step mode=train .* engine=host$"
expect_out "^step mode=infer .* engine=host$"
end

begin "step: what it does not understand, it says so and goes on"
printf 'train 0\ntrain\nrun 3\ninfer 1\n' >"$T/commands"
answers "$P/step" "$T/net.cfg"
expect_status 0
[ "$(grep -c '^error: expected a number of steps after one of train infer update$' "$T/out")" -eq 3 ] || show out
expect_out "^step mode=infer batch=8 "
end

error_case "step without a cfg" 2 "CFG is missing" "$P/step"
error_case "step: unknown flag" 2 "did you mean '-batch'" "$P/step" "$T/net.cfg" -bach 4
error_case "step: no such cfg" 1 "none.cfg" "$P/step" "$T/none.cfg"

if [ -x "$P/bound" ]; then
    begin "bound: one convolution, whose input gets no gradient"
    printf 'train 2\ninfer 2\n' >"$T/commands"
    answers "$P/bound" "$T/net.cfg" -batch 4 -threads 1
    expect_status 0
    expect_out "^bound mode=train $COMMON convolutions=2 winograd=0 lowered=0 tiles=0 engine=oneDNN "
    expect_out "^bound mode=infer $COMMON convolutions=1 winograd=0 lowered=0 tiles=0 engine=oneDNN "
    expect_quiet
    end

    begin "bound: -size changes the work"
    printf 'infer 1\n' >"$T/commands"
    answers "$P/bound" "$T/net.cfg" -batch 64 -size 256 -threads 1
    large=$(sed 's/.*peak_mib=\([0-9]*\).*/\1/' "$T/out")
    answers "$P/bound" "$T/net.cfg" -batch 64 -threads 1
    small=$(sed 's/.*peak_mib=\([0-9]*\).*/\1/' "$T/out")
    at_most "$((small + 100))" "$large" || complain "$small MiB at 8 x 8, $large MiB at 256 x 256"
    end
else
    skip "bound" "built without oneDNN"
fi

begin "the driver's tables, without PyTorch"
run python3 bench/run.py "$T/net.cfg" -batch 4 -threads 1 -turn .01 -quick -no-torch -programs "$P"
expect_status 0
expect_out "^### .*as the machine is, float$"
expect_out "^\| net.cfg, batch 4 \| train \| .* \| - \| - \| - \| [0-9,]+ \| "
expect_out "^\| net.cfg, batch 4 \| infer \| "
sections=$(grep -c '^### ' "$T/out") # with AMX a second one
[ "$(grep -c '^| net.cfg, batch 4 | ' "$T/out")" -eq $((6 * sections)) ] || show out
end

begin "the driver ends with status 1 where nothing ran"
run python3 bench/run.py "$T/none.cfg" -quick -no-torch -programs "$P"
expect_status 1
expect_err "none.cfg"
end

begin "the tables of a GPU, on libraries that emulate one"
run env LD_LIBRARY_PATH="$(cd "$P/../tests/gpu" && pwd)" python3 bench/run.py "$T/net.cfg" -batch 4 -turn .01 -quick -gpu only -no-torch -programs "$P"
expect_status 0
expect_out "^### cuda \(emulated, cuDNN 9.19\), driver "
for step in 'train bf16' 'train tf32' 'train f32' 'infer bf16' 'infer tf32' 'infer f32'; do
    expect_out "^\| net.cfg, batch 4 \| $step \| [0-9,]+ \| [0-9,]+ \| - \| - \| - \| - \|$"
done
end

tiny_idx "$T/idx"
begin "experiments: a line a run, each once; cfgs of the full networks with other cost sections; tables"
experiment() {
    run python3 bench/experiments/run.py -darknet "$D" -out "$T/experiments" -fashion "$tiny_data" -data fashion -epochs 6 -seeds 1,2 -threads 1 "$@"
    expect_status 0
}
experiment -scale small -images 60 -held 30 -noise 0.4 -runs 'gambler+average=swa ema+warmup_epochs=1'
expect_out '^\*\*fashion\*\*, 60 training images, 6 epochs .*, 40 % of the labels wrong$'
expect_out '^\| (\*\*)?gambler\+average=swa(\*\*)? \| 2 \| [0-9.]+ ± [0-9.]+ \|.* [0-9.]+ ± [0-9.]+ \| 5 ± 0 \|$'
expect_out '^\| (\*\*)?ema\+warmup_epochs=1(\*\*)? \| 2 \| .* \| – \|.* \| 1 ± 0 \|$'
cp "$T/experiments/results.csv" "$T/results.csv"
experiment -scale small -images 60 -held 30 -noise 0.4 -runs 'gambler+average=swa ema+warmup_epochs=1'
expect_same "$T/experiments/results.csv" "$T/results.csv"
experiment -scale full -ratio 4 -runs 'selective softmax+class_weights=balanced'
expect_out '^\*\*fashion\*\*, all training images, .*, 0 % of the labels wrong, classes 4:1$'
[ "$(wc -l <"$T/experiments/results.csv")" -eq 9 ] || show out
end

finish
