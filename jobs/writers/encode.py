"""Rows as bytes, once for all formats."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from ganmodel.config import IMAGE_SIZE
from ganmodel.png import concatenated, encode_png_batch

if TYPE_CHECKING:
    from numpy.typing import NDArray

ImageEncoding: TypeAlias = Literal["png", "raw"]

RAW_BYTES = IMAGE_SIZE * IMAGE_SIZE
"""Bytes of a raw image: one a pixel, row-major."""


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
        data, offsets = concatenated(encode_png_batch(images))
    else:
        data = images.tobytes()
        offsets = np.arange(len(labels) + 1, dtype=np.int64) * RAW_BYTES
    return EncodedRows(data=data, offsets=offsets, labels=labels.astype(np.int64), first_row=first_row)
