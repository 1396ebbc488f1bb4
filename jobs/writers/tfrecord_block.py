"""Blocks of rows as TFRecord frames, one loop in machine code. See `jobs.writers.tfrecord` for what a record is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ganmodel.compiled import compiled, crc, crc_tables

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jobs.writers.encode import EncodedRows

_CRC32C = crc_tables(0x82F63B78)
_IMAGE, _INDEX, _LABEL = (np.frombuffer(key, np.uint8) for key in (b"image", b"index", b"label"))
_FRAME_BYTES, _MOST_WRAPPING = 16, 96
"""Bytes of a record around its Example, and more than there ever are in an Example beside the image."""


@compiled
def _varint_bytes(value: Any) -> Any:
    size = 1
    while value > 127:
        value >>= 7
        size += 1
    return size


@compiled
def _put_varint(out: NDArray[np.uint8], at: int, value: Any) -> Any:
    while value > 127:
        out[at] = value & 127 | 128
        value >>= 7
        at += 1
    out[at] = value
    return at + 1


@compiled
def _put_lead(out: NDArray[np.uint8], at: int, tag: int, payload_bytes: Any) -> Any:
    """Put the tag of a length-delimited field and its length down; return where its payload begins."""
    out[at] = tag
    return _put_varint(out, at + 1, payload_bytes)


@compiled
def _put_bytes(out: NDArray[np.uint8], at: int, data: NDArray[np.uint8], start: int, end: int) -> Any:
    for k in range(start, end):
        out[at + k - start] = data[k]
    return at + end - start


@compiled
def _put_fixed(out: NDArray[np.uint8], at: int, value: Any, size: int) -> Any:
    """Put a number down in so many bytes, the lowest first."""
    for k in range(size):
        out[at + k] = np.uint8(np.uint64(value) >> np.uint64(8 * k))
    return at + size


@compiled
def _put_checksum(
    out: NDArray[np.uint8], at: int, data: NDArray[np.uint8], start: int, end: int, mask_delta: int
) -> Any:
    """Put the masked checksum of data[start:end] down: rotated right by 15 bits, plus a constant."""
    value = crc(_CRC32C, data, start, end)
    rotated = (value >> np.uint64(15) | value << np.uint64(17)) & np.uint64(0xFFFFFFFF)
    return _put_fixed(out, at, rotated + np.uint64(mask_delta), 4)


@compiled
def _put_int_entry(out: NDArray[np.uint8], at: int, key: NDArray[np.uint8], value: int) -> Any:
    """Put one entry of Features.feature down: `key` with an Int64List of one value, packed."""
    value_bytes = _varint_bytes(value)
    at = _put_lead(out, at, 0x0A, key.size + value_bytes + 8)
    at = _put_lead(out, at, 0x0A, key.size)
    at = _put_bytes(out, at, key, 0, key.size)
    at = _put_lead(out, at, 0x12, value_bytes + 4)
    at = _put_lead(out, at, 0x1A, value_bytes + 2)
    at = _put_lead(out, at, 0x0A, value_bytes)
    return _put_varint(out, at, value)


@compiled
def _put_records(
    data: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    labels: NDArray[np.int64],
    first_row: int,
    mask_delta: int,
    out: NDArray[np.uint8],
) -> Any:
    """Write the records of rows one after another into `out` and return where the last one ends."""
    at = 0
    for i in range(labels.size):
        # Sizes from the inside out: a message is led by its tag and its length.
        image = offsets[i + 1] - offsets[i]
        value = 1 + _varint_bytes(image) + image  # BytesList
        feature = 1 + _varint_bytes(value) + value  # Feature
        entry = 2 + _IMAGE.size + 1 + _varint_bytes(feature) + feature
        index = 10 + _INDEX.size + _varint_bytes(first_row + i)
        label = 10 + _LABEL.size + _varint_bytes(labels[i])
        features = 1 + _varint_bytes(entry) + entry + index + label
        example = 1 + _varint_bytes(features) + features

        frame = at
        at = _put_fixed(out, at, example, 8)
        at = _put_checksum(out, at, out, frame, frame + 8, mask_delta)
        start = at
        at = _put_lead(out, at, 0x0A, features)
        at = _put_lead(out, at, 0x0A, entry)
        at = _put_lead(out, at, 0x0A, _IMAGE.size)
        at = _put_bytes(out, at, _IMAGE, 0, _IMAGE.size)
        at = _put_lead(out, at, 0x12, feature)
        at = _put_lead(out, at, 0x0A, value)
        at = _put_lead(out, at, 0x0A, image)
        at = _put_bytes(out, at, data, offsets[i], offsets[i + 1])
        at = _put_int_entry(out, at, _INDEX, first_row + i)
        at = _put_int_entry(out, at, _LABEL, labels[i])
        at = _put_checksum(out, at, out, start, at, mask_delta)
    return at


@compiled
def _fixed(data: NDArray[np.uint8], at: int, size: int) -> Any:
    """Return the number that so many bytes hold, the lowest first."""
    value = np.uint64(0)
    for k in range(size):
        value |= np.uint64(data[at + k]) << np.uint64(8 * k)
    return value


@compiled
def _walk(data: NDArray[np.uint8], mask_delta: int) -> Any:
    mark = np.empty(4, np.uint8)
    rows: Any = 0
    at: Any = 0
    while at + _FRAME_BYTES <= data.size:
        _put_checksum(mark, 0, data, at, at + 8, mask_delta)
        length = np.int64(_fixed(data, at, 8))
        is_whole = 0 <= length <= data.size - at - _FRAME_BYTES
        if not is_whole or _fixed(data, at + 8, 4) != _fixed(mark, 0, 4):
            break
        rows, at = rows + 1, at + _FRAME_BYTES + length
    return rows, at


def walk(data: NDArray[np.uint8], mask_delta: int) -> tuple[int, int]:
    """Return how many whole frames a file begins with, and where they end.

    Args:
        data: the file, [N] uint8.
        mask_delta: what is added to a checksum that was rotated.
    """
    rows, end = _walk(data, mask_delta)
    return int(rows), int(end)


def records(rows: EncodedRows, mask_delta: int) -> memoryview:
    """Return rows as TFRecord frames.

    The features are in the order of their keys, as deterministic serialization has them, so the bytes equal
    TensorFlow's. The first call compiles, for about two seconds where nothing is cached.

    Args:
        rows: their images may be of any length.
        mask_delta: what is added to a checksum that was rotated.
    """
    out = np.empty(len(rows.data) + rows.num_rows * (_FRAME_BYTES + _MOST_WRAPPING), np.uint8)
    data = np.frombuffer(rows.data, np.uint8)
    end = _put_records(data, rows.offsets, rows.labels, rows.first_row, mask_delta, out)
    return out[:end].data
