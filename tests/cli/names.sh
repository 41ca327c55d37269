#!/bin/sh
# Names that would forge lines, drive a terminal or a spreadsheet, or are no UTF-8: made visible for people, kept for programs.
. tests/cli/lib.sh
short_runs

escape=$(printf '\033[2J')
latin=$(printf 'caf\351')
evil=$(printf 'x\n  accepted: confidence 1.0000%s' "$escape")
seen='x\\n  accepted: confidence 1\.0000\\x1b\[2J'

# What was printed is lines of text and nothing else.
expect_visible() {
    for printed in out err; do
        if tr -d '\n' <"$T/$printed" | LC_ALL=C grep -aq '[[:cntrl:]]' || ! iconv -f utf-8 -t utf-8 "$T/$printed" >"$T/text" 2>&1; then
            complain "standard $printed is no plain text"
            show $printed
        fi
    done
}

tiny_png "$T/png"
home=$T/$evil
mkdir "$home" "$T/$latin"
printf 'left%s\n=upper,ish\n%s\n' "$escape" "$latin" >"$T/png/names"
sed "s|^names=.*|names=$T/png/names|;s|^backup=.*|backup=$T/backup|" "$tiny_data" >"$T/png/named.data"
cp "$T/png/named.data" "$home/x.data"
tiny_cfg "$home/net.cfg" 3 3 '[softmax]\n'
first=$T/png/valid_000_leftish.png
cp "$first" "$home/1.png"
cp "$first" "$T/$latin/=1.png"

begin "train"
run "$D" classifier train "$home/x.data" "$home/net.cfg" -epochs 1 -name "$evil"
expect_status 0
expect_visible
expect_err "^weights: $T/backup/$seen/net\.weights"
end

W=$T/backup/net.weights
predict() {
    run "$D" classifier predict "$home/x.data" "$home/net.cfg" "$W" "$@"
}

begin "predict: paths, classes and errors, a line each"
predict "$home/1.png" "$T/$latin/=1.png" "$home/gone.png" -top 3
expect_status 1
expect_visible
expect_out "^$T/$seen/1\.png$"
expect_out "^$T/caf\\\\xe9/=1\.png$"
expect_out '%  left\\x1b\[2J$'
expect_out '%  caf\\xe9$'
expect_err "^error: $T/$seen/gone\.png: cannot open"
[ "$(wc -l <"$T/out")" -eq 12 ] || complain "$(wc -l <"$T/out") lines, expected 5 an answer and 2 an error"
end

begin "predict -csv-safe: no cell is a formula"
predict "$home/1.png" "=gone.png" -top 3 -format csv -csv-safe
expect_status 1
{ grep -aq ",\"'=upper,ish\",[0-9]" "$T/out" && grep -aq "^'=gone\\.png,," "$T/out"; } || show out
! grep -aEq '(^|,)"?=' "$T/out" || show out
end

begin "a message"
run "$D" classifier valid "$home/x.data" "$home/gone.cfg" "$W"
expect_error 1 "$seen/gone\.cfg: cannot open"
expect_visible
end

begin "valid"
sed "s|^valid=.*|valid=list$escape|" "$home/x.data" >"$home/y.data"
cp "$T/png/valid.list" "$home/list$escape"
run "$D" classifier valid "$home/y.data" "$home/net.cfg" "$W"
expect_status 0
expect_visible
expect_out "^images: 45 \(valid=.*$seen/list\\\\x1b\[2J\)$"
end

{
    echo 'path,label,prediction,confidence'
    printf 'a.png,"no\ndog%s","no\ndog%s",0.9\nb.png,=cat,"no\ndog%s",0.4\nc.png,=cat,=cat,0.8\n' "$escape" "$escape" "$escape"
} >"$home/a.csv"
begin "reject: tables of classes and lists, names of files"
run "$D" classifier reject -from "$home/a.csv" -classes -list "$evil=$home/a.csv" -compare "$home/a.csv" -bootstrap 0 \
    -report "$T/report$escape"
expect_status 0
expect_visible
expect_out "^list             $T/$seen/a\.csv$"
expect_out '^  no\\ndog\\x1b\[2J         1    100\.00 %'
expect_out '^  =cat                   2     50\.00 %'
expect_out '^   1  no\\ndog\\x1b\[2J  |^   2  no\\ndog\\x1b\[2J  '
expect_out "^  $seen  "
expect_out "^compared with $T/$seen/a\.csv$"
expect_err "^report: $T/report\\\\x1b\[2J/report\.html"
end

begin "reject -csv-safe: the file is read again as what it was written from"
for safe in "" -csv-safe; do
    run "$D" classifier reject -from "$home/a.csv" -report "$T/report$safe" $safe -bootstrap 0
    expect_status 0
    run "$D" classifier reject -from "$T/report$safe/predictions.csv" -json - -compare "$home/a.csv" -bootstrap 0
    expect_status 0
    cp "$T/out" "$T/read$safe.json"
done
expect_same "$T/read.json" "$T/read-csv-safe.json"
grep -q ",'=cat,'=cat," "$T/report-csv-safe/predictions.csv" || complain "$(cat "$T/report-csv-safe/predictions.csv")"
end
error_case "-csv-safe without a CSV" 2 'csv-safe without a CSV' "$D" classifier reject -from a.csv -csv-safe
error_case "-csv-safe of answers in text" 2 'csv-safe without a CSV' "$D" classifier predict a b c d -csv-safe

begin "a file that cannot be written is named"
run "$D" classifier reject -from "$home/a.csv" -json /dev/full
expect_error 1 '/dev/full: cannot write: No space left'
end

begin "calibrate"
run "$D" classifier calibrate -from "$home/a.csv" -coverage 1
expect_status 0
expect_visible
expect_out "^list             $T/$seen/a\.csv$"
end

begin "import"
python3 tests/cli/tiny.py idx "$T/archives"
run "$D" classifier import idx "$T/archives/train-images" "$T/archives/train-labels" -out "$home/out"
expect_status 0
expect_visible
expect_out "^$T/$seen/out/out\.data$"
end

finish
