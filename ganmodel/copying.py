"""Are the digits copies of training images? Distances to the training set beside those to images never seen.

Shape suffixes: N subject's digits, T training images, H held-out images, M real digits in the subject's place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ganmodel.data import NUM_CLASSES
from ganmodel.figures import Figure, Neighbours
from ganmodel.metrics.neighbours import find_nearest, nearest_ratio

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ganmodel.data import TrainingSet
    from ganmodel.figures import Subject

SPLIT_SEED = 20_240_607
"""Of the parts the real digits are dealt into: they do not depend on the subject."""

WHITE = 255.0
"""Distances are in units of a white pixel."""


@dataclass(frozen=True, slots=True)
class _Parts:
    """Rows of the real digits: equal sets to search, and real digits that stand in for the subject."""

    train: NDArray[np.int64]
    held_out: NDArray[np.int64]
    probes: NDArray[np.int64]


def _deal(train_rows: int, test_rows: int, wanted_probes: int) -> _Parts:
    rng = np.random.default_rng(SPLIT_SEED)
    order = rng.permutation(train_rows)
    # Half at most, so that a test split as large as the training split leaves real digits to compare with.
    count = min(test_rows, train_rows // 2)
    probes = order[count : count + wanted_probes]
    return _Parts(np.sort(order[:count]), np.sort(rng.permutation(test_rows)[:count]), np.sort(probes))


def memorisation(
    subject: Subject, train: TrainingSet, test: TrainingSet, *, pairs: int = 3
) -> tuple[list[Figure], Neighbours]:
    """Return nn_ratio and nn_p1, and what a person judges them by. Needs no TensorFlow.

    nn_ratio weighs an equal number of training and held-out images against each other, so a copy of a
    training image that is not among those drawn goes unseen: a pure copier of MNIST comes out at 0.83,
    not 0. nn_p1 looks at the whole training set, and shows the copies themselves: 0.

    Args:
        subject: the digits to judge.
        train: the real training split.
        test: the real test split, held out from every training.
        pairs: digits of each label in `Neighbours.closest`. Of all labels together they would be ones: a stroke is
            near to some other stroke, copied or not.
    """
    train_TD, test_HD, subject_ND = (_flat(part.images) for part in (train, test, subject))
    parts = _deal(len(train_TD), len(test_HD), len(subject_ND))
    drawn_T = np.zeros(len(train_TD), np.bool_)
    drawn_T[parts.train] = True
    to_train = find_nearest(subject_ND, train_TD, drawn_T)
    to_held_out = find_nearest(subject_ND, test_HD[parts.held_out])
    probes_MD = train_TD[parts.probes]
    probes_to_train = find_nearest(probes_MD, train_TD[parts.train])
    probes_to_held_out = find_nearest(probes_MD, test_HD[parts.held_out])
    test_to_train = find_nearest(test_HD, train_TD)
    shown = _nearest_of_each_label(to_train.distance, subject.labels, pairs)
    neighbours = Neighbours(
        nn_train=to_train.marked / np.float32(WHITE),
        nn_held_out=to_held_out.distance / np.float32(WHITE),
        real_nn_train=probes_to_train.distance / np.float32(WHITE),
        real_nn_held_out=probes_to_held_out.distance / np.float32(WHITE),
        closest=np.stack(
            [
                subject.images[shown],
                train.images[to_train.row[shown]],
                test.images[parts.held_out][to_held_out.row[shown]],
            ],
            axis=1,
        ),
    )
    ratio = nearest_ratio(neighbours.nn_train, neighbours.nn_held_out, subject.labels)
    real = nearest_ratio(neighbours.real_nn_train, neighbours.real_nn_held_out, train.labels[parts.probes])
    drawn = f"{len(parts.train):,} training images and as many of the test split"
    p1 = _first_percentile(to_train.distance, subject.labels)
    real_p1 = _first_percentile(test_to_train.distance, test.labels)
    whole = f"training split, {len(train_TD):,}; real: test split, {len(test_HD):,}"
    return [
        _figure("nn_ratio", ratio, real, samples=len(subject_ND), reference=drawn),
        _figure("nn_p1", p1, real_p1, samples=len(subject_ND), reference=whole),
    ], neighbours


def _flat(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return images.reshape(len(images), -1)


def _first_percentile(
    distance_N: NDArray[np.float32], labels_N: NDArray[np.int32]
) -> tuple[float, tuple[float, ...]]:
    """Return the distance that one digit in a hundred falls short of, of all and of each label, in whites.

    A label that does not occur takes the value of all.
    """
    overall = float(np.percentile(distance_N, 1)) / WHITE
    by_label = [distance_N[labels_N == k] for k in range(NUM_CLASSES)]
    return overall, tuple(
        float(np.percentile(found, 1)) / WHITE if len(found) else overall for found in by_label
    )


def _figure(
    metric: str,
    measured: tuple[float, tuple[float, ...]],
    real: tuple[float, tuple[float, ...]],
    **more: Any,
) -> Figure:
    return Figure(
        metric=metric,
        extractor=None,
        value=measured[0],
        real=real[0],
        better="near",
        per_class=measured[1],
        real_per_class=real[1],
        **more,
    )


def _nearest_of_each_label(
    distance_N: NDArray[np.float32], labels_N: NDArray[np.int32], count: int
) -> NDArray[np.int64]:
    """Return the rows of the smallest distances of each label, labels in order and smallest first."""
    order = np.argsort(distance_N, kind="stable")
    return np.concatenate([order[labels_N[order] == k][:count] for k in range(NUM_CLASSES)])
