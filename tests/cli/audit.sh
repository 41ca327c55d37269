#!/bin/sh
# Lists with wrong labels, and finding these by what a training has seen.
. tests/cli/lib.sh

short_runs
tiny_idx "$T/idx"
I=$T/idx
data=$tiny_data

# How many labels of two lists of the same images differ.
differing() {
    paste "$1" "$2" | awk -F '\t' '$1 == $3 && $2 != $4' | wc -l
}

# ---- noise ----

begin "noise: as many wrong labels as the rate says, the truth beside them, the same again by the same seed"
run "$D" classifier noise "$data" -rate 0.4 -seed 3 -out "$T/noisy.list"
expect_status 0
expect_quiet
expect_out '^120 images, 48 of them with a wrong label: '
cut -f 1 "$T/noisy.list" >"$T/1"
cut -f 1 "$T/noisy.list.truth" >"$T/2"
expect_same "$T/1" "$T/2"
found=$(differing "$T/noisy.list" "$T/noisy.list.truth")
[ "$found" -eq 48 ] || complain "$found wrong labels"
[ "$(awk -F '\t' '{ n = split($1, p, "/"); print p[n - 1] == $2 }' "$T/noisy.list.truth" | sort -u)" = 1 ] || complain "the truth is not that of the folders"
[ "$(paste "$T/noisy.list" "$T/noisy.list.truth" | awk -F '\t' '$2 != $4 { print $4, $2 }' | sort -u | wc -l)" -eq 6 ] || complain "not every class becomes every other"
run "$D" classifier noise "$data" -rate 0.4 -seed 3 -out "$T/again.list"
expect_same "$T/noisy.list" "$T/again.list"
run "$D" classifier noise "$data" -rate 0.4 -seed 4 -out "$T/again.list"
expect_different "$T/noisy.list" "$T/again.list"
end

begin "noise -pairs: a class becomes the next one; -list, -rate 0"
run "$D" classifier noise "$data" -rate 0.4 -pairs -out "$T/pairs.list"
expect_status 0
[ "$(paste "$T/pairs.list" "$T/pairs.list.truth" | awk -F '\t' '$2 != $4 { print $4 $2 }' | sort -u | tr '\n' ' ')" = '01 12 20 ' ] || complain "other pairs"
for list in valid test; do
    run "$D" classifier noise "$data" -rate 0 -list $list -out "$T/$list.list"
    expect_status 0
    expect_same "$T/$list.list" "$T/$list.list.truth"
done
expect_out '^60 images, 0 of them'
end

# name|status|pattern|flags
while IFS='|' read -r what status pattern flags; do
    error_case "noise $what" "$status" "$pattern" "$D" classifier noise "$data" $flags
done <<END
with rate 1|2|expected -rate R, a number from 0 to below 1|-rate 1 -out $T/none
with a negative rate|2|expected -rate R, a number from 0 to below 1|-rate -0.1 -out $T/none
without a rate|2|no -rate, expected -rate R|-out $T/none
without a place|2|no -out, expected -out LIST|-rate 0.5
to standard output|2|expected -out LIST|-rate 0.5 -out -
over the .data file|2|would overwrite|-rate 0.5 -out $data
over the list|2|would overwrite|-rate 0.5 -out $I/train.list
of a list that is not there|1|calib= is missing|-rate 0.5 -list calib -out $T/none
END
begin "none of them wrote"
expect_no_file "$T/none"
expect_no_file "$T/none.truth"
end

# ---- audit ----

printf 'train=noisy.list\nvalid=valid.list\nlabels=%s\nlabels_from=list\nbackup=%s\n' "$I/labels" "$T/backup" >"$T/noisy.data"
for kind in soft ema; do
    [ $kind = soft ] && section='[softmax]\n' || section='[sat]\ntarget=ema\nwarmup_epochs=3\n'
    tiny_cfg "$T/$kind.cfg" 1 3 "$section"
    run "$D" classifier train "$T/noisy.data" "$T/$kind.cfg" -epochs 12
    begin "audit, $kind: wrong labels come first"
    run "$D" classifier audit "$T/noisy.data" "$T/$kind.cfg" "$T/backup/$kind.ckpt" -truth "$T/noisy.list.truth" -csv "$T/$kind.csv"
    expect_status 0
    expect_quiet
    expect_out '^images +120 that were trained on$'
    expect_out '^wrong labels +48 \(40\.00 %\)$'
    auroc=$(sed -n 's/^AUROC *//p' "$T/out")
    at_most 0.9 "$auroc" || complain "AUROC $auroc"
    [ "$(head -n 1 "$T/$kind.csv")" = path,given,proposed,score ] || complain "$(head -n 1 "$T/$kind.csv")"
    tail -n +2 "$T/$kind.csv" | cut -d , -f 4 >"$T/1"
    sort -gr "$T/1" >"$T/2"
    expect_same "$T/1" "$T/2"
    tail -n +2 "$T/$kind.csv" | cut -d , -f 1 | sort >"$T/1"
    cut -f 1 "$T/noisy.list" | sort >"$T/2"
    expect_same "$T/1" "$T/2"
    end
done

audit() {
    run "$D" classifier audit "$T/noisy.data" "$T/soft.cfg" "$T/backup/soft.ckpt" "$@"
}

begin "audit -worst, -out, -relabel: lists to train with again"
audit -worst 30 -truth "$T/noisy.list.truth" -out "$T/clean.list"
expect_status 0
expect_out '^precision .* of the 30 suspicious ones are wrong'
[ "$(wc -l <"$T/clean.list")" -eq 90 ] || complain "$(wc -l <"$T/clean.list") lines"
tail -n +2 "$T/soft.csv" | head -n 30 | cut -d , -f 1 >"$T/worst"
! grep -Fqf "$T/worst" "$T/clean.list" || complain "a suspicious image stayed"
audit -worst 30 -out "$T/mended.list" -relabel
[ "$(wc -l <"$T/mended.list")" -eq 120 ] || complain "$(wc -l <"$T/mended.list") lines"
expect_err "^relabelled list: $T/mended.list$"
changed=$(differing "$T/mended.list" "$T/noisy.list")
proposed=$(tail -n +2 "$T/soft.csv" | head -n 30 | awk -F , '$2 != $3' | wc -l)
[ "$changed" -eq "$proposed" ] && [ "$changed" -gt 20 ] || complain "$changed changed, $proposed proposed"
sed 's/noisy.list/mended.list/' "$T/noisy.data" >"$T/mended.data"
run "$D" classifier check "$T/mended.data" "$T/soft.cfg"
expect_status 0
end

begin "audit with another list's labels says so"
run "$D" classifier audit "$T/mended.data" "$T/soft.cfg" "$T/backup/soft.ckpt"
expect_status 0
expect_err '^warning: .*/mended.list: [0-9]+ images or more have other labels than in the training'
end

begin "audit -report: a page of the worst, with pictures"
audit -worst 30 -report "$T/report" -thumbs 20
expect_status 0
expect_err '^report: .*/report/suspects\.html$'
[ "$(grep -c '<figure><img alt="" src="data:image/png;base64,iVBOR' "$T/report/suspects.html")" -eq 20 ] || complain "not 20 pictures"
end

begin "audit without a truth says nothing of one"
audit
expect_status 0
expect_out '^suspicious +[1-9]'
! grep -qE 'AUROC|wrong' "$T/out" || show out
end

begin "images that were kept out are told of and left alone"
sed '/^valid=/d' "$T/noisy.data" >"$T/kept.data"
tiny_cfg "$T/kept.cfg" 1 3 '[sat]\ntarget=ema\n'
run "$D" classifier train "$T/kept.data" "$T/kept.cfg" -epochs 4
expect_status 0
run "$D" classifier audit "$T/kept.data" "$T/kept.cfg" "$T/backup/kept.ckpt" -out "$T/kept.list" -worst 1
expect_status 0
expect_err '^note: .* of 120 images were not trained on: nothing is known of them$'
[ "$(wc -l <"$T/kept.list")" -eq 119 ] || complain "$(wc -l <"$T/kept.list") lines"
end

head -n 100 "$T/noisy.list" >"$T/part.list"
sed 's/noisy.list/part.list/' "$T/noisy.data" >"$T/part.data"
head -n 100 "$T/noisy.list.truth" >"$T/part.truth"
head -c 3000 "$T/backup/soft.ckpt" >"$T/cut.ckpt"
# name|status|pattern|DATA|CFG|CHECKPOINT|flags
while IFS='|' read -r what status pattern d c k flags; do
    error_case "audit $what" "$status" "$pattern" "$D" classifier audit "$T/$d.data" "$T/$c.cfg" "$T/$k.ckpt" -csv "$T/none" $flags
done <<END
with the checkpoint of another list|1|has 120 images, of which .*part\.list holds 100, expected the checkpoint of a training on this list|part|soft|backup/soft|
with another cfg|1|is not the cfg that the run in|noisy|ema|backup/soft|
with half a checkpoint|1|cut\.ckpt: is damaged, or of another kind, expected a checkpoint|noisy|soft|cut|
with no checkpoint|1|gone\.ckpt|noisy|soft|gone|
with a truth that lacks images|1|part\.truth: has no label of|noisy|soft|backup/soft|-truth $T/part.truth
with more than all|2|-worst 121, expected at most 120|noisy|soft|backup/soft|-worst 121
-relabel alone|2|-relabel without -out|noisy|soft|backup/soft|-relabel
over its list|2|would overwrite|noisy|soft|backup/soft|-out $T/noisy.list
over its checkpoint|2|would overwrite|noisy|soft|backup/soft|-out $T/backup/soft.ckpt
END
begin "none of them wrote"
expect_no_file "$T/none"
end

finish
