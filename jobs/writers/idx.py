"""IDX, the files that MNIST itself comes in: two a shard, pixels and labels, each after a small header.

    00 00 08 03 | rows u32 | 28 u32 | 28 u32 | 784 bytes a row          00000/train-images-idx3-ubyte
    00 00 08 01 | rows u32 | 1 byte a row                               00000/train-labels-idx1-ubyte     (big endian)

A shard has a folder of its own with MNIST's own file names, which is what its loaders look for; the split `test` is
called `t10k` there, as its loaders expect. A data set cut into train and test shows both in one folder, so that any
shard is a small MNIST. The row's number in the data set is its place: the shard's first row plus the position.

Source:
    Y. LeCun, C. Cortes, C. Burges: The MNIST database, "File formats for the MNIST database".
"""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from ganmodel.config import IMAGE_SIZE
from jobs.writers.encode import RAW_BYTES, READ_ROWS, DamagedFile, EncodedRows

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from jobs.writers.encode import ImageEncoding

ROOT = "idx"

PARTS = ("images", "labels")
"""The files of a shard, in the order in which functions here take their paths."""

MAX_ROWS = 2**31 - 1
"""Rows of a file; readers take the number of rows for a signed 32-bit one."""

TEST_SPLIT, TEST_PREFIX = "test", "t10k"

_IMAGES_HEAD = struct.Struct(">IIII")
_LABELS_HEAD = struct.Struct(">II")
_IMAGES_MAGIC, _LABELS_MAGIC = 0x803, 0x801


def file_names(_dataset_name: str, split: str, shard: int) -> tuple[str, str]:
    """Return the paths of a shard's two files within the data set."""
    prefix = f"{ROOT}/{shard:05d}/{TEST_PREFIX if split == TEST_SPLIT else split}"
    return f"{prefix}-images-idx3-ubyte", f"{prefix}-labels-idx1-ubyte"


def _images_head(num_rows: int) -> bytes:
    return _IMAGES_HEAD.pack(_IMAGES_MAGIC, num_rows, IMAGE_SIZE, IMAGE_SIZE)


def _labels_head(num_rows: int) -> bytes:
    return _LABELS_HEAD.pack(_LABELS_MAGIC, num_rows)


class IdxShardWriter:
    """Writes a pair of IDX files. Until `close` their headers tell of no rows, so that a cut pair is noticed.

    Args:
        images_path: the images' file; replaced if it is there.
        labels_path: the labels' file, likewise.
        image_encoding: of the rows to come; the format has no other than `raw`.
        class_names: one name a label; unused, the files hold numbers.

    Raises:
        ValueError: the rows would come as PNG.
    """

    def __init__(
        self,
        images_path: Path,
        labels_path: Path,
        *,
        image_encoding: ImageEncoding,
        class_names: Sequence[str],
    ) -> None:
        del class_names
        if image_encoding != "raw":
            raise ValueError(f"IDX holds raw pixels, not {image_encoding}")
        self._num_rows = 0
        self._images = pa.OSFile(str(images_path), "wb")
        self._labels = pa.OSFile(str(labels_path), "wb")
        self._images.write(_images_head(0))
        self._labels.write(_labels_head(0))

    def append(self, rows: EncodedRows) -> None:
        """Add rows at the end; see `jobs.writers.ShardWriter`."""
        self._num_rows += rows.num_rows
        if self._num_rows > MAX_ROWS:
            raise ValueError(f"an IDX file has at most {MAX_ROWS:,} rows")
        self._images.write(rows.data)
        self._labels.write(rows.labels.astype(np.uint8).tobytes())

    def close(self) -> None:
        """Write the headers with the number of rows and see both files on the disk."""
        for file, head in (
            (self._images, _images_head(self._num_rows)),
            (self._labels, _labels_head(self._num_rows)),
        ):
            with file:
                os.pwrite(file.fileno(), head, 0)  # Arrow's files of this kind cannot seek.
                os.fsync(file.fileno())


def count_rows(images_path: Path, labels_path: Path) -> int:
    """Return the rows of a pair of files, from headers that must agree with each other and with the files' sizes.

    Raises:
        DamagedFile: they do not.
    """
    counts = []
    for path, make_head, row_bytes in (
        (images_path, _images_head, RAW_BYTES),
        (labels_path, _labels_head, 1),
    ):
        head_bytes = len(make_head(0))
        rows, odd = divmod(path.stat().st_size - head_bytes, row_bytes)
        with path.open("rb") as file:
            head = file.read(head_bytes)
        if odd or not 0 <= rows <= MAX_ROWS or head != make_head(rows):
            raise DamagedFile(f"{path}: its header does not fit its size; check the disk")
        counts.append(rows)
    if counts[0] != counts[1]:
        raise DamagedFile(f"{images_path}: has {counts[0]:,} images and {counts[1]:,} labels; check the disk")
    return counts[0]


def read_rows(
    images_path: Path, labels_path: Path, *, image_encoding: ImageEncoding, first_row: int
) -> Iterator[EncodedRows]:
    """Yield the rows of a pair of files; see `read` of `jobs.writers.Format`.

    Raises:
        DamagedFile: the files are damaged.
        ValueError: the rows are asked for as PNG.
    """
    if image_encoding != "raw":
        raise ValueError(f"IDX holds raw pixels, not {image_encoding}")
    count = count_rows(images_path, labels_path)
    with images_path.open("rb") as images, labels_path.open("rb") as labels:
        images.seek(_IMAGES_HEAD.size)
        labels.seek(_LABELS_HEAD.size)
        for start in range(0, count, READ_ROWS):
            rows = min(READ_ROWS, count - start)
            yield EncodedRows(
                data=images.read(rows * RAW_BYTES),
                offsets=np.arange(rows + 1, dtype=np.int64) * RAW_BYTES,
                labels=np.frombuffer(labels.read(rows), np.uint8).astype(np.int64),
                first_row=first_row + start,
            )
