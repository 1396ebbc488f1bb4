"""What `gangen evaluate` and `gangen train-extractors` print to stdout, and how figures are worded everywhere."""

from __future__ import annotations

import json
import math
import shlex
from typing import TYPE_CHECKING, Any

from ganmodel.model_dir import QualityFigure
from jobs.losses import lost_lines

if TYPE_CHECKING:
    from ganmodel.evaluation import Evaluation, Figure
    from jobs.findings import Findings
    from jobs.specs import EvaluateSpec, ExtractorsSpec

TITLES = {
    "fid": "FID",
    "frechet_logits": "Frechet distance of logits",
    "classifier_score": "classifier score",
    "cas": "CAS",
    "precision": "precision",
    "recall": "recall",
    "density": "density",
    "coverage": "coverage",
    "label_agreement": "label agreement",
    "label_histogram": "label histogram, distance",
    "nn_ratio": "nearest neighbour, ratio",
    "nn_p1": "nearest neighbour, 1st percentile",
}


def evaluation_facts(findings: Findings) -> dict[str, Any]:
    """Return the evaluation, and what was lost on the way, as JSON can carry it: what is not a number becomes null."""
    return {**json.loads(findings.evaluation.model_dump_json()), "losses": findings.losses}


def quality_figures(evaluation: Evaluation) -> dict[str, QualityFigure]:
    """Return the figures as `model.json` keeps them and a data set's card shows them."""
    return {
        ", ".join(filter(None, (TITLES[figure.metric], figure.extractor))): QualityFigure(
            value=figure.value,
            real=figure.real,
            samples=figure.samples,
            reference=f"{evaluation.dataset['name']}, {figure.reference}",
        )
        for figure in evaluation.figures
        if math.isfinite(figure.value) and math.isfinite(figure.real)
    }


def number(value: float) -> str:
    """Return a figure with the digits that mean something."""
    if not math.isfinite(value):
        return "-"
    return f"{value:.4f}" if abs(value) < 10 else f"{value:.2f}" if abs(value) < 1000 else f"{value:,.0f}"


def with_spread(value: float, spread: float | None) -> str:
    """Return a figure and its spread over seeds."""
    return number(value) if spread is None else f"{number(value)} +-{number(spread)}"


def against_real(figure: Figure) -> str:
    """Return how a figure compares with what real digits give: a ratio to a floor, else a difference."""
    if not (math.isfinite(figure.value) and math.isfinite(figure.real)):
        return "-"
    if figure.better == "lower" and figure.real > 0:
        return f"{figure.value / figure.real:.2f} x floor"
    return f"{figure.value - figure.real:+.4f}"


def subject_text(evaluation: Evaluation) -> str:
    """Return what was judged, in a few words."""
    subject = evaluation.subject
    what = "data set" if subject["kind"] == "data" else "model"
    return f"{what} {subject['name']} ({subject['digest'][:12]})"


def evaluation_text(findings: Findings, report: str | None, command: str) -> str:
    """Return the text twin of `evaluation_facts`; the last line says what to do next.

    Args:
        findings: the result.
        report: path of the page, where one was written.
        command: what writes one, where none was.
    """
    evaluation = findings.evaluation
    dataset = evaluation.dataset
    rows = [
        (
            TITLES.get(figure.metric, figure.metric),
            figure.extractor or "",
            with_spread(figure.value, figure.spread),
            with_spread(figure.real, figure.real_spread),
            against_real(figure),
            f"{figure.samples:,}",
            figure.reference,
        )
        for figure in evaluation.figures
    ]
    head = ("figure", "extractor", "value", "real digits", "against real", "digits", "reference")
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    lines = [
        f"evaluated {subject_text(evaluation)}: {evaluation.samples:,} digits against {dataset['name']}, "
        f"{dataset['train_rows']:,} to train and {dataset['test_rows']:,} to test"
    ]
    for row in [head, *rows]:
        cells = (text.ljust(width) for text, width in zip(row, widths, strict=True))
        lines.append(f"  {'  '.join(cells)}".rstrip())
    for facts in evaluation.extractors:
        origin = "ships with gangen" if facts.shipped else "trained on the spot"
        lines.append(
            f"  extractor {facts.name} {facts.digest[:12]}: {facts.test_accuracy:.4f} of the test split right, {origin}"
        )
    lines += lost_lines(findings.losses, "their parts were done again")
    lines.append(f"  took {evaluation.seconds['all']:,.0f} s")
    lines.append(f"next: open {report}" if report else f"next: {command}")
    return "\n".join(lines)


def evaluate_command(spec: EvaluateSpec) -> str:
    """Return the command that asks for the same evaluation again."""
    subject = spec.subject
    words = ["gangen", "evaluate", f"--{subject.kind}", subject.path, "--dataset", spec.source]
    if spec.samples is not None:
        words += ["--samples", str(spec.samples)]
    words += ["--metrics", ",".join(spec.metrics)]
    if subject.kind == "model":
        words += ["--truncation", f"{subject.truncation:g}", "--seed", str(subject.seed)]
    return shlex.join(words)


def plan_text(facts: dict[str, Any], parts: list[str]) -> str:
    """Return what `--dry-run` tells of an evaluation."""
    subject = facts["subject"]
    samples = f"{facts['samples']:,}" if facts["samples"] else "10,000, or as many as there are"
    lines = [
        f"would evaluate {subject['kind']} {subject['name']} ({subject['digest'][:12]})",
        f"  digits    {samples}",
        f"  real      {facts['source']}",
        f"  metrics   {', '.join(facts['metrics'])}",
        f"  parts     {'; '.join(parts)}",
        "next: the same command without --dry-run",
    ]
    return "\n".join(lines)


def extractors_text(facts: dict[str, Any], spec: ExtractorsSpec) -> str:
    """Return what a finished training of extractors tells."""
    lines = [f"trained {len(facts['extractors'])} extractors on {facts['dataset']} into {spec.out}"]
    for entry in facts["extractors"]:
        right = f"{entry['test_accuracy']:.4f} of {facts['test_rows']:,} test images right"
        lines.append(f"  {entry['name']:10} {entry['digest'][:12]}  {entry['features']:,} features, {right}")
    lines.append(f"next: gangen evaluate --dataset {shlex.quote(spec.source)}")
    return "\n".join(lines)
