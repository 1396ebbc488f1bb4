"""The report of an evaluation: one HTML page that needs nothing else, and the same figures as JSON."""

from __future__ import annotations

import json
import math
from html import escape
from itertools import groupby
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

from ganmodel import __version__
from ganmodel.weights import replace_on_success
from jobs import report_charts as charts
from jobs import report_sections as sections
from jobs.render_evaluation import TITLES, against_real, evaluation_facts, number, with_spread

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ganmodel.evaluation import Evaluation, Figure
    from jobs.findings import Findings

PAGE_FILE = "report.html"
JSON_FILE = "report.json"

_BETTER = {"lower": "lower is better", "higher": "higher is better", "near": "best near real"}

_MEANINGS = {
    "fid": "distance of the distributions in the extractor's features",
    "frechet_logits": "the same on its ten logits, as TF-GAN has it",
    "classifier_score": "how sure and how varied the extractor's judgement is",
    "cas": "accuracy on real test digits of a network that has seen the synthetic ones alone",
    "precision": "share of digits that lie among real ones",
    "recall": "share of real digits that lie among these",
    "density": "how deep among real ones",
    "coverage": "share of real digits with one of these nearby",
    "label_agreement": "share that the extractor takes for what was asked",
    "label_histogram": "half the sum of differences between planned and judged shares",
    "nn_ratio": "distance to training digits over distance to held-out ones; below real: memorised",
    "nn_p1": "how near the nearest hundredth of the digits come to training digits",
}


def write_report(folder: Path, findings: Findings, command: str) -> None:
    """Write the page and the JSON, each whole or not at all.

    Args:
        folder: exists.
        findings: what is reported.
        command: what asks for the same evaluation again.
    """
    with replace_on_success(folder / JSON_FILE) as temporary:
        temporary.write_text(json.dumps(evaluation_facts(findings)) + "\n")
    with replace_on_success(folder / PAGE_FILE) as temporary:
        temporary.write_text(render_page(findings, command), encoding="utf-8")


def render_page(findings: Findings, command: str) -> str:
    """Return the page."""
    evaluation = findings.evaluation
    subject, dataset = evaluation.subject, evaluation.dataset
    kind = "data set" if subject["kind"] == "data" else "model"
    body = [
        _figures(evaluation),
        sections.samples(findings),
        _classes(evaluation),
        sections.confusion(findings),
        sections.closest(findings.pictures.neighbours),
        sections.distances(findings.pictures.neighbours),
        sections.training(findings),
        _provenance(evaluation, command),
    ]
    return Template((Path(__file__).parent / "report.html").read_text(encoding="utf-8")).substitute(
        title=escape(f"Evaluation of {subject['name']}"),
        heading=f"How close do the digits of the {kind} <em>{escape(subject['name'])}</em> come to real ones?",
        lead=(
            f"{evaluation.samples:,} digits against {escape(dataset['name'])}: {dataset['train_rows']:,} real digits "
            f"to train on and a test split of {dataset['test_rows']:,} kept apart from training. Every figure stands "
            "beside what as many real digits give in the same place."
        ),
        tiles="".join(_tiles(evaluation)),
        sections="\n".join(filter(None, body)),
        version=__version__,
        json_name=JSON_FILE,
    )


def _tiles(evaluation: Evaluation) -> Iterable[str]:
    """Yield the few figures to look at first; of several extractors the less favourable one."""
    for metric in ("fid", "cas", "coverage", "label_agreement", "nn_ratio"):
        found = [figure for figure in evaluation.figures if figure.metric == metric]
        if not found:
            continue
        if metric == "fid":
            worst = max(found, key=lambda f: f.value / f.real if f.real > 0 else f.value)
            shown, rest = against_real(worst).replace(" x floor", "\u00d7"), "the floor of real digits"
        else:
            worst = min(found, key=lambda f: f.value - f.real)
            shown, rest = number(worst.value), f"real digits {number(worst.real)}"
        name = f"{TITLES[metric]}{f', {escape(worst.extractor)}' if worst.extractor else ''}"
        yield f"<div><dt>{name}</dt><dd>{shown}<small>{rest}</small></dd></div>"


def _figures(evaluation: Evaluation) -> str:
    rows = []
    for metric, group in groupby(evaluation.figures, key=lambda figure: figure.metric):
        figures = list(group)
        title = (
            f'<th scope="rowgroup" rowspan="{len(figures)}">{_title(figures[0])}'
            f"<small>{_MEANINGS.get(metric, '')}; {_BETTER[figures[0].better]}</small></th>"
        )
        for i, figure in enumerate(figures):
            rows.append(
                f"<tr>{'' if i else title}<td>{escape(figure.extractor or '')}</td>"
                f'<td class="n">{_pm(figure.value, figure.spread)}</td>'
                f'<td class="n">{_pm(figure.real, figure.real_spread)}</td>'
                f'<td class="n">{against_real(figure)}</td><td>{charts.ratio_bar(figure)}</td>'
                f'<td class="where">{figure.samples:,} digits<small>{escape(figure.reference)}</small></td></tr>'
            )
    right = [f'<th scope="col" class="n">{text}</th>' for text in ("Value", "Real digits", "Against real")]
    head = ["Figure", "Extractor", *right, "Ratio to real, &frac14; to 4", "Measured on"]
    intro = (
        "A figure alone says little: its floor or ceiling is the same measurement with real digits in the place of "
        "these. A bar begins at real, in the middle, and ends at value over real; orange is the worse side."
    )
    return sections.section("Figures", intro, sections.table(head, rows, "figures"))


def _title(figure: Figure) -> str:
    return escape(TITLES.get(figure.metric, figure.metric))


def _pm(value: float, spread: float | None) -> str:
    return with_spread(value, spread).replace("+-", "&plusmn;&nbsp;")


def _classes(evaluation: Evaluation) -> str:
    rows = []
    for figure in evaluation.figures:
        if figure.per_class is None:
            continue
        real = figure.real_per_class or (math.nan,) * len(figure.per_class)
        cells = "".join(
            f"<td>{number(mine)}<small>{number(theirs)}</small></td>"
            for mine, theirs in zip(figure.per_class, real, strict=True)
        )
        extractor = f"<small>{escape(figure.extractor)}</small>" if figure.extractor else ""
        rows.append(f'<tr><th scope="row">{_title(figure)}{extractor}</th>{cells}</tr>')
    if not rows:
        return ""
    body = sections.table(["Label", *sections.label_names(evaluation)], rows, "classes")
    intro = "Below each value, what real digits of that label give; below each share of the histogram, the planned one."
    return sections.section("Label by label", intro, body)


def _provenance(evaluation: Evaluation, command: str) -> str:
    subject, dataset = evaluation.subject, evaluation.dataset
    same = {None: "unknown", dataset["train_digest"]: "this training split"}
    facts = {
        "digits of": subject["path"],
        "digest": subject["digest"],
        "seed, truncation": f"{subject['seed']}, {subject['truncation']:g}",
        "real digits": f"{dataset['name']}, training split {dataset['train_digest']}",
        "generator trained on": same.get(subject["trained_on"], f"another set, {subject['trained_on']}"),
        **{
            f"extractor {facts.name}": f"{facts.digest}; {facts.test_accuracy:.4f} of the real test split right; "
            + ("ships with gangen" if facts.shipped else "trained for this report")
            for facts in evaluation.extractors
        },
        "measured on": ", ".join(f"{name} {value}" for name, value in evaluation.device.items()),
        "seconds": ", ".join(f"{name} {value:,.0f}" for name, value in evaluation.seconds.items()),
    }
    rows = "".join(f"<dt>{escape(name)}</dt><dd>{escape(str(value))}</dd>" for name, value in facts.items())
    body = f'<dl class="facts">{rows}</dl><pre>{escape(command)}</pre>'
    return sections.section("Where this comes from", "The same command gives the same figures.", body)
