"""serve.py NAME URL …: what tests/cli/serve.sh asks of a server; prints what is wrong."""
import concurrent.futures
import http.client
import json
import pathlib
import re
import signal
import socket
import sys
import time
import urllib.parse


def ask(url, method, path, body=None, headers={}):
    at = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(at.hostname, at.port, timeout=30)
    try:
        connection.request(method, path, body, headers)
        reply = connection.getresponse()
        text = reply.read().decode()
        return reply.status, json.loads(text) if reply.getheader("Content-Type") == "application/json" else text, reply
    finally:
        connection.close()


def expect(is_right, *what):
    if not is_right:
        print(*what)


def read(path):
    with open(path, "rb") as file:
        return file.read()


def differences(said, answer):
    """Between a line of `predict -format jsonl -top 3` and an answer."""
    by_class = dict(zip(sorted(t["class"] for t in said["top"]), answer["probabilities"]))
    pairs = [(said[k], answer[k]) for k in ("accepted", "verdict", "confidence", "score", "threshold", "novelty")]
    pairs += [(said["top"][0]["class"], answer["class"])] + [(t["probability"], by_class[t["class"]]) for t in said["top"]]
    # batches of other sizes are computed by other algorithms
    return [p for p in pairs if p[0] != p[1] and not (isinstance(p[0], float) and abs(p[0] - p[1]) <= 1e-5)]


def as_form(bytes_of_file):
    form = b'--cut\r\nContent-Disposition: form-data; name="note"\r\n\r\nx\r\n'
    form += b'--cut\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\nContent-Type: image/png\r\n\r\n'
    return form + bytes_of_file + b"\r\n--cut--\r\n", {"Content-Type": "multipart/form-data; boundary=cut"}


def one_by_one(url, lines):
    """The answers of `predict`, as bodies and as forms."""
    said = [json.loads(line) for line in open(lines)]
    for line in said[:10]:
        for body in ((read(line["path"]), {}), as_form(read(line["path"]))):
            status, answer, _ = ask(url, "POST", "/classify", *body)
            expect(status == 200 and not differences(line, answer), line["path"], status, answer)
    return said


def answers(url, lines):
    """The same, and many at once."""
    said = one_by_one(url, lines)
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        replies = list(pool.map(lambda line: ask(url, "POST", "/classify", read(line["path"])), said * 4))
    for line, (status, answer, _) in zip(said * 4, replies):
        expect(status == 200 and not differences(line, answer), "at once:", line["path"], status, answer)
    metrics = ask(url, "GET", "/metrics")[1]
    counted = sum(float(n) for n in re.findall(r'^darknet_sat_images_total\{.*\} (\d+)$', metrics, re.M))
    expect(counted == len(said) * 4 + 20, "images counted:", counted)
    expect('request_seconds_count %d\n' % counted in metrics, metrics)
    batches = float(re.search(r"batch_images_count (\d+)", metrics).group(1))
    expect(batches < counted - 20, "no image was answered together with another:", batches, "batches")


def tensors(url, model):
    status, about, _ = ask(url, "GET", "/v2/models/" + model)
    _, c, h, w = about["inputs"][0]["shape"]
    expect(status == 200 and about["parameters"]["classes"], about)
    grey, plane = [.5] * (c * h * w), [[[.25] * w] * h] * c
    path = "/v2/models/%s/infer" % model
    for shape, data in (([2, c, h, w], grey * 2), ([1, c, h, w], [plane]), ([40, c, h, w], grey * 40)):
        asked = {"id": "x/7", "inputs": [{"name": "images", "datatype": "FP32", "shape": shape, "data": data}]}
        status, reply, _ = ask(url, "POST", path, json.dumps(asked))
        outputs = {o["name"]: o for o in reply.get("outputs", [])}
        expect(status == 200 and reply["id"] == "x/7" and reply["model_name"] == model, status, reply)
        for output in about["outputs"]:
            got, n = outputs[output["name"]], shape[0]
            expect(got["datatype"] == output["datatype"] and got["shape"] == [n] + output["shape"][1:], got)
            expect(len(got["data"]) == n * (got["shape"][1] if len(got["shape"]) > 1 else 1), got)
        expect(abs(sum(outputs["probabilities"]["data"][:outputs["probabilities"]["shape"][1]]) - 1) < 1e-6, reply)
    for some in (["confidence"], ["verdict", "class"]):
        asked["outputs"] = [{"name": s} for s in some]
        status, reply, _ = ask(url, "POST", path, json.dumps(asked))
        expect(status == 200 and sorted(o["name"] for o in reply["outputs"]) == sorted(some), status, reply)
    first = {"name": "images", "datatype": "FP32", "shape": [1, c, h, w], "data": grey}
    wrong = (b"{", b"[]", b"\xff", b'{"inputs": 1}', {"inputs": []}, {"inputs": [first, first]}, {"inputs": [{**first, "datatype": "INT8"}]},
             {"inputs": [{**first, "shape": [1, c, h]}]}, {"inputs": [{**first, "shape": [10 ** 12, c, h, w]}]},
             {"inputs": [{**first, "shape": [0, c, h, w]}]}, {"inputs": [{**first, "data": grey[1:]}]}, {"inputs": [{**first, "data": grey * 2}]},
             {"inputs": [{**first, "data": grey[1:] + ["1"]}]}, {"inputs": [{**first, "data": grey[1:] + [1.001]}]},
             {"inputs": [{**first, "data": grey[1:] + [-.001]}]}, {"inputs": [{**first, "name": "input"}]},
             {"inputs": [first], "outputs": [{"name": "logits"}]}, {"inputs": [first], "outputs": [1]}, b"[" * 100000, b"{" * 2000, b"[" + b"[]," * 3000 + b"[]]", b"",
             {"inputs": [{**first, "shape": [4096, c, h, w], "data": []}]})
    for body in wrong:
        status, reply, _ = ask(url, "POST", path, body if isinstance(body, bytes) else json.dumps(body))
        expect(status == 400 and reply["error"], status, reply, "of", str(body)[:80])


def errors(url, model, large):
    """large: bytes that are too many."""
    many = b"\0" * int(large)
    for status, method, path, body, headers in (
            (200, "GET", "/", None, {}), (200, "GET", "/v2", None, {}), (200, "GET", "/v2/health/live", None, {}),
            (200, "GET", "/v2/health/ready", None, {}), (200, "GET", "/v2/models/%s/ready" % model, None, {}),
            (404, "GET", "/v2/models/other", None, {}), (404, "GET", "/v2/models/%sx" % model, None, {}), (404, "GET", "/../etc/passwd", None, {}),
            (404, "GET", "/v2/models/%s%%00/ready" % model, None, {}), (404, "POST", "/classify%00/", b"x", {}),
            (405, "GET", "/classify", None, {}), (405, "POST", "/", b"x", {}), (400, "POST", "/classify", None, {}),
            (400, "POST", "/classify", b"no image", {}), (400, "POST", "/classify", as_form(b"no image")[0], as_form(b"")[1]),
            (400, "POST", "/classify", b"--cut", as_form(b"")[1]), (413, "POST", "/classify", many, {}),
            (413, "POST", "/classify", iter([many[:1000]] * (len(many) // 1000 + 1)), {}), (404, "POST", "/nothing", b"x" * 1000, {})):
        try:
            found, reply, answer = ask(url, method, path, body, headers)
            expect(found != 405 or answer.getheader("Allow") in ("GET, HEAD", "POST"), method, path, "allows", answer.getheader("Allow"))
        except ConnectionError: # it was too large to be heard to its end
            found, reply = 413, {"error": "?"}
        expect(found == status and (status == 200 or reply["error"]), method, path, str(body)[:40], "gave", found, reply)


def smuggled(url):
    """Two lengths, a length and chunks, an unknown coding: what follows must not be taken for a request of its own."""
    at = urllib.parse.urlsplit(url)
    inner = b"GET /v2/health/live HTTP/1.1\r\nHost: a\r\n\r\n"
    for lengths in (b"Content-Length: 0\r\nContent-Length: %d\r\n" % len(inner),
                    b"Content-Length: %d\r\nTransfer-Encoding: chunked\r\n" % len(inner), b"Transfer-Encoding: gzip\r\n"):
        with socket.create_connection((at.hostname, at.port), timeout=5) as s:
            s.sendall(b"POST /classify HTTP/1.1\r\nHost: a\r\n" + lengths + b"\r\n" + inner)
            said = b""
            while part := s.recv(10000):
                said += part
        # newer versions of libmicrohttpd refuse a coding themselves, with 400
        expect(said.count(b"HTTP/1.1 ") == 1 and (b"HTTP/1.1 400 " in said or (b"gzip" in lengths and b"HTTP/1.1 501 " in said)), lengths, said)


def crowd(url, most):
    """More connections than may be open, then none of them: the next is answered at once."""
    at = urllib.parse.urlsplit(url)
    for _ in range(8):
        guests = [socket.create_connection((at.hostname, at.port)) for _ in range(int(most) + 40)]
        time.sleep(.1)
        for s in guests:
            s.close()
        begin = time.monotonic()
        for _ in range(20): # the first may come before those are gone
            try:
                if ask(url, "GET", "/v2")[0] == 200:
                    break
            except OSError:
                time.sleep(.05)
        else:
            print("no answer after the crowd")
        expect(time.monotonic() < begin + 3, "an answer after", time.monotonic() - begin, "s")


def corpus(url, folder):
    """Files that were made to break decoders: each has an answer or is refused, and the server lives."""
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda p: ask(url, "POST", "/classify", read(p))[0], sorted(pathlib.Path(folder).iterdir())))
    expect(set(found) == {200, 400}, "statuses:", sorted(set(found)))
    expect(ask(url, "GET", "/v2/health/ready")[0] == 200, "not ready afterwards")


def no_decoder(url, image, server):
    """Without the process that starts decoders the server is at fault, and not ready."""
    import os
    for of_thread in pathlib.Path("/proc", server, "task").glob("*/children"):
        for child in of_thread.read_text().split():
            os.kill(int(child), signal.SIGKILL)
    time.sleep(.3)
    found = [ask(url, "POST", "/classify", read(image))[0] for _ in range(3)]
    expect(set(found) == {500}, "statuses:", found)
    expect(ask(url, "GET", "/v2/health/ready")[0] == 503, "it says that it is ready")


def slow(url, image):
    """Connections that say nothing, half a request, or half a body, beside a patient one."""
    at = urllib.parse.urlsplit(url)
    halves = [socket.create_connection((at.hostname, at.port)) for _ in range(12)]
    for i, s in enumerate(halves):
        s.sendall((b"", b"POST /classify HTTP/1.1\r\nHost: a\r\nX: ", b"POST /classify HTTP/1.1\r\nHost: a\r\nContent-Length: 99\r\n\r\nhalf")[i % 3])
    status, answer, _ = ask(url, "POST", "/classify", read(image))
    expect(status == 200, "beside them:", status, answer)
    begin = time.monotonic()
    for i, s in enumerate(halves):
        s.settimeout(10)
        try:
            while time.monotonic() < begin + 10:
                if i % 3:
                    s.sendall(b"y") # a byte now and then
                s.settimeout(.2)
                try:
                    if not s.recv(1000):
                        break
                except socket.timeout:
                    pass
        except OSError:
            pass
        expect(time.monotonic() < begin + 9, "connection", i, "is open after", time.monotonic() - begin, "s")
        s.close()
    expect(ask(url, "POST", "/classify", read(image))[0] == 200, "no answer afterwards")


def overload(url, image):
    """More at once than may wait: some are told to come later, the others are answered."""
    with concurrent.futures.ThreadPoolExecutor(64) as pool:
        replies = list(pool.map(lambda _: ask(url, "POST", "/classify", read(image)), range(400)))
    found = [status for status, _, _ in replies]
    expect(set(found) == {200, 503}, "statuses:", sorted(set(found)))
    expect(all(r.getheader("Retry-After") == "1" for s, _, r in replies if s == 503), "503 without Retry-After")


def drain(url, image, server):
    """A server that is told to end answers what it was asked."""
    import os
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(ask, url, "POST", "/classify", read(image)) for _ in range(8)]
        time.sleep(.1) # they wait for others to come
        os.kill(int(server), signal.SIGTERM)
        found = [a.result()[0] for a in asked]
    expect(found == [200] * 8, "statuses:", found)


def alarm(url, image):
    """One and the same image again and again is no draw of the calibration images."""
    for _ in range(300):
        ask(url, "POST", "/classify", read(image))
    metrics = ask(url, "GET", "/metrics")[1]
    expect("darknet_sat_alarm 1\n" in metrics, metrics)


def page(url, image, other):
    import base64
    from browser import Browser
    with Browser() as b:
        b.open(url)
        for path in (image, other):
            b.script("classify(new File([Uint8Array.from(atob(arguments[0]), c => c.charCodeAt(0))], 'a.png'))",
                     base64.b64encode(read(path)).decode())
        for _ in range(100):
            texts = b.script("return [...document.querySelectorAll('article')].map(a => a.className + ': ' + a.innerText)")
            if len(texts) == 2 and all(t.startswith(("acc", "uns", "unk")) for t in texts):
                break
            time.sleep(.1)
        b.script("classify(new File(['no image'], 'b.png'))")
        time.sleep(.5)
        texts = b.script("return [...document.querySelectorAll('article')].map(a => a.className + ': ' + a.innerText)")
        expect(len(texts) == 3 and any(t.startswith("accepted: ") for t in texts) and any("REJECTED" in t for t in texts)
               and any("No answer" in t for t in texts), texts)


{f.__name__: f for f in (answers, one_by_one, tensors, errors, corpus, smuggled, crowd, no_decoder, slow, overload, drain, alarm, page)}[sys.argv[1]](*sys.argv[2:])
