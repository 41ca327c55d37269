#!/bin/sh
# `classifier reject -report`: the files, what they hold, and the page in a real browser.
. tests/cli/lib.sh

# 300 images in three classes, one of them with a hostile name; ten of them there as files.
python3 - "$T" <<'END'
import csv, os, random, struct, sys, zlib
folder = sys.argv[1]

def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

def png(path, w, h):
    rows = b"".join(b"\0" + bytes((x * 7 + y * 3) % 256 for x in range(w)) for y in range(h))
    with open(path, "wb") as f:
        f.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", w, h, 8, 0, 0, 0, 0)) +
                chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))

rng = random.Random(1)
names = ["cat", "dog, big", '</script><img src=x onerror="window.hacked=1">']
with open(os.path.join(folder, "p.csv"), "w", newline="") as f:
    out = csv.writer(f)
    out.writerow(["path", "label", "prediction", "confidence"])
    for i in range(300):
        path = os.path.join(folder, f"{i}.png" if i else "<b>hostile&amp;.png")
        if i < 10:
            png(path, 20 if i % 2 else 200, 30)
        confidence = "nan" if i == 150 else round(rng.random(), 3)
        right = rng.random() < (0.5 if confidence == "nan" else 0.4 + confidence / 2)
        label = 2 if i == 0 else rng.randrange(3)
        out.writerow([path, names[label], names[label if right and i else (label + 1) % 3], confidence])
END

begin "-report writes six files"
run "$D" classifier reject -from "$T/p.csv" -threshold 0.6 -report "$T/a/report" -thumbs 200
expect_status 0
expect_err "^report: $T/a/report/report.html\$"
for file in report.html report.json predictions.csv; do
    expect_file "$T/a/report/$file"
done
if command -v gnuplot >/dev/null 2>&1; then
    for file in risk_coverage.png reliability.png histogram.png; do
        expect_file "$T/a/report/$file"
        [ "$(head -c 8 "$T/a/report/$file" | od -An -c | tr -d ' ')" = '211PNG\r\n032\n' ] || complain "$file is no PNG"
    done
else
    expect_err '^note: .*gnuplot-nox'
fi
[ "$(ls -A "$T/a/report" | grep -c tmp)" = 0 ] || complain "a temporary file is left"
end

begin "report.json: what -json writes, and the bins"
run "$D" classifier reject -from "$T/p.csv" -threshold 0.6 -json - -bootstrap 1000
python3 -c 'import json, sys
whole, part = (json.load(open(f)) for f in sys.argv[1:])
for key, value in part.items():
    assert whole[key] == value, key
assert len(whole["reliability"]) == 15 and len(whole["histogram"]) == 20
assert sum(b["n"] for b in whole["histogram"]) == 299
assert all(whole["intervals"][k] for k in ("accuracy", "risk", "reject_rate", "aurc", "eaurc", "augrc", "auroc"))
' "$T/a/report/report.json" "$T/out" 2>"$T/err" || complain "$(tail -1 "$T/err")"
end

begin "predictions.csv gives the same figures again"
run "$D" classifier reject -from "$T/a/report/predictions.csv" -threshold 0.6 -json "$T/again.json"
run "$D" classifier reject -from "$T/p.csv" -threshold 0.6 -json "$T/first.json"
expect_same "$T/first.json" "$T/again.json"
end

begin "the page needs nothing else"
! grep -Eq '(src|href)="?(https?:)?//' "$T/a/report/report.html" || complain "the page refers to another place"
[ "$(grep -c 'data:image/png;base64' "$T/a/report/report.html")" -ge 1 ] || complain "no picture in the page"
end

begin "a report replaces that of before"
run "$D" classifier reject -from "$T/p.csv" -threshold 0.9 -report "$T/a/report" -thumbs 0
expect_status 0
close_to "$(json_value "$T/a/report/report.json" threshold)" 0.9 || complain "report.json is the old one"
! grep -q 'data:image/png' "$T/a/report/report.html" || complain "a picture with -thumbs 0"
end

begin "a file in the place of the folder"
echo before >"$T/file"
run "$D" classifier reject -from "$T/p.csv" -report "$T/file"
expect_error 1 'file: is no directory'
[ "$(cat "$T/file")" = before ] || complain "the file was overwritten"
end

begin "a report does not replace what it is made from"
run "$D" classifier reject -from "$T/a/report/predictions.csv" -report "$T/a/report"
expect_error 2 'predictions.csv would overwrite'
end

begin "without gnuplot: a note, and everything else"
mkdir "$T/bin"
run env PATH="$T/bin" "$(realpath "$D")" classifier reject -from "$T/p.csv" -report "$T/plain"
expect_status 0
expect_err '^note: .*gnuplot-nox'
expect_file "$T/plain/report.html"
expect_no_file "$T/plain/histogram.png"
end

begin "no images, and images without paths"
printf 'label,prediction,confidence\n' >"$T/none.csv"
run "$D" classifier reject -from "$T/none.csv" -report "$T/none"
expect_status 0
expect_file "$T/none/report.html"
printf 'label,prediction,confidence\na,b,7\na,a,7\n' >"$T/two.csv"
run "$D" classifier reject -from "$T/two.csv" -report "$T/two"
expect_status 0
expect_file "$T/two/report.html"
end

if command -v chromedriver >/dev/null 2>&1 && command -v chromium >/dev/null 2>&1; then
    begin "the page in a browser shows the numbers of classifier reject"
    run "$D" classifier reject -from "$T/p.csv" -threshold 0.6 -report "$T/a/report"
    # the second script of a page is Chart.js
    python3 -c 'import re, sys
html = open(sys.argv[1]).read()
open(sys.argv[2], "w").write(re.sub("<script>.*?</script>", "", html, count=1, flags=re.S))' \
        "$T/two/report.html" "$T/two/no_charts.html"
    # matrices: names of up to 18 letters, 100 images a class
    for n in 14 100; do
        awk -v n=$n 'BEGIN { print "label,prediction,confidence"
            for (i = 0; i < 100 * n; i++) {
                c = i % n; other = i % 7 ? c : (i * 31 + c) % n
                printf "%s_%03d,%s_%03d,0.%04d\n", substr("a long name of one", 1, 4 + c % 11), c,
                    substr("a long name of one", 1, 4 + other % 11), other, 9999 - i % 4999 }
            }' >"$T/$n.csv"
        run "$D" classifier reject -from "$T/$n.csv" -threshold 0.6 -report "$T/${n}_classes"
        expect_status 0
    done
    run timeout 300 python3 tests/cli/report_page.py "$D" "$T/a/report" "$T/p.csv" "${SHOTS:-$T}" "$T/none/report.html" \
        "$T/two/report.html" "$T/two/no_charts.html" "$T/14_classes/report.html" "$T/100_classes/report.html"
    expect_status 0
    [ ! -s "$T/out" ] || complain "$(head -c 3000 "$T/out")"
    end
else
    skip "the page in a browser shows the numbers of classifier reject" "no chromium and chromedriver"
fi

finish
