#!/usr/bin/python3
"""The classes of images, or that they are rejected: classify.py DATA CFG WEIGHTS IMAGE..."""
import sys

import darknet_sat

if len(sys.argv) < 5:
    sys.exit("usage: classify.py DATA CFG WEIGHTS IMAGE...")
data, cfg, weights, *images = sys.argv[1:]
try:
    with darknet_sat.Model(cfg, weights, data=data) as model:
        for path, a in zip(images, model.classify(images)):
            if a.error is not None:
                print(f"{path}: {a.error}")
            elif a.accepted:
                print(f"{path}: {a.name}, probability {a.probabilities[a.class_index]:.17g}")
            else:
                print(f"{path}: rejected ({a.verdict}): confidence {a.confidence:.17g}, threshold {a.threshold:.17g}")
except darknet_sat.Error as e:
    sys.exit(f"error: {e}")
