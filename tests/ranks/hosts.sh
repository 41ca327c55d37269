#!/bin/sh
# Ranks on hosts of their own: network namespaces with names and addresses, joined by a bridge. From the repository root.
. tests/cli/lib.sh
. tests/ranks/net.sh

if ! command -v mpirun >/dev/null; then
    skip "ranks on several hosts" "mpirun is missing (openmpi-bin)"
    finish
fi
if ! net_up 2 2>"$T/why"; then
    skip "ranks on several hosts" "no right to make network namespaces ($(tail -n 1 "$T/why"))"
    finish
fi
short_runs
ASAN_OPTIONS=${ASAN_OPTIONS:-}:detect_leaks=0 # those of MPI
export ASAN_OPTIONS

tiny_idx "$T/idx"
tiny_cfg "$T/net.cfg" 1 3 '[sat]\ntarget=ema\nwarmup_epochs=1\n'
sed -i 's/^decay=.*/&\nsync_batchnorm=1/; s/^max_batches=.*/max_batches=50/' "$T/net.cfg"

begin "two hosts train what two ranks of one do"
to here
to hosts
run timeout 100 env OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 mpirun --oversubscribe -n 2 "$D" classifier train \
    "$T/idx/here.data" "$T/net.cfg" -threads 1
expect_status 0
run net_run 2 "$D" classifier train "$T/idx/hosts.data" "$T/net.cfg" -threads 1
expect_status 0
expect_err 'ranks 2, each with [0-9]+ MiB'
expect_same "$T/here/net.weights" "$T/hosts/net.weights"
end

cat >"$T/other" <<'OTHER'
#!/bin/sh
cd "$HERE/$OMPI_COMM_WORLD_RANK" && exec "$@"
OTHER
chmod +x "$T/other"
export HERE="$T"
mkdir "$T/0" "$T/1"
cp "$T/net.cfg" "$T/0"

begin "a cfg that only the other host lacks"
run net_run 2 "$T/other" "$(realpath "$D")" classifier train "$T/idx/hosts.data" net.cfg -threads 1
expect_status 1
expect_err '^error: net.cfg: rank 1 on dsr2: '
end

begin "the rank of a host is killed: all end, and the run goes on on one host"
to long
long="classifier train $T/idx/long.data $T/net.cfg -threads 1 -epochs 1000000"
(while [ ! -e "$T/long/net-1/net.backup" ]; do sleep 0.1; done; ip netns pids "$NET"2 | while read -r pid; do
    [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = "$(basename "$D" | cut -c 1-15)" ] && kill -KILL "$pid"
done) &
run net_run 2 "$D" $long
[ "$status" -ne 0 ] && [ "$status" -ne 124 ] || complain "status $status"
flock -w 20 "$T/long/net-1" true # mpirun ends before its ranks do
run sh -c "\"\$@\" & pid=\$!; sleep 3; kill -TERM \$pid; wait \$pid" sh "$D" $long -resume
expect_err '^error: interrupted after batch [0-9]+ of .*, saved in .*/long/net-1; to go on: '
end

finish
