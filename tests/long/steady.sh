#!/bin/sh
# A run of 20,000 steps and 2,667 epochs: memory, descriptors and the CPU time of a step stay what they were.
[ ! -w /dev/shm ] || export TMPDIR=/dev/shm
. tests/cli/lib.sh

short_runs
tiny_idx "$T/idx"
tiny_cfg "$T/net.cfg" 1 3 '[sat]\ntarget=ema\nwarmup_epochs=1\n'
sed -i 's/^max_batches=.*/max_batches=20000/' "$T/net.cfg"
begin "20,000 steps: flat"
run python3 tests/long/steady.py 20000 "$D" classifier train "$tiny_data" "$T/net.cfg" -threads 1 -loaders 1
expect_status 0
sed 's/^/# /' "$T/out"
end
finish
