"""What is known of a generator's digits, each figure beside what real digits give in their place.

The parts are separate calls, so that whoever runs them can run them side by side: features under one
extractor each, one training of the CAS classifier each, and the search for memorised digits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ganmodel.cas import cas_accuracy
from ganmodel.copying import memorisation
from ganmodel.data import NUM_CLASSES
from ganmodel.feature_figures import FEATURE_METRICS, feature_figures
from ganmodel.figures import (
    CasRun,
    Evaluation,
    ExtractorFacts,
    Figure,
    Neighbours,
    Pictures,
    Subject,
    describe_test_split,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from ganmodel.data import TrainingSet
    from ganmodel.extractors import ExtractorsInfo

__all__ = [
    "CAS_SEEDS",
    "FEATURE_METRICS",
    "METRICS",
    "MIN_SAMPLES",
    "CasRun",
    "Evaluation",
    "ExtractorFacts",
    "Figure",
    "Neighbours",
    "Pictures",
    "Subject",
    "cas_figure",
    "cas_run",
    "extractor_facts",
    "feature_figures",
    "memorisation",
    "sample_grid",
]

METRICS = ("fid", "cas", "prdc", "label", "nn")
"""What can be asked for: `feature_figures` does fid, prdc and label, `cas_run` cas, `memorisation` nn."""

CAS_SEEDS = (0, 1, 2)
MIN_SAMPLES = 100
"""Digits below which no figure here means anything."""


def extractor_facts(info: ExtractorsInfo, *, shipped: bool) -> tuple[ExtractorFacts, ...]:
    """Return what a result says of the extractors of a folder, see `ganmodel.extractors.read_extractors`."""
    return tuple(
        ExtractorFacts(
            name=extractor.name,
            digest=extractor.digest,
            test_accuracy=extractor.test_accuracy,
            trained_on=info.dataset_digest,
            shipped=shipped,
        )
        for extractor in info.extractors
    )


def cas_run(
    images: NDArray[np.uint8],
    labels: NDArray[np.int32],
    test: TrainingSet,
    *,
    steps: int,
    seed: int,
    on_step: Callable[[int, float], None] = lambda step, loss: None,
) -> CasRun:
    """Train the CAS classifier once and score it on the real test split; see `ganmodel.cas`.

    Args:
        images: [N, 28, 28] uint8 to train on: the subject's, or for the ceiling the real training split's.
        labels: [N] int32.
        test: the real test split.
        steps: optimizer steps, `ganmodel.cas.cas_steps(len(train.labels))` for both.
        seed: of weights, order and dropout.
        on_step: called with (steps taken, last loss) now and then.
    """
    accuracy, per_class = cas_accuracy(
        images, labels, test.images, test.labels, steps=steps, seed=seed, on_step=on_step
    )
    return CasRun(accuracy=accuracy, per_class=per_class)


def cas_figure(
    synthetic: Sequence[CasRun], real: Sequence[CasRun], *, samples: int, test_rows: int
) -> Figure:
    """Return the CAS figure of the runs on the subject's digits and those on real ones.

    Args:
        synthetic: one run a seed.
        real: the same seeds on the real training split.
        samples: digits of the subject each run was trained on.
        test_rows: size of the test split.
    """

    def mean(runs: Sequence[CasRun]) -> float:
        return float(np.mean([run.accuracy for run in runs]))

    def spread(runs: Sequence[CasRun]) -> float | None:
        return float(np.std([run.accuracy for run in runs], ddof=1)) if len(runs) > 1 else None

    def by_label(runs: Sequence[CasRun]) -> tuple[float, ...]:
        return tuple(np.mean([run.per_class for run in runs], axis=0).tolist())

    return Figure(
        metric="cas",
        extractor=None,
        value=mean(synthetic),
        real=mean(real),
        spread=spread(synthetic),
        real_spread=spread(real),
        samples=samples,
        reference=describe_test_split(test_rows),
        better="higher",
        per_class=by_label(synthetic),
        real_per_class=by_label(real),
    )


def sample_grid(subject: Subject, columns: int = 10) -> NDArray[np.uint8]:
    """Return the first digits of each label, [10, columns, 28, 28] uint8; black where there are too few."""
    grid = np.zeros((NUM_CLASSES, columns, *subject.images.shape[1:]), np.uint8)
    for k in range(NUM_CLASSES):
        found = subject.images[subject.labels == k][:columns]
        grid[k, : len(found)] = found
    return grid
