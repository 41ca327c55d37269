#!/bin/sh
# Import Fashion-MNIST from Debian's package dataset-fashion-mnist into data/fashion, unless it is there.
set -eu
from=/usr/share/datasets/fashion-mnist
[ -s data/fashion/fashion.data ] && exit 0
[ -d "$from" ] || { echo "error: $from is missing: install Debian's package 'dataset-fashion-mnist' (sh deps.sh)" >&2; exit 1; }
exec ./darknet classifier import idx "$from/train-images-idx3-ubyte.gz" "$from/train-labels-idx1-ubyte.gz" \
    -test "$from/t10k-images-idx3-ubyte.gz" "$from/t10k-labels-idx1-ubyte.gz" -names data/fashion_names.txt \
    -split valid=2000 calib=10000 -seed 1 -out data/fashion
