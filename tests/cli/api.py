"""darknet_sat, the Python module: api.py DATA CFG WEIGHTS IMAGE. Prints "ok NAME" or "not ok NAME"."""
import os
import signal
import sys
import threading
import time

import darknet_sat
import numpy as np

data, cfg, weights, path = sys.argv[1:]
failures = 0


def say(good, name):
    global failures
    failures += not good
    print(("" if good else "not ") + "ok python: " + name)


def fails(kind, call, words):
    try:
        call()
    except kind as e:
        return words in str(e)
    return False


model = darknet_sat.Model(cfg, weights, data=data, threads=1)
say(model.classes == 3 and model.names == ["0", "1", "2"] and model.thresholds == [0.7, 0.9, 0.99] and not model.notes,
    "what is known of the model")
with open(path, "rb") as f:
    of_file, of_bytes, bad = model.classify([path, f.read(), b"none"])
say(np.array_equal(of_file.probabilities, of_bytes.probabilities) and of_file == of_file and of_file.error is None, "path and bytes")
say(bad.error.startswith("cannot decode") and not bad.accepted and np.isnan(bad.probabilities).all(), "an image that is none")
grey = np.arange(64, dtype=np.uint8).reshape(8, 8) * 3
wide = np.repeat(np.repeat(grey, 2, 0), 3, 1)[:, 2:]  # not contiguous
answers = model.classify([grey, grey[:, :, None], grey.astype(np.float32) / 255, wide])
say(all(a.error is None and abs(a.probabilities.sum() - 1) < 1e-9 for a in answers) and
    np.array_equal(answers[0].probabilities, answers[1].probabilities) and
    np.allclose(answers[0].probabilities, answers[2].probabilities, atol=1e-5), "arrays")
say(model.classify([]) == [], "no images")
say("channels" in model.classify([np.zeros((8, 8, 3), np.uint8)])[0].error, "channels of another number")
say(fails(TypeError, lambda: model.classify([np.zeros((8, 8))]), "float64") and
    fails(TypeError, lambda: model.classify(path), "sequence"), "arrays and arguments of another kind")
say(fails(darknet_sat.Error, lambda: darknet_sat.Model(cfg, path), path) and
    fails(darknet_sat.Error, lambda: darknet_sat.Model(cfg, weights, precision="f64"), "precision"), "errors name what is wrong")
expected, same = model.classify([grey])[0].probabilities, []
threads = [threading.Thread(target=lambda: same.append(all(
    np.array_equal(model.classify([grey])[0].probabilities, expected) for _ in range(50)))) for _ in range(4)]
for t in threads:
    t.start()
for t in threads:
    t.join()
say(same == [True] * 4, "four threads")
child = os.fork()
if not child:
    closed = fails(ValueError, lambda: model.classify([grey]), "fork")
    model.close()
    with darknet_sat.Model(cfg, weights, data=data, threads=1) as own:
        os._exit(0 if closed and np.array_equal(own.classify([grey])[0].probabilities, expected) else 1)
end = time.time() + 20
while not (ended := os.waitpid(child, os.WNOHANG))[0] and time.time() < end:
    time.sleep(.01)
say(ended == (child, 0), "after fork() a model of before is an error, another one opens")


class Closing:
    def __fspath__(self):
        model.close()
        return path


def until_closed(of):
    try:
        while True:
            of.classify([grey])
    except ValueError as e:
        same.append("closed" in str(e))


same = []
for _ in range(20):
    of = darknet_sat.Model(cfg, weights, threads=1)
    threads = [threading.Thread(target=until_closed, args=(of,), daemon=True) for _ in range(3)]
    for t in threads:
        t.start()
    time.sleep(.005)
    of.close()
    for t in threads:
        t.join(20)
say(same == [True] * 60, "closed while others ask")
of = darknet_sat.Model(cfg, weights, threads=1)
signal.signal(signal.SIGALRM, lambda *_: of.close())
signal.setitimer(signal.ITIMER_REAL, .05)
until_closed(of)
say(same[60:] == [True], "closed by a signal handler while it asks")
say(fails(ValueError, lambda: darknet_sat.Model(cfg, weights, batch=1 << 32), "batch") and
    fails(ValueError, lambda: model.classify([path + "\0x"]), "null"), "numbers and paths that C would cut")
say(fails(ValueError, lambda: model.classify([Closing()]), "closed"), "closed by a path that it is given")
model.close()
say(fails(ValueError, lambda: model.classify([]), "closed"), "a closed model")
say(darknet_sat.version().count(".") == 2, "version")
sys.exit(failures != 0)
