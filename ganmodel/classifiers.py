"""Digit classifiers in Keras layers, and the one loop that trains them.

They judge digits and are no part of a generator. Trained in float32 under any policy, so that figures of
different machines compare.

Shape suffixes: B batch, H height, W width, C channels, K classes, F features.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from ganmodel.config import IMAGE_SIZE
from ganmodel.data import NUM_CLASSES, BatchSource

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from ganmodel.data import TrainingSet

PREDICT_BATCH = 1000

STEPS_A_CALL = 50
"""Optimizer steps within one call of the compiled loop: Python's share of a 10 ms step disappears."""


class OneCycle(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
    """A straight line up to the peak at 30 % of the steps, and a straight line down to nothing.

    Source:
        Smith and Topin 2017, arXiv:1708.07120, sec. 2, with two lines for the cycle.
    """

    def __init__(self, peak: float, total_steps: int) -> None:
        self._peak = peak
        self._total = total_steps

    def __call__(self, step: Any) -> Any:
        """Return the learning rate of a step, float32."""
        gone = (tf.cast(step, tf.float32) + 1.0) / (self._total + 1.0)
        return self._peak * tf.minimum(gone / 0.3, (1.0 - gone) / 0.7)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments, as Keras wants of a schedule."""
        return {"peak": self._peak, "total_steps": self._total}


class _Seeds:
    """Hands each layer a seed of its own; the same ones for the same network and seed."""

    def __init__(self, seed: int) -> None:
        self._next = (seed % 2**20) * 1000

    def number(self) -> int:
        self._next += 1
        return self._next

    def conv(self, channels: int, size: int, x: Any, *, init: str, **options: Any) -> Any:
        return layers.Conv2D(channels, size, kernel_initializer=self.init(init), dtype="float32", **options)(
            x
        )

    def dense(self, units: int, x: Any, *, init: str, **options: Any) -> Any:
        return layers.Dense(units, kernel_initializer=self.init(init), dtype="float32", **options)(x)

    def drop(self, share: float, x: Any) -> Any:
        return layers.Dropout(share, seed=self.number(), dtype="float32")(x)

    def init(self, kind: str) -> keras.initializers.Initializer:
        known = {"he": keras.initializers.HeUniform, "glorot": keras.initializers.GlorotUniform}
        return known[kind](seed=self.number())


def _images() -> Any:
    return keras.Input((IMAGE_SIZE, IMAGE_SIZE, 1), name="images")


def build_lenet(seed: int = 0) -> keras.Model:
    """Return a LeNet-5 with tanh: images [B, 28, 28, 1] float32 in [0, 1] -> logits [B, K], features [B, 84].

    Source:
        LeCun et al. 1998, "Gradient-based learning applied to document recognition", sec. II-B; average
        pooling without weights and dropout before the output are ours.
    """
    make, image_BHWC = _Seeds(seed), _images()
    tanh = {"activation": "tanh", "init": "glorot"}
    x = make.conv(6, 5, image_BHWC, padding="same", **tanh)
    x = layers.AveragePooling2D(2)(x)
    x = layers.AveragePooling2D(2)(make.conv(16, 5, x, **tanh))
    x = make.drop(0.1, make.dense(120, layers.Flatten()(x), **tanh))
    features_BF = make.dense(84, x, name="features", **tanh)
    logits_BK = make.dense(NUM_CLASSES, make.drop(0.2, features_BF), init="glorot", name="logits")
    return keras.Model(image_BHWC, [logits_BK, features_BF], name="lenet")


def build_convnet(seed: int = 0) -> keras.Model:
    """Return a ReLU network: images [B, 28, 28, 1] float32 in [0, 1] -> logits [B, K], features [B, 64]."""
    make, image_BHWC = _Seeds(seed + 1), _images()
    relu = {"activation": "relu", "init": "he"}
    x = make.conv(32, 5, image_BHWC, strides=2, padding="same", **relu)
    x = layers.MaxPooling2D()(make.conv(64, 3, x, padding="same", **relu))
    x = make.conv(64, 3, x, **relu)
    x = make.drop(0.3, layers.Flatten()(x))
    features_BF = make.dense(64, x, name="features", **relu)
    logits_BK = make.dense(NUM_CLASSES, make.drop(0.3, features_BF), init="glorot", name="logits")
    return keras.Model(image_BHWC, [logits_BK, features_BF], name="convnet")


def build_cas_network(seed: int = 0) -> keras.Model:
    """Return the classifier of the CAS, 34,826 parameters: images as above -> logits [B, K]."""
    make, image_BHWC = _Seeds(seed + 2), _images()
    relu = {"activation": "relu", "init": "he"}
    x = layers.MaxPooling2D()(make.conv(32, 3, image_BHWC, **relu))
    x = layers.MaxPooling2D()(make.conv(64, 3, x, **relu))
    x = make.drop(0.5, layers.Flatten()(x))
    return keras.Model(image_BHWC, make.dense(NUM_CLASSES, x, init="glorot", name="logits"), name="cas")


def train_classifier(
    network: keras.Model,
    training_set: TrainingSet,
    *,
    steps: int,
    peak: float,
    seed: int,
    batch_size: int = 128,
    on_step: Callable[[int, float], None] = lambda step, loss: None,
) -> None:
    """Train a classifier's first output by cross-entropy with one-cycle Adam, in place.

    Args:
        network: takes [B, 28, 28, 1] float32 in [0, 1]; its output, or the first of them, is logits [B, K].
        training_set: what it learns from.
        steps: optimizer steps.
        peak: highest learning rate.
        seed: of the order of the data.
        batch_size: images a step.
        on_step: called with (steps taken, last loss) every `STEPS_A_CALL` steps.
    """
    batches = BatchSource(training_set, global_batch=batch_size, seed=seed)
    train_on_batches(
        network,
        lambda step: batches.slice(step, tf.constant(0), 1),
        steps=steps,
        peak=peak,
        on_step=on_step,
    )


def train_on_batches(
    network: keras.Model,
    batch_of: Callable[[Any], tuple[Any, Any]],
    *,
    steps: int,
    peak: float,
    on_step: Callable[[int, float], None] = lambda step, loss: None,
) -> None:
    """Train a classifier as `train_classifier` does, on batches of one's own making.

    Args:
        network: see there.
        batch_of: from a step, scalar int64, to images [B, 28, 28, 1] float32 in [-1, 1] and labels [B] int32; traced.
        steps: see there.
        peak: see there.
        on_step: see there.
    """
    logits = keras.Model(network.inputs, network.outputs[0])
    weights = logits.trainable_variables
    optimizer = keras.optimizers.Adam(OneCycle(peak, steps))
    optimizer.build(weights)

    def take(step: Any) -> Any:
        image_BHWC, label_B = batch_of(step)
        with tf.GradientTape() as tape:
            logits_BK = logits(image_BHWC * 0.5 + 0.5, training=True)
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(label_B, logits_BK))
        optimizer.apply(tape.gradient(loss, weights), weights)
        return loss

    def take_many(first: Any, last: Any) -> Any:
        loss = tf.constant(0.0)
        for step in tf.range(first, last):
            loss = take(step)
        return loss

    compiled = tf.function(take_many)
    for first in range(0, steps, STEPS_A_CALL):
        last = min(first + STEPS_A_CALL, steps)
        loss = compiled(tf.constant(first, tf.int64), tf.constant(last, tf.int64))
        on_step(last, float(loss))


def predict(network: keras.Model, images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], ...]:
    """Return each output of a classifier for images [N, 28, 28] uint8, [N, ...] float32.

    Not compiled: a batch of a thousand hides what Python costs, and TensorFlow warns of every process that
    compiles for many networks.
    """
    parts: list[list[NDArray[np.float32]]] = [[] for _ in network.outputs]
    for first in range(0, len(images), PREDICT_BATCH):
        image_BHWC = images[first : first + PREDICT_BATCH, ..., np.newaxis].astype(np.float32) / 255.0
        found = network(image_BHWC, training=False)
        for part, output in zip(parts, found if len(parts) > 1 else [found], strict=True):
            part.append(output.numpy())
    return tuple(np.concatenate(part) for part in parts)
