"""Drawings of the report as inline SVG; the page's style sheet colours them, in light and in dark."""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ganmodel.evaluation import Figure, Neighbours

OCTAVES = 2.0
"""Reach of a ratio bar to either side of 1, in doublings: a quarter to four times."""


@dataclass(frozen=True, slots=True)
class _Frame:
    """A drawing's size and what surrounds its plot, in units of about a pixel."""

    width: float
    height: float
    left: float
    right: float = 8.0
    top: float = 10.0
    bottom: float = 40.0

    def x(self, share: float) -> float:
        return self.left + share * (self.width - self.left - self.right)

    def y(self, share: float) -> float:
        return self.height - self.bottom - share * (self.height - self.top - self.bottom)

    def path(self, points: Iterable[tuple[float, float]]) -> str:
        """Return the `d` of a line through points given as shares of the plot."""
        return "M" + "L".join(f"{self.x(x):.1f} {self.y(y):.1f}" for x, y in points)

    def grid(self, x_marks: Sequence[tuple[float, str]], y_marks: Sequence[tuple[float, str]]) -> str:
        """Return rules and their texts, each at a share of the plot."""
        end = self.width - self.right
        lines = [
            f'<line class="rule" x1="{self.left:g}" y1="{self.y(share):.1f}" x2="{end:g}" y2="{self.y(share):.1f}"/>'
            f'<text x="{self.left - 6:g}" y="{self.y(share) + 4:.1f}" text-anchor="end">{text}</text>'
            for share, text in y_marks
        ]
        for share, text in x_marks:
            anchor = "start" if share == 0 else "end" if share == 1 else "middle"
            place = f'x="{self.x(share):.1f}" y="{self.height - self.bottom + 17:g}"'
            lines.append(f'<text {place} text-anchor="{anchor}">{text}</text>')
        return "".join(lines)

    def svg(self, label: str, axis: str, body: str) -> str:
        """Return the whole drawing."""
        name = f'<text x="{self.x(0.5):.1f}" y="{self.height - 4:g}" text-anchor="middle">{axis}</text>'
        box = f'viewBox="0 0 {self.width:g} {self.height:g}"'
        return f'<svg class="chart" {box} role="img" aria-label="{label}">{body}{name}</svg>'


_WIDE = _Frame(640.0, 300.0, 44.0)
_SMALL = _Frame(320.0, 170.0, 52.0)


def ratio_bar(figure: Figure) -> str:
    """Return a bar from 1 to value / real, on a logarithmic scale; what is worse than real stands out."""
    width, height = 150.0, 16.0
    middle = width / 2
    frame = (
        f'<svg class="ratio" viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{_ratio_text(figure)}">'
        f'<line class="rule" x1="0" y1="8" x2="{width:g}" y2="8"/>'
    )
    mark = f'<line class="mark" x1="{middle:g}" y1="0" x2="{middle:g}" y2="{height:g}"/></svg>'
    if not (figure.value > 0 and figure.real > 0):
        return frame + mark
    octaves = math.log2(figure.value / figure.real)
    length = min(abs(octaves), OCTAVES) / OCTAVES * (middle - 2)
    is_worse = figure.better == "near" or (octaves > 0) == (figure.better == "lower")
    left = middle if octaves > 0 else middle - length
    bar = f'<rect class="{"worse" if is_worse else "better"}" x="{left:.1f}" y="3" width="{length:.1f}" height="10"/>'
    return frame + bar + mark


def _ratio_text(figure: Figure) -> str:
    if figure.value > 0 and figure.real > 0:
        return f"{figure.value / figure.real:.2f} times what real digits give"
    return "no ratio"


def distance_curves(neighbours: Neighbours) -> str:
    """Return the share of digits whose nearest neighbour is within a distance, for the subject and for real digits."""
    series = (
        ("real-train", neighbours.real_nn_train),
        ("real-held", neighbours.real_nn_held_out),
        ("own-held", neighbours.nn_held_out),
        ("own-train", neighbours.nn_train),
    )
    far = max(float(np.percentile(distances, 99.5)) for _, distances in series) or 1.0
    shares = np.linspace(0, 1, 101)
    lines = []
    for name, distances in series:
        reached = np.minimum(np.quantile(distances, shares) / far, 1)
        lines.append(f'<path class="line {name}" d="{_WIDE.path(zip(reached, shares, strict=True))}"/>')
    steps = (0, 0.25, 0.5, 0.75, 1)
    grid = _WIDE.grid([(s, f"{s * far:.1f}") for s in steps], [(s, f"{s:.0%}") for s in steps])
    label = "Cumulative distribution of the distance to the nearest neighbour"
    return _WIDE.svg(label, "distance to the nearest neighbour", grid + "".join(lines))


def training_curve(name: str, points: Sequence[tuple[int, float]]) -> str:
    """Return one curve of the training over its steps."""
    sound = [(step, value) for step, value in points if math.isfinite(value)]
    if len(sound) < 2:
        return ""
    first, last = sound[0][0], sound[-1][0]
    low, high = min(v for _, v in sound), max(v for _, v in sound)
    length, height = (last - first) or 1, (high - low) or 1.0
    path = _SMALL.path(((step - first) / length, (value - low) / height) for step, value in sound)
    x_marks = [(0.0, f"{first:,}"), (1.0, f"{last:,}")]
    y_marks = [(0.0, _short(low)), (1.0, _short(high))]
    body = f'{_SMALL.grid(x_marks, y_marks)}<path class="line own-train" d="{path}"/>'
    title = escape(name)
    drawing = _SMALL.svg(f"{title} over the training", "optimizer step", body)
    return f"<figure><figcaption>{title}</figcaption>{drawing}</figure>"


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
