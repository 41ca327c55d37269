// The page of a report. `page` holds: report (report.json), names (of the classes), gallery (a few images), and data:
// thresholds from the surest down, how many images each accepts, how many errors are among them, bounds of both rates
// (see intervalAt); labels and predictions, surest image first; places of the unknown images among them; own: where the
// cfg has a threshold of each class, these and how many images each accepts. All texts of files go into the page as text
// nodes, never as HTML.
"use strict";
(function () {
const {report, names, data, gallery} = JSON.parse(document.getElementById("data").textContent);
const {labels, predictions, own} = data;
const unknown = data.unknown && new Set(data.unknown);
const steps = data.threshold.length;

// ---- numbers ----

const none = "\u2013";

function percent(v) {
    return v === null || Number.isNaN(v) ? "undefined" : (100 * v).toFixed(2) + "\u00a0%";
}

function decimal(v) {
    return v === null ? "undefined" : v.toFixed(6);
}

// Six digits, rounded up: a threshold that is copied from the page accepts no image that the whole one rejects.
function rounded(threshold) {
    if (threshold === null || Math.abs(threshold) === Number.MAX_VALUE)
        return threshold === null ? none : threshold > 0 ? "never" : "none";
    const near = Number(threshold.toPrecision(6)), digit = 10 ** (Math.floor(Math.log10(Math.abs(threshold))) - 5);
    return String(near < threshold ? Number((near + digit).toPrecision(6)) : near);
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

// With a threshold of each class it is no step of the slider, which moves one for all; k: the one that accepts as many.
function reportedCut() {
    if (own) {
        const accepted = own.accepted.reduce((a, b) => a + b, 0);
        return {own, k: accepted ? 1 + data.accepted.findIndex(n => n >= accepted) : 0, threshold: null, accepted,
                errors: Math.round(accepted * report.risk)};
    }
    if (report.threshold === null && report.coverage === 0)
        return cutAtStep(0);
    return report.threshold === null ? cutOf(steps, null) : cutAtThreshold(report.threshold);
}

let cut = reportedCut();

function thresholdText(format = String) {
    if (cut.threshold === null)
        return cut.own ? "one of each class" : "none";
    return cut.threshold === Infinity ? "above all" : format(cut.threshold);
}

function isAccepted({confidence, prediction}) {
    const threshold = cut.own ? own.threshold[prediction] : cut.threshold;
    return confidence !== null && cut.k > 0 && (threshold === null || confidence >= threshold);
}

// Is the i-th image, surest first, accepted? To be asked in this order.
function acceptance() {
    const left = cut.own?.accepted.slice();
    return left ? i => left[predictions[i]]-- > 0 : i => i < cut.accepted;
}

// ---- tiles ----

function tile(id, name, value, more) {
    return make("div", {}, make("dt", {}, name),
                make("dd", {}, make("span", {id, class: "value"}, value), " ", make("div", {class: "more"}, more)));
}

function showTiles() {
    const n = data.n, rejected = n - cut.accepted;
    const within = (pair, among) => among ? "95 %: " + between(pair, percent) : "";
    const {reject_rate, risk} = cut.own ? report.intervals : {reject_rate: intervalAt(cut.k, 0), risk: intervalAt(cut.k, 1)};
    get("tiles").replaceChildren(
        tile("coverage", "Coverage", percent(cut.accepted / n), cut.accepted + " of " + n + " accepted"),
        tile("reject-rate", "Reject rate", percent(rejected / n), rejected + " rejected. " + within(reject_rate, n)),
        ...report.unknown_rate === null ? [] : [tile("unknown", "Unknown: none of the classes", percent(report.unknown_rate),
            Math.round(report.unknown_rate * n) + " of the rejected. " + within(report.intervals.unknown_rate, n))],
        tile("risk", "Risk: errors among the accepted", percent(cut.errors / cut.accepted),
             cut.errors + " errors. " + within(risk, cut.accepted)),
        tile("accuracy", "Accuracy without rejection", percent(report.accuracy),
             data.wrong + " errors. " + within(report.intervals.accuracy, n)));
    for (const [id, value] of [["accepted", cut.accepted], ["errors", cut.errors]])
        get("tiles").dataset[id] = value;
}

// ---- what is taken for what, class by class ----

const matrixMost = 100, pairsFrom = 26;
const columns = [...names, ...unknown ? ["unsure", "unknown"] : ["rejected"]];

// A row a label: images by prediction while they are accepted, then the rejected and the unknown ones; the right ones among
// all.
function countsNow() {
    const accepts = acceptance(), rows = names.map(() => Object.assign(new Uint32Array(columns.length), {right: 0}));
    labels.forEach((label, i) => {
        rows[label][accepts(i) ? predictions[i] : names.length + (unknown?.has(i) ? 1 : 0)]++;
        rows[label].right += label === predictions[i];
    });
    return rows;
}

const sum = row => row.reduce((a, b) => a + b, 0);

// What stands in the cells; they are made once, since 100 classes have 10,000.
let matrix = null;

function heads(texts, scope) {
    return texts.map(text => make("th", {scope, title: text}, make("span", {}, text)));
}

function makeMatrix() {
    const least = columns.length <= 30 ? 36 : matchMedia("(pointer: coarse)").matches ? 20 : 11.5;
    const size = Math.max(least, Math.min(48, (get("matrix").clientWidth - 134) / columns.length));
    const font = Math.min(13, Math.max(8, size / 2.2));
    const cells = names.map((_, row) => columns.map((_, column) =>
        make("td", {class: column >= names.length ? "rejected" : column === row ? "same" : ""})));
    const table = makeTable("Images by label and prediction at this threshold; blue: right, orange: wrong, grey: rejected; the deeper," +
        " the larger a share of the label's images", ["label \u2193 predicted \u2192", ...heads(columns, "col")],
        cells.map((row, i) => [heads([names[i]], "row")[0], ...row]));
    table.classList.add("matrix", size < 20 ? "dense" : "airy");
    for (const [name, value] of [["cell", size.toFixed(2) + "px"], ["font", font.toFixed(2) + "px"], ["columns", columns.length]])
        table.style.setProperty("--" + name, value);
    get("matrix").append(table);
    matrix = {table, cells, counts: null, digits: Math.floor(size / (0.66 * font))};
    listenMatrix();
}

function fillMatrix(counts) {
    counts.forEach((counted, row) => {
        const total = sum(counted);
        matrix.cells[row].forEach((cell, column) => {
            const count = counted[column], shade = cell.className.includes("rejected") ? "--shade-soft" :
                column === row ? "--shade" : "--shade-wrong";
            if (count === matrix.counts?.[row][column])
                return;
            cell.textContent = count;
            cell.classList.toggle("none", !count);
            cell.classList.toggle("tight", String(count).length > matrix.digits);
            cell.style.background = count ? `rgba(var(${shade}), ${(0.1 + 0.5 * Math.sqrt(count / total)).toFixed(3)})` : "";
        });
    });
    matrix.counts = counts;
}

// What a cell says, beside the pointer.
function listenMatrix() {
    const {table} = matrix, hint = get("hint");
    let hot = [];
    const leave = () => {
        hint.hidden = true;
        hot.forEach(head => head.classList.remove("hot"));
    };
    table.addEventListener("pointerover", event => {
        leave();
        const cell = event.target.closest("td");
        if (!cell)
            return;
        const row = cell.parentNode.rowIndex - 1, column = cell.cellIndex - 1, counted = matrix.counts[row];
        hot = [cell.parentNode.cells[0], table.querySelector("tr").cells[column + 1]];
        hot.forEach(head => head.classList.add("hot"));
        hint.textContent = names[row] + " \u2192 " + columns[column] + ": " + counted[column] + " of " + sum(counted) +
            " images (" + percent(counted[column] / sum(counted)) + ")";
        hint.hidden = false;
        hint.style.left = Math.max(8, Math.min(event.clientX + 14, innerWidth - hint.offsetWidth - 24)) + "px";
        hint.style.top = (event.clientY + (event.clientY > innerHeight - 80 ? -48 : 20)) + "px";
    });
    table.addEventListener("pointerleave", leave);
    table.addEventListener("scroll", leave);
}

function pairsTable(counts) {
    const pairs = counts.flatMap((counted, row) => names.map((name, column) => [names[row], name, counted[column]])
        .filter((pair, column) => pair[2] && column !== row));
    return makeTable("The most frequent errors among the accepted images", ["label", "predicted", "images"],
                     pairs.sort((a, b) => b[2] - a[2]).slice(0, 30));
}

// Columns of the table of classes; rates are of the images of a class but for the share wrong, of those accepted as it.
const classColumns = ["class", "images", "accuracy", "reject rate", ...unknown ? ["unknown"] : [], "risk", "accepted as",
                      "wrong of these", ...own ? ["own threshold"] : []];
let classSort = {column: 0, down: false};

function classRows(counts) {
    return counts.map((counted, row) => {
        const accepted = sum(counted.subarray(0, names.length)), n = sum(counted);
        const as = counts.reduce((a, b) => a + b[row], 0);
        return [row, n, counted.right / n, (n - accepted) / n, ...unknown ? [counted[names.length + 1] / n] : [],
                (accepted - counted[row]) / accepted, as, (as - counted[row]) / as, ...own ? [own.threshold[row]] : []];
    }).filter(r => r[1] || counts.some(counted => counted[r[0]]));
}

function sortButton(name, column) {
    const sorted = classSort.column === column;
    const button = make("button", {type: "button"}, name + (sorted ? (classSort.down ? " \u25bc" : " \u25b2") : ""));
    button.addEventListener("click", () => {
        classSort = {column, down: sorted ? !classSort.down : column > 0};
        showClasses(countsNow());
        get("per-class").querySelectorAll("th button")[column].focus();
    });
    return make("th", {scope: "col", "aria-sort": sorted ? (classSort.down ? "descending" : "ascending") : "none"}, button);
}

function classCell(value, column) {
    const name = classColumns[column];
    if (name === "own threshold")
        return exactCell(value);
    return name === "class" ? names[value] : name === "images" || name === "accepted as" ? value : percent(value);
}

function showClasses(counts) {
    const {column, down} = classSort, value = r => Number.isNaN(r[column]) ? -1 : r[column];
    const rows = classRows(counts).sort((a, b) => (value(a) - value(b)) * (down ? -1 : 1));
    const top = get("per-class").firstChild?.scrollTop;
    get("per-class").replaceChildren(makeTable("Accuracy of all images of a class; the rest at this threshold" + (own ?
        ". A class's own threshold is for the images accepted as it" : ""), classColumns.map(sortButton),
        rows.map(row => row.map(classCell))));
    get("per-class").firstChild.scrollTop = top;
}

function showConfusion() {
    if (!labels || names.length > 1000) {
        for (const id of ["matrix", "per-class"])
            get(id).textContent = "Left out for so many images or classes; classifier reject counts it.";
        return;
    }
    const counts = countsNow();
    if (names.length <= matrixMost) {
        if (!matrix)
            makeMatrix();
        fillMatrix(counts);
    }
    get("pairs").replaceChildren(...names.length < pairsFrom ? [] : [pairsTable(counts)]);
    showClasses(counts);
}

// ---- tables that do not move ----

const areas = [["aurc", "AURC"], ["eaurc", "E-AURC"], ["augrc", "AUGRC"], ["auroc", "AUROC"], ["nll", "NLL"],
               ["brier", "Brier score"], ["ece", "ECE"]];

function addTable(place, ...table) {
    get(place).append(makeTable(...table));
}

function exactCell(threshold) {
    return make("td", {title: threshold === null ? "" : "exactly " + threshold}, rounded(threshold));
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

const span = b => b.low.toFixed(3) + " to " + b.high.toFixed(3);

function showBins() {
    if (report.reliability)
        addTable("bins", "Reliability", ["confidence", "images", "mean confidence", "accuracy", "95 % interval"],
            report.reliability.filter(b => b.n).map(b => [span(b), b.n, b.confidence.toFixed(4), percent(b.right / b.n),
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
                                          exactCell(r.threshold)]));
    addTable("tables", "Coverage at a risk, chosen on these images: optimistic",
        ["risk at most", "coverage", "reject rate", "threshold"],
        report.coverage_at_risk.map(r => [percent(r.risk), percent(r.coverage), percent(r.reject_rate),
                                          exactCell(r.threshold)]));
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
    return {title: {display: true, text: title, color: colour("--soft")}, grid: {color: colour("--line")}, ...more,
            ticks: {color: colour("--soft"), ...more?.ticks}};
}

const inPercent = {ticks: {callback: v => +(100 * v).toPrecision(4) + "\u00a0%"}};

// said: the lines of the box beside the pointer, of a point of the chart.
function makeChart(name, x, y, said, more) {
    const options = {responsive: true, maintainAspectRatio: false, animation: false, scales: {x, y},
                     layout: {padding: {right: 12}},
                     plugins: {legend: {labels: {color: colour("--ink"), usePointStyle: true}},
                               tooltip: {callbacks: {title: () => "", label: said}}}};
    charts[name]?.destroy();
    charts[name] = new Chart(get(name), {options, ...more});
}

function line(label, data, ink, more) {
    return {type: "line", label, data, pointStyle: "line", radius: 0, borderWidth: 2.5, borderColor: colour(ink),
            backgroundColor: colour(ink), ...more};
}

const middle = b => (b.low + b.high) / 2;

// heights: of the bins, null: no bar. However small, a bar is seen.
function bars(label, bins, heights, more) {
    return {type: "bar", label, data: bins.map((b, i) => ({x: middle(b), y: heights[i]})), pointStyle: "rect",
            barPercentage: 1, categoryPercentage: 0.94, minBarLength: 2, ...more};
}

function confidenceAxis(bins, more) {
    return axis("confidence", {type: "linear", min: bins[0].low, max: bins[bins.length - 1].high, offset: false, ...more});
}

// Draw over the bars.
function overBars(draw) {
    return {id: draw.name, afterDatasetsDraw(chart) {
        const pen = chart.ctx;
        pen.save();
        pen.beginPath();
        pen.strokeStyle = pen.fillStyle = colour("--ink");
        draw(pen, chart.scales.x, chart.scales.y, chart.chartArea);
        pen.restore();
    }};
}

function cutPoint() {
    return cut.accepted ? [{x: cut.accepted / data.n, y: cut.errors / cut.accepted}] : [];
}

function makeCurve() {
    const stride = Math.max(1, Math.floor(steps / 800));
    const points = data.accepted.map((n, k) => ({x: n / data.n, y: data.errors[k] / n}))
        .filter((point, k) => k % stride === 0 || k === steps - 1);
    makeChart("curve", axis("coverage: share of images accepted", {type: "linear", min: 0, max: 1, ...inPercent}),
        axis("risk: share of errors among them", {min: 0, ...inPercent}),
        at => percent(at.parsed.y) + " risk at " + percent(at.parsed.x) + " coverage", {data: {datasets: [
            {type: "scatter", label: "this threshold", data: cutPoint(), pointStyle: "rectRot", radius: 9, hoverRadius: 9,
             clip: false, borderWidth: 2, backgroundColor: colour("--card"), borderColor: colour("--wrong")},
            line("risk at coverage", points, "--right")]}});
}

// The paler a bar, the less its images say: as pale as the interval is wide.
function makeReliability() {
    const bins = report.reliability, shade = colour("--shade");
    const fills = bins.map(b => `rgba(${shade}, ${b.n ? Math.max(0.15, 1 - 2 * (b.interval[1] - b.interval[0])).toFixed(2) : 1})`);
    function whiskers(pen, x, y) {
        for (const b of bins.filter(bin => bin.n)) {
            const at = Math.round(x.getPixelForValue(middle(b))) + 0.5, ends = b.interval.map(v => y.getPixelForValue(v));
            for (const [dx, from, to] of [[0, ...ends], [4, ends[0], ends[0]], [4, ends[1], ends[1]]]) {
                pen.moveTo(at - dx, from);
                pen.lineTo(at + dx, to);
            }
        }
        pen.lineWidth = 1.5;
        pen.stroke();
    }
    makeChart("reliability", confidenceAxis(bins), axis("accuracy", {min: 0, max: 1, ...inPercent}), at => {
        const b = bins[at.dataIndex];
        return at.datasetIndex ? [span(b), b.n + (b.n === 1 ? " image, " : " images, ") + percent(at.parsed.y) + " right",
                                  "95 %: " + between(b.interval, percent)] : at.dataset.label;
    }, {plugins: [overBars(whiskers)],
        data: {datasets: [
            line("perfectly calibrated", [{x: 0, y: 0}, {x: 1, y: 1}], "--ink", {borderWidth: 2, borderDash: [6, 4]}),
            bars("share of right answers", bins, bins.map(b => b.n ? b.right / b.n : null),
                 {backgroundColor: fills, borderColor: colour("--right"), borderWidth: 1})]}});
}

function thresholdLine(pen, x, y, area) {
    if (cut.threshold === null || !(cut.threshold >= x.min && cut.threshold <= x.max))
        return;
    const at = x.getPixelForValue(cut.threshold), right = at > (area.left + area.right) / 2;
    pen.setLineDash([6, 4]);
    pen.lineWidth = 2;
    pen.moveTo(at, area.top);
    pen.lineTo(at, area.bottom);
    pen.stroke();
    pen.textAlign = right ? "right" : "left";
    pen.fillText("threshold", at + (right ? -6 : 6), area.top + 10);
}

// How many images, on each bar; upright where it is too narrow.
function counts(pen, x, y) {
    const bins = report.histogram, width = x.getPixelForValue(bins[0].high) - x.getPixelForValue(bins[0].low);
    pen.font = "10px system-ui, sans-serif";
    const upright = bins.some(b => pen.measureText(b.n).width > width);
    pen.textAlign = upright ? "left" : "center";
    pen.textBaseline = upright ? "middle" : "bottom";
    for (const b of bins.filter(bin => bin.n)) {
        pen.save();
        pen.translate(x.getPixelForValue(middle(b)), y.getPixelForValue(b.n) - 4);
        pen.rotate(upright ? -Math.PI / 2 : 0);
        pen.fillText(b.n, 0, 0);
        pen.restore();
    }
}

function makeHistogram() {
    const bins = report.histogram, wrong = colour("--wrong");
    makeChart("histogram", confidenceAxis(bins, {stacked: true}), axis("images", {stacked: true, min: 0, grace: "15%"}),
        at => [span(bins[at.dataIndex]), at.parsed.y + " " + at.dataset.label], {
        plugins: [overBars(counts), overBars(thresholdLine)],
        data: {datasets: [
            bars("right", bins, bins.map(b => b.right || null), {backgroundColor: colour("--right")}),
            bars("wrong", bins, bins.map(b => b.n - b.right || null),
                 {backgroundColor: hatched(wrong), borderColor: wrong, borderWidth: 1})]}});
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
    rejected: i => !isAccepted(i),
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
                     : (isAccepted(item) ? "accepted" : "rejected") + ", confidence " +
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
    slider.setAttribute("aria-valuetext", "threshold " + thresholdText(rounded) + ", coverage " + percent(cut.accepted / data.n));
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
        [report.threshold !== null && report.threshold_note, `Threshold ${rounded(report.threshold)} (${report.threshold_note}).`],
        [own, "The cfg has a threshold of each class, which the figures follow as reported. The slider moves one for all."],
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
