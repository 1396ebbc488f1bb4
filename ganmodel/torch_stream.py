"""The data set as a PyTorch stream. Its own module, so that a loader's spawned workers find the class by its name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class TorchDigits(torch.utils.data.IterableDataset):  # type: ignore[misc, unused-ignore]
    """Batches of (images [B, 28, 28] uint8, labels [B] int64) tensors; for a loader with `batch_size=None`.

    Each worker of a loader draws its own blocks. Workers must be spawned: TensorFlow does not survive a fork.

    Args:
        batches: returns the batches; takes `part=(k, n)` for the share of the k-th of n workers.
    """

    def __init__(self, batches: Callable[..., Iterator[Any]]) -> None:
        self._batches = batches

    def __iter__(self) -> Iterator[Any]:
        """Return this worker's share of one pass."""
        worker = torch.utils.data.get_worker_info()
        part = (0, 1) if worker is None else (worker.id, worker.num_workers)
        for images, labels in self._batches(part=part):
            yield torch.from_numpy(images), torch.from_numpy(labels)
