"""How long training waits for images: ./darknet classifier train -profile on a folder of random PNG files."""
import os
import random
import re
import struct
import subprocess
import sys
import tempfile
import zlib

IMAGES, SIDE, CLASSES = 2000, 32, 10
HEAD = re.compile(r"^profile of (\d+) passes", re.M)
ROW = r"^ +{} +([0-9.]+) "  # milliseconds a pass


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def write_png(path, rng):
    rows = b"".join(b"\0" + rng.randbytes(3 * SIDE) for _ in range(SIDE))
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", SIDE, SIDE, 8, 2, 0, 0, 0)), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    with open(path, "wb") as f:
        f.write(b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*c) for c in chunks))


def make_images(folder):
    """The .data file of IMAGES images in folders of their classes."""
    rng, names = random.Random(1), [f"class{k}" for k in range(CLASSES)]
    paths = [os.path.join(folder, names[i % CLASSES], f"{i:06}.png") for i in range(IMAGES)]
    for name in names:
        os.mkdir(os.path.join(folder, name))
    for path in paths:
        write_png(path, rng)
    for name, lines in (("train.list", paths), ("labels.list", names)):
        with open(os.path.join(folder, name), "w") as f:
            f.writelines(line + "\n" for line in lines)
    data = os.path.join(folder, "images.data")
    with open(data, "w") as f:
        f.write(f"classes={CLASSES}\ntrain={folder}/train.list\nlabels={folder}/labels.list\n"
                f"labels_from=directory\nbackup={folder}/backup\n")
    return data


def without_warm_up(cfg, folder):
    """The network with a target that works from the first epoch on, so that a run may be short."""
    copy = os.path.join(folder, os.path.basename(cfg))
    with open(cfg) as f, open(copy, "w") as to:
        to.write(re.sub(r"^ *warmup_epochs *=.*", "warmup_epochs=0", f.read(), flags=re.M))
    return copy


def train(darknet, data, cfg, epochs):
    """Milliseconds of all steps: waiting and all."""
    run = subprocess.run([darknet, "classifier", "train", data, cfg, "-epochs", str(epochs), "-profile"], text=True,
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    passes = HEAD.search(run.stdout)
    rows = [re.search(ROW.format(what), run.stdout, re.M) for what in ("waiting for data", "all")]
    if run.returncode or not passes or not all(rows):
        sys.exit(f"error: classifier train -profile ended with status {run.returncode}: {run.stdout[-1000:]}")
    return [int(passes[1]) * float(row[1]) for row in rows]


def waiting(darknet, cfg, epochs):
    """A line of text. The first epoch decodes the files, later ones find the images in memory: the difference of two
    runs."""
    with tempfile.TemporaryDirectory() as folder:
        data, copy = make_images(folder), without_warm_up(cfg, folder)
        first = train(darknet, data, copy, 1)
        both = train(darknet, data, copy, 1 + epochs)
    shares = [100 * first[0] / first[1], 100 * (both[0] - first[0]) / (both[1] - first[1])]
    return (f"Waiting for images ({IMAGES:,} PNG files, {os.path.basename(cfg)}): {max(0, shares[1]):.2f} % of a step from "
            f"the second epoch on, {shares[0]:.2f} % in the first, which decodes the files.")
