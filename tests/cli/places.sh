#!/bin/sh
# Where the files are that .data files and lists name: in the folder of the file that names them first, then in the current one.
. tests/cli/lib.sh
D=$(realpath "$D")

# two projects with the same names everywhere, and a network of the first
python3 tests/cli/tiny.py idx "$T/archives"
for project in mine other; do
    "$D" classifier import idx "$T/archives/train-images" "$T/archives/train-labels" -split valid=30 calib=15 test=15 \
        -out "$T/$project" >"$T/out" 2>&1 || exit 1
done
tiny_cfg "$T/net.cfg" 1 3 '[softmax]\n' '[reject]\nthreshold=0.5\n'
mkdir "$T/none"
from() { # FOLDER COMMAND…: as run
    folder=$T/$1
    shift
    run sh -c 'cd "$1" && shift && exec "$@"' sh "$folder" "$D" classifier "$@"
}

begin "train: lists beside the .data file, named in full; backup= counts from the current folder"
from none train ../mine/mine.data "$T/net.cfg" -epochs 1
expect_status 0
expect_err "^train=$T/mine/train\.list\$"
expect_err "^valid=$T/mine/valid\.list\$"
! grep -q '^warning' "$T/err" || complain "$(grep '^warning' "$T/err")"
expect_file "$T/none/backup/net.weights"
end
W=$T/none/backup/net.weights

begin "every command names its list in full, without a warning where there is no doubt"
from none valid ../mine/mine.data "$T/net.cfg" "$W"
expect_quiet
expect_out "^images: 30 \(valid=$T/mine/valid\.list\)\$"
from none reject ../mine/mine.data "$T/net.cfg" "$W" -list more=../mine/calib.list -json "$T/reject.json"
expect_quiet
expect_out "^list +$T/mine/test\.list\$"
[ "$(json_value "$T/reject.json" lists | grep -c "'file': '$T/mine/calib.list'")" -eq 1 ] || complain "$(json_value "$T/reject.json" lists)"
from none calibrate ../mine/mine.data "$T/net.cfg" "$W" -coverage 0.5
expect_quiet
expect_out "^list +$T/mine/calib\.list\$"
from mine valid mine.data "$T/net.cfg" "$W"
expect_quiet
expect_out "^images: 30 \(valid=$T/mine/valid\.list\)\$"
end

begin "the current folder has the same names: those beside the .data file are taken, and that is said once a list"
rm -r "$T/other/train/0"
from other valid ../mine/mine.data "$T/net.cfg" "$W"
expect_status 0
expect_out "^images: 30 \(valid=$T/mine/valid\.list\)\$"
expect_err "^warning: \.\./mine/mine\.data: 'valid\.list' is $T/mine/valid\.list, not $T/other/valid\.list of the current folder\$"
expect_err "^warning: \.\./mine/mine\.data: 'labels' is "
expect_err "^warning: \.\./mine/valid\.list: 'train/[12]/.*png' is $T/mine/train/.*png, not $T/other/train/"
[ "$(grep -c 'mine/valid\.list: ' "$T/err")" -eq 1 ] || complain "$(cat "$T/err")"
end

begin "names that are links to one file are no doubt"
mkdir "$T/links"
ln -s ../mine/valid.list ../mine/train.list ../mine/calib.list ../mine/test.list ../mine/labels ../mine/names ../mine/train "$T/links"
from links valid ../mine/mine.data "$T/net.cfg" "$W"
expect_status 0
expect_quiet
end

begin "paths that count from the current folder are found there"
mkdir "$T/data"
sed 's,=\(.*\.list\)$,=mine/\1,; s,=\(labels\|names\)$,=mine/\1,' "$T/mine/mine.data" >"$T/data/here.data"
from . valid data/here.data "$T/net.cfg" "$W"
expect_status 0
expect_quiet
end

begin "predict: the folder of a list comes first, a list from a pipe has none"
echo train/1/000001.png >"$T/mine/some.list"
from other predict ../mine/mine.data "$T/net.cfg" "$W" -list ../mine/some.list -format csv
expect_status 0
expect_out '^\.\./mine/train/1/000001\.png,'
expect_err "^warning: \.\./mine/some\.list: 'train/1/000001\.png' is $T/mine/train/1/000001\.png, not $T/other/train/1/000001\.png of the current"
mkfifo "$T/mine/pipe.list"
(echo train/1/000001.png >"$T/mine/pipe.list") &
from other predict ../mine/mine.data "$T/net.cfg" "$W" -list ../mine/pipe.list -format csv
expect_status 0
expect_out '^train/1/000001\.png,'
end

finish
