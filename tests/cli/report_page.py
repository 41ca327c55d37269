"""report_page.py DARKNET DIR CSV SHOTS [PAGE…]: open DIR/report.html in a headless Chromium and hold its numbers against
those of `classifier reject -from CSV -threshold`; PAGEs must load without an error. Prints a line for what is wrong,
nothing when all is right."""
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
        check_gallery(page)
        check_access(page)
        expect("complaints on the console", page.complaints("SEVERE", "WARNING"), [])
        check_looks(page, shots)
        # reading pixels of a canvas is a warning by itself
        expect("errors on the console", page.complaints("SEVERE"), [])
        for other in others:
            check_page(page, other)


main(*sys.argv[1:])
