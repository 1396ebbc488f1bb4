"""Classification accuracy score: what a classifier that saw only synthetic digits makes of real ones.

It stands beside the same classifier, trained for as many steps on real digits. A generator that merely
repeats its training images scores as well as they do: read it beside the memorisation figures.

Source:
    Ravuri and Vinyals 2019, "Classification accuracy score for conditional generative models",
    arXiv:1905.10887.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from ganmodel.data import TrainingSet
from ganmodel.metrics.scores import confusion_counts, label_agreement

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

BATCH_SIZE = 128
EPOCHS = 5
MIN_STEPS = 500
"""Five epochs of a small set would end before the network has learnt anything."""

PEAK_LEARNING_RATE = 3e-3


def cas_steps(train_rows: int) -> int:
    """Return the optimizer steps of one run: five epochs of the real training split, 2,345 of MNIST's."""
    return max(MIN_STEPS, EPOCHS * math.ceil(train_rows / BATCH_SIZE))


def cas_accuracy(
    train_images: NDArray[np.uint8],
    train_labels: NDArray[np.int32],
    test_images: NDArray[np.uint8],
    test_labels: NDArray[np.int32],
    *,
    steps: int,
    seed: int,
    on_step: Callable[[int, float], None] = lambda step, loss: None,
) -> tuple[float, tuple[float, ...]]:
    """Train the classifier on some digits and return its accuracy on others, in all and label by label.

    Args:
        train_images: [N, 28, 28] uint8.
        train_labels: [N] int32 in [0, 10).
        test_images: [M, 28, 28] uint8.
        test_labels: [M] int32 in [0, 10).
        steps: optimizer steps of 128 images, see `cas_steps`.
        seed: of weights, order and dropout.
        on_step: called with (steps taken, last loss) now and then.
    """
    from ganmodel.classifiers import build_cas_network, predict, train_classifier

    network = build_cas_network(seed)
    training_set = TrainingSet(name="cas", images=train_images, labels=train_labels)
    train_classifier(
        network,
        training_set,
        steps=steps,
        peak=PEAK_LEARNING_RATE,
        seed=seed,
        batch_size=BATCH_SIZE,
        on_step=on_step,
    )
    (logits_NK,) = predict(network, test_images)
    return label_agreement(confusion_counts(test_labels, logits_NK.argmax(axis=1)))
