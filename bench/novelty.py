#!/usr/bin/env python3
"""python3 bench/novelty.py DIGITS CIFAR [options]: does `calibrate -novelty` find images of none of the classes?

DIGITS and CIFAR are folders train/CLASS/*.png and test/CLASS/*.png of 28 x 28 digits (MNIST), and test/CLASS/*.jpg of
photographs (CIFAR-10). `make data` first. Trains cfg/fashion_sat.cfg on clothes, on digits and on eight of the ten clothes, then
asks the program about strangers. Tables go to standard output, what is being done to standard error."""
import argparse
import bisect
import csv
import ctypes
import json
import os
import random
import resource
import statistics
import struct
import subprocess
import sys
import time
import zlib

SCORES = ["joint", "mahalanobis", "relative", "msp", "energy"]
RATE = 0.01
PHOTOGRAPHS = "/usr/share/darknet/data/{}.jpg"  # Debian's package darknet


def say(text):
    print(time.strftime("%H:%M:%S"), text, file=sys.stderr, flush=True)


def darknet(*arguments):
    say("classifier " + " ".join(arguments)[:150])
    done = subprocess.run(["./darknet", "classifier", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"{arguments}: {done.stderr[-2000:]}")
    return done.stdout


def write_lines(path, lines):
    with open(path, "w") as f:
        f.writelines(line + "\n" for line in lines)
    return path


def read_list(path):
    with open(path) as f:
        return [os.path.normpath(os.path.join(os.path.dirname(path), line.rstrip("\n"))) for line in f]


def class_of(path):
    return os.path.basename(os.path.dirname(path))


# ---- strangers that are made ----

class Image(ctypes.Structure):
    _fields_ = [("w", ctypes.c_int), ("h", ctypes.c_int), ("c", ctypes.c_int), ("data", ctypes.POINTER(ctypes.c_float))]


def decoder():
    """Debian's libdarknet decodes PNG and JPEG; returns path -> rows of grey values in [0, 1]."""
    host = ctypes.CDLL("/usr/lib/darknet/libdarknet.so")
    host.load_image_color.restype = Image

    def decode(path):
        image = host.load_image_color(os.fsencode(path), 0, 0)
        w, h = image.w, image.h
        values = image.data[:3 * w * h]
        grey = [sum(values[i::w * h]) / 3 for i in range(w * h)]
        host.free_image(image)
        return [grey[y * w:(y + 1) * w] for y in range(h)]
    return decode


def write_png(path, rows):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    raw = b"".join(b"\0" + bytes(min(255, max(0, round(255 * v))) for v in row) for row in rows)
    with open(path, "wb") as f:
        f.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", len(rows[0]), len(rows), 8, 0, 0, 0, 0)) +
                chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b""))


def made(folder, n, image):
    """n images by image(i), unless they are there."""
    os.makedirs(folder, exist_ok=True)
    paths = [os.path.join(folder, f"{i:05d}.png") for i in range(n)]
    for i, path in enumerate(paths):
        if not os.path.exists(path):
            write_png(path, image(i))
    return paths


def noise(i):
    rng = random.Random(i)
    return [[rng.random() for _ in range(28)] for _ in range(28)]


def patches(decode):
    photographs = [decode(PHOTOGRAPHS.format(name)) for name in ("dog", "eagle", "giraffe", "horses", "kite", "person", "scream")]

    def patch(i):
        """A random square of 28 to 196 pixels a side; the mean of each of its 28 x 28 parts."""
        rng = random.Random(i)
        rows, k = rng.choice(photographs), rng.randint(1, 7)
        x, y = rng.randrange(len(rows[0]) - 28 * k + 1), rng.randrange(len(rows) - 28 * k + 1)
        return [[sum(sum(rows[y + v * k + j][x + u * k:x + u * k + k]) for j in range(k)) / k ** 2 for u in range(28)]
                for v in range(28)]
    return patch


# ---- networks ----

class Net:
    """cfg/fashion_sat.cfg, trained on the images of some classes."""

    def __init__(self, out, name, lists, classes, epochs, changes=()):
        self.name, self.folder, self.lists, self.classes = name, os.path.join(out, name), lists, classes
        os.makedirs(self.folder, exist_ok=True)
        self.data = self.write_data("net", lists)
        with open("cfg/fashion_sat.cfg") as f:
            text = f.read()
        for old, new in [("output=11\n", f"output={len(classes) + 1}\n"), ("classes=10\n", f"classes={len(classes)}\n"), *changes]:
            assert old in text, old
            text = text.replace("\n" + old, "\n" + new)
        self.cfg = os.path.join(self.folder, "net.cfg")
        with open(self.cfg, "w") as f:
            f.write(text)
        self.weights = os.path.join(self.folder, "backup", "net-1", "net_best.weights")
        if not os.path.exists(os.path.join(self.folder, "backup", "net-1", "net.weights")):
            darknet("train", self.data, self.cfg, "-epochs", str(epochs), "-resume")
        found = json.loads(darknet("reject", self.data, self.cfg, self.weights, "-json", "-"))
        self.accuracy = found["accuracy"]

    def write_data(self, name, lists):
        place = os.path.join(self.folder, name)
        for part, paths in lists.items():
            write_lines(f"{place}.{part}", paths)
        write_lines(f"{place}.labels", self.classes)
        return write_lines(f"{place}.data", [f"{part}={os.path.abspath(place)}.{part}" for part in lists] + [
            f"labels={os.path.abspath(place)}.labels", "labels_from=directory", f"backup={os.path.abspath(self.folder)}/backup"])

    def calibrate(self, score, data, name):
        cfg = os.path.join(self.folder, name + ".cfg")
        darknet("calibrate", data, self.cfg, self.weights, "-novelty", str(RATE), "-novelty-score", score, "-out", cfg)
        return cfg

    def answers(self, cfg, paths):
        """{path: (p-value, is it unknown?)} as `predict` says."""
        text = darknet("predict", self.data, cfg, self.weights, "-format", "csv", "-top", "1", "-list",
                       write_lines(os.path.join(self.folder, "asked.list"), paths))
        return {row["path"]: (float(row["novelty"]), row["verdict"] == "unknown") for row in csv.DictReader(text.splitlines())}


def auroc(known, strangers):
    """Of p-values: strangers have lower ones; equal ones count a half."""
    known = sorted(known)
    above = sum(len(known) - (bisect.bisect_left(known, p) + bisect.bisect_right(known, p)) / 2 for p in strangers)
    return above / len(known) / len(strangers)


def find(net, strangers, scores=SCORES):
    """[score, known images turned away, {stranger: (AUROC, share found)}] for each score."""
    test, rows = net.lists["test"], []
    for score in scores:
        cfg = net.calibrate(score, net.data, score)
        answers = net.answers(cfg, test + [path for paths in strangers.values() for path in paths])
        known = [answers[path] for path in test]
        found = {}
        for name, paths in strangers.items():
            theirs = [answers[path] for path in paths]
            found[name] = auroc([p for p, _ in known], [p for p, _ in theirs]), sum(u for _, u in theirs) / len(theirs)
        rows.append((score, sum(u for _, u in known) / len(known), found))
        if score == "joint":
            hold_against_reject(net, cfg, strangers, rows[-1])
    return rows


def hold_against_reject(net, cfg, strangers, row):
    """`reject` decodes and counts by another way than `predict`: the shares must agree, but for rounding."""
    lists = [f"{name.replace(' ', '_')}={write_lines(os.path.join(net.folder, name.replace(' ', '_') + '.list'), paths)}:unlabelled"
             for name, paths in strangers.items()]
    told = json.loads(darknet("reject", net.data, cfg, net.weights, "-json", "-", *[a for l in lists for a in ("-list", l)]))
    shares = [told["unknown_rate"], *[l["unknown_rate"] for l in told["lists"]]]
    for mine, its in zip([row[1], *[found for _, found in row[2].values()]], shares):
        if abs(mine - its) > 0.001:
            sys.exit(f"predict turns away {mine}, reject {its}")


def splits(net, n):
    """Shares of the known images turned away, by n random halves of calib= and test= together."""
    shares, pool = [], net.lists["calib"] + net.lists["test"]
    for seed in range(n):
        rng = random.Random(seed)
        mixed, fit = rng.sample(pool, len(pool)), rng.sample(net.lists["train"], len(net.lists["train"]) // 10)
        half = len(mixed) // 2
        data = net.write_data("split", {"train": fit, "calib": mixed[:half], "test": mixed[half:]})
        cfg = net.calibrate("joint", data, "split")
        shares.append(json.loads(darknet("reject", data, cfg, net.weights, "-json", "-"))["unknown_rate"])
    return shares


def price(net, rounds=7):
    """Seconds of processor time of `predict` without and with novelty, the least of some rounds, in turns."""
    least = [float("inf")] * 2
    for _ in range(rounds):
        for i, cfg in enumerate((net.cfg, os.path.join(net.folder, "joint.cfg"))):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            darknet("predict", net.data, cfg, net.weights, "-threads", "1", "-loaders", "1", "-format", "csv", "-list",
                    os.path.join(net.folder, "net.test"))
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            least[i] = min(least[i], after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return least


# ---- tables ----

def table(heads, rows):
    print("| " + " | ".join(heads) + " |")
    print("|---" + "|--:" * (len(heads) - 1) + "|")
    for row in rows:
        print("| " + " | ".join(row) + " |")
    print(flush=True)


def report(title, rows):
    names = list(rows[0][2])
    print(f"{title}: AUROC / share found in %\n")
    table(["score", *names, "known turned away"], [
        [score, *[f"{found[n][0]:.3f} / {100 * found[n][1]:.1f}" for n in names], f"{100 * known:.2f} %"] for score, known, found in rows])


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("digits")
    options.add_argument("cifar")
    options.add_argument("-epochs", type=int, default=40)
    options.add_argument("-images", type=int, help="to train on, for a try (default: all)")
    options.add_argument("-strangers", type=int, default=2000, help="of each kind")
    options.add_argument("-splits", type=int, default=20)
    options.add_argument("-left-out", default="Pullover,Sneaker Trouser,Bag", help="pairs of clothes (default: %(default)s)")
    options.add_argument("-out", default="backup/novelty")
    o = options.parse_args()
    if not os.path.exists(os.path.join(o.out, "digits", "digits.data")):
        darknet("import", "folders", os.path.join(o.digits, "train"), "-test", os.path.join(o.digits, "test"), "-split",
                "valid=2000", "calib=10000", "-out", os.path.join(o.out, "digits"))
    parts = ("train", "valid", "calib", "test")
    clothes = {part: [os.path.abspath(p) for p in read_list(f"data/fashion/{part}.list")] for part in parts}
    digits = {part: [os.path.abspath(p) for p in read_list(os.path.join(o.out, f"digits/{part}.list"))] for part in parts}
    for lists in (clothes, digits):
        lists["train"] = random.Random(0).sample(lists["train"], o.images or len(lists["train"]))
    cifar = sorted(os.path.abspath(os.path.join(folder, name)) for folder, _, names in os.walk(os.path.join(o.cifar, "test"))
                   for name in names if name.endswith(".jpg"))
    decode, rng, n = decoder(), random.Random(1), o.strangers
    common = {"CIFAR-10": rng.sample(cifar, n), "noise": made(os.path.join(o.out, "noise"), n, noise),
              "patches": made(os.path.join(o.out, "patches"), n, patches(decode))}
    some = {"digits": rng.sample(digits["test"], n), "clothes": rng.sample(clothes["test"], n)}
    nets = []
    for name, other, lists, changes in (("clothes", "digits", clothes, []), ("digits", "clothes", digits, [("flip=1\n", "flip=0\n")])):
        net = Net(o.out, name + "_net", lists, sorted({class_of(p) for p in lists["train"]}), o.epochs, changes)
        inverted = made(os.path.join(o.out, "inverted_" + name), n, lambda i, s=some[name]: [[1 - v for v in row] for row in decode(s[i])])
        report(f"Network of {name}, {100 * net.accuracy:.2f} % right", find(net, {other: some[other], **common, "inverted": inverted}))
        nets.append(net)
    for pair in o.left_out.split():
        out = pair.split(",")
        lists = {part: [p for p in paths if class_of(p) not in out] for part, paths in clothes.items()}
        net = Net(o.out, "without_" + "_".join(out), lists, sorted({class_of(p) for p in lists["train"]}), o.epochs)
        strangers = {name: [p for p in clothes["test"] if class_of(p) == name] for name in out}
        found = find(net, {**strangers, "both": sum(strangers.values(), [])})
        best = max(found, key=lambda row: row[2]["both"][0])[0]
        report(f"Without {' and '.join(out)}, {100 * net.accuracy:.2f} % right, best: {best}", found)
    without, with_it = price(nets[0])
    print(f"Processor time of predict, {len(clothes['test'])} images: {without:.2f} s, with novelty {with_it:.2f} s, "
          f"ratio {with_it / without:.3f}\n", flush=True)
    for net in nets:
        shares = splits(net, o.splits)
        print(f"{net.name}: known images turned away in {o.splits} splits: mean {100 * statistics.mean(shares):.3f} % "
              f"({100 * min(shares):.2f} to {100 * max(shares):.2f} %)\n", flush=True)


main()
