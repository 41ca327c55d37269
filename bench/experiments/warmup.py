#!/usr/bin/env python3
"""What rules for the end of a warm-up would have cost, by the curves of runs that are there.

    python3 bench/experiments/warmup.py OUT…

OUT: folders of run.py with [softmax] and the fixed warm-ups (-tables warmup). A rule looks at a run of [softmax], whose epochs are
those of a warm-up, and says when it is over, three fifths of the run at the latest; the error is that of ema between the fixed
warm-ups around (by the logarithm of the epochs), less that of the best of them, in points, mean of the seeds.
"""
import collections, csv, math, os, re, statistics, sys

SETTING = "scale data images epochs batch shift noise ratio".split()


def settings(outs):
    """setting: [curve, {epochs of a warm-up: error}], one a seed; a curve is [nll of valid=, loss in training] of each epoch."""
    runs = collections.defaultdict(lambda: [None, {}])
    for out in outs:
        for r in csv.DictReader(open(os.path.join(out, "results.csv"))):
            run = runs[tuple(r[k] for k in SETTING), r["seed"]]
            fixed = re.fullmatch(r"ema\+warmup_epochs=(\d+)", r["run"])
            if fixed:
                run[1][int(fixed[1])] = float(r["error"])
            folder = os.path.join(out, "-".join(r[k] for k in "scale data images epochs noise ratio seed".split()), "softmax-%(batch)s-%(shift)s" % r)
            if r["run"] == "softmax" and os.path.isdir(folder):
                rows = csv.DictReader(open(os.path.join(folder, os.path.basename(folder) + "_results.csv")))
                run[0] = [(float(e["valid_nll"]), float(e["train_loss"])) for e in rows]
    found = collections.defaultdict(list)
    for (setting, _), (curve, errors) in runs.items():
        if curve and len(errors) > 2:
            found[setting].append((curve, errors))
    return found


def between(errors, epochs):
    at = sorted(errors)
    epochs = min(max(epochs, at[0]), at[-1])
    for a, b in zip(at, at[1:]):
        if a <= epochs <= b:
            return errors[a] + (errors[b] - errors[a]) * math.log(epochs / a) / math.log(b / a)


def rule(window=2, rise=0., patience=1, above=-math.inf):
    """The mean nll of `window` epochs is `rise` above its lowest, which is `patience` epochs old, and `above` the loss."""
    def end(curve):
        lowest, at = math.inf, 0
        for epoch in range(window, len(curve) * 3 // 5):
            seen = curve[epoch - window:epoch]
            nll, gap = statistics.mean(c[0] for c in seen), statistics.mean(c[0] - c[1] for c in seen)
            if nll < lowest:
                lowest, at = nll, epoch
            if lowest < .99 * math.log(10) and epoch - at >= patience and nll >= lowest + rise and gap >= above:
                return epoch
        return len(curve) * 3 // 5
    return end


RULES = [("no new low for two epochs", rule(patience=2)), ("the same, and not below the training loss", rule(patience=2, above=0)),
         (".1 above the training loss, no new low", rule(above=.1))]
RULES += [("%g above its lowest" % rise, rule(rise=rise)) for rise in (.005, .0075, .01, .015, .02)]
RULES += [("the same, of three epochs, .01", rule(3, .01)), ("of one epoch, .02", rule(1, .02)), ("three fifths of the run are over", rule(rise=math.inf))]


def main(outs):
    found = settings(outs)
    for setting in found:
        print("%2d seeds: %s" % (len(found[setting]), " ".join("%s %s" % kv for kv in zip(SETTING, setting))))
    print("\n| mean nll of two epochs | mean | worst | each |\n|---|--:|--:|---|")
    for name, end in RULES:
        worse = []
        for runs in found.values():
            best = min(statistics.mean(errors[n] for _, errors in runs) for n in set.intersection(*(set(errors) for _, errors in runs)))
            worse.append(statistics.mean(between(errors, end(curve)) for curve, errors in runs) - best)
        print("| %s | %.1f | %.1f | %s |" % (name, statistics.mean(worse), max(worse), " ".join("%.1f" % w for w in worse)))


if __name__ == "__main__":
    main(sys.argv[1:]) if len(sys.argv) > 1 else sys.exit(__doc__)
