#!/bin/sh
# `make install`: what other programs, plugins and people find afterwards works from there.
. tests/cli/lib.sh
[ -z "${SANITIZER:-}" ] || {
    skip "installing" "built with a sanitizer"
    exit 0
}
short_runs
PREFIX=$T/usr
ROOT=$T/root

begin "make install puts all below DESTDIR, for PREFIX"
run make -s install -o all PREFIX="$PREFIX" DESTDIR="$ROOT"
expect_status 0
for file in bin/darknet-sat lib/libdarknet_sat.so.1 lib/libdarknet_sat.so lib/darknet-sat/libdarknet-sat.so lib/darknet-sat/libdarknet-sat-mpi.so include/darknet-sat.h \
    include/darknet-sat/plugins/plugin.h lib/pkgconfig/darknet-sat.pc share/darknet-sat/cfg/small_sat.cfg \
    share/man/man1/darknet-sat.1 share/man/man5/darknet-sat.5 share/bash-completion/completions/darknet-sat; do
    expect_file "$ROOT$PREFIX/$file"
done
run grep -rlF "$ROOT" "$ROOT$PREFIX"
[ "$status" -ne 0 ] || show out
run grep -rlF "$PWD" "$ROOT$PREFIX/share/man" "$ROOT$PREFIX/share/bash-completion"
[ "$status" -ne 0 ] || show out
end
mv "$ROOT$PREFIX" "$PREFIX"
D=$PREFIX/bin/darknet-sat
export PKG_CONFIG_PATH="$PREFIX/lib/pkgconfig" LD_LIBRARY_PATH="$PREFIX/lib"

begin "the module finds the library of its PREFIX"
run env -u LD_LIBRARY_PATH PYTHONDONTWRITEBYTECODE=1 PYTHONPATH="$(dirname "$PREFIX"/lib/python3*/dist-packages/darknet_sat.py)" \
    /usr/bin/python3 -c 'import darknet_sat; print(darknet_sat.version())'
[ "$(cat "$T/out")" = "$("$D" --version | sed 's/.* //')" ] || complain "$(cat "$T/out" "$T/err")"
end

begin "pkg-config finds header and library"
run ${CC:-cc} -o "$T/classify" examples/classify.c $(pkg-config --cflags --libs darknet-sat)
expect_status 0
run "$T/classify"
expect_status 2
expect_err '^usage: '
[ "$(pkg-config --modversion darknet-sat)" = "$("$D" --version | sed 's/.* //')" ] || complain "another version"
end

# the layer of plugins/README.md, as it stands there
sed -n '/^\/\* \[smooth\]: label/,/^```/p' plugins/README.md | grep -v '^```' >"$T/smooth.c"
build() {
    run ${CC:-cc} -shared -fPIC $2 $(pkg-config --cflags darknet-sat-plugin) -o "$T/$1.so" "$T/$1.c"
    expect_status 0
    expect_quiet
}
begin "a layer is built against the installed headers"
build smooth "-std=gnu11 -Wall -Wextra -Werror"
end
tiny_png "$T/png"
tiny_cfg "$T/smooth.cfg" 3 3 '[smooth]\namount=0.05\n'

begin "-plugin: it trains, and answers"
run "$D" -plugin "$T/smooth.so" classifier train "$tiny_data" "$T/smooth.cfg" -epochs 2 -threads 1
expect_status 0
expect_file "$T/png/backup/smooth.weights"
run "$D" -plugin "$T/smooth.so" classifier predict "$tiny_data" "$T/smooth.cfg" "$T/png/backup/smooth.weights" "$T/png/valid_000_leftish.png"
expect_status 0
expect_out '% +leftish'
end

begin "layers tells its keys"
run "$D" -plugin "$T/smooth.so" layers smooth
expect_status 0
expect_out '^  amount=X +share of the target that all classes get alike \(.*default 0\.1\)$'
end

error_case "without -plugin its section is none" 1 'smooth\.cfg:[0-9]+: .*\[?smooth' "$D" classifier train "$tiny_data" "$T/smooth.cfg"
sed 's/DS_PLUGIN_ABI/DS_PLUGIN_ABI + 1/' "$T/smooth.c" >"$T/later.c"
sed -i 's/ds_layer_smooth/ds_layer_later/' "$T/later.c"
sed 's/"smooth"/"softmax"/; s/ds_layer_smooth/ds_layer_taken/' "$T/smooth.c" >"$T/taken.c"
sed 's/^ *\.row = .*//; s/ds_layer_smooth/ds_layer_half/' "$T/smooth.c" >"$T/half.c"
cp "$T/smooth.so" "$T/other.so"
for bad in later taken half; do
    begin "$bad.c is built"
    build $bad ""
    end
done
head -c $(($(wc -c <"$T/smooth.so") / 2)) "$T/smooth.so" >"$T/half_of.so"
mkfifo "$T/pipe.so"
while IFS='|' read -r what status pattern words; do
    error_case "$what" "$status" "$pattern" "$D" $(eval echo "$words") layers
done <<'LIST'
a plugin of another ABI|1|later\.so: .*plugin ABI [0-9]+, expected [0-9]+|-plugin $T/later.so
a plugin of a name that is taken|1|taken\.so: \[softmax\] is there already|-plugin $T/taken.so
a plugin twice|1|smooth\.so: \[smooth\] is there already|-plugin $T/smooth.so -plugin $T/smooth.so
a plugin without a loss|1|half\.so: an incomplete layer|-plugin $T/half.so
a library that is no plugin|1|other\.so: has no ds_layer_other|-plugin $T/other.so
no library|1|-plugin none\.so: cannot open|-plugin none.so
half a library|1|half_of\.so: is no shared library, or not all of one|-plugin $T/half_of.so
a pipe|1|pipe\.so: is no shared library|-plugin $T/pipe.so
a folder|1|is no shared library|-plugin $T
a text|1|smooth\.c: .*|-plugin $T/smooth.c
LIST
error_case "-plugin without a file" 2 'plugin without a value' "$D" -plugin

if command -v mandoc >/dev/null; then
    for page in man1/darknet-sat.1 man5/darknet-sat.5; do
        begin "mandoc has nothing to say about $page"
        # the other page is not where this machine's manuals are
        mandoc -T lint "$PREFIX/share/man/$page" | grep -v 'referenced manual not found: Xr darknet-sat' >"$T/out"
        [ -s "$T/out" ] && complain "$(head -n 20 "$T/out")"
        end
    done
else
    skip "manual pages" "no mandoc"
fi
begin "the manual has every command and flag"
mandoc -T ascii "$PREFIX/share/man/man1/darknet-sat.1" 2>/dev/null | sed 's/.\x08//g' >"$T/out"
expect_out 'classifier calibrate'
for command in train predict; do
    "$D" classifier $command --help | sed -n 's/^  \(-[a-z0-9-]*\) .*/\1/p' | while read -r flag; do
        grep -Eq -- "^ *$flag([[:space:]]|\$)" "$T/out" || echo "$flag"
    done >"$T/missing"
    [ -s "$T/missing" ] && complain "$command: $(cat "$T/missing")"
done
end

complete_words() {
    bash -c '. "$1"; shift; COMP_WORDS=(darknet-sat "$@"); COMP_CWORD=$(($# )); _darknet_sat; printf "%s\n" "${COMPREPLY[@]}"' - \
        "$PREFIX/share/bash-completion/completions/darknet-sat" "$@"
}
begin "bash completes commands, flags and words of a flag"
[ "$(complete_words cla)" = classifier ] || complain "$(complete_words cla)"
complete_words classifier pre | grep -qx predict || complain "$(complete_words classifier pre)"
[ "$(complete_words classifier predict a b -thresh)" = -threshold ] || complain "$(complete_words classifier predict a b -thresh)"
[ "$(complete_words classifier predict -format js)" = jsonl ] || complain "$(complete_words classifier predict -format js)"
complete_words layers s | grep -qx sat || complain "$(complete_words layers s)"
end
finish
