"""Which shards a data set has: arithmetic, known before anything starts, in constant memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ganmodel.config import json_digest
from ganmodel.errors import SpecError
from ganmodel.labels import parse_labels
from jobs.specs import MAX_SHARDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jobs.specs import DatasetSpec

ROW_BYTES = {
    ("parquet", "png"): 290,
    ("tfrecord", "png"): 345,
    ("parquet", "raw"): 175,
    ("tfrecord", "raw"): 850,
}
"""Bytes a row on disk, measured on MNIST-like digits; an estimate for `--dry-run` and the free-space check."""


@dataclass(frozen=True, slots=True)
class ShardTask:
    """A shard to be made.

    Attributes:
        index: its number, which is also its name.
        first_row: global index of its first row, the first of a block.
        num_rows: rows it holds.
    """

    index: int
    first_row: int
    num_rows: int

    @property
    def end_row(self) -> int:
        """The global index after its last row."""
        return self.first_row + self.num_rows


class Plan:
    """The exact list of shards of a data set.

    Args:
        spec: what the data set is.

    Attributes:
        spec: what the data set is.
        num_shards: how many there are.
        digest: the identity of the data set, SHA-256 in hex.

    Raises:
        SpecError: it would have more shards than names.
    """

    def __init__(self, spec: DatasetSpec) -> None:
        self.spec = spec
        self.digest = json_digest(spec.model_dump(mode="json"))
        self.num_shards = -(-spec.count // spec.shard_rows)
        if self.num_shards > MAX_SHARDS:
            least = -(-spec.count // MAX_SHARDS)
            raise SpecError(
                f"--shard-rows {spec.shard_rows:,}: gives {self.num_shards:,} shards, the limit is {MAX_SHARDS:,}; "
                f"use at least {-(-least // spec.block_rows) * spec.block_rows:,}"
            )

    def task(self, index: int) -> ShardTask:
        """Return shard `index`, in [0, num_shards)."""
        first = index * self.spec.shard_rows
        return ShardTask(index, first, min(self.spec.shard_rows, self.spec.count - first))

    def tasks(self) -> Iterator[ShardTask]:
        """Yield every shard in order."""
        return map(self.task, range(self.num_shards))

    def estimated_bytes(self) -> dict[str, int]:
        """Return the expected size of each format's files, in bytes."""
        encoding = self.spec.image_encoding
        return {f: self.spec.count * ROW_BYTES[f, encoding] for f in self.spec.formats}

    def expected_counts(self) -> dict[int, int] | None:
        """Return the rows of each label where the rule fixes them, else None."""
        return parse_labels(self.spec.labels).expected_counts(self.spec.count)
