"""The evaluation job: parts to workers, their findings into one result. And the training of extractors."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ganmodel.errors import Interrupted
from ganmodel.evaluation import FEATURE_METRICS, Evaluation, Pictures, cas_figure
from ganmodel.extractors import shipped_for
from ganmodel.model_dir import resolve_model_dir
from jobs.findings import Findings
from jobs.measure import Part, PartResult, plan_parts
from jobs.pool import Pool
from jobs.progress import Note, Reporter, say

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager

    from ganmodel.evaluation import Figure
    from jobs.specs import EvaluateSpec, ExtractorsSpec

WORKER_BYTES = 2_000_000_000
"""Memory of a worker: TensorFlow, the real digits and as many of the subject's, distances in pieces."""

LOG_FILE = "metrics.jsonl"
"""What `ganmodel.monitor.RunLog` writes beside a model."""

CURVE_POINTS = 300
"""Points of a training curve that a report keeps."""

METRIC_ORDER = (
    "fid",
    "frechet_logits",
    "classifier_score",
    "cas",
    "precision",
    "recall",
    "density",
    "coverage",
    "label_agreement",
    "label_histogram",
    "nn_ratio",
    "nn_p1",
)


def evaluate(spec: EvaluateSpec, connect: Callable[[], AbstractContextManager[None]]) -> Findings:
    """Measure a generator's digits, or a data set's, against real ones.

    Args:
        spec: the job.
        connect: opens the way to Ray.

    Returns:
        The figures, and what a report shows besides.

    Raises:
        Interrupted: asked to stop; nothing is kept.
        GangenError: what a part found wrong.
        ClusterError: a part took down one worker after the other.
    """
    from jobs.tasks import EvaluateWorker

    began = time.monotonic()
    parts = plan_parts(spec.metrics)
    results: dict[Part, PartResult] = {}
    how_far = dict.fromkeys(parts, Note())
    whole = sum(part.weight for part in parts)
    with Reporter("evaluating", "%", 100) as reporter, connect():

        def show(running: Mapping[Part, Note]) -> None:
            how_far.update(running)
            told = "; ".join(": ".join(filter(None, (str(part), n.text))) for part, n in running.items())
            update(told)

        def update(note: str) -> None:
            done = sum(part.weight * how_far[part].share for part in parts)
            reporter.update(int(100 * done / whole), note=note)

        def on_done(part: Part, result: PartResult) -> None:
            results[part] = result
            how_far[part] = Note(share=1.0)
            if part.kind == "about":
                _tell_about(spec, result)
            update(f"{part}: {result.seconds:,.0f} s")

        def start() -> Any:
            return EvaluateWorker.options(num_cpus=1).remote(spec.model_dump_json())  # type: ignore[attr-defined]

        pool = Pool(start, _room(), on_done, show)
        try:
            pool.run(parts)
        except KeyboardInterrupt:
            raise Interrupted("interrupted: nothing is kept; the same command starts over") from None
    findings = _put_together(spec, results, round(time.monotonic() - began, 1))
    return replace(findings, losses=pool.losses.counts())


def train_extractors(
    spec: ExtractorsSpec, connect: Callable[[], AbstractContextManager[None]]
) -> dict[str, Any]:
    """Train the two classifiers on a Ray worker and write them.

    Args:
        spec: the job.
        connect: opens the way to Ray.

    Returns:
        What `extractors.json` says.

    Raises:
        Interrupted: asked to stop; nothing is written.
        GangenError: what the training found wrong.
    """
    from jobs.tasks import ExtractorsWorker

    found: list[Any] = []
    with Reporter("training", "%", 100) as reporter, connect():

        def start() -> Any:
            return ExtractorsWorker.options(num_cpus=1).remote(spec.model_dump_json())  # type: ignore[attr-defined]

        def show(running: Mapping[None, Note]) -> None:
            for note in running.values():
                reporter.update(int(100 * note.share), note=note.text)

        pool = Pool(start, 1, lambda _, info: found.append(info), show)
        try:
            pool.run([None])
        except KeyboardInterrupt:
            raise Interrupted("interrupted: nothing is written; the same command starts over") from None
    facts: dict[str, Any] = found[0].model_dump(mode="json")
    return facts


def _room() -> int:
    """Return how many workers the cluster has room for now, at least one."""
    import ray

    resources = ray.cluster_resources()
    return max(1, int(min(resources.get("CPU", 1), resources.get("memory", 0) // WORKER_BYTES)))


def _tell_about(spec: EvaluateSpec, result: PartResult) -> None:
    """Say what a reader should know before the figures come."""
    dataset, trained_on = result.facts["dataset"], spec.subject.trained_on
    say(
        f"data: {result.facts['samples']:,} digits of {spec.subject.name} against the test split of {dataset['name']}, "
        f"{dataset['test_rows']:,}"
    )
    if trained_on not in (None, dataset["train_digest"]):
        say(
            f"note: the generator was trained on another set ({trained_on[:12]}) than the training split of "
            f"{dataset['name']} ({dataset['train_digest'][:12]}); memorisation is looked for in the latter"
        )
    if set(FEATURE_METRICS) & set(spec.metrics) and shipped_for(dataset["train_digest"]) is None:
        say(f"extractors: none ships for this training split of {dataset['name']}; two are trained on it now")


def _put_together(spec: EvaluateSpec, results: dict[Part, PartResult], seconds: float) -> Findings:
    about = results[Part(kind="about")]
    ordered = {part: results[part] for part in plan_parts(spec.metrics)}
    figures: list[Figure] = [figure for result in ordered.values() for figure in result.figures]
    runs = {part: result.cas for part, result in ordered.items() if result.cas is not None}
    if runs:
        synthetic, real = (
            [run for p, run in runs.items() if p.on_real is wanted] for wanted in (False, True)
        )
        samples = next(ordered[p].facts["cas_samples"] for p in runs if not p.on_real)
        rows = about.facts["dataset"]["test_rows"]
        figures.append(cas_figure(synthetic, real, samples=samples, test_rows=rows))
    # Stable: the extractors of one metric stay in their order.
    figures.sort(key=lambda figure: METRIC_ORDER.index(figure.metric))
    evaluation = Evaluation(
        subject=spec.subject.model_dump(mode="json"),
        dataset=about.facts["dataset"],
        samples=about.facts["samples"],
        extractors=tuple(facts for result in ordered.values() for facts in result.extractors),
        figures=tuple(figures),
        seconds={**{str(part): result.seconds for part, result in ordered.items()}, "all": seconds},
        device=about.facts["device"],
    )
    pictures = Pictures(
        samples=about.grid,
        neighbours=next((r.neighbours for r in ordered.values() if r.neighbours), None),
        confusion=next((r.confusion for r in ordered.values() if r.confusion is not None), None),
    )
    return Findings(evaluation=evaluation, pictures=pictures, curves=_training_curves(spec))


def _training_curves(spec: EvaluateSpec) -> dict[str, list[tuple[int, float]]]:
    """Return the curves of the model's training, (step, value) by name; none where its folder has no log."""
    if spec.subject.kind != "model":
        return {}
    try:
        lines = (resolve_model_dir(spec.subject.path) / LOG_FILE).read_text().splitlines()
        entries = [json.loads(line) for line in lines if line]
    except (OSError, ValueError):
        return {}  # Shipped, copied without it, or being written: the figures do not depend on it.
    curves: dict[str, list[tuple[int, float]]] = {}
    for entry in entries:
        for name, value in entry.items():
            if name not in ("step", "window_steps"):
                curves.setdefault(name, []).append((int(entry["step"]), float(value)))
    return {name: points[:: -(-len(points) // CURVE_POINTS)] for name, points in curves.items()}
