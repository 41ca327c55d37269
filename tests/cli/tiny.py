"""Tiny image sets that a small network learns in a few epochs: three kinds of bright area on noise.

tiny.py idx DIR:  train and test archives in the format of MNIST (8 x 8, 150 and 60 images)
tiny.py cifar DIR: cifar-10-batches-bin (40 and 20 images), cifar-10-binary.tar.gz, cifar-100-binary (200 and 100 images)
tiny.py png DIR:  24-bit colour PNG files (12 x 10), lists train.list and valid.list, labels.list, tiny.data, tiny.cfg
tiny.py cfg FILE CHANNELS OUTPUTS: a network for them, without its cost section
"""
import os
import random
import struct
import sys
import tarfile
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


def cifar_batch(path, labels, rng):
    """A record an image: its labels, then the planes of 32 x 32 pixels; class k is the bright column 3 k + 1."""
    with open(path, "wb") as f:
        for record in labels:
            row = bytes(250 if x == 3 * (record[-1] % 10) + 1 else rng.randrange(100) for x in range(32))
            f.write(bytes(record) + row * 32 * 3)


def cifar(folder, rng):
    ten, hundred = os.path.join(folder, "cifar-10-batches-bin"), os.path.join(folder, "cifar-100-binary")
    for d in (ten, hundred):
        os.makedirs(d, exist_ok=True)
    for k in range(1, 6):
        cifar_batch("%s/data_batch_%d.bin" % (ten, k), [(i % 10,) for i in range(8 * k, 8 * k + 8)], rng)
    cifar_batch(ten + "/test_batch.bin", [(i % 10,) for i in range(20)], rng)
    with open(ten + "/batches.meta.txt", "w") as f:
        f.write("airplane automobile bird cat deer dog frog horse ship truck".replace(" ", "\n") + "\n\n")
    with tarfile.open(os.path.join(folder, "cifar-10-binary.tar.gz"), "w:gz") as t:
        t.add(ten, "cifar-10-batches-bin")
    for part, n in (("train", 200), ("test", 100)):
        cifar_batch("%s/%s.bin" % (hundred, part), [(i % 100 // 5, i % 100) for i in range(n)], rng)
    for kind, n in (("fine", 100), ("coarse", 20)):
        with open("%s/%s_label_names.txt" % (hundred, kind), "w") as f:
            f.writelines("%s_%d\n" % (kind, i) for i in range(n))


NETWORK = """[net]
batch=16
subdivisions=2
height=8
width=8
channels=%s
min_crop=8
max_crop=9
flip=0
learning_rate=0.05
policy=constant
momentum=0.9
decay=0.0005
max_batches=60

[convolutional]
batch_normalize=1
filters=8
size=3
stride=1
pad=1
activation=leaky

[maxpool]
size=2
stride=2

[connected]
output=%s
activation=linear

"""


def network(path, channels, outputs, cost=""):
    with open(path, "w") as f:
        f.write(NETWORK % (channels, outputs) + cost)


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
    what, folder = sys.argv[1:3]
    if what == "cfg":
        network(*sys.argv[2:])
        return
    rng = random.Random(7)
    os.makedirs(folder, exist_ok=True)
    if what == "idx":
        idx(folder, "train", 150, rng)
        idx(folder, "test", 60, rng)
        return
    if what == "cifar":
        cifar(folder, rng)
        return
    pngs(folder, "train", 90, rng)
    pngs(folder, "valid", 45, rng)
    with open(os.path.join(folder, "labels.list"), "w") as f:
        f.write("".join(k + "\n" for k in KINDS))
    network(os.path.join(folder, "tiny.cfg"), 3, 3, "[softmax]\n")
    with open(os.path.join(folder, "tiny.data"), "w") as f:
        f.write("classes=3\ntrain={0}/train.list\nvalid={0}/valid.list\nlabels={0}/labels.list\nnames={0}/labels.list\n"
                "backup={0}/backup\ntop=2\n".format(folder))


if __name__ == "__main__":
    main()
