#!/bin/sh
# On a machine with an NVIDIA GPU, in at most 4 minutes: the layers and the shipped networks against the processor, a short training, images
# a second. From the repository's root, or from a bundle, which needs neither network nor Debian's packages there:
#   sh tests/gpu.sh                run; needs `make all build/tests/test_cuda build/bench/step` and Fashion-MNIST (`deps.sh`)
#   sh tests/gpu.sh -cifar DATA RUNS   on the .data file of CIFAR-10, alone: seconds, error, risk at coverages of RUNS:
#       precisions (cifar_small_sat, 40 epochs, three seeds, bf16 and tf32 and f32; 4 minutes on an H200, estimated)
#       vgg (VGG16-BN, 200 epochs; 3, estimated), paper (the same, the 300 epochs of its cfg; 5, estimated)
#   sh tests/gpu.sh -bundle FILE   pack all that into FILE (.tar.gz), to be unpacked there: cd bundle && sh gpu.sh
# LD_LIBRARY_PATH must lead to libcudnn and libnvrtc where the loader does not know them; CUDA_VISIBLE_DEVICES chooses the GPU.
set -u
bundle=
cifar=
case ${1:-}:$# in
:0) ;;
-bundle:2) bundle=$2 ;;
-cifar:[345]) cifar=$2; shift 2 ;;
*) echo "usage: sh tests/gpu.sh [-cifar DATA precisions|vgg|paper... | -bundle FILE]" >&2; exit 2 ;;
esac
images=/usr/share/datasets/fashion-mnist
networks="cifar_small_sat vgg16bn_cifar_sat resnet18_cifar_sat fashion_sat"

# A library with the names that $1 takes from libraries of others, and aborts when one is called.
stub() {
    for library in $2; do
        nm -D --undefined-only "$1" | awk -v pattern="$3" '$2 ~ pattern { sub(/@.*/, "", $2); print ".globl " $2 "\n" $2 ":" }' \
            | { echo .text; cat; echo "	ud2"; echo '.section .note.GNU-stack,"",@progbits'; } \
            | gcc -x assembler - -shared -nostdlib -Wl,-soname="$library" -o "$T/bundle/lib/$library"
    done
}

import_images() {
    "$1" classifier import idx "$images/t10k-images-idx3-ubyte.gz" "$images/t10k-labels-idx1-ubyte.gz" -split valid=2000 calib=1000 -seed 1 \
        -out "$2" >/dev/null
}

make_bundle() {
    T=$(mktemp -d)
    trap 'rm -rf "$T"' EXIT
    mkdir -p "$T/bundle/lib" "$T/bundle/cfg"
    darknet=/usr/lib/darknet/libdarknet.so
    cp darknet build/tests/test_cuda build/bench/step "$darknet" "$T/bundle/"
    cp tests/gpu.sh "$T/bundle/gpu.sh"
    for n in $networks; do cp "cfg/$n.cfg" "$T/bundle/cfg/"; done
    mkdir "$T/bundle/bench"
    cp bench/torch_gpu.py bench/torch_net.py "$T/bundle/bench/"
    for l in libdnnl.so.2 libdnnl.so.3 libjansson.so.4 libwebp.so.7 libsharpyuv.so.0 libprotobuf-c.so.1 libz.so.1 libgomp.so.1 \
        libcmocka.so.0 libOpenCL.so.1 libstdc++.so.6 libgcc_s.so.1; do
        [ ! -e "/usr/lib/x86_64-linux-gnu/$l" ] || cp -L "/usr/lib/x86_64-linux-gnu/$l" "$T/bundle/lib/"
    done
    strip -g "$T/bundle/darknet" "$T/bundle/test_cuda" "$T/bundle/step"
    stub "$darknet" "$(readelf -d "$darknet" | sed -n 's/.*\[\(libopencv[^]]*\)\].*/\1/p')" '^_ZN?K?2cv|^cv|^_ZN2cv|^_ZNK2cv|^_ZT'
    stub darknet "$(readelf -d darknet | sed -n 's/.*\[\(lib\(archive\|seccomp\|microhttpd\)[^]]*\)\].*/\1/p')" '^archive_|^seccomp_|^MHD_'
    import_images ./darknet "$T/bundle/set"
    tar -C "$T" -czf "$bundle" bundle
    ls -l "$bundle"
}
[ -z "$bundle" ] || { make_bundle; exit; }

begun=$(date +%s)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if [ -x ./test_cuda ]; then # unpacked from a bundle
    test=./test_cuda step=./step
    set=$PWD/set
    export LD_LIBRARY_PATH="${LD_LIBRARY_PATH:-}${LD_LIBRARY_PATH:+:}$PWD/lib"
    [ -e /usr/lib/darknet/libdarknet.so ] || { mkdir -p /usr/lib/darknet && ln -s "$PWD/libdarknet.so" /usr/lib/darknet/; }
else
    test=build/tests/test_cuda step=build/bench/step set=$work/set
    [ -n "$cifar" ] || import_images ./darknet "$set"
fi
part() { printf '\n== %s (%s s)\n' "$*" "$(($(date +%s) - begun))"; }
check() { "$@" || echo "FAILED ($?): $*" | tee -a "$work/failed"; }

# A rented machine is not to be kept waiting: what would begin later than this is left out, which is told.
late() {
    [ "$(($(date +%s) - begun))" -gt 215 ] && echo "LEFT OUT, late: $*" | tee -a "$work/failed"
}

part "the machine"
nvidia-smi --query-gpu=name,driver_version --format=csv,noheader
# cifar NAME CFG FLAGS…: the lists count from the folder of the .data file, so that ours is beside it
cifar() {
    name=$1 cfg=$2 from=$(date +%s)
    shift 2
    check ./darknet classifier train "$cifar.gpu" "cfg/$cfg.cfg" "$@" -backend cuda -profile -name "$name" -exist-ok >"$work/log" 2>&1
    echo "-- $name: $(($(date +%s) - from)) s"
    grep -E '^best|of it: device|waiting for data|^[0-9.]+ images/s' "$work/log"
    check ./darknet classifier reject "$cifar.gpu" "cfg/$cfg.cfg" "$work/backup/$name/$cfg.weights" -backend cuda \
        | grep -E '^accuracy|^AURC|^ +(100|90) %'
}
if [ -n "$cifar" ]; then
    grep -v '^backup' "$cifar" >"$cifar.gpu" && echo "backup=$work/backup" >>"$cifar.gpu"
    for run in "$@"; do
        part "CIFAR-10: $run"
        case $run in
        precisions)
            for seed in 1 2 3; do
                for p in bf16 tf32 f32; do cifar "$p-$seed" cifar_small_sat -epochs 40 -precision $p -seed $seed; done
            done
            ;;
        vgg) cifar vgg vgg16bn_cifar_sat -epochs 200 -precision bf16 -seed 1 ;;
        paper) cifar paper vgg16bn_cifar_sat -precision bf16 -seed 1 ;;
        *) echo "FAILED: no such run: $run" | tee -a "$work/failed" ;;
        esac
    done
    rm -f "$cifar.gpu"
    part "done"
    [ ! -s "$work/failed" ]
    exit
fi
part "layers against the processor"
CUDA_TEST=device check timeout 60 "$test"
part "networks against the processor"
for n in $networks; do check timeout 40 "$test" "cfg/$n.cfg" 2>&1 | grep -v '^\[ '; done
part "a training on 7,000 of Fashion-MNIST's test images, in three precisions and on the processor"
sed 's/^warmup_epochs=.*/warmup_epochs=1/' cfg/fashion_sat.cfg >"$work/net.cfg"
sed "s#^backup=.*#backup=$work/backup#; s#=\([a-z]\)#=$set/\1#" "$set/set.data" | sed "s#=$set/directory#=directory#" >"$work/set.data"
for how in "cuda bf16" "cuda tf32" "cuda f32" "onednn f32"; do
    set -- $how
    echo "-- $how"
    check timeout 40 ./darknet classifier train "$work/set.data" "$work/net.cfg" -epochs 4 -backend "$1" -precision "$2" -seed 1 \
        -name "$1-$2" -profile >"$work/log" 2>&1
    grep -E '^epoch|^best|of it: device|waiting for data|^[0-9.]+ images/s' "$work/log" | tail -n 5
done
part "answers, a threshold, novelty; a run that is interrupted and goes on"
weights=$work/backup/cuda-bf16/net_best.weights
for backend in cuda onednn; do
    for command in valid "calibrate -coverage .8 -novelty .01 -out $work/$backend.cfg" reject "predict $set/train/0"; do
        set -- $command
        name=$1
        shift
        operand=
        [ "$name" = predict ] && operand=$1 && shift
        check timeout 20 ./darknet classifier "$name" "$work/set.data" "$work/net.cfg" "$weights" $operand "$@" -backend $backend \
            >"$work/$backend.$name" 2>&1
        grep -E '^top-1|^coverage|^selective|^threshold|written' "$work/$backend.$name" | sed "s/^/$backend $name: /"
    done
done
for stop in 60 1.5; do
    timeout -s INT "$stop" ./darknet classifier train "$work/set.data" "$work/net.cfg" -epochs 12 -backend cuda -precision bf16 -seed 2 \
        -name "run-$stop" >/dev/null 2>&1
done
check ./darknet classifier train "$work/set.data" "$work/net.cfg" -backend cuda -precision bf16 -name run-1.5 -resume 2>&1 | grep 'going on'
check cmp "$work/backup/run-60/net.weights" "$work/backup/run-1.5/net.weights"
part "images a second, batch 128: as it comes, tuned, and PyTorch, where python3 has it: eager, as a CUDA graph, its convolutions alone"
steps='train 30\ntrain 200\ninfer 30\ninfer 200\n'
torch=$(python3 -c 'import torch; print(torch.cuda.is_available())' 2>/dev/null)
for p in bf16 tf32 f32; do
    for n in $networks; do
        late "$n $p" || printf "$steps" | check timeout 30 "$step" "cfg/$n.cfg" -backend cuda -precision $p -batch 128 -threads 4 | sed "s/^/$n $p: /"
    done
    for n in $networks; do
        late "$n $p tuned" || printf "$steps" | check timeout 60 "$step" "cfg/$n.cfg" -backend cuda -tune -precision $p -batch 128 -threads 4 \
            | sed "s/^/$n $p tuned: /"
        for engine in graph eager convolutions; do
            [ "$torch" != True ] || late "$n $p $engine" || printf 'train 200\ninfer 200\n' \
                | check timeout 60 python3 bench/torch_gpu.py "cfg/$n.cfg" -engine $engine -precision $p | sed "s/^/$n: /"
        done
    done
done
[ "$torch" = True ] || echo "PyTorch: none here"
part "done"
[ ! -s "$work/failed" ] || { cat "$work/failed"; exit 1; }
