"""Which rows a slice and a stream mean, without drawing any."""

from __future__ import annotations

import numpy as np
import pytest

from ganmodel.errors import RowError
from ganmodel.rows import MAX_READ_ROWS, MAX_ROWS, SHUFFLE_BLOCKS, slice_rows, stream_pieces


def stream(first: int, end: int, shuffle: int | None = None, part: tuple[int, int] = (0, 1)) -> np.ndarray:
    pieces = list(stream_pieces(first, end, shuffle, part))
    return np.concatenate(pieces) if pieces else np.empty(0, np.int64)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (slice(3, 6), [3, 4, 5]),
        (slice(None, 2), [0, 1]),
        (slice(0, 10, 4), [0, 4, 8]),
        (slice(5, 5), []),
        (slice(MAX_ROWS - 1, MAX_ROWS), [MAX_ROWS - 1]),
        (slice(10**12, 10**12 + 10**9, 10**9), [10**12]),
    ],
)
def test_a_slice_means_what_it_means_of_a_list(rows: slice, expected: list[int]) -> None:
    assert slice_rows(rows).tolist() == expected
    assert slice_rows(rows).dtype == np.int64


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (slice(-3, 6), "rows are counted from 0 and have no end to count from, got -3"),
        (slice(3, -1), "got -1"),
        (slice(3, None), "rows: a slice needs an end"),
        (slice(9, 3, -1), "rows: a step must be 1 or more, got -1"),
        (slice(9, 3, 0), "rows: a step must be 1 or more, got 0"),
        (slice(0, MAX_READ_ROWS + 1), "rows: at most 10,000,000 at once, got 10,000,001"),
        (slice(MAX_ROWS, MAX_ROWS + 1), "rows: the last is 9,007,199,254,740,991,999"),
    ],
)
def test_rows_that_no_data_set_has_are_refused_in_one_line(rows: slice, message: str) -> None:
    with pytest.raises(RowError, match="rows") as err:
        slice_rows(rows)
    assert message in str(err.value)
    assert "\n" not in str(err.value)


def test_a_stream_in_order_is_the_range_cut_at_the_blocks() -> None:
    pieces = list(stream_pieces(2500, 4100, None, (0, 1)))
    assert [(p[0], p[-1]) for p in pieces] == [(2500, 2999), (3000, 3999), (4000, 4099)]
    assert np.array_equal(np.concatenate(pieces), np.arange(2500, 4100))


def test_a_shuffled_stream_holds_each_row_once_in_an_order_of_its_seed() -> None:
    one, two = stream(2500, 9100, 1), stream(2500, 9100, 2)
    assert np.array_equal(one, stream(2500, 9100, 1))
    assert not np.array_equal(one, two)
    for order in (one, two):
        assert np.array_equal(np.sort(order), np.arange(2500, 9100))
        assert (np.diff(order) == 1).mean() < 0.05


def test_blocks_are_shuffled_within_their_window_and_memory_stays_small() -> None:
    pieces = stream_pieces(0, MAX_ROWS, 7, (0, 1))
    first = [int(next(pieces)[0]) // 1000 for _ in range(2 * SHUFFLE_BLOCKS)]
    assert sorted(first[:SHUFFLE_BLOCKS]) == list(range(SHUFFLE_BLOCKS))
    assert sorted(first) == list(range(2 * SHUFFLE_BLOCKS))
    assert first != sorted(first)


@pytest.mark.parametrize("shuffle", [None, 3])
@pytest.mark.parametrize("parts", [1, 2, 3, 40])
def test_the_shares_of_workers_are_the_stream_each_row_once(shuffle: int | None, parts: int) -> None:
    shares = [stream(2500, 9100, shuffle, (k, parts)) for k in range(parts)]
    assert np.array_equal(np.sort(np.concatenate(shares)), np.arange(2500, 9100))
