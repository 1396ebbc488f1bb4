"""What a person and a guard look at while a network trains: log, sample sheet, collapse watch."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from ganmodel.errors import TrainingFailed
from ganmodel.png import encode_png, tile
from ganmodel.weights import replace_on_success

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from ganmodel.config import TrainConfig
    from ganmodel.data import TrainingSet

SHEET_COLUMNS = 10
"""Digits of each class on a sample sheet."""


class RunLog:
    """metrics.jsonl, TensorBoard events and sample sheets of a model directory.

    Args:
        model_dir: the folder.
        first_step: the step the run continues at: lines of later steps, written before a crash and about
            to be written again, are dropped, so that no step stands twice.
    """

    def __init__(self, model_dir: Path, *, first_step: int) -> None:
        import tensorflow as tf

        self._tf = tf
        self._path = model_dir / "metrics.jsonl"
        self._samples = model_dir / "samples"
        self._samples.mkdir(parents=True, exist_ok=True)
        kept = []
        if self._path.is_file():
            lines = self._path.read_text().splitlines(keepends=True)
            kept = [line for line in lines if line.endswith("\n") and json.loads(line)["step"] <= first_step]
        with replace_on_success(self._path) as temporary:
            temporary.write_text("".join(kept) if first_step else "")
        self._events = tf.summary.create_file_writer(str(model_dir / "tensorboard"))

    def write(self, step: int, **values: float) -> None:
        """Append one line to metrics.jsonl and the same figures to TensorBoard."""
        with self._path.open("a") as file:
            file.write(json.dumps({"step": step, **values}) + "\n")
        with self._events.as_default():
            for name, value in values.items():
                self._tf.summary.scalar(name, value, step=step)
        self._events.flush()

    def write_sheet(self, step: int, sheet: NDArray[np.uint8]) -> None:
        """Write a sample sheet as PNG and to TensorBoard.

        Args:
            step: steps taken.
            sheet: [H, W] uint8.
        """
        with replace_on_success(self._samples / f"step-{step:09d}.png") as temporary:
            temporary.write_bytes(encode_png(sheet))
        with self._events.as_default():
            self._tf.summary.image("samples", sheet[np.newaxis, ..., np.newaxis], step=step)
        self._events.flush()


class SampleSheet:
    """Fixed latents, ten of each class, drawn again and again as the networks change."""

    def __init__(self, config: TrainConfig, training_set: TrainingSet) -> None:
        classes = config.generator.num_classes
        rng = np.random.Generator(np.random.Philox(key=[config.seed, 0]))
        shape = (SHEET_COLUMNS, config.generator.latent_dim)
        latents = rng.standard_normal(shape, dtype=np.float32)
        self._latents = np.tile(latents, (classes, 1))
        self._labels = np.repeat(np.arange(classes, dtype=np.int32), SHEET_COLUMNS)
        self._real_spread = _spread(_first_of_each_class(training_set, classes))

    def draw(self, generator: Any) -> NDArray[np.uint8]:
        """Return the sheet, one row a class, one column a latent, [H, W] uint8."""
        return tile(self._images(generator), SHEET_COLUMNS)

    def diversity(self, generator: Any) -> float:
        """Return how much digits of one class differ, as a share of how much real ones do.

        Mean absolute pixel difference over all pairs of a class, averaged over the classes; 0 when every
        class is one picture, about 1 for real digits. 1 if the real ones are one picture a class themselves.
        """
        if self._real_spread == 0:
            return 1.0
        images = self._images(generator).reshape(-1, SHEET_COLUMNS, *self._images_shape)
        return float(_spread(images) / self._real_spread)

    _images_shape = (28, 28)

    def _images(self, generator: Any) -> NDArray[np.uint8]:
        pixels = np.asarray(generator([self._latents, self._labels], training=False))[..., 0]
        return np.clip(np.round(pixels * 127.5 + 127.5), 0, 255).astype(np.uint8)


def _first_of_each_class(training_set: TrainingSet, classes: int) -> NDArray[np.uint8]:
    rows = [np.flatnonzero(training_set.labels == k)[:SHEET_COLUMNS] for k in range(classes)]
    return np.stack([training_set.images[np.resize(r, SHEET_COLUMNS)] for r in rows])


def _spread(images: NDArray[np.uint8]) -> float:
    """Return the mean absolute difference of pairs within a class; images is [K, M, H, W] uint8."""
    pixels = images.astype(np.float32)
    count = pixels.shape[1]
    gaps = np.abs(pixels[:, :, np.newaxis] - pixels[:, np.newaxis]).mean(axis=(3, 4))
    return float(gaps.sum(axis=(1, 2)).mean() / (count * (count - 1)))


class CollapseWatch:
    """Stops a run whose generator draws one picture a class.

    Attributes:
        LIMIT: share of the real digits' diversity below which a look counts as collapsed. Healthy
            generators show 0.5 to 1 from the first epoch on.
        PATIENCE: looks in a row that must count.
        GRACE_STEPS: early steps, when every generator draws one blot a class.
    """

    LIMIT = 0.1
    PATIENCE = 3
    GRACE_STEPS = 2000

    def __init__(self) -> None:
        self._looks = 0

    def check(self, step: int, diversity: float) -> None:
        """Count a look.

        Raises:
            TrainingFailed: it was one too many.
        """
        self._looks = self._looks + 1 if diversity < self.LIMIT and step >= self.GRACE_STEPS else 0
        if self._looks >= self.PATIENCE:
            raise TrainingFailed(
                f"step {step}: the generator has collapsed: digits of one class differ by {diversity:.2f} of "
                f"what real ones do (limit {self.LIMIT}); try a lower --learning-rate or a higher --gamma "
                "with --fresh"
            )
