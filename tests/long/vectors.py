#!/usr/bin/env python3
"""Is every reference number compared? Corrupts one number of each item of each case of tests/vectors, runs the unit tests that
read the file, and counts what none of them notices. Inputs that no result depends on may pass, results must not.

vectors.py FOLDER-OF-TESTS [SEED]
"""
import collections, math, os, random, re, subprocess, sys, tempfile

READERS = {"sat_": ["sat"], "conf": ["select", "reject"], "metr": ["select"], "cali": ["select", "temperature"], "boun": ["bounds"], "gamb": ["gambler"],
           "sele": ["selective"], "nove": ["novelty"]}
INPUTS = {"conf", "logits", "labels", "index", "classes", "x", "coverage", "selective_lambda"}
tests, rng = sys.argv[1], random.Random(int(sys.argv[2]) if len(sys.argv) > 2 else 1)


def passes(folder, name):
    return all(subprocess.run([os.path.join(tests, "test_" + t)], env={**os.environ, "DS_VECTORS": folder}, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL).returncode == 0 for t in READERS[name[:4]])


def corrupted(item, value):
    if value == "nan":
        return "0.5"
    if re.fullmatch(r"-?\d+", value):
        return str(int(value) + (1 if value == "0" else rng.choice((-1, 1))))
    return repr(rng.random() if item == "conf" else float(value) * 1.001 + (math.copysign(0.001, float(value)) if abs(float(value)) < 1 else 0))


def main():
    tried, missed = 0, collections.Counter()
    for name in sorted(n for n in os.listdir("tests/vectors") if n.endswith(".txt")):
        lines = open("tests/vectors/" + name).read().split("\n")
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, name)
            for other in os.listdir("tests/vectors"):
                os.symlink(os.path.abspath("tests/vectors/" + other), os.path.join(folder, other))
            assert passes(folder, name), name
            os.unlink(path)
            for i, line in enumerate(lines):
                head, equals, values = line.partition(" = ")
                if not equals or line.startswith("#"):
                    continue
                item, values = head.split(" ")[0], values.split(" ")
                k = rng.randrange(len(values))
                values[k] = corrupted(item, values[k])
                with open(path, "w") as f:
                    f.write("\n".join(lines[:i] + [head + " = " + " ".join(values)] + lines[i + 1:]))
                tried += 1
                missed[name, item] += passes(folder, name)
    for (name, item), n in missed.items():
        if n:
            print("%s %s: %d not noticed" % (name, item, n))
    print("%d numbers corrupted, %d not noticed" % (tried, sum(missed.values())))
    return any(n and item not in INPUTS for (_, item), n in missed.items())


sys.exit(main())
