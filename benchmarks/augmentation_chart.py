"""The table and the chart of `augmentation.py`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import mean
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    Accuracies = Mapping[str, Mapping[int, list[float]]]
    """Accuracies in [0, 1] over seeds, by arm and size."""


@dataclass(frozen=True, slots=True)
class Look:
    """An arm's words in the table and the chart, and its line; colours that the colour-blind tell apart."""

    title: str
    colour: str
    dash: str = "none"


LOOKS = {
    "real": Look("real alone", "#444444"),
    "affine": Look("real, affine", "#0072b2"),
    "own": Look("+ own generator", "#d55e00"),
    "own+affine": Look("+ own generator, affine", "#cc79a7"),
    "shipped": Look("+ generator that saw all 60,000", "#009e73", "6 4"),
}

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 760, 460, 64, 20, 20, 54
"""Of the chart and what surrounds its plot, in pixels."""

ERROR_MARKS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)


def draw_table(found: Accuracies) -> str:
    """Return the accuracies in Markdown: mean, lowest and highest in per cent, and of how many seeds if not of all."""
    arms = [arm for arm in LOOKS if found.get(arm)]
    sizes = sorted({size for arm in arms for size in found[arm]})
    most = max((len(values) for arm in arms for values in found[arm].values()), default=0)
    lines = [f"| N | {' | '.join(LOOKS[arm].title for arm in arms)} |", f"|{' --- |' * (len(arms) + 1)}"]
    for size in sizes:
        cells = [_cell(found[arm].get(size, []), most) for arm in arms]
        lines.append(f"| {size:,} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(values: list[float], most: int) -> str:
    if not values:
        return ""
    text = f"{100 * mean(values):.2f}"
    if len(values) > 1:
        text += f" ({100 * min(values):.2f} to {100 * max(values):.2f})"
    return text if len(values) == most else f"{text}, {len(values)} of {most} seeds"


class _Plot:
    """Places on the chart: sizes and errors, both on logarithmic scales."""

    def __init__(self, sizes: list[int], errors: list[float]) -> None:
        self.marks = [mark for mark in ERROR_MARKS if min(errors) / 1.6 < mark < max(errors) * 1.6]
        low, high = min(*errors, *self.marks) / 1.1, max(*errors, *self.marks) * 1.1
        self._x = (math.log(sizes[0]), math.log(sizes[-1] / sizes[0]) or 1.0)
        self._y = (math.log(low), math.log(high / low))

    def x(self, size: int) -> float:
        share = (math.log(size) - self._x[0]) / self._x[1]
        return LEFT + 16 + share * (WIDTH - LEFT - RIGHT - 32)

    def y(self, error: float) -> float:
        share = (math.log(error) - self._y[0]) / self._y[1]
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)


def draw_chart(found: Accuracies) -> str:
    """Return the share of the test digits that are misread over N as SVG: a line an arm, a bar over its seeds."""
    arms = [arm for arm in LOOKS if found.get(arm)]
    sizes = sorted({size for arm in arms for size in found[arm]})
    if not sizes:
        raise ValueError("no run is done: there is nothing to draw")
    smallest = 1e-4  # a classifier without a fault has no place on a logarithmic scale
    errors = {
        arm: {size: sorted(max(1 - value, smallest) for value in found[arm][size]) for size in found[arm]}
        for arm in arms
    }
    plot = _Plot(sizes, [error for by_size in errors.values() for of in by_size.values() for error in of])
    parts = [_axes(plot, sizes)]
    for place, arm in enumerate(arms):
        parts.append(_line(plot, errors[arm], LOOKS[arm], shift=3.0 * (place - (len(arms) - 1) / 2)))
        parts.append(_key(place, LOOKS[arm]))
    style = "text{font:13px sans-serif;fill:#222}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        f'role="img" aria-label="Share of misread test digits over the number of real training digits">'
        f'<style>{style}</style><rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>{"".join(parts)}</svg>\n'
    )


def _axes(plot: _Plot, sizes: list[int]) -> str:
    end, floor = WIDTH - RIGHT, HEIGHT - BOTTOM
    parts = [
        f'<path d="M{LEFT} {plot.y(mark):.1f}H{end}" stroke="#ddd"/>'
        f'<text x="{LEFT - 8}" y="{plot.y(mark) + 4:.1f}" text-anchor="end">{100 * mark:g} %</text>'
        for mark in plot.marks
    ]
    parts += [
        f'<text x="{plot.x(size):.1f}" y="{floor + 20}" text-anchor="middle">{size:,}</text>'
        for size in sizes
    ]
    parts.append(f'<path d="M{LEFT} {TOP}V{floor}H{end}" fill="none" stroke="#888"/>')
    middle = f'x="{(LEFT + end) / 2:g}" y="{HEIGHT - 12}" text-anchor="middle"'
    parts.append(f"<text {middle}>real training digits, N</text>")
    side = f'x="{-(TOP + floor) / 2:g}" y="16" text-anchor="middle" transform="rotate(-90)"'
    parts.append(f"<text {side}>real test digits misread</text>")
    return "".join(parts)


def _line(plot: _Plot, errors: Mapping[int, list[float]], look: Look, *, shift: float) -> str:
    """Return an arm's means, joined, and its bars from the best seed to the worst, beside those of other arms."""
    points = [(plot.x(size) + shift, plot.y(mean(errors[size]))) for size in sorted(errors)]
    path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    bars = "".join(
        f"M{x:.1f} {plot.y(errors[size][0]):.1f}V{plot.y(errors[size][-1]):.1f}"
        for size, (x, _) in zip(sorted(errors), points, strict=True)
    )
    dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{look.colour}"/>' for x, y in points)
    return (
        f'<path d="{path}" fill="none" stroke="{look.colour}" stroke-width="2" stroke-dasharray="{look.dash}"/>'
        f'<path d="{bars}" stroke="{look.colour}" stroke-width="2"/>{dots}'
    )


def _key(place: int, look: Look) -> str:
    x, y = WIDTH - RIGHT - 250, TOP + 16 + 20 * place
    return (
        f'<path d="M{x} {y}h28" stroke="{look.colour}" stroke-width="2" stroke-dasharray="{look.dash}"/>'
        f'<circle cx="{x + 14}" cy="{y}" r="3.5" fill="{look.colour}"/>'
        f'<text x="{x + 36}" y="{y + 4}">{look.title}</text>'
    )
