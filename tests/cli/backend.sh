#!/bin/sh
# -backend, -profile, -v: the same training by oneDNN's code and by Darknet's.
. tests/cli/lib.sh

tiny_idx "$T/idx"
data=$tiny_data
I=$(dirname "$data")
tiny_cfg "$T/net.cfg" 1 3 '[sat]\ntarget=abstain\nwarmup_epochs=1\n' '[reject]\nconfidence=msp\n'
built_in() { "$D" classifier train --help | grep -q 'default onednn'; }

# train NAME FLAGS…: results go to $T/NAME
train() {
    folder=$1
    shift
    sed '/^ *backup/d' "$data" >"$I/$folder.data"
    echo "backup=$T/$folder" >>"$I/$folder.data"
    run "$D" classifier train "$I/$folder.data" "$T/net.cfg" -epochs 6 "$@"
    expect_status 0
}

# average FILE: the running mean of the loss after the last batch
average() {
    sed -n '$s/.*, \([0-9.]*\) avg.*/\1/p' "$1"
}

begin "-backend host: trains without oneDNN"
train host -backend host
grep ' avg, ' "$T/out" >"$T/host.lines"
expect_file "$T/host/net.weights"
end

begin "an unknown backend is refused"
run "$D" classifier train "$data" "$T/net.cfg" -backend cudnn
expect_error 2 "backend 'cudnn' is not part of this program, expected .*cuda:N or host"
end

begin "-profile: a line a layer, waiting for data, all"
train profile -backend host -profile
expect_err 'profile of [0-9]+ passes of 16 images, backend host'
expect_err '^ +0  convolutional +[0-9.]+ +[0-9.]+ +[0-9.]+ +[0-9.]+ +[0-9.]+ %$'
expect_err 'waiting for data'
expect_err '^ +all .* 100.00 %$'
end

begin "valid -profile"
run "$D" classifier valid "$data" "$T/net.cfg" "$T/host/net.weights" -profile -backend host
expect_status 0
expect_err 'profile of [0-9]+ passes'
cp "$T/out" "$T/valid.host"
end

if built_in; then
    begin "-backend onednn: the loss follows that of the host"
    train onednn -backend onednn
    grep ' avg, ' "$T/out" >"$T/onednn.lines"
    awk -v a="$(average "$T/onednn.lines")" -v b="$(average "$T/host.lines")" \
        'BEGIN { exit !(b > 0 && a < 1.02 * b && b < 1.02 * a) }' ||
        complain "$(average "$T/onednn.lines") against $(average "$T/host.lines")"
    end

    begin "weights of one backend give the same answers in the other"
    run "$D" classifier valid "$data" "$T/net.cfg" "$T/host/net.weights" -backend onednn
    expect_status 0
    [ "$(sed -n 's/^top 1: //p' "$T/out")" = "$(sed -n 's/^top 1: //p' "$T/valid.host")" ] || complain "top 1 differs"
    end

    begin "-v: what stays with Darknet is told"
    train quiet
    grep -q 'stays with the host' "$T/err" && complain "told without -v"
    run env ONEDNN_MAX_CPU_ISA=SSE41 DNNL_MAX_CPU_ISA=SSE41 "$D" classifier train "$I/quiet.data" "$T/net.cfg" -epochs 6 -clear -v
    expect_status 0
    expect_err 'note: layer 0 stays with the host'
    end
else
    begin "built without oneDNN: -backend onednn is refused"
    run "$D" classifier train "$data" "$T/net.cfg" -backend onednn
    expect_error 2 "built without oneDNN"
    end
fi

finish
