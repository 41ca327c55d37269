// The page of a report. `page` holds: report (report.json), names (of the classes), gallery (a few images), and data:
// thresholds from the surest down, how many images each accepts, how many errors are among them, bounds of both rates
// (see intervalAt); labels and predictions, surest image first. All texts of files go into the page as text nodes,
// never as HTML.
"use strict";
(function () {
const {report, names, data, gallery} = JSON.parse(document.getElementById("data").textContent);
const {labels, predictions} = data;
const steps = data.threshold.length;

// ---- numbers ----

const none = "\u2013";

function percent(v) {
    return v === null || Number.isNaN(v) ? "undefined" : (100 * v).toFixed(2) + "\u00a0%";
}

function decimal(v) {
    return v === null ? "undefined" : v.toFixed(6);
}

function between(pair, format) {
    return pair ? format(pair[0]) + " to " + format(pair[1]) : none;
}

// 95 % of the reject rate (rate 0) or the risk (rate 1) when the first k steps are accepted: [low, high].
function intervalAt(k, rate) {
    const at = 4 * k + 2 * rate;
    return [data.bounds[at] / 1e4, data.bounds[at + 1] / 1e4];
}

// ---- pieces of the page ----

function get(id) {
    return document.getElementById(id);
}

function make(tag, attributes, ...children) {
    const element = document.createElement(tag);
    for (const name in attributes)
        element.setAttribute(name, attributes[name]);
    element.append(...children);
    return element;
}

// Cells are numbers, texts, null or elements; the first one heads its row. The caption stays in sight while a wide
// table scrolls.
function makeTable(caption, heads, rows) {
    const element = (cell, tag, attributes) => cell instanceof Node ? cell : make(tag, attributes, String(cell ?? none));
    const head = make("tr", {}, ...heads.map(h => element(h, "th", {scope: "col"})));
    const body = rows.map(r => make("tr", {}, ...r.map((cell, i) =>
        i === 0 ? element(cell, "th", {scope: "row"}) : element(cell, "td", {}))));
    const table = make("table", {}, make("caption", {}, make("span", {}, caption)), make("thead", {}, head),
                       make("tbody", {}, ...body));
    return make("div", {class: "scroll", tabindex: "0", role: "region", "aria-label": caption}, table);
}

// ---- the cut: what is accepted at a threshold ----

// How many steps have at least this threshold; null: all.
function stepsAt(threshold) {
    const first = threshold === null ? -1 : data.threshold.findIndex(t => t < threshold);
    return first < 0 ? steps : first;
}

// k steps accepted; threshold null: none, +Infinity: nothing can be accepted.
function cutOf(k, threshold) {
    return {k, threshold, accepted: k ? data.accepted[k - 1] : 0, errors: k ? data.errors[k - 1] : 0};
}

function cutAtStep(k) {
    return cutOf(k, k ? data.threshold[k - 1] : Infinity);
}

function cutAtThreshold(threshold) {
    const k = stepsAt(threshold);
    return data.thinned ? cutAtStep(k) : cutOf(k, threshold);
}

// of [reject] in the cfg, one of each class: the slider moves one for all
const ownThresholds = report.classes?.some(c => c.threshold !== report.threshold);

function reportedCut() {
    if (report.threshold === null && report.coverage === 0)
        return cutAtStep(0);
    if (ownThresholds) // the cut for all that accepts as many
        return cutAtStep(1 + data.accepted.findIndex(n => n >= report.coverage * data.n - 0.5));
    return report.threshold === null ? cutOf(steps, null) : cutAtThreshold(report.threshold);
}

let cut = reportedCut();

function thresholdText() {
    if (cut.threshold === null)
        return "none";
    return cut.threshold === Infinity ? "above all" : String(cut.threshold);
}

function isAccepted(confidence) {
    return confidence !== null && cut.k > 0 && (cut.threshold === null || confidence >= cut.threshold);
}

// ---- tiles ----

function tile(id, name, value, more) {
    return make("div", {}, make("dt", {}, name),
                make("dd", {}, make("span", {id, class: "value"}, value), " ", make("div", {class: "more"}, more)));
}

function showTiles() {
    const n = data.n, rejected = n - cut.accepted;
    const within = (pair, among) => among ? "95 %: " + between(pair, percent) : "";
    get("tiles").replaceChildren(
        tile("coverage", "Coverage", percent(cut.accepted / n), cut.accepted + " of " + n + " accepted"),
        tile("reject-rate", "Reject rate", percent(rejected / n),
             rejected + " rejected. " + (report.unknown_rate === null ? "" : percent(report.unknown_rate) +
             " unknown. ") + within(intervalAt(cut.k, 0), n)),
        tile("risk", "Risk: errors among the accepted", percent(cut.errors / cut.accepted),
             cut.errors + " errors. " + within(intervalAt(cut.k, 1), cut.accepted)),
        tile("accuracy", "Accuracy without rejection", percent(report.accuracy),
             data.wrong + " errors. " + within(report.intervals.accuracy, n)));
    for (const [id, value] of [["accepted", cut.accepted], ["errors", cut.errors]])
        get("tiles").dataset[id] = value;
}

// ---- what is taken for what, class by class ----

const matrixMost = 25;

// A row a label: images by prediction while they are among the first `accepted`, then the rejected ones, then the right
// ones among all.
function countsAt(accepted) {
    const rejected = names.length, right = rejected + 1, rows = names.map(() => new Uint32Array(names.length + 2));
    labels.forEach((label, i) => {
        rows[label][i < accepted ? predictions[i] : rejected]++;
        rows[label][right] += label === predictions[i];
    });
    return rows;
}

const sum = row => row.reduce((a, b) => a + b, 0);

function matrixCell(count, total, row, column) {
    const kind = column === names.length ? "rejected" : column === row ? "same" : "";
    const cell = make("td", {class: kind + (count ? "" : " none")}, String(count));
    if (count)
        cell.style.background = "rgba(var(" + (column === row ? "--shade" : "--shade-wrong") + "), " +
                                (0.08 + 0.5 * count / total).toFixed(3) + ")";
    return cell;
}

function matrixTable(counts) {
    const heads = ["label \u2193 \u00b7 predicted \u2192", ...names.map(n => make("th", {scope: "col", title: n}, n)),
                   make("th", {scope: "col", class: "rejected"}, "rejected")];
    const rows = counts.map((counted, row) => {
        const cells = Array.from(counted.subarray(0, names.length + 1)), total = sum(cells);
        return [make("th", {scope: "row", title: names[row]}, names[row]),
                ...cells.map((count, column) => matrixCell(count, total, row, column))];
    });
    return makeTable("Images by label and prediction at this threshold; framed: right, last column: rejected", heads, rows);
}

function pairsTable(counts) {
    const pairs = counts.flatMap((counted, row) => names.map((name, column) => [names[row], name, counted[column]])
        .filter((pair, column) => pair[2] && column !== row));
    return makeTable("The most frequent errors among the accepted images", ["label", "predicted", "images"],
                     pairs.sort((a, b) => b[2] - a[2]).slice(0, 30));
}

const classColumns = ["class", "images", "accuracy", "reject rate", "risk"];
let classSort = {column: 0, down: false};

function classRows(counts) {
    return counts.map((counted, row) => {
        const accepted = sum(counted.subarray(0, names.length)), rejected = counted[names.length], n = accepted + rejected;
        return [row, n, counted[names.length + 1] / n, rejected / n, (accepted - counted[row]) / accepted];
    }).filter(r => r[1]);
}

function sortButton(name, column) {
    const sorted = classSort.column === column;
    const button = make("button", {type: "button"}, name + (sorted ? (classSort.down ? " \u25bc" : " \u25b2") : ""));
    button.addEventListener("click", () => {
        classSort = {column, down: sorted ? !classSort.down : column > 0};
        showClasses(countsAt(cut.accepted));
        get("per-class").querySelectorAll("th button")[column].focus();
    });
    return make("th", {scope: "col", "aria-sort": sorted ? (classSort.down ? "descending" : "ascending") : "none"}, button);
}

function showClasses(counts) {
    const {column, down} = classSort, value = r => Number.isNaN(r[column]) ? -1 : r[column];
    const rows = classRows(counts).sort((a, b) => (value(a) - value(b)) * (down ? -1 : 1));
    get("per-class").replaceChildren(makeTable("Accuracy of all images of a class; reject rate and risk at this threshold",
        classColumns.map(sortButton), rows.map(([row, n, ...rates]) => [names[row], n, ...rates.map(percent)])));
}

function showConfusion() {
    if (!labels || names.length > 1000) {
        for (const id of ["matrix", "per-class"])
            get(id).textContent = "Left out for so many images or classes; classifier reject counts it.";
        return;
    }
    const counts = countsAt(cut.accepted);
    get("matrix").replaceChildren(names.length <= matrixMost ? matrixTable(counts) : pairsTable(counts));
    showClasses(counts);
}

// ---- tables that do not move ----

const areas = [["aurc", "AURC"], ["eaurc", "E-AURC"], ["augrc", "AUGRC"], ["auroc", "AUROC"], ["nll", "NLL"],
               ["brier", "Brier score"], ["ece", "ECE"]];

function addTable(place, ...table) {
    get(place).append(makeTable(...table));
}

// Other lists and other programs, when the command was asked for them.
function showOthers() {
    if (report.lists)
        addTable("tables", "Other lists at the reported threshold; AUROC: are these images surer than those?",
            ["list", "images", "reject rate", "95 % interval", "risk", "AUROC", "unknown"],
            report.lists.map(l => [l.name, l.n, percent(l.reject_rate), between(l.intervals.reject_rate, percent),
                                   l.risk === null ? null : percent(l.risk), decimal(l.auroc),
                                   l.unknown_rate === null ? null : percent(l.unknown_rate)]));
    if (report.compare)
        addTable("tables", "Compared with others; differences are this minus the other, intervals by paired bootstrap",
            ["other", "its AURC", "difference", "95 % interval", "its accuracy", "difference", "95 % interval"],
            report.compare.map(c => [c.file, decimal(c.other.aurc), decimal(c.difference.aurc),
                                     between(c.intervals.aurc, decimal), percent(c.other.accuracy),
                                     percent(c.difference.accuracy), between(c.intervals.accuracy, percent)]));
}

function showBins() {
    const span = b => b.low.toFixed(3) + " to " + b.high.toFixed(3);
    if (report.reliability)
        addTable("bins", "Reliability", ["confidence", "images", "mean confidence", "accuracy", "95 % interval"],
            report.reliability.filter(b => b.n).map(b => [span(b), b.n, percent(b.confidence), percent(b.right / b.n),
                                                          between(b.interval, percent)]));
    addTable("bins", "Images by confidence", ["confidence", "right", "wrong"],
        report.histogram.map(b => [span(b), b.right, b.n - b.right]));
}

function showTables() {
    const found = report.intervals;
    addTable("tables", "Areas and scores" + (found.replicates ? "; intervals: bootstrap, " + found.replicates + " resamples" : ""),
        ["figure", "value", "95 % interval"],
        areas.filter(([key]) => report[key] !== null)
            .map(([key, name]) => [name, decimal(report[key]), between(found[key], decimal)]));
    addTable("tables", "Risk at a coverage", ["coverage", "accepted", "risk", "95 % interval", "threshold"],
        report.risk_at_coverage.map(r => [percent(r.coverage), r.accepted, percent(r.risk), between(r.interval, percent),
                                          r.threshold]));
    addTable("tables", "Coverage at a risk, chosen on these images: optimistic",
        ["risk at most", "coverage", "reject rate", "threshold"],
        report.coverage_at_risk.map(r => [percent(r.risk), percent(r.coverage), percent(r.reject_rate), r.threshold]));
    get("tables").after(make("details", {}, make("summary", {}, "What the figures mean"),
        make("ul", {}, ...Object.entries(report.conventions).map(([key, text]) =>
            make("li", {}, key.toUpperCase() + ": " + text)))));
    showOthers();
    showBins();
}

// ---- charts ----

const charts = {};

function colour(name) {
    return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

// Slanted lines, so that wrong differs from right without its colour.
function hatched(ink) {
    const tile = document.createElement("canvas"), pen = tile.getContext("2d");
    tile.width = tile.height = 8;
    pen.strokeStyle = ink;
    pen.lineWidth = 2;
    for (const x of [-8, 0, 8]) {
        pen.moveTo(x, 8);
        pen.lineTo(x + 8, 0);
    }
    pen.stroke();
    return pen.createPattern(tile, "repeat");
}

function axis(title, more) {
    return {title: {display: true, text: title, color: colour("--soft")}, grid: {color: colour("--line")},
            ticks: {color: colour("--soft")}, ...more};
}

function makeChart(name, x, y, more) {
    const options = {responsive: true, maintainAspectRatio: false, animation: false, scales: {x, y},
                     plugins: {legend: {labels: {color: colour("--ink"), usePointStyle: true}}}};
    charts[name]?.destroy();
    charts[name] = new Chart(get(name), {options, ...more});
}

function line(label, data, ink, more) {
    return {type: "line", label, data, pointStyle: "line", radius: 0, borderWidth: 2.5, borderColor: colour(ink),
            backgroundColor: colour(ink), ...more};
}

function bars(label, data, fill, more) {
    return {type: "bar", label, data, backgroundColor: fill, pointStyle: "rect", barPercentage: 1, categoryPercentage: 0.94,
            ...more};
}

const middle = b => (b.low + b.high) / 2;

function cutPoint() {
    return cut.accepted ? [{x: cut.accepted / data.n, y: cut.errors / cut.accepted}] : [];
}

function makeCurve() {
    const stride = Math.max(1, Math.floor(steps / 800));
    const points = data.accepted.map((n, k) => ({x: n / data.n, y: data.errors[k] / n}))
        .filter((point, k) => k % stride === 0 || k === steps - 1);
    makeChart("curve", axis("coverage: share of images accepted", {type: "linear", min: 0, max: 1}),
        axis("risk: share of errors among them", {min: 0}), {data: {datasets: [
            {type: "scatter", label: "this threshold", data: cutPoint(), pointStyle: "rectRot", radius: 9, hoverRadius: 9,
             borderWidth: 2, backgroundColor: colour("--card"), borderColor: colour("--wrong")},
            line("risk at coverage", points, "--right")]}});
}

function makeReliability() {
    const bins = report.reliability;
    makeChart("reliability", axis("confidence"), axis("accuracy", {min: 0, max: 1}), {
        data: {labels: bins.map(b => middle(b).toFixed(2)), datasets: [
            line("perfectly calibrated", bins.map(middle), "--ink", {borderWidth: 2, borderDash: [6, 4]}),
            bars("share of right answers", bins.map(b => b.n ? b.right / b.n : null), colour("--right"))]}});
}

const thresholdLine = {
    id: "thresholdLine",
    afterDatasetsDraw(chart) {
        const low = report.histogram[0].low, high = report.histogram[report.histogram.length - 1].high;
        const pen = chart.ctx, area = chart.chartArea, share = (cut.threshold - low) / (high - low);
        if (cut.threshold === null || !(share >= 0 && share <= 1))
            return;
        const x = area.left + share * (area.right - area.left);
        pen.save();
        pen.strokeStyle = pen.fillStyle = colour("--ink");
        pen.setLineDash([6, 4]);
        pen.lineWidth = 2;
        pen.beginPath();
        pen.moveTo(x, area.top);
        pen.lineTo(x, area.bottom);
        pen.stroke();
        pen.textAlign = share > 0.5 ? "right" : "left";
        pen.fillText("threshold", x + (share > 0.5 ? -6 : 6), area.top + 10);
        pen.restore();
    },
};

function makeHistogram() {
    const bins = report.histogram, wrong = colour("--wrong");
    makeChart("histogram", axis("confidence", {stacked: true}), axis("images", {stacked: true, min: 0}), {
        plugins: [thresholdLine],
        data: {labels: bins.map(b => String(+middle(b).toPrecision(3))), datasets: [
            bars("right", bins.map(b => b.right), colour("--right")),
            bars("wrong", bins.map(b => b.n - b.right), hatched(wrong), {borderColor: wrong, borderWidth: 1})]}});
}

function makeCharts() {
    const possible = typeof Chart !== "undefined";
    for (const [name, makeIt] of [["curve", makeCurve], ["reliability", makeReliability], ["histogram", makeHistogram]]) {
        const there = possible && (name !== "reliability" || report.reliability !== null);
        get(name).closest("figure").hidden = !there;
        if (there)
            makeIt();
    }
}

function moveCharts() {
    if (!charts.curve)
        return;
    charts.curve.data.datasets[0].data = cutPoint();
    charts.curve.update("none");
    charts.histogram.draw();
}

// ---- the gallery ----

const pageSize = 48;
let shown = pageSize;

const views = {
    mistakes: i => i.label !== i.prediction,
    hits: i => i.label === i.prediction,
    rejected: i => !isAccepted(i.confidence),
    unknown: i => i.novelty !== undefined,
    all: () => true,
};

const sure = i => i.confidence === null ? -Infinity : i.confidence;
const sorts = {down: sure, up: sure, label: i => i.label, prediction: i => i.prediction, path: i => i.path};

function sorted(items, how) {
    const key = sorts[how], sign = how === "down" ? -1 : 1;
    return items.sort((a, b) => sign * (key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : 0));
}

function card(item) {
    const right = item.label === item.prediction, label = names[item.label], answer = names[item.prediction] ?? "no answer";
    const picture = item.picture
        ? make("img", {src: item.picture, alt: right ? label : label + ", taken for " + answer})
        : make("div", {class: "blank"}, item.problem ? "cannot be shown" : "no picture");
    if (item.problem)
        picture.title = item.problem;
    return make("li", {class: right ? "right" : "wrong"}, picture,
                make("b", {}, right ? "\u2713 " + label : "\u2717 " + label + " \u2192 " + answer),
                make("span", {}, views.unknown(item) ? "unknown, p " + item.novelty.toPrecision(2)
                     : (isAccepted(item.confidence) ? "accepted" : "rejected") + ", confidence " +
                     (item.confidence === null ? "none" : item.confidence.toFixed(4))),
                make("span", {class: "file"}, item.path));
}

function showGallery() {
    const view = get("view").value, label = get("label").value, prediction = get("prediction").value;
    const text = get("path").value.toLowerCase();
    const found = sorted(gallery.filter(i => views[view](i) && (label === "" || i.label === +label) &&
                                             (prediction === "" || i.prediction === +prediction) &&
                                             i.path.toLowerCase().includes(text)), get("sort").value);
    const rejected = data.n - cut.accepted, listed = gallery.filter(views.rejected).length;
    get("gallery").replaceChildren(...found.slice(0, shown).map(card));
    get("count").textContent = found.length + (found.length === 1 ? " image" : " images") +
        (found.length > shown ? ", the first " + shown + " shown" : "") +
        (view === "rejected" && listed < rejected
            ? "; " + listed + " of the " + rejected + " rejected are listed here, predictions.csv has all" : "");
    get("more").hidden = found.length <= shown;
}

function fillFilters() {
    if (report.unknown_rate === null)
        get("view").querySelector("[value=unknown]").remove();
    const used = new Set(gallery.flatMap(i => [i.label, i.prediction]));
    for (const id of ["label", "prediction"])
        names.forEach((name, i) => {
            if (used.has(i))
                get(id).append(make("option", {value: i}, name));
        });
}

// ---- what moves with the threshold ----

let waiting = 0, announcing = 0;

function announce() {
    get("live").textContent = "Coverage " + get("coverage").textContent + ", reject rate " +
        get("reject-rate").textContent + ", risk " + get("risk").textContent;
}

function show() {
    const slider = get("slider");
    slider.value = steps - cut.k;
    slider.setAttribute("aria-valuetext", "threshold " + thresholdText() + ", coverage " + percent(cut.accepted / data.n));
    if (document.activeElement !== get("exact"))
        get("exact").value = thresholdText();
    showTiles();
    cancelAnimationFrame(waiting);
    waiting = requestAnimationFrame(() => {
        moveCharts();
        showConfusion();
        showGallery();
    });
    clearTimeout(announcing);
    announcing = setTimeout(announce, 500);
}

function readExact() {
    const text = get("exact").value.trim().replace(",", "."), value = Number(text);
    const ok = text !== "" && Number.isFinite(value);
    get("exact").setAttribute("aria-invalid", String(!ok));
    if (ok) {
        cut = cutAtThreshold(value);
        show();
    }
}

// Back from what is being typed to what holds.
function settleExact() {
    get("exact").value = thresholdText();
    get("exact").setAttribute("aria-invalid", "false");
}

function listen() {
    get("slider").addEventListener("input", () => {
        cut = cutAtStep(steps - get("slider").value);
        show();
    });
    get("exact").addEventListener("input", readExact);
    get("exact").addEventListener("blur", settleExact);
    get("reset").addEventListener("click", () => {
        cut = reportedCut();
        show();
        settleExact();
    });
    const restart = () => {
        shown = pageSize;
        showGallery();
    };
    for (const id of ["label", "prediction", "sort"])
        get(id).addEventListener("change", restart);
    get("path").addEventListener("input", restart);
    get("view").addEventListener("change", () => {
        get("sort").value = get("view").value === "mistakes" ? "down" : "up";
        restart();
    });
    get("more").addEventListener("click", () => {
        shown += pageSize;
        showGallery();
    });
}

// ---- light and dark ----

const prefersDark = matchMedia("(prefers-color-scheme: dark)");

function setTheme(dark) {
    document.documentElement.dataset.theme = dark ? "dark" : "light";
    get("theme").textContent = dark ? "Light colours" : "Dark colours";
    makeCharts();
}

function listenTheme() {
    get("theme").addEventListener("click", () => setTheme(document.documentElement.dataset.theme !== "dark"));
    prefersDark.addEventListener("change", () => setTheme(prefersDark.matches));
}

function showAbout() {
    const parts = ["list", "model", "confidence"].filter(key => report[key]).map(key => key + " " + report[key]);
    get("about").textContent = [data.n + " images", ...parts].join(" \u00b7 ");
    const warnings = [
        [report.chose_best, "This list also chose the best weights: its figures are optimistic."],
        [report.threshold !== null && report.threshold_note, `Threshold ${report.threshold} (${report.threshold_note}).`],
        [ownThresholds, "The cfg has a threshold of each class: they accept " + percent(report.coverage) + ", " +
            percent(report.risk) + " of them wrong. The slider moves one for all."],
        [report.risk_control?.feasible === false, "No threshold on these images keeps the asked risk."],
        [typeof Chart === "undefined",
         "No charts: Chart.js was not found when the report was made (Debian package libjs-chart.js)."],
        [data.thinned, `The slider moves over ${steps} of the thresholds; the counts at each are exact.`],
        [data.n === 0, "There are no images."],
    ].filter(w => w[0]).map(w => w[1]);
    get("warnings").textContent = warnings.join(" ");
    get("warnings").hidden = warnings.length === 0;
    get("curve").setAttribute("aria-label", "Risk-coverage curve. " + report.risk_at_coverage.map(r =>
        percent(r.risk) + " risk at " + percent(r.coverage) + " coverage").join(", "));
}

get("slider").max = steps;
showAbout();
showTables();
fillFilters();
setTheme(prefersDark.matches);
listen();
listenTheme();
show();
}());
