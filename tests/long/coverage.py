"""coverage.py FOLDER PERCENT: lines of src and plugins that the objects in FOLDER have executed, and which they have not.
Ends with 1 when less than PERCENT of all are."""
import json
import os
import subprocess
import sys


def lines_of(folder):
    """{file: {line: executions}}, of all objects that were run or not."""
    files = {}
    notes = [os.path.join(d, f) for d, _, names in os.walk(folder) for f in names if f.endswith(".gcno")]
    for path in sorted(notes):
        if not path.startswith((folder + "/src/", folder + "/plugins/")):
            continue
        out = subprocess.run(["gcov", "--json-format", "--stdout", path], check=True, capture_output=True).stdout
        for file in json.loads(out)["files"]:
            if file["file"].startswith(("src/", "plugins/")):
                counts = files.setdefault(file["file"], {})
                for line in file["lines"]:
                    n = line["line_number"]
                    counts[n] = max(counts.get(n, 0), line["count"])
    return files


def ranges(lines):
    """[1, 2, 3, 7] as 1-3 7"""
    text = []
    for n in sorted(lines):
        if text and text[-1][1] == n - 1:
            text[-1][1] = n
        else:
            text.append([n, n])
    return " ".join("%d" % a if a == b else "%d-%d" % (a, b) for a, b in text)


def main():
    files = lines_of(sys.argv[1].rstrip("/"))
    missed = {file: [n for n in lines if not lines[n]] for file, lines in files.items()}
    for file in sorted(files, key=lambda f: -len(missed[f])):
        share = 100 * (1 - len(missed[file]) / len(files[file]))
        if missed[file]:
            print("%6.1f %% of %5d  %s: %s" % (share, len(files[file]), file, ranges(missed[file])))
    total = sum(map(len, files.values()))
    share = 100 * (1 - sum(map(len, missed.values())) / total)
    print("%6.1f %% of %5d  all" % (share, total))
    sys.exit(share < float(sys.argv[2]))


main()
