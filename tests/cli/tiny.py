"""Tiny image sets that a small network learns in a few epochs: three kinds of bright area on noise.

tiny.py idx DIR:  train and test archives in the format of MNIST (8 x 8, 150 and 60 images)
tiny.py png DIR:  24-bit colour PNG files (12 x 10), lists train.list and valid.list, labels.list, tiny.data
"""
import os
import random
import struct
import sys
import zlib

KINDS = ("leftish", "upperish", "middleish")


def pixel(kind, x, y, w, h):
    if kind == 0:
        return x < w / 2
    if kind == 1:
        return y < h / 2
    return abs(x - (w - 1) / 2) < w / 4 and abs(y - (h - 1) / 2) < h / 4


def picture(rng, kind, w, h, channels):
    return bytes(
        min(255, max(0, int((180 if pixel(kind, x, y, w, h) else 60) + rng.gauss(0, 90))))
        for y in range(h) for x in range(w) for _ in range(channels))


def idx(folder, name, count, rng):
    kinds = [i % len(KINDS) for i in range(count)]
    with open(os.path.join(folder, name + "-images"), "wb") as f:
        f.write(struct.pack(">IIII", 0x803, count, 8, 8))
        for kind in kinds:
            f.write(picture(rng, kind, 8, 8, 1))
    with open(os.path.join(folder, name + "-labels"), "wb") as f:
        f.write(struct.pack(">II", 0x801, count) + bytes(kinds))


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def write_png(path, w, h, rgb):
    rows = b"".join(b"\0" + rgb[y * w * 3:(y + 1) * w * 3] for y in range(h))
    with open(path, "wb") as f:
        f.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", w, h, 8, 2, 0, 0, 0)) +
                chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def pngs(folder, part, count, rng):
    paths = []
    for i in range(count):
        kind = i % len(KINDS)
        path = os.path.join(folder, "%s_%03d_%s.png" % (part, i, KINDS[kind]))
        write_png(path, 12, 10, picture(rng, kind, 12, 10, 3))
        paths.append(path)
    with open(os.path.join(folder, part + ".list"), "w") as f:
        f.write("".join(p + "\n" for p in paths))


def main():
    what, folder = sys.argv[1:]
    rng = random.Random(7)
    os.makedirs(folder, exist_ok=True)
    if what == "idx":
        idx(folder, "train", 150, rng)
        idx(folder, "test", 60, rng)
        return
    pngs(folder, "train", 90, rng)
    pngs(folder, "valid", 45, rng)
    with open(os.path.join(folder, "labels.list"), "w") as f:
        f.write("".join(k + "\n" for k in KINDS))
    with open(os.path.join(folder, "tiny.data"), "w") as f:
        f.write("classes=3\ntrain={0}/train.list\nvalid={0}/valid.list\nlabels={0}/labels.list\nnames={0}/labels.list\n"
                "backup={0}/backup\ntop=2\n".format(folder))


main()
