"""Sections of the report: tables of labels, pictures of digits, distances and the training, as HTML."""

from __future__ import annotations

import base64
import math
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from ganmodel.png import encode_png, tile
from jobs import report_charts as charts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ganmodel.evaluation import Evaluation, Neighbours
    from jobs.findings import Findings


def section(title: str, intro: str, body: str) -> str:
    """Return a section of the page; `intro` and `body` are HTML."""
    return f"<section><h2>{title}</h2><p>{intro}</p>{body}</section>"


def table(head: list[str], rows: list[str], css: str = "") -> str:
    """Return a table that scrolls sideways where it must; rows are HTML, so are the cells of the head."""
    cells = "".join(text if text.startswith("<th") else f'<th scope="col">{text}</th>' for text in head)
    kind = f' class="{css}"' if css else ""
    return (
        f'<div class="scroll"><table{kind}><thead><tr>{cells}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def label_names(evaluation: Evaluation) -> list[str]:
    """Return the labels as people call them, escaped."""
    return [escape(name) for name in evaluation.dataset.get("class_names", map(str, range(10)))]


def confusion(findings: Findings) -> str:
    """Return what was asked for against what the first extractor sees; empty where that was not measured."""
    counts, extractors = findings.pictures.confusion, findings.evaluation.extractors
    if counts is None or not extractors:
        return ""
    names = label_names(findings.evaluation)
    rows = []
    for asked, row in enumerate(counts):
        cells = "".join(_heat(int(n), int(row.sum()), asked == judged) for judged, n in enumerate(row))
        rows.append(f'<tr><th scope="row">{names[asked]}</th>{cells}</tr>')
    intro = (
        "A row is the label asked for, a column the label seen. The judge errs too: real test digits are not all on "
        "the diagonal either."
    )
    title = f"What was asked, and what {escape(extractors[0].name)} sees"
    return section(title, intro, table(["Asked", *names], rows, "confusion"))


def _heat(count: int, total: int, is_right: bool) -> str:
    if count == 0:
        return '<td class="none">&middot;</td>'
    share = count / total
    # A root: one wrong digit in a thousand should still be seen.
    strength = 0.55 * share if is_right else min(0.85, 0.1 + 2.2 * math.sqrt(share))
    return f'<td class="{"right" if is_right else "off"}" style="--a:{strength:.2f}">{count:,}</td>'


def samples(findings: Findings) -> str:
    """Return a row of digits for each label."""
    rows = zip(label_names(findings.evaluation), findings.pictures.samples, strict=True)
    strips = "".join(
        f"<span>{name}</span>{_image(row, f'{len(row)} digits that were to show {name}')}"
        for name, row in rows
    )
    return section("Digits", "The first of each label, none picked.", f'<div class="strips">{strips}</div>')


def closest(neighbours: Neighbours | None) -> str:
    """Return the digits closest to the training set with their neighbours; empty where nobody looked."""
    if neighbours is None or len(neighbours.closest) == 0:
        return ""
    pairs = []
    for triple in neighbours.closest:
        pixels = triple.astype(np.float64) / 255
        near, held = (math.sqrt(float(np.square(pixels[0] - other).sum())) for other in pixels[1:])
        image = _image(triple, "a digit, its nearest training digit, its nearest held-out digit")
        caption = f"<span>digit</span><span>{near:.2f}</span><span>{held:.2f}</span>"
        pairs.append(f"<figure>{image}<figcaption>{caption}</figcaption></figure>")
    intro = (
        "The three digits of each label that come closest. In each picture: the digit; the nearest of all training "
        "digits; the nearest held-out digit, which the generator has never seen. Below, the distances. Where there are "
        "more training digits than held-out ones their nearest is nearer in any case; a copy would be the same picture."
    )
    return section("Closest to the training set", intro, f'<div class="pairs">{"".join(pairs)}</div>')


_CURVES = (
    ("own-train", "these digits to training digits"),
    ("own-held", "these digits to held-out digits"),
    ("real-train", "real digits to training digits"),
    ("real-held", "real digits to held-out digits"),
)


def distances(neighbours: Neighbours | None) -> str:
    """Return the distributions of distances to the nearest neighbour; empty where nobody looked."""
    if neighbours is None:
        return ""
    legend = "".join(
        f'<li><svg viewBox="0 0 30 8" aria-hidden="true"><path class="line {name}" d="M0 4L30 4"/></svg>{text}</li>'
        for name, text in _CURVES
    )
    intro = (
        "Share of digits whose nearest neighbour lies within a distance; both sets have the same size. A generator "
        "that memorises comes nearer to training digits than to held-out ones: the solid blue line would rise before "
        "the dashed one. Blue left of grey says that these digits are more typical, and less varied, than real ones."
    )
    body = f'<ul class="legend">{legend}</ul><div class="wide">{charts.distance_curves(neighbours)}</div>'
    return section("Distance to the nearest neighbour", intro, body)


def training(findings: Findings) -> str:
    """Return the curves of the generator's training; empty where its folder has no log."""
    drawn = "".join(charts.training_curve(name, points) for name, points in findings.curves.items())
    intro = "What the training wrote down, step by step."
    return section("Training of the generator", intro, f'<div class="curves">{drawn}</div>') if drawn else ""


def _image(images: NDArray[np.uint8], text: str) -> str:
    """Return a row of digits as a picture within the page."""
    data = base64.b64encode(encode_png(tile(images, len(images)))).decode("ascii")
    return f'<img alt="{text}" src="data:image/png;base64,{data}">'
