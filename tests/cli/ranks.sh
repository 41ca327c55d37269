#!/bin/sh
# Several ranks under mpirun: the same training as by one, and what happens when one of them fails.
. tests/cli/lib.sh

if ! command -v mpirun >/dev/null; then
    skip "training by several ranks" "mpirun is missing (openmpi-bin)"
    finish
fi
short_runs
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
ASAN_OPTIONS=${ASAN_OPTIONS:-}:detect_leaks=0 # those of MPI
export ASAN_OPTIONS

# ranks N COMMAND…
ranks() {
    count=$1
    shift
    run timeout 100 mpirun --oversubscribe -n "$count" "$@"
}

tiny_idx "$T/idx"
data=$tiny_data

# close LOG WEIGHTS LOG WEIGHTS: the losses of both, the weights
close() {
    python3 -c 'import re, struct, sys
def losses(f):
    return [float(l.split()[2].rstrip(",")) for l in open(f) if re.match(r"\d+, ", l)]
def weights(f):
    b = open(f, "rb").read()
    return struct.unpack("%df" % ((len(b) - 20) // 4), b[20:])
a, b = losses(sys.argv[1]), losses(sys.argv[3])
assert len(a) == len(b) == 50, (len(a), len(b))
worst = max(abs(x - y) / x for x, y in zip(a, b))
assert worst < 1e-4, "losses differ by %g" % worst
a, b = weights(sys.argv[2]), weights(sys.argv[4])
worst = max(abs(x - y) for x, y in zip(a, b))
assert worst < 1e-3, "weights differ by %g" % worst' "$@" 2>"$T/why" || complain "$(tail -n 1 "$T/why")"
}

tiny_cfg "$T/ema.cfg" 1 3 '[sat]\ntarget=ema\nwarmup_epochs=1\n'
sed -i '/batch_normalize/d; s/^max_batches=.*/max_batches=50/' "$T/ema.cfg"
tiny_cfg "$T/plain.cfg" 1 3 '[softmax]\n'
sed -i '/batch_normalize/d; s/^max_batches=.*/max_batches=50/' "$T/plain.cfg"
adam_cfg "$T/ema.cfg" >"$T/adam.cfg"
sed 's/^decay=.*/&\nmixup=1/' "$T/plain.cfg" >"$T/mixup.cfg"
sed 's/^decay=.*/&\nregmixup=1\nsampling=balanced\naverage=ema/' "$T/ema.cfg" >"$T/regmixup.cfg"
cp "$T/ema.cfg" "$T/host.cfg"

tiny_cfg "$T/sync.cfg" 1 3 '[sat]\ntarget=ema\nwarmup_epochs=1\n'
sed -i 's/^decay=.*/&\nsync_batchnorm=1/; s/^max_batches=.*/max_batches=50/' "$T/sync.cfg"

for kind in ema adam mixup regmixup host sync; do
    begin "two ranks, $kind: losses and weights of one"
    backend=
    [ $kind = host ] && backend="-backend host"
    to one.$kind
    to two.$kind
    run "$D" classifier train "$T/idx/one.$kind.data" "$T/$kind.cfg" -threads 1 $backend
    expect_status 0
    cp "$T/out" "$T/one"
    ranks 2 "$D" classifier train "$T/idx/two.$kind.data" "$T/$kind.cfg" -threads 1 $backend
    expect_status 0
    expect_err 'ranks 2, each with [0-9]+ MiB'
    close "$T/one" "$T/one.$kind/$kind.weights" "$T/out" "$T/two.$kind/$kind.weights"
    end
done

begin "the same ranks, the same seed: the same weights"
to again
ranks 2 "$D" classifier train "$T/idx/again.data" "$T/ema.cfg" -threads 1
expect_status 0
expect_same "$T/again/ema.weights" "$T/two.ema/ema.weights"
end

tiny_cfg "$T/small.cfg" 1 3 '[softmax]\n' '[reject]\n'
sed -i 's/^max_batches=.*/max_batches=15/; s/^subdivisions=.*/subdivisions=1/' "$T/small.cfg"
to small
run "$D" classifier train "$T/idx/small.data" "$T/small.cfg" -threads 1
small="$T/idx/small.data $T/small.cfg $T/small/small.weights -threads 1"
for n in 2 3; do
    begin "the answers of $n ranks, byte for byte those of one"
    run "$D" classifier reject $small -csv "$T/csv.1" -json "$T/json.1" -list train="$T/idx/train.list"
    expect_status 0
    cp "$T/out" "$T/reject.1"
    ranks $n "$D" classifier reject $small -csv "$T/csv.$n" -json "$T/json.$n" -list train="$T/idx/train.list"
    expect_status 0
    expect_same "$T/csv.1" "$T/csv.$n"
    expect_same "$T/json.1" "$T/json.$n"
    expect_same "$T/reject.1" "$T/out"
    run "$D" classifier valid $small
    cp "$T/out" "$T/valid.1"
    ranks $n "$D" classifier valid $small
    expect_same "$T/valid.1" "$T/out"
    for format in "csv -batch 7" "jsonl -batch 7" "text -batch 100"; do
        set -- "$T/idx/test" "$T/idx/missing.png" -list "$T/idx/valid.list" -format $format
        run "$D" classifier predict $small "$@"
        expect_status 1
        cp "$T/out" "$T/predict.1"
        ranks $n "$D" classifier predict $small "$@"
        expect_same "$T/predict.1" "$T/out"
        expect_err '^error: 1 of 91 images could not be read$'
    done
    end
done

begin "predict of fewer images than ranks; lists and flags of one rank alone"
sed 2q "$T/idx/valid.list" | sed "s|^|$T/idx/|" >"$T/two.list"
run "$D" classifier predict $small -list "$T/two.list"
expect_status 0
cp "$T/out" "$T/predict.1"
ranks 3 "$D" classifier predict $small -list "$T/two.list" -batch 1
expect_status 0
expect_same "$T/predict.1" "$T/out"
for words in "-list -" "-list $T/pipe" "-untrusted -list $T/two.list"; do
    [ -p "$T/pipe" ] || mkfifo "$T/pipe"
    ranks 2 "$D" classifier predict $small $words
    expect_status 2
    expect_err "^error: ${words%% *}.* with 2 ranks, expected"
done
end

begin "a threshold that ranks find, with strangers"
sed "s|^valid *=|calib=|" "$T/idx/small.data" >"$T/idx/calib.data"
small="$T/idx/calib.data $T/small.cfg $T/small/small.weights -threads 1 -coverage 0.8"
mkdir "$T/by1" "$T/by2"
run "$D" classifier calibrate $small -out "$T/by1/net.cfg" -novelty 0.1
expect_status 0
ranks 2 "$D" classifier calibrate $small -out "$T/by2/net.cfg" -novelty 0.1
expect_status 0
for file in $(cd "$T/by1" && ls); do
    expect_same "$T/by1/$file" "$T/by2/$file"
done
end

begin "a batch that cannot be shared out"
to three
ranks 3 "$D" classifier train "$T/idx/three.data" "$T/ema.cfg" -threads 1
expect_status 1
expect_err '^error: .*ema.cfg:2: batch=16 subdivisions=2 cannot be shared out to 3 ranks, expected batch=12 or 18$'
[ "$(grep -c ^error: "$T/err")" -eq 1 ] || complain "$(cat "$T/err")"
end

begin "statistics of all ranks are the backend's alone"
ranks 2 "$D" classifier train "$T/idx/three.data" "$T/sync.cfg" -threads 1 -backend host
expect_status 1
expect_err '^error: .*sync.cfg:[0-9]*: sync_batchnorm=1, but layer 0 is computed by'
end

begin "a command that one copy does"
ranks 2 "$D" classifier noise "$data" -rate 0.1 -out "$T/noise"
expect_status 2
expect_err "^error: 'classifier noise' is started 2 times"
expect_no_file "$T/noise"
end

# elsewhere COMMAND…: each rank in a folder of its own, where files of the same names may be others
cat >"$T/elsewhere" <<'ELSEWHERE'
#!/bin/sh
cd "$HERE/$OMPI_COMM_WORLD_RANK" && exec "$@"
ELSEWHERE
# words COMMAND…: rank 1 with $MORE
cat >"$T/words" <<'WORDS'
#!/bin/sh
[ "$OMPI_COMM_WORLD_RANK" = 1 ] && set -- "$@" $MORE
exec "$@"
WORDS
chmod +x "$T/elsewhere" "$T/words"
export HERE="$T" MORE
rank1="rank 1 on $(hostname)"
# differ NAME COMMAND…: refused before the first step or image, whatever the difference
differ() {
    begin "$1 differs on another rank"
    what=$2
    shift 2
    ranks 2 "$@"
    expect_status 1
    expect_err "^error: $rank1: .*$what.*: not the same as on rank 0"
    [ "$(grep -c ^error: "$T/err")" -eq 1 ] || complain "$(cat "$T/err")"
    ! grep -q MPI_ABORT "$T/err" || complain "$(cat "$T/err")"
    [ ! -s "$T/out" ] || show out
    end
}

program=$(realpath "$D")
to other
for r in 0 1; do
    mkdir -p "$T/$r"
    for file in "$T/small.cfg" "$T/small/small.weights" "$T"/idx/*.list "$T/idx/labels" "$T/idx/names" "$T/idx/other.data"; do
        cp "$file" "$T/$r"
    done
    sed -i "s|^\([a-z]*/\)|$T/idx/\1|" "$T/$r"/*.list
done
alter() {
    sed "$2" "$T/0/$1" >"$T/1/$1"
}
there="other.data small.cfg small.weights -threads 1"
MORE="-threads 2"
differ "a flag" "the command line classifier valid .* -threads 2" "$T/words" "$program" classifier valid "$T/0/other.data" "$T/small.cfg" "$T/small/small.weights"
alter small.cfg 's/^\[reject\]/&\nthreshold=0.9/'
for command in "train -clear" valid; do
    differ "the cfg of $command" small.cfg "$T/elsewhere" "$program" classifier $command $there
done
cp "$T/0/small.cfg" "$T/1"
for file in names valid.list other.data; do
    alter $file '1s|$|x|'
    differ "$file" $file "$T/elsewhere" "$program" classifier valid $there
    cp "$T/0/$file" "$T/1"
done

begin "the weights differ on another rank"
python3 -c 'import sys
b = bytearray(open(sys.argv[1], "rb").read())
b[-1] ^= 1
open(sys.argv[1], "wb").write(b)' "$T/1/small.weights"
ranks 2 "$T/elsewhere" "$program" classifier reject $there
expect_status 1
expect_err "^error: $rank1: the weights: not the same as on rank 0"
end

begin "what is wrong on another rank alone ends all, with its message, rank and host"
rm "$T/1/small.cfg"
ranks 2 "$T/elsewhere" "$program" classifier train -clear $there
expect_status 1
expect_err "^error: .*small.cfg: $rank1: cannot (open|read)"
expect_no_file "$T/other/small.ckpt"
ranks 2 "$T/elsewhere" "$program" classifier valid $there
expect_status 1
expect_err "^$rank1: error: small.cfg: cannot (open|read)"
end

begin "help or a wrong word on one rank ends all; help of all is told once"
for MORE in -h -nonsense; do
    ranks 2 "$T/words" "$program" classifier valid $there
    expect_status 1
    expect_err "^error: $rank1: the command line .*$MORE: not the same as on rank 0"
done
ranks 2 "$program" classifier valid -h
expect_status 0
[ "$(grep -c ^usage: "$T/out")" -eq 1 ] || complain "$(cat "$T/out")"
ranks 2 "$program" classifier valid -nonsense
expect_status 2
[ "$(grep -c ^error: "$T/err")" -eq 1 ] || complain "$(cat "$T/err")"
end

begin "ranks that MPI does not know of: one message"
for by in "PMI_SIZE=2 PMI_RANK" "SLURM_STEP_NUM_TASKS=2 SLURM_PROCID"; do
    # shellcheck disable=SC2086
    run timeout 60 env $by=0 "$D" classifier valid $there
    expect_error 1 '2 ranks were started, MPI sees 1, expected as many: srun needs --mpi=pmix'
    # shellcheck disable=SC2086
    run timeout 60 env $by=1 "$D" classifier valid $there
    expect_status 1
    expect_quiet
done
end

begin "one rank of mpirun, whose output is no terminal, draws no progress"
to single
ranks 1 "$D" classifier train "$T/idx/single.data" "$T/small.cfg" -threads 1
expect_status 0
expect_out '^15, '
end

begin "what all find wrong is told once, without MPI's own words"
ranks 2 "$program" classifier valid "$T/0/other.data" "$T/small.cfg" "$T/missing"
expect_status 1
[ "$(grep -c ^error: "$T/err")" -eq 1 ] || complain "$(cat "$T/err")"
! grep -q MPI_ABORT "$T/err" || complain "$(cat "$T/err")"
end

# once FILE is there, rank 1 gets the signal
cat >"$T/die" <<'DIE'
#!/bin/sh
file=$1
signal=$2
shift 2
if [ "$OMPI_COMM_WORLD_RANK" = 1 ]; then
    pid=$$
    (while [ ! -e "$file" ]; do sleep 0.1; done; kill -"$signal" $pid) &
fi
exec "$@"
DIE
chmod +x "$T/die"
cp "$T/sync.cfg" "$T/long.cfg"
to long
long="classifier train $T/idx/long.data $T/long.cfg -threads 1 -epochs 1000000"

begin "a rank that is killed ends all; the run goes on on one"
ranks 2 "$T/die" "$T/long/long-1/long.backup" KILL "$D" $long
[ "$status" -ne 0 ] && [ "$status" -ne 124 ] || complain "status $status"
flock -w 20 "$T/long/long-1" true # mpirun ends before its ranks do
run sh -c "\"\$@\" & pid=\$!; sleep 3; kill -TERM \$pid; wait \$pid" sh "$D" $long -resume
expect_err '^note: the run was computed by onednn .*, 1 thread, 2 ranks so far, by onednn .*, 1 thread from now on'
expect_err '^error: interrupted after batch [0-9]+ of .*, saved in .*/long/long-1; to go on: '
end

begin "an image that one rank loses in mid-run ends all, saved"
to lost
cp -r "$T/idx/train" "$T/idx/train2"
sed "s|^train/|train2/|" "$T/idx/train.list" >"$T/idx/train2.list"
sed -i "s|^train *=.*|train=$T/idx/train2.list|" "$T/idx/lost.data"
(while [ ! -e "$T/lost/long-1/long.backup" ]; do sleep 0.1; done; rm -r "$T/idx/train2/1") &
ranks 2 "$D" classifier train "$T/idx/lost.data" "$T/long.cfg" -threads 1 -epochs 1000000 -cache 0
expect_status 1
expect_err '^error: .*train2/1/.*; saved in .*/lost/long-1 after batch [0-9]+, -resume goes on'
[ "$(grep -c ^error: "$T/err")" -eq 1 ] || complain "$(cat "$T/err")"
end

begin "a signal to any rank saves, on all of them"
rm "$T/long/long-1/long.backup"
ranks 2 "$T/die" "$T/long/long-1/long.backup" INT "$D" $long -resume
expect_status 130
expect_err '^error: interrupted after batch [0-9]+ of .*, saved in .*/long/long-1; to go on: '
[ "$(grep -c ^error: "$T/err")" -eq 1 ] || complain "$(cat "$T/err")"
end

begin "ranks do not share a GPU's gradients"
to gpu
ranks 2 env LD_LIBRARY_PATH="${BENCH_DIR:-build/bench}/../tests/gpu" "$D" classifier train "$T/idx/gpu.data" "$T/plain.cfg" -backend cuda
grep -q "backend cuda keeps gradients to itself, which ranks must share" "$T/err" || complain "$(cat "$T/err")"
end

finish
