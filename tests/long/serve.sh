#!/bin/sh
# A server that 100,000 images were asked of: its memory and descriptors stay what they were after the first thousands.
. tests/cli/lib.sh
short_runs
tiny_idx "$T/idx"
tiny_cfg "$T/net.cfg" 1 3 '[softmax]\n'
run "$D" classifier train "$tiny_data" "$T/net.cfg" -epochs 2 -threads 1
begin "100,000 requests: flat"
run python3 tests/long/serve.py "${REQUESTS:-100000}" "$T/idx/test" "$D" classifier serve "$tiny_data" "$T/net.cfg" "$T/idx/backup/net.weights" \
    -listen 127.0.0.1:0 -threads 1
expect_status 0
sed 's/^/# /' "$T/out"
end
finish
