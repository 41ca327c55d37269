"""What `classifier export` writes, asked in OpenCV and ONNX Runtime, against `classifier predict`.

export.py [networks] DIR DARKNET CFG...: lines "KIND NAME: what came of it", KIND being
  network: each CFG made small, exported, compared or refused
  answer: confidences and thresholds of many kinds
  pixels: what the manual's example makes of images, and what the program does
"""
import json
import os
import re
import subprocess
import sys

import numpy as np

rng = np.random.default_rng(7)


def sections(text):
    """[name, {key: value}] in turn, comments and blanks gone."""
    found = []
    for line in text.splitlines():
        line = re.sub(r"\s", "", line)
        if line.startswith("["):
            found.append([line[1:-1], {}])
        elif line and line[0] not in "#;":
            key, value = line.split("=", 1)
            found[-1][1][key] = value
    return found


def draw_weights(cfg, path, gain):
    """Parameters that keep what flows through the network near 1, every array another. Returns the outputs."""
    net, *layers = sections(open(cfg).read())
    c, h, w = (int(net[1][k]) for k in ("channels", "height", "width"))
    shapes, parts = [], []

    def arrays(n, inputs, normalized):
        weights = rng.normal(0, (1.5 / inputs) ** .5, n * inputs)
        averages = [rng.uniform(.8, 1.2, n), rng.normal(0, .1, n), rng.uniform(.8, 1.2, n)] if normalized else []
        return rng.normal(0, .1, n), averages, weights

    for i, (name, keys) in enumerate(layers):
        def key(k, default):
            return int(keys.get(k, default))
        if name == "convolutional":
            size, stride, n = key("size", 1), key("stride", 1), key("filters", 1)
            biases, averages, weights = arrays(n, c // key("groups", 1) * size * size, key("batch_normalize", 0))
            parts += [biases, *averages, weights]
            pad = size // 2 if key("pad", 0) else key("padding", 0)
            c, h, w = n, (h + 2 * pad - size) // stride + 1, (w + 2 * pad - size) // stride + 1
        elif name == "connected":
            biases, averages, weights = arrays(key("output", 1), c * h * w, key("batch_normalize", 0))
            parts += [biases, weights, *averages]
            c, h, w = key("output", 1), 1, 1
        elif name == "batchnorm":
            biases, averages, _ = arrays(c, 1, 1)
            parts += [biases, *averages]
        elif name == "maxpool":
            stride = key("stride", 1)
            size = key("size", stride)
            pad = key("padding", size - 1)
            h, w = (h + pad - size) // stride + 1, (w + pad - size) // stride + 1
        elif name == "avgpool":
            h = w = 1
        elif name == "crop":
            h, w = key("crop_height", 1), key("crop_width", 1)
        elif name == "route":
            of = [shapes[int(k) + (i if int(k) < 0 else 0)] for k in keys["layers"].split(",")]
            c, h, w = sum(s[0] for s in of), of[0][1], of[0][2]
        shapes.append((c, h, w))
    parts[-1] = parts[-1] * gain  # answers that differ
    with open(path, "wb") as f:
        np.array([0, 2, 0, 0, 0], "<i4").tofile(f)
        for part in parts:
            part.astype("<f4").tofile(f)
    return c * h * w


def smaller(text):
    """The same network with a 16th of the channels, and images of 96 pixels."""
    def less(m):
        return m[1] + str(max(2, int(m[2]) // 16) if int(m[2]) > 16 else int(m[2]))
    text = re.sub(r"(?m)^((?:filters|groups|output) *= *)(\d+)", less, text)
    return re.sub(r"(?m)^((?:crop_)?(?:height|width)) *= *([0-9]{3})",
                  lambda m: m[1] + ("=80" if "crop" in m[1] else "=96"), text)


def run(*words):
    done = subprocess.run([str(w) for w in words], capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr.strip()


def model_of(folder, classes):
    """A .data file for so many classes."""
    with open(folder + "/labels", "w") as f:
        f.writelines("class%d\n" % i for i in range(classes))
    with open(folder + "/data", "w") as f:
        f.write("classes=%d\nlabels=%s/labels\ntop=%d\n" % (classes, folder, classes))
    return folder + "/data"


def pictures(folder, sizes, channels):
    """Smooth noise of several scales about a colour, as PNG."""
    import cv2
    draw, names = np.random.default_rng(1), []
    for i, (w, h) in enumerate(sizes):
        image = sum(cv2.resize(draw.uniform(0, 60, (n, n, channels)), (w, h)).reshape(h, w, channels) for n in (2, 4, 9))
        names.append("%s/%d.png" % (folder, i))
        cv2.imwrite(names[-1], np.clip(image + draw.uniform(-100, 150, channels), 0, 255).astype(np.uint8))
    return names


def predict(darknet, data, cfg, weights, images):
    """probabilities (images x classes), confidences, verdicts"""
    rc, out, err = run(darknet, "classifier", "predict", data, cfg, weights, *images, "-precision", "f32", "-format",
                       "csv", "-threads", 1)
    if rc:
        raise SystemExit("predict %s: %s" % (cfg, err))
    rows = [line.split(",") for line in out.splitlines()[1:]]
    p = np.zeros((len(rows), (len(rows[0]) - 6) // 2))
    for row, numbers in zip(p, rows):
        for name, value in zip(numbers[6::2], numbers[7::2]):
            row[int(name[5:])] = float(value)
    return p, np.array([float(r[3]) for r in rows]), np.array([r[2] in ("1", "yes", "true") for r in rows])


def readers(base):
    """Name and answers (probabilities, confidence, accepted, or the first alone) of each program that can load it."""
    import cv2

    def opencv(net, names):
        return lambda x: (net.setInput(x), [v.reshape(len(x), -1) for v in net.forward(names)])[1]
    found = []
    if os.path.exists(base + ".onnx"):
        import onnx
        onnx.checker.check_model(onnx.load(base + ".onnx"), full_check=True)
        names = ["probabilities", "confidence", "accepted"]
        found.append(("OpenCV, onnx", opencv(cv2.dnn.readNetFromONNX(base + ".onnx"), names)))
        try:
            import onnxruntime
            session = onnxruntime.InferenceSession(base + ".onnx", providers=["CPUExecutionProvider"])
            found.append(("ONNX Runtime", lambda x: session.run(names, {"images": x})))
        except ImportError:
            pass
    if os.path.exists(base + ".cfg"):
        net = cv2.dnn.readNetFromDarknet(base + ".cfg", base + ".weights")
        found.append(("OpenCV, cfg", opencv(net, net.getUnconnectedOutLayersNames())))
    return found


def compare(base, x, known, confidence, accepted):
    """What is wrong with the answers of the exported network to x, or ""."""
    wrong = []
    for name, ask in readers(base):
        p, *rest = ask(x)
        apart = abs(p - known).max(), abs(rest[0].ravel() - confidence).max() if rest else 0
        if not max(apart) < 1e-4 or (rest and (rest[1].ravel() != accepted).any()):
            wrong.append("%s: apart by %g, confidences by %g; %s" % (name, *apart, rest[1:]))
    return ", ".join(wrong)


def inputs(files, channels):
    import cv2
    images = [cv2.imread(f, cv2.IMREAD_COLOR if channels == 3 else cv2.IMREAD_GRAYSCALE) for f in files]
    x = np.stack([i[:, :, ::-1] if channels == 3 else i[:, :, None] for i in images]).astype(np.float32) / 255
    return np.ascontiguousarray(x.transpose(0, 3, 1, 2))


def export(darknet, folder, cfg, weights, *answers):
    """For each format "equal", what is wrong, or the error. answers: x and what `predict` says of it."""
    told = []
    for kind in ("onnx", "cfg"):
        base = folder + "/" + kind
        rc, _, err = run(darknet, "classifier", "export", cfg, weights, "-format", kind, "-out", base)
        told.append(kind + " " + (err.splitlines()[-1] if rc else compare(base, *answers) or "equal"))
    return "; ".join(told)


def drawn(darknet, folder, cfg, weights):
    """Draw weights until images have different answers; these."""
    net = sections(open(cfg).read())[0]
    files = pictures(folder, [(int(net[1]["width"]), int(net[1]["height"]))] * 3, int(net[1]["channels"]))
    for gain in (8, 1, 40, 1e-2, 1e-4, 1e-6):
        classes = draw_weights(cfg, weights, gain) - ("abstain" in open(cfg).read())
        answers = predict(darknet, model_of(folder, classes), cfg, weights, files)
        if answers[0].std(axis=0).max() > 1e-3:
            return inputs(files, int(net[1]["channels"])), *answers
    raise SystemExit("%s: all images have one answer" % cfg)


def networks(folder, darknet, *paths):
    cfg, weights = folder + "/net.cfg", folder + "/net.weights"
    for path in paths:
        text = smaller(open(path).read())
        with open(cfg, "w") as f:
            f.write(text)
        if "rnn" in text:
            open(weights, "w").close()
        else:
            draw_weights(cfg, weights, 1)
        classifier = "[softmax]" in text and not re.search(r"reorg|rnn|tree", text) or "[sat]" in text
        answers = drawn(darknet, folder, cfg, weights) if classifier else ()
        print("network %s: %s" % (os.path.basename(path), export(darknet, folder, cfg, weights, *answers)), flush=True)


NET = "[net]\nwidth=8\nheight=8\nchannels=3\n[convolutional]\nsize=3\nfilters=6\npad=1\nactivation=leaky\n" \
      "[convolutional]\nfilters=%d\nactivation=linear\n[avgpool]\n%s\n[reject]\n%s\n"
SAT, GAMBLER, SELECTIVE = "[sat]\ntarget=abstain\nclasses=4", "[gambler]", "[selective]\nauxiliary=1"
ANSWERS = (
    (4, "[softmax]", "confidence=msp"), (4, "[softmax]", "confidence=msp temperature=2"),
    (4, "[softmax]\ntemperature=3", "confidence=msp"), (4, "[softmax]\ntemperature=3", "confidence=margin"),
    (2, "[softmax]", "confidence=margin"), (4, "[softmax]", "confidence=entropy"), (4, "[softmax]", "confidence=gini"),
    (4, "[softmax]", "confidence=maxlogit temperature=2"), (4, "[softmax]", "confidence=energy temperature=2"),
    (4, "[softmax]", "confidence=pnorm pnorm_p=3"), (5, SAT, "confidence=msp"), (5, SAT, "confidence=abstain"),
    (5, SAT, "confidence=abstain temperature=1.5"), (5, SAT + "\ntemperature=2", "confidence=energy"),
    (5, GAMBLER, "confidence=abstain"), (5, GAMBLER, "confidence=msp"), (9, SELECTIVE, "confidence=abstain temperature=2"),
    (9, SELECTIVE, "confidence=msp"), (4, "[softmax]", "confidence=msp thresholds"), (5, SAT, "confidence=energy thresholds"))


def answers(folder, darknet):
    cfg, weights = folder + "/net.cfg", folder + "/net.weights"
    for outputs, cost, reject in ANSWERS:
        keys = reject.replace(" thresholds", "").replace(" ", "\n")
        classes = outputs // 2 if cost == SELECTIVE else outputs - (cost.startswith("[sat") or cost == GAMBLER)

        def write(more=""):
            with open(cfg, "w") as f:
                f.write(NET % (outputs, cost, keys + "\n" + more))
        write()
        draw_weights(cfg, weights, 3)
        files = pictures(folder, [(8, 8)] * 8, 3)
        p, confidence, _ = predict(darknet, model_of(folder, classes), cfg, weights, files)
        order = np.sort(confidence)
        gap = 2 + np.diff(order[2:7]).argmax()
        middle = order[gap:gap + 2].mean()
        if order[gap + 1] - order[gap] < 4e-4:
            raise SystemExit("%s %s: confidences are too near" % (cost, reject))
        if "thresholds" in reject:  # the most frequent answer has the median, others all or nothing
            most = np.bincount(p.argmax(axis=1), minlength=classes).argmax()
            each = ["inf" if i % 2 else "0"  for i in range(classes)]
            each[most] = "%.9g" % middle
            accepted = confidence >= np.array(each, float)[p.argmax(axis=1)]
            write("thresholds=" + ",".join(each))
        else:
            accepted = confidence >= middle
            write("threshold=%.9g" % middle)
        told = export(darknet, folder, cfg, weights, inputs(files, 3), p, confidence, accepted)
        print("answer %s %s %s: %s" % (cost.replace("\n", " "), reject, sorted(set(accepted.tolist())), told), flush=True)


def pixels(folder, darknet):
    """A network whose logits are the pixels, and 0: log(p / p of the 0) are they."""
    example = re.search(r"## Export\n.*?```python\n(.*?)```", open("docs/manual.md").read(), re.S)[1]
    names = {}
    exec(example, names)
    w, h = 7, 5
    n = 3 * w * h
    with open(folder + "/net.cfg", "w") as f:
        f.write("[net]\nwidth=%d\nheight=%d\nchannels=3\n[connected]\noutput=%d\nactivation=linear\n[softmax]\n" % (w, h, n + 1))
    with open(folder + "/net.weights", "wb") as f:
        np.array([0, 2, 0, 0, 0], "<i4").tofile(f)
        np.concatenate([np.zeros(n + 1), np.eye(n + 1, n).ravel()]).astype("<f4").tofile(f)
    f32 = np.float32  # sides whose last row rounding leaves short of the last pixel
    dark = [s for s in range(6, 60) if f32(4) * (f32(s - 1) / f32(4)) < s - 1] or [9]
    files = pictures(folder, [(7, 5), (5, 7), (13, 8), (20, 21), (1, 1), (3, 2), (200, 150), (dark[0], 60)], 3)
    p, *_ = predict(darknet, model_of(folder, n + 1), folder + "/net.cfg", folder + "/net.weights", files)
    run(darknet, "classifier", "export", folder + "/net.cfg", folder + "/net.weights", "-out", folder + "/net")
    spec = json.load(open(folder + "/net.json"))
    for file, row in zip(files, p):
        apart = abs(names["prepare"](file, spec).ravel() - np.log(row[:n] / row[n])).max()
        print("pixels %s: %s" % (os.path.basename(file), "equal" if apart < 1e-3 else apart))


if __name__ == "__main__":
    if sys.argv[1] == "networks":
        networks(*sys.argv[2:])
    else:
        networks(*sys.argv[1:])
        answers(*sys.argv[1:3])
        pixels(*sys.argv[1:3])
