#!/bin/sh
# Unequal classes in training: what chooses the best weights, the worst class, classes without a hit.
. tests/cli/lib.sh

short_runs

python3 tests/cli/tiny.py png "$T/png"

# set_of NAME TRAIN VALID: $T/NAME.data with those lists' images; LABELS before
set_of() {
    printf '%s\n' $LABELS >"$T/$1.labels"
    printf 'labels=%s\ntrain=%s\nvalid=%s\nbackup=%s\n' "$T/$1.labels" "$2" "$3" "$T/$1" >"$T/$1.data"
    tiny_cfg "$T/$1.cfg" 3 "$(wc -l <"$T/$1.labels")" '[softmax]'
}

# best_line CSV MEASURE: the epoch of the highest (nll, aurc: lowest) figure, then of the lowest nll
best_line() {
    python3 -c 'import csv, sys
rows, by = list(csv.DictReader(open(sys.argv[1]))), sys.argv[2]
sign = 1 if by in ("nll", "aurc") else -1
print(min(rows, key=lambda r: (sign * float(r["valid_" + by]), float(r["valid_nll"])))["epoch"])' "$1" "$2"
}

# value CSV LINE COLUMN
value() {
    python3 -c 'import csv, sys; print(list(csv.DictReader(open(sys.argv[1])))[int(sys.argv[2])][sys.argv[3]])' "$@"
}

LABELS='leftish upperish middleish'
set_of equal "$T/png/train.list" "$T/png/valid.list"
for by in auto balanced top1 nll aurc; do
    begin "-best $by: the best weights are those of the best line"
    run "$D" classifier train "$T/equal.data" "$T/equal.cfg" -epochs 5 -best $by -name $by
    expect_status 0
    ! grep -q 'images a class' "$T/err" || complain "the classes are equal"
    measure=$by
    [ $by = auto ] && measure=top1
    best=$(best_line "$T/equal/$by/equal_results.csv" $measure)
    expect_err "^best: epoch $best, "
    end
done

LABELS='leftish upperish'
{ grep leftish "$T/png/train.list" | head -20; grep upperish "$T/png/train.list" | head -1; } >"$T/rare.list"
grep -E 'leftish|upperish' "$T/png/valid.list" >"$T/two.list"
set_of rare "$T/rare.list" "$T/two.list"
begin "20 to 1: balanced accuracy chooses, and a note says so"
run "$D" classifier train "$T/rare.data" "$T/rare.cfg" -epochs 8
expect_status 0
expect_err '^note: .*rare\.list has 1 to 20 images a class: the best weights are chosen by balanced accuracy'
expect_err "^best: epoch $(best_line "$T/rare/rare_results.csv" balanced), balanced accuracy [0-9.]+ %, top-1 "
expect_err '^epoch 8: .* valid top-1 [0-9.]+ %, balanced [0-9.]+ %, worst [0-9.]+ % \((left|upper)ish\), nll '
python3 - "$T/rare/rare_results.csv" <<'END' >"$T/diff" 2>&1 || complain "$(cat "$T/diff")"
import csv, sys
for r in csv.DictReader(open(sys.argv[1])): # both classes have 15 images
    assert abs(float(r["valid_balanced"]) - float(r["valid_top1"])) < 1e-6, r
    assert float(r["valid_worst"]) <= float(r["valid_balanced"]) and r["valid_worst_class"] in ("0", "1"), r
END
run "$D" classifier train "$T/rare.data" "$T/rare.cfg" -epochs 1 -best top1
expect_status 0
! grep -q 'images a class' "$T/err" || complain "a note, though -best says how"
echo best=nll >>"$T/rare.data"
run "$D" classifier train "$T/rare.data" "$T/rare.cfg" -epochs 8 -name by_nll
expect_err "^best: epoch $(best_line "$T/rare/by_nll/rare_results.csv" nll), top-1 "
end

LABELS='leftish upperish middleish strange k5 k6 k7 k8 k9 k10'
for i in 1 2 3; do
    cp "$(sed -n ${i}p "$T/png/valid.list")" "$T/${i}_strange.png"
    echo "$T/${i}_strange.png"
done | cat "$T/png/valid.list" - >"$T/ten.list"
set_of ten "$T/png/train.list" "$T/ten.list"
begin "10 classes, one of them never met in training: a warning at each validation, and the worst of valid="
run "$D" classifier train "$T/ten.data" "$T/ten.cfg" -epochs 12
expect_status 0
expect_err '^note: .*train\.list has 0 to 30 images a class'
[ "$(grep -c '^warning: epoch [0-9]*: no image of .* of 10 classes of valid= is right: .*strange (3)' "$T/err")" -eq 12 ] || complain "not 12 warnings: $(cat "$T/err")"
expect_err '^warning: epoch 12: no image of 1 of 10 classes of valid= is right: strange \(3\)$'
expect_err '^epoch 12: .*, worst 0\.00 % \(strange\), '
csv=$T/ten/ten_results.csv
[ "$(value "$csv" -1 valid_worst) $(value "$csv" -1 valid_worst_class)" = '0 3' ] || complain "$(tail -1 "$csv")"
# 48 images, 15 of each of three classes: the mean of four classes is less than the accuracy
awk -v a="$(value "$csv" -1 valid_top1)" -v b="$(value "$csv" -1 valid_balanced)" 'BEGIN { d = a * 48 / 15 / 4 - b; exit !(d * d < 1e-10) }' ||
    complain "balanced accuracy: $(tail -1 "$csv")"
end

sed -i '/^valid=/d' "$T/equal.data"
error_case "-best without valid=" 2 '-best nll, expected valid= in .*equal\.data' "$D" classifier train "$T/equal.data" "$T/equal.cfg" -best nll
echo best=accuracy >>"$T/equal.data"
error_case "best= of no such figure" 1 'equal\.data:[0-9]+: best=accuracy, expected auto\|balanced\|top1\|nll\|aurc' "$D" classifier train "$T/equal.data" "$T/equal.cfg"
finish
