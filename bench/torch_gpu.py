#!/usr/bin/python3
"""The peer of the GPU's rows: the network of a Darknet .cfg in PyTorch on a GPU, channels last, its images there already.

    bench/torch_gpu.py cfg/cifar_small_sat.cfg -engine graph -precision bf16 -batch 128

For each line "train N" or "infer N" of the standard input it takes N steps (before the first of a kind some that are not timed) and
prints one line of name=value pairs. Engines: eager; graph, the step as a CUDA graph; convolutions, those of a step alone, which are
cuDNN's, as a graph. Times are the mean of the steps, as the card is waited for at their end alone.
"""
import argparse
import contextlib
import sys
import time

import torch

sys.dont_write_bytecode = True
from torch_net import Network, read_cfg  # noqa: E402, after the line that it needs

WARM_UP = 5
TYPES = {"bf16": torch.bfloat16}


class Peer:
    def __init__(self, args):
        torch.manual_seed(1)
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = args.precision == "tf32"
        torch.backends.cudnn.benchmark = True
        sections = read_cfg(args.cfg)
        net = sections[0]
        self.args, self.on_card, self.steps = args, args.device != "cpu", {}
        size = args.size or net.number("height", 0), args.size or net.number("width", 0)
        self.network = Network(sections, *size).to(args.device, memory_format=torch.channels_last)
        images = torch.rand(args.batch, net.number("channels", 0), *size, device=args.device)
        self.images = images.to(memory_format=torch.channels_last)
        self.labels = torch.randint(self.network.classes, (args.batch,), device=args.device)

    def numbers(self):
        if self.args.precision != "bf16":
            return contextlib.nullcontext()
        return torch.autocast(self.args.device.split(":")[0], dtype=torch.bfloat16, cache_enabled=False)

    def trainer(self):
        optimizer = torch.optim.SGD(self.network.parameters(), lr=1e-5, momentum=0.9, weight_decay=1e-4, foreach=True)
        self.network.train()

        def step():
            optimizer.zero_grad(set_to_none=True)
            with self.numbers():
                loss = torch.nn.functional.cross_entropy(self.network(self.images), self.labels)
            loss.backward()
            optimizer.step()

        return step

    def predictor(self):
        self.network.eval()
        for layer in self.network.weighted():
            layer.fuse()

        def step():
            with torch.inference_mode(), self.numbers():
                return self.network(self.images).softmax(1)

        return step

    def convolutions(self, train):
        """Each with random numbers of its shapes; the first one's input gets no gradient."""
        shapes, calls = [], []
        modules = [m for m in self.network.modules() if isinstance(m, torch.nn.Conv2d)]
        hooks = [m.register_forward_hook(lambda m, x, y: shapes.append((m, x[0].shape, y.shape))) for m in modules]
        with torch.no_grad():
            self.network(self.images)
        for hook in hooks:
            hook.remove()
        kind = {"device": self.args.device, "dtype": TYPES.get(self.args.precision, torch.float32)}
        for i, (m, of_x, of_y) in enumerate(shapes):
            x, y = (torch.rand(shape, **kind).to(memory_format=torch.channels_last) for shape in (of_x, of_y))
            w = torch.rand(m.weight.shape, **kind).to(memory_format=torch.channels_last)
            calls.append((x, y, w, (m.stride, m.padding, m.dilation, m.groups), i > 0))

        def step():
            for x, y, w, (stride, padding, dilation, groups), wants_dx in calls:
                torch.conv2d(x, w, None, stride, padding, dilation, groups)
                if train:
                    torch.ops.aten.convolution_backward(y, x, w, None, stride, padding, dilation, False, [0, 0], groups,
                                                        [wants_dx, True, False])

        return step

    def wait(self):
        if self.on_card:
            torch.cuda.synchronize()

    def prepare(self, mode):
        engine, train = self.args.engine, mode == "train"
        step = self.convolutions(train) if engine == "convolutions" else self.trainer() if train else self.predictor()
        if engine == "eager" or not self.on_card:
            for _ in range(WARM_UP):
                step()
            return step
        beside = torch.cuda.Stream()
        beside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(beside):
            for _ in range(WARM_UP):
                step()
        torch.cuda.current_stream().wait_stream(beside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            step()
        return graph.replay

    def run(self, mode, count):
        if mode not in self.steps:
            self.steps = {mode: self.prepare(mode)}  # fused layers cannot be trained
        self.wait()
        start = time.perf_counter()
        for _ in range(count):
            self.steps[mode]()
        self.wait()
        seconds, args = (time.perf_counter() - start) / count, self.args
        return (f"torch mode={mode} engine={args.engine} precision={args.precision} batch={args.batch} "
                f"images_per_second={args.batch / seconds:.1f} step_ms={1e3 * seconds:.4f} steps={count} version={torch.__version__}")


def main():
    parser = argparse.ArgumentParser(description="the network of a Darknet .cfg in PyTorch, timed on a GPU")
    parser.add_argument("cfg")
    parser.add_argument("-engine", choices=("eager", "graph", "convolutions"), default="graph")
    parser.add_argument("-precision", choices=("f32", "tf32", "bf16"), default="bf16")
    parser.add_argument("-batch", type=int, default=128)
    parser.add_argument("-size", type=int, default=0, help="height and width (default: as [net] says)")
    parser.add_argument("-device", default="cuda", help="cpu: to rehearse; no graph then")
    peer = Peer(parser.parse_args())
    for line in sys.stdin:
        mode, _, count = line.strip().partition(" ")
        if mode in ("train", "infer") and count.isdecimal() and int(count) > 0:
            print(peer.run(mode, int(count)), flush=True)
        else:
            print(f"error: expected 'train N' or 'infer N', got '{line.strip()}'", flush=True)


if __name__ == "__main__":
    main()
