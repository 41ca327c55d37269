"""What may interrupt a training run, and that -resume then ends with the bits of a run that nothing interrupted.

kill.py PROGRAM DATA CFG FOLDER SHIM KIND [STEP]: FOLDER is for its files, SHIM is shim.c as a library, KIND a function below.
STEP 5 tries every fifth place only.
"""
import json
import os
import random
import resource
import shutil
import signal
import struct
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

PROGRAM, DATA, CFG, FOLDER, SHIM, KIND = sys.argv[1:7]
STEP = int(sys.argv[7]) if len(sys.argv) > 7 else 1
EPOCHS = "3"
BASE = os.path.basename(CFG).split(".")[0]
FILES = tuple(BASE + end for end in (".weights", "_best.weights", ".backup"))
DAY = 86400


def backup(name):
    return os.path.join(FOLDER, name)


def train(name, *flags, cfg=CFG, epochs=EPOCHS, shim=None, log=None, limits=(), kill_after=None):
    """A run that writes below backup(name): its status (negative: the signal that ended it), standard output and error."""
    data = "%s.%s.data" % (DATA, name)
    with open(DATA) as old, open(data, "w") as new:
        new.writelines(line for line in old if not line.startswith("backup"))
        new.write("backup=%s\n" % backup(name))
    command = [PROGRAM, "classifier", "train", data, cfg, *(["-epochs", epochs] if epochs else []), "-threads", "1",
               "-loaders", "2", *flags]
    env = dict(os.environ)
    if shim or log:
        env.update(LD_PRELOAD=SHIM, ASAN_OPTIONS=env.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0")
        env.update({"SHIM": shim or ""}, **({"SHIM_LOG": log} if log else {}))

    def hold():
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # jobs in the background of a shell ignore it
        for which, most in limits:
            resource.setrlimit(which, (most, most))

    p = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env, preexec_fn=hold)
    try:
        out, err = p.communicate(timeout=kill_after or 120)
    except subprocess.TimeoutExpired:
        p.kill()
        out, err = p.communicate()
        assert kill_after, "%s: still running after 120 s" % name
    return p.returncode, out, err


def read(name, file):
    """Its bytes, b"" where there is none."""
    path = os.path.join(backup(name), file)
    if not os.path.exists(path):
        return b""
    with open(path, "rb") as f:
        return f.read()


def outcome(name):
    """Weights and results of the run that wrote to backup(name) last, without images_per_second."""
    files = {file: read(name, file) for file in FILES}
    files["results"] = [line.split(b",")[:-1] for line in read(name, BASE + "_results.csv").splitlines()]
    return files


def same(a, b, why):
    for what in a:
        assert a[what] == b[what], "%s: %s differs" % (why, what)


def leftovers(name):
    return [f for _, _, files in os.walk(backup(name)) for f in files if ".tmp" in f or ".link" in f]


def whole(name="whole", *flags):
    """The run that nothing interrupts."""
    status, _, err = train(name, "-save-every", "0", *flags)
    assert status == 0, err
    return outcome(name)


def goes_on(name, want, why, *flags):
    """-resume ends with `want`, and nothing lies about; then the folder is removed."""
    status, _, err = train(name, "-resume", *flags)
    assert status == 0, "%s: -resume ended with %d: %s" % (why, status, err)
    same(want, outcome(name), why)
    assert not leftovers(name), "%s: left behind: %s" % (why, leftovers(name))
    shutil.rmtree(backup(name))


def all_of(places, trial):
    """trial(i, place) for each, two at a time: how many."""
    places = list(places)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(trial, range(len(places)), places))
    return len(places)


def calls(name, *flags, **more):
    """The calls of a run that the shim counts."""
    log = os.path.join(FOLDER, name + ".log")
    status, _, err = train(name, *flags, log=log, **more)
    assert status == 0, err
    with open(log) as f:
        return f.read().splitlines()


def said(status, err, why):
    """A run that failed, said so, and did not crash."""
    assert status == 1 and err.splitlines()[-1].startswith("error: "), "%s: status %d: %s" % (why, status, err)


# ---- kinds ----


def moments():
    """SIGKILL at random moments until 200 / STEP are done; runs that come to their end meanwhile are compared, others begun."""
    want, rng, kills, ended = whole(), random.Random(11), 0, 0
    start = time.monotonic()
    whole("timed")
    length = time.monotonic() - start
    while kills < 200 // STEP or not ended:
        every = rng.choice(["0", "1e-9", "0.0005"])
        status, _, err = train("killed", "-resume", "-save-every", every,
                               kill_after=rng.uniform(0.01, length * (1.5 if kills >= 200 // STEP else 1.1)))
        kills += status == -signal.SIGKILL
        if status == 0:
            goes_on("killed", want, "after %d kills" % kills)
            ended += 1
        else:
            assert status == -signal.SIGKILL, "status %d after %d kills: %s" % (status, kills, err)
    return "%d kills, %d runs came to their end" % (kills, ended)


def places():
    """SIGKILL at each call, in a run of its own; every other one with checkpoints inside the epochs."""
    want = whole()
    every = ("0", "1e-9")
    count = [len(calls("count%d" % i, "-save-every", every[i])) for i in (0, 1)]

    def trial(i, place):
        kind, n = place
        status, _, err = train("kill%d" % i, "-save-every", every[kind], shim="kill:%d:9" % n)
        assert status == -signal.SIGKILL, "call %d: status %d: %s" % (n, status, err)
        goes_on("kill%d" % i, want, "killed at call %d" % n)

    return "%d kills" % all_of([(k, n) for k in (0, 1) for n in range(1 + k, count[k] + 1, STEP * (1 + k))], trial)


def second():
    """The same where there is a complete run already: the new one goes on as soon as its folder is there, or nothing has changed."""
    first, want = whole("whole"), whole("other", "-seed", "2")
    done = [0, 0]

    def trial(i, place):
        flags, n = place
        name = "second%d" % i
        shutil.copytree(backup("whole"), backup(name), symlinks=True)
        train(name, "-seed", "2", *flags, shim="kill:%d:9" % n)
        begun = os.path.isdir(os.path.join(backup(name), BASE + "-2")) or read(name, BASE + ".ckpt") != read("whole", BASE + ".ckpt")
        status, _, err = train(name, "-seed", "2", "-resume")
        assert status == 0, err
        result = outcome(name)
        same(want if begun else first, result, "%s killed at call %d" % (flags, n))
        done[result == want] += 1
        shutil.rmtree(backup(name))

    all_of([(k, n) for k in ((), ("-exist-ok",)) for n in range(1, 40, min(STEP, 16))], trial)
    return "%d kills before the second run began, %d after" % tuple(done)


def full():
    """Every call from the n-th on fails, as on a full disk: an error, and all goes on when there is room."""
    return failing(28, 1)


def readonly():
    """The same with a disk that was mounted again read-only."""
    return failing(30, 4)


def failing(errno, step):
    want = whole()
    count = len(calls("count"))

    def trial(i, n):
        name = "fail%d" % i
        status, _, err = train(name, shim="fail:%d:%d" % (n, errno))
        if status:
            said(status, err, "call %d" % n)
        goes_on(name, want, "call %d failed" % n)

    return "%d places" % all_of(range(1, count + 1, step * STEP), trial)


def beside():
    """The checkpoint of the first epoch takes its time and fails, while training goes on: told, and all goes on from the one before."""
    want = whole()
    status, out, err = train("beside", epochs="30", shim="beside:3:28")
    said(status, err, "beside")
    assert BASE + ".ckpt: cannot write: No space left" in err, err
    assert len(out.splitlines()) > 8, "no batch after those of the epoch: " + out
    goes_on("beside", want, "beside")
    return "%d batches" % len(out.splitlines())


def disk():
    """A real file system of few pages. Where none can be mounted there is nothing to see."""
    want, sizes = whole(), range(4, 64, 4 * STEP)
    folder = backup("disk")
    os.mkdir(folder)
    for pages in sizes:
        size = "size=%dk" % (4 * pages)
        if subprocess.run(["mount", "-t", "tmpfs", "-o", size, "none", folder], stderr=subprocess.DEVNULL).returncode:
            return "none can be mounted"
        try:
            status, _, err = train("disk")
            if status:
                said(status, err, size)
            subprocess.run(["mount", "-o", "remount,size=1m", folder], check=True)
            if status == 0:
                break
            status, _, err = train("disk", "-resume", "-save-every", "0")
            assert status == 0, err
            same(want, outcome("disk"), size)
        finally:
            subprocess.run(["umount", folder], check=True)
    return "%d sizes" % len(sizes)


def limits():
    """Few descriptors, little address space: an error or a run; and all goes on without."""
    want = whole()
    of_files = [(resource.RLIMIT_NOFILE, n) for n in range(8, 24, STEP)]
    of_memory = [(resource.RLIMIT_AS, n << 20) for n in range(100, 700, 40 * STEP)]
    ended = []

    def trial(i, limit):
        name = "limit%d" % i
        status, _, err = train(name, "-save-every", "1e-9", limits=[limit])
        assert status in (0, 1), "%s: %d: %s" % (limit, status, err)
        ended.append(status)
        goes_on(name, want, "limit %s" % (limit,))

    all_of(of_files + of_memory, trial)
    return "%d limits, %d runs ended all the same" % (len(ended), ended.count(0))


def clock():
    """The calendar's clock jumps by a day in mid-run; a kill later the run still goes on to the same bits."""
    want = whole()

    def trial(i, place):
        n, jump = place
        name = "clock%d" % i
        status, _, err = train(name, "-save-every", "0.0001", shim="clock:%d:%d" % (n, jump))
        assert status == 0, err
        same(want, outcome(name), "the clock jumps by %d at reading %d" % (jump, n))
        shutil.rmtree(backup(name))

    return "%d jumps" % all_of([(n, jump) for n in range(1, 200, 40 * STEP) for jump in (DAY, -DAY)], trial)


# ---- is each number of a checkpoint needed? ----


def arrays(file):
    """Bytes of a checkpoint and name: (rows, begin, end) of its arrays."""
    n = struct.unpack_from("<Q", file)[0]
    header = json.loads(file[8:8 + n])
    header.pop("__metadata__")
    return {name: (t["shape"][0], *(8 + n + at for at in t["data_offsets"])) for name, t in header.items()}


def changes(file):
    """(name, number or None for all of them, what there is instead), to be made one at a time."""
    for name, (rows, _, _) in arrays(file).items():
        for i in range(rows) if name in ("counters", "numbers") else [None]:
            yield name, i, b""
        yield name, None, b"absent"


def changed(file, name, i, instead):
    file = file.replace(b'"crc32":', b'"?rc32":')  # what is changed shall not be noticed
    b = bytearray(file)
    _, begin, end = arrays(file)[name]
    if instead:
        return file.replace(b'"%s":' % name.encode(), b'"%s":' % (b"?" + name[1:].encode()))
    if i is None:
        b[begin:end] = bytes(end - begin)
    elif name == "counters":
        value = struct.unpack_from("<Q", b, begin + 8 * i)[0]
        struct.pack_into("<Q", b, begin + 8 * i, value - 1 if value else 1)
    else:
        struct.pack_into("<d", b, begin + 8 * i, 12345.0)
    return bytes(b)


def told(name, out, err):
    """What a run prints, but for its seconds and speed, and whether the speed is a believable one."""
    steps = [line.split(", ")[:4] + line.split(", ")[5:] for line in out.splitlines()]
    epochs = [line.split("; ")[:2] for line in err.splitlines() if line.startswith("epoch")]
    best = [line.split(": ")[1] for line in err.splitlines() if line.startswith("best: ")]
    speeds = [line.split(b",")[-1] for line in read(name, BASE + "_results.csv").splitlines()[1:]]
    return steps, epochs, best, all(float(speed) > 2 for speed in speeds)


# For other readers of a checkpoint: a run estimates them anew before it uses them.
FOR_READERS = {"layers.0.means", "layers.0.variances"}


def tensors():
    """One array of a checkpoint becomes zeros, or one number another: the run ends otherwise. An array is gone: refused.
    Checkpoints are from inside an epoch or after its last batch (stopped in validation), and of Adam."""
    adam = os.path.join(os.path.dirname(CFG), "adam", os.path.basename(CFG))
    idle, count = {}, 0
    for cfg, end, best in ((CFG, False, "top1"), (CFG, True, "balanced"), (CFG, False, "aurc"), (adam, False, "nll")):
        flags = ["-save-every", "1e-9", "-best", best]
        shutil.rmtree(backup("cut"), ignore_errors=True)
        log = calls("count-" + best, *flags, cfg=cfg, epochs="8")
        ends = [n for n, call in enumerate(log, 1) if call.endswith(".ckpt")]
        status = None
        while status != (130 if end else -signal.SIGKILL):  # a checkpoint is written beside the batches: the moment may be another
            shutil.rmtree(backup("cut"), ignore_errors=True)
            status, _, err = train("cut", *flags, cfg=cfg, epochs="8",
                                   shim="kill:%d:2" % ends[-2] if end else "kill:%d:9" % (ends[-5] + 1))
            assert status in (0, 130, -signal.SIGKILL), err
        file = read("cut", BASE + ".ckpt")

        def ending(name, content):
            shutil.copytree(backup("cut"), backup(name), symlinks=True)
            path = os.path.join(backup(name), BASE + "-1", BASE + ".ckpt")
            os.remove(path + ".1")
            with open(path, "wb") as f:
                f.write(content)
            status, out, err = train(name, "-resume", *flags, epochs=None, cfg=cfg)
            if status:
                said(status, err, "changed checkpoint")
            result = status or (outcome(name), told(name, out, err))
            shutil.rmtree(backup(name))
            return result

        want = ending("right", file)
        assert want != 1, "the checkpoint as it was is refused"

        def trial(i, change):
            result = ending("change%d" % i, changed(file, *change))
            assert result == 1 or change[2] == b"", "without %s the checkpoint is taken" % change[0]
            key = change[0] if change[1] is None else "%s %d" % change[:2]
            if not change[2]:
                idle[key] = idle.get(key, True) and result == want

        count += all_of(list(changes(file))[::STEP], trial)
    idle = {key for key in idle if idle[key]}
    assert idle == FOR_READERS or STEP > 1, "a change makes no difference: %s" % sorted(idle)
    return "%d changes" % count


shutil.rmtree(FOLDER, ignore_errors=True)
os.makedirs(FOLDER)
print(globals()[KIND]())
