#!/bin/sh
# What may interrupt a run, at each place that it could (see kill.py): -resume then ends with the bits of a run that
# nothing interrupted.
# STEP=5 tries every fifth place, KINDS some kinds only.
# thousands of fsyncs
[ ! -w /dev/shm ] || export TMPDIR=/dev/shm
. tests/cli/lib.sh

short_runs
tiny_idx "$T/idx"
tiny_cfg "$T/net.cfg" 1 3 '[sat]\ntarget=ema\nwarmup_epochs=1\n'
mkdir "$T/adam"
adam_cfg "$T/net.cfg" >"$T/adam/net.cfg"
gcc -O1 -D_GNU_SOURCE -Wall -Werror -shared -fPIC tests/long/shim.c -o "$T/shim.so" -ldl || exit 1

while read -r kind title; do
    case " ${KINDS:-$kind} " in *" $kind "*) ;; *) continue ;; esac
    begin "$kind: $title"
    run python3 tests/long/kill.py "$D" "$tiny_data" "$T/net.cfg" "$T/$kind" "$T/shim.so" "$kind" "${STEP:-1}"
    expect_status 0
    sed 's/^/# /' "$T/out"
    rm -rf "${T:?}/$kind"
    end
done <<'LIST'
moments SIGKILL at random moments
places SIGKILL at each rename, fsync, link, new file
second SIGKILL at each of them where a complete run is there already, with and without -exist-ok
full a full disk from any of them on
readonly a read-only disk from any of them on
beside a checkpoint fails beside training
disk a file system of few pages
limits few descriptors, little memory
clock the calendar jumps by a day, both ways
tensors each array and number of a checkpoint is needed
LIST
finish
