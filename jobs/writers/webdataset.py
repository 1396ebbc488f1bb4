"""WebDataset: a tar file of two members a row, `000000000042.png` and `000000000042.cls`.

The key is the row's number in the data set, so nothing else need tell it. Headers are POSIX ustar without owner and
time: equal rows give equal files, and these are the files that Python's `tarfile` would write. A raw image is a PGM
file, as in Parquet. Members are padded to 512 bytes each, hence some 2,050 bytes a row.

A block's headers are built as one array from a template; what is left of a row is a copy of its image.

Source:
    IEEE Std 1003.1-2017, pax, "ustar Interchange Format"; extensions: webdataset 1.0, `webdataset.autodecode`.
"""

from __future__ import annotations

import mmap
import os
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from jobs.writers.encode import PGM_HEADER, READ_ROWS, DamagedFile, EncodedRows, join_rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from jobs.writers.encode import ImageEncoding

ROOT = "webdataset"

KEY_DIGITS = 12
"""Digits of a key: the last row a data set may have is 999,999,999,999."""

_RECORD = 512
_END_RECORDS = 20
"""An archive ends with two empty records or more, up to a multiple of 20 in all: the blocks of tapes."""

_SIZE = slice(124, 135)
_CHECKSUM = slice(148, 154)
_MAGIC = slice(257, 265)
_EXTENSIONS = {"png": b".png", "raw": b".pgm"}


def file_name(_dataset_name: str, split: str, shard: int) -> str:
    """Return a shard's path within the data set; without the number of shards, so that one can be added."""
    return f"{ROOT}/{split}-{shard:05d}.tar"


def _template(extension: bytes) -> NDArray[np.uint8]:
    """Return a member's header, [512] uint8, but for the key, the size and the checksum."""
    header = bytearray(_RECORD)
    header[KEY_DIGITS : KEY_DIGITS + len(extension)] = extension
    header[100:124] = b"0000644\0" + 2 * b"0000000\0"  # mode, user, group
    header[135:148] = b"\0" + b"0" * 11 + b"\0"  # end of size; time of last change
    header[148:157] = b"        0"  # the checksum, counted as blanks; a regular file
    header[_MAGIC] = b"ustar\x0000"
    return np.frombuffer(bytes(header), np.uint8)


def _digits(values: NDArray[np.int64], count: int, base: int) -> NDArray[np.uint8]:
    """Return whole numbers as text of `count` digits, [N, count] uint8."""
    powers = base ** np.arange(count - 1, -1, -1, dtype=np.int64)
    return (values[:, np.newaxis] // powers % base + ord("0")).astype(np.uint8)


def _headers(
    template: NDArray[np.uint8], keys: NDArray[np.uint8], sizes: NDArray[np.int64]
) -> NDArray[np.uint8]:
    """Return the headers of members of one kind, [N, 512] uint8."""
    headers = np.repeat(template[np.newaxis], len(sizes), axis=0)
    headers[:, :KEY_DIGITS] = keys
    headers[:, _SIZE] = _digits(sizes, 11, 8)
    headers[:, _CHECKSUM] = _digits(headers.sum(axis=1, dtype=np.int64), 6, 8)
    headers[:, 154] = 0
    return headers


def _records(rows: EncodedRows, extension: bytes, image_head: bytes) -> NDArray[np.uint8]:
    """Return the archive's records of some rows, [M, 512] uint8: image header, image, label header, label.

    Args:
        rows: the rows.
        extension: of the images' names.
        image_head: what leads each image in its file.
    """
    count = rows.num_rows
    keys = _digits(np.arange(rows.first_row, rows.first_row + count, dtype=np.int64), KEY_DIGITS, 10)
    sizes = np.diff(rows.offsets) + len(image_head)
    image_records = -(-sizes // _RECORD)
    after = np.cumsum(image_records + 3)
    at = after - image_records - 3  # of each row's first record
    records = np.zeros((int(after[-1]) if count else 0, _RECORD), np.uint8)
    records[at] = _headers(_template(extension), keys, sizes)
    flat = memoryview(records.reshape(-1))  # type: ignore[arg-type]
    data = memoryview(rows.data)
    starts = ((at + 1) * _RECORD).tolist()
    offsets = rows.offsets.tolist()
    for start, first, end in zip(starts, offsets, offsets[1:], strict=False):
        body = start + len(image_head)
        flat[start:body] = image_head
        flat[body : body + end - first] = data[first:end]
    lengths = _put_labels(records, after - 1, rows.labels)
    records[after - 2] = _headers(_template(b".cls"), keys, lengths)
    return records


def _put_labels(
    records: NDArray[np.uint8], where: NDArray[np.int64], labels: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Write each label as decimal text to its record; return the lengths of the texts, [N] int64."""
    lengths = np.ones(len(labels), np.int64)
    for label in np.unique(labels).tolist():
        text = b"%d" % label
        chosen = labels == label
        lengths[chosen] = len(text)
        records[where[chosen], : len(text)] = np.frombuffer(text, np.uint8)
    return lengths


class WebDatasetShardWriter:
    """Writes a tar file; each append goes to the file whole.

    Args:
        path: the file; replaced if it is there.
        image_encoding: of the rows to come.
        class_names: one name a label; unused, the members hold numbers.
    """

    def __init__(self, path: Path, *, image_encoding: ImageEncoding, class_names: Sequence[str]) -> None:
        del class_names
        self._extension = _EXTENSIONS[image_encoding]
        self._image_head = PGM_HEADER if image_encoding == "raw" else b""
        self._num_records = 0
        self._file = pa.OSFile(str(path), "wb")

    def append(self, rows: EncodedRows) -> None:
        """Add rows at the end; see `jobs.writers.ShardWriter`."""
        records = _records(rows, self._extension, self._image_head)
        self._num_records += len(records)
        self._file.write(records.reshape(-1))

    def close(self) -> None:
        """Write the archive's end and see the file on the disk."""
        with self._file:
            self._file.write(bytes(_RECORD * (2 + -(self._num_records + 2) % _END_RECORDS)))
            os.fsync(self._file.fileno())


def count_rows(path: Path) -> int:
    """Return the rows of an archive, walking from member to member and checking that their keys count up by one.

    Raises:
        DamagedFile: a header is damaged, a member is missing, or the archive has no end.
    """
    return sum(1 for _ in _walk(path))


def read_rows(path: Path, *, image_encoding: ImageEncoding, first_row: int) -> Iterator[EncodedRows]:
    """Yield the rows of an archive; see `read` of `jobs.writers.Format`.

    Raises:
        DamagedFile: the archive is damaged, or its rows are others.
    """
    head = PGM_HEADER if image_encoding == "raw" else b""
    images: list[bytes] = []
    labels: list[int] = []
    row = first_row
    for key, extension, image, label in _walk(path):
        if key != row + len(labels) or extension != _EXTENSIONS[image_encoding] or image[: len(head)] != head:
            raise DamagedFile(
                f"{path}: expected row {row + len(labels):,} as {image_encoding}, found {key:,}",
                row + len(labels) - first_row,
            )
        images.append(image[len(head) :])
        labels.append(label)
        if len(labels) == READ_ROWS:
            yield join_rows(images, labels, row)
            row, images, labels = row + READ_ROWS, [], []
    if labels:
        yield join_rows(images, labels, row)


def _walk(path: Path) -> Iterator[tuple[int, bytes, bytes, int]]:
    """Yield key, extension, image file and label of each row."""
    size_bytes = path.stat().st_size
    if size_bytes == 0:
        raise DamagedFile(f"{path}: is empty; check the disk", 0)
    at, rows, first = 0, 0, 0
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        while data[at : at + 2 * _RECORD] != bytes(2 * _RECORD):
            try:
                key, extension, image, after = _member(data, at)
                label_key, label_extension, text, after = _member(data, after)
                is_pair = key == label_key and label_extension == b".cls"
                label = int(text) if is_pair else 0
            except ValueError as err:
                raise DamagedFile(
                    f"{path}: is damaged or cut at byte {at:,}, row {rows:,}; check the disk", rows
                ) from err
            if rows == 0:
                first = key
            if not is_pair or key != first + rows:
                raise DamagedFile(
                    f"{path}: lacks a member of row {rows:,} at byte {at:,}; check the disk", rows
                )
            yield key, extension, image, label
            rows, at = rows + 1, after
        if size_bytes % (_END_RECORDS * _RECORD):
            raise DamagedFile(f"{path}: ends too early, at byte {size_bytes:,}; check the disk", rows)


def _member(data: mmap.mmap, at: int) -> tuple[int, bytes, bytes, int]:
    """Return a member's key, extension and content, and where the next one begins.

    Raises:
        ValueError: there is no whole member.
    """
    header = data[at : at + _RECORD]
    size = int(header[_SIZE], 8)
    name = header[:100].rstrip(b"\0")
    start, end = at + _RECORD, at + _RECORD + size
    after = start + -(-size // _RECORD) * _RECORD
    if header[_MAGIC] != b"ustar\x0000" or after > len(data):
        raise ValueError("not a whole member")
    expected = sum(header) - sum(header[148:156]) + 8 * ord(" ")
    if int(header[_CHECKSUM], 8) != expected:
        raise ValueError("checksum")
    return int(name[:KEY_DIGITS]), name[KEY_DIGITS:], data[start:end], after
