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

begin "an image that is none after one that is: the first is answered, status 1"
predict "$first" "$T/sat.cfg" "$second"
expect_error 1 'sat\.cfg: cannot decode'
[ "$(head -n 1 "$T/out")" = "$first" ] || complain "the first image is not answered"
end

finish
