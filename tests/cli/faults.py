"""An image set, a .data file, a cfg and weights with a fault of every kind that `classifier check` knows.

faults.py DIR CFG: CFG is sound, for colour images of three classes. DIR/planted has a line a fault: severity|kind|file|line|pattern.
"""
import os
import random
import struct
import sys

import tiny

DIR, CFG = sys.argv[1:3]
lists = {"train": [], "valid": [], "calib": [], "test": []}
planted = []
rng = random.Random(3)


def plant(severity, kind, file, line, pattern):
    planted.append("%s|%s|%s|%s|%s\n" % (severity, kind, file, line, pattern))


def new(name):
    path = os.path.join(DIR, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    return path


def put(name, data):
    with open(new(name), "wb") as f:
        f.write(data)


def png(name, w=12, h=10):
    tiny.write_png(new(name), w, h, tiny.picture(rng, 0, w, h, 3))


def bytes_of(name):
    with open(os.path.join(DIR, name), "rb") as f:
        return f.read()


def listed(key, name):
    """The line of the list that has the image from now on."""
    lists[key].append(name)
    return len(lists[key])


def fault(severity, kind, key, name, pattern):
    plant(severity, kind, key + ".list", listed(key, name), pattern)


for key, n in ("train", 12), ("valid", 6), ("calib", 6), ("test", 6):
    for i in range(n):
        name = "%d/%s_%d.png" % (i % 3, key, i)
        png(name)
        listed(key, name)

put("0/empty.png", b"")
fault("error", "image", "train", "0/empty.png", "empty file")
put("0/cut.png", bytes_of("0/train_0.png")[:60])
fault("error", "image", "train", "0/cut.png", "cut off")
put("0/text.png", b"no image at all")
fault("error", "image", "train", "0/text.png", "cannot decode")
fault("error", "image", "train", "0/missing.png", "No such file")
put("0/grey.pgm", b"P5 12 10 255\n" + bytes(range(120)))
fault("warning", "image", "train", "0/grey.pgm", "1 of [0-9]+ images have no colours.*grey.pgm")
png("0/small.png", 5, 9)
fault("warning", "image", "train", "0/small.png", "1 of [0-9]+ images are smaller .*small.png")
png("9/other.png")
fault("error", "input", "train", "9/other.png", "has none of the 4 labels")
put("0/copy.png", bytes_of(lists["train"][3]))
fault("warning", "duplicate", "train", "0/copy.png", "has the bytes of .*train.list:4$")
os.symlink("train_0.png", os.path.join(DIR, "0/link.png"))
fault("warning", "duplicate", "train", "0/link.png", "is the file of .*train.list:1$")
png("0/both.png")
put("1/both.png", bytes_of("0/both.png"))
first = listed("train", "0/both.png")
fault("warning", "contradiction", "train", "1/both.png", "train.list:%d, but the label '1' instead of '0'" % first)
fault("warning", "overlap", "valid", lists["train"][4], "is the file of .*train.list:5$")
put("1/seven.png", bytes_of(lists["train"][7]))
fault("error", "overlap", "calib", "1/seven.png", "has the bytes of .*train.list:8, expected a calib=")
line = listed("calib", lists["test"][1])
plant("error", "overlap", "test.list", 2, "is the file of .*calib.list:%d, expected a calib=" % line)

for key, names in lists.items():
    put(key + ".list", "".join(n + "\n" for n in names).encode())
    plant("warning", "input", "-", "-", key + ".list: has no image of 1 of the 4 classes .unicorn.")
    if key != "train":
        plant("warning", "image", key + ".list", "-", "3 of 4 classes have fewer than 5 images in %s= .the fewest, [1-4]: '" % key)
put("labels", b"0\n1\n2\nunicorn\n")
data = ["clases=3"] + ["%s=%s.list" % (k, k) for k in lists]
data += ["labels=labels", "labels_from=directory", "backup=%s/labels/backup" % DIR]
put("bad.data", "".join(l + "\n" for l in data).encode())
plant("error", "input", "bad.data", 1, "unknown key 'clases' .*'classes'")
plant("error", "input", "labels", "-", "expected a folder for backup=")

with open(CFG) as f:
    cfg = f.read().replace("\nmomentum=", "\nmomentun=").replace("policy=constant", "policy=never")
put("bad.cfg", cfg.encode())
number = {l.split("=")[0]: i + 1 for i, l in enumerate(cfg.split("\n"))}
plant("error", "input", "bad.cfg", number["momentun"], "unknown key 'momentun' .*'momentum'")
plant("error", "input", "bad.cfg", number["policy"], "policy=never, expected ")
plant("error", "input", "bad.cfg", number["[softmax]"], "has 3 classes, expected 4, ")
weights = 8 * 3 * 9 + 4 * 8 + (4 * 4 * 8) * 3 + 3
put("nan.weights", struct.pack("<iiiQ", 0, 2, 0, 0) + struct.pack("<f", float("nan")) * weights)
plant("error", "weights", "nan.weights", "-", "not finite")

put("planted", "".join(planted).encode())
