"""The Frechet distance: against its closed forms, against SciPy's matrix root, and on features as they come."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import linalg

from ganmodel.metrics.frechet import frechet_distance, gaussian_distance, moments


def random_covariance(rng, size):
    mixed = rng.standard_normal((size, 2 * size))
    return mixed @ mixed.T / size


@given(seed=st.integers(0, 2**32 - 1), size=st.integers(1, 30))
def test_it_is_the_textbook_formula_with_a_general_matrix_root(seed, size):
    rng = np.random.default_rng(seed)
    first, second = random_covariance(rng, size), random_covariance(rng, size)
    gap = rng.standard_normal(size)
    root = linalg.sqrtm(first @ second)
    wanted = gap @ gap + np.trace(first + second - 2 * root.real)
    assert gaussian_distance(gap, first, np.zeros(size), second) == pytest.approx(wanted, rel=1e-6, abs=1e-6)


@given(
    mean=st.floats(-5, 5),
    spreads=st.lists(st.tuples(st.floats(0, 4), st.floats(0, 4)), min_size=1, max_size=6),
)
def test_independent_gaussians_have_a_closed_form(mean, spreads):
    first, second = np.array(spreads).T
    size = len(spreads)
    found = gaussian_distance(np.full(size, mean), np.diag(first**2), np.zeros(size), np.diag(second**2))
    assert found == pytest.approx(size * mean**2 + ((first - second) ** 2).sum(), rel=1e-6, abs=1e-6)


def test_it_does_not_depend_on_which_set_comes_first():
    rng = np.random.default_rng(0)
    first, second = rng.standard_normal((50, 8)), 2 * rng.standard_normal((70, 8)) + 1
    assert frechet_distance(first, second) == pytest.approx(frechet_distance(second, first))


def test_a_set_is_at_no_distance_from_itself_even_where_features_repeat_or_stand_still():
    features = np.random.default_rng(0).standard_normal((40, 12)).astype(np.float32) * 100
    features[:, 3] = features[:, 4]
    features[:, 5] = 7
    assert 0 <= frechet_distance(features, features) < 1e-6
    assert 0 <= frechet_distance(features[:5], features[:5]) < 1e-6  # fewer examples than features


def test_a_shift_costs_its_square():
    features = np.random.default_rng(0).standard_normal((500, 4))
    assert frechet_distance(features, features + np.array([3, 0, 0, 0])) == pytest.approx(9)


def test_features_of_float32_are_summed_in_float64():
    """Seen to be off by 40 with a float32 covariance."""
    features = np.random.default_rng(0).standard_normal((2000, 2)).astype(np.float32) + 30_000
    assert frechet_distance(features, features + np.float32(1)) == pytest.approx(2, abs=0.01)


def test_more_draws_bring_two_sets_of_one_distribution_nearer():
    rng = np.random.default_rng(0)
    distances = [
        frechet_distance(rng.standard_normal((n, 10)), rng.standard_normal((n, 10))) for n in (30, 300, 3000)
    ]
    assert distances[0] > 3 * distances[1] > 9 * distances[2]


def test_moments_are_numpys_and_one_example_has_none():
    features = np.random.default_rng(0).standard_normal((9, 3))
    mean, covariance = moments(features)
    assert mean == pytest.approx(features.mean(axis=0))
    assert covariance == pytest.approx(np.cov(features.T))
    with pytest.raises(ValueError, match="needs two examples, got 1"):
        moments(features[:1])


def test_a_weight_stands_for_as_many_copies():
    features = np.random.default_rng(0).standard_normal((400, 3))
    weights = np.arange(400) % 4
    mean, covariance = moments(features, weights)
    mean_of_copies, covariance_of_copies = moments(np.repeat(features, weights, axis=0))
    assert mean == pytest.approx(mean_of_copies)
    assert covariance == pytest.approx(covariance_of_copies, rel=0.01, abs=0.01)
    assert moments(features, np.full(400, 2.5))[1] == pytest.approx(np.cov(features.T))


def test_weights_undo_a_mixture_in_other_shares():
    rng = np.random.default_rng(0)
    group = np.repeat([0, 1], [1500, 500])
    skewed = rng.standard_normal((2000, 2)) + 5 * group[:, None]
    even = rng.standard_normal((2000, 2)) + 5 * (np.arange(2000) % 2)[:, None]
    assert frechet_distance(even, skewed) > 1
    assert frechet_distance(even, skewed, np.where(group, 2.0, 2 / 3)) < 0.05


def test_examples_of_no_weight_do_not_count():
    features = np.random.default_rng(0).standard_normal((20, 3))
    weights = (np.arange(20) < 10).astype(float)
    assert moments(features, weights)[1] == pytest.approx(np.cov(features[:10].T))
    with pytest.raises(ValueError, match="needs two examples, got 1"):
        moments(features, np.eye(20)[0])
