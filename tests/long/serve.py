"""serve.py REQUESTS FOLDER COMMAND…: asks a server of a folder's images and of tensors, bad ones among them, on some connections, which
it leaves now and then. Resident memory and descriptors must not grow."""
import http.client
import json
import os
import pathlib
import subprocess
import sys
import threading

CONNECTIONS = 16


def resident(pids):
    """KiB, of all; and open descriptors."""
    lines = [line for p in pids for line in open("/proc/%d/status" % p) if line.startswith("VmRSS:")]
    return sum(int(line.split()[1]) for line in lines), len(os.listdir("/proc/%d/fd" % pids[0]))


def family(pid):
    """The process and those that decode for it."""
    all_of = {int(p.name): int((p / "stat").read_text().rsplit(")", 1)[1].split()[1]) for p in pathlib.Path("/proc").glob("[0-9]*")}
    found = [pid]
    for p in found:
        found += [child for child, parent in all_of.items() if parent == p]
    return found


def ask(port, shape, files, n):
    tensor = json.dumps({"inputs": [{"name": "images", "datatype": "FP32", "shape": [2] + shape[1:],
                                     "data": [.5] * (2 * shape[1] * shape[2] * shape[3])}]})
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    for i in range(n):
        if i % 500 == 499:
            connection.close()
        kind = i % 50
        if kind == 7:
            connection.request("POST", "/v2/models/net/infer", tensor)
        else:
            connection.request("POST", "/classify", files[i % len(files)] if kind else b"no image")
        reply = connection.getresponse()
        reply.read()
        assert reply.status == (200 if kind else 400), reply.status


def main():
    requests, folder = int(sys.argv[1]), pathlib.Path(sys.argv[2])
    files = [f.read_bytes() for f in sorted(folder.rglob("*.png"))]
    with subprocess.Popen(sys.argv[3:], stdout=subprocess.PIPE, text=True) as server:
        port = int(server.stdout.readline().rstrip("/\n").rsplit(":", 1)[1])
        about = http.client.HTTPConnection("127.0.0.1", port)
        about.request("GET", "/v2/models/net")
        shape = json.load(about.getresponse())["inputs"][0]["shape"]
        about.close()
        samples = []
        for _ in range(10):
            threads = [threading.Thread(target=ask, args=(port, shape, files, requests // 10 // CONNECTIONS)) for _ in range(CONNECTIONS)]
            for t in threads:
                t.start()
            for t in threads:
                t.join()
            samples.append(resident(family(server.pid)))
            print("%d KiB, %d descriptors" % samples[-1], flush=True)
        server.terminate()
        assert server.wait() == 0
    assert samples[-1][0] < samples[2][0] + 2048 and samples[-1][1] <= samples[2][1], samples


main()
