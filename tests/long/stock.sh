#!/bin/sh
# Every classifier that comes with Darknet: the oneDNN backend and the plain code predict the same. PROGRAM is test_onednn_nets.
set -eu
program=$1
for cfg in /usr/share/darknet/cfg/*.cfg; do
    grep -q '^\[\(softmax\|soft\)\]' "$cfg" && ! grep -q '^\[\(rnn\|gru\)\]' "$cfg" || continue
    "$program" "$cfg"
done
