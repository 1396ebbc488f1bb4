"""What `benchmarks.bench` found, as Markdown tables and as one chart."""

from __future__ import annotations

import statistics
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

BAR_HEIGHT, BAR_GAP, LABEL_WIDTH, PLOT_WIDTH = 18, 8, 310, 380


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table; numbers stand to the right."""
    lines = [" | ".join(head), " | ".join(["---", *["---:"] * (len(head) - 1)])]
    lines += [" | ".join(str(cell) for cell in row) for row in rows]
    return "".join(f"| {line} |\n" for line in lines)


def _spread(values: Sequence[float], digits: int = 0) -> tuple[str, str]:
    low, high = (f"{value:,.{digits}f}" for value in (min(values), max(values)))
    return f"{statistics.median(values):,.{digits}f}", low if low == high else f"{low} to {high}"


def _side_by_side(found: Any) -> str:
    rates = table(
        ("rows/s, all cores", "median", "rounds"),
        ((name, *_spread(values)) for name, values in found["all"].items()),
    )
    return (
        rates
        + "\n"
        + table(
            ("ratio, precision", "median"),
            ((name, f"{ratio:.2f}") for name, ratio in found["ratios"].items()),
        )
    )


def _stages(found: Any) -> str:
    return table(
        ("stage, one core", "images", "rows/s", "bytes a row"),
        (
            (line["stage"], line["images"], f"{line['rows_per_s']:,}", line["bytes_per_row"])
            for line in found["stages"]
        ),
    )


def _runs(found: Any) -> str:
    return table(
        (
            "rows",
            "workers",
            "precision",
            "seconds in all",
            "rows/s making",
            "bytes a row",
            "driver MB",
            "worker MB",
        ),
        (
            (
                f"{run['count']:,}",
                run["workers"],
                run["precision"],
                f"{run['seconds']:.1f}",
                f"{run['rows_per_s']:,.0f}",
                f"{sum(run['bytes_a_row'].values()):.0f}",
                f"{run['driver_peak_bytes'] / 1e6:.0f}",
                f"{run['worker_peak_bytes'] / 1e6:.0f}",
            )
            for run in found
        ),
    )


def _startup(found: Any) -> str:
    return table(
        ("start-up", "seconds", "rounds"), ((name, *_spread(v, 2)) for name, v in found["all"].items())
    )


def _rates(found: Any) -> str:
    return table(("rows/s", "median", "rounds"), ((name, *_spread(v)) for name, v in found["all"].items()))


def _training(found: Any) -> str:
    return table(
        ("networks", "loop", "images/s", "times the tutorial's"),
        (
            (preset, loop, f"{figures['images_per_s']:,.0f}", f"{figures['times_the_tutorial']:.2f}")
            for preset, part in found["presets"].items()
            for loop, figures in part["loops"].items()
        ),
    )


SHOWN = {
    "side by side": _side_by_side,
    "stages": _stages,
    "scaling": _runs,
    "workers": _runs,
    "start-up": _startup,
    "row access": _rates,
    "reading": _rates,
    "training": _training,
}


def tables(report: dict[str, Any]) -> str:
    """Return the whole report as Markdown."""
    machines = "; ".join(
        dict.fromkeys(
            ", ".join(
                f"{key} {' '.join(value) if isinstance(value, list) else value}"
                for key, value in facts.items()
            )
            for facts in report["machines"].values()
        )
    )
    parts = [
        f"### {name}\n\n{show(report['parts'][name])}"
        for name, show in SHOWN.items()
        if name in report["parts"]
    ]
    return "\n".join([f"{machines}\n", *parts])


def chart(report: dict[str, Any]) -> str:
    """Return who makes how many rows a second as an SVG that reads on light and on dark pages."""
    found = report["parts"].get("side by side", {"all": {}})
    bars = {name: statistics.median(values) for name, values in found["all"].items() if "GFLOP" not in name}
    height = len(bars) * (BAR_HEIGHT + BAR_GAP) + BAR_GAP
    most = max(bars.values(), default=1.0)
    lines = []
    for place, (name, rate) in enumerate(bars.items()):
        y = BAR_GAP + place * (BAR_HEIGHT + BAR_GAP)
        width = rate / most * PLOT_WIDTH
        colour = "#3b82c4" if name.startswith("gangen") else "#8a8a8a"
        lines.append(
            f'<text x="{LABEL_WIDTH - 8}" y="{y + 13}" text-anchor="end">{escape(name)}</text>'
            f'<rect x="{LABEL_WIDTH}" y="{y}" width="{width:.1f}" height="{BAR_HEIGHT}" fill="{colour}"/>'
            f'<text x="{LABEL_WIDTH + width + 6:.1f}" y="{y + 13}">{rate:,.0f}</text>'
        )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {LABEL_WIDTH + PLOT_WIDTH + 80} {height}" role="img" '
        'aria-label="Rows a second on all cores" font-family="sans-serif" font-size="12" fill="#808080">'
        f"{''.join(lines)}</svg>\n"
    )
