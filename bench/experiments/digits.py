#!/usr/bin/env python3
"""python3 bench/experiments/digits.py digits.csv.gz DIR: the 1,797 digits of scikit-learn (8 x 8, grey) as DIR/CLASS/N.png.

The file is in Debian's package python3-sklearn: /usr/lib/python3/dist-packages/sklearn/datasets/data/digits.csv.gz. Then
    ./darknet classifier import folders DIR -split valid=150 -split test=500 -out data/digits
"""
import csv, gzip, os, struct, sys, zlib

SIDE = 8


def png(grey):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    rows = b"".join(b"\0" + bytes(grey[y * SIDE:(y + 1) * SIDE]) for y in range(SIDE))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", SIDE, SIDE, 8, 0, 0, 0, 0)) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def main(path, out):
    for n, row in enumerate(csv.reader(gzip.open(path, "rt"))):
        *levels, label = (int(float(v)) for v in row)  # 0 ... 16
        os.makedirs("%s/%d" % (out, label), exist_ok=True)
        with open("%s/%d/%04d.png" % (out, label, n), "wb") as f:
            f.write(png([min(255, 16 * v) for v in levels]))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
