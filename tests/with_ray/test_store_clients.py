"""A data set in an S3 store, opened from there by the real clients, as docs/dataset.md says."""

from __future__ import annotations

from pathlib import Path

import pytest
from store_examples import BLOCKS, CHECKS, run_example

from tests.unit.fake_digits import make_dataset

COUNT, SHARD_ROWS = 2500, 1000


def test_every_block_has_its_check() -> None:
    assert [[word for word in CHECKS if word in block] for block in BLOCKS] == [[word] for word in CHECKS]


@pytest.mark.slow
@pytest.mark.tf
@pytest.mark.ray_local
@pytest.mark.parametrize("word", CHECKS)
def test_the_clients_read_every_row_from_a_store(bucket: str, tmp_path: Path, word: str) -> None:
    place = f"{bucket}/a/set"
    formats = ("parquet", "tfrecord", "webdataset")
    make_dataset(place, count=COUNT, shard_rows=SHARD_ROWS, formats=formats)
    run_example(word, place, "gangen_noise", COUNT, SHARD_ROWS, tmp_path)
