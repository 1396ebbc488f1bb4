"""The values an evaluation is made of. Nothing here computes.

Shape suffixes: N subject's digits, M real digits in their place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ganmodel.config import FrozenModel

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Figure(FrozenModel):
    """One measured figure and what real digits give in the subject's place.

    Attributes:
        metric: fid, frechet_logits, classifier_score, cas, label_agreement, label_histogram, precision,
            recall, density, coverage, nn_ratio or nn_p1.
        extractor: name of the network whose features or judgement it rests on; None where there is none.
        value: of the subject.
        real: the same measurement on as many real digits: a floor or a ceiling.
        spread: standard deviation of `value` over seeds, where it was measured more than once.
        real_spread: the same of `real`.
        samples: digits of the subject it rests on.
        reference: the real digits it is measured against, in words.
        better: which way is better; `near` is best near `real`.
        per_class: the figure of each label, in order.
        real_per_class: the same of real digits.
    """

    metric: str
    extractor: str | None
    value: float
    real: float
    spread: float | None = None
    real_spread: float | None = None
    samples: int
    reference: str
    better: Literal["lower", "higher", "near"]
    per_class: tuple[float, ...] | None = None
    real_per_class: tuple[float, ...] | None = None


class ExtractorFacts(FrozenModel):
    """Which network the features came from.

    Attributes:
        name: short name, as in `Figure.extractor`.
        digest: SHA-256 of its shape and weights: figures of different digests do not compare.
        test_accuracy: share of the real test split it labels right.
        trained_on: digest of its training set.
        shipped: whether it came with the package.
    """

    name: str
    digest: str
    test_accuracy: float
    trained_on: str
    shipped: bool


class Evaluation(FrozenModel):
    """The whole result.

    Attributes:
        subject: kind (model or data), name, path, digest, seed, truncation and the like.
        dataset: name, train_digest, train_rows, test_rows.
        samples: digits of the subject the figures rest on, CAS apart.
        extractors: the networks used.
        figures: what was measured.
        seconds: wall-clock time by part.
        device: what it ran on.
    """

    subject: dict[str, Any]
    dataset: dict[str, Any]
    samples: int
    extractors: tuple[ExtractorFacts, ...]
    figures: tuple[Figure, ...]
    seconds: dict[str, float]
    device: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """The digits to judge.

    Attributes:
        images: [N, 28, 28] uint8.
        labels: [N] int32 in [0, 10): what each was asked to show.
        planned: [10] float64, the share of each label in the plan; sums to 1. None takes the labels' own.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int32]
    planned: NDArray[np.float64] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CasRun:
    """One training of the CAS classifier.

    Attributes:
        accuracy: on the real test split.
        per_class: the same, label by label.
    """

    accuracy: float
    per_class: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbours:
    """Distances and pictures behind the memorisation figures.

    Attributes:
        nn_train: [N] float32, from each of the subject's digits to the nearest of as many training images as
            there are held-out ones; root of the summed squares, pixels in [0, 1].
        nn_held_out: [N] float32, the same to the test split.
        real_nn_train: [M] float32, `nn_train` of real digits that are in neither set.
        real_nn_held_out: [M] float32, the same to the test split.
        closest: [m, 3, 28, 28] uint8: subject's digit, its nearest image of the whole training set, its
            nearest held-out image; the few digits of each label closest to the training set, label by label.
    """

    nn_train: NDArray[np.float32]
    nn_held_out: NDArray[np.float32]
    real_nn_train: NDArray[np.float32]
    real_nn_held_out: NDArray[np.float32]
    closest: NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pictures:
    """What a report shows besides the figures.

    Attributes:
        samples: [10, n, 28, 28] uint8, the first n digits of each label.
        neighbours: see there; None where it was not asked for.
        confusion: [10, 10] int64, asked label by judged label, by the first extractor; or None.
    """

    samples: NDArray[np.uint8]
    neighbours: Neighbours | None
    confusion: NDArray[np.int64] | None


def describe_test_split(rows: int, *, weighted: bool = False) -> str:
    """Return how a figure names the test split as its reference."""
    return f"test split, {rows:,}" + (", weighted to the plan's labels" if weighted else "")
