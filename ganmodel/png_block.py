"""Blocks of small grey pictures as PNG, one loop in machine code: three times as fast as zlib-ng called for each.

A general compressor spends most of a picture of 812 bytes on clearing its tables. This one has none: runs of equal
bytes, which is what drawings on black consist of, and literals, in deflate's fixed Huffman code. Files are some 8 %
larger than those of zlib's level 9 (docs/performance.md), and their bytes depend on no library's version.

Source:
    RFC 1950 (zlib), RFC 1951 (deflate; sec. 3.2.5 and 3.2.6), PNG specification (sec. 5, 11.2).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ganmodel.compiled import compiled, crc, crc_tables
from ganmodel.png import END, png_header

if TYPE_CHECKING:
    from numpy.typing import NDArray

MIN_RUN, MAX_RUN = 3, 258
"""Bytes that one match of deflate can stand for."""

_CRC = crc_tables(0xEDB88320)
_ADLER = 65521
_BLOCK_HEADER = 0b011
"""Three bits: the last block, fixed codes."""


def _fixed_code(symbol: int) -> tuple[int, int]:
    """Return code and length of a literal or length symbol, the code's first bit lowest (RFC 1951, sec. 3.2.6)."""
    if symbol < 144:
        code, bits = 0x30 + symbol, 8
    elif symbol < 256:
        code, bits = 0x190 + symbol - 144, 9
    elif symbol < 280:
        code, bits = symbol - 256, 7
    else:
        code, bits = 0xC0 + symbol - 280, 8
    return int(format(code, f"0{bits}b")[::-1], 2), bits


def _literals() -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Return code and length of each byte and of the end of the block (256)."""
    codes, bits = zip(*map(_fixed_code, range(257)), strict=True)
    return np.array(codes, np.uint64), np.array(bits, np.uint64)


def _runs() -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Return code and length by run: a match of so many bytes at distance 1, whose code is five zeros."""
    codes, sizes = np.zeros(MAX_RUN + 1, np.uint64), np.zeros(MAX_RUN + 1, np.uint64)
    run, symbol = MIN_RUN, 257
    while run < MAX_RUN:
        extra = max(0, (symbol - 261) // 4)
        code, bits = _fixed_code(symbol)
        for more in range(1 << extra):
            if run + more < MAX_RUN:
                codes[run + more], sizes[run + more] = code | more << bits, bits + extra + 5
        run, symbol = run + (1 << extra), symbol + 1
    code, bits = _fixed_code(285)
    codes[MAX_RUN], sizes[MAX_RUN] = code, bits + 5
    return codes, sizes


_LITERALS, _LITERAL_BITS = _literals()
_RUNS, _RUN_BITS = _runs()


@compiled
def _adler32(line: NDArray[np.uint8], size: int) -> Any:
    total = np.uint64(1)
    weighted = np.uint64(size)
    for k in range(size):
        value = np.uint64(line[k])
        total += value
        weighted += value * np.uint64(size - k)
    return weighted % np.uint64(_ADLER) << np.uint64(16) | total % np.uint64(_ADLER)


@compiled
def _flush(out: NDArray[np.uint8], at: int, held: Any) -> None:
    """Put 32 bits down, the lowest first."""
    for k in range(4):
        out[at + k] = np.uint8(held >> np.uint64(8 * k))


@compiled
def _deflate(line: NDArray[np.uint8], size: int, out: NDArray[np.uint8], at: int) -> Any:
    """Compress line[:size] into `out` from `at` on and return where it ends.

    The line goes on for eight bytes at least, the first of which differs from zero.
    """
    words = line.view(np.uint64)
    held, bits = np.uint64(_BLOCK_HEADER), np.uint64(3)
    k = 0
    while k < size:
        value = line[k]
        held |= _LITERALS[value] << bits
        bits += _LITERAL_BITS[value]
        k += 1
        if line[k] == value and line[k + 1] == value and line[k + 2] == value:
            end = k + 3
            while end & 7 and line[end] == value:
                end += 1
            if value == 0 and end & 7 == 0:
                while words[end >> 3] == 0:
                    end += 8
            while line[end] == value:
                end += 1
            left = min(end, size) - k
            while left >= MIN_RUN:
                if bits >= 32:
                    _flush(out, at, held)
                    at, held, bits = at + 4, held >> np.uint64(32), bits - np.uint64(32)
                run = min(left, MAX_RUN)
                held |= _RUNS[run] << bits
                bits += _RUN_BITS[run]
                left, k = left - run, k + run
        if bits >= 32:
            _flush(out, at, held)
            at, held, bits = at + 4, held >> np.uint64(32), bits - np.uint64(32)
    held |= _LITERALS[256] << bits
    bits += _LITERAL_BITS[256]
    _flush(out, at, held)
    _flush(out, at + 4, held >> np.uint64(32))
    return at + np.int64(bits + np.uint64(7) >> np.uint64(3))


@compiled
def _put_u32(out: NDArray[np.uint8], at: int, value: Any) -> None:
    """Put 32 bits down, the highest first."""
    for k in range(4):
        out[at + k] = np.uint8(np.uint64(value) >> np.uint64(24 - 8 * k))


@compiled
def _encode(
    images: NDArray[np.uint8],
    lead: NDArray[np.uint8],
    end: NDArray[np.uint8],
    out: NDArray[np.uint8],
    offsets: NDArray[np.int64],
) -> None:
    """Write the PNGs one after another into `out` and where each begins, and the last ends, into `offsets`."""
    count, height, width = images.shape
    size = height * (width + 1)
    line = np.zeros((size // 8 + 2) * 8, np.uint8)
    line[size] = 1  # Runs end here.
    at = 0
    for i in range(count):
        offsets[i] = at
        for k in range(lead.size):
            out[at + k] = lead[k]
        chunk = at + lead.size - 4  # its length stands before it and does not count its four letters
        for y in range(height):
            for x in range(width):  # Behind the filter type of the line, which is 0: none.
                line[y * (width + 1) + 1 + x] = images[i, y, x]
        out[chunk + 4], out[chunk + 5] = 0x78, 0x01
        at = _deflate(line, size, out, chunk + 6)
        _put_u32(out, at, _adler32(line, size))
        at += 4
        _put_u32(out, chunk - 4, at - chunk - 4)
        _put_u32(out, at, crc(_CRC, out, chunk, at))
        at += 4
        for k in range(end.size):
            out[at + k] = end[k]
        at += end.size
    offsets[count] = at


def encode_png_block(images: NDArray[np.uint8]) -> tuple[bytes, NDArray[np.int64]]:
    """Return the PNGs of pictures, one after another, and where each begins.

    The first call compiles, for about two seconds where nothing is cached.

    Args:
        images: [N, H, W] uint8.

    Returns:
        The files joined, and their offsets [N + 1] int64, the last being the whole length.
    """
    count, height, width = images.shape
    lead = np.frombuffer(png_header(height, width) + bytes(4) + b"IDAT", np.uint8)
    tail = np.frombuffer(END, np.uint8)
    # A literal takes 9 bits at most, and nothing takes more than a literal a byte.
    most = len(lead) + 6 + (height * (width + 1) * 9 + 7) // 8 + 16 + len(tail)
    out, offsets = np.empty(count * most + 8, np.uint8), np.zeros(count + 1, np.int64)
    _encode(np.ascontiguousarray(images), lead, tail, out, offsets)
    return out[: offsets[-1]].tobytes(), offsets
