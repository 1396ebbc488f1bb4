"""Single grey pictures as PNG bytes, without Pillow or TensorFlow, and the way back from them."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING

import numpy as np
from zlib_ng import zlib_ng

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

DEFLATE_LEVEL = 1
"""zlib-ng's quickest compressing level: MNIST's digits take 275 bytes, 247 at zlib's level 9."""

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
END = struct.pack(">I", 0) + b"IEND" + struct.pack(">I", zlib.crc32(b"IEND"))


def png_header(height: int, width: int) -> bytes:
    """Return signature and IHDR: 8 bits, grey, no interlace (PNG specification, section 11.2.2)."""
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return _SIGNATURE + struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))


def encode_png(image: NDArray[np.uint8]) -> bytes:
    """Return the PNG of one [H, W] uint8 picture; for blocks of digits there is `ganmodel.png_block`."""
    height, width = image.shape
    # Each row is led by its filter type; 0 (none) compresses drawings best.
    rows = np.zeros((height, width + 1), np.uint8)
    rows[:, 1:] = image
    data = zlib_ng.compress(rows.reshape(-1).data, DEFLATE_LEVEL)
    body = b"IDAT" + data
    pack = struct.Struct(">I").pack
    return b"".join((png_header(height, width), pack(len(data)), body, pack(zlib_ng.crc32(body)), END))


def decode_png_batch(pngs: Sequence[bytes], height: int, width: int) -> NDArray[np.uint8]:
    """Return the pictures of PNGs of ours, [N, height, width] uint8.

    Not a decoder of any PNG: other sizes, colours, filters and chunks are refused as damage is.

    Raises:
        ValueError: a PNG is damaged or of another kind; the message tells which, counted from 0.
    """
    size = height * (width + 1)
    header = png_header(height, width)
    start = len(header) + 8
    rows = []
    for i, png in enumerate(pngs):
        end = len(png) - len(END) - 4
        try:
            sound = (
                png.startswith(header + struct.pack(">I", end - start) + b"IDAT")
                and png.endswith(struct.pack(">I", zlib_ng.crc32(png[start - 4 : end])) + END)
                and len(line := zlib_ng.decompress(png[start:end], bufsize=size)) == size
            )
        except (zlib_ng.error, struct.error):  # type: ignore[misc]
            sound = False
        if not sound:
            raise ValueError(f"image {i} is damaged or no PNG of ours")
        rows.append(line)
    lines = np.frombuffer(b"".join(rows), np.uint8).reshape(len(rows), height, width + 1)
    odd = np.flatnonzero(lines[:, :, 0].any(axis=1))
    if len(odd):
        raise ValueError(f"image {odd[0]} is a PNG with filters, not one of ours")
    return lines[:, :, 1:]


def tile(images: NDArray[np.uint8], columns: int, *, gap: int = 2) -> NDArray[np.uint8]:
    """Return images laid out in rows of `columns`, `gap` black pixels apart.

    Args:
        images: [N, H, W] uint8.
        columns: pictures in a row; the last row may be short.
        gap: pixels between pictures.

    Returns:
        [rows * (H + gap) + gap, columns * (W + gap) + gap] uint8.
    """
    count, height, width = images.shape
    lines = -(-count // columns)
    sheet = np.zeros((lines * (height + gap) + gap, columns * (width + gap) + gap), np.uint8)
    for i, image in enumerate(images):
        top = gap + (i // columns) * (height + gap)
        left = gap + (i % columns) * (width + gap)
        sheet[top : top + height, left : left + width] = image
    return sheet


def concatenated(pieces: Sequence[bytes]) -> tuple[bytes, NDArray[np.int64]]:
    """Return the pieces joined and the offset of each, [N + 1] int64, the last being the whole length."""
    offsets = np.zeros(len(pieces) + 1, np.int64)
    np.cumsum([len(piece) for piece in pieces], out=offsets[1:])
    return b"".join(pieces), offsets
