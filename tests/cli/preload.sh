#!/bin/sh
# libdarknet-sat.so in other programs: a C client and Python's ctypes.
. tests/cli/lib.sh
library=${PRELOAD:-$PWD/libdarknet-sat.so}

tiny_idx "$T/set"
tiny_cfg "$T/plain.cfg" 1 3 '[softmax]'
tiny_cfg "$T/ema.cfg" 1 3 '[sat]\ntarget=ema\nwarmup_epochs=1\n\n[reject]'
tiny_cfg "$T/never.cfg" 1 3 '[sat]\ntarget=ema\nwarmup_epochs=1\n\n[reject]\nthreshold=1'
tiny_cfg "$T/abstain.cfg" 1 3 '[sat]\ntarget=abstain\nwarmup_epochs=1\n\n[reject]'
gcc -O1 -I/usr/lib/darknet/include tests/cli/preload_client.c -o "$T/client" -L/usr/lib/darknet -ldarknet -Wl,-rpath,/usr/lib/darknet ||
    exit 1

begin "train the networks"
run "$D" classifier train "$tiny_data" "$T/ema.cfg"
expect_status 0
run "$D" classifier train "$tiny_data" "$T/abstain.cfg"
expect_status 0
end
ema=$T/set/backup/ema.weights
abstain=$T/set/backup/abstain.weights

client() { run env LD_PRELOAD="$library" "$T/client" "$@"; }
python() { run env LD_PRELOAD="$library" python3 tests/cli/preload_client.py "$@"; }

begin "a cfg without plugin sections is left alone"
run "$T/client" "$T/plain.cfg" "$ema"
cp "$T/out" "$T/want"
client "$T/plain.cfg" "$ema"
expect_status 0
expect_same "$T/out" "$T/want"
end

begin "[sat] and [reject] give the probabilities of the same weights under [softmax]"
client "$T/ema.cfg" "$ema"
expect_status 0
expect_same "$T/out" "$T/want"
end

begin "a rejected image gives zeros"
client "$T/never.cfg" "$ema"
expect_status 0
[ "$(sort -u "$T/out")" = 0.000000 ] || complain "outputs are not all zero"
end

begin "the threshold of the answer's class decides"
answer=$(awk '$1 > most { most = $1; best = NR } END { print best }' "$T/want")
for others in inf -inf; do
    thresholds=$(awk -v a="$answer" -v o=$others 'BEGIN { for (i = 1; i <= 3; i++) printf("%s%s", (i > 1 ? "," : ""), (i == a ? (o == "inf" ? 0 : "inf") : o)) }')
    sed "s/^threshold=.*/thresholds=$thresholds/" "$T/never.cfg" >"$T/classes.cfg"
    client "$T/classes.cfg" "$ema"
    expect_status 0
    if [ $others = inf ]; then
        expect_same "$T/out" "$T/want"
    else
        [ "$(sort -u "$T/out")" = 0.000000 ] || complain "thresholds=$thresholds: outputs are not all zero"
    fi
done
end

begin "target=abstain gives as many outputs as classes"
client "$T/abstain.cfg" "$abstain"
expect_status 0
[ "$(wc -l <"$T/out")" -eq 3 ] || complain "expected 3 outputs"
awk '{ s += $1 } END { exit !(s > 0.99999 && s < 1.00001) }' "$T/out" || complain "they do not add up to 1"
cp "$T/out" "$T/want_abstain"
end

for mode in LOCAL GLOBAL; do
    begin "python, RTLD_$mode"
    python $mode "$T/ema.cfg" "$ema" 1 3
    expect_status 0
    expect_same "$T/out" "$T/want"
    python $mode "$T/abstain.cfg" "$abstain" 1 3
    expect_status 0
    expect_same "$T/out" "$T/want_abstain"
    end
done

begin "a bad cfg ends the client with a message"
sed 's/target=ema/target=emma/' "$T/ema.cfg" >"$T/bad.cfg"
client "$T/bad.cfg" "$ema"
expect_status 1
expect_err "^error: .*bad.cfg:[0-9]+: target=emma.*ema"
end

begin "nothing but what replaces the host is exported"
run sh -c "nm -D --defined-only '$library' | awk '{ print \$3 }' | sort | tr '\n' ' '"
expect_out '^free_layer parse_network_cfg $'
end

finish
