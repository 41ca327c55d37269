#!/bin/sh
# `classifier predict`: answers, percentages and verdicts; images of every kind; what cannot be predicted.
. tests/cli/lib.sh

tiny_png "$T/png"
colour_data=$tiny_data
tiny_cfg "$T/sat.cfg" 3 3 '[sat]\ntarget=abstain\nwarmup_epochs=1\n' '[reject]\nconfidence=msp\nthreshold=0.5\n'
tiny_cfg "$T/soft.cfg" 3 3 '[softmax]\n'
for net in sat soft; do
    "$D" classifier train "$colour_data" "$T/$net.cfg" -epochs 4 >"$T/out" 2>"$T/err" </dev/null || {
        echo "not ok training of the network to predict with"
        sed 's/^/# /' "$T/err"
        exit 1
    }
done
W=$T/png/backup
predict() {
    run "$D" classifier predict "$colour_data" "$T/$net.cfg" "$W/$net.weights" "$@"
}
net=sat
first=$T/png/valid_000_leftish.png
second=$T/png/valid_001_upperish.png

begin "path, top= classes by name with percentages, verdict with confidence and threshold of the cfg"
predict "$first" "$second"
expect_status 0
expect_quiet
[ "$(wc -l <"$T/out")" -eq 8 ] || complain "$(wc -l <"$T/out") lines, expected 4 an image"
[ "$(sed -n 1p "$T/out")|$(sed -n 5p "$T/out")" = "$first|$second" ] || complain "paths are not lines 1 and 5"
sed -n '2s/.*%  //p;6s/.*%  //p' "$T/out" | tr '\n' ' ' | grep -qx 'leftish upperish ' || complain "$(cat "$T/out")"
sed -n 4p "$T/out" | grep -Eqx '  accepted: confidence [01]\.[0-9]+ \(msp\), threshold 0\.5000' || complain "$(sed -n 4p "$T/out")"
end

begin "-threshold goes before that of the cfg"
predict "$first" -threshold 1
expect_status 0
sed -n 's/^  REJECTED: confidence \([^ ]*\) (msp), threshold \([^ ]*\)$/\1 \2/p' "$T/out" |
    awk '{ n++; bad += !($1 >= 0 && $1 < 1 && $2 == 1) } END { exit !(n == 1 && !bad) }' ||
    complain "expected one line: REJECTED, a printed confidence below the printed threshold 1: $(tail -n 1 "$T/out")"
end

begin "msp is the printed probability, to its last digit"
predict -list "$T/png/valid.list" -format csv
expect_status 0
python3 -c 'import csv, sys
for r in csv.DictReader(open(sys.argv[1])):
    assert r["confidence"] == r["probability_1"], r' "$T/out" 2>"$T/wrong" || complain "$(tail -n 1 "$T/wrong")"
end

begin "a threshold just above the confidence is told apart from it"
"$D" classifier reject "$colour_data" "$T/sat.cfg" "$W/sat.weights" -csv "$T/rows.csv" >/dev/null 2>&1
python3 - "$T/rows.csv" >"$T/near" <<'END'
import csv, math, sys
rows = list(csv.DictReader(open(sys.argv[1])))
row = next(r for r in rows if float(r["confidence"]) < 1)
c = float(row["confidence"])
m, e = math.frexp(c)
print(row["path"])
print(repr(min(1.0, c + math.ldexp(1, e - 53))))
END
predict "$(sed -n 1p "$T/near")" -threshold "$(sed -n 2p "$T/near")"
expect_status 0
expect_out '^  REJECTED: '
sed -n 's/.*confidence \([^ ]*\) .*threshold \(.*\)/\1 \2/p' "$T/out" | awk '{ exit $1 "" == $2 "" }' || complain "$(tail -n 1 "$T/out")"
end

begin "without [reject] everything is accepted, -threshold works all the same"
net=soft
predict "$first"
expect_status 0
expect_out '^  accepted: confidence [01]\.[0-9]+ \(msp\), no threshold$'
predict "$first" -threshold 1
expect_out '^  REJECTED: '
net=sat
end

begin "percentages are those that valid and reject see"
run "$D" classifier reject "$colour_data" "$T/sat.cfg" "$W/sat.weights" -csv "$T/all.csv"
expect_status 0
python3 -c 'import csv, sys
print("%.4f" % [float(r["confidence"]) for r in csv.DictReader(open(sys.argv[1])) if r["path"] == sys.argv[2]][0])' \
    "$T/all.csv" "$first" >"$T/expected"
predict "$first"
expect_out "confidence $(cat "$T/expected") "
end

begin "grey, palette, alpha and 16 bits; one pixel, one row; blanks and quotes in the name"
python3 - "$T" <<'END_PYTHON'
import os, struct, sys, zlib
def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
for w, h in ((1, 1), (5000, 1), (1, 700), (9, 7)):
    for colour, depth, samples in ((0, 8, 1), (0, 16, 1), (0, 1, 1), (2, 16, 3), (3, 8, 1), (4, 8, 2), (6, 8, 4), (6, 16, 4)):
        row = b"\0" + bytes((w * samples * depth + 7) // 8)
        palette = chunk(b"PLTE", bytes(768)) if colour == 3 else b""
        name = 'an "odd" image %dx%d, %d of %d bits.png' % (w, h, colour, depth)
        with open(os.path.join(sys.argv[1], name), "wb") as f:
            f.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", w, h, depth, colour, 0, 0, 0)) + palette +
                    chunk(b"IDAT", zlib.compress(row * h)) + chunk(b"IEND", b""))
END_PYTHON
predict "$T"/an*.png
expect_status 0
[ "$(grep -c 'confidence' "$T/out")" -eq 32 ] || complain "$(grep -c confidence "$T/out") verdicts, expected 32"
! grep -q nan "$T/out" || complain "not-a-number among the answers"
end

error_case "threshold in percent" 2 'threshold 80, expected a probability in .0, 1.; did you mean 0\.8' \
    "$D" classifier predict "$colour_data" "$T/sat.cfg" "$W/sat.weights" "$first" -threshold 80
error_case "weights of another network" 1 'soft\.weights' \
    "$D" classifier predict "$colour_data" "$T/sat.cfg" "$W/soft.weights" "$first"

# ---- many images ----

begin "an image that is none between two that are: error in the output and on standard error, status 1"
predict "$first" "$T/sat.cfg" "$second"
expect_error 1 'sat\.cfg: cannot decode'
expect_err '^error: 1 of 3 images could not be read$'
grep -v '^  ' "$T/out" >"$T/paths"
printf '%s\n' "$first" "$T/sat.cfg" "$second" >"$T/expected"
expect_same "$T/paths" "$T/expected"
[ "$(grep -c 'accepted: ' "$T/out")" -eq 2 ] || complain "$(grep -c 'accepted: ' "$T/out") verdicts, expected 2"
expect_out '^  error: cannot decode: '
end

mkdir -p "$T/tree/b/deep" "$T/tree/.hidden" "$T/none"
cp "$first" "$T/tree/b/deep/2.PNG"
cp "$first" "$T/tree/a.png"
cp "$second" "$T/tree/c.png"
cp "$second" "$T/tree/b/1.png"
cp "$second" "$T/tree/.hidden/no.png"
cp "$second" "$T/tree/no.txt"
ln -s .. "$T/tree/b/deep/loop"
ln -s gone.png "$T/tree/b/lost.png"
mkfifo "$T/tree/pipe.png"
begin "a folder: all images below it in the order of names, links that lead nowhere or back are errors"
predict -format csv "$T/tree" "$first"
expect_error 1 '3 of 8 images could not be read'
cut -d, -f1 "$T/out" | sed 1d >"$T/paths"
for file in a.png b/1.png b/deep/2.PNG b/deep/loop b/lost.png c.png pipe.png; do echo "$T/tree/$file"; done >"$T/expected"
echo "$first" >>"$T/expected"
expect_same "$T/paths" "$T/expected"
expect_out 'deep/loop,,,,"is a link to a folder that holds it'
expect_out 'lost\.png,,,,"cannot open: No such file'
expect_out 'pipe\.png,,,,"is a named pipe, expected a regular file'
end
rm "$T/tree/pipe.png"
error_case "a folder without images" 1 'none: no images there, expected \.png' \
    "$D" classifier predict "$colour_data" "$T/sat.cfg" "$W/sat.weights" "$T/none"

begin "a list: blank lines, CRLF, a byte order mark, paths beside the list, no newline at the end; after the images"
printf '\357\273\277a.png\r\n\n  b/1.png \nc.png' >"$T/tree/some.list"
predict -list "$T/tree/some.list" "$first" -format csv
expect_status 0
expect_quiet
cut -d, -f1 "$T/out" | sed 1d >"$T/paths"
printf '%s\n' "$first" "$T/tree/a.png" "$T/tree/b/1.png" "$T/tree/c.png" >"$T/expected"
expect_same "$T/paths" "$T/expected"
end

begin "a list with labels, where the .data file says that lists have them"
{
    grep -v '^ *labels_from' "$colour_data"
    echo labels_from=list
} >"$T/png/listed.data"
printf '%s\tleftish\n' "$first" "$second" >"$T/labelled.list"
run "$D" classifier predict "$T/png/listed.data" "$T/sat.cfg" "$W/sat.weights" -list "$T/labelled.list" -format csv
expect_status 0
[ "$(wc -l <"$T/out")" -eq 3 ] || complain "$(cat "$T/out")"
end

for bad in /dev/null "$T/none" "$T/gone.list" "$W/sat.weights"; do
    error_case "no list: $(basename "$bad")" 1 "$bad.*expected a (path|list)" \
        "$D" classifier predict "$colour_data" "$T/sat.cfg" "$W/sat.weights" -list "$bad"
done
error_case "neither image nor list" 2 'IMAGE is missing' "$D" classifier predict a b c
error_case "unknown format" 2 '-format json, expected' "$D" classifier predict a b c d -format json
error_case "no class" 2 '-top 0, expected' "$D" classifier predict a b c d -top 0

begin "standard input and other sizes of batch: the same answers in order"
for i in 1 2 3 4 5; do
    find "$T/png" -name 'valid_*.png' | sort
done >"$T/all.list"
"$D" classifier predict "$colour_data" "$T/sat.cfg" "$W/sat.weights" -list - -format csv <"$T/all.list" >"$T/all.csv" 2>"$T/err" ||
    complain "$(cat "$T/err")"
cat >"$T/compare.py" <<'END'
import csv, sys
a, b = (list(csv.DictReader(open(f))) for f in sys.argv[1:3])
paths = open(sys.argv[3]).read().splitlines()
assert [r["path"] for r in a] == [r["path"] for r in b] == paths, "order of the paths"
assert len(set(r["confidence"] for r in a)) > 20
for r, s in zip(a, b):
    assert r["class_1"] == s["class_1"] and abs(float(r["confidence"]) - float(s["confidence"])) < 1e-5, (r, s)
END
for batch in 1 7; do
    predict -list "$T/all.list" -format csv -batch $batch -loaders 3
    expect_status 0
    python3 "$T/compare.py" "$T/all.csv" "$T/out" "$T/all.list" >"$T/diff" 2>&1 || complain "-batch $batch: $(cat "$T/diff")"
done
end

begin "a slow pipe: answers come before the input ends, and are the same"
: >"$T/slow"
{
    head -n 1 "$T/all.list"
    i=0
    until grep -q "$first" "$T/slow" || [ $i -eq 300 ]; do
        sleep 0.1
        i=$((i + 1))
    done
    [ $i -eq 300 ] || touch "$T/in_time"
    sed 1d "$T/all.list"
} | "$D" classifier predict "$colour_data" "$T/sat.cfg" "$W/sat.weights" -list - -format csv >"$T/slow" 2>"$T/err" || complain "$(cat "$T/err")"
[ -e "$T/in_time" ] || complain "no answer within 30 s"
python3 "$T/compare.py" "$T/all.csv" "$T/slow" "$T/all.list" >"$T/diff" 2>&1 || complain "$(cat "$T/diff")"
end

begin "output that cannot be written ends the run, though the input stays open"
mkfifo "$T/fifo"
exec 3<>"$T/fifo"
echo "$first" >&3
status=0
command_line="predict -list - >/dev/full"
timeout 30 "$D" classifier predict "$colour_data" "$T/sat.cfg" "$W/sat.weights" -list - <&3 >/dev/full 2>"$T/err" || status=$?
exec 3>&-
expect_error 1 'standard output: cannot write: No space left'
end

begin "csv and jsonl are read again by Python, whatever the names hold"
mkdir "$T/odd"
python3 - "$T" "$first" "$colour_data" <<'END'
import os, shutil, sys
t, image, data = sys.argv[1:]
for name in (b'a, "b"\nc.png', b"\xff\xfe.png", "\u00e4<script>.png".encode()):
    shutil.copy(image, os.path.join(t.encode(), b"odd", name))
open(t + "/odd/z.png", "w").write("none")
open(t + "/odd.names", "wb").write(b'left, "ish"\n\xfcpper\nmiddle\n')
lines = [l for l in open(data).read().splitlines() if not l.startswith("names")]
open(os.path.dirname(data) + "/odd.data", "w").write("\n".join(lines + ["names=" + t + "/odd.names"]) + "\n")
END
for format in csv jsonl; do
    run "$D" classifier predict "$T/png/odd.data" "$T/sat.cfg" "$W/sat.weights" "$T/odd" -format $format -top 2 -threshold 0
    expect_error 1 '1 of 4 images could not be read'
    cp "$T/out" "$T/accepted.$format"
    run "$D" classifier predict "$T/png/odd.data" "$T/sat.cfg" "$W/sat.weights" "$T/odd" -format $format -top 9 -threshold 1
    expect_error 1 '1 of 4 images could not be read'
    cp "$T/out" "$T/rejected.$format"
done
python3 - "$T" >"$T/diff" 2>&1 <<'END' || complain "$(cat "$T/diff")"
import csv, json, re, sys
t = sys.argv[1]

def text(s):
    """Any bytes: one that is not UTF-8 is U+FFFD and two digits in JSON, and a surrogate for Python."""
    return s and re.sub(b"\xef\xbf\xbd(..)", lambda m: bytes.fromhex(m[1].decode()), s.encode()).decode("utf-8", "surrogateescape")

def read(name):
    rows = list(csv.DictReader(open(t + "/" + name + ".csv", newline="", encoding="utf-8", errors="surrogateescape")))
    objects = [json.loads(line) for line in open(t + "/" + name + ".jsonl", encoding="utf-8")]
    assert len(rows) == len(objects) == 4, (rows, objects)
    for r, o in zip(rows, objects):
        assert r["path"] == text(o["path"]), (r, o)
        assert (r["error"] or None) == o.get("error"), (r, o)
        if "error" in o:
            assert sorted(o) == ["error", "path"] and not r["class_1"] and not r["accepted"], (r, o)
            continue
        assert float(r["confidence"]) == o["confidence"] and int(r["accepted"]) == o["accepted"], (r, o)
        assert (r["answer"] or None) == o["answer"] and o["score"] == "msp", (r, o)
        for k, c in enumerate(o["top"], 1):
            assert r["class_%d" % k] == text(c["class"]) and float(r["probability_%d" % k]) == c["probability"], (r, o)
    return objects

objects = read("accepted")
names = [text(o["path"]).split("odd/")[1] for o in objects]
assert names == ['a, "b"\nc.png', "z.png", "\u00e4<script>.png", "\udcff\udcfe.png"], names
assert "error" in objects[1], objects[1]
for o in objects[:1] + objects[2:]:
    assert o["accepted"] and o["answer"] == 'left, "ish"' and len(o["top"]) == 2, o
objects = read("rejected")
for o in objects[:1] + objects[2:]:
    p = [c["probability"] for c in o["top"]]
    assert not o["accepted"] and o["answer"] is None and o["threshold"] == 1, o
    assert "\udcfcpper" in [text(c["class"]) for c in o["top"]], o
    assert len(p) == 3 and abs(sum(p) - 1) < 1e-6 and p == sorted(p, reverse=True), o
END
end

if [ -n "${DARKNET:-}" ]; then
    skip "memory does not grow with the number of images" "a sanitizer's build keeps what was freed"
else
    begin "memory does not grow with the number of images"
    { printf 'P6 100 100 255\n' && head -c 30000 /dev/zero; } >"$T/large.ppm"
    i=0
    while [ $i -lt 3000 ]; do
        echo "$T/large.ppm"
        i=$((i + 1))
    done >"$T/long.list"
    head -n 300 "$T/long.list" >"$T/short.list"
    cat >"$T/peak.py" <<'END'
import resource, subprocess, sys
subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
END
    for n in short long; do
        python3 "$T/peak.py" "$D" classifier predict "$colour_data" "$T/sat.cfg" "$W/sat.weights" -list "$T/$n.list" >"$T/$n.peak" 2>"$T/err" ||
            complain "$(cat "$T/err")"
    done
    at_most "$(cat "$T/long.peak")" "$(($(cat "$T/short.peak") + 4096))" ||
        complain "300 images: $(cat "$T/short.peak") KiB, 3,000: $(cat "$T/long.peak") KiB"
    end
fi

finish
