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

function reportedCut() {
    if (report.threshold === null && report.coverage === 0)
        return cutAtStep(0);
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
             rejected + " rejected. " + within(intervalAt(cut.k, 0), n)),
        tile("risk", "Risk: errors among the accepted", percent(cut.errors / cut.accepted),
             cut.errors + " errors. " + within(intervalAt(cut.k, 1), cut.accepted)),
        tile("accuracy", "Accuracy without rejection", percent(report.accuracy),
             data.wrong + " errors. " + within(report.intervals.accuracy, n)));
    for (const [id, value] of [["accepted", cut.accepted], ["errors", cut.errors]])
        get("tiles").dataset[id] = value;
}

// ---- the confusion matrix ----

const matrixMost = 25;

function confusionAt(accepted) {
    const width = names.length + 1, counts = new Uint32Array(names.length * width);
    for (let i = 0; i < labels.length; i++)
        counts[labels[i] * width + (i < accepted ? predictions[i] : names.length)]++;
    return counts;
}

function matrixCell(count, total, row, column) {
    const cell = make("td", {}, String(count));
    if (column === names.length)
        cell.className = "rejected";
    else if (column === row)
        cell.className = "same";
    if (count === 0)
        cell.classList.add("none");
    else
        cell.style.background = "rgba(var(" + (column === row ? "--shade" : "--shade-wrong") + "), " +
                                (0.08 + 0.5 * count / total).toFixed(3) + ")";
    return cell;
}

function matrixTable(counts) {
    const width = names.length + 1;
    const heads = ["label \u2193 \u00b7 predicted \u2192", ...names.map(n => make("th", {scope: "col", title: n}, n)),
                   make("th", {scope: "col", class: "rejected"}, "rejected")];
    const rows = names.map((name, row) => {
        const own = counts.subarray(row * width, (row + 1) * width), total = own.reduce((a, b) => a + b, 0) || 1;
        return [make("th", {scope: "row", title: name}, name),
                ...Array.from(own, (count, column) => matrixCell(count, total, row, column))];
    });
    return makeTable("Images by label and prediction at this threshold; framed: right, last column: rejected", heads, rows);
}

function pairsTable(counts) {
    const width = names.length + 1, pairs = [];
    counts.forEach((count, at) => {
        const row = Math.floor(at / width), column = at % width;
        if (count && row !== column && column !== names.length)
            pairs.push([names[row], names[column], count]);
    });
    pairs.sort((a, b) => b[2] - a[2]);
    return makeTable("The most frequent errors among the accepted images", ["label", "predicted", "images"],
                     pairs.slice(0, 30));
}

// ---- class by class ----

const classColumns = ["class", "images", "accuracy", "reject rate", "risk"];
let classSort = {column: 0, down: false};

function classRows(counts) {
    const width = names.length + 1, right = new Uint32Array(names.length);
    for (let i = 0; i < labels.length; i++)
        right[labels[i]] += labels[i] === predictions[i];
    return names.map((name, row) => {
        let n = 0;
        for (let column = 0; column < width; column++)
            n += counts[row * width + column];
        const rejected = counts[row * width + names.length], accepted = n - rejected;
        return [row, n, right[row] / n, rejected / n, (accepted - counts[row * width + row]) / accepted];
    }).filter(r => r[1]);
}

function sortButton(name, column) {
    const sorted = classSort.column === column;
    const button = make("button", {type: "button"}, name + (sorted ? (classSort.down ? " \u25bc" : " \u25b2") : ""));
    button.addEventListener("click", () => {
        classSort = {column, down: sorted ? !classSort.down : column > 0};
        showClasses(confusionAt(cut.accepted));
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
        const text = "Left out for so many images or classes; classifier reject counts it.";
        get("matrix").replaceChildren(make("p", {}, text));
        get("per-class").replaceChildren(make("p", {}, text));
        return;
    }
    const counts = confusionAt(cut.accepted);
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
            ["list", "images", "reject rate", "95 % interval", "risk", "AUROC"],
            report.lists.map(l => [l.name, l.n, percent(l.reject_rate), between(l.intervals.reject_rate, percent),
                                   l.risk === null ? null : percent(l.risk), decimal(l.auroc)]));
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
    return Object.assign({title: {display: true, text: title, color: colour("--soft")}, grid: {color: colour("--line")},
                          ticks: {color: colour("--soft")}}, more);
}

function options(x, y, more) {
    return Object.assign({responsive: true, maintainAspectRatio: false, animation: false, scales: {x, y},
                          plugins: {legend: {labels: {color: colour("--ink"), usePointStyle: true}}}}, more);
}

function curvePoints() {
    const points = [], stride = Math.max(1, Math.floor(steps / 800));
    for (let k = 0; k < steps; k += k + stride < steps ? stride : Math.max(1, steps - 1 - k))
        points.push({x: data.accepted[k] / data.n, y: data.errors[k] / data.accepted[k]});
    return points;
}

function cutPoint() {
    return cut.accepted ? [{x: cut.accepted / data.n, y: cut.errors / cut.accepted}] : [];
}

function makeCurve() {
    return new Chart(get("curve"), {type: "scatter", data: {datasets: [
        {label: "this threshold", data: cutPoint(), pointStyle: "rectRot", radius: 9, hoverRadius: 9, borderWidth: 2,
         backgroundColor: colour("--card"), borderColor: colour("--wrong")},
        {label: "risk at coverage", data: curvePoints(), showLine: true, pointStyle: "line", radius: 0,
         borderWidth: 2.5,
         borderColor: colour("--right"), backgroundColor: colour("--right")}]},
        options: options(axis("coverage: share of images accepted", {min: 0, max: 1}),
                         axis("risk: share of errors among them", {min: 0}))});
}

function makeReliability() {
    const bins = report.reliability;
    return new Chart(get("reliability"), {data: {labels: bins.map(b => ((b.low + b.high) / 2).toFixed(2)), datasets: [
        {type: "line", label: "perfectly calibrated", data: bins.map(b => (b.low + b.high) / 2), pointStyle: "line",
         radius: 0, borderWidth: 2, borderDash: [6, 4], borderColor: colour("--ink"), backgroundColor: colour("--ink")},
        {type: "bar", label: "share of right answers", data: bins.map(b => b.n ? b.right / b.n : null),
         backgroundColor: colour("--right"), pointStyle: "rect", barPercentage: 1, categoryPercentage: 0.94}]},
        options: options(axis("confidence"), axis("accuracy", {min: 0, max: 1}))});
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
    const bins = report.histogram;
    return new Chart(get("histogram"), {type: "bar", plugins: [thresholdLine],
        data: {labels: bins.map(b => String(+((b.low + b.high) / 2).toPrecision(3))), datasets: [
            {label: "right", data: bins.map(b => b.right), backgroundColor: colour("--right"), pointStyle: "rect",
             barPercentage: 1, categoryPercentage: 0.94},
            {label: "wrong", data: bins.map(b => b.n - b.right), backgroundColor: hatched(colour("--wrong")),
             borderColor: colour("--wrong"), borderWidth: 1, pointStyle: "rect", barPercentage: 1,
             categoryPercentage: 0.94}]},
        options: options(axis("confidence", {stacked: true}), axis("images", {stacked: true, min: 0}))});
}

function describeCharts() {
    get("curve").setAttribute("aria-label", "Risk-coverage curve. " + report.risk_at_coverage.map(r =>
        percent(r.risk) + " risk at " + percent(r.coverage) + " coverage").join(", "));
    get("reliability").setAttribute("aria-label", "Reliability diagram; its numbers are in the table below");
    get("histogram").setAttribute("aria-label", "Histogram of the confidence, right and wrong images; its numbers are in the table below");
}

function makeCharts() {
    if (typeof Chart === "undefined")
        return;
    for (const name in charts)
        charts[name].destroy();
    charts.curve = makeCurve();
    charts.histogram = makeHistogram();
    if (report.reliability)
        charts.reliability = makeReliability();
}

function placeCharts() {
    for (const name of ["curve", "reliability", "histogram"]) {
        const canvas = get(name), figure = canvas.parentNode;
        if (typeof Chart === "undefined" || (name === "reliability" && !report.reliability))
            figure.hidden = true;
        else
            figure.append(make("div", {class: "canvas"}, canvas));
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
    all: () => true,
};

const sure = i => i.confidence === null ? -Infinity : i.confidence;
const order = (a, b) => a < b ? -1 : a > b ? 1 : 0;
const sorts = {
    down: (a, b) => order(sure(b), sure(a)),
    up: (a, b) => order(sure(a), sure(b)),
    label: (a, b) => order(a.label, b.label),
    prediction: (a, b) => order(a.prediction, b.prediction),
    path: (a, b) => order(a.path, b.path),
};

function card(item) {
    const right = item.label === item.prediction, label = names[item.label], answer = names[item.prediction];
    const picture = item.picture
        ? make("img", {src: item.picture, alt: right ? label : label + ", taken for " + answer})
        : make("div", {class: "blank"}, item.problem ? "cannot be shown" : "no picture");
    if (item.problem)
        picture.title = item.problem;
    return make("li", {class: right ? "right" : "wrong"}, picture,
                make("b", {}, right ? "\u2713 " + label : "\u2717 " + label + " \u2192 " + answer),
                make("span", {}, (isAccepted(item.confidence) ? "accepted" : "rejected") + ", confidence " +
                     (item.confidence === null ? "none" : item.confidence.toFixed(4))),
                make("span", {class: "file"}, item.path));
}

function showGallery() {
    const view = get("view").value, label = get("label").value, prediction = get("prediction").value;
    const text = get("path").value.toLowerCase();
    const found = gallery.filter(i => views[view](i) && (label === "" || i.label === +label) &&
                                           (prediction === "" || i.prediction === +prediction) &&
                                           i.path.toLowerCase().includes(text)).sort(sorts[get("sort").value]);
    const rejected = data.n - cut.accepted, listed = gallery.filter(views.rejected).length;
    get("gallery").replaceChildren(...found.slice(0, shown).map(card));
    get("count").textContent = found.length + (found.length === 1 ? " image" : " images") +
        (found.length > shown ? ", the first " + shown + " shown" : "") +
        (view === "rejected" && listed < rejected
            ? "; " + listed + " of the " + rejected + " rejected are listed here, predictions.csv has all" : "");
    get("more").hidden = found.length <= shown;
}

function fillFilters() {
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
    const parts = [data.n + " images"];
    for (const [name, value] of [["list", report.list], ["model", report.model], ["confidence", report.confidence]])
        if (value)
            parts.push(name + " " + value);
    get("about").textContent = parts.join(" \u00b7 ");
    const warnings = [];
    if (report.chose_best)
        warnings.push("This list also chose the best weights: its figures are optimistic.");
    if (report.threshold !== null && report.threshold_note)
        warnings.push("Threshold " + report.threshold + " (" + report.threshold_note + ").");
    if (report.risk_control && !report.risk_control.feasible)
        warnings.push("No threshold on these images keeps the asked risk.");
    if (typeof Chart === "undefined")
        warnings.push("No charts: Chart.js was not found when the report was made (Debian package libjs-chart.js).");
    if (data.thinned)
        warnings.push("The slider moves over " + steps + " of the thresholds; the counts at each are exact.");
    if (data.n === 0)
        warnings.push("There are no images.");
    get("warnings").textContent = warnings.join(" ");
    get("warnings").hidden = warnings.length === 0;
}

get("slider").max = steps;
showAbout();
showTables();
fillFilters();
placeCharts();
describeCharts();
setTheme(prefersDark.matches);
listen();
listenTheme();
show();
}());
