#!/bin/sh
# The shape of the house: what may include what, which file sees which foreign header, how long a function may be.
# Prints the line counts of the rooms. From the repository root.
. tests/cli/lib.sh

# A room and the rooms that its files may include, besides its own. docs/design.md draws the same.
rooms="
src/base:
src/select: src/base
src/data: src/base
src/import: src/base src/data
src/ranks: src/base
src/report: src/base src/select
plugins: src/base src/select
plugins/onednn: src/base plugins
plugins/cuda: src/base plugins
src/cfg: src/base src/select plugins
src/host: src/base src/select src/cfg src/ranks plugins
src/export: src/base src/select src/cfg src/host plugins
src/train: src/base src/select src/data src/cfg src/ranks src/host plugins
src/api: src/base src/select src/data src/cfg src/host src/train plugins
src/serve: src/base src/select src/data src/report src/api
src/cli: src/base src/select src/data src/import src/report src/cfg src/ranks src/host src/export src/train src/api src/serve plugins
"

files=$(find src plugins -name '*.[ch]' | sort)

# The room of the file that `#include "$1"` names, seen from the room $2.
room_of_include() {
    case $1 in
    plugins/*/*) dirname "$1" ;;
    plugins/*) echo plugins ;;
    */*) echo "src/${1%/*}" ;;
    *) echo "$2" ;;
    esac
}

# "FILE includes HEADER" for each include of room $1 beyond the rooms $2.
includes_beyond() {
    grep -Ho '^#include "[^"]*"' "$1"/*.[ch] | sed 's/:#include "/ /; s/"$//' | while read -r file header; do
        room=$(room_of_include "$header" "$1")
        case " $1 $2 " in
        *" $room "*) ;;
        *) echo "$file includes $header" ;;
        esac
    done
}

begin "no file includes upwards"
found=$(echo "$rooms" | while IFS=: read -r room allowed; do
    [ -z "$room" ] || includes_beyond "$room" "$allowed"
done)
[ -z "$found" ] || complain "$found"
end

begin "every folder with C files is a room"
for folder in $(printf '%s\n' $files | sed 's|/[^/]*$||' | sort -u); do
    echo "$rooms" | grep -q "^$folder:" || complain "$folder is none of the rooms of tests/style.sh"
done
end

# Each foreign header and the one file of ours that may include it.
while read -r header file; do
    begin "<$header> is seen by $file alone"
    found=$(grep -lE "^# *include <$header>" $files)
    [ "$found" = "$file" ] || complain "included by: $found"
    end
done <<'LIST'
darknet.h src/host/private.h
dnnl.h plugins/onednn/dnnl.c
archive.h src/import/archive.c
archive_entry.h src/import/archive.c
seccomp.h src/data/sandbox.c
webp/decode.h src/data/webp.c
onnx.pb-c.h src/export/onnx.c
mpi.h src/ranks/mpi.c
LIST

# Functions begin and end with a brace in the first column.
begin "no function is longer than 60 lines"
found=$(awk '
    FNR == 1 { start = 0 }
    /^{$/ { start = FNR }
    /^}/ && start { if (FNR - start - 1 > 60) print FILENAME ":" start ": " FNR - start - 1 " lines"; start = 0 }' $files)
[ -z "$found" ] || complain "$found"
end

begin "no line is wider than 110 columns"
found=$(LC_ALL=C.UTF-8 grep -nE '.{111}' $files | cut -c 1-100)
[ -z "$found" ] || complain "$found"
end

begin "none of the functions that are easy to misuse is called"
found=$(grep -nE '\<(strcpy|strcat|sprintf|vsprintf|strtok|atoi|atol|atof|gets|system|rand) *\(' $files)
[ -z "$found" ] || complain "$found"
end

count() {
    cat "$@" | wc -l
}

echo "# lines of C:"
echo "$rooms" | while IFS=: read -r room allowed; do
    [ -z "$room" ] || printf '# %7d  %s\n' "$(count "$room"/*.[ch])" "$room"
done
core=$(count src/base/*.[ch] src/cfg/*.[ch] src/data/*.[ch] src/host/*.[ch] plugins/*.[ch] src/select/*.[ch] src/train/*.[ch])
shown=$(count src/api/*.[ch] src/cli/*.[ch] src/report/*.[ch] src/import/*.[ch])
printf '# %7d  base, cfg, data, host, plugins, select, train\n# %7d  api, cli, report, import\n# %7d  all\n' \
    "$core" "$shown" "$(count src/*/*.[ch] plugins/*.[ch] plugins/*/*.[ch] plugins/*/*.cu)"
finish
