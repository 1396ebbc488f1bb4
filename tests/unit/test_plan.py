from __future__ import annotations

import time
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ganmodel.errors import SpecError
from jobs.plan import Plan
from jobs.specs import DatasetSpec


def dataset(**changes: object) -> DatasetSpec:
    fields: dict[str, object] = {
        "name": "gangen_mnist",
        "model_digest": "ab" * 32,
        "class_names": tuple("0123456789"),
        "seed": 0,
        "labels": "0,1,2,3,4,5,6,7,8,9",
        "truncation": 1.0,
        "count": 1_000_000,
        "shard_rows": 50_000,
        "formats": ("parquet", "tfrecord"),
        "image_encoding": "png",
    }
    return DatasetSpec.model_validate({**fields, **changes})


@given(count=st.integers(1, 10**7), blocks=st.integers(1, 500))
def test_plan_covers_every_row_exactly_once(count: int, blocks: int) -> None:
    shard_rows = max(blocks * 1000, -(-count // 99_000_000) * 1000)
    plan = Plan(dataset(count=count, shard_rows=shard_rows))
    row = 0
    for index, task in enumerate(plan.tasks()):
        assert (task.index, task.first_row) == (index, row)
        assert task.first_row % 1000 == 0
        assert 0 < task.num_rows <= shard_rows
        row = task.end_row
    assert row == count


def test_too_many_shards_are_refused_with_the_least_size_that_works() -> None:
    with pytest.raises(SpecError, match=r"--shard-rows 1,000.*use at least 11,000"):
        Plan(dataset(count=10**9, shard_rows=1000))
    assert Plan(dataset(count=10**9, shard_rows=11_000)).num_shards <= 99_999


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"count": 999_999},
        {"shard_rows": 51_000},
        {"labels": "uniform"},
        {"truncation": 0.9},
        {"formats": ("parquet",)},
        {"image_encoding": "raw"},
        {"model_digest": "cd" * 32},
    ],
)
def test_whatever_changes_the_data_set_changes_its_identity(change: dict[str, object]) -> None:
    assert Plan(dataset(**change)).digest != Plan(dataset()).digest
    assert Plan(dataset()).digest == Plan(dataset()).digest


def test_planning_a_trillion_rows_takes_neither_time_nor_memory() -> None:
    tracemalloc.start()
    began = time.perf_counter()
    plan = Plan(dataset(count=10**12, shard_rows=10**8))
    last = plan.task(plan.num_shards - 1)
    seconds, peak = time.perf_counter() - began, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert last.end_row == 10**12
    assert peak < 2**20
    assert seconds < 1.0
