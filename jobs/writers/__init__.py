"""File formats: one small module each, and a table from name to writer.

Writers neither plan nor publish. They write the path they are given, and the file is whole once `close` returned.
A writer that is dropped before that may leave a file that reads well and lacks rows: `count_rows` tells.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from jobs.writers import parquet, tfrecord

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from jobs.writers.encode import EncodedRows, ImageEncoding


SPLIT = "train"
"""The one split of every data set."""


class ShardWriter(Protocol):
    """A file being written."""

    def append(self, rows: EncodedRows) -> None:
        """Add rows at the end.

        Raises:
            OSError: the disk refuses.
        """

    def close(self) -> None:
        """Write what is buffered and see it on the disk; the file is then whole.

        Raises:
            OSError: the disk refuses.
        """


class OpenShard(Protocol):
    """Starts a file of a format, over one that may be there."""

    def __call__(
        self, path: Path, *, image_encoding: ImageEncoding, class_names: Sequence[str]
    ) -> ShardWriter:
        """Return a writer of `path`, whose rows come as `image_encoding`, with labels that index `class_names`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """What a job needs to know of a file format.

    Attributes:
        name: as in `--format`.
        root: top folder of its files in a data set.
        file_name: (data set name, split, shard number) -> path within the data set.
        open: starts a file.
        count_rows: path -> rows, read back from the file; raises GangenError if it is not whole.
    """

    name: str
    root: str
    file_name: Callable[[str, str, int], str]
    open: OpenShard
    count_rows: Callable[[Path], int]


FORMATS: Mapping[str, Format] = {
    "parquet": Format(
        name="parquet",
        root=parquet.ROOT,
        file_name=parquet.file_name,
        open=parquet.ParquetShardWriter,
        count_rows=parquet.count_rows,
    ),
    "tfrecord": Format(
        name="tfrecord",
        root=tfrecord.ROOT,
        file_name=tfrecord.file_name,
        open=tfrecord.TFRecordShardWriter,
        count_rows=tfrecord.count_rows,
    ),
}
