#!/bin/sh
# `calibrate -novelty`: images that are none of the classes, from the training images to `predict`, `reject`, the page and the preload.
. tests/cli/lib.sh
short_runs

tiny_idx "$T/idx" valid=10 calib=60
data=$tiny_data
tiny_cfg "$T/plain.cfg" 1 3 '[softmax]\n' &&
    tiny_cfg "$T/abstain.cfg" 1 3 '[sat]\ntarget=abstain\nwarmup_epochs=1\n\n[reject]\nthreshold=0.1\n' &&
    "$D" classifier train "$data" "$T/plain.cfg" -epochs 6 >"$T/out" 2>"$T/err" </dev/null &&
    "$D" classifier train "$data" "$T/abstain.cfg" -epochs 6 >"$T/out" 2>"$T/err" </dev/null || {
    echo "not ok training of the networks"
    sed 's/^/# /' "$T/err"
    exit 1
}
W=$T/idx/backup/plain.weights
# strangers: 40 chessboards, some darker than others; 80 images between two classes, whose features are known
mkdir "$T/chess" "$T/mixed"
PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=tests/cli python3 - "$T" <<'END' || exit 1
import random, struct, sys, zlib
from tiny import pixel
rng = random.Random(5)
def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
def write(name, value):
    rows = b"".join(b"\0" + bytes(min(255, max(0, int(value(x, y)))) for x in range(8)) for y in range(8))
    open("%s/%s.png" % (sys.argv[1], name), "wb").write(b"\x89PNG\r\n\x1a\n" +
        chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 0, 0, 0, 0)) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))
for i in range(40):
    write("chess/%02d" % i, lambda x, y: (200 + i) * ((x + y) % 2))
for i in range(80):
    a, b = rng.sample(range(3), 2)
    write("mixed/%02d" % i, lambda x, y: 60 + 60 * (pixel(a, x, y, 8, 8) + pixel(b, x, y, 8, 8)) + rng.gauss(0, 90))
END
for kind in chess mixed; do
    ls "$T/$kind"/*.png >"$T/$kind.list"
done

calibrate() {
    run "$D" classifier calibrate "$data" "$T/plain.cfg" "$W" "$@"
}
reject() {
    run "$D" classifier reject "$data" "$1" "$W" -list chess="$T/chess.list:unlabelled" -csv "$T/rows.csv" -json "$T/figures.json"
}
# unknown FILE: how many rows have that verdict
unknown() {
    awk -F, 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == "verdict") v = i } $v == "unknown" { n++ } END { print n + 0 }' "$1"
}

begin "-novelty alone: the statement, its file, keys that keep the rest of the cfg"
calibrate -novelty 0.1 -out "$T/new.cfg"
expect_status 0
expect_quiet
expect_out '^images +60, all for novelty$'
expect_out '^  learnt from +80 images, 16 features each: '
expect_out '^  score +joint$'
expect_out 'is called unknown with probability at most 10 %, over the draw of these images and of it: when it is among the 6 strangest of 61, itself and the 60 that.*standard deviation 3\.7[0-9] points'
expect_file "$T/new.novelty"
{ cat "$T/plain.cfg"; printf '[reject]\nnovelty=new.novelty\nnovelty_rate=0.1\nrejected=5,60\nprecision=f32\n'; } >"$T/expected.cfg"
grep -v '^novelty_hash=[0-9a-f]\{16\}$' "$T/new.cfg" >"$T/found.cfg"
expect_same "$T/found.cfg" "$T/expected.cfg"
end

begin "-novelty alone leaves the precision that a threshold was found with"
{ cat "$T/plain.cfg"; printf '[reject]\nthreshold=0.2\nprecision=bf16\n'; } >"$T/bf16.cfg"
run "$D" classifier calibrate "$data" "$T/bf16.cfg" "$W" -novelty 0.1 -out "$T/kept.cfg"
expect_status 0
[ "$(grep -c '^precision=bf16$' "$T/kept.cfg")$(grep -c '^precision=' "$T/kept.cfg")" = 11 ] || complain "$(cat "$T/kept.cfg")"
end

begin "in JSON a class that is never accepted has the largest threshold, null is none"
{ cat "$T/plain.cfg"; printf '[reject]\nthresholds=inf,inf,inf\n'; } >"$T/never.cfg"
for cfg in never plain; do
    run "$D" classifier predict "$data" "$T/$cfg.cfg" "$W" -format jsonl "$T/chess/00.png"
    expect_status 0
    python3 -c 'import json, sys; print(json.load(sys.stdin)["threshold"])' <"$T/out" >>"$T/json"
done
[ "$(tr '\n' ' ' <"$T/json")" = "$(python3 -c 'import sys; print(sys.float_info.max, None, "")')" ] || complain "$(cat "$T/json")"
end

begin "a .novelty file that was not written with the cfg is refused"
cp "$T/new.novelty" "$T/kept.novelty"
calibrate -coverage 0.5 -novelty 0.1 -seed 9 -out "$T/other.cfg"
expect_status 0
cp "$T/other.novelty" "$T/new.novelty"
reject "$T/new.cfg"
expect_error 1 'new\.cfg:[0-9]+: novelty=new\.novelty is another file than novelty_hash=[0-9a-f]{16} says'
mv "$T/kept.novelty" "$T/new.novelty"
end

begin "reject: strangers are unknown, few others are"
reject "$T/new.cfg"
expect_status 0
expect_out '^  unknown +[0-9.]+ % \['
expect_out '^  chess +40 +100\.00 % .* 100\.00 %$'
expect_out '^ +100 % +- +- +-$'
at_most "$(unknown "$T/rows.csv")" 18 || complain "$(unknown "$T/rows.csv") of 60 known images are unknown"
grep -q '^path,label,prediction,confidence,accepted,verdict,novelty$' "$T/rows.csv" || complain "$(head -n 1 "$T/rows.csv")"
awk -F, 'NR > 1 && ($7 < .1) != ($6 == "unknown" && $5 == 0 && $4 == "nan") { exit 1 }' "$T/rows.csv" || complain "verdicts are not those of the p-values"
close_to "$(json_value "$T/figures.json" unknown_rate)" "$(awk -v n="$(unknown "$T/rows.csv")" 'BEGIN { printf "%.17g", n / 60 }')" ||
    complain "unknown_rate is $(json_value "$T/figures.json" unknown_rate)"
end

begin "the file is found beside the cfg, from the current folder, and missed"
mkdir "$T/there"
mv "$T/new.cfg" "$T/new.novelty" "$T/there"
cp "$T/rows.csv" "$T/want.csv"
reject "$T/there/new.cfg"
expect_status 0
expect_same "$T/rows.csv" "$T/want.csv"
mv "$T/there/new.novelty" "$T/there/gone"
reject "$T/there/new.cfg"
expect_error 1 'new\.novelty: cannot open'
run "$D" classifier train "$data" "$T/there/new.cfg" -epochs 1 # which asks nobody
expect_status 0
mv "$T/there/gone" "$T/there/new.novelty"
end

error_case "weights of another network" 1 'new\.novelty: was made with other weights' \
    "$D" classifier valid "$data" "$T/there/new.cfg" "$T/idx/backup/new.weights"
sed 's/filters=8/filters=16/' "$T/there/new.cfg" >"$T/there/wide.cfg"
error_case "features of another network" 1 'new\.novelty: .*layers 0 \(8\), 1 \(8\); 3 classes.*expected layers 0 \(16\)' \
    "$D" classifier valid "$data" "$T/there/wide.cfg" "$W"

begin "predict: text, CSV, JSON and a warning that so many are rejected"
known=$(sed -n 2p "$T/want.csv" | cut -d, -f1)
run "$D" classifier predict "$data" "$T/there/new.cfg" "$W" -list "$T/chess.list"
expect_status 0
[ "$(grep -c '^  UNKNOWN: like none of the classes (p 0.01639, below 0.1)$' "$T/out")" -eq 40 ] || show out
expect_err '^warning: 40 of 40 images are rejected \(100\.00 %\); of the calibration images it were 8\.33 %'
run "$D" classifier predict "$data" "$T/there/new.cfg" "$W" -format csv -top 1 "$T/chess/00.png" "$known" "$T/nowhere.png"
expect_status 1
expect_out '^path,answer,accepted,confidence,error,verdict,novelty,class_1,probability_1$'
expect_out "^$T/chess/00.png,,0,[0-9.e-]+,,unknown,0\.016"
[ "$(sed 's/"[^"]*"//' "$T/out" | awk -F, '{ print NF }' | sort -u)" = 9 ] || complain "rows of several lengths"
p=$(grep "^$known," "$T/out" | cut -d, -f7)
[ "$p" = "$(sed -n 2p "$T/want.csv" | cut -d, -f7)" ] || complain "predict and reject differ: $p"
run "$D" classifier predict "$data" "$T/there/new.cfg" "$W" -format jsonl "$T/chess/00.png"
expect_out '"accepted":false,"verdict":"unknown",.*"novelty":0\.016'
expect_quiet
end

begin "-risk: one half for novelty, the promise is about the known images of the other"
calibrate -novelty 0.1 -risk 0.3 -delta 0.1 -out "$T/both.cfg"
expect_status 0
expect_out '^images +60: 30 to fit on, the other 30 for the threshold \(-seed 1\)$'
expect_out 'among the 3 strangest of 31, itself and the 30 that'
expect_out '^with probability at least 90 % .* is at most 30 %$'
for key in threshold=[0-9] confidence=msp novelty=both.novelty novelty_rate=0.1 'rejected=[0-9]+,30'; do
    grep -Eq "^$key" "$T/both.cfg" || complain "no $key"
done
reject "$T/both.cfg"
[ "$(cut -d, -f6 "$T/rows.csv" | sort -u | tr '\n' ' ')" = "accepted unknown unsure verdict " ] || complain "verdicts: $(cut -d, -f6 "$T/rows.csv" | sort | uniq -c)"
end

begin "-outliers: one half chooses the score, the other is told"
calibrate -novelty 0.1 -outliers "$T/chess.list" -out "$T/chosen.cfg"
expect_status 0
expect_out '^  score +joint \(no other is surely better for half of the outliers\)$'
for score in joint mahalanobis relative msp energy; do
    expect_out "^    $score +[01]\.[0-9]{6}\$"
done
expect_out '^  outliers +20 of the other 20 are unknown \(100\.00 %\), AUROC 1\.000000$'
expect_out '^30 calibration images helped to choose the score, 30 others are the ranks$'
expect_out 'among the 3 strangest of 31'
end

begin "-outliers that joint does not tell choose another score, which is said to be for them alone"
calibrate -novelty 0.1 -outliers "$T/mixed.list" -out "$T/chosen.cfg"
expect_status 0
expect_out '^  score +(msp|margin|entropy|gini) \(highest AUROC of half of the outliers\)$'
expect_out '^the score was chosen for strangers like these outliers alone: others may pass'
end

begin "-outliers: images of train= and calib= are none"
for list in train calib; do
    calibrate -novelty 0.1 -outliers "$T/idx/$list.list" -out "$T/chosen2.cfg"
    expect_status 1
    expect_err "^error: .*$list\.list"
    expect_no_file "$T/chosen2.cfg"
done
end

begin "-novelty-score: each, and a network with an output to abstain"
for score in mahalanobis relative msp abstain; do
    run "$D" classifier calibrate "$data" "$T/abstain.cfg" "$T/idx/backup/abstain.weights" -novelty 0.2 -novelty-score $score -out "$T/score.cfg"
    expect_status 0
    expect_out "^  score +$score\$"
    case $score in # what lies in the logits needs no training images
    msp | abstain) ! grep 'learnt from' "$T/out" ;;
    *) grep -q 'learnt from' "$T/out" ;;
    esac || show out
    grep -q '^threshold=0\.1$' "$T/score.cfg" || complain "the threshold of before is gone"
    run "$D" classifier reject "$data" "$T/score.cfg" "$T/idx/backup/abstain.weights" -csv "$T/rows.csv"
    expect_status 0
    at_most 1 "$(unknown "$T/rows.csv")" && at_most "$(unknown "$T/rows.csv")" 30 || complain "$score: $(unknown "$T/rows.csv") of 60 unknown"
done
end

begin "the page has the unknown images"
run "$D" classifier reject "$data" "$T/there/new.cfg" "$W" -report "$T/page"
expect_status 0
[ "$(grep -o '"novelty":' "$T/page/report.html" | wc -l)" -eq "$(unknown "$T/page/predictions.csv")" ] || complain "other unknown images in the page"
end

if command -v chromedriver >/dev/null 2>&1 && command -v chromium >/dev/null 2>&1; then
    begin "the page with thresholds of each class, unsure and unknown images"
    calibrate -novelty 0.1 -risk 0.3 -delta 0.3 -per-class -out "$T/each.cfg"
    expect_status 0
    run "$D" classifier reject "$data" "$T/each.cfg" "$W" -report "$T/each"
    expect_status 0
    run timeout 120 python3 tests/cli/report_page.py own "$T/each"
    expect_status 0
    [ ! -s "$T/out" ] || complain "$(head -c 3000 "$T/out")"
    end
else
    skip "the page with thresholds of each class, unsure and unknown images" "no chromium and chromedriver"
fi

library=${PRELOAD:-$PWD/libdarknet-sat.so}
# a sanitizer's runtime must come first in a process
if [ "$D" = ./darknet ]; then
    begin "the preload gives zeros for the same images"
    cat >"$T/client.c" <<'END'
#include <stdio.h>
#include <darknet.h>
#define STB_IMAGE_IMPLEMENTATION
#include <stb_image.h>
/* CFG WEIGHTS IMAGE...: does the answer to each image stand? */
int main(int argc, char **argv)
{
    network *net = load_network(argv[1], argv[2], 0);
    set_batch_network(net, 1);
    for (int k = 3; k < argc; k++) {
        int w, h, c;
        float pixels[64], sum = 0;
        unsigned char *bytes = stbi_load(argv[k], &w, &h, &c, 1);
        for (int i = 0; i < 64; i++)
            pixels[i] = bytes[i] / 255.f;
        float *out = network_predict(net, pixels);
        for (int i = 0; i < net->outputs; i++)
            sum += out[i];
        printf("%d\n", sum > 0);
        free(bytes);
    }
    float many[8 * 64] = {0}; /* a larger batch, up to that of the cfg, may come later */
    set_batch_network(net, 8);
    network_predict(net, many);
    return 0;
}
END
    gcc -O1 -I/usr/lib/darknet/include -isystem /usr/include/stb "$T/client.c" -o "$T/client" -L/usr/lib/darknet -ldarknet -lm \
        -Wl,-rpath,/usr/lib/darknet || exit 1
    sed 1d "$T/want.csv" | cut -d, -f1 >"$T/images"
    cat "$T/chess.list" >>"$T/images"
    run env MALLOC_CHECK_=3 LD_PRELOAD="$library libc_malloc_debug.so.0" "$T/client" "$T/there/new.cfg" "$W" $(cat "$T/images")
    expect_status 0
    cp "$T/out" "$T/verdicts"
    { sed 1d "$T/want.csv" | cut -d, -f5; sed 's/.*/0/' "$T/chess.list"; } >"$T/want"
    [ "$(wc -l <"$T/verdicts")" -eq 100 ] || complain "$(wc -l <"$T/verdicts") verdicts"
    differ=$(paste "$T/verdicts" "$T/want" | awk '$1 != $2' | wc -l) # an image at the very border may fall to the other side
    at_most "$differ" 1 || complain "$differ of 100 verdicts differ"
    run env LD_PRELOAD="$library" "$T/client" "$T/there/new.cfg" "$T/idx/backup/new.weights" "$T/chess/00.png"
    expect_status 1
    expect_err '^error: .*new\.novelty: was made with other weights'
    end
fi

cp "$T/chess.list" "$T/strange.novelty"
while IFS='|' read -r name code pattern flags; do
    error_case "$name" "$code" "$pattern" "$D" classifier calibrate "$data" "$T/plain.cfg" "$W" $flags
done <<LIST
no place for the file|2|-novelty without a file for -out|-novelty 0.1
standard output is no such place|2|-novelty without a file for -out|-novelty 0.1 -out -
a rate beyond|2|-novelty 1, expected|-novelty 1 -out $T/x.cfg
a score without a rate|2|-novelty-score without -novelty|-coverage 0.5 -novelty-score joint
outliers without a rate|2|-outliers without -novelty|-coverage 0.5 -outliers $T/chess.list
a device|2|-novelty without a file for -out|-novelty 0.1 -out /dev/null
a name that no cfg can hold|2|x#\.cfg with -novelty, expected a name without blanks|-novelty 0.1 -out $T/x#.cfg
over the outliers|2|-novelty .*strange\.novelty would overwrite .*strange\.novelty|-novelty 0.1 -outliers $T/strange.novelty -out $T/strange.cfg
both choose|2|-novelty-score and -outliers|-novelty 0.1 -novelty-score joint -outliers $T/chess.list -out $T/x.cfg
best needs an aim|2|no flag says what the threshold is for|-novelty 0.1 -confidence best -out $T/x.cfg
too few images|3|no feasible -novelty 0.01: the 60 images of calib= that rank .the others fit. allow 0.0164 at the least|-novelty 0.01 -out $T/x.cfg
LIST
begin "nothing is written by an error"
expect_no_file "$T/x.cfg"
expect_no_file "$T/x.novelty"
expect_no_file "$T/x#.novelty"
expect_same "$T/chess.list" "$T/strange.novelty"
end
cp "$T/there/new.cfg" "$T/there/older.cfg"
error_case "over the .novelty file of CFG" 2 "new\.novelty would overwrite .*new\.novelty" \
    "$D" classifier calibrate "$data" "$T/there/older.cfg" "$W" -novelty 0.2 -out "$T/there/new.cfg"

begin "a cfg that cannot be written: the .novelty file of before stays"
calibrate -novelty 0.2 -out "$T/there/fifth.cfg"
cp "$T/there/fifth.novelty" "$T/fifth"
{ yes '# a long comment' | head -n 3000 && cat "$T/plain.cfg"; } >"$T/long.cfg"
run sh -c 'ulimit -f 8 && exec "$@"' sh "$D" classifier calibrate "$data" "$T/long.cfg" "$W" -novelty 0.1 -risk 0.3 -delta 0.1 -out "$T/there/fifth.cfg"
expect_error 1 'fifth\.cfg: cannot write: File too large'
expect_same "$T/there/fifth.novelty" "$T/fifth"
end

# damage NAME STATEMENT: $T/there/NAME.novelty, its scores S, cloud C or metadata M changed, with the right checksum
damage() {
    sed "s/new\.novelty/$1.novelty/" "$T/there/new.cfg" >"$T/there/$1.cfg"
    python3 - "$T/there/new.novelty" "$T/there/$1.novelty" "$2" <<'END'
import json, struct, sys, zlib
from array import array
b = open(sys.argv[1], "rb").read()
n, = struct.unpack("<Q", b[:8])
h, b = json.loads(b[8:8 + n]), b[8 + n:]
cut = h["scores"]["data_offsets"][1]
S, C, M = array("d", b[:cut]), array("f", b[cut:]), h["__metadata__"]
exec(sys.argv[3])
b = S.tobytes() + C.tobytes()
M["crc32"] = "%08x" % zlib.crc32(b)
h = json.dumps(h).encode()
open(sys.argv[2], "wb").write(struct.pack("<Q", len(h)) + h + b)
END
}
while IFS='|' read -r name pattern statement; do
    damage "$name" "$statement"
    error_case "a .novelty file: $name" 1 "$pattern" "$D" classifier valid "$data" "$T/there/$name.cfg" "$W"
done <<'LIST'
nan-scores|nan-scores\.novelty: holds numbers that are none of a score|S[9] = float("nan")
unsorted|unsorted\.novelty: holds numbers that are none of a score|S.reverse()
nan-cloud|nan-cloud\.novelty: holds numbers that are none of a score|C[-1] = float("nan")
infinite-centre|infinite-centre\.novelty: holds numbers that are none of a score|C[0] = float("inf")
no-cloud|no-cloud\.novelty: holds numbers that are none of a score|C = array("f", [0] * len(C))
to-abstain|confidence=abstain needs an abstain output|M["score"] = "abstain"
LIST
while IFS='|' read -r name pattern keys; do
    { cat "$T/plain.cfg"; printf "[reject]\n$keys\n"; } >"$T/bad.cfg"
    error_case "$name" 1 "bad\.cfg:[0-9]+: $pattern" "$D" classifier valid "$data" "$T/bad.cfg" "$W"
done <<'LIST'
a file without a rate|novelty= alone|novelty=x.novelty
a rate without a file|novelty_rate= alone|novelty_rate=0.1
more rejected than there were|rejected= expected two numbers|rejected=3,2
LIST

finish
