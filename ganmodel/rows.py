"""Which rows are meant: slices, ranges, and the order of a stream. Arithmetic alone."""

from __future__ import annotations

from itertools import count as count_from
from typing import TYPE_CHECKING

import numpy as np

from ganmodel.errors import RowError
from ganmodel.latents import BLOCK_ROWS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

MAX_ROWS = 2**53 * BLOCK_ROWS
"""Rows there are: their numbers fit an int64."""

MAX_READ_ROWS = 10_000_000
"""Rows of one answer, 7.8 GB."""

SHUFFLE_BLOCKS = 256
"""Blocks among which a stream is shuffled; rows are independent draws, so more would change nothing but the cost."""


def check_range(first_row: int, end_row: int) -> None:
    """Refuse rows [first_row, end_row) that do not exist.

    Raises:
        RowError: the first is negative or the last too large.
    """
    if first_row < 0:
        raise RowError(f"rows are counted from 0 and have no end to count from, got {first_row}")
    if end_row > MAX_ROWS:
        raise RowError(f"rows: the last is {MAX_ROWS - 1:,}, got {end_row - 1:,}")


def check_size(num_rows: int) -> None:
    """Refuse an answer that is too large for memory.

    Raises:
        RowError: it is.
    """
    if num_rows > MAX_READ_ROWS:
        raise RowError(
            f"rows: at most {MAX_READ_ROWS:,} at once, got {num_rows:,}; read them in pieces, or use batches()"
        )


def slice_rows(rows: slice) -> NDArray[np.int64]:
    """Return the rows of a slice, [N] int64.

    Raises:
        RowError: it has no end, counts backwards or from the end, or is too large.
    """
    step = 1 if rows.step is None else rows.step
    if step < 1:
        raise RowError(f"rows: a step must be 1 or more, got {step}")
    if rows.stop is None:
        raise RowError("rows: a slice needs an end, for the data set has none; use batches() for a stream")
    first = 0 if rows.start is None else rows.start
    check_range(min(first, rows.stop), max(first, rows.stop))
    check_size(len(range(first, rows.stop, step)))
    return np.arange(first, rows.stop, step, dtype=np.int64)


def stream_pieces(
    first_row: int, end_row: int, shuffle: int | None, part: tuple[int, int]
) -> Iterator[NDArray[np.int64]]:
    """Return rows [first_row, end_row) in pieces, each of one block, in the order of a stream.

    Args:
        first_row: the first row.
        end_row: the row after the last.
        shuffle: a seed, by which blocks are shuffled among their neighbours and rows within their blocks.
        part: (k, n): every n-th block from the k-th on, so that n workers draw each block once.
    """
    mine, parts = part
    stop = -(-end_row // BLOCK_ROWS)
    for window in count_from():
        low = first_row // BLOCK_ROWS + window * SHUFFLE_BLOCKS
        if low >= stop:
            return
        blocks = np.arange(low, min(stop, low + SHUFFLE_BLOCKS))
        if shuffle is not None:
            rng = np.random.Generator(np.random.Philox(key=np.array([shuffle, window], np.uint64)))
            blocks = rng.permutation(blocks)
        for block in blocks.tolist():
            rows = np.arange(
                max(first_row, block * BLOCK_ROWS), min(end_row, (block + 1) * BLOCK_ROWS), dtype=np.int64
            )
            if shuffle is not None:
                rows = rng.permutation(rows)
            if block % parts == mine:
                yield rows
