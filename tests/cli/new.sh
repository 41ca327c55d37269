#!/bin/sh
# `classifier new`: from pictures in a folder a class to a network, by the commands that it prints.
. tests/cli/lib.sh
short_runs

case $D in /*) ;; *) D=$PWD/$D ;; esac
home=$PWD
tiny_idx "$T/tiny"
mv "$T/tiny/train" "$T/photos" # three classes of 50 grey images of 8 x 8
cd "$T" || exit 1

# try NAME…: runs the commands that `new` has printed, trained for two epochs
try_commands() {
    sed -n 's/^  //p' out | sed '/ classifier train /s/$/ -epochs 2/; s/.* classifier [a-z]*/& -threads 1/' >commands
    [ "$(wc -l <commands)" -eq 5 ] || complain "not five commands: $(cat out)"
    run sh -e commands
    expect_status 0
    expect_out 'accepted|REJECTED'
}

begin "class folders: split by class, a network that fits, and commands that can be pasted"
run "$D" classifier new photos
expect_status 0
expect_quiet
expect_out '^150 images in 3 classes: train 75, valid 15, calib 30, test 30$'
for line in height=8 width=8 channels=1 batch=16 flip=1 output=4 classes=3 max_batches=938 policy=cosine; do
    grep -qx "$line" photos_net/photos_net.cfg || complain "the cfg lacks $line"
done
try_commands
end

begin "pictures that are there twice stay together: no list has an image of another"
cp -r photos twice
for f in $(ls twice/*/* | head -n 40); do
    cp "$f" "${f%.png}_twin.png"
done
run "$D" classifier new twice
expect_status 0
expect_out '^190 images in 3 classes: train [0-9]+, valid [0-9]+, calib [0-9]+, test [0-9]+$'
for list in twice_net/*.list; do
    sed -n 's/_twin\.png$/.png/p' "$list" | while read -r f; do grep -qx "$f" "$list" || echo "$list: $f"; done
done >apart
[ ! -s apart ] || complain "$(cat apart)"
cat twice_net/*.list >all
[ "$(grep -c twin all)" -eq 40 ] || complain "twins are lost"
try_commands
end

# archive FILE MEMBER…: of photos beside Mac's files; MEMBER, what does not belong there: NAME[=TEXT], a link @NAME
cat >archive.py <<'END'
import io, pathlib, sys, tarfile, zipfile
name, wrong = sys.argv[1], sys.argv[2:]
members = [(str(p), p.read_bytes()) for p in sorted(pathlib.Path("photos").glob("*/*"))]
members += [("__MACOSX/photos/0/._a.png", b"x"), ("photos/.DS_Store", b"x"), ("photos/readme.txt", b"x"), ("photos/ü.txt", b"x")]
members += [(w.partition("=")[0], w.partition("=")[2].encode()) for w in wrong if w[0] != "@"]
if name.endswith(".zip"):
    with zipfile.ZipFile(name, "w", zipfile.ZIP_DEFLATED) as z:
        for path, data in members:
            z.writestr(path, data)
        for w in wrong:
            if w[0] == "@":
                link = zipfile.ZipInfo(w[1:])
                link.create_system, link.external_attr = 3, 0o120777 << 16
                z.writestr(link, "/etc/passwd")
else:
    with tarfile.open(name, "w:gz" if name.endswith("gz") else "w") as t:
        for path, data in members:
            info = tarfile.TarInfo(path)
            info.size = len(data)
            t.addfile(info, io.BytesIO(data))
        for w in wrong:
            if w[0] == "@":
                info = tarfile.TarInfo(w[1:])
                info.type, info.linkname = tarfile.SYMTYPE, "/etc"
                t.addfile(info)
END

begin "archives of class folders are unpacked, images alone, and can be moved with their lists"
for kind in zip tar tar.gz; do
    python3 -W ignore archive.py "pack.$kind"
    run "$D" classifier new "pack.$kind" -out "$kind"
    expect_status 0
    expect_out '^150 images in 3 classes: train 75, valid 15, calib 30, test 30$'
    grep -q 'note: 2 files passed over' err || complain "no note of readme.txt: $(cat err)"
    diff -r -x readme.txt photos "$kind/images/photos" >/dev/null || complain "other images: $(ls "$kind/images")"
done
mv tar moved
run "$D" classifier check moved/tar.data moved/tar.cfg
expect_status 0
run "$D" classifier import folders pack.zip -out zip -split valid=10
expect_status 0
[ -d zip/images-2/photos ] || complain "$(ls zip)"
grep -q '^images-2/photos/' zip/train.list || complain "$(head -n 1 zip/train.list)"
grep -q '^images/photos/' zip/train.list.old || complain "$(head -n 1 zip/train.list.old)"
end

head -c 3000 pack.zip >cut.zip
head -c 9000 pack.tar.gz >cut.tar.gz
echo text >text.zip
while IFS='|' read -r file pattern wrong; do
    # shellcheck disable=SC2086
    [ -f "$file" ] || python3 -W ignore archive.py "$file" $wrong
    error_case "a bad archive: $file $wrong" 1 "$file.*$pattern" "$D" classifier new "$file" -out bad
    [ ! -e bad ] || echo "not ok $file left $(ls -A bad)"
done <<'END'
cut.zip|damaged
cut.tar.gz|ends too early
text.zip|is no .tar, .tar.gz or .zip.*expected one folder a class
up.zip|'photos/../../up.png' in it leads outside|photos/../../up.png
up.tar|'../up.png' in it leads outside|../up.png
root.tar.gz|'/up.png' in it is no folder|/up.png
link.zip|'photos/l.png' in it is no folder|@photos/l.png
link.tar|'photos/l' in it is no folder|@photos/l
heic.zip|'photos/0/a.heic' in it is a HEIC image|photos/0/a.heic
twice.zip|holds two files 'photos/0/a.png'|photos/0/a.png=1 photos/0/a.png=2
END
[ ! -e up.png ] && [ ! -e ../up.png ] || echo "not ok a file outside"
mkfifo pipe.zip
error_case "a pipe in place of an archive" 1 'pipe.zip: is no folder and no file' "$D" classifier new pipe.zip -out bad
error_case "a device in place of an archive" 1 '/dev/zero: is no folder and no file' "$D" classifier new /dev/zero -out bad
[ ! -e bad ] || echo "not ok a pipe left $(ls -A bad)"

begin "an archive is read as its folder is: ./ in names, folders without images; what was killed leaves no trace"
tar -cf dot.tar photos/.
mkdir -p dot/images.part && echo half >dot/images.part/half.png
run "$D" classifier new dot.tar -out dot
expect_status 0
expect_out '^150 images in 3 classes:'
[ ! -e dot/images.part ] || complain "$(ls -A dot)"
mkdir -p bare && cp -r photos bare && mkdir bare/photos/3
tar -cf bare.tar -C bare photos
run "$D" classifier new bare.tar -out bare_net
expect_error 1 "photos/3: no images there"
[ ! -e bare_net ] || complain "$(ls -A bare_net)"
exec 8<dot
flock 8
run "$D" classifier new dot.tar -out dot
expect_error 1 "dot: another process imports into it"
exec 8<&-
end

begin "what an import says of classes: one called train, one without an image for training, folders of folders"
mkdir -p few/train few/extra && cp photos/0/* few/train && cp "photos/1/$(ls photos/1 | head -n 1)" few/extra
run "$D" classifier new few -split valid=48
expect_status 0
grep -q "^note: 'train' is taken for a class" err || complain "$(cat err)"
if grep -q /extra/ few_net/train.list; then set 0; else set 1; fi
[ "$(grep -c '^warning: 1 of the 2 classes have no image for training' err)" = "$1" ] || complain "$(cat err few_net/train.list)"
mkdir -p deep/seg_train/seg_train deep/seg_test/seg_test && cp -r photos/0 photos/1 deep/seg_train/seg_train && cp -r photos/0 photos/1 deep/seg_test/seg_test
run "$D" classifier import folders deep -out deep_lists
expect_status 0
grep -q "^note: the folders taken for classes hold only folders" err || complain "$(cat err)"
end

begin "-size, -no-flip, -split, another network; what was there before becomes .old"
run "$D" classifier new photos -out photos_net -size 32 -network resnet18 -no-flip -split valid=20% test=30
expect_status 0
expect_out '^150 images in 3 classes: train 90, valid 30, test 30$'
for line in width=32 channels=1 flip=0 output=4; do
    grep -qx "$line" photos_net/photos_net.cfg || complain "the cfg lacks $line"
done
expect_file photos_net/photos_net.cfg.old
end

begin "whatever was edited stays, however often it runs"
for edit in first second; do
    echo "# $edit" >>photos_net/photos_net.cfg
    for again in 1 2; do
        run "$D" classifier new photos -split valid=20%
        expect_status 0
        expect_err '^note: the cfg of before is now photos_net/photos_net.cfg.old'
        expect_err '^note: no images for calib, test: -split'
    done
done
for edit in first second; do grep -qx "# $edit" photos_net/*.cfg.old* || complain "the $edit edit is gone"; done
end

begin "a full disk: all that was there has its name again"
(cd photos_net && ls && cat photos_net.data photos_net.cfg ./*.list) >before
for limit in 1 2; do # blocks of a file
    run sh -c "ulimit -f $limit; trap '' XFSZ; exec '$D' classifier new photos"
    expect_error 1 'cannot write: File too large'
    (cd photos_net && ls && cat photos_net.data photos_net.cfg ./*.list) | cmp -s - before || complain "after $limit: $(ls photos_net)"
done
end

begin "stopped at any time, what was there before or what comes is whole"
for delay in .005 .01 .015 .02 .03 .04; do
    timeout -s TERM $delay "$D" classifier new photos -seed 5 >/dev/null 2>&1
    for f in photos_net.data photos_net.cfg train.list labels; do expect_file "photos_net/$f"; done
done
end

begin "a cfg that is a link: the file behind it stays as it is"
mv photos_net/photos_net.cfg mine.cfg
echo "# mine" >>mine.cfg
cp mine.cfg kept.cfg
ln -s ../mine.cfg photos_net/photos_net.cfg
run "$D" classifier new photos -size 40
expect_status 0
expect_same mine.cfg kept.cfg
[ ! -L photos_net/photos_net.cfg ] && grep -qx width=40 photos_net/photos_net.cfg || complain "$(ls -l photos_net)"
end

begin "a folder with a dot in its name, one that looks like a flag"
cp -r photos pets.2023
cp -r photos -- -pets
run "$D" classifier new pets.2023
expect_file pets_2023_net/pets_2023_net.data
run "$D" classifier new -- -pets
expect_out '^  .* classifier check \./-pets_net/-pets_net\.data \./-pets_net/-pets_net\.cfg$'
expect_file ./-pets_net/-pets_net.cfg
rm -r pets.2023 ./-pets
end

begin "folders train, val and test of classes keep their images; other parts are taken from train"
mkdir parted parted/val parted/Test
mv photos parted/train
for class in 0 1 2; do
    for part in val Test; do
        mkdir "parted/$part/$class"
        ls "parted/train/$class" | head -n 10 | while read -r f; do mv "parted/train/$class/$f" "parted/$part/$class"; done
    done
done
run "$D" classifier new parted -network "$home/cfg/fashion_softmax.cfg" -size 28
expect_status 0
expect_out '^150 images in 3 classes: train 72, valid 30, calib 18, test 30$'
grep -q '/parted/Test/' parted_net/test.list || complain "test.list: $(head -n 1 parted_net/test.list)"
grep -qx 'output=3' parted_net/parted_net.cfg || complain "output= is not 3"
try_commands
end

begin "a network of one's own keeps its mirroring, its crops are scaled"
sed 's/^flip=.*/flip=0/; s/^min_crop=.*/min_crop=28/; s/^max_crop=.*/max_crop=42/' "$home/cfg/fashion_softmax.cfg" >own.cfg
run "$D" classifier new parted -network own.cfg -size 56 -out own_net
expect_status 0
for line in flip=0 min_crop=56 max_crop=84; do grep -qx "$line" own_net/own_net.cfg || complain "no $line: $(cat own_net/own_net.cfg)"; done
end

begin "a folder too many beside train and val is named"
for name in extra valid; do
    cp -r parted/val "parted/$name"
    run "$D" classifier new parted
    expect_error 1 "parted/(extra|val|valid): lies beside folders of parts, expected one each of train, valid"
    rm -r "parted/$name"
done
end

begin "import folders takes the same layout, and shares"
run "$D" classifier import folders parted -split calib=25% -out lists
expect_status 0
expect_out '^150 images in 3 classes: train 67, valid 30, calib 23, test 30$'
end

begin "-epochs 2 of any shipped cfg: what does not fit into it is shortened, which a note says"
for class in a b c d e f g h i j; do
    mkdir -p "ten/$class"
    cp "$(ls parted/train/0/* | head -n 1)" "ten/$class"
done
"$D" classifier import folders ten -out ten_lists >"$T/out" || complain "no import"
for cfg in "$home"/cfg/*.cfg; do
    case $cfg in */vgg*) continue ;; esac # as resnet18, and large
    run "$D" classifier check ten_lists/ten_lists.data "$cfg" -epochs 2
    expect_status 0
done
run "$D" classifier train ten_lists/ten_lists.data "$home/cfg/fashion_sat.cfg" -epochs 2 -threads 1
expect_status 0
expect_err 'fashion_sat.cfg:[0-9]+: warmup_epochs=2, but -epochs 2: the warm-up has 1$'
end

begin "WebP and EXIF: a JPEG is turned unless exif=0, for predict, trusted or not"
mkdir -p shown/a shown/b
for f in jpeg-exif webp-exif webp-lossy gif-animated; do
    cp "$home/tests/fuzz/corpus/image/$f" "shown/a/$f.${f%%-*}"
    { cat "$home/tests/fuzz/corpus/image/$f" && echo; } >"shown/b/$f.${f%%-*}" # the same picture of other bytes
done
echo text >shown/a/notes.txt
run "$D" classifier new shown -split valid=2 -size 8
expect_status 0
expect_err '^note: 1 file passed over, no image by its name .*/shown/a/notes.txt$'
expect_out '^8 images in 2 classes: train 6, valid 2$'
run "$D" classifier train shown_net/shown_net.data shown_net/shown_net.cfg -epochs 2 -threads 1
expect_status 0
sed 's/^train=/exif=0\n&/' shown_net/shown_net.data >shown_net/stored.data
for data in shown_net stored; do
    for flag in '' -untrusted; do
        "$D" classifier predict shown_net/$data.data shown_net/shown_net.cfg backup/shown_net.weights -threads 1 $flag -format csv -top 2 \
            shown/a >"$data$flag.csv" 2>err || complain "$(cat err)"
    done
    expect_same $data.csv $data-untrusted.csv
done
for f in jpeg-exif.jpeg webp-exif.webp; do
    [ "$(grep -h "/$f," shown_net.csv stored.csv | uniq | wc -l)" -eq 2 ] || complain "exif=0 changes nothing for $f"
done
[ "$(grep -h '/webp-lossy.webp,' shown_net.csv stored.csv | uniq | wc -l)" -eq 1 ] || complain "exif=0 changes webp-lossy"
end

begin "what cannot be decoded is named, by new, import and predict"
cp shown/a/webp-lossy.webp shown/a/photo.TIF
run "$D" classifier predict shown_net/shown_net.data shown_net/shown_net.cfg backup/shown_net.weights -threads 1 shown/a
expect_status 0 # by its first bytes it is a WebP
printf 'II*\0' >shown/a/photo.TIF
run "$D" classifier predict shown_net/shown_net.data shown_net/shown_net.cfg backup/shown_net.weights -threads 1 shown/a
expect_status 1
grep -q 'photo.TIF.*TIFF' "$T/err" "$T/out" || complain "photo.TIF is not named: $(cat "$T/err")"
for command in new 'import folders'; do
    run "$D" classifier $command shown -out other
    expect_error 1 'photo.TIF: is a TIFF image, expected .png, .jpg, .webp'
done
end

begin "pictures that cannot be decoded are named, and what to do"
cp -r twice broken
for n in 40 41 42 43 44 45; do head -c $n broken/0/000000.png >broken/1/half$n.png; done
run "$D" classifier new broken
expect_status 0
expect_err '^warning: .*broken/1/half4[0-5].png: cannot decode'
expect_err '^warning: [1-6] of [0-9]+ images looked at cannot be decoded; `train -skip-bad` trains without them$'
end

begin "the same bytes in two classes: the commands go on"
for f in $(ls twice/0 | head -n 20); do
    cp "twice/0/$f" "twice/1/of_0_$f"
done
run "$D" classifier new twice
expect_status 0
try_commands
end

begin "nothing is written when no picture can be decoded"
mkdir -p bad/a bad/b
for f in a/1 a/2 b/1 b/2; do echo "no picture" >bad/$f.png; done
run "$D" classifier new bad
expect_error 1 'bad: none of its images can be decoded'
expect_no_file bad_net
end

error_case "a size too large" 2 '-size 4096 is not for the network small' "$D" classifier new twice -size 4096
error_case "a split of a part that has its folder" 2 "split 'valid' besides such images" "$D" classifier new parted -split valid=10%
error_case "no network of that name" 2 'resnet50, expected small, resnet18, vgg16' "$D" classifier new parted -network resnet50
error_case "a size that the network does not take" 2 'a multiple of 32 for vgg16' "$D" classifier new parted -network vgg16 -size 40
error_case "more than all" 2 'as in valid=2000 or valid=10%' "$D" classifier new parted -split valid=100%
error_case "no archive that is known" 1 'is no .tar, .tar.gz or .zip' "$D" classifier new commands
error_case "nothing there" 1 'cannot open' "$D" classifier new nowhere
[ ! -e nowhere_net ] || complain "a folder was made"
finish
