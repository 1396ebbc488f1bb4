"""TFRecord as TensorFlow Datasets reads it, written without TensorFlow.

A record is a frame around one serialized tf.train.Example with the features image, index and label:

    length u64 | masked CRC32C of length u32 | Example | masked CRC32C of Example u32      (little endian)

Written by `jobs.writers.tfrecord_block`, a block at a time; read and checked here.

Source:
    Frame and mask: tensorflow/core/lib/io/record_writer.h; wire format: protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

import mmap
import os
import struct
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from crc32c import crc32c

from jobs.writers.encode import READ_ROWS, DamagedFile, EncodedRows, join_rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from jobs.writers.encode import ImageEncoding

ROOT = "tfds"

VERSION = "1.0.0"
"""TFDS' version of every data set; the rows' identity is the manifest's."""

FILE_TEMPLATE = "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_INDEX}"
"""TFDS' own notation. No number of shards in a name: a data set that grows renames nothing."""

_MASK_DELTA = 0xA282EAD8
_HEAD = struct.Struct("<QI")
_FOOT = struct.Struct("<I")


def folder(dataset_name: str) -> str:
    """Return the folder within the data set that `tfds.builder_from_directory` opens."""
    return f"{ROOT}/{dataset_name}/{VERSION}"


def file_name(dataset_name: str, split: str, shard: int) -> str:
    """Return a shard's path within the data set, after `FILE_TEMPLATE`."""
    return f"{folder(dataset_name)}/{dataset_name}-{split}.tfrecord-{shard:05d}"


def _masked(crc: int) -> int:
    """Return a checksum as TFRecord stores it: rotated right by 15 bits, plus a constant."""
    return ((crc >> 15 | crc << 17) + _MASK_DELTA) & 0xFFFFFFFF


def _head(length: int) -> bytes:
    """Return what precedes an Example of `length` bytes."""
    data = length.to_bytes(8, "little")
    return data + _FOOT.pack(_masked(crc32c(data)))


def _varint(value: int) -> bytes:
    """Return a whole number >= 0 in protobuf's base 128."""
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def _lead(tag: int, *payload_bytes: int) -> bytes:
    """Return the tag of a length-delimited field and the length of its payload, given in parts."""
    return bytes([tag]) + _varint(sum(payload_bytes))


def _int_entry(key: bytes, varint: bytes) -> bytes:
    """Return one entry of Features.feature: `key` with an Int64List of one value, packed."""
    int64_list = _lead(0x0A, len(varint)) + varint
    feature = _lead(0x1A, len(int64_list)) + int64_list
    entry = _lead(0x0A, len(key)) + key + _lead(0x12, len(feature)) + feature
    return _lead(0x0A, len(entry)) + entry


def _prefix(image_bytes: int, tail_bytes: int) -> bytes:
    """Return what precedes the image in an Example, given the sizes of the image and of all that follows it."""
    value = _lead(0x0A, image_bytes)  # BytesList.value
    feature = _lead(0x0A, len(value), image_bytes) + value  # Feature.bytes_list
    entry = _lead(0x0A, 5) + b"image" + _lead(0x12, len(feature), image_bytes) + feature
    features = _lead(0x0A, len(entry), image_bytes) + entry
    return _lead(0x0A, len(features), image_bytes, tail_bytes) + features


class TFRecordShardWriter:
    """Writes a TFRecord file; each append goes to the file whole.

    Args:
        path: the file; replaced if it is there.
        image_encoding: unused: an image's bytes are stored as they come.
        class_names: one name a label; unused too, TFDS keeps them in features.json.
    """

    def __init__(self, path: Path, *, image_encoding: ImageEncoding, class_names: Sequence[str]) -> None:
        del image_encoding, class_names
        self._file = pa.OSFile(str(path), "wb")

    def append(self, rows: EncodedRows) -> None:
        """Add rows at the end; see `jobs.writers.ShardWriter`."""
        from jobs.writers.tfrecord_block import records

        self._file.write(records(rows, _MASK_DELTA))

    def close(self) -> None:
        """Flush and see the file on the disk."""
        with self._file:
            os.fsync(self._file.fileno())


def count_rows(path: Path) -> int:
    """Return the records of a file, walking from frame to frame and checking every length's checksum.

    Raises:
        DamagedFile: a length is damaged, or the file ends within a record.
    """
    from jobs.writers.tfrecord_block import walk

    if path.stat().st_size:
        data = np.memmap(path, np.uint8, "r")
        rows, end = walk(data, _MASK_DELTA)
        if end == len(data):
            return rows
    return sum(1 for _ in _frames(path))  # It tells what is wrong, and where.


def _frames(path: Path) -> Iterator[tuple[mmap.mmap, int, int]]:
    """Yield the file's bytes and the ends of each Example within them."""
    size_bytes = path.stat().st_size
    if size_bytes == 0:
        return
    heads: dict[int, bytes] = {}
    rows = start = 0
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        while start < size_bytes:
            found = data[start : start + _HEAD.size]
            length = int.from_bytes(found[:8], "little")
            expected = heads.get(length)
            if expected is None:
                expected = _head(length)
                heads[length] = expected
            end = start + _HEAD.size + length + _FOOT.size
            if found != expected or end > size_bytes:
                what = "ends within" if found == expected[: len(found)] else "has a damaged length in"
                raise DamagedFile(f"{path}: {what} record {rows:,} at byte {start:,}; check the disk", rows)
            yield data, start + _HEAD.size, end - _FOOT.size
            rows, start = rows + 1, end


def read_rows(path: Path, *, image_encoding: ImageEncoding, first_row: int) -> Iterator[EncodedRows]:
    """Yield the rows of a file; see `read` of `jobs.writers.Format`.

    Raises:
        DamagedFile: the file is damaged, or its rows are others.
    """
    del image_encoding  # Stored as it is.
    images: list[bytes] = []
    labels: list[int] = []
    row = first_row
    for data, start, end in _frames(path):
        example = data[start:end]
        number = row + len(labels)
        if data[end : end + _FOOT.size] != _FOOT.pack(_masked(crc32c(example))):
            raise DamagedFile(
                f"{path}: row {number:,} has a wrong checksum; check the disk", number - first_row
            )
        try:
            image, index, label = _parse(example)
        except (ValueError, IndexError) as err:
            raise DamagedFile(f"{path}: row {number:,} is no Example of ours", number - first_row) from err
        if index != number:
            raise DamagedFile(
                f"{path}: expected row {number:,}, its index tells {index:,}", number - first_row
            )
        images.append(image)
        labels.append(label)
        if len(labels) == READ_ROWS:
            yield join_rows(images, labels, row)
            row, images, labels = row + READ_ROWS, [], []
    if labels:
        yield join_rows(images, labels, row)


def _parse(example: bytes) -> tuple[bytes, int, int]:
    """Return image, index and label of an Example as `TFRecordShardWriter` makes it.

    What the image's and the integers' sizes do not decide is the same for all, so the Example is read by building it
    again and comparing.

    Raises:
        ValueError: it is another.
        IndexError: it ends too early.
    """
    at = example.index(b"image", 0, 32) + 5
    for _ in range(3):  # Feature, BytesList, its value: the last length is the image's.
        length, at = _read_varint(example, at + 1)
    image, tail = example[at : at + length], at + length
    index, after = _read_varint(example, example.index(b"index", tail) + 11)
    label, _ = _read_varint(example, example.index(b"label", after) + 11)
    entries = _int_entry(b"index", _varint(index)) + _int_entry(b"label", _varint(label))
    if example != _prefix(len(image), len(entries)) + image + entries:
        raise ValueError("not ours")
    return image, index, label


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    """Return the number that begins at a byte, and where the next thing begins."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
