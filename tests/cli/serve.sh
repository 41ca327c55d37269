#!/bin/sh
# `classifier serve`: the answers of predict over HTTP, many at once; requests that are wrong, too large, too slow or too many; its end.
. tests/cli/lib.sh
short_runs
export PYTHONDONTWRITEBYTECODE=1

tiny_idx "$T/idx" valid=10 calib=60
data=$tiny_data
tiny_cfg "$T/net.cfg" 1 3 '[sat]\ntarget=abstain\nwarmup_epochs=1\n\n[reject]\nthreshold=0.999\n' &&
    # of a batch of many images oneDNN may refuse one algorithm for the second of these
    sed -i -e 's/^filters=8/filters=32/' -e 's/^\[maxpool\]/[convolutional]\nfilters=32\nsize=3\npad=1\nactivation=leaky\n\n&/' "$T/net.cfg" &&
    "$D" classifier train "$data" "$T/net.cfg" -epochs 3 >"$T/out" 2>"$T/err" </dev/null || {
    echo "not ok training of the network"
    sed 's/^/# /' "$T/err"
    exit 1
}
W=$T/idx/backup/net.weights
find "$T/idx/test" -name '*.png' | sort >"$T/images"
run "$D" classifier predict "$data" "$T/net.cfg" "$W" -list "$T/images" -format jsonl -top 3
cp "$T/out" "$T/lines"
sure=$(grep '"accepted":true' "$T/lines" | head -n 1 | sed 's/.*"path":"\([^"]*\)".*/\1/')
unsure=$(grep '"accepted":false' "$T/lines" | head -n 1 | sed 's/.*"path":"\([^"]*\)".*/\1/')
[ -n "$sure" ] && [ -n "$unsure" ] || echo "not ok images of both kinds"

# serve FLAG…: a server whose address is in $U and whose process in $server; serve_by COMMAND…
server=
trap '[ -z "$server" ] || kill -9 "$server" 2>/dev/null; rm -rf "$T"' EXIT
serve() {
    serve_by "$D" classifier serve "$data" "$T/net.cfg" "$W" -listen 127.0.0.1:0 "$@"
}
serve_by() {
    rm -f "$T/serve.out"
    "$@" >"$T/serve.out" 2>"$T/serve.err" </dev/null &
    server=$!
    for _ in $(seq 100); do
        [ -s "$T/serve.out" ] && break
        sleep 0.1
    done
    U=$(sed -n 's/^net, .*: \(http:.*\/\)$/\1/p' "$T/serve.out")
    [ -n "$U" ] || complain "it did not begin: $(cat "$T/serve.out" "$T/serve.err")"
}
# told to end it does, without a word
stop() {
    kill "$server"
    ended
}
ended() {
    status=0
    wait "$server" || status=$?
    server=
    command_line="classifier serve"
    cp "$T/serve.out" "$T/out"
    cp "$T/serve.err" "$T/err"
    expect_status 0
    expect_quiet
}
client() {
    run timeout 40 python3 tests/cli/serve.py "$@"
    expect_status 0
    [ ! -s "$T/out" ] || complain "$(head -c 2000 "$T/out")"
}

while IFS='|' read -r what code pattern flags; do
    # shellcheck disable=SC2086
    error_case "$what" "$code" "$pattern" "$D" classifier serve "$data" "$T/net.cfg" "$W" $flags
done <<END
an address without a port|2|-listen 127.0.0.1, expected ADDR:PORT|-listen 127.0.0.1
a port too high|2|expected ADDR:PORT|-listen 127.0.0.1:65536
a name as address|2|is no loopback address|-listen somewhere:0
an address for all|2|0.0.0.0:0 is no loopback address.*expected one, or -open|-listen 0.0.0.0:0
a state that is not there|1|none/state|-state none/state
END
error_case "no weights" 2 "missing" "$D" classifier serve "$T/net.cfg"

begin "answers are those of predict: files as bodies and as forms, many at once"
serve -max-wait 20
client answers "$U" "$T/lines"
client tensors "$U" net
port=${U%/}
run timeout 20 "$D" classifier serve "$data" "$T/net.cfg" "$W" -listen "127.0.0.1:${port##*:}"
expect_error 1 "cannot listen on 127.0.0.1, port ${port##*:}: Address already in use"
stop
end

begin "without names, by workers, from another folder"
serve_by env --chdir="$T" "$(realpath "$D")" classifier serve net.cfg "$W" -listen "[::1]:0" -workers 2
client tensors "$U" net
stop
end

begin "files are turned by EXIF, or as exif=0 says"
for exif in 0 1; do
    { cat "$data"; echo "exif=$exif"; } >"$T/idx/exif$exif.data"
    run "$D" classifier predict "$T/idx/exif$exif.data" "$T/net.cfg" "$W" tests/fuzz/corpus/image/jpeg-exif -format jsonl -top 3
    expect_status 0
    cp "$T/out" "$T/lines$exif"
    serve_by "$D" classifier serve "$T/idx/exif$exif.data" "$T/net.cfg" "$W" -listen localhost:0
    client one_by_one "$U" "$T/lines$exif"
    stop
done
expect_different "$T/lines0" "$T/lines1"
end

begin "what is wrong, too large, too slow"
serve -max-body 1 -timeout 1
client errors "$U" net 1100000
client slow "$U" "$sure"
client smuggled "$U"
client corpus "$U" tests/fuzz/corpus/image
stop
serve -max-connections 20
client crowd "$U" 20
client no_decoder "$U" "$sure" "$server"
stop
end

begin "more than can be answered"
serve -max-batch 1 -max-wait 0
client overload "$U" "$sure"
stop
end

begin "its end, with answers owed"
serve -max-wait 1000
client drain "$U" "$sure" "$server"
ended
end

begin "a watch over what it answers"
"$D" classifier predict "$data" "$T/net.cfg" "$W" -list "$T/idx/calib.list" -format csv >"$T/calib.csv" || complain "$?"
head -n 1 "$T/calib.csv" >"$T/none.csv"
run "$D" classifier watch -state "$T/state" -calib "$T/calib.csv" "$T/none.csv"
expect_status 0
sed 's/$/,0/; 1s/,0$/,novelty/' "$T/calib.csv" >"$T/strange.csv"
head -n 1 "$T/strange.csv" | "$D" classifier watch -state "$T/strange" -calib "$T/strange.csv" >"$T/out" || complain "$?"
run "$D" classifier serve "$data" "$T/net.cfg" "$W" -listen 127.0.0.1:0 -state "$T/strange"
expect_error 1 "$T/strange: watches a column novelty, which this cfg has not"
serve -state "$T/state"
run "$D" classifier watch -state "$T/state" "$T/none.csv"
expect_error 1 "another process watches with it"
client alarm "$U" "$unsure"
stop
run "$D" classifier watch -state "$T/state" "$T/none.csv"
expect_status 4
end

if command -v chromedriver >/dev/null 2>&1 && command -v chromium >/dev/null 2>&1; then
    begin "the page in a browser"
    serve
    client page "$U" "$sure" "$unsure"
    stop
    end
else
    skip "the page in a browser" "no chromium and chromedriver"
fi

finish
