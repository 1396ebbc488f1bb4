"""`gangen train --limit`: which images a generator learns from when it may not have all."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ganmodel.data import NUM_CLASSES, TrainingSet, stratified_subset
from ganmodel.errors import DataError

MNIST_COUNTS = (5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949)


def set_of(counts, *, seed=0) -> TrainingSet:
    """Return a set with that many images of each label in some order, no two images alike."""
    labels = np.random.default_rng(seed).permutation(
        np.repeat(np.arange(len(counts), dtype=np.int32), counts)
    )
    images = np.zeros((len(labels), 28, 28), np.uint8)
    images[:, 0, :4] = np.arange(len(labels), dtype="<u4").view(np.uint8).reshape(-1, 4)
    return TrainingSet(name="counted", images=images, labels=labels)


def rows_of(subset: TrainingSet) -> list[int]:
    """Return which images of `set_of` these are."""
    return np.ascontiguousarray(subset.images[:, 0, :4]).view("<u4").ravel().tolist()


@pytest.fixture(scope="module")
def mnist_like() -> TrainingSet:
    return set_of(MNIST_COUNTS)


@pytest.mark.parametrize(
    ("limit", "counts"),
    [
        (10, [1] * 10),
        (50, [5, 6, 5, 5, 5, 4, 5, 5, 5, 5]),
        (1000, [99, 112, 99, 102, 97, 90, 99, 105, 98, 99]),
        (60_000, MNIST_COUNTS),
    ],
)
def test_each_label_has_its_share(mnist_like, limit, counts):
    subset = stratified_subset(mnist_like, limit, seed=0)
    assert np.bincount(subset.labels).tolist() == list(counts)
    assert subset.name == mnist_like.name


def test_images_keep_their_labels_and_their_order(mnist_like):
    subset = stratified_subset(mnist_like, 500, seed=3)
    rows = rows_of(subset)
    assert rows == sorted(set(rows))
    assert np.array_equal(subset.labels, mnist_like.labels[rows])


def test_all_of_them_are_the_very_set(mnist_like):
    assert stratified_subset(mnist_like, 60_000, seed=9).digest() == mnist_like.digest()


def test_a_seed_always_keeps_the_same_images_and_another_seed_others(mnist_like):
    kept = [rows_of(stratified_subset(mnist_like, 100, seed)) for seed in (0, 0, 1, 2**31 - 1)]
    assert kept[0] == kept[1]
    assert len(set(kept[0]) & set(kept[2])) < 20
    assert len(set(kept[0]) & set(kept[3])) < 20


def test_images_are_drawn_from_the_whole_set_and_not_from_its_beginning(mnist_like):
    rows = np.asarray(rows_of(stratified_subset(mnist_like, 1000, seed=0)))
    assert abs(rows.mean() - 30_000) < 2_500
    assert rows.max() > 55_000


@given(
    counts=st.lists(st.integers(1, 40), min_size=NUM_CLASSES, max_size=NUM_CLASSES),
    seed=st.integers(0, 2**31 - 1),
    data=st.data(),
)
def test_any_subset_has_every_label_and_holds_the_smaller_ones(counts, seed, data):
    whole = set_of(counts)
    limit = data.draw(st.integers(NUM_CLASSES, sum(counts)))
    smaller = data.draw(st.integers(NUM_CLASSES, limit))
    subset = stratified_subset(whole, limit, seed)
    found = np.bincount(subset.labels, minlength=NUM_CLASSES)
    assert found.sum() == limit
    assert found.min() >= 1
    assert (found <= counts).all()
    assert set(rows_of(stratified_subset(whole, smaller, seed))) <= set(rows_of(subset))


def test_a_rare_label_is_there_from_the_first_ten_on():
    whole = set_of([1, *[1000] * 9])
    for limit in (10, 11, 500, 9001):
        assert np.bincount(stratified_subset(whole, limit, seed=1).labels)[0] == 1


@pytest.mark.parametrize("limit", [-1, 0, 9, 60_001])
def test_fewer_than_the_labels_and_more_than_there_are_is_refused_in_one_line(mnist_like, limit):
    with pytest.raises(DataError) as err:
        stratified_subset(mnist_like, limit, seed=0)
    assert str(err.value) == (
        "--limit: must be from 10, one image a label, to the 60,000 of the training split of counted, "
        f"got {limit:,}"
    )
