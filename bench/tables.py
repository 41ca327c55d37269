"""What was measured, as Markdown."""
import statistics

from peers import LAYOUTS, ratios


def table(heads, rows):
    yield "| " + " | ".join(heads) + " |"
    yield "|" + "|".join("---" if i < 2 else "--:" for i in range(len(heads))) + "|"
    for row in rows:
        yield "| " + " | ".join(row) + " |"
    yield ""


def number(value, digits=0, factor=1):
    return "-" if value is None else f"{value * factor:,.{digits}f}"


def of(columns, name, key, digits=0, factor=1):
    return number(columns[name].number(key) if name in columns else None, digits, factor)


def best_torch(columns):
    """The faster layout with libc's malloc; None: no PyTorch."""
    layouts = [columns[name] for name in LAYOUTS if name in columns]
    layouts = [column for column in layouts if column.number("step_ms")]
    return min(layouts, key=lambda column: column.number("step_ms"), default=None)


def ratio(numerator, denominator):
    """Median of the rounds, and the least and largest of them."""
    values = ratios(numerator, denominator)
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})" if values else "-"


def peak(column):
    return number(column.largest("peak_mib") if column else None)


def speeds(results):
    heads = ["network", "step", "onednn", "PyTorch contiguous", "channels_last", "tuned", "host", "convolutions alone"]
    names = ["onednn", "contiguous", "channels_last", "keep", "host", "bound"]
    yield "Images a second:"
    yield ""
    yield from table(heads, ([str(network), mode] + [of(columns, name, "images_per_second") for name in names]
                             for network, mode, columns in results))


def comparisons(results):
    heads = ["network", "step", "onednn / PyTorch", "onednn / tuned", "onednn / host", "time / convolutions alone",
             "cost section", "update"]
    rows = []
    for network, mode, columns in results:
        ours = columns.get("onednn")
        peers = [best_torch(columns), columns.get("keep"), columns.get("host")]
        shares = [of(columns, "onednn", key, 3, 100) for key in ("cost_share", "update_share")]
        rows.append([str(network), mode] + [ratio(peer, ours) for peer in peers] + [ratio(ours, columns.get("bound"))] +
                    [share if share == "-" else share + " %" for share in shares])
    yield "Speed against each other (median of the rounds, least to largest), the time of a step over that of its"
    yield "convolutions alone, and what the cost section and the update take of a step:"
    yield ""
    yield from table(heads, rows)


def memory(results):
    heads = ["network", "step", "onednn", "PyTorch", "tuned", "host"]
    yield "Peak memory, MiB (PyTorch: of the faster layout):"
    yield ""
    yield from table(heads, ([str(network), mode, *map(peak, (columns.get("onednn"), best_torch(columns),
                                                              columns.get("keep"), columns.get("host")))]
                             for network, mode, columns in results))


def everything(title, results):
    """results: list of (network, mode, {name: Column})."""
    yield f"### {title}"
    yield ""
    yield from speeds(results)
    yield from comparisons(results)
    yield from memory(results)
