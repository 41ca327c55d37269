"""report_page.py DARKNET DIR CSV SHOTS [PAGE…]: open DIR/report.html in a headless Chromium and hold its numbers against
those of `classifier reject -from CSV -threshold`; PAGEs must load without an error, and their confusion matrices be readable.
report_page.py own DIR: the same against DIR/report.json, for a network with thresholds of each class that knows strangers.
Prints a line for what is wrong, nothing when all is right."""
import json
import os
import subprocess
import sys

from browser import Browser

LEFT, RIGHT = "\ue012", "\ue014"
HOSTILE = '</script><img src=x onerror="window.hacked=1">'


def expect(what, found, expected):
    if found != expected:
        print(f"{what}: {found!r}, expected {expected!r}")


def percent(v):
    return "undefined" if v is None else f"{100 * v:.2f}\u00a0%"


def reject(darknet, csv, threshold):
    out = subprocess.run([darknet, "classifier", "reject", "-from", csv, "-json", "-", "-threshold", threshold],
                         check=True, capture_output=True, text=True).stdout
    return json.loads(out)


SHOWN = """
const text = id => document.getElementById(id).textContent;
return {threshold: document.getElementById("exact").value, coverage: text("coverage"), reject: text("reject-rate"),
        risk: text("risk"), accuracy: text("accuracy"), accepted: +document.getElementById("tiles").dataset.accepted,
        errors: +document.getElementById("tiles").dataset.errors, tiles: text("tiles"),
        matrix: Array.from(document.querySelectorAll("#matrix tbody tr"),
                           row => Array.from(row.querySelectorAll("td"), cell => +cell.textContent))};
"""
SET = """
const input = document.getElementById(arguments[0]);
input.value = arguments[1];
input.dispatchEvent(new Event(arguments[2], {bubbles: true}));
"""


def compare(page, darknet, csv, place, threshold=None):
    page.settle()
    shown = page.script(SHOWN)
    told = reject(darknet, csv, threshold or shown["threshold"])
    for key, name in (("coverage", "coverage"), ("reject", "reject_rate"), ("risk", "risk"), ("accuracy", "accuracy")):
        expect(f"{place}: {name}", shown[key], percent(told[name]))
    expect(f"{place}: accepted", shown["accepted"], round(told["coverage"] * told["n"]))
    expect(f"{place}: confusion matrix", shown["matrix"], told["confusion"])
    for name in ("reject_rate", "risk"):
        bounds = told["intervals"][name]
        if bounds:
            text = f"{percent(bounds[0])} to {percent(bounds[1])}"
            expect(f"{place}: interval of {name} in the page", text in shown["tiles"], True)
    return shown


def check_threshold(page, darknet, csv):
    shown = compare(page, darknet, csv, "as reported")
    expect("reported threshold", shown["threshold"], "0.6")
    steps = int(page.script("return document.getElementById('slider').max"))
    seen = set()
    for step in {0, 1, steps // 3, steps // 2, steps - 1}:
        page.script(SET, "slider", step, "input")
        seen.add(compare(page, darknet, csv, f"slider at {step}")["accepted"])
    expect("the slider moves", len(seen) >= 4, True)
    page.script(SET, "slider", steps, "input")
    compare(page, darknet, csv, "slider at its end", "2")
    page.keys("slider", LEFT)
    before = compare(page, darknet, csv, "left arrow")
    page.keys("slider", LEFT)
    after = compare(page, darknet, csv, "left arrow again")
    expect("an arrow key accepts more", after["accepted"] > before["accepted"] > 0, True)
    page.script("document.getElementById('exact').focus()")
    page.script(SET, "exact", "0.4321", "input")
    compare(page, darknet, csv, "exact value", "0.4321")
    page.script(SET, "exact", "x", "input")
    expect("a word is no threshold", page.script("return document.getElementById('exact').ariaInvalid"), "true")
    page.script("document.getElementById('reset').click()")
    expect("reset", compare(page, darknet, csv, "reset", "0.6")["accepted"], shown["accepted"])


TABLE = """
return Array.from(document.querySelectorAll(arguments[0] + " table")).filter(t => t.caption.textContent.includes(arguments[1]))
    .flatMap(t => Array.from(t.tBodies[0].rows, r => Array.from(r.cells, c => [c.textContent, c.title])));
"""


def check_thresholds_shown(page):
    """Six digits, and no image accepted that the whole number rejects."""
    rows = page.script(TABLE, "#tables", "Risk at a coverage") + page.script(TABLE, "#tables", "Coverage at a risk")
    shown = [row[-1] for row in rows if row[-1][0] != "\u2013"]
    expect("rows with a threshold", len(shown) >= 7, True)
    for text, title in shown:
        exact = float(title.split()[-1])
        expect(f"{exact} is rounded up in {text}", exact <= float(text) < exact * (1 + 1e-5), True)
        expect(f"digits of {text}", len(text.lstrip("0.")) <= 6, True)


def check_charts(page):
    """Units as on the tiles; the marker whole at coverage 1; pale bars for few images."""
    labels = page.script("""return ["curve", "curve", "reliability"].map((name, i) =>
        Chart.getChart(name).scales[i === 1 ? "x" : "y"].ticks.map(t => t.label))""")
    expect("axes in percent", all(label.endswith("\u00a0%") for ticks in labels for label in ticks), True)
    page.script(SET, "slider", 0, "input")
    page.settle()
    beyond = page.script("""
        const canvas = document.getElementById("curve"), area = Chart.getChart(canvas).chartArea, scale = devicePixelRatio;
        const x = Math.ceil(area.right * scale) + 2, y = area.top * scale - 12;
        const p = canvas.getContext("2d").getImageData(x, y, 8 * scale, (area.bottom - 6) * scale - y).data;
        return p.some((v, i) => i % 4 === 3 && v > 0);""")
    expect("the marker at coverage 1 is whole", beyond, True)
    page.script("document.getElementById('reset').click()")
    few, many = page.script("""
        const {reliability} = JSON.parse(document.getElementById("data").textContent).report;
        const fills = Chart.getChart("reliability").data.datasets[1].backgroundColor, bins = reliability.map((b, i) => [b.n, i]);
        const full = bins.filter(b => b[0]).sort((a, b) => a[0] - b[0]);
        return [full[0], full[full.length - 1]].map(b => parseFloat(fills[b[1]].split(",")[3]))""")
    expect("a bar of few images is paler", few < many, True)


def check_gallery(page):
    count = "return [document.querySelectorAll('#gallery li').length, document.querySelectorAll('#gallery img').length]"
    page.script(SET, "view", "all", "change")
    everything = page.script(count)
    expect("cards on the first page", everything[0], 48)
    expect("pictures", everything[1] > 0, True)
    page.script("document.getElementById('more').click()")
    expect("cards after more", page.script(count)[0] > 48, True)
    page.script(SET, "path", "<b>hostile", "input")
    expect("the hostile path alone", page.script(count)[0], 1)
    text = page.script("return document.querySelector('#gallery li').textContent")
    expect("hostile path as text", "<b>hostile&amp;.png" in text, True)
    expect("hostile label as text", HOSTILE in text, True)
    page.script(SET, "path", "", "input")
    page.script(SET, "view", "rejected", "change")
    expect("rejected cards are rejected", page.script(
        "return Array.from(document.querySelectorAll('#gallery li')).every(c => c.textContent.includes('rejected'))"), True)
    page.script(SET, "view", "mistakes", "change")
    confidences = page.script("return Array.from(document.querySelectorAll('#gallery li.wrong'), "
                              "c => parseFloat(c.textContent.match(/confidence (.{6})/)[1]))")
    expect("mistakes, most confident first", confidences, sorted(confidences, reverse=True))


def check_access(page):
    expect("controls without a name", page.script("""
        return Array.from(document.querySelectorAll("input, select, button"))
            .filter(c => !c.textContent.trim() && !(c.labels && c.labels.length)).map(c => c.id)"""), [])
    expect("tables without a caption", page.script("return document.querySelectorAll('table:not(:has(caption))').length"), 0)
    expect("charts without a text", page.script("return document.querySelectorAll('canvas[role=img]:not([aria-label])').length"), 0)
    expect("pictures without a text", page.script("return document.querySelectorAll('img:not([alt])').length"), 0)
    expect("code of the files ran", page.script("return window.hacked === undefined"), True)
    expect("elements of the files", page.script("return document.querySelectorAll('[onerror], #gallery b b').length"), 0)


def ink(page):
    """How many pixels of the canvases are drawn."""
    return page.script("""return Array.from(document.querySelectorAll("canvas"), c => {
        const p = c.getContext("2d").getImageData(0, 0, c.width, c.height).data;
        let n = 0;
        for (let i = 3; i < p.length; i += 4)
            n += p[i] > 0;
        return n;
    })""")


def check_looks(page, shots):
    for name, width, height, phone, dark in (("wide", 1280, 900, False, False), ("phone", 390, 844, True, True)):
        page.size(width, height, phone, dark)
        page.settle()
        expect(f"{name}: wider than the window", page.script(
            "return document.documentElement.scrollWidth > innerWidth"), False)
        expect(f"{name}: charts are drawn", [n > 2000 for n in ink(page)], [True] * 3)
        page.screenshot(os.path.join(shots, name + ".png"))
    theme = "return document.documentElement.dataset.theme"
    expect("theme of the system", page.script(theme), "dark")
    page.script("document.getElementById('theme').click()")
    expect("theme after the button", page.script(theme), "light")


def check_matrix(page, path):
    """Up to 100 classes beside each other at 1,400 px, every number in its cell."""
    page.size(1400, 900)
    page.open("file://" + os.path.abspath(path))
    page.settle()
    found = page.script("""
        const scroll = document.querySelector("#matrix .scroll"), size = e => parseFloat(getComputedStyle(e).fontSize);
        const cells = Array.from(scroll.querySelectorAll("td")), range = document.createRange();
        const width = cell => { range.selectNodeContents(cell); return range.getBoundingClientRect().width; };
        return {classes: scroll.querySelectorAll("tbody tr").length, scrolls: scroll.scrollWidth > scroll.clientWidth + 1,
                seen: cells.filter(c => c.textContent !== "0" && size(c) >= 8).length / cells.filter(c => c.textContent !== "0").length,
                cut: cells.filter(c => width(c) > c.clientWidth).map(c => c.textContent),
                heads: Math.min(...Array.from(scroll.querySelectorAll("th"), size))};""")
    expect(f"{path}: a matrix that scrolls", found["scrolls"], False)
    expect(f"{path}: cells with more digits than room", found["cut"], [])
    expect(f"{path}: numbers of eight pixels and more", found["seen"] > 0.99, True)
    expect(f"{path}: names of ten pixels and more", found["heads"] >= 10, True)
    page.script("document.querySelector('#matrix td').dispatchEvent(new PointerEvent('pointerover', {bubbles: true}))")
    expect(f"{path}: what a cell says", page.script("return /^.+ \u2192 .+: [0-9]+ of [0-9]+ images/.test("
                                                      "document.getElementById('hint').textContent)"), True)


def check_own(page, folder):
    page.size(1280, 900)
    page.open("file://" + os.path.abspath(os.path.join(folder, "report.html")))
    page.settle()
    with open(os.path.join(folder, "report.json")) as f:
        told = json.load(f)
    for place in ("as reported", "again as reported"):
        shown = page.script(SHOWN)
        for key, name in (("coverage", "coverage"), ("reject", "reject_rate"), ("risk", "risk")):
            expect(f"{place}: {name}", shown[key], percent(told[name]))
        expect(f"{place}: unknown", page.script("return document.getElementById('unknown').textContent"),
               percent(told["unknown_rate"]))
        expect(f"{place}: matrix", [row[:-2] + [row[-2] + row[-1]] for row in shown["matrix"]], told["confusion"])
        expect(f"{place}: images in the column unknown", sum(row[-1] for row in shown["matrix"]),
               round(told["unknown_rate"] * told["n"]))
        rows = page.script(TABLE, "#per-class", "Accuracy")
        expect(f"{place}: accepted as", [int(row[-3][0]) for row in rows], [c["accepted_as"] for c in told["classes"]])
        for row, c in zip(rows, told["classes"]):
            text, exact = row[-1][0], c["threshold"]
            expect(f"{place}: threshold {text} of {c['name']}", text in ("never", "none") if exact is None else
                   exact <= float(text) < exact * (1 + 1e-5), True)
        page.script(SET, "slider", 0, "input")
        page.settle()
        expect("the slider moves one for all", page.script(SHOWN)["accepted"] > shown["accepted"], True)
        page.script("document.getElementById('reset').click()")
        page.settle()
    page.script(SET, "view", "rejected", "change")
    expect("rejected images", page.script("return document.getElementById('count').textContent.split(' ')[0]"),
           str(sum(row[-1] for row in told["confusion"])))
    expect("errors on the console", page.complaints("SEVERE", "WARNING"), [])


def check_page(page, path):
    """A page of few images, or without Chart.js."""
    page.open("file://" + os.path.abspath(path))
    page.settle()
    slider = "return document.getElementById('slider').max"
    for step in range(int(page.script(slider)) + 1):
        page.script(SET, "slider", step, "input")
        page.settle()
    page.script(SET, "view", "all", "change")
    expect(f"{path}: cards", page.script("return document.querySelectorAll('#gallery li').length"),
           page.script("return JSON.parse(document.getElementById('data').textContent).gallery.length"))
    expect(f"{path}: tables", page.script("return document.querySelectorAll('table').length >= 4"), True)
    expect(f"{path}: errors on the console", page.complaints("SEVERE"), [])


def main(darknet, folder, csv, shots, *others):
    with Browser() as page:
        page.size(1280, 900)
        page.open("file://" + os.path.abspath(os.path.join(folder, "report.html")))
        check_threshold(page, darknet, csv)
        check_thresholds_shown(page)
        check_gallery(page)
        check_access(page)
        expect("complaints on the console", page.complaints("SEVERE", "WARNING"), [])
        check_charts(page)
        check_looks(page, shots)
        # reading pixels of a canvas is a warning by itself
        expect("errors on the console", page.complaints("SEVERE"), [])
        for other in others:
            (check_matrix if "classes" in other else check_page)(page, other)


if sys.argv[1] == "own":
    with Browser() as browser:
        check_own(browser, sys.argv[2])
else:
    main(*sys.argv[1:])
