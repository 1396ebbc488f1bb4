"""One part of an evaluation, as a worker does it: load what it needs once, measure, return what is small. No Ray."""

from __future__ import annotations

import os
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from filelock import FileLock

from ganmodel.data import needs_download
from ganmodel.device import configure_tensorflow, device_facts
from ganmodel.errors import DataError, ModelError
from ganmodel.evaluation import CAS_SEEDS, FEATURE_METRICS, Subject
from ganmodel.labels import parse_labels
from ganmodel.latents import BLOCK_ROWS
from jobs.inputs import load_test_set, load_training_set, local_model
from jobs.reading import open_dataset, read_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from ganmodel.data import TrainingSet
    from ganmodel.evaluation import CasRun, ExtractorFacts, Figure, Neighbours
    from ganmodel.extractors import ExtractorsInfo
    from jobs.specs import EvaluateSpec, ExtractorsSpec

NUM_EXTRACTORS = 2
"""Features under each are a part of their own."""

GRID_COLUMNS = 12
"""Digits of each label that a report shows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What one worker does at a time.

    Attributes:
        kind: `about` (facts and sample digits), `features` (fid, prdc and label under one extractor), `cas` (one
            training) or `nn`.
        extractor: number of the extractor, for `features`.
        on_real: whether CAS trains on real digits, for the ceiling.
        seed: of a CAS training.
    """

    kind: Literal["about", "features", "cas", "nn"]
    extractor: int = 0
    on_real: bool = False
    seed: int = 0

    @property
    def weight(self) -> int:
        """Return how long it takes beside others, roughly, as seen with MNIST's 60,000 and 10,000 digits."""
        return {"about": 1, "features": 12, "cas": 50, "nn": 12}[self.kind]

    def __str__(self) -> str:
        """Return a few words for people."""
        if self.kind == "features":
            return f"features {self.extractor + 1}"
        if self.kind == "cas":
            return f"cas on {'real' if self.on_real else 'synthetic'} digits, seed {self.seed}"
        return {"about": "digits", "nn": "nearest neighbours"}[self.kind]


def plan_parts(metrics: Sequence[str]) -> list[Part]:
    """Return what there is to do, in the order to begin it: long parts first, so that no core waits at the end."""
    parts = [Part(kind="about")]
    if "cas" in metrics:
        parts += [Part(kind="cas", on_real=real, seed=seed) for seed in CAS_SEEDS for real in (True, False)]
    if set(metrics) & set(FEATURE_METRICS):
        parts += [Part(kind="features", extractor=number) for number in range(NUM_EXTRACTORS)]
    return [*parts, Part(kind="nn")] if "nn" in metrics else parts


@dataclass(frozen=True, slots=True, kw_only=True)
class PartResult:
    """What a part found; what does not belong to its kind is empty.

    Attributes:
        figures: of `features` and `nn`.
        extractors: those that `features` used.
        confusion: [10, 10] int64, of `features` under the first extractor.
        cas: of `cas`.
        neighbours: of `nn`.
        grid: [10, n, 28, 28] uint8, of `about`.
        facts: dataset, samples and device, of `about`; cas_samples, of `cas`.
        seconds: wall-clock time, loading and drawing included.
    """

    figures: tuple[Figure, ...] = ()
    extractors: tuple[ExtractorFacts, ...] = ()
    confusion: NDArray[np.int64] | None = None
    cas: CasRun | None = None
    neighbours: Neighbours | None = None
    grid: NDArray[np.uint8] = field(default_factory=lambda: np.zeros((10, 0, 28, 28), np.uint8))
    facts: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0


class Measurer:
    """Holds the real digits and the subject's, and measures part by part.

    Args:
        spec: the evaluation.
        on_note: called with a few words on what is going on, and the share of the part that is done.
    """

    def __init__(self, spec: EvaluateSpec, on_note: Callable[[str, float], None]) -> None:
        configure_tensorflow(threads=1, use_gpus=False)
        self._spec = spec
        self._on_note = on_note
        self._train, self._test = load_real(spec.source)
        self._digits = _Digits(spec)

    def measure(self, part: Part) -> PartResult:
        """Do a part.

        Raises:
            DataError: the data set is not, or no longer, what the specification says.
            ModelError: neither is the model.
        """
        began = time.perf_counter()
        found = getattr(self, f"_{part.kind}")(part)
        self._on_note("", 0.0)
        return PartResult(**found, seconds=round(time.perf_counter() - began, 2))

    def _subject(self, count: int) -> Subject:
        images, labels = self._digits.take(count)
        return Subject(images=images, labels=labels, planned=planned_shares(self._spec.subject.labels))

    def _judged(self) -> Subject:
        return self._subject(self._spec.num_samples(len(self._train.labels)))

    def _about(self, _: Part) -> dict[str, Any]:
        from ganmodel.evaluation import sample_grid

        train, subject = self._train, self._judged()
        dataset = {
            "name": train.name,
            "class_names": list(train.class_names),
            "train_digest": train.digest(),
            "train_rows": len(train.labels),
            "test_rows": len(self._test.labels),
        }
        facts = {"dataset": dataset, "samples": len(subject.labels), "device": device_facts()}
        return {"grid": sample_grid(subject, GRID_COLUMNS), "facts": facts}

    def _features(self, part: Part) -> dict[str, Any]:
        from ganmodel.evaluation import extractor_facts, feature_figures
        from ganmodel.extractors import load_extractors, read_extractors, shipped_for, train_extractors

        with ExitStack() as cleanup:
            shipped = shipped_for(self._train.digest())
            if shipped is None and part.extractor > 0:
                return {}  # Whoever has the first part trains both, and does both.
            folder = shipped
            if folder is None:
                place = cleanup.enter_context(tempfile.TemporaryDirectory(prefix="gangen-"))
                folder = Path(place) / "extractors"
                train_extractors(folder, self._train, self._test, on_progress=self._on_note)
            info = read_extractors(folder)
            chosen = slice(None) if shipped is None else slice(part.extractor, part.extractor + 1)
            used = load_extractors(folder)[chosen]
            self._on_note("measuring", 0.5)
            figures, confusion = feature_figures(
                self._spec.metrics, self._judged(), self._train, self._test, used
            )
        facts = extractor_facts(info, shipped=shipped is not None)[chosen]
        is_first = part.extractor == 0
        return {"figures": tuple(figures), "extractors": facts, "confusion": confusion if is_first else None}

    def _cas(self, part: Part) -> dict[str, Any]:
        from ganmodel.cas import cas_steps
        from ganmodel.evaluation import cas_run

        train = self._train
        digits = train if part.on_real else self._subject(self._spec.num_cas_samples(len(train.labels)))
        steps = cas_steps(len(train.labels))

        def on_step(step: int, loss: float) -> None:
            self._on_note(f"step {step:,} of {steps:,}, loss {loss:.4f}", step / steps)

        run = cas_run(digits.images, digits.labels, self._test, steps=steps, seed=part.seed, on_step=on_step)
        return {"cas": run, "facts": {"cas_samples": len(digits.labels)}}

    def _nn(self, _: Part) -> dict[str, Any]:
        from ganmodel.evaluation import memorisation

        figures, neighbours = memorisation(self._judged(), self._train, self._test)
        return {"figures": tuple(figures), "neighbours": neighbours}


class _Digits:
    """The subject's digits in order, drawn or read as far as they are asked for, and kept."""

    def __init__(self, spec: EvaluateSpec) -> None:
        self._subject = spec.subject
        self._images = np.zeros((0, 28, 28), np.uint8)
        self._labels = np.zeros(0, np.int32)
        self._sampler: Any = None

    def take(self, count: int) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
        """Return the first digits: images [count, 28, 28] uint8 and labels [count] int32."""
        if len(self._labels) < count:
            get = self._draw if self._subject.kind == "model" else self._read
            self._images, self._labels = get(count)
        return self._images[:count], self._labels[:count]

    def _draw(self, count: int) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
        from ganmodel.sampler import Sampler

        subject = self._subject
        self._sampler = self._sampler or Sampler(local_model(subject.path), use_gpus=False)
        if self._sampler.info.digest != subject.digest:
            raise ModelError(
                f"--model {subject.path}: is {self._sampler.info.digest[:12]} where a worker runs, the job is for "
                f"{subject.digest[:12]}; use the same model everywhere"
            )
        rule = parse_labels(subject.labels)
        blocks = [
            self._sampler.draw(subject.seed, block, rule, truncation=subject.truncation)
            for block in range(len(self._labels) // BLOCK_ROWS, -(-count // BLOCK_ROWS))
        ]
        images, labels = zip((self._images, self._labels), *blocks, strict=True)
        return np.concatenate(images), np.concatenate(labels)

    def _read(self, count: int) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
        manifest = open_dataset(self._subject.path)
        if manifest.rows_digest != self._subject.digest:
            raise DataError(
                f"--data {self._subject.path}: has changed since the job was asked for; ask again"
            )
        return read_rows(self._subject.path, manifest, count)


def load_real(source: str) -> tuple[TrainingSet, TrainingSet]:
    """Return the real training and test split; processes of one machine do not download the same file at once.

    Raises:
        DataError: they cannot be found, downloaded or read, or there is no test split.
    """
    with ExitStack() as held:
        if needs_download(source):
            lock = Path(tempfile.gettempdir()) / f"gangen-{os.getuid()}-{source}.lock"
            held.enter_context(FileLock(lock))
        return load_training_set(source), load_test_set(source)


def planned_shares(labels: str) -> NDArray[np.float64]:
    """Return the share of each label under a rule, [10] float64."""
    rule = parse_labels(labels)
    shares = np.zeros(10)
    shares[list(rule.classes)] = rule.weights or 1.0
    shares /= shares.sum()
    return shares


def train_extractors(spec: ExtractorsSpec, on_note: Callable[[str, float], None]) -> ExtractorsInfo:
    """Train both extractors on the training split and write them; TensorFlow takes all cores."""
    configure_tensorflow(use_gpus=False)
    from ganmodel import extractors

    train, test = load_real(spec.source)
    return extractors.train_extractors(Path(spec.out), train, test, on_progress=on_note)
