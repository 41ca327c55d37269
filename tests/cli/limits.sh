#!/bin/sh
# What the system refuses (sizes of files and of memory, a missing /proc), images that are no files, and numbers that are none.
. tests/cli/lib.sh

tiny_png "$T/png"
tiny_cfg "$T/net.cfg" 3 3 '[softmax]\n' '[reject]\nthreshold=0.5\n'
"$D" classifier train "$tiny_data" "$T/net.cfg" -epochs 2 >"$T/out" 2>"$T/err" </dev/null || {
    echo "not ok training of the network for the limits"
    sed 's/^/# /' "$T/err"
    exit 1
}
W=$T/png/backup/net.weights
image=$T/png/valid_000_leftish.png
sed "s,^train=.*,calib=$T/png/train.list," "$tiny_data" >"$T/calib.data"

# ---- images that are no files ----

mkfifo "$T/pipe.png"
python3 -c 'import socket, sys
socket.socket(socket.AF_UNIX).bind(sys.argv[1])' "$T/socket.png"
while read -r path what; do
    error_case "an image that is $what" 1 "$path: is $what, expected a regular file" \
        timeout 20 "$D" classifier predict "$tiny_data" "$T/net.cfg" "$W" "$path"
done <<END
$T/pipe.png a named pipe
$T/socket.png a socket
/dev/null a device
/dev/zero a device
END

begin "lists may come from pipes"
echo "$image" >"$T/one.list"
(cat "$T/one.list" >"$T/pipe.png") &
run "$D" classifier predict "$tiny_data" "$T/net.cfg" "$W" -list "$T/pipe.png"
expect_status 0
expect_out '  accepted: '
end

# ---- answers that are no numbers ----

python3 - "$W" "$T/nan.weights" <<'END'
import struct, sys
data = open(sys.argv[1], "rb").read()
open(sys.argv[2], "wb").write(data[:20] + struct.pack("<f", 3e38) * ((len(data) - 20) // 4))
END
nan='^warning: .*45 of 45 images have an answer that is not-a-number'
begin "all answers not-a-number: wrong and rejected, whoever asks"
run "$D" classifier valid "$tiny_data" "$T/net.cfg" "$T/nan.weights"
expect_status 0
expect_err "$nan"
expect_out '^top 1: 0\.000000$'
run "$D" classifier reject "$tiny_data" "$T/net.cfg" "$T/nan.weights" -csv "$T/nan.csv" -json "$T/nan.json" -report "$T/report"
expect_status 0
expect_err "$nan"
[ "$(json_value "$T/nan.json" accuracy) $(json_value "$T/nan.json" coverage)" = "0.0 0.0" ] || complain "$(cat "$T/nan.json")"
[ "$(grep -c ',,nan,0,unsure$' "$T/nan.csv")" -eq 45 ] || complain "$(head -n 3 "$T/nan.csv")"
run "$D" classifier reject -from "$T/nan.csv" -classes
expect_status 0
expect_out '^accuracy +0\.00 %'
expect_out '^  leftish +15 +0\.00 % +100\.00 %'
run "$D" classifier predict "$tiny_data" "$T/net.cfg" "$T/nan.weights" -list "$T/png/valid.list"
expect_status 0
expect_err "$nan"
run "$D" classifier calibrate "$T/calib.data" "$T/net.cfg" "$T/nan.weights" -coverage 0.5
expect_err '^warning: .*90 of 90 images'
expect_status 3
end

# ---- what the system refuses ----

begin "a limit of the size of files: an error that names the file, nothing half-written"
run sh -c 'ulimit -f 2; exec "$@"' sh "$D" classifier reject "$tiny_data" "$T/net.cfg" "$W" -csv "$T/large.csv"
expect_error 1 'large\.csv: cannot write: File too large'
expect_no_file "$T/large.csv"
run sh -c 'ulimit -f 2; exec "$@"' sh "$D" classifier train "$tiny_data" "$T/net.cfg" -epochs 1
expect_status 1
expect_err '^error: .*net\.ckpt: cannot write: File too large'
expect_file "$T/png/backup/net.ckpt" # still that of the run before
end

begin "a full disk under standard output at the end of a training"
run sh -c 'exec "$@" >/dev/full' sh "$D" classifier train "$tiny_data" "$T/net.cfg" -epochs 2
expect_status 1
expect_err '^error: standard output: cannot write: No space left on device'
end

if [ -z "${DARKNET:-}" ]; then # a sanitizer's build needs all the addresses there are
    begin "a limit of memory: one message, or a whole run, with any backend"
    for limit in 100000 130000 160000 200000 380000 400000 445000 500000 520000 540000 560000 580000 600000 620000; do
        for command in valid "train -epochs 1" "valid -backend host" "check"; do
            w=$W
            [ "${command%% *}" != train ] || w=
            # shellcheck disable=SC2086
            run sh -c 'ulimit -v $0; exec "$@"' $limit "$D" classifier $command "$tiny_data" "$T/net.cfg" $w
            [ "$status" -eq 0 ] && continue
            expect_error 1 "out of memory$|too little address space \\(ulimit -v\\), expected [0-9]* MiB more for [0-9]* threads|cannot start a loader thread: .*, expected fewer -loaders$"
        done
    done
    end
fi

if [ "$(id -u)" -eq 0 ] && unshare -m true 2>/dev/null && [ -z "${DARKNET:-}" ]; then # a sanitizer reads /proc
    error_case "without /proc" 1 '/proc is not mounted, expected it' \
        unshare -m sh -c 'mount -t tmpfs tmpfs /proc && exec "$@"' sh "$D" classifier valid "$tiny_data" "$T/net.cfg" "$W" -backend host
else
    skip "without /proc" "needs root and unshare"
fi

begin "the process is called darknet"
ln -s "$(realpath "$D")" "$T/darknet"
exec 3<>"$T/pipe.png"
"$T/darknet" classifier predict "$tiny_data" "$T/net.cfg" "$W" -list - <"$T/pipe.png" >"$T/out" 2>"$T/err" 3>&- &
echo "$image" >&3
i=0
until grep -q accepted "$T/out" || [ $i -eq 300 ]; do
    sleep 0.1
    i=$((i + 1))
done
[ "$(cat "/proc/$!/comm")" = darknet ] || complain "it is called $(cat "/proc/$!/comm")"
exec 3>&-
wait $!
end

finish
