"""Programs that take steps of a network when they are asked to, and the rounds in which they are asked in turn."""
import os
import re
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
PAIR = re.compile(r"(\w+)=(.*?)(?= \w+=|$)")
MOST_STEPS = 50
SLOW_MS = 3000
LAYOUTS = ("contiguous", "channels_last")


def note(text):
    print(text, file=sys.stderr, flush=True)


class Program:
    """One process: step, bound or torch_peer.py."""

    def __init__(self, name, command, environment):
        self.name, self.command = name, command
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        env={**os.environ, **environment})

    def ask(self, mode, steps):
        """What it says of `steps` steps, as a dictionary of texts; None: it has ended."""
        try:
            self.process.stdin.write(f"{mode} {steps}\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            return None
        line = self.process.stdout.readline().strip()
        if not line or line.startswith("error:"):
            note(f"error: {' '.join(self.command)} answers '{line}' to '{mode} {steps}'")
            return None
        return dict(PAIR.findall(line))

    def end(self):
        try:
            self.process.stdin.close()
        except BrokenPipeError:
            pass
        self.process.stdout.close()
        self.process.wait()


class Column:
    """The replies of one program, by round; None in the rounds that it sat out."""

    def __init__(self, replies):
        self.replies = replies

    def number(self, key):
        """Median over the rounds, or None."""
        values = [float(reply[key]) for reply in self.replies if reply and key in reply]
        return statistics.median(values) if values else None

    def text(self, key):
        return next((reply[key] for reply in self.replies if reply and key in reply), None)

    def largest(self, key):
        return max((float(reply[key]) for reply in self.replies if reply and key in reply), default=None)


def ratios(numerator, denominator):
    """Of the times of a step, round by round; empty where one of the two is missing."""
    if not numerator or not denominator:
        return []
    return [float(a["step_ms"]) / float(b["step_ms"])
            for a, b in zip(numerator.replies, denominator.replies) if a and b]


class Race:
    """Programs that compute the same steps. Open, run, close."""

    def __init__(self, mode, most_steps=MOST_STEPS):
        self.mode, self.most_steps, self.programs, self.first, self.rare = mode, most_steps, {}, {}, {}

    def enter(self, name, command, environment, rare=False):
        """Start and warm up; rare: takes one step in the first two rounds, a slow one in the first alone."""
        program = Program(name, command, environment)
        reply = program.ask(self.mode, 1)
        if not reply:
            program.end()
            return None
        self.programs[name], self.first[name] = program, reply
        if rare:
            self.rare[name] = 2 if float(reply["step_ms"]) < SLOW_MS else 1
        return reply

    def steps(self, name, turn):
        if name in self.rare:
            return 1
        return max(1, min(self.most_steps, round(1e3 * turn / float(self.first[name]["step_ms"]))))

    def run(self, rounds, turn, seconds):
        """Each program in turn for about `turn` seconds, `rounds` times, fewer (but two) where that would take more than
        `seconds`. Name -> Column."""
        replies = {name: [] for name in self.programs}
        start = time.monotonic()
        for k in range(rounds):
            if k >= 2 and (time.monotonic() - start) * (k + 1) / k > seconds:
                break
            for name, program in self.programs.items():
                asked = k < self.rare.get(name, rounds)
                replies[name].append(program.ask(self.mode, self.steps(name, turn)) if asked else None)
        return {name: Column(column) for name, column in replies.items()}

    def close(self):
        for program in self.programs.values():
            program.end()


def torch_version(python):
    """None: there is no PyTorch."""
    code = "import torch; print(torch.__version__)"
    try:
        run = subprocess.run([python, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    except OSError:
        return None
    return run.stdout.strip() or None


class Contest:
    """Everybody's steps of one network: who takes part, with which options."""

    def __init__(self, network, args, environment, bf16, engines):
        self.network, self.args, self.environment = network, args, environment
        self.engines = engines  # (cfg, layout) -> engine of inference, chosen once
        self.common = ["-batch", str(network.batch), "-threads", str(args.threads)]
        self.precision = ["-precision", "bf16" if bf16 else "f32"]
        if network.size:
            self.common += ["-size", str(network.size)]

    def ours(self, race, name, program, *flags, rare=False):
        command = [os.path.join(self.args.programs, program), self.network.cfg, *self.common, *self.precision, *flags]
        if os.path.exists(command[0]):
            race.enter(name, command, self.environment, rare)

    def torch(self, race, name, layout, malloc):
        key = (self.network.cfg, layout, *self.precision)
        engine = self.engines.get(key, "auto") if race.mode == "infer" else "eager"
        flags = ["-serve", "-layout", layout, "-malloc", malloc, "-engine", engine]
        script = os.path.join(HERE, "torch_peer.py")
        command = [self.args.python, script, self.network.cfg, *self.common, *self.precision, *flags]
        reply = race.enter(name, command, self.environment)
        if reply and race.mode == "infer":
            self.engines[key] = reply["engine"]
        return float(reply["step_ms"]) if reply else float("inf")

    def run(self, mode, rounds):
        """Name -> Column: onednn, host, contiguous, channels_last, keep, bound, those that are there."""
        args, race = self.args, Race(mode)
        try:
            self.ours(race, "onednn", "step", "-backend", "onednn")
            self.ours(race, "bound", "bound")
            if args.torch:
                times = {layout: self.torch(race, layout, layout, "default") for layout in LAYOUTS}
                self.torch(race, "keep", min(times, key=times.get), "keep")
            if args.host and "bf16" not in self.precision:
                self.ours(race, "host", "step", "-backend", "host", rare=True)
            return race.run(rounds, args.turn, args.seconds)
        finally:
            race.close()
