#!/bin/sh
# -untrusted: the same results from processes without rights; what hostile files and dying processes cost.
. tests/cli/lib.sh
short_runs

tiny_png "$T/png"
tiny_cfg "$T/net.cfg" 3 3 '[softmax]\n'
"$D" classifier train "$tiny_data" "$T/net.cfg" -epochs 1 >"$T/out" 2>"$T/err" </dev/null || {
    echo "not ok training of the network to predict with"
    sed 's/^/# /' "$T/err"
    exit 1
}
predict() {
    run "$D" classifier predict "$tiny_data" "$T/net.cfg" "$T/png/backup/net.weights" -format jsonl "$@"
}
first=$T/png/valid_000_leftish.png
second=$T/png/valid_001_upperish.png

begin "a file that is too large is not even read"
truncate -s 3G "$T/large.png"
predict -untrusted "$T/large.png"
expect_out 'has 3221225472 bytes, expected at most 268435456 \(untrusted image\)'
rm "$T/large.png"
end

begin "the answers and errors are those without it: files of all kinds, damaged ones, bombs, what is no file"
python3 - "$T" "$first" <<'END_PYTHON'
import struct, sys, zlib
folder, image = sys.argv[1:]
def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
def png(name, w, h, data):
    with open(folder + "/" + name, "wb") as f:
        f.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", w, h, 8, 2, 0, 0, 0)) + chunk(b"IDAT", data) +
                chunk(b"IEND", b""))
pack = zlib.compressobj(9)
png("bomb.png", 8, 8, b"".join(pack.compress(bytes(1 << 20)) for _ in range(256)) + pack.flush())
png("wide.png", 60000, 60000, zlib.compress(b""))
whole = open(image, "rb").read()
open(folder + "/cut.png", "wb").write(whole[:-20])
END_PYTHON
ls tests/fuzz/corpus/image/* >"$T/list"
set -- "$first" "$T/bomb.png" "$second" "$T/wide.png" "$T/cut.png" "$T/png" "$T/gone.png" "$T/net.cfg" -list "$T/list"
predict "$@"
expect_error 1 'images could not be read'
mv "$T/out" "$T/direct"
predict "$@" -untrusted
expect_error 1 'images could not be read'
expect_same "$T/direct" "$T/out"
grep -q 'bomb.png.*takes more memory than 8 x 8 pixels need' "$T/out" || complain "$(grep bomb.png "$T/out")"
[ "$(grep -c '"answer"' "$T/out")" -gt 100 ] || complain "$(grep -c '"answer"' "$T/out") answers"
end

# ---- the processes of a run that waits for paths ----

mkfifo "$T/paths"
start() {
    "$D" classifier predict "$tiny_data" "$T/net.cfg" "$T/png/backup/net.weights" -format jsonl -loaders 1 -untrusted -list - \
        <"$T/paths" >"$T/out" 2>"$T/err" &
    program=$!
    exec 9>"$T/paths"
    command_line="predict of paths that come one by one"
}
# wait_for COMMAND…: until it succeeds, ten seconds at most
wait_for() {
    for _ in $(seq 200); do
        "$@" && return
        sleep .05
    done
    complain "waited in vain for: $*"
    show out
}
lines() {
    [ "$(wc -l <"$T/out")" -eq "$1" ]
}
answer() {
    asked=$((asked + 1))
    echo "$1" >&9
    wait_for lines $asked
}
children() {
    tr -d ' ' <"/proc/$1/task/$1/children" # at most one
}
expect_answers() {
    [ "$(grep -c '"answer"' "$T/out")" -eq "$1" ] && return
    complain "not $1 answers"
    show out
}
gone() {
    [ ! -e "/proc/$1" ] || grep -q '^State:.*Z' "/proc/$1/status"
}
stop() {
    exec 9>&-
    status=0
    wait "$program" || status=$?
}

asked=0
start
answer "$first"
keeper=$(children "$program")
child=$(children $keeper)

begin "a decoder has a filter of calls, no new rights, one descriptor, little memory and time"
for line in 'Seccomp:	2' 'NoNewPrivs:	1'; do
    grep -q "^$line" "/proc/$child/status" || complain "$(grep -E '^(Seccomp|NoNew)' "/proc/$child/status"), expected $line"
done
[ "$(ls "/proc/$child/fd")" = 0 ] || complain "$(ls -l "/proc/$child/fd")"
# the sanitizers map terabytes
case $D in *build-*) space=unlimited ;; *) space=1610612736 ;; esac
for limit in 'cpu time *120 *120' "address space *$space *$space" 'open files *0 *0' 'file size *0 *0' 'core file size *0 *0' 'processes *0 *0'; do
    grep -q "^Max $limit " "/proc/$child/limits" || complain "not 'Max $limit': $(cat "/proc/$child/limits")"
done
end

begin "an image is not lost by what an earlier one has done to the decoder"
kill -SEGV $child
answer "$second"
answer "$first"
expect_answers 3
other=$(children $keeper)
[ -n "$other" ] && [ "$other" != "$child" ] || complain "children '$other' after $child"
end

begin "nor by the end of the decoder that has it"
kill -STOP $other
echo "$first" >&9
sleep .2
kill -SEGV $other
kill -CONT $other
asked=$((asked + 1))
wait_for lines $asked
answer "$second"
expect_answers 5
end

begin "without the process that starts decoders every image is an error"
child=$(children $keeper)
kill -KILL $keeper
wait_for gone $child
answer "$first"
stop
expect_error 1 '1 of 6 images could not be read'
expect_out '"error":"cannot start a decoder: '
end

begin "nothing is left of a run that was killed, even of a decoder that stands still"
asked=0
start
answer "$first"
keeper=$(children "$program")
child=$(children $keeper)
kill -STOP $child
kill -KILL "$program"
stop 2>"$T/killed" # what the shell says of it
wait_for gone $keeper
wait_for gone $child
end

# ---- archives ----

python3 tests/cli/tiny.py idx "$T/archives"
python3 tests/cli/tiny.py cifar "$T/cifar"
gzip -k "$T/archives/train-images"
(cd "$T/cifar" && python3 -m zipfile -c ten.zip cifar-10-batches-bin)
python3 -c 'import sys, tarfile
with tarfile.open(sys.argv[1] + "/pax.tar.gz", "w:gz", format=tarfile.PAX_FORMAT) as t:
    t.add(sys.argv[1] + "/cifar-10-batches-bin", "\u00e4" * 120)' "$T/cifar"
for whole in pax.tar.gz ten.zip; do
    head -c $(($(wc -c <"$T/cifar/$whole") / 2)) "$T/cifar/$whole" >"$T/cifar/cut.$whole"
done
head -c 2000 "$T/archives/train-images" >"$T/archives/cut"

begin "import: the folders, or the errors, are those without it"
while read -r kind sources; do
    rm -rf "$T/with" "$T/without"
    run "$D" classifier import $kind $sources -out "$T/without/set"
    mv "$T/err" "$T/expected"
    expected=$status
    run "$D" classifier import $kind $sources -out "$T/with/set" -untrusted
    expect_status $expected
    expect_same "$T/expected" "$T/err"
    [ "$expected" -eq 1 ] || diff -r "$T/without" "$T/with" >/dev/null || complain "the folders of $sources differ"
    echo "$expected" >>"$T/statuses"
done <<LIST
idx $T/archives/train-images $T/archives/train-labels
idx $T/archives/train-images.gz $T/archives/train-labels -test $T/archives/test-images $T/archives/test-labels
idx $T/archives/cut $T/archives/train-labels
idx $T/archives/train-labels $T/archives/train-labels
idx $T/archives/gone $T/archives/train-labels
cifar10 $T/cifar/cifar-10-binary.tar.gz
cifar10 $T/cifar/ten.zip
cifar10 $T/cifar/pax.tar.gz
cifar10 $T/cifar/cut.pax.tar.gz
cifar10 $T/cifar/cut.ten.zip
cifar10 $T/archives/train-images
LIST
[ "$(sort "$T/statuses" | uniq -c | tr -s ' \n' ' ')" = " 5 0 6 1 " ] || complain "statuses: $(cat "$T/statuses")"
end

finish
