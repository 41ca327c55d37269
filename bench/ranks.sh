#!/bin/sh
# sh bench/ranks.sh (as root, from the repository root, under five minutes): a step's time by one rank and by several, and how much of it
# they wait for gradients, on this machine and between network namespaces of it. A line a run: network, batch, ranks, threads of each,
# link, milliseconds of a step (median), milliseconds of it at the end of the backward pass for gradients (mean).
. tests/cli/lib.sh
. tests/ranks/net.sh
short_runs
unset OMP_WAIT_POLICY
mkdir "$T/images"
python3 -c 'import sys
sys.path.insert(0, "bench")
import waiting
waiting.make_images(sys.argv[1])' "$T/images" || exit 1
net_up 4 || exit 1

# measure NETWORK BATCH STEPS IMAGES RANKS THREADS LINK
measure() {
    sed "s/^batch=.*/batch=$2/; s/^subdivisions=.*/subdivisions=1/; s/^max_batches=.*/max_batches=$3/; s/^warmup_epochs=.*/warmup_epochs=0/" \
        "cfg/$1.cfg" >"$T/bench.cfg"
    head -n "$4" "$T/images/train.list" >"$T/images/some.list"
    sed "s|^train=.*|train=$T/images/some.list|" "$T/images/images.data" >"$T/images/some.data"
    rm -rf "$T/images/backup"
    set -- "$@" classifier train "$T/images/some.data" "$T/bench.cfg" -threads "$6" -profile
    label="$1 $2 $5 $6 $7"
    ranks=$5 link=$7
    shift 7
    case $link in
    none) run "$D" "$@" ;;
    memory) run mpirun --oversubscribe --bind-to none -n "$ranks" "$D" "$@" ;;
    *)
        net_shape "$link"
        run net_run "$ranks" "$D" "$@"
        ;;
    esac
    [ "$status" -eq 0 ] || { cat "$T/err"; exit 1; }
    step=$(sed -n 's/.* rate, \([0-9.]*\) seconds.*/\1/p' "$T/out" | tail -n +3 | sort -n | awk '{ v[NR] = $1 } END { print 1000 * v[int((NR + 1) / 2)] }')
    wait=$(sed -n 's/^ *gradients of all ranks *\([0-9.]*\).*/\1/p' "$T/err")
    echo "$label $step ${wait:-0}"
}

for round in 1 2 3; do
    measure cifar_small_sat 128 20 1280 1 2 none
    measure cifar_small_sat 128 20 1280 2 1 memory
done
for round in 1 2; do
    measure resnet18_cifar_sat 32 6 192 1 2 none
    measure resnet18_cifar_sat 32 6 192 2 1 memory
done
for link in 10gbit 1gbit; do
    measure cifar_small_sat 128 20 1280 2 1 $link
    measure resnet18_cifar_sat 32 6 192 2 1 $link
    measure resnet18_cifar_sat 32 6 192 4 1 $link
done
finish
