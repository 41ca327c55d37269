"""A headless Chromium driven over WebDriver with the standard library alone."""
import base64
import http.client
import json
import re
import subprocess


class Browser:
    """with Browser() as b: b.open(url); b.script("return document.title")"""


    def __enter__(self):
        self.driver = subprocess.Popen(["chromedriver", "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                       text=True)
        try:
            for line in self.driver.stdout:
                found = re.search(r"started successfully on port (\d+)", line)
                if found:
                    break
            self.connection = http.client.HTTPConnection("127.0.0.1", int(found.group(1)), timeout=120)
            self.begin_session()
        except BaseException:
            self.driver.kill()
            raise
        return self

    def begin_session(self):
        options = {"args": ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                            "--force-prefers-reduced-motion"]}
        wanted = {"browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        self.session = "/session"
        self.session += "/" + self.ask("POST", "", {"capabilities": {"alwaysMatch": wanted}})["sessionId"]

    def __exit__(self, *_):
        try:
            self.ask("DELETE", "")
        finally:
            self.driver.terminate()
            self.driver.wait(20)

    def ask(self, method, path, body=None):
        data = json.dumps(body if body is not None else {}) if method == "POST" else None
        self.connection.request(method, self.session + path, data, {"Content-Type": "application/json"})
        answer = json.loads(self.connection.getresponse().read())["value"]
        if isinstance(answer, dict) and "error" in answer:
            raise RuntimeError(answer["error"] + ": " + answer["message"].splitlines()[0])
        return answer

    def open(self, url):
        self.ask("POST", "/url", {"url": url})

    def script(self, text, *arguments):
        """What the body of a function returns."""
        return self.ask("POST", "/execute/sync", {"script": text, "args": list(arguments)})

    def settle(self):
        """Wait for two frames: what the page draws later is drawn."""
        self.ask("POST", "/execute/async",
                 {"script": "const f = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(() => f(0)))",
                  "args": []})

    def keys(self, element_id, text):
        """Type into an element; special keys are those of WebDriver ("\\ue012" is the left arrow)."""
        found = self.ask("POST", "/element", {"using": "css selector", "value": "#" + element_id})
        self.ask("POST", "/element/" + next(iter(found.values())) + "/value", {"text": text})

    def complaints(self, *levels):
        """What the console got of these levels since the last call."""
        log = self.ask("POST", "/se/log", {"type": "browser"})
        return [entry["message"] for entry in log if entry["level"] in levels]

    def devtools(self, command, **parameters):
        return self.ask("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def size(self, width, height, phone=False, dark=False):
        self.devtools("Emulation.setDeviceMetricsOverride", width=width, height=height,
                      deviceScaleFactor=2 if phone else 1, mobile=phone)
        self.devtools("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme",
                                                               "value": "dark" if dark else "light"}])
        self.settle()

    def screenshot(self, path, whole=True):
        """PNG of the page, beyond the window too."""
        shot = self.devtools("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        with open(path, "wb") as f:
            f.write(base64.b64decode(shot["data"]))
