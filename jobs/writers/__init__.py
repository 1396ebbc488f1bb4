"""File formats: one small module each, and a table from name to writer and reader.

Writers neither plan nor publish. They write the paths they are given, and the files are whole once `close` returned.
A writer that is dropped before that may leave a file that reads well and lacks rows: `count_rows` tells.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Protocol

import numpy as np

from ganmodel.config import IMAGE_SIZE
from jobs.writers import idx, parquet, tfrecord, webdataset
from jobs.writers.encode import encode_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from jobs.dataset_spec import FormatName
    from jobs.writers.encode import EncodedRows, ImageEncoding


class ShardWriter(Protocol):
    """The files of a shard being written."""

    def append(self, rows: EncodedRows) -> None:
        """Add rows at the end.

        Raises:
            OSError: the disk refuses.
        """

    def close(self) -> None:
        """Write what is buffered and see it on the disk; the files are then whole.

        Raises:
            OSError: the disk refuses.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """What a job needs to know of a file format.

    Attributes:
        name: as in `--format`.
        root: top folder of its files in a data set.
        file_names: (data set name, split, number of the shard within the split) -> paths within the data set.
        open: (paths one by one, `image_encoding` as `stored_as` has it, `class_names` that the labels index) -> writer
            of a shard's files, over what may be there.
        count_rows: (paths one by one) -> rows, read back from the files; raises GangenError if they are not whole.
        read: (paths one by one, `image_encoding` likewise, `first_row` of the shard) -> the rows in order, `READ_ROWS`
            at a time, the last time fewer; raises GangenError if a file is damaged or its index column tells of
            other rows.
        row_bytes: bytes a row on disk by image encoding, measured on MNIST-like digits; an estimate.
        parts: what each of the files holds, where a shard has several.
        only_raw: whether images are stored as pixels whatever the data set's encoding.
    """

    name: FormatName
    root: str
    file_names: Callable[[str, str, int], tuple[str, ...]]
    open: Callable[..., ShardWriter]
    count_rows: Callable[..., int]
    read: Callable[..., Iterator[EncodedRows]]
    row_bytes: Mapping[ImageEncoding, int]
    parts: tuple[str, ...] = ()
    only_raw: bool = False

    @property
    def keys(self) -> tuple[str, ...]:
        """Names of a shard's files in its commit record: the format's own, or one a part as in `idx.labels`."""
        return tuple(f"{self.name}.{part}" for part in self.parts) or (self.name,)

    def stored_as(self, image_encoding: ImageEncoding) -> ImageEncoding:
        """Return how the format stores images of a data set whose encoding is `image_encoding`."""
        return "raw" if self.only_raw else image_encoding


def format_of(key: str) -> str:
    """Return the format that a key of a commit record's files belongs to."""
    return key.partition(".")[0]


def warm_up(names: Iterable[str], image_encoding: ImageEncoding) -> None:
    """Write and read back blank rows in each format, so that the loops are compiled before the first block is there.

    Also of images that may not be written, as are those from Ray's object store: Numba takes them for another type.

    Raises:
        OSError: there is no room for temporary files.
    """
    with TemporaryDirectory() as folder:
        for kind in (FORMATS[name] for name in names):
            encoding = kind.stored_as(image_encoding)
            paths = [Path(folder, key) for key in kind.keys]
            writer = kind.open(*paths, image_encoding=encoding, class_names=("0",))
            blank = np.zeros((1, IMAGE_SIZE, IMAGE_SIZE), np.uint8)
            labels = np.zeros(1, np.int64)
            writer.append(encode_rows(blank, labels, 0, encoding))
            blank.flags.writeable = False
            writer.append(encode_rows(blank, labels, 1, encoding))
            writer.close()
            kind.count_rows(*paths)


def _one_file(file_name: Callable[[str, str, int], str]) -> Callable[[str, str, int], tuple[str, ...]]:
    return lambda dataset_name, split, number: (file_name(dataset_name, split, number),)


FORMATS: Mapping[str, Format] = {
    "idx": Format(
        name="idx",
        root=idx.ROOT,
        file_names=idx.file_names,
        open=idx.IdxShardWriter,
        count_rows=idx.count_rows,
        read=idx.read_rows,
        row_bytes={"png": 785, "raw": 785},
        parts=idx.PARTS,
        only_raw=True,
    ),
    "parquet": Format(
        name="parquet",
        root=parquet.ROOT,
        file_names=_one_file(parquet.file_name),
        open=parquet.ParquetShardWriter,
        count_rows=parquet.count_rows,
        read=parquet.read_rows,
        row_bytes={"png": 345, "raw": 225},
    ),
    "tfrecord": Format(
        name="tfrecord",
        root=tfrecord.ROOT,
        file_names=_one_file(tfrecord.file_name),
        open=tfrecord.TFRecordShardWriter,
        count_rows=tfrecord.count_rows,
        read=tfrecord.read_rows,
        row_bytes={"png": 412, "raw": 858},
    ),
    "webdataset": Format(
        name="webdataset",
        root=webdataset.ROOT,
        file_names=_one_file(webdataset.file_name),
        open=webdataset.WebDatasetShardWriter,
        count_rows=webdataset.count_rows,
        read=webdataset.read_rows,
        row_bytes={"png": 2050, "raw": 2560},
    ),
}
"""Every format, in the order in which a job writes them and a spec names them."""
