#!/usr/bin/python3
"""Speed and memory against PyTorch, Darknet's own code and the convolutions alone, as Markdown tables (see README.md).

    make bench                                     every network, with each instruction set
    make bench BENCH="-quick"                      one network, two rounds
    make bench BENCH="cfg/my.cfg -batch 64 -no-host"
"""
import argparse
import os
import sys
from dataclasses import dataclass

sys.dont_write_bytecode = True
import gpu  # noqa: E402, after the line that it needs
from peers import Contest, note, torch_version  # noqa: E402, after the line that it needs
from tables import everything  # noqa: E402
from waiting import waiting  # noqa: E402

STOCK = "/usr/share/darknet/cfg"
SMALL = "cfg/cifar_small_sat.cfg"


@dataclass
class Network:
    cfg: str
    batch: int = 128
    size: int = 0  # 0: as the cfg says

    def __str__(self):
        size = f", {self.size} x {self.size}" if self.size else ""
        return f"{os.path.basename(self.cfg)}{size}, batch {self.batch}"


NETWORKS = (Network(SMALL), Network("cfg/vgg16bn_cifar_sat.cfg"), Network("cfg/resnet18_cifar_sat.cfg", 32, 64),
            Network(f"{STOCK}/cifar.cfg", 64), Network(f"{STOCK}/darknet19.cfg", 32, 128))
ISAS = {"native": {}, "bf16": {}, "avx2": {"ONEDNN_MAX_CPU_ISA": "AVX2", "DNNL_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}}

ROUNDS = {"native": 5, "bf16": 5, "avx2": 3}


def cpu_line(key):
    """The first value of /proc/cpuinfo's `key`."""
    with open("/proc/cpuinfo") as lines:
        return next((line.split(":", 1)[1].strip() for line in lines if line.startswith(key)), "")


def parse_arguments():
    parser = argparse.ArgumentParser(description="speed and memory against PyTorch and Darknet, as Markdown tables")
    parser.add_argument("cfgs", nargs="*", metavar="CFG", help="networks (default: those of README.md)")
    parser.add_argument("-batch", type=int, help="images a step")
    parser.add_argument("-size", type=int, default=0, help="height and width of the networks that are named")
    parser.add_argument("-rounds", type=int, help="how often each is asked (default 5, for AVX2 3, -quick 2)")
    parser.add_argument("-turn", type=float, default=0.7, help="seconds of one program in a round")
    parser.add_argument("-seconds", type=float, default=12, help="start no further round after this time, but two")
    parser.add_argument("-threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("-isa", choices=("native", "bf16", "avx2", "all"), default="all",
                        help="all: bfloat16 too where the machine has AMX, AVX2 too where it has AVX-512")
    parser.add_argument("-gpu", choices=("auto", "no", "only"), default="auto",
                        help="the tables of a GPU; auto: where nvidia-smi finds one")
    parser.add_argument("-device", default="cuda", help="PyTorch's name of it")
    parser.add_argument("-quick", action="store_true", help="one network, two rounds, not AVX2 besides")
    parser.add_argument("-python", default="/usr/bin/python3", help="whose PyTorch is the peer (default: Debian's)")
    parser.add_argument("-no-torch", dest="torch", action="store_false", help="without PyTorch")
    parser.add_argument("-no-host", dest="host", action="store_false", help="without Darknet's own code")
    parser.add_argument("-no-waiting", dest="waiting", action="store_false", help="without reading files")
    parser.add_argument("-programs", default="build/bench", help="folder of step and bound")
    parser.add_argument("-darknet", default="./darknet")
    return parser.parse_args()


def networks_of(args):
    if args.cfgs:
        return [Network(cfg, args.batch or 128, args.size) for cfg in args.cfgs]
    chosen = NETWORKS[:1] if args.quick else NETWORKS
    return [Network(n.cfg, args.batch or n.batch, n.size) for n in chosen]


def isas_of(args):
    if args.isa != "all":
        return [args.isa]
    flags = cpu_line("flags").split()
    return [isa for isa, needed in (("native", None), ("bf16", "amx_bf16"), ("avx2", "avx512bw"))
            if not needed or (needed in flags and not (args.quick and isa == "avx2"))]


def measure(args, isa, engines):
    """List of (network, mode, columns)."""
    results, rounds = [], args.rounds or (2 if args.quick else ROUNDS[isa])
    for network in networks_of(args):
        contest = Contest(network, args, ISAS[isa], isa == "bf16", engines)
        for mode in ("train", "infer"):
            note(f"{isa}: {network}, {mode}")
            results.append((network, mode, contest.run(mode, rounds)))
    return results


def title_of(isa, results):
    engine = next((columns["onednn"].text("engine") for _, _, columns in results if "onednn" in columns), "host")
    kept = {"native": "as the machine is, float", "bf16": "bfloat16", "avx2": "kept to AVX2, float"}
    return f"{engine}, {kept[isa]}"


def main():
    args = parse_arguments()
    version = torch_version(args.python) if args.torch else None
    args.torch = version is not None
    load = os.getloadavg()[0]
    print(f"{cpu_line('model name')}, {args.threads} threads, PyTorch {version or '-'}, load before: {load:.2f}\n",
          flush=True)
    engines, complete = {}, True
    for isa in [] if args.gpu == "only" else isas_of(args):
        results = measure(args, isa, engines)
        complete &= all("onednn" in columns or "host" in columns for _, _, columns in results)
        print("\n".join(everything(title_of(isa, results), results)), flush=True)
    if args.gpu == "only" or (args.gpu == "auto" and gpu.present()):
        complete &= gpu.show(networks_of(args), args)
    if args.gpu != "only" and args.waiting and not args.cfgs:
        print(waiting(args.darknet, SMALL, 2 if args.quick else 4))
    sys.exit(0 if complete else 1)


if __name__ == "__main__":
    main()
