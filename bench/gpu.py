"""The tables of a GPU: -backend cuda, its data on the card, beside PyTorch there, eager and as a CUDA graph, and cuDNN's convolutions
alone. All take turns in one run."""
import os
import re
import subprocess

from peers import HERE, Race, note
from tables import number, ratio, table

PRECISIONS = ("bf16", "tf32", "f32")
ENGINES = ("eager", "graph", "convolutions")
MOST_STEPS = 2000


def ask(*what):
    try:
        run = subprocess.run(["nvidia-smi", *what], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    except OSError:
        return None
    return run.stdout.strip() if run.returncode == 0 else None


def present():
    return bool(ask("-L"))


def race(network, args, precision, mode):
    """Name -> Column: plain, tuned, and PyTorch's ENGINES, those that are there."""
    contest = Race(mode, MOST_STEPS)
    common = [network.cfg, "-batch", str(network.batch), "-precision", precision]
    if network.size:
        common += ["-size", str(network.size)]
    step = os.path.join(args.programs, "step")
    try:
        for name, flags in (("plain", []), ("tuned", ["-tune"])):
            contest.enter(name, [step, *common, "-backend", "cuda", *flags], {})
        for engine in ENGINES if args.torch else ():
            contest.enter(engine, [args.python, os.path.join(HERE, "torch_gpu.py"), *common, "-engine", engine, "-device", args.device], {})
        return contest.run(args.rounds or 5, args.turn, args.seconds)
    finally:
        contest.close()


def show(networks, args):
    """Prints them. Did our program take part everywhere?"""
    rows, complete, engine = [], True, "-"
    for network in networks:
        for mode in ("train", "infer"):
            for precision in PRECISIONS:
                note(f"gpu: {network}, {mode}, {precision}")
                columns = race(network, args, precision, mode)
                complete &= "plain" in columns and "tuned" in columns
                engine = columns["plain"].text("engine") if "plain" in columns else engine
                engine = re.sub(r", \w+\)$", ")", engine)  # the precision is the row's
                speeds = [number(columns[name].number("images_per_second") if name in columns else None)
                          for name in ("plain", "tuned", *ENGINES)]
                rows.append([str(network), f"{mode} {precision}", *speeds, ratio(columns.get("graph"), columns.get("tuned"))])
    print(f"### {engine}, driver {ask('--query-gpu=driver_version', '--format=csv,noheader') or '-'}\n\nImages a second:\n")
    heads = ["network", "step", "ours", "-tune", "PyTorch eager", "CUDA graph", "convolutions alone", "-tune / CUDA graph"]
    print("\n".join(table(heads, rows)), flush=True)
    return complete
