#!/bin/sh
# `classifier import`: archives (idx, CIFAR) and class folders become images, lists and a .data file; names, splits, refused wishes.
. tests/cli/lib.sh

python3 tests/cli/tiny.py idx "$T/archives"
A=$T/archives
import() {
    run "$D" classifier import "$@"
}

# share LIST FOLDER: images of the list in that class folder
share() {
    grep -c "/$2/" "$1"
}

printf 'T-shirt/top\nb\001c\n..\n' >"$T/names.txt"

begin "idx: a PNG file an image in a folder a class, lists, a .data file that is ready"
import idx "$A/train-images" "$A/train-labels" -test "$A/test-images" "$A/test-labels" -names "$T/names.txt" \
    -split valid=30 calib=15 -out "$T/set"
expect_status 0
expect_quiet
expect_out '^210 images in 3 classes: train 105, valid 30, calib 15, test 60$'
[ "$(tail -n 1 "$T/out")" = "$T/set/set.data" ] || complain "the last line does not name the .data file"
for line in classes=3 train=train.list valid=valid.list calib=calib.list test=test.list labels=labels names=names labels_from=directory; do
    grep -qx "$line" "$T/set/set.data" || complain "the .data file lacks $line"
done
[ "$(find "$T/set" -name '*.png' | wc -l)" -eq 210 ] || complain "not 210 images"
[ "$(sort "$T"/set/*.list | uniq -d | wc -l)" -eq 0 ] || complain "an image is in two lists"
end

begin "names: slashes and control bytes become _ in folders, names= keeps the text"
cmp -s "$T/names.txt" "$T/set/names" || complain "names differ from the file given"
[ "$(ls "$T/set/train" | LC_ALL=C sort | tr '\n' ' ')" = "T-shirt_top _. b_c " ] || complain "folders: $(ls "$T/set/train")"
end

begin "splits keep the class shares"
for list in valid:10 calib:5 train:35 test:20; do
    for class in T-shirt_top _. b_c; do
        [ "$(share "$T/set/${list%:*}.list" $class)" -eq "${list#*:}" ] || complain "$class in ${list%:*}.list is not ${list#*:}"
    done
done
end

begin "what is imported can be trained on, and pixels are those of the archive"
tiny_cfg "$T/net.cfg" 1 3 '[softmax]\n'
sed "s,^backup=.*,backup=$T/backup," "$T/set/set.data" >"$T/set/own.data"
run "$D" classifier train "$T/set/own.data" "$T/net.cfg" -epochs 1
expect_status 0
python3 - "$A/train-images" "$T/set/train/T-shirt_top/000000.png" <<'END_PYTHON' || complain "the first image has other pixels"
import sys, zlib
archive, png = (open(p, "rb").read() for p in sys.argv[1:])
data, at = b"", 8
while at < len(png):
    n = int.from_bytes(png[at:at + 4], "big")
    if png[at + 4:at + 8] == b"IDAT":
        data += png[at + 8:at + 8 + n]
    at += n + 12
rows = zlib.decompress(data)
assert all(rows[9 * y] == 0 for y in range(8))
assert b"".join(rows[9 * y + 1:9 * y + 9] for y in range(8)) == archive[16:80]
END_PYTHON
end

begin "compressed archives give the same; the seed decides the splits"
gzip -k "$A/train-images" "$A/train-labels"
for part in a:1:.gz b:1: c:2:; do
    seed=${part#*:}
    import idx "$A/train-images${part##*:}" "$A/train-labels${part##*:}" -split valid=30 -seed "${seed%:*}" -out "$T/${part%%:*}/set"
    expect_status 0
done
diff -r "$T/a" "$T/b" >/dev/null || complain "archives and compressed archives differ"
expect_different "$T/a/set/valid.list" "$T/c/set/valid.list"
end

python3 tests/cli/tiny.py cifar "$T/cifar"
TEN=$T/cifar/cifar-10-batches-bin
HUNDRED=$T/cifar/cifar-100-binary

begin "cifar10: PNG files in a folder a class, five batches for training, the test batch as test="
import cifar10 "$TEN" -split valid=10 -out "$T/ten/set"
expect_status 0
expect_quiet
expect_out '^60 images in 10 classes: train 30, valid 10, test 20$'
[ "$(tail -n 1 "$T/out")" = "$T/ten/set/set.data" ] || complain "the last line does not name the .data file"
[ "$(ls "$T/ten/set/train" | wc -l) $(find "$T/ten/set/train" -name '*.png' | wc -l)" = "10 40" ] || complain "not 40 images in 10 folders"
[ "$(share "$T/ten/set/test.list" horse)" -eq 2 ] || complain "not 2 horses for the test"
end

begin "cifar10: the archive as it was downloaded gives the same"
import cifar10 "$T/cifar/cifar-10-binary.tar.gz" -split valid=10 -out "$T/tar/set"
expect_status 0
diff -r "$T/ten" "$T/tar" >/dev/null || complain "folder and archive differ"
end

begin "idx: a .zip of one file is read as .gz is, of two it is refused"
(cd "$A" && python3 -m zipfile -c images.zip train-images && python3 -m zipfile -c two.zip train-images train-labels)
import idx "$A/images.zip" "$A/train-labels" -out "$T/zipped/set"
expect_status 0
[ "$(find "$T/zipped/set" -name '*.png' | wc -l)" -eq 150 ] || complain "not 150 images"
import idx "$A/two.zip" "$A/train-labels" -out "$T/two"
expect_error 1 'two\.zip: holds several files, expected one'
end

begin "cifar10: a .zip of the folder gives the same"
(cd "$T/cifar" && python3 -m zipfile -c ten.zip cifar-10-batches-bin)
import cifar10 "$T/cifar/ten.zip" -split valid=10 -out "$T/zip/set"
expect_status 0
diff -r "$T/ten" "$T/zip" >/dev/null || complain "folder and archive differ"
end

begin "cifar100: the classes are the fine labels"
import cifar100 "$HUNDRED" -out "$T/fine"
expect_status 0
expect_out '^300 images in 100 classes: train 200, test 100$'
grep -qx 'train/fine_42/000142.png' "$T/fine/train.list" || complain "image 142 is not in class fine_42"
end

begin "folders: lists of images where they are, nothing copied"
(cd "$T/set/train" && find . -type f -exec cksum {} + | sort) >"$T/before"
import folders "$T/set/train" -test "$T/set/test" -split valid=30 -out "$T/lists"
expect_status 0
expect_quiet
(cd "$T/set/train" && find . -type f -exec cksum {} + | sort) >"$T/after"
expect_same "$T/before" "$T/after"
[ "$(find "$T/lists" -name '*.png' | wc -l)" -eq 0 ] || complain "images were copied"
[ "$(wc -l <"$T/lists/train.list") $(wc -l <"$T/lists/valid.list") $(wc -l <"$T/lists/test.list")" = "120 30 60" ] ||
    complain "$(wc -l "$T"/lists/*.list)"
run "$D" classifier valid "$T/lists/lists.data" "$T/net.cfg" "$T/backup/net.weights"
expect_status 0
expect_out '^images: 30 '
end

# ---- wishes that cannot be met: nothing is written ----

cp -r "$T/set/train" "$T/holes"
mkdir "$T/holes/empty"
head -c 200 "$A/train-images.gz" >"$T/cut.gz"
printf 'a\nb\n' >"$T/two.txt"
cp -r "$TEN" "$T/cut"
head -c 10000 "$TEN/data_batch_3.bin" >"$T/cut/data_batch_3.bin"
cp -r "$TEN" "$T/label"
printf '\012' | dd of="$T/label/test_batch.bin" bs=1 seek=3073 conv=notrunc 2>/dev/null
cp -r "$TEN" "$T/missing"
rm "$T/missing/data_batch_2.bin"
head -c 2000 "$T/cifar/cifar-10-binary.tar.gz" >"$T/cut.tar.gz"
while IFS='|' read -r what status pattern words; do
    error_case "$what" "$status" "$pattern" "$D" classifier import $(printf '%s' "$words" | sed "s,@,$T,g") -out "$T/refused"
    begin "$what: nothing is written"
    expect_no_file "$T/refused"
    end
done <<'END_CASES'
unknown split|2|'foo', expected valid, calib or test|idx @/archives/train-images @/archives/train-labels -split foo=3
split twice|2|'valid' given twice|idx @/archives/train-images @/archives/train-labels -split valid=3 valid=4
split that is no number|2|expected NAME=COUNT|idx @/archives/train-images @/archives/train-labels -split valid=x
split of all images|1|150 images, expected fewer|idx @/archives/train-images @/archives/train-labels -split valid=100 calib=50
split of test besides -test|2|'test' besides -test|folders @/set/train -test @/set/test -split test=3
the training images as test images|2|-test .*train. has the training images, expected others|folders @/set/train -test @/set/../set/train/
too few names|1|two\.txt|idx @/archives/train-images @/archives/train-labels -names @/two.txt
archive cut short|1|cut\.gz: .*too early|idx @/cut.gz @/archives/train-labels
CIFAR batch cut short|1|cut/data_batch_3\.bin: has 10000 bytes, expected whole images of 3073|cifar10 @/cut
CIFAR batch missing|1|missing/data_batch_2\.bin: cannot open|cifar10 @/missing
CIFAR label out of range|1|label/test_batch\.bin: label 10 of image 1, expected 0 … 9|cifar10 @/label
CIFAR names of another number|1|two\.txt: has 2 names, expected 10|cifar10 @/cifar/cifar-10-batches-bin -names @/two.txt
CIFAR-100 in place of CIFAR-10|1|cifar-100-binary/data_batch_1\.bin: .*expected the files of cifar-10-binary\.tar\.gz|cifar10 @/cifar/cifar-100-binary
CIFAR archive cut short|1|cut\.tar\.gz: .*too early|cifar10 @/cut.tar.gz
class folder without images|1|holes/empty: no images|folders @/holes
END_CASES

error_case "a file where the folder should be" 1 'names\.txt' \
    "$D" classifier import idx "$A/train-images" "$A/train-labels" -out "$T/names.txt"

# ---- nothing outside of the folder is written ----

idx() {
    "$D" classifier import idx "$A/train-images" "$A/train-labels" "$@"
}
mkdir "$T/elsewhere"
ln -s elsewhere "$T/link"
ln -s nowhere "$T/dangling"
for out in link link/ dangling; do
    error_case "-out $out: a link in the place of the folder" 1 "$out: is a link, expected" idx -out "$T/$out"
done
[ -z "$(ls "$T/elsewhere")" ] && [ ! -e "$T/nowhere" ] || echo "not ok nothing behind the links"

L=$T/linked/set
idx -out "$L" >/dev/null 2>&1
begin "links in the folder of an earlier import are replaced, not followed"
for file in labels train.list set.data train/1/000001.png train/2/000002.png; do
    echo precious >"$T/elsewhere/$(basename "$file")"
    rm "$L/$file"
    ln -s "$T/elsewhere/$(basename "$file")" "$L/$file"
done
rm "$L/train/2/000002.png" "$L/set.data"
ln "$T/elsewhere/000002.png" "$L/train/2/000002.png"
head -n 1 "$T/set/set.data" >"$L/set.data"
run idx -out "$L"
expect_status 0
for file in "$T"/elsewhere/*; do
    [ "$(cat "$file")" = precious ] || complain "$file was overwritten"
done
[ -z "$(find "$L" -type l)" ] || complain "$(find "$L" -type l)"
end

ln -s "$T/elsewhere/mark" "$L/.import_unfinished"
error_case "a link for the mark" 1 'cannot write there' idx -out "$L"
[ ! -e "$T/elsewhere/mark" ] || echo "not ok nothing behind the link for the mark"
rm "$L/.import_unfinished"

for part in train/1 train; do
    rm -r "${L:?}/$part"
    ln -s "$T/elsewhere" "$L/$part"
    error_case "$part is a link to another folder" 1 "$part: is a link, expected" idx -out "$L"
    rm "$L/$part"
done
begin "nothing there has changed"
[ "$(cat "$T"/elsewhere/* | sort -u)" = precious ] || complain "$(ls "$T/elsewhere")"
end
error_case "-names in the folder that is written" 1 "names: lies in '.*set', which is written, expected" idx -names "$T/set/names" -out "$T/set"

error_case "folders: a file in the place of the folder" 1 "is no .tar, .tar.gz or .zip" \
    "$D" classifier import folders tests/cli/import.sh -out "$T/of_a_file"

finish
