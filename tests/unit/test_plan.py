from __future__ import annotations

import time
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ganmodel.errors import SpecError
from jobs.dataset_spec import DatasetSpec
from jobs.plan import Plan


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
        {"splits": (("train", 500_000), ("test", 500_000))},
        {"extended_at": (1000,)},
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


PLAIN_DIGEST = "2b156322ca8a62bdb8eca2ab1895245edd770906f79f4eaf76df183a39488602"
"""Of `dataset()` before there were splits and extensions: such a data set keeps its identity."""


def test_a_plan_without_splits_and_extensions_keeps_its_identity() -> None:
    assert Plan(dataset()).digest == PLAIN_DIGEST
    assert not {"splits", "extended_at", "label_parts"} & set(dataset().identity())


SHARES = st.lists(st.integers(1, 9), min_size=1, max_size=4)


@given(
    ends=st.lists(st.integers(1, 50), min_size=1, max_size=4, unique=True).map(sorted),
    rest=st.integers(-999, 0),
    shares=SHARES,
    blocks=st.integers(1, 8),
)
def test_sections_cover_every_row_once_and_an_extension_moves_nothing(
    ends: list[int], rest: int, shares: list[int], blocks: int
) -> None:
    total, names = sum(shares), [f"s{i}_" for i in range(len(shares))]
    cuts = [round(sum(shares[:i]) / total * 10**6) for i in range(len(shares) + 1)]
    splits = tuple((name, b - a) for name, a, b in zip(names, cuts, cuts[1:], strict=False))
    spec = dataset(
        count=ends[-1] * 1000 + rest,
        extended_at=tuple(1000 * end for end in ends[:-1]),
        splits=splits,
        shard_rows=1000 * blocks,
        formats=("idx", "parquet"),
    )
    try:
        plans = [Plan(spec.before_extension(generation)) for generation in range(len(ends))]
    except SpecError as err:
        assert "would have no rows" in str(err)  # noqa: PT017
        return
    row, seen, numbers = 0, set(), dict.fromkeys(names, 0)
    for index, task in enumerate(plans[-1].tasks()):
        assert (task.index, task.first_row) == (index, row)
        assert task.first_row % 1000 == 0
        assert 0 < task.num_rows <= spec.shard_rows
        assert task.number == numbers[task.split]
        numbers[task.split] += 1
        seen |= set(plans[-1].file_names(task).values())
        row = task.end_row
    assert row == spec.count == sum(plans[-1].split_rows().values())
    assert len(seen) == 3 * plans[-1].num_shards
    for earlier in plans[:-1]:
        assert list(earlier.tasks()) == [plans[-1].task(i) for i in range(earlier.num_shards)]
        for generation in range(earlier.generation + 1):
            assert earlier.recipe_digest(generation) == plans[-1].recipe_digest(generation)


def test_expected_counts_are_exact_in_the_middle_of_a_block_once_the_generator_is_known() -> None:
    from ganmodel.labels import parse_labels
    from ganmodel.latents import draw_block

    for labels in ("0,1,2,3,4,5,6,7,8,9", "0=0.300000,7=0.700000"):
        for count in (1, 17, 999, 1000, 1003, 2501):
            spec = dataset(count=count, shard_rows=1000, labels=labels, seed=5)
            drawn = [k for b in range(3) for k in draw_block(5, b, 8, parse_labels(labels))[1]][:count]
            assert Plan(spec).expected_counts(8) == {k: drawn.count(k) for k in sorted(set(drawn))} | {
                k: drawn.count(k) for k in Plan(spec).expected_counts(8) or {}
            }
