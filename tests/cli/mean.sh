#!/bin/sh
# -views and -with: the mean of several answers, in valid, predict, reject and calibrate; the threshold that was made for it.
. tests/cli/lib.sh
short_runs

tiny_idx "$T/idx" valid=15 calib=60
data=$tiny_data
tiny_cfg "$T/plain.cfg" 1 3 '[softmax]\ntemperature=2\n' || exit 1
sed 's/^learning_rate=.*/learning_rate=0.01/; s/^flip=0/flip=1/' "$T/plain.cfg" >"$T/a.cfg" # makes mistakes
sed 's/filters=8/filters=4/; s/^temperature=.*/temperature=1/' "$T/a.cfg" >"$T/b.cfg"
sed 's/^flip=1/flip=0/' "$T/a.cfg" >"$T/unflipped.cfg"
sed 's/^\(height\|width\)=8/\1=16/' "$T/a.cfg" >"$T/large.cfg"
tiny_cfg "$T/abstain.cfg" 1 3 '[sat]\ntarget=abstain\nwarmup_epochs=1\n'
tiny_cfg "$T/other.cfg" 1 5 '[softmax]\n'
for name in a b unflipped large abstain; do
    "$D" classifier train "$data" "$T/$name.cfg" -epochs 2 -seed 7 >"$T/out" 2>"$T/err" </dev/null || { cat "$T/err"; exit 1; }
done
W=$T/idx/backup
sed "s|^test=.*|test=calib.list|; s|^calib=.*||" "$data" >"$T/idx/again.data"
again=$T/idx/again.data

# rows CFG WEIGHTS FLAG...: what each image of calib= is answered, in $T/rows
rows() {
    run "$D" classifier predict "$again" "$@" -list "$T/idx/calib.list" -format csv -top 3
    expect_status 0
    cp "$T/out" "$T/rows"
}
# images of the mirrored and of the shifted kind, as files: views by hand
python3 - "$T" <<'END' || exit 1
import os, struct, sys, zlib
T = sys.argv[1]
def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
def read(path):
    b = open(path, "rb").read()
    at, data = 8, b""
    while at < len(b):
        n, kind = struct.unpack(">I", b[at:at + 4])[0], b[at + 4:at + 8]
        data += b[at + 8:at + 8 + n] if kind == b"IDAT" else b""
        at += 12 + n
    raw, rows = zlib.decompress(data), []
    for y in range(8):
        kind, line, above = raw[9 * y], bytearray(raw[9 * y + 1:9 * y + 9]), rows[-1] if y else bytes(8)
        for x in range(8):
            a, b_, c = line[x - 1] if x else 0, above[x], above[x - 1] if x else 0
            p = a + b_ - c
            paeth = min((abs(p - v), k, v) for k, v in enumerate((a, b_, c)))[2]
            line[x] = (line[x] + (0, a, b_, (a + b_) // 2, paeth)[kind]) & 255
        rows.append(bytes(line))
    return rows
def view(rows, flip, dx, dy):
    clamp = lambda v: min(7, max(0, v))
    moved = [bytes(rows[clamp(y + dy)][clamp(x + dx)] for x in range(8)) for y in range(8)]
    return [r[::-1] for r in moved] if flip else moved
moves = [(0, 0, 0), (1, 0, 0)] + [(f, dx, dy) for f in (0, 1) for dx, dy in ((1, 0), (-1, 0), (0, 1), (0, -1))]
lists = [open("%s/view%d.list" % (T, k), "w") for k in range(10)]
for i, line in enumerate(open(T + "/idx/calib.list")):
    path = line.strip()
    rows = read(path if os.path.exists(path) else os.path.join(T, "idx", path))
    for k, move in enumerate(moves):
        out = "%s/v%d_%02d.png" % (T, k, i)
        with open(out, "wb") as f:
            f.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 0, 0, 0, 0)) +
                    chunk(b"IDAT", zlib.compress(b"".join(b"\0" + r for r in view(rows, *move)))) + chunk(b"IEND", b""))
        print(out, file=lists[k])
END
# expect_mean FILE...: $T/rows has the means of the probabilities in the files
expect_mean() {
    python3 - "$T/rows" "$@" <<'END' >"$T/diff" 2>&1 || complain "$(cat "$T/diff")"
import csv, sys
def read(path):
    return [{r["class_%d" % k]: float(r["probability_%d" % k]) for k in (1, 2, 3)} for r in csv.DictReader(open(path))]
got, parts = read(sys.argv[1]), [read(p) for p in sys.argv[2:]]
assert len(got) == 60 and all(len(p) == 60 for p in parts)
for i, row in enumerate(got):
    for name, p in row.items():
        mean = sum(part[i][name] for part in parts) / len(parts)
        assert abs(p - mean) < 2e-6, (i, name, p, mean)
assert len(parts) == 1 or any(abs(got[i][n] - parts[0][i][n]) > 1e-3 for i in range(60) for n in got[i])
END
}

for k in 0 1 2 3 4 5 6 7 8 9; do
    "$D" classifier predict "$again" "$T/a.cfg" "$W/a.weights" -list "$T/view$k.list" -format csv -top 3 >"$T/part$k" 2>&1 || exit 1
done
for n in 1 2 5 10; do
    begin "-views $n: the mean of the answers to these images"
    rows "$T/a.cfg" "$W/a.weights" -views $n
    expect_mean $(seq -f "$T/part%g" 0 $((n - 1)))
    end
done
begin "without flip= no view is mirrored"
parts=
for k in 0 2 3 4 5; do
    "$D" classifier predict "$again" "$T/unflipped.cfg" "$W/unflipped.weights" -list "$T/view$k.list" -format csv -top 3 >"$T/part$k" 2>&1
    parts="$parts $T/part$k"
done
rows "$T/unflipped.cfg" "$W/unflipped.weights" -views 5
expect_mean $parts
end

begin "-with: the mean of networks, each at the temperature of its cost section"
rows "$T/b.cfg" "$W/b.weights"
cp "$T/rows" "$T/b"
rows "$T/a.cfg" "$W/a.weights"
cp "$T/rows" "$T/a"
rows "$T/a.cfg" "$W/a.weights" -with "$T/b.cfg" "$W/b.weights"
expect_mean "$T/a" "$T/b"
rows "$T/b.cfg" "$W/b.weights" -with "$T/a.cfg" "$W/a.weights" -with "$T/b.cfg" "$W/b.weights"
expect_mean "$T/a" "$T/b" "$T/b"
end

begin "any batch, valid and reject say the same"
rows "$T/a.cfg" "$W/a.weights" -with "$T/b.cfg" "$W/b.weights" -views 3
cp "$T/rows" "$T/want"
for batch in 1 7 64; do
    rows "$T/a.cfg" "$W/a.weights" -with "$T/b.cfg" "$W/b.weights" -views 3 -batch $batch
    expect_mean "$T/want"
done
run "$D" classifier reject "$again" "$T/a.cfg" "$W/a.weights" -with "$T/b.cfg" "$W/b.weights" -views 3 -csv "$T/csv" -json "$T/json"
expect_status 0
expect_out "^model +$W/a.weights views=3 with=$T/b.cfg,$W/b.weights\$"
paste -d, "$T/csv" "$T/rows" | python3 -c 'import csv, sys
for r in csv.reader(sys.stdin):
    assert r[3] == "confidence" or abs(float(r[3]) - float(r[7 + 2])) < 1e-5, r' 2>"$T/diff" || complain "$(cat "$T/diff")"
sed "s|^valid=.*|valid=calib.list|" "$data" | grep -v ^calib >"$T/idx/valid.data"
run "$D" classifier valid "$T/idx/valid.data" "$T/a.cfg" "$W/a.weights" -with "$T/b.cfg" "$W/b.weights" -views 3 -profile
expect_status 0
[ "$(grep -c '^profile of' "$T/err")" -eq 2 ] || complain "not a profile of each network"
accuracy=$(sed -n 's/^top 1: //p' "$T/out") nll=$(sed -n 's/^nll: //p' "$T/out")
close_to "$accuracy" "$(printf %.6f "$(json_value "$T/json" accuracy)")" && close_to "$nll" "$(printf %.6f "$(json_value "$T/json" nll)")" ||
    complain "valid: $accuracy $nll, reject: $(json_value "$T/json" accuracy) $(json_value "$T/json" nll)"
end

begin "every score is one of the mean, the output to abstain too"
for score in msp margin entropy gini maxlogit energy pnorm abstain; do
    run "$D" classifier reject "$again" "$T/abstain.cfg" "$W/abstain.weights" -confidence $score -views 5 -csv "$T/csv"
    expect_status 0
    awk -F, 'NR > 1 { n++; if ($4 == "nan") exit 1; if ($4 != last) d++; last = $4 } END { exit !(n == 60 && d > 20) }' "$T/csv" ||
        complain "confidences of $score"
done
end

# ---- the threshold that was made for it ----

begin "calibrate writes views= and with=, which all commands follow"
run "$D" classifier calibrate "$data" "$T/a.cfg" "$W/a.weights" -with "$T/b.cfg" "$W/b.weights" -views 3 -coverage 0.5 -out "$T/new.cfg"
expect_status 0
expect_quiet
expect_out "^model +$W/a.weights views=3 with="
grep -q '^views=3$' "$T/new.cfg" && grep -q "^with=$T/b.cfg,$W/b.weights\$" "$T/new.cfg" || complain "$(tail -6 "$T/new.cfg")"
accepted=$(sed -n 's/^coverage .*(\([0-9]*\) accepted)/\1/p' "$T/out")
for flags in '' '-views 3' "-with $T/b.cfg $W/b.weights"; do
    rows "$T/new.cfg" "$W/a.weights" $flags
    expect_quiet
    expect_mean "$T/want"
    [ "$(cut -d, -f3 "$T/rows" | grep -c 1)" -eq "$accepted" ] || complain "not the $accepted images that were accepted"
done
run "$D" classifier reject "$again" "$T/new.cfg" "$W/a.weights"
expect_quiet
expect_out "^coverage .*\($accepted accepted\)"
run "$D" classifier calibrate "$data" "$T/new.cfg" "$W/a.weights" -coverage 0.5 -out "$T/next.cfg"
expect_same "$T/new.cfg" "$T/next.cfg"
end

begin "names of with= are found beside the cfg, then in the current folder"
mkdir "$T/there"
cp "$T/b.cfg" "$W/b.weights" "$T/there"
sed "s|^with=.*|with=b.cfg,b.weights|" "$T/new.cfg" >"$T/there/new.cfg"
rows "$T/there/new.cfg" "$W/a.weights"
expect_mean "$T/want"
rm "$T/there/b.weights"
run "$D" classifier valid "$data" "$T/there/new.cfg" "$W/a.weights"
expect_error 1 "there/new\.cfg:[0-9]+: with=: '.*there/b\.weights' cannot be opened, expected a file beside this one"
cp "$W/b.weights" "$T/there/b.weights"
printf x | dd of="$T/there/b.weights" bs=1 seek=900 conv=notrunc status=none
run "$D" classifier predict "$data" "$T/there/new.cfg" "$W/a.weights" "$T/v0_00.png"
expect_status 0
expect_err "^warning: .*there/new\.cfg: the threshold was found with other weights than these"
end

begin "a flag of other answers than those of the threshold: a warning"
for flags in '-views 1' "-with $T/a.cfg $W/a.weights" "-with $T/b.cfg $W/b.weights -with $T/a.cfg $W/a.weights"; do
    for command in "predict $again $T/new.cfg $W/a.weights $T/v0_00.png" "reject $again $T/new.cfg $W/a.weights"; do
        run "$D" classifier $command $flags
        expect_status 0
        expect_err "^warning: $T/new\.cfg: the threshold was found with views=3 with=$T/b.cfg,$W/b.weights, these answers with "
    done
    run "$D" classifier reject "$again" "$T/new.cfg" "$W/a.weights" $flags -coverage 0.5 # another threshold
    expect_quiet
    run "$D" classifier predict "$again" "$T/new.cfg" "$W/a.weights" $flags -threshold 0.5 "$T/v0_00.png"
    expect_quiet
    run "$D" classifier calibrate "$data" "$T/new.cfg" "$W/a.weights" $flags -coverage 0.5
    expect_quiet
done
run "$D" classifier calibrate "$data" "$T/new.cfg" "$W/a.weights" -views 2 -novelty 0.2 -out "$T/x.cfg" # keeps the threshold
expect_err "^warning: $T/new\.cfg: the threshold was found with views=3 "
run "$D" classifier predict "$again" "$T/a.cfg" "$W/a.weights" -views 2 "$T/v0_00.png" # has none
expect_quiet
end

begin "-novelty looks at the first network and the image itself"
run "$D" classifier calibrate "$data" "$T/a.cfg" "$W/a.weights" -novelty 0.2 -out "$T/one.cfg"
run "$D" classifier calibrate "$data" "$T/a.cfg" "$W/a.weights" -novelty 0.2 -views 4 -with "$T/b.cfg" "$W/b.weights" -out "$T/mean.cfg"
expect_status 0
expect_same "$T/one.novelty" "$T/mean.novelty"
sed 's/mean\.novelty/one.novelty/' "$T/mean.cfg" | diff - "$T/one.cfg" >"$T/diff" || complain "$(cat "$T/diff")"
run "$D" classifier reject "$again" "$T/one.cfg" "$W/a.weights" -csv "$T/one.csv"
run "$D" classifier reject "$again" "$T/one.cfg" "$W/a.weights" -csv "$T/mean.csv" -views 4 -with "$T/b.cfg" "$W/b.weights"
novelty=$(head -1 "$T/one.csv" | tr , '\n' | grep -n '^novelty$' | cut -d: -f1)
cut -d, -f"$novelty" "$T/one.csv" >"$T/p1"
cut -d, -f"$novelty" "$T/mean.csv" >"$T/p2"
expect_same "$T/p1" "$T/p2"
[ "$(sort -u "$T/p1" | wc -l)" -gt 20 ] || complain "no p-values"
sed 's/one\.novelty/gone.novelty/' "$T/one.cfg" >"$T/gone.cfg" # that of another network does not count
rows "$T/a.cfg" "$W/a.weights" -with "$T/gone.cfg" "$W/a.weights"
expect_mean "$T/a"
run "$D" classifier calibrate "$data" "$T/a.cfg" "$W/a.weights" -novelty 0.2 -outliers "$T/view1.list" -views 2 -out "$T/x.cfg"
expect_status 0
[ "$(grep -Ec '^    (joint|mahalanobis|relative|msp|energy) ' "$T/out")" -eq 3 ] || show out
end

if [ "$D" = ./darknet ]; then
    begin "the preload makes one pass, and says so"
    library=${PRELOAD:-$PWD/libdarknet-sat.so}
    gcc -O1 -I/usr/lib/darknet/include tests/cli/preload_client.c -o "$T/client" -L/usr/lib/darknet -ldarknet -Wl,-rpath,/usr/lib/darknet || exit 1
    run env LD_PRELOAD="$library" "$T/client" "$T/new.cfg" "$W/a.weights"
    expect_status 0
    expect_err "^warning: $T/new\.cfg:[0-9]+: with=$T/b.cfg,$W/b.weights: the threshold is that of a mean, here it promises nothing"
    grep -v '^with=' "$T/new.cfg" >"$T/views.cfg"
    run env LD_PRELOAD="$library" "$T/client" "$T/views.cfg" "$W/a.weights"
    expect_err "^warning: $T/views\.cfg:[0-9]+: views=3: the threshold is that of a mean"
    sed 's/^views=.*/views=1/' "$T/views.cfg" >"$T/one.cfg"
    run env LD_PRELOAD="$library" "$T/client" "$T/one.cfg" "$W/a.weights"
    ! grep -q warning "$T/err" || show err
    end
fi

# ---- what is refused ----

eight=
for k in 1 2 3 4 5 6 7 8; do eight="$eight -with $T/b.cfg $W/b.weights"; done
cp "$T/b.cfg" "$T/with blank.cfg"
while IFS='|' read -r name code pattern flags; do
    error_case "$name" "$code" "$pattern" "$D" classifier calibrate "$data" "$T/a.cfg" "$W/a.weights" -coverage 0.5 $flags
done <<LIST
no view|2|-views 0, expected an integer from 1 to 10|-views 0
too many views|2|-views 11, expected|-views 11
a network that is never mirrored|1|unflipped.cfg:[0-9]+: flip=0, expected 5 views at most, not 6|-views 6 -with $T/unflipped.cfg $W/unflipped.weights
half a network|2|-with without a value, expected text, CFG WEIGHTS|-with $T/b.cfg
nine networks|1|more than 8 networks|$eight
another size|1|large\.cfg: has 16 x 16 x 1 inputs and 3 outputs, expected 8 x 8 x 1 and 3|-with $T/large.cfg $W/large.weights
an output to abstain|1|abstain\.cfg: has 8 x 8 x 1 inputs and 4 outputs, one to abstain, expected 8 x 8 x 1 and 3|-with $T/abstain.cfg $W/abstain.weights
other classes|1|other\.cfg:[0-9]+: \[softmax\] has 5 classes, expected 3|-with $T/other.cfg $W/b.weights
other weights|1|a\.weights: |-with $T/b.cfg $W/a.weights
a name with a comma|1|expected pairs of CFG and WEIGHTS, names without commas|-with a,b.cfg c.weights
a score of the mean for novelty|2|-novelty-score msp with -views or -with, expected one of features: joint, mahalanobis, relative|-views 2 -novelty 0.2 -novelty-score msp -out $T/x2.cfg
over a network|2|-out .*b\.cfg would overwrite|-with $T/b.cfg $W/b.weights -out $T/b.cfg
a norm without pnorm|2|-pnorm with confidence msp|-pnorm 3
a norm that is none|2|-pnorm -1, expected fit or a number|-confidence pnorm -pnorm -1
LIST
error_case "a name that no cfg can hold" 2 "expected names without blanks" \
    "$D" classifier calibrate "$data" "$T/a.cfg" "$W/a.weights" -coverage 0.5 -with "$T/with blank.cfg" "$W/b.weights"
for flags in '-views 2' '-with a b'; do
    for command in "reject -from $T/csv" "calibrate -from $T/csv -coverage 0.5"; do
        error_case "$command $flags" 2 "-from and ${flags%% *}, expected one" "$D" classifier $command $flags
    done
done
begin "a cfg with half a network"
sed 's/^with=.*/with=b.cfg/' "$T/new.cfg" >"$T/half.cfg"
run "$D" classifier valid "$data" "$T/half.cfg" "$W/a.weights"
expect_error 1 'half\.cfg:[0-9]+: with=b\.cfg, expected pairs'
end

# ---- the norm ----

begin "-pnorm: a number, and fitted"
pnorm() {
    run "$D" classifier calibrate "$data" "$1" "$W/a.weights" -coverage 0.5 -confidence pnorm -out "$T/norm.cfg" -pnorm $2
    expect_status 0
    p=$(sed -n 's/^norm  *//p' "$T/out")
    [ "$p" = 2 ] && [ "$(grep -c '^pnorm_p=' "$1")" -eq 0 ] || grep -q "^pnorm_p=$p\$" "$T/norm.cfg" || complain "norm $p: $(tail -4 "$T/norm.cfg")"
}
pnorm "$T/a.cfg" 3.5
[ "$p" = 3.5 ] || complain "norm $p"
expect_out '^images +60, all for'
cp "$T/norm.cfg" "$T/kept.cfg"
pnorm "$T/kept.cfg" 2
pnorm "$T/a.cfg" fit
expect_out '^images +60: 30 to fit on'
at_most 1 "$p" && at_most "$p" 10 || complain "norm $p"
end

finish
