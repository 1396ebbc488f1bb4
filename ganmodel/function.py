"""The data set without the data: rows are drawn when they are asked for, and are those `gangen generate` writes.

    from ganmodel import DigitFunction

    digits = DigitFunction.pretrained(seed=0)
    images, labels = digits[1_000_000:1_000_100]    # uint8 [100, 28, 28], int64 [100]

There is no last row. TensorFlow is loaded with the first row that is drawn.
"""

from __future__ import annotations

import math
import operator
import os
from collections import OrderedDict
from functools import partial
from itertools import count as count_from
from threading import Lock
from typing import TYPE_CHECKING, Any, Self, get_args

import numpy as np

from ganmodel.adapters import ray_dataset, tf_dataset, torch_dataset
from ganmodel.config import IMAGE_SIZE, DrawPrecision
from ganmodel.device import configure_tensorflow
from ganmodel.errors import GangenError, RowError, SpecError
from ganmodel.labels import parse_labels
from ganmodel.latents import BLOCK_ROWS
from ganmodel.model_dir import PRETRAINED, read_model
from ganmodel.rows import MAX_ROWS, check_range, check_size, slice_rows, stream_pieces

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import ArrayLike, NDArray

    from ganmodel.sampler import Sampler


class DigitFunction:
    """The endless data set of a model, a seed and a label rule, addressed by row.

    `digits[i]` is a picture and its label, `digits[i:j]`, `digits[i:j:step]` and `digits[[i, j, k]]` are arrays of
    them. A row costs the drawing of its block of 1,000, so neighbours are cheap and rows far apart are not; the
    last blocks are kept. Iterating never ends. Instances can be pickled, and drawn from by several threads.

    Args:
        model: folder of a model, or `pretrained`.
        seed: of the data set, in [0, 2**63).
        labels: a label rule, as `gangen generate --labels` takes it.
        truncation: psi in (0, 1].
        cached_blocks: blocks that are kept, 0.8 MB each.
        threads: cores one draw may use; None leaves TensorFlow as it is set up.
        precision: float32 or bfloat16, as `gangen generate --precision` takes it.
        use_gpu: whether to draw on a GPU where there is one. Pixels may then differ from the CPU's by a grey level.

    Raises:
        ModelError: the model is missing or damaged.
        SpecError: another argument is out of its range.
    """

    def __init__(
        self,
        model: str = PRETRAINED,
        *,
        seed: int = 0,
        labels: str = "balanced",
        truncation: float = 1.0,
        precision: DrawPrecision = "float32",
        cached_blocks: int = 16,
        threads: int | None = None,
        use_gpu: bool = False,
    ) -> None:
        if not 0 <= seed < 2**63:
            raise SpecError(f"seed: must be from 0 to {2**63 - 1:,}, got {seed}")
        if not (math.isfinite(truncation) and 0 < truncation <= 1):
            raise SpecError(f"truncation: must be above 0 and at most 1, got {truncation:g}")
        if precision not in get_args(DrawPrecision):
            raise SpecError(
                f"precision: must be one of {', '.join(get_args(DrawPrecision))}, got {precision!r}"
            )
        if cached_blocks < 1:
            raise SpecError(f"cached_blocks: must be 1 or more, got {cached_blocks}")
        self.info = read_model(model)
        self._arguments: dict[str, Any] = {
            "model": model,
            "seed": seed,
            "labels": labels,
            "truncation": truncation,
            "precision": precision,
            "cached_blocks": cached_blocks,
            "threads": threads,
            "use_gpu": use_gpu,
        }
        self._rule = parse_labels(labels, self.info.generator.num_classes)
        self._sampler: Sampler | None = None
        self._device: Any = None
        self._process = 0
        self._lock = Lock()
        self._blocks: OrderedDict[int, tuple[NDArray[np.uint8], NDArray[np.int64]]] = OrderedDict()

    @classmethod
    def pretrained(cls, seed: int = 0, **arguments: Any) -> Self:
        """Return the data set of the generator that ships; see the class for the other arguments."""
        return cls(PRETRAINED, seed=seed, **arguments)

    def __repr__(self) -> str:
        shown = ("model", "seed", "labels", "truncation", "precision")
        return f"DigitFunction({', '.join(f'{name}={self._arguments[name]!r}' for name in shown)})"

    def __getstate__(self) -> dict[str, Any]:
        return self._arguments

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]

    def __getitem__(self, rows: int | slice | ArrayLike) -> tuple[NDArray[np.uint8], Any]:
        """Return rows.

        Args:
            rows: a row, a slice of rows, or a list or 1-D array of rows in any order.

        Returns:
            For a row its image [28, 28] uint8 and its label, an int; else images [N, 28, 28] uint8 and labels [N]
            int64. They are the caller's own.

        Raises:
            RowError: a row is negative or beyond the last, a slice has no end, or too many rows were asked for.
            TypeError: not a whole number, nor several.
        """
        if isinstance(rows, slice):
            return self._gather(slice_rows(rows))
        if not isinstance(rows, bool | np.bool_) and hasattr(rows, "__index__") and np.ndim(rows) == 0:
            row = operator.index(rows)  # type: ignore[arg-type]
            check_range(row, row + 1)
            images, labels = self._block(row // BLOCK_ROWS)
            return images[row % BLOCK_ROWS].copy(), int(labels[row % BLOCK_ROWS])
        array = np.asarray(rows)
        if array.ndim != 1 or not (np.issubdtype(array.dtype, np.integer) or array.size == 0):
            raise TypeError(f"rows are a whole number, a slice or a list of whole numbers, got {rows!r}")
        if array.size:
            check_range(int(array.min()), int(array.max()) + 1)
        check_size(len(array))
        return self._gather(array.astype(np.int64))

    def __iter__(self) -> Iterator[tuple[NDArray[np.uint8], int]]:
        """Return every row from the first on, without end."""
        for row in count_from():
            yield self[row]

    def batches(
        self,
        batch_size: int = BLOCK_ROWS,
        *,
        first_row: int = 0,
        count: int | None = None,
        shuffle: int | None = None,
        part: tuple[int, int] = (0, 1),
    ) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.int64]]]:
        """Return images [B, 28, 28] uint8 and labels [B] int64, batch by batch.

        Args:
            batch_size: B; the last batch of a stream that ends may have fewer.
            first_row: where the stream begins.
            count: rows of the stream; None never ends.
            shuffle: a seed: rows come in an order that follows from it, each once; None keeps them as they are.
                Take another for another epoch.
            part: (k, n) for the k-th of n shares, cut by blocks: together they hold each row once.

        Raises:
            RowError: rows are out of range.
            SpecError: batch_size, shuffle or part is.
        """
        if batch_size < 1:
            raise SpecError(f"batch_size: must be 1 or more, got {batch_size}")
        if not 0 <= part[0] < part[1]:
            raise SpecError(f"part: must be (k, n) with 0 <= k < n, got {part}")
        if shuffle is not None and not 0 <= shuffle < 2**63:
            raise SpecError(f"shuffle: must be from 0 to {2**63 - 1:,}, got {shuffle}")
        if count is not None and count < 1:
            raise RowError(f"count: must be 1 or more, or None for no end, got {count}")
        end_row = MAX_ROWS if count is None else first_row + count
        check_range(first_row, end_row)
        return self._rebatched(batch_size, stream_pieces(first_row, end_row, shuffle, part))

    def as_tf_dataset(self, batch_size: int = 256, *, count: int | None = None, **stream: Any) -> Any:
        """Return a `tf.data.Dataset` of batches (images [B, 28, 28] uint8, labels [B] int64); see `batches`."""
        batches = partial(self.batches, batch_size, count=count, **stream)
        batches()  # bad arguments are told now, not in a thread of tf.data
        whole = count is None or count % batch_size == 0
        return tf_dataset(batches, batch_size if whole else None)

    def as_torch_dataset(self, batch_size: int = 256, *, count: int | None = None, **stream: Any) -> Any:
        """Return a PyTorch `IterableDataset` of batches (images uint8, labels int64); see `batches`.

        For `DataLoader(dataset, batch_size=None)`; with workers, also `multiprocessing_context="spawn"`. Each worker
        draws its own blocks.

        Raises:
            SpecError: PyTorch is not installed, or an argument is out of range.
        """
        batches = partial(self.batches, batch_size, count=count, **stream)
        batches()
        return torch_dataset(batches)

    def as_ray_dataset(self, count: int, *, first_row: int = 0, actors: int | None = None) -> Any:
        """Return a `ray.data.Dataset` of rows (image [28, 28] uint8, label int64, index int64), drawn by actors.

        Starts Ray where it is not there. Ray's workers must find this package. Rows come in the order the actors
        finish; `index` tells which is which.

        Args:
            count: rows.
            first_row: the first of them.
            actors: how many may draw, one core each; None takes as many as Ray has cores.

        Raises:
            RowError: rows are out of range.
        """
        if count < 1:
            raise RowError(f"count: must be 1 or more, got {count}")
        check_range(first_row, first_row + count)
        drawer = type(self)(**{**self._arguments, "threads": 1})
        return ray_dataset(drawer.read, first_row, count, actors)

    def read(self, first_row: int, end_row: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """Return rows [first_row, end_row), as `digits[first_row:end_row]` does."""
        return self._gather(slice_rows(slice(first_row, end_row)))

    def _gather(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        images = np.empty((len(rows), IMAGE_SIZE, IMAGE_SIZE), np.uint8)
        labels = np.empty(len(rows), np.int64)
        blocks, places = np.divmod(rows, BLOCK_ROWS)
        order = np.argsort(blocks, kind="stable")
        edges = np.flatnonzero(np.diff(blocks[order])) + 1
        for group in np.split(order, edges) if len(rows) else []:
            block_images, block_labels = self._block(int(blocks[group[0]]))
            images[group] = block_images[places[group]]
            labels[group] = block_labels[places[group]]
        return images, labels

    def _rebatched(
        self, batch_size: int, pieces: Iterator[NDArray[np.int64]]
    ) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.int64]]]:
        images = np.empty((0, IMAGE_SIZE, IMAGE_SIZE), np.uint8)
        labels = np.empty(0, np.int64)
        for rows in pieces:
            more_images, more_labels = self._gather(rows)
            images, labels = np.concatenate([images, more_images]), np.concatenate([labels, more_labels])
            whole = len(labels) // batch_size * batch_size
            for start in range(0, whole, batch_size):
                yield images[start : start + batch_size], labels[start : start + batch_size]
            images, labels = images[whole:], labels[whole:]
        if len(labels):
            yield images, labels

    def _block(self, number: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        with self._lock:
            if number in self._blocks:
                self._blocks.move_to_end(number)
                return self._blocks[number]
            if self._sampler is None:
                self._load()
            elif self._process != os.getpid():
                raise GangenError(
                    "DigitFunction: this process was forked from one that had drawn rows, which TensorFlow does not "
                    "survive; start workers by spawn (multiprocessing_context='spawn')"
                )
            kept = self._draw(number)
            self._blocks[number] = kept
            if len(self._blocks) > self._arguments["cached_blocks"]:
                self._blocks.popitem(last=False)
            return kept

    def _load(self) -> None:
        from ganmodel.sampler import Sampler

        threads = self._arguments["threads"]
        tf = configure_tensorflow(threads=threads)
        self._device = partial(tf.device, "GPU" if self._arguments["use_gpu"] else "CPU")
        with self._device():
            self._sampler = Sampler(
                self._arguments["model"], threads=threads, precision=self._arguments["precision"]
            )
        self._process = os.getpid()

    def _draw(self, number: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        with self._device():
            images, labels = self._sampler.draw(  # type: ignore[union-attr]
                self._arguments["seed"], number, self._rule, truncation=self._arguments["truncation"]
            )
        return images, labels.astype(np.int64)
