"""Manual pages and bash completion, from what the program says of itself.

pages.py PROGRAM man1|man5|completion
"""
import os
import re
import subprocess
import sys
import time

program, what = sys.argv[1:]
# a flag or KEY=VALUE, and its help behind two spaces; behind one where the value is long
ROW = re.compile(r"^  (-?[^\s=]+)(?:[ =](\S+(?: [A-Z]+)*))?  +(.*)$")
LONG = re.compile(r"^  (-?[^\s=]+)[ =](\S+) (.*)$")


def ask(*words):
    text = subprocess.run(["darknet-sat", *words], executable=os.path.abspath(program), check=True, capture_output=True, text=True).stdout
    return text.replace("./darknet", "darknet-sat")


def commands():
    """(words, help) of each command."""
    text = ask("--help").split("commands:\n", 1)[1].split("\n\n", 1)[0]
    return [(line[2:28].strip(), line[28:].strip()) for line in text.splitlines()]


def split_help(text):
    """synopsis, summary, rows of (flag, value, help), more text"""
    usage, summary, rest = text.split("\n\n", 2)
    flags, _, more = rest.partition("\n\n")
    return usage[len("usage: "):], summary, rows_of(flags), more


def rows_of(text):
    found = [ROW.match(line) or LONG.match(line) for line in text.splitlines()]
    return [(m.group(1), m.group(2) or "", m.group(3)) for m in found if m]


# ---- manual pages, in mdoc ----

def escape(text):
    return re.sub(r"^([.'])", r"\\&\1", text.replace("\\", "\\e"))


def wrapped(text, width, indent=""):
    """Lines of at most `width` columns and a word; all but the first begin with the indent."""
    out, line = [], ""
    for word in text.split():
        if len(line) + len(word) > width:
            out.append(line)
            line = indent
        line += (" " if line else "") + word
    return out + [line]


def prose(text):
    """Lines of at most 78 columns, a sentence a line."""
    out = []
    for sentence in re.split(r"(?<=[.:?!;])\s+", " ".join(text.split())):
        out += wrapped(sentence, 76)
    return "\n".join(escape(line) for line in out if line)


def table(rows, dash):
    out = [".Bl -tag -width Ds"]
    for name, value, text in rows:
        label = ".It Fl " + name[1:] if dash else ".It Cm " + name + ("=" if value else "")
        out.append(label + (" Ar " + value.replace("|", " | ") if value else ""))
        out.append(prose(text))
    return "\n".join(out + [".El"])


def head(section, summary):
    date = time.strftime("%B %e, %Y", time.gmtime(int(os.environ.get("SOURCE_DATE_EPOCH", time.time()))))
    return f".Dd {' '.join(date.split())}\n.Dt DARKNET-SAT {section}\n.Os\n.Sh NAME\n.Nm darknet-sat\n.Nd {summary}"


def man1():
    out = [head(1, "train image classifiers that may abstain, and use them"), """.Sh SYNOPSIS
.Nm
.Op Fl plugin Ar FILE.so
.Ar command
.Op Ar argument ...
.Op Ar flag ...
.Sh DESCRIPTION"""]
    tail = ask("--help").split("\n\n")[-1]
    out.append(prose(tail.split("Status:")[0]))
    for words, _ in commands():
        usage, summary, rows, more = split_help(ask(*words.split(), "--help"))
        out += [".Ss " + words, ".Bd -literal -offset indent -compact"]
        out += wrapped(usage, 70, "   ") + [".Ed", ".Pp", prose(summary[0].upper() + summary[1:] + ".")]
        if rows:
            out += [table(rows, True)]
        if more.strip():
            out += [".Pp", prose(more)]
    out += [".Sh EXIT STATUS", prose(tail.split("Status:")[1]), ".Sh SEE ALSO", ".Xr darknet-sat 5"]
    return "\n".join(out)


def man5():
    out = [head(5, "keys of .data files and sections of .cfg files"), ".Sh DESCRIPTION", ".Ss Data files",
           prose("A line a key, KEY=VALUE. Files lie in the folder of the .data file, else in the current one.")]
    out += [table(rows_of(ask("classifier", "--help").split("keys of a .data file", 1)[1]), False)]
    layers = ask("layers").split("\n\n")[0]
    for name in [line.split()[0] for line in layers.splitlines()]:
        text = ask("layers", name)
        title, _, rest = text.partition("\n\nkeys:\n")
        keys, _, more = rest.partition("\n\nconfidences (higher: surer):\n")
        out += [f".Ss The section {name}", prose(title.partition(": ")[2].capitalize() + "."), table(rows_of(keys), False)]
        if more:
            out += [".Pp", "Confidences, higher is surer:", table(rows_of(more), False)]
    out += [".Sh SEE ALSO", ".Xr darknet-sat 1"]
    return "\n".join(out)


# ---- completion ----

def completion():
    flags, values, layers = [], [], ask("layers").split("\n\n")[0]
    for words, _ in commands():
        rows = split_help(ask(*words.split(), "--help"))[2]
        flags.append("        '%s') echo '%s' ;;" % (words, " ".join(r[0] for r in rows)))
        for name, _, text in rows:
            m = re.search(r"\(([\w:|-]+\|[\w:|-]+)[,)]", text)
            if m:
                values.append("        '%s %s') echo '%s' ;;" % (words, name, m.group(1).replace("|", " ")))
    return """# bash completion of darknet-sat
_darknet_sat_flags() {
    case $1 in
%s
    esac
}
_darknet_sat_values() {
    case $1 in
%s
    'layers') echo '%s' ;;
    esac
}
_darknet_sat() {
    local commands='%s' word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} typed= i command= found line
    for ((i = 1; i < COMP_CWORD; i++)); do
        typed=${typed:+$typed }${COMP_WORDS[i]}
        while IFS= read -r line; do [ "$line" = "$typed" ] && command=$typed; done <<<"$commands"
    done
    if [ -z "$command" ]; then
        found=$(while IFS= read -r line; do
            [ -z "$typed" ] || [[ $line == "$typed "* ]] && { line=${line#"$typed"}; line=${line# }; echo "${line%%%% *}"; }
        done <<<"$commands")
    elif [[ $word == -* ]]; then
        found=$(_darknet_sat_flags "$command")
    else
        found=$(_darknet_sat_values "$command${before:+ $before}")
        [ "$command" = layers ] && found=$(_darknet_sat_values layers)
    fi
    COMPREPLY=($(compgen -W "$found" -- "$word" | sort -u))
}
complete -o default -F _darknet_sat darknet-sat""" % (
        "\n".join(flags), "\n".join(values), " ".join(line.split()[0] for line in layers.splitlines()),
        "\n".join(words for words, _ in commands()))


print({"man1": man1, "man5": man5, "completion": completion}[what]())
