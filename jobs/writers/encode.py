"""Rows as bytes, once for all formats."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from ganmodel.config import IMAGE_SIZE
from ganmodel.errors import GangenError
from ganmodel.png import concatenated, decode_png_batch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

ImageEncoding: TypeAlias = Literal["png", "raw"]

RAW_BYTES = IMAGE_SIZE * IMAGE_SIZE
"""Bytes of a raw image: one a pixel, row-major."""

PGM_HEADER = b"P5\n%d %d\n255\n" % (IMAGE_SIZE, IMAGE_SIZE)
"""What leads the pixels where a raw image must be a file of its own: netpbm's PGM format, one byte a pixel."""

READ_ROWS = 1000
"""Rows that readers yield at a time: a block, as shards are whole blocks."""


class DamagedFile(GangenError):
    """A shard's file does not read back.

    Attributes:
        position: of the first row that does not, counted from the shard's first; None where there is no telling.
    """

    def __init__(self, message: str, position: int | None = None) -> None:
        super().__init__(message)
        self.position = position


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedRows:
    """Neighbouring rows, ready for any format.

    Attributes:
        data: the encoded images, one after another.
        offsets: [N + 1] int64; image i is data[offsets[i] : offsets[i + 1]].
        labels: [N] int64.
        first_row: global index of the first row.
    """

    data: bytes
    offsets: NDArray[np.int64]
    labels: NDArray[np.int64]
    first_row: int

    @property
    def num_rows(self) -> int:
        """How many rows there are."""
        return len(self.labels)


def encode_rows(
    images: NDArray[np.uint8], labels: NDArray[np.integer], first_row: int, image_encoding: ImageEncoding
) -> EncodedRows:
    """Return rows with their images as bytes.

    Args:
        images: [N, 28, 28] uint8.
        labels: [N] whole numbers >= 0.
        first_row: global index of the first row.
        image_encoding: `png`, or `raw` for 784 bytes a row, row-major.

    Raises:
        ValueError: shape or dtype is another.
    """
    if images.shape != (len(labels), IMAGE_SIZE, IMAGE_SIZE) or images.dtype != np.uint8:
        raise ValueError(
            f"images must be [{len(labels)}, {IMAGE_SIZE}, {IMAGE_SIZE}] uint8, got {list(images.shape)} {images.dtype}"
        )
    if image_encoding == "png":
        from ganmodel.png_block import encode_png_block

        data, offsets = encode_png_block(images)
    else:
        data = images.tobytes()
        offsets = np.arange(len(labels) + 1, dtype=np.int64) * RAW_BYTES
    return EncodedRows(data=data, offsets=offsets, labels=labels.astype(np.int64), first_row=first_row)


def join_rows(
    images: Sequence[bytes], labels: Sequence[int] | NDArray[np.integer], first_row: int
) -> EncodedRows:
    """Return rows whose images are encoded already."""
    data, offsets = concatenated(images)
    return EncodedRows(data=data, offsets=offsets, labels=np.asarray(labels, np.int64), first_row=first_row)


def decode_rows(rows: EncodedRows, image_encoding: ImageEncoding) -> NDArray[np.uint8]:
    """Return the images of encoded rows, [N, 28, 28] uint8.

    Raises:
        ValueError: an image is damaged or not as `encode_rows` makes it; the message tells which, counted from 0.
    """
    if image_encoding == "png":
        pieces = [
            rows.data[a:b] for a, b in zip(rows.offsets[:-1].tolist(), rows.offsets[1:].tolist(), strict=True)
        ]
        return decode_png_batch(pieces, IMAGE_SIZE, IMAGE_SIZE)
    odd = np.flatnonzero(np.diff(rows.offsets) != RAW_BYTES)
    if len(odd):
        raise ValueError(f"image {odd[0]} has not {RAW_BYTES} bytes")
    return np.frombuffer(rows.data, np.uint8).reshape(-1, IMAGE_SIZE, IMAGE_SIZE)
