from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ganmodel.errors import SpecError
from ganmodel.latents import BLOCK_ROWS
from jobs.specs import MAX_COUNT, default_shard_rows, parse_count


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("1", 1),
        ("1000", 1000),
        ("1_000_000", 10**6),
        ("1e6", 10**6),
        ("1E6", 10**6),
        ("1e+6", 10**6),
        ("2.5e3", 2500),
        ("1M", 10**6),
        ("2.5k", 2500),
        ("3b", 3 * 10**9),
        ("1e12", 10**12),
        ("1T", 10**12),
        (" 42 ", 42),
    ],
)
def test_count_is_read_as_people_write_it(text: str, count: int) -> None:
    assert parse_count(text) == count


@pytest.mark.parametrize(
    "text",
    [
        "0",
        "-1",
        "",
        "ten",
        "1.5",
        "1e-3",
        "1e13",
        "2T",
        "1,000",
        "0x10",
        "nan",
        "inf",
        "1e999",
        "_1",
        "1 000",
    ],
)
def test_anything_else_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(SpecError) as caught:
        parse_count(text)
    assert "--count" in str(caught.value)
    assert "\n" not in str(caught.value)


@given(st.integers(1, MAX_COUNT))
def test_every_whole_number_reads_back(count: int) -> None:
    assert parse_count(str(count)) == count
    assert parse_count(f"{count:_}") == count


@given(st.integers(1, MAX_COUNT))
def test_default_shards_are_whole_blocks_and_at_most_ten_thousand(count: int) -> None:
    rows = default_shard_rows(count)
    assert rows % BLOCK_ROWS == 0
    assert -(-count // rows) <= 10_000
