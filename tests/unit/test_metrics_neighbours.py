"""Distances in bounded memory: the nearest, the k-th, and the ratio of two."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.neighbors import NearestNeighbors

from ganmodel.metrics import neighbours
from ganmodel.metrics.neighbours import find_nearest, kth_distances, nearest_ratio, squared_distances


@pytest.fixture(params=[1, 100, 2**25], ids=["row by row", "a few rows", "at once"])
def chunk(request, monkeypatch):
    monkeypatch.setattr(neighbours, "CHUNK_VALUES", request.param)


def points(count, size=5, seed=0):
    return np.random.default_rng(seed).standard_normal((count, size)).astype(np.float32)


def test_every_distance_is_found_once(chunk):
    queries, found = points(37), points(23, seed=1)
    table = np.full((37, 23), np.nan)
    for part, distances in squared_distances(queries, found):
        assert np.isnan(table[part]).all()
        table[part] = distances
    wanted = ((queries[:, None] - found[None]) ** 2).sum(axis=2)
    assert table == pytest.approx(wanted, abs=1e-4)


def test_the_kth_neighbour_is_scikit_learns(chunk):
    examples = points(60)
    wanted = NearestNeighbors(n_neighbors=6).fit(examples).kneighbors()[0]
    for k in (1, 5):
        assert kth_distances(examples, k) == pytest.approx(wanted[:, k - 1], abs=1e-4)


def test_a_duplicate_is_a_neighbour_at_no_distance(chunk):
    examples = np.concatenate([points(20), points(20)])
    assert kth_distances(examples, 1) == pytest.approx(np.zeros(40), abs=2e-3)


def test_the_nearest_is_scikit_learns_also_among_the_marked(chunk):
    queries, examples = points(40), points(70, seed=1)
    marked = np.arange(70) % 3 == 0
    found = find_nearest(queries, examples, marked)
    distance, row = NearestNeighbors(n_neighbors=1).fit(examples).kneighbors(queries)
    assert found.row.tolist() == row[:, 0].tolist()
    assert found.distance == pytest.approx(distance[:, 0])
    distance = NearestNeighbors(n_neighbors=1).fit(examples[marked]).kneighbors(queries)[0]
    assert found.marked == pytest.approx(distance[:, 0])
    assert find_nearest(queries, examples).marked.tolist() == found.distance.tolist()
    assert np.isinf(find_nearest(queries, examples, np.zeros(70, bool)).marked).all()


@given(seed=st.integers(0, 2**32 - 1), offset=st.integers(0, 200))
def test_a_copy_among_bytes_is_at_exactly_no_distance(seed, offset):
    """The product of matrices alone leaves it a few grey levels away, which the smallest distances are made of."""
    rng = np.random.default_rng(seed)
    images = (rng.integers(0, 56, (50, 784)) + offset).astype(np.uint8)
    found = find_nearest(images[::-1], images)
    assert found.distance.tolist() == [0] * 50
    assert found.row.tolist() == list(range(49, -1, -1))


def test_one_pixel_is_seen():
    images = np.full((3, 784), 200, np.uint8)
    images[1] = 0
    query = images[:1].copy()
    query[0, 5] -= 30
    assert find_nearest(query, images).distance.tolist() == [30]


def test_the_ratio_is_that_of_the_means_and_of_each_label():
    near, far = np.array([1.0, 3.0, 2.0]), np.array([2.0, 2.0, 4.0])
    overall, by_label = nearest_ratio(near, far, np.array([0, 0, 7]))
    assert overall == pytest.approx(6 / 8)
    assert by_label == (1.0, 1, 1, 1, 1, 1, 1, 0.5, 1, 1)


def test_a_single_example_has_no_neighbour():
    with pytest.raises(ValueError, match="neighbour 1 needs more than 1 examples, got 1"):
        kth_distances(points(1), 1)
