"""Training sets: where they come from, what is checked, and the order in which they are seen.

Shape suffixes: N images of the set, G global batch, B per-replica batch, H height, W width, C channels.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ganmodel.config import IMAGE_SIZE
from ganmodel.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

Split = Literal["train", "test"]

NUM_CLASSES = 10
DIGITS_TRAIN_ROWS = 1500
"""Of scikit-learn's 1,797 digits these come first; the other 297 are the test split."""
KERAS_DATASETS = ("mnist", "fashion_mnist")
FASHION_CLASS_NAMES = (
    "T-shirt_top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle_boot",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingSet:
    """Images a generator learns from.

    Attributes:
        name: short name, letters, digits and underscores; it names what is made from it.
        images: [N, 28, 28] uint8.
        labels: [N] int32 in [0, 10).
    """

    name: str
    images: NDArray[np.uint8]
    labels: NDArray[np.int32]

    def digest(self) -> str:
        """Return the SHA-256 (hex) of the images and labels, wherever they came from."""
        hasher = hashlib.sha256(str(self.images.shape).encode())
        hasher.update(np.ascontiguousarray(self.images).data)
        hasher.update(np.ascontiguousarray(self.labels.astype("<i4")).data)
        return hasher.hexdigest()

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of the ten labels."""
        if self.name == "fashion_mnist":
            return FASHION_CLASS_NAMES
        return tuple(str(k) for k in range(NUM_CLASSES))


def needs_download(source: str) -> bool:
    """Return whether the set comes through `keras.datasets`, which needs a network once."""
    return source in KERAS_DATASETS


def load_training_set(source: str) -> TrainingSet:
    """Load and check a training set.

    Args:
        source: `mnist` or `fashion_mnist` (through `keras.datasets`, cached in ~/.keras), `digits`
            (scikit-learn's bundled digits, scaled to 28x28), or the path of an .npz in Keras' layout.

    Returns:
        The set; its images are the training split only.

    Raises:
        DataError: it cannot be found, downloaded or read, or it is not what a generator can learn from.
    """
    return _load(source, "train")


def load_test_set(source: str) -> TrainingSet:
    """Load and check the test split that belongs to a training set: for a final report, never to choose by.

    Args:
        source: as in `load_training_set`; an .npz must hold x_test and y_test.

    Raises:
        DataError: as there, or the file has no test split.
    """
    return _load(source, "test")


def stratified_subset(training_set: TrainingSet, limit: int, seed: int) -> TrainingSet:
    """Return some images of a set, drawn at random within each label, as many of each as its share of the whole.

    Every label gets one first, the others are given out by Sainte-Lague's rule (the j-th image of a label with n
    images is due at (j - 1/2) / n). So a smaller subset of the same seed is part of a larger one.

    Args:
        training_set: the whole.
        limit: images to keep; all of them return the whole as it is.
        seed: of the draw, in [0, 2**31).

    Returns:
        The subset, its images in the order of the whole.

    Raises:
        DataError: `limit` is below one image a label or above what there is.
    """
    labels = training_set.labels
    if not NUM_CLASSES <= limit <= len(labels):
        raise DataError(
            f"--limit: must be from {NUM_CLASSES}, one image a label, to the {len(labels):,} of the training "
            f"split of {training_set.name}, got {limit:,}"
        )
    order = np.random.Generator(np.random.Philox(key=[seed, 0])).permutation(len(labels))
    due = np.empty(len(labels))
    for rows in (order[labels[order] == k] for k in range(NUM_CLASSES)):
        due[rows] = (np.arange(len(rows)) + 0.5) / len(rows)
        due[rows[:1]] = 0
    kept = np.sort(np.lexsort((labels, due))[:limit])
    return TrainingSet(name=training_set.name, images=training_set.images[kept], labels=labels[kept])


def _load(source: str, split: Split) -> TrainingSet:
    if needs_download(source):
        images, labels = _from_keras(source, split)
    elif source == "digits":
        images, labels = _from_scikit_learn(split)
    elif source.endswith(".npz"):
        images, labels = _from_npz(Path(source), split)
    else:
        raise DataError(
            f"--dataset: '{source}' is neither mnist, fashion_mnist nor digits, nor the path of an "
            ".npz file in Keras' layout (x_train, y_train)"
        )
    checked = _check(source, split, images, labels)
    return TrainingSet(name=_set_name(source), images=checked[0], labels=checked[1])


def _set_name(source: str) -> str:
    stem = re.sub(r"\W+", "_", Path(source).stem, flags=re.ASCII).lower()[:50].strip("_")
    return stem if stem[:1].isalpha() else f"set_{stem}".rstrip("_")


def _from_keras(source: str, split: Split) -> tuple[Any, Any]:
    from ganmodel.device import quiet_start

    with quiet_start():
        from keras import datasets

    try:
        # Keras tells of its download on stdout, which belongs to a command's result.
        with contextlib.redirect_stdout(sys.stderr):
            train, test = getattr(datasets, source).load_data()
    except Exception as err:  # Keras raises a bare Exception for a failed download
        reason = " ".join(str(err).split())[:200]
        raise DataError(
            f"--dataset {source}: Keras could not download it ({reason}); pass a copy with "
            "--dataset PATH.npz, or use --dataset digits, which needs no network"
        ) from err
    images, labels = train if split == "train" else test
    return images, labels


def _from_scikit_learn(split: Split) -> tuple[Any, Any]:
    from scipy import ndimage
    from sklearn.datasets import load_digits

    bunch = load_digits()
    scale = IMAGE_SIZE / 8
    grown = ndimage.zoom(bunch.images, (1, scale, scale), order=1, grid_mode=True, mode="nearest")
    rows = slice(DIGITS_TRAIN_ROWS) if split == "train" else slice(DIGITS_TRAIN_ROWS, None)
    return np.round(grown[rows] * (255 / 16)).astype(np.uint8), bunch.target[rows]


def _from_npz(path: Path, split: Split) -> tuple[Any, Any]:
    if not path.is_file():
        raise DataError(f"--dataset {path}: no such file; give the path of an .npz in Keras' layout")
    wanted = (f"x_{split}", f"y_{split}")
    try:
        with path.open("rb") as file, np.lib.npyio.NpzFile(file, allow_pickle=False) as archive:
            found = sorted(archive.files)
            arrays = [archive[name] for name in wanted if name in found]
    except Exception as err:  # NumPy, zipfile and zlib each raise their own for bytes they cannot read
        reason = " ".join(str(err).split())[:200]
        raise DataError(f"--dataset {path}: not a readable .npz file ({reason})") from err
    missing = [name for name in wanted if name not in found]
    if missing and split == "test":
        raise DataError(
            f"--dataset {path}: has no test split (no array {' and '.join(missing)}); add x_test and y_test, "
            "real images that no training has seen"
        )
    if missing:
        raise DataError(
            f"--dataset {path}: has no array {' and '.join(missing)} (it has: {', '.join(found) or 'none'}); "
            "Keras' layout is x_train, y_train"
        )
    if not all(isinstance(array, np.ndarray) for array in arrays):
        raise DataError(f"--dataset {path}: {' and '.join(wanted)} must be NumPy arrays")
    return arrays[0], arrays[1]


def _check(
    source: str, split: Split, images: Any, labels: Any
) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    what = f"--dataset {source}"
    if images.ndim == 4 and images.shape[-1] == 1:
        images = images[..., 0]
    if images.shape[1:] != (IMAGE_SIZE, IMAGE_SIZE):
        raise DataError(f"{what}: x_{split} must be [N, 28, 28] grey images, got {list(images.shape)}")
    if images.dtype != np.uint8:
        raise DataError(f"{what}: x_{split} must be uint8 (0 to 255), got {images.dtype}")
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if not np.issubdtype(labels.dtype, np.integer):
        raise DataError(f"{what}: y_{split} must be integers, got {labels.dtype}")
    if labels.shape != images.shape[:1]:
        raise DataError(
            f"{what}: y_{split} must hold one label an image, got {list(labels.shape)} labels for "
            f"{len(images)} images"
        )
    if len(labels) == 0:
        raise DataError(f"{what}: x_{split} holds no image")
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= NUM_CLASSES:
        raise DataError(f"{what}: y_{split}: labels must lie in 0 to 9, got {low} to {high}")
    absent = sorted(set(range(NUM_CLASSES)) - set(np.unique(labels).tolist()))
    if absent:
        raise DataError(
            f"{what}: x_{split}: no image is labelled {', '.join(map(str, absent))}; each of 0 to 9 needs some"
        )
    return np.ascontiguousarray(images), np.ascontiguousarray(labels.astype(np.int32))


SMALL_SET = 2**15
"""Images up to which the stateless shuffle takes 8 rounds: after 4, the default, 1,797 images are still correlated 0.3
with their order in one epoch; 60,000 are not."""


class BatchSource:
    """The training batches as a function of the step: nothing to save, nothing to lose.

    Position p of the run (step times global batch, plus the place in the batch) shows image
    shuffle(epoch, p mod N), a stateless permutation drawn anew each epoch from the seed. So a resumed run
    sees the very batches an uninterrupted one would, and replicas take disjoint slices of one global batch.
    """

    def __init__(self, training_set: TrainingSet, *, global_batch: int, seed: int) -> None:
        import tensorflow as tf

        self._tf = tf
        self._images = tf.constant(training_set.images[..., np.newaxis])
        self._labels = tf.constant(training_set.labels)
        self._size = len(training_set.labels)
        self._global_batch = global_batch
        self._seed = seed

    def slice(self, step: Any, replica: Any, num_replicas: int) -> tuple[Any, Any]:
        """Return one replica's share of a step's batch; traceable in a `tf.function`.

        Args:
            step: optimizer step, scalar int64.
            replica: replica's number, scalar int32 in [0, num_replicas).
            num_replicas: divides the global batch.

        Returns:
            Images [B, 28, 28, 1] float32 in [-1, 1] and labels [B] int32, B = G / num_replicas.
        """
        tf = self._tf
        batch = self._global_batch // num_replicas
        first = step * self._global_batch + tf.cast(replica, tf.int64) * batch
        position = first + tf.range(batch, dtype=tf.int64)
        epoch = position // self._size
        # The raw op: tf.random.experimental.index_shuffle pads a [n, 2] seed along the wrong axis (2.21).
        row = tf.raw_ops.RandomIndexShuffle(
            index=position % self._size,
            seed=tf.stack([tf.fill([batch], tf.constant(self._seed, tf.int64)), epoch, epoch], axis=1),
            max_index=tf.fill([batch], tf.constant(self._size - 1, tf.int64)),
            rounds=4 if self._size > SMALL_SET else 8,
        )
        image_BHWC = tf.cast(tf.gather(self._images, row), tf.float32) / 127.5 - 1.0
        return image_BHWC, tf.gather(self._labels, row)
