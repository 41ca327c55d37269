"""steady.py STEPS COMMAND…: samples a training run as it goes. Descriptors and memory must not grow, the CPU time of a step (of all
threads) at the end must be within 5 % of that after a quarter of the run."""
import os
import subprocess
import sys

TICK = os.sysconf("SC_CLK_TCK")


def sample(pid):
    """Open descriptors, resident KiB, seconds of CPU time."""
    with open("/proc/%d/status" % pid) as f:
        resident = next(int(line.split()[1]) for line in f if line.startswith("VmRSS:"))
    with open("/proc/%d/stat" % pid) as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return len(os.listdir("/proc/%d/fd" % pid)), resident, (int(fields[11]) + int(fields[12])) / TICK


def main():
    steps, samples = int(sys.argv[1]), []
    p = subprocess.Popen(sys.argv[2:], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    for line in p.stdout:
        step = int(line.split(",")[0])
        if step % (steps // 20) == 0 and step < steps:
            samples.append((step, *sample(p.pid)))
    assert p.wait() == 0 and step == steps, (p.returncode, step)
    for s, descriptors, resident, seconds in samples:
        print("step %6d: %3d descriptors, %7d KiB, %8.2f s" % (s, descriptors, resident, seconds))
    quarter, last = samples[4], samples[-1]
    open_then, open_now = (min(s[1] for s in part) for part in (samples[4:9], samples[-5:]))  # a file at hand is one more
    assert open_now == open_then, "descriptors: %d, then %d" % (open_then, open_now)
    assert last[2] < quarter[2] + 1024, "KiB: %d, then %d" % (quarter[2], last[2])
    early, late = (samples[i + 5][3] - samples[i][3] for i in (4, -6))
    print("ok %d steps: %.3f ms of CPU time a step early, %.3f late" % (steps, 4e3 * early / steps, 4e3 * late / steps))
    assert late < 1.05 * early, "slower by more than 5 %"


main()
