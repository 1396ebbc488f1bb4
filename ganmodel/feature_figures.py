"""Digits seen through a classifier: FID, precision and recall, label agreement, each beside its floor.

Real digits stand in for the subject in the plan's label shares, and the test split is weighted to these. MNIST
has more ones than fives: against the test split as it is, a thousand real digits of each label are at twice the
distance that as many in its own shares are, which says nothing of how the digits are drawn.

Shape suffixes: N examples, K classes, F features.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ganmodel.data import NUM_CLASSES
from ganmodel.figures import Figure, describe_test_split
from ganmodel.metrics.frechet import frechet_distance
from ganmodel.metrics.prdc import measure_prdc
from ganmodel.metrics.scores import classifier_score, confusion_counts, label_agreement, total_variation

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from numpy.typing import NDArray

    from ganmodel.data import TrainingSet
    from ganmodel.extractors import Extractor
    from ganmodel.figures import Subject

FEATURE_METRICS = ("fid", "prdc", "label")

FLOOR_DRAWS = 3
"""Draws of real digits whose mean is a floor."""

DRAW_SEED = 20_240_607
"""Of every draw of real digits: the floors do not depend on the subject's seed."""


def feature_figures(
    metrics: Collection[str],
    subject: Subject,
    train: TrainingSet,
    test: TrainingSet,
    extractors: Sequence[Extractor],
) -> tuple[list[Figure], NDArray[np.int64]]:
    """Return the figures of fid, prdc and label under each extractor, and the first one's confusion.

    Args:
        metrics: those of `FEATURE_METRICS` that are wanted; others are passed over.
        subject: the digits to judge, more than k of `ganmodel.metrics.prdc`.
        train: the real training split, from which floors are drawn.
        test: the real test split, the reference.
        extractors: see `ganmodel.extractors.load_extractors`. One call an extractor gives the same figures.

    Returns:
        The figures, and [10, 10] int64 counts, asked label by judged label.
    """
    figures: list[Figure] = []
    confusions = []
    planned = label_shares(subject.labels) if subject.planned is None else subject.planned
    draws = _draw_rows(train.labels, planned, len(subject.labels)) if {"fid", "prdc"} & set(metrics) else []
    for extractor in extractors:
        seen = _Seen(
            extractor=extractor.info.name,
            subject=_Features(*extractor.apply(subject.images)),
            test=_Features(*extractor.apply(test.images)),
            floors=[_Features(*extractor.apply(train.images[rows])) for rows in draws],
            planned=planned,
            test_shares=label_shares(test.labels),
            test_labels=test.labels,
        )
        confusions.append(confusion_counts(subject.labels, seen.subject.judged))
        if "fid" in metrics:
            figures += _fid_figures(seen)
        if "prdc" in metrics:
            figures += _prdc_figures(seen)
        if "label" in metrics:
            figures += _label_figures(seen, confusions[-1])
    return figures, confusions[0]


@dataclass(frozen=True, slots=True)
class _Features:
    """What an extractor makes of some digits: logits [N, K] and features [N, F], float32."""

    logits: NDArray[np.float32]
    features: NDArray[np.float32]

    @property
    def judged(self) -> NDArray[np.int64]:
        """Return the label each is taken for, [N]."""
        return np.asarray(self.logits.argmax(axis=1), np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """What one extractor makes of the subject, the test split, and draws of the training split.

    Attributes:
        extractor: its name.
        subject: the digits to judge.
        test: the test split.
        floors: as many real digits as the subject's, in the plan's shares, drawn several times.
        planned: [K], the plan's label shares.
        test_shares: [K], the test split's own.
        test_labels: labels of the test split.
    """

    extractor: str
    subject: _Features
    test: _Features
    floors: list[_Features]
    planned: NDArray[np.float64]
    test_shares: NDArray[np.float64]
    test_labels: NDArray[np.int32]

    @property
    def is_weighted(self) -> bool:
        """Return whether the plan's label shares are others than the test split's."""
        return not np.allclose(self.planned, self.test_shares)

    @property
    def test_weights(self) -> NDArray[np.float64] | None:
        """Return how much each digit of the test split counts, so that its labels have the plan's shares."""
        return (self.planned / self.test_shares)[self.test_labels] if self.is_weighted else None

    def figure(
        self,
        metric: str,
        value: float,
        real: Sequence[float],
        better: Literal["lower", "higher"],
        **more: Any,
    ) -> Figure:
        """Return a figure of all the digits against all of the test split, but for what `more` says."""
        sizes: dict[str, Any] = {
            "samples": len(self.subject.logits),
            "reference": describe_test_split(len(self.test.logits), weighted=self.is_weighted),
        }
        return Figure(
            metric=metric,
            extractor=self.extractor,
            value=value,
            real=float(np.mean(real)),
            real_spread=float(np.std(real, ddof=1)) if len(real) > 1 else None,
            better=better,
            **sizes | more,
        )


def _draw_rows(
    labels: NDArray[np.int32], shares: NDArray[np.float64], wanted: int
) -> list[NDArray[np.int64]]:
    """Return rows of the training split for each draw, in these label shares: no row twice within a draw.

    Nor over all draws, if there are enough of each label; a draw holds fewer than wanted where one runs out.
    """
    rng = np.random.default_rng(DRAW_SEED)
    rows_of = [rng.permutation(np.flatnonzero(labels == k)) for k in range(NUM_CLASSES)]
    most = min(len(rows) / share for rows, share in zip(rows_of, shares, strict=True) if share)
    counts = np.floor(shares * min(wanted, most) + 1e-9).astype(np.int64)
    parts: list[list[NDArray[np.int64]]] = [[] for _ in range(FLOOR_DRAWS)]
    for rows, count in zip(rows_of, counts, strict=True):
        apart = FLOOR_DRAWS * count <= len(rows)
        for draw, part in enumerate(parts):
            part.append(rows[draw * count :][:count] if apart else rng.permutation(rows)[:count])
    return [np.sort(np.concatenate(part)) for part in parts]


def _fid_figures(seen: _Seen) -> list[Figure]:
    figures = []
    for metric, part in (("fid", "features"), ("frechet_logits", "logits")):
        reference = getattr(seen.test, part)
        value, *floors = (
            frechet_distance(getattr(digits, part), reference, seen.test_weights)
            for digits in (seen.subject, *seen.floors)
        )
        figures.append(seen.figure(metric, value, floors, "lower"))
    score, real = classifier_score(seen.subject.logits), classifier_score(seen.test.logits, seen.test_weights)
    return [*figures, seen.figure("classifier_score", score, [real], "higher")]


def _prdc_figures(seen: _Seen) -> list[Figure]:
    """Return the four figures of as many digits as real ones: the smaller number of the two sets."""
    count = min(len(seen.subject.features), len(seen.test.features), len(seen.floors[0].features))
    rng = np.random.default_rng(DRAW_SEED)
    reference, subject, real = (
        digits.features[np.sort(rng.permutation(len(digits.features))[:count])]
        for digits in (seen.test, seen.subject, seen.floors[0])
    )
    value, floor = measure_prdc(reference, subject), measure_prdc(reference, real)
    sizes = {"samples": count, "reference": describe_test_split(count)}
    return [
        seen.figure(name, getattr(value, name), [getattr(floor, name)], "higher", **sizes)
        for name in ("precision", "recall", "density", "coverage")
    ]


def _label_figures(seen: _Seen, confusion: NDArray[np.int64]) -> list[Figure]:
    real_confusion = confusion_counts(seen.test_labels, seen.test.judged)
    agreement, by_label = label_agreement(confusion)
    _, real_by_label = label_agreement(real_confusion)
    judged = confusion.sum(axis=0) / confusion.sum()
    # Real digits of the plan's shares, as the extractor would count them.
    real_judged = (seen.planned / seen.test_shares) @ real_confusion / real_confusion.sum()
    return [
        seen.figure(
            "label_agreement",
            agreement,
            [float(seen.planned @ real_by_label)],
            "higher",
            per_class=by_label,
            real_per_class=real_by_label,
        ),
        # Beside each class' share of the judged digits stands the plan's: that is what it should be.
        seen.figure(
            "label_histogram",
            total_variation(judged, seen.planned),
            [total_variation(real_judged, seen.planned)],
            "lower",
            per_class=tuple(judged.tolist()),
            real_per_class=tuple(seen.planned.tolist()),
        ),
    ]


def label_shares(labels: NDArray[np.int32]) -> NDArray[np.float64]:
    """Return the share of each label, [10] float64."""
    return np.bincount(labels, minlength=NUM_CLASSES) / len(labels)
