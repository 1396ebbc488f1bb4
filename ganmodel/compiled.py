"""Loops over bytes as machine code. Imports Numba, so who needs a loop imports it in a function."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numba
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that Numba compiles at its first call, and that leaves the GIL to others.

    The machine code is kept beside the module, as Python keeps its own, or in the user's cache; where neither can be
    written each process compiles for itself, in about a second a loop. Numba looks for changes in the loop's own
    file, not in those of loops it calls: who edits `crc` deletes `__pycache__`.
    """
    settings = {"nogil": True, "error_model": "numpy"}
    try:
        return numba.njit(function, cache=True, **settings)  # type: ignore[no-any-return]
    except RuntimeError:  # Numba found no place for its cache.
        return numba.njit(function, **settings)  # type: ignore[no-any-return]


def crc_tables(polynomial: int) -> NDArray[np.uint32]:
    """Return the tables [8, 256] by which `crc` takes eight bytes at a time ("slicing by 8").

    Args:
        polynomial: reflected, as 0xEDB88320 of PNG and 0x82F63B78 of CRC32C.

    Source:
        Kounavis and Berry 2008, "Novel Table Lookup-Based Algorithms for High-Performance CRC Generation".
    """
    tables = np.zeros((8, 256), np.uint32)
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = value >> 1 ^ (polynomial if value & 1 else 0)
        tables[0, byte] = value
    for row in range(1, 8):
        before = tables[row - 1]
        tables[row] = before >> 8 ^ tables[0, before & 255]
    return tables


@compiled
def crc(tables: NDArray[np.uint32], data: NDArray[np.uint8], start: int, end: int) -> Any:
    """Return the checksum of data[start:end] in the low 32 bits of a uint64, data being [N] uint8."""
    byte = np.uint64(255)
    value = np.uint64(0xFFFFFFFF)
    at = start
    while at + 8 <= end:
        for k in range(4):
            value ^= np.uint64(data[at + k]) << np.uint64(8 * k)
        value = np.uint64(
            tables[7, value & byte]
            ^ tables[6, value >> np.uint64(8) & byte]
            ^ tables[5, value >> np.uint64(16) & byte]
            ^ tables[4, value >> np.uint64(24)]
            ^ tables[3, data[at + 4]]
            ^ tables[2, data[at + 5]]
            ^ tables[1, data[at + 6]]
            ^ tables[0, data[at + 7]]
        )
        at += 8
    while at < end:
        value = np.uint64(tables[0, (value ^ np.uint64(data[at])) & byte]) ^ value >> np.uint64(8)
        at += 1
    return value ^ np.uint64(0xFFFFFFFF)
