"""The stream of digits for the training loops of others. Each library is imported when its adapter is called.

Nothing here draws: an adapter is handed a function that returns batches or rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ganmodel.config import IMAGE_SIZE
from ganmodel.errors import SpecError
from ganmodel.latents import BLOCK_ROWS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    Batch = tuple[NDArray[np.uint8], NDArray[np.int64]]


def tf_dataset(batches: Callable[[], Iterator[Batch]], batch_rows: int | None) -> Any:
    """Return a `tf.data.Dataset` of (images [B, 28, 28] uint8, labels [B] int64).

    Args:
        batches: returns the batches, anew each time the data set is iterated.
        batch_rows: B if every batch has as many rows, None if the last may have fewer.
    """
    import tensorflow as tf

    signature = (
        tf.TensorSpec([batch_rows, IMAGE_SIZE, IMAGE_SIZE], tf.uint8),
        tf.TensorSpec([batch_rows], tf.int64),
    )
    return tf.data.Dataset.from_generator(batches, output_signature=signature).prefetch(tf.data.AUTOTUNE)


def torch_dataset(batches: Callable[..., Iterator[Batch]]) -> Any:
    """Return a `torch.utils.data.IterableDataset` of (images [B, 28, 28] uint8, labels [B] int64) tensors.

    Args:
        batches: returns the batches; takes `part=(k, n)` for the share of the k-th of n workers.

    Raises:
        SpecError: PyTorch is not installed.
    """
    try:
        from ganmodel.torch_stream import TorchDigits
    except ImportError as err:
        raise SpecError(f"as_torch_dataset: PyTorch cannot be imported ({err}); pip install torch") from err
    return TorchDigits(batches)


class _BlockReader:
    """What a Ray Data actor holds: it is given numbers of blocks and returns their rows."""

    def __init__(self, read: Callable[[int, int], Batch], first_row: int, end_row: int) -> None:
        self._read = read
        self._first_row = first_row
        self._end_row = end_row

    def __call__(self, batch: dict[str, NDArray[np.int64]]) -> dict[str, NDArray[Any]]:
        pieces = []
        for block in (batch["id"] + self._first_row // BLOCK_ROWS).tolist():
            first = max(self._first_row, block * BLOCK_ROWS)
            end = min(self._end_row, (block + 1) * BLOCK_ROWS)
            pieces.append((*self._read(first, end), np.arange(first, end)))
        images, labels, index = (np.concatenate(column) for column in zip(*pieces, strict=True))
        return {"image": images, "label": labels, "index": index}


def ray_dataset(read: Callable[[int, int], Batch], first_row: int, count: int, actors: int | None) -> Any:
    """Return a `ray.data.Dataset` with the columns image [28, 28] uint8, label and index int64.

    Args:
        read: returns rows [first, end); travels to the actors.
        first_row: of the data set.
        count: rows.
        actors: how many may draw, one core each; None takes as many as Ray has cores.
    """
    import ray
    from ray.data._internal.datasource.range_datasource import RangeDatasource

    if not ray.is_initialized():
        ray.init()  # as Ray Data would later; only now is it known how many cores there are
    end_row = first_row + count
    blocks = -(-end_row // BLOCK_ROWS) - first_row // BLOCK_ROWS
    most = actors or int(ray.cluster_resources().get("CPU", 1))
    # `ray.data.range` asks a core a task, and would wait for ever where actors have taken all of them.
    numbers = RangeDatasource(n=blocks, block_format="arrow", column_name="id")
    return ray.data.read_datasource(numbers, num_cpus=0).map_batches(
        _BlockReader,
        fn_constructor_args=(read, first_row, end_row),
        batch_size=1,
        num_cpus=1,
        compute=ray.data.ActorPoolStrategy(min_size=1, max_size=max(1, min(most, blocks))),
    )
