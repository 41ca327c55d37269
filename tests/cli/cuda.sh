#!/bin/sh
# -backend cuda on libraries that emulate a device, and where one of NVIDIA's libraries is missing.
. tests/cli/lib.sh

tiny_idx "$T/idx" valid=30 calib=30
data=$tiny_data
I=$(dirname "$data")
tiny_cfg "$T/net.cfg" 1 3 '[softmax]\n' '[reject]\nconfidence=msp\n'
sed -i 's/^\[net\].*/&\naverage=ema/' "$T/net.cfg"
mocks=$(cd "${BENCH_DIR:-build/bench}/../tests/gpu" && pwd)
# what is empty, the loader cannot open, whatever the machine has installed
mkdir "$T/none" "$T/some" "$T/old"
for name in libcuda.so.1 libcudnn.so.9 libcudnn.so.8 libcudnn.so libnvrtc.so.13 libnvrtc.so.12 libnvrtc.so; do : >"$T/none/$name"; done
cp "$T/none"/* "$T/some"
cp "$mocks/libcuda.so.1" "$T/some"
cp "$T/some"/* "$T/old"
echo 'int nothing;' | ${CC:-cc} -x c - -shared -o "$T/old/libcudnn.so.9"
export XDG_CACHE_HOME="$T/cache"

# train NAME LIBRARIES FLAGS…: results go to $T/NAME
train() {
    folder=$1 libraries=$2
    shift 2
    sed '/^ *backup/d' "$data" >"$I/$folder.data"
    echo "backup=$T/$folder" >>"$I/$folder.data"
    run timeout -s INT "${seconds:-60}" env LD_LIBRARY_PATH="$libraries" "$D" classifier train "$I/$folder.data" "$T/net.cfg" -backend cuda "$@"
}

begin "what is missing is named"
train nothing "$T/none" -epochs 1
expect_error 1 "libcuda\.so\.1 cannot be opened, expected NVIDIA's driver"
train nothing "$T/some" -epochs 1
expect_error 1 "libcudnn\.so\.9 cannot be opened, expected NVIDIA's cuDNN 9"
train nothing "$T/old" -epochs 1
expect_error 1 "libcudnn\.so\.9 has no cudnnCreate, expected a newer version"
cp "$mocks/libcudnn.so.9" "$T/some"
train nothing "$T/some" -epochs 1
expect_error 1 "libnvrtc\.so\.13 cannot be opened, expected NVIDIA's NVRTC"
expect_no_file "$T/nothing"
end

begin "cuDNN 8.9 does where there is no 9, no older one"
mkdir "$T/eight"
cp "$mocks/libcuda.so.1" "$mocks/libnvrtc.so.13" "$T/eight"
: >"$T/eight/libcudnn.so.9"
cp "$mocks/libcudnn.so.9" "$T/eight/libcudnn.so.8"
export MOCK_CUDNN=8907
train eight "$T/eight" -epochs 1 -precision bf16
expect_status 0
grep -q 'cuDNN 8\.9' "$T/eight"/*/run.txt || complain "$(cat "$T/eight"/*/run.txt)"
export MOCK_CUDNN=8805
train nothing "$T/eight" -epochs 1
expect_error 1 "libcudnn is version 8805, expected 8900 \(8\.9\) or newer"
unset MOCK_CUDNN
end

begin "auto is bf16, and the kernels are kept"
train auto "$mocks" -epochs 2 -precision auto
expect_status 0
expect_file "$T/auto/net.weights"
ls "$T/cache/darknet-sat"/cuda-* >"$T/kept"
[ "$(wc -l <"$T/kept")" = 1 ] || complain "$(cat "$T/kept")"
[ "$(cut -d, -f3 "$T/auto"/*/net_results.csv | sort -u | tr '\n' ' ')" = "bf16 precision " ] || complain "$(cat "$T/auto"/*/net_results.csv)"
end

begin "-tune is a GPU's"
run "$D" classifier train "$data" "$T/net.cfg" -tune -backend host
expect_error 2 "-tune: backend host has nothing to measure, expected -backend cuda"
end

begin "kept kernels need no compiler; a damaged file is made anew"
train again "$T/some" -epochs 1 -precision bf16
expect_status 0
for f in "$T/cache/darknet-sat"/cuda-*; do printf x >>"$f"; done
train again "$T/some" -epochs 1 -precision bf16
expect_error 1 "libnvrtc"
train again "$mocks" -epochs 1 -precision bf16
expect_status 0
end

begin "a run that goes on ends with the bits of one that was not interrupted"
train whole "$mocks" -epochs 2 -precision bf16
for seconds in .3 .5; do
    train parts "$mocks" -epochs 2 -precision bf16 -resume
done
seconds=
train parts "$mocks" -precision bf16 -resume
expect_status 0
expect_same "$T/whole/net.weights" "$T/parts/net.weights"
end

begin "weights of the device answer on the processor, and the other way round"
export LD_LIBRARY_PATH="$mocks"
for backend in cuda host; do
    run "$D" classifier valid "$data" "$T/net.cfg" "$T/auto/net.weights" -backend $backend
    expect_status 0
    sed -n 's/.*top-1[^0-9]*\([0-9.]*\).*/\1/p' "$T/out" >"$T/$backend.top1"
done
expect_same "$T/cuda.top1" "$T/host.top1"
images=$(ls -d "$I"/*/ | head -1)
run "$D" classifier predict "$data" "$T/net.cfg" "$T/auto/net.weights" "$images" -backend cuda
expect_status 0
end

begin "every target and key: an epoch, and an answer that the processor gives too"
n=0
for section in 'sat]\ntarget=blend' 'sat]\ntarget=ema' 'sat]\ntarget=abstain' 'sat]\ntarget=elr' 'gambler]\nwarmup_epochs=0' 'selective]' 'softmax]'; do
    n=$((n + 1))
    tiny_cfg "$T/t$n.cfg" 1 3 "[$section\n"
    case $n in
    1) keys='adam=1\nregmixup=1\ncutout=3\nhue=.1\nsaturation=1.5\nexposure=1.5\nangle=9\naspect=.8' ;;
    4) keys='average=swa\naverage_from=0\nsampling=balanced' ;;
    7) keys='mixup=1\naverage=ema\ncenter=1' ;;
    *) keys='label_smoothing=0' ;;
    esac
    [ "$keys" = label_smoothing=0 ] || sed -i "s/^\[net\].*/&\n$keys/" "$T/t$n.cfg"
    run "$D" classifier train "$data" "$T/t$n.cfg" -epochs 2 -backend cuda -precision f32 -name "t$n"
    expect_status 0
    for backend in cuda host; do
        run "$D" classifier valid "$data" "$T/t$n.cfg" "$I/backup/t$n/t$n.weights" -backend $backend
        expect_status 0
        grep '^top-1' "$T/out" >"$T/$backend.answer"
    done
    expect_same "$T/cuda.answer" "$T/host.answer"
done
end

begin "a threshold, novelty, weights of the first layers"
W=$T/auto/net.weights
run "$D" classifier calibrate "$data" "$T/net.cfg" "$W" -coverage .8 -novelty .1 -out "$T/sure.cfg" -backend cuda
expect_status 0
for backend in cuda host; do
    run "$D" classifier reject "$data" "$T/sure.cfg" "$W" -backend $backend -precision f32
    expect_status 0
    grep '^coverage' "$T/out" >"$T/$backend.answer"
done
expect_same "$T/cuda.answer" "$T/host.answer"
train upto "$mocks" -epochs 1 "$W" -upto 2
expect_status 0
end

begin "images that are kept in memory, or not: the same bits"
train much "$mocks" -epochs 2 -precision bf16
train none "$mocks" -epochs 2 -precision bf16 -cache 0 -loaders 3 -profile
expect_same "$T/much/net.weights" "$T/none/net.weights"
expect_err "of it: device"
end

finish
