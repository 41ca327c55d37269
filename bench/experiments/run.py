#!/usr/bin/env python3
"""What cost sections, averages of weights, wrong labels and unequal classes do: trains a table of runs and prints tables.

    make experiments                  # everything, full networks and image sets; goes on where it was stopped
    make experiments SCALE=medium     # 10,000 images, a small network
    make experiments SCALE=small      # a few thousand
    python3 bench/experiments/run.py -scale small -runs "softmax ema ema+warmup_epochs=4" -noise 0.2,0.4 -images 2000

A run is a cost section or a target of [sat], and keys of it or of [net] joined by +. Lists of images and labels depend on the seed
alone. A run ends with a line of OUT/results.csv and is not made again; one that was stopped goes on (train -resume), one that fails is left out. Weights are those of
the end; the line has figures of test= and, to choose by, of valid=, whose labels are as wrong as those of train=.
"""
import argparse, collections, csv, json, os, random, re, statistics, subprocess, sys

TABLES = {  # runs, shares of wrong labels, ratio of the larger classes to the smaller
    "clean": (["%s%s" % (cost, swa) for cost in "softmax blend ema abstain gambler selective".split() for swa in ("", "+average=swa")], [0], 1),
    "noise": ("softmax ema elr abstain".split(), [0, .2, .4, .6], 1),
    "unequal": ("softmax softmax+sampling=balanced softmax+class_weights=balanced softmax+class_weights=sqrt".split(), [0], 20),
    "warmup": ("softmax ema abstain".split() + ["ema+warmup_epochs=%d" % n for n in (2, 4, 8, 16, 32)], [0, .2, .4, .6], 1),
}
SCALES = {  # of each image set: training and held-out images (0: those of its .data file), epochs, batch, shift, cfg (None: network below)
    "small": {"fashion": (2000, 500, 30, 25, 2, None), "cifar10": (4000, 500, 20, 25, 2, None), "digits": (0, 0, 40, 25, 0, None)},
    "medium": {data: (10000, 1250, 40, 100, 0, None) for data in ("fashion", "cifar10")},
    "full": {"fashion": (0, 0, 10, 0, 0, "cfg/fashion_softmax.cfg"), "cifar10": (0, 0, 16, 0, 0, "cfg/cifar_fast_sat.cfg")},
}
NET = "average ema_alpha average_from average_rate sampling mixup mixup_alpha regmixup cutout shift flip learning_rate".split()
TARGETS = "blend ema abstain elr".split()
MORE = "abstain gambler selective".split()  # with a logit, and a confidence, of their own
COLUMNS = ("scale data images epochs batch shift noise ratio run seed error risk_95 risk_90 risk_85 risk_80 aurc augrc nll error_small own_aurc own_augrc "
           "valid_error valid_aurc valid_own_aurc audit_auroc warmup").split()
KEY = COLUMNS[:10]


class Failed(Exception):
    pass


def call(*command, log=None):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=log or subprocess.PIPE, text=True)
    if done.returncode:
        raise Failed("%s: status %d\n%s" % (" ".join(command), done.returncode, done.stderr or "see " + log.name))
    return done.stdout


# ---- lists ----

def listed(data, name):
    """[path, label] of a list of images in folders of their classes."""
    folder = os.path.dirname(data)
    keys = dict(line.strip().split("=", 1) for line in open(data) if "=" in line)
    rows = [os.path.abspath(os.path.join(folder, line.rstrip("\n"))) for line in open(os.path.join(folder, keys[name]))]
    return [(path, os.path.basename(os.path.dirname(path))) for path in rows], os.path.abspath(os.path.join(folder, keys["labels"]))


def take(rows, labels, n, ratio, rng):
    """n rows; the first half of the classes have `ratio` times fewer than the others."""
    if ratio == 1:
        return rng.sample(rows, n or len(rows))
    most = (n or len(rows) / 2) * ratio / (len(labels) // 2 * (1 + ratio))
    left = {l: round(most / ratio if i < len(labels) // 2 else most) for i, l in enumerate(labels)}
    taken = []
    for row in rng.sample(rows, len(rows)):
        if left[row[1]] > 0:
            left[row[1]] -= 1
            taken.append(row)
    return taken


def write_lists(out, data, spec):
    rows, labels_path = listed(data, "train")
    labels = open(labels_path).read().splitlines()
    rng = random.Random(spec["seed"] * 1000 + 7)
    if spec["images"] and spec["ratio"] == 1:
        rows = take(rows, labels, spec["images"] + spec["held"], 1, rng)
        held, rows = rows[spec["images"]:], rows[:spec["images"]]
    else:
        rows = take(rows, labels, spec["images"], spec["ratio"], rng)
        held = listed(data, "valid")[0]
        held = rng.sample(held, min(len(held), spec["held"] or len(held)))
    wrong = lambda label: rng.choice([l for l in labels if l != label]) if rng.random() < float(spec["noise"]) else label
    lists = {"truth": rows, "train": [(p, wrong(l)) for p, l in rows], "valid": [(p, wrong(l)) for p, l in held], "test": listed(data, "test")[0]}
    os.makedirs(out, exist_ok=True)
    for name, part in lists.items():
        with open(os.path.join(out, name + ".list"), "w") as f:
            f.writelines("%s\t%s\n" % row for row in part)
    with open(os.path.join(out, "set.data"), "w") as f:
        f.write("train=train.list\nvalid=valid.list\ntest=test.list\nlabels=%s\nlabels_from=list\nbackup=%s\n" % (labels_path, out))


# ---- networks ----

def small_network(data, batch, shift):
    side, channels, flip = {"fashion": (28, 1, 1), "cifar10": (32, 3, 1), "digits": (8, 1, 0)}[data]
    text = "[net]\nbatch=%d\nheight=%d\nwidth=%d\nchannels=%d\nmin_crop=%d\nmax_crop=%d\nflip=%d\n" % (batch, side, side, channels, side, side + shift, flip)
    text += "learning_rate=0.1\npolicy=poly\npower=1\nmomentum=0.9\ndecay=0.0005\n"
    for filters in 16, 32, 64:
        text += "\n[convolutional]\nbatch_normalize=1\nfilters=%d\nsize=3\npad=1\nactivation=leaky\n\n[maxpool]\nsize=2\nstride=2\n" % filters
    return text + "padding=0\n\n[connected]\noutput=10\nactivation=linear\n\n[softmax]\n"


def network(text, run, classes):
    """The network `text` with the cost section and the keys of `run`."""
    cost, *keys = run.split("+")
    section = "[sat]\ntarget=%s\n" % cost if cost in TARGETS else "[%s]\n" % cost
    body = re.split(r"(?m)^\[(?:softmax|sat|gambler|selective)\]", text)[0]
    section += "".join(key + "\n" for key in keys if key.split("=")[0] not in NET)
    for key in keys:
        name = key.split("=")[0]
        if name in NET:
            body = re.sub(r"(?m)^%s=.*\n" % name, "", body, count=1)
            body = re.sub(r"(?m)^\[net\]\n", "[net]\n%s\n" % key, body)
    last = list(re.finditer(r"(?m)^(output|filters)=\d+", body))[-1]
    return body[:last.start()] + "%s=%d" % (last[1], classes + (cost in MORE)) + body[last.end():] + section


# ---- a run ----

def figures(a, folder, name, split, score):
    path = os.path.join(folder, "%s_%s.json" % (name, split))
    data = os.path.join(folder, "set.data")
    if split == "valid":  # reject looks at test= first
        data = os.path.join(folder, "valid.data")
        with open(data, "w") as f:
            f.writelines(line for line in open(os.path.join(folder, "set.data")) if not line.startswith("test="))
    call(a.darknet, "classifier", "reject", data, "%s/%s.cfg" % (folder, name), "%s/%s/%s.weights" % (folder, name, name), "-confidence", score,
         "-json", path, "-threads", str(a.threads), "-loaders", str(a.threads))
    return json.load(open(path))


def train(a, folder, name, spec):
    log = open("%s/%s.log" % (folder, name), "a")
    data, cfg = folder + "/set.data", "%s/%s.cfg" % (folder, name)
    call(a.darknet, "classifier", "train", data, cfg, "-epochs", str(spec["epochs"]), "-seed", str(spec["seed"]), "-threads", str(a.threads),
         "-loaders", str(a.threads), "-name", name, "-resume", log=log)
    results = list(csv.DictReader(open("%s/%s/%s_results.csv" % (folder, name, name))))
    row = dict(spec, warmup=sum(r["warmup"] == "on" for r in results))
    for split in "test", "valid":
        f, risks = figures(a, folder, name, split, "msp"), {}
        own = figures(a, folder, name, split, "abstain") if spec["run"].split("+")[0] in MORE else {}
        error = "%.2f" % (100 - 100 * f["accuracy"])
        if split == "valid":
            row.update(valid_error=error, valid_aurc=f["aurc"], valid_own_aurc=own.get("aurc"))
            continue
        risks = {round(100 * r["coverage"]): "%.2f" % (100 * r["risk"]) for r in f["risk_at_coverage"]}
        classes = f["classes"][:5]
        row.update(error=error, aurc=f["aurc"], augrc=f["augrc"], nll=f["nll"], own_aurc=own.get("aurc"), own_augrc=own.get("augrc"),
                   error_small="%.2f" % (100 - 100 * sum(c["accuracy"] for c in classes) / len(classes)),
                   **{"risk_%d" % c: risks[c] for c in (95, 90, 85, 80)})
    if float(spec["noise"]):
        out = call(a.darknet, "classifier", "audit", data, cfg, "%s/%s/%s.ckpt" % (folder, name, name), "-truth", folder + "/truth.list")
        row["audit_auroc"] = re.search(r"(?m)^AUROC *(\S+)", out)[1]
    return {k: "%.4f" % v if isinstance(v, float) and k not in KEY else v for k, v in row.items()}


def specs(a):
    """Every run, the first seed of all tables first."""
    for data in a.data.split(","):
        images, held, epochs, batch, shift, cfg = SCALES[a.scale][data]
        for seed in map(int, a.seeds.split(",")):
            for runs, noises, ratio in [TABLES[t] for t in a.tables.split(",")] if not a.runs else [(a.runs.split(), map(float, a.noise.split(",")), a.ratio)]:
                for noise in noises:
                    for run in runs:
                        yield {"scale": a.scale, "data": data, "images": a.images or images, "epochs": a.epochs or epochs, "batch": a.batch or batch,
                               "shift": shift if a.shift < 0 else a.shift, "noise": "%g" % noise, "ratio": ratio, "run": run, "seed": seed, "held": a.held or held, "cfg": cfg}


def make(a):
    path = os.path.join(a.out, "results.csv")
    os.makedirs(a.out, exist_ok=True)
    known = {tuple(r[k] for k in KEY) for r in csv.DictReader(open(path))} if os.path.exists(path) else set()
    if not known:
        with open(path, "w") as f:
            csv.writer(f, lineterminator="\n").writerow(COLUMNS)
    missing, failed = set(), []
    for spec in specs(a):
        source = getattr(a, spec["data"])
        key = tuple(str(spec[k]) for k in KEY)
        if key in known:
            continue
        if not os.path.exists(source):
            missing.add(source)
            continue
        known.add(key)
        folder = os.path.join(a.out, "-".join(str(spec[k]) for k in KEY if k not in ("run", "batch", "shift")))
        name = "%s-%d-%d" % (re.sub(r"[+=,.]", "_", spec["run"]), spec["batch"], spec["shift"])
        if not os.path.exists(folder + "/set.data"):
            write_lists(folder, source, spec)
        text = open(spec["cfg"]).read() if spec["cfg"] else small_network(spec["data"], spec["batch"], spec["shift"])
        with open("%s/%s.cfg" % (folder, name), "w") as f:
            f.write(network(text, spec["run"], sum(1 for _ in open(listed(source, "train")[1]))))
        try:
            row = train(a, folder, name, spec)
        except Failed as e:  # diverged, say: the others are made all the same
            failed.append(e)
            print("error: %s" % e, file=sys.stderr)
            continue
        with open(path, "a") as f:
            csv.DictWriter(f, COLUMNS, extrasaction="ignore", lineterminator="\n").writerow(row)
        print("%(data)s noise %(noise)s ratio %(ratio)s %(run)s seed %(seed)s: error %(error)s %%, AURC %(aurc)s" % row, flush=True)
    for source in sorted(missing):
        print("note: %s is missing, its runs are left out" % source, file=sys.stderr)
    return failed


# ---- tables ----

def cell(rows, column, digits):
    v = [float(r[column]) for r in rows if r[column]]
    return "–" if not v else ("%.*f" % (digits, statistics.mean(v))) + (" ± %.*f" % (digits, statistics.stdev(v)) if len(v) > 1 else "")


def table(head, lines, f):
    f.write("| %s |\n|---|%s\n" % (" | ".join(head), "--:|" * (len(head) - 1)))
    f.writelines("| %s |\n" % " | ".join(line) for line in lines)
    f.write("\n")


def tables(path, f):
    blocks = collections.OrderedDict()
    for r in csv.DictReader(open(path)):
        block = tuple(r[k] for k in "scale data images epochs batch shift noise ratio".split())
        blocks.setdefault(block, collections.OrderedDict()).setdefault(r["run"], []).append(r)
    for (scale, data, images, epochs, batch, shift, noise, ratio), runs in blocks.items():
        best = min(runs, key=lambda run: statistics.mean(float(r["valid_aurc"]) for r in runs[run]))
        where = "network, batch, augmentation of the cfg" if scale == "full" else "batches of %s, scaled to up to %s pixels more" % (batch, shift)
        f.write("**%s**, %s training images, %s epochs (%s), %g %% of the labels wrong%s\n\n" % (
            data, images if images != "0" else "all", epochs, where, 100 * float(noise), ", classes %s:1" % ratio if ratio != "1" else ""))
        columns = [("error", 1), ("risk_95", 1), ("risk_90", 1), ("risk_85", 1), ("risk_80", 1), ("aurc", 4), ("augrc", 4), ("own_aurc", 4), ("nll", 2)]
        columns += [("audit_auroc", 3), ("warmup", 0)] if float(noise) else [("error_small", 1)] if ratio != "1" else []
        head = {"error": "error %", "risk_95": "at 95 %", "risk_90": "90 %", "risk_85": "85 %", "risk_80": "80 %", "aurc": "AURC", "augrc": "AUGRC", "nll": "nll",
                "own_aurc": "AURC, own score", "audit_auroc": "audit, AUROC", "warmup": "warm-up", "error_small": "error % of small classes"}
        table(["", "seeds"] + [head[c] for c, _ in columns],
              [["**%s**" % run if run == best else run, str(len(rows))] + [cell(rows, c, d) for c, d in columns] for run, rows in runs.items()], f)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("-scale", choices=list(SCALES), default="full")
    p.add_argument("-data", default="fashion,cifar10")
    p.add_argument("-tables", default="clean,noise,unequal")
    p.add_argument("-runs", help="instead of the tables, with -noise and -ratio")
    p.add_argument("-noise", default="0")
    p.add_argument("-ratio", type=int, default=1)
    p.add_argument("-seeds", default="1,2,3")
    for name, value in ("images", 0), ("held", 0), ("epochs", 0), ("batch", 0), ("shift", -1), ("threads", 2):
        p.add_argument("-" + name, type=int, default=value)
    p.add_argument("-fashion", default="data/fashion/fashion.data", help=".data file, images in folders of their classes (make data)")
    p.add_argument("-cifar10", default="data/cifar10/cifar10.data", help="the same (classifier import cifar10, or folders); without it, it is left out")
    p.add_argument("-digits", default="data/digits/digits.data", help="the same (digits.py), for -tables warmup")
    p.add_argument("-out", default="backup/experiments")
    p.add_argument("-darknet", default="./darknet")
    p.add_argument("-only-tables", action="store_true", help="print tables of what there is")
    a = p.parse_args()
    if set(a.data.split(",")) - set(SCALES[a.scale]):
        p.error("-data %s: expected some of %s at this scale" % (a.data, ",".join(SCALES[a.scale])))
    a.out = os.path.abspath(a.out)
    failed = [] if a.only_tables else make(a)
    tables(os.path.join(a.out, "results.csv"), sys.stdout)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
