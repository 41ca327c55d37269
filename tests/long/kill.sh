#!/bin/sh
# tests/long/kill.sh [KILLS]: SIGKILL at random moments of a run, -resume after each, until KILLS are done (100). Every run that ends must have the bits of
# one that was never stopped.
kills=${1:-100}
. tests/cli/lib.sh

short_runs
tiny_idx "$T/idx"
tiny_cfg "$T/net.cfg" 1 3 '[sat]\ntarget=ema\nwarmup_epochs=1\n'

cat >"$T/kill.py" <<'END'
import os, random, shutil, subprocess, sys, time

program, data, folder, kills = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
rng = random.Random(11)


def command(name, *more):
    copy = os.path.join(os.path.dirname(data), name + ".data")
    with open(data) as old, open(copy, "w") as new:
        new.writelines(line for line in old if not line.startswith("backup"))
        new.write("backup=%s/%s\n" % (folder, name))
    return [program, "classifier", "train", copy, folder + "/net.cfg", "-epochs", "8"] + list(more)


def read(name, file):
    with open("%s/%s/%s" % (folder, name, file), "rb") as f:
        return f.read()


def results(name):
    return [line.split(b",")[:10] for line in read(name, "net_results.csv").splitlines()]


quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
start = time.monotonic()
subprocess.run(command("whole", "-save-every", "0"), check=True, **quiet)
whole = time.monotonic() - start
done = ended = 0
while done < kills or not ended:
    every = rng.choice(["0", "0.00001", "0.0005"])
    p = subprocess.Popen(command("killed", "-resume", "-save-every", every), **quiet)
    try:
        status = p.wait(timeout=rng.uniform(0, whole * (1.5 if done >= kills else 1.1)))
    except subprocess.TimeoutExpired:
        p.kill()
        p.wait()
        done += 1
        continue
    assert status == 0, "status %d after %d kills" % (status, done)
    for file in ("net.weights", "net_best.weights", "net.backup"):
        assert read("whole", file) == read("killed", file), "%s differs after %d kills" % (file, done)
    assert results("whole") == results("killed"), "results differ after %d kills" % done
    shutil.rmtree(folder + "/killed")
    ended += 1
print("%d kills, %d runs came to their end" % (done, ended))
END
begin "$kills kills at random moments, every run ends with the same bits"
run python3 "$T/kill.py" "$D" "$tiny_data" "$T" "$kills"
expect_status 0
[ -z "$wrong" ] || show err
expect_out '^[0-9]+ kills, [1-9][0-9]* runs came to their end$'
sed 's/^/# /' "$T/out"
end
finish
