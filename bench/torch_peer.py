#!/usr/bin/python3
"""The peer of the benchmarks: the network of a Darknet .cfg in PyTorch, on the CPU (python3-torch of Debian).

    bench/torch_peer.py cfg/cifar_small_sat.cfg -mode train -layout channels_last -batch 128

prints one line of name=value pairs. A training step takes `batch` random images through zero_grad, forward, loss,
backward, SGD and loss.item(), in `subdivisions` parts; an inference step turns `batch` images into probabilities.
Times are medians after two steps of warm-up; peak_mib is VmHWM, import_mib what `import torch` alone keeps resident.

-serve stays alive for a driver that times several programs in turn: for each line "train N" or "infer N" of the
standard input it takes N steps (and before the first of a kind two that are not timed) and prints one such line.
"""
import argparse
import contextlib
import copy
import ctypes
import os
import statistics
import subprocess
import sys
import time

try:
    import torch
except ImportError:
    sys.exit(f"error: {sys.executable} has no torch (Debian: python3-torch, for /usr/bin/python3)")


def status_mib(key):
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(key + ":"))


IMPORT_MIB = status_mib("VmRSS")
sys.dont_write_bytecode = True
from torch_net import Network, load_weights, read_cfg  # noqa: E402, after the measurement

WARM_UP = 2
PATIENCE = 60  # seconds for the trial of an engine: in PyTorch 2.6 "jit" takes minutes at large [connected] layers
# What `auto` tries. "compile" needs PyTorch 2, g++, python3-dev, python3-setuptools and libtorch-dev of Debian.
ENGINES = ("eager", "fused", "jit")


def keep_memory():
    """malloc keeps what is freed, as the allocators advised for PyTorch do; else each step maps its tensors anew."""
    m_trim_threshold, m_mmap_max = -1, -4
    libc = ctypes.CDLL(None)
    libc.mallopt(m_mmap_max, 0)
    libc.mallopt(m_trim_threshold, 2**31 - 1)


def make_trainer(network, net, images, labels, parts, engine, numbers):
    """A function that takes one SGD step and returns the loss; as in Darknet biases and scales do not decay."""
    network.train()
    decayed = [layer.linear.weight for layer in network.weighted()]
    others = [p for p in network.parameters() if all(p is not d for d in decayed)]
    rate, momentum, decay = (net.number(key, default, float) for key, default in
                             (("learning_rate", 0.001), ("momentum", 0.9), ("decay", 0.0001)))
    optimizer = torch.optim.SGD([{"params": decayed}, {"params": others, "weight_decay": 0}], lr=rate,
                                momentum=momentum, weight_decay=decay, foreach=True)
    model = torch.compile(network) if engine == "compile" else network
    batches = list(zip(images.chunk(parts), labels.chunk(parts)))

    def step():
        optimizer.zero_grad(set_to_none=True)
        total = 0.0
        for x, y in batches:
            with numbers():
                loss = torch.nn.functional.cross_entropy(model(x), y) / parts
            loss.backward()
            total += loss.item()
        optimizer.step()
        return total

    return step


def make_predictor(network, images, engine, numbers):
    """A function that returns the probabilities of all images."""
    model = copy.deepcopy(network).eval()
    if engine != "eager":
        for layer in model.weighted():
            layer.fuse()
    with torch.inference_mode(), numbers():
        if engine == "jit":
            model = torch.jit.optimize_for_inference(torch.jit.freeze(torch.jit.trace(model, images)))
        elif engine == "compile":
            model = torch.compile(model)

    def step():
        with torch.inference_mode(), numbers():
            return model(images).softmax(1)

    return step


def fastest_engine(args):
    """Tries each engine of inference in a process of its own, so that the memory of the others does not count."""
    speeds = {}
    for engine in ENGINES:
        flags = {**vars(args), "mode": "infer", "engine": engine, "seconds": 1}
        flags = [f"-{name}={value}" for name, value in flags.items() if name not in ("cfg", "serve", "weights")]
        try:
            run = subprocess.run([sys.executable, __file__, args.cfg, *flags], stdin=subprocess.DEVNULL, text=True,
                                 stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            continue
        values = dict(word.split("=", 1) for word in run.stdout.split() if "=" in word)
        speeds[engine] = float(values.get("images_per_second", 0))
    return max(speeds, key=speeds.get, default=ENGINES[0])


def numbers_of(precision):
    """A maker of contexts in which operations compute in that precision."""
    if precision == "f32":
        return contextlib.nullcontext
    return lambda: torch.autocast("cpu", dtype=torch.bfloat16, cache_enabled=False)


class Peer:
    def __init__(self, args):
        torch.manual_seed(1)
        torch.set_num_threads(args.threads)
        torch.set_flush_denormal(True)
        sections = read_cfg(args.cfg)
        self.args, self.net, self.engines, self.steps = args, sections[0], {}, {}
        self.batch, self.parts = args.batch, 1
        if not self.batch:
            self.batch, self.parts = self.net.number("batch", 1), self.net.number("subdivisions", 1)
        channels, height, width = (self.net.number(key, 0) for key in ("channels", "height", "width"))
        height, width = args.size or height, args.size or width
        if min(self.batch, self.parts, channels, height, width) < 1:
            raise self.net.error("expected batch, subdivisions, channels, height and width of at least 1")
        self.network = Network(sections, height, width)
        if args.weights:
            load_weights(self.network, args.weights)
        self.images = torch.rand(self.batch, channels, height, width)
        self.labels = torch.randint(self.network.classes, (self.batch,))
        if args.layout == "channels_last":
            self.network = self.network.to(memory_format=torch.channels_last)
            self.images = self.images.to(memory_format=torch.channels_last)

    def prepare(self, mode):
        """Chooses the engine, makes the step, warms it up."""
        engine = self.args.engine
        if mode == "train":
            engine = "compile" if engine == "compile" else "eager"
            step = make_trainer(self.network, self.net, self.images, self.labels, self.parts, engine,
                                numbers_of(self.args.precision))
        else:
            engine = fastest_engine(self.args) if engine == "auto" else engine
            step = make_predictor(self.network, self.images, engine, numbers_of(self.args.precision))
        for _ in range(WARM_UP):
            step()
        self.engines[mode], self.steps[mode] = engine, step

    def run(self, mode, enough):
        """Takes steps until enough(steps, seconds); the line about them."""
        if mode not in self.steps:
            self.prepare(mode)
        times, result = [], None
        while not times or not enough(len(times), sum(times)):
            start = time.perf_counter()
            result = self.steps[mode]()
            times.append(time.perf_counter() - start)
        median, args = statistics.median(times), self.args
        training = f"subdivisions={self.parts} loss={result:.4g} " if mode == "train" else ""
        return (f"torch mode={mode} engine={self.engines[mode]} layout={args.layout} malloc={args.malloc} "
                f"precision={args.precision} "
                f"batch={self.batch} threads={args.threads} images_per_second={self.batch / median:.1f} "
                f"step_ms={1e3 * median:.2f} steps={len(times)} {training}peak_mib={status_mib('VmHWM'):.0f} "
                f"import_mib={IMPORT_MIB:.0f} version={torch.__version__}")

    def serve(self):
        for line in sys.stdin:
            mode, _, count = line.strip().partition(" ")
            if mode in ("train", "infer") and count.isdecimal() and int(count) > 0:
                print(self.run(mode, lambda steps, _, wanted=int(count): steps >= wanted), flush=True)
            else:
                print(f"error: expected 'train N' or 'infer N', got '{line.strip()}'", flush=True)


def parse_arguments():
    parser = argparse.ArgumentParser(description="the network of a Darknet .cfg in PyTorch, timed on the CPU")
    parser.add_argument("cfg")
    parser.add_argument("-mode", choices=("train", "infer"), default="train")
    parser.add_argument("-serve", action="store_true", help="read 'train N' and 'infer N' from the standard input")
    parser.add_argument("-layout", choices=("contiguous", "channels_last"), default="contiguous")
    parser.add_argument("-engine", choices=("auto", *ENGINES, "compile"), default="auto",
                        help="inference as built, with batch norm fused, that in TorchScript; auto: the fastest")
    parser.add_argument("-precision", choices=("f32", "bf16"), default="f32", help="bf16: torch.autocast")
    parser.add_argument("-malloc", choices=("keep", "default"), default="keep", help="default: as libc does")
    parser.add_argument("-batch", type=int, default=0, help="images a step, in one part (default: as [net] says)")
    parser.add_argument("-size", type=int, default=0, help="height and width (default: as [net] says)")
    parser.add_argument("-threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("-seconds", type=float, default=10, help="least time to measure, and three steps")
    parser.add_argument("-weights", help="Darknet's .weights file")
    return parser.parse_args()


def main():
    args = parse_arguments()
    if args.malloc == "keep":
        keep_memory()
    try:
        peer = Peer(args)
    except OSError as error:
        sys.exit(f"error: {error}")
    if args.serve:
        peer.serve()
    else:
        print(peer.run(args.mode, lambda steps, seconds: steps >= 3 and seconds >= args.seconds), flush=True)


if __name__ == "__main__":
    main()
