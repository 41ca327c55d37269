#!/bin/sh
# `classifier serve` against `classifier predict -untrusted`, in turn: images a second, and processor time an image of all their processes.
# usage: [ROUNDS=3] [SECONDS_EACH=4] sh bench/http.sh DATA CFG WEIGHTS LIST      needs wrk and GNU time
set -e
export OMP_WAIT_POLICY=passive
T=$(mktemp -d)
server=
trap 'kill $server 2>/dev/null; rm -rf "$T"' EXIT
list=$4
head -n 1 "$list" >"$T/one" # a path from the folder of the list
case $(cat "$T/one") in /*) image=$(cat "$T/one") ;; *) image=$(dirname "$list")/$(cat "$T/one") ;; esac
cat >"$T/post.lua" <<END
local f = io.open("$image", "rb"); wrk.method = "POST"; wrk.body = f:read("*a"); f:close()
END

# ticks of the server, the process that starts its decoders, and these
ticks() {
    until middle=$(pgrep -P "$1"); do sleep .1; done
    cat "/proc/$1/stat" "/proc/$middle/stat" $(pgrep -P "$middle" | sed 's,.*,/proc/&/stat,') | sed 's/.*) //' | awk '{ n += $12 + $13 } END { print n }'
}
for _ in $(seq "${ROUNDS:-3}"); do
    /usr/bin/time -o "$T/time" -f '%e %U %S' ./darknet classifier predict "$1" "$2" "$3" -list "$list" -format csv -untrusted >/dev/null
    awk -v n="$(wc -l <"$list")" '{ printf "predict %.0f images/s, %.0f us an image (its start among them)\n", n / $1, ($2 + $3) / n * 1e6 }' "$T/time"
    ./darknet classifier serve "$1" "$2" "$3" -listen 127.0.0.1:0 >"$T/out" &
    server=$!
    while [ ! -s "$T/out" ]; do sleep .1; done
    before=$(ticks $server)
    wrk -t1 -c64 "-d${SECONDS_EACH:-4}s" --latency -s "$T/post.lua" "$(sed 's/.*: //' "$T/out")classify" >"$T/wrk"
    after=$(ticks $server)
    kill $server
    wait $server
    server=
    awk -v t=$((after - before)) '$1 == "50%" { p50 = $2 } $1 == "99%" { p99 = $2 } / requests in / { n = $1 } /^Requests\/sec/ {
        printf "serve   %.0f images/s, %.0f us an image; half within %s, 99 %% within %s\n", $2, t / n * 1e4, p50, p99 }' "$T/wrk"
    ! grep Non-2xx "$T/wrk"
done
