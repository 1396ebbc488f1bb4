"""Rows that another actor draws, on a GPU, fetched a few blocks ahead of the encoder that asks for them."""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    from jobs.plan import ShardTask

BLOCKS_AHEAD = 3
"""Blocks an encoder has asked for and not got, 0.8 MB each: one drawn, one on its way, one in the queue."""


class RemoteBlocks:
    """A source of blocks, see `jobs.shards.BlockSource`, whose work is done by a `jobs.tasks.DrawWorker`.

    Args:
        drawer: its handle.
        block_rows: rows of a block.

    Raises:
        GangenError: the drawer cannot load its model.
        RayActorError: it is gone.
    """

    def __init__(self, drawer: Any, block_rows: int) -> None:
        self._drawer = drawer
        self._block_rows = block_rows
        self._device: dict[str, str] = _get(drawer.device.remote())

    def blocks(self, task: ShardTask) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.int32]]]:
        """Yield the blocks of a shard in order; see `BlockSource`."""
        starts = iter(range(task.first_row, task.end_row, self._block_rows))
        ahead = deque(self._ask(task, first) for first in islice(starts, BLOCKS_AHEAD))
        while ahead:
            block = _get(ahead.popleft())
            ahead.extend(self._ask(task, first) for first in islice(starts, 1))
            yield block

    def device(self, task: ShardTask) -> dict[str, str]:
        """Return what the drawer computes with; see `BlockSource`."""
        del task
        return self._device

    def _ask(self, task: ShardTask, first_row: int) -> Any:
        return self._drawer.draw.remote(first_row, min(self._block_rows, task.end_row - first_row))


def _get(ref: Any) -> Any:
    """Return a result; an error of the drawer's own comes as it was raised there."""
    import ray
    from ray.exceptions import RayTaskError

    try:
        return ray.get(ref)
    except RayTaskError as err:
        raise err.cause from None
