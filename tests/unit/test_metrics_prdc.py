"""Precision, recall, density, coverage: against their definitions written out, and published figures."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ganmodel.metrics import neighbours
from ganmodel.metrics.prdc import measure_prdc


def as_defined(real, subject, k):
    """Return (precision, recall, density, coverage), as the paper writes them: one pair at a time."""

    def reach(examples, i):
        others = [np.linalg.norm(examples[i] - examples[j]) for j in range(len(examples)) if j != i]
        return sorted(others)[k - 1]

    real_reach = [reach(real, i) for i in range(len(real))]
    subject_reach = [reach(subject, j) for j in range(len(subject))]
    gap = [[np.linalg.norm(x - y) for y in subject] for x in real]
    pairs = [(i, j) for i in range(len(real)) for j in range(len(subject))]
    inside = {(i, j) for i, j in pairs if gap[i][j] < real_reach[i]}
    around = {(i, j) for i, j in pairs if gap[i][j] < subject_reach[j]}
    return (
        len({j for _, j in inside}) / len(subject),
        len({i for i, _ in around}) / len(real),
        len(inside) / (k * len(subject)),
        len({i for i, _ in inside}) / len(real),
    )


def figures(found):
    return found.precision, found.recall, found.density, found.coverage


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    num_real=st.integers(6, 25),
    num_subject=st.integers(6, 25),
    k=st.integers(1, 5),
    shift=st.floats(0, 3),
    values=st.sampled_from([1, 40, 2**25]),
)
def test_they_are_what_the_papers_define(seed, num_real, num_subject, k, shift, values):
    rng = np.random.default_rng(seed)
    real = rng.standard_normal((num_real, 3)).astype(np.float32)
    subject = rng.standard_normal((num_subject, 3)).astype(np.float32) + np.float32(shift)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(neighbours, "CHUNK_VALUES", values)  # one row at a time, a few, all
        found = measure_prdc(real, subject, k=k)
    assert figures(found) == pytest.approx(as_defined(real, subject, k))


def test_two_sets_of_one_gaussian_give_the_published_figures():
    """Naeem et al.'s example, 10,000 points of 1,000 dimensions: .477, .471, 1.056, .974 (clovaai/prdc).

    A tenth of the points in as many dimensions; precision and recall hang on the number of points, density and
    coverage hardly do.
    """
    rng = np.random.default_rng(0)
    found = measure_prdc(
        rng.standard_normal((1000, 1000), np.float32), rng.standard_normal((1000, 1000), np.float32)
    )
    assert found.density == pytest.approx(1.056, abs=0.12)
    assert found.coverage == pytest.approx(0.974, abs=0.02)


def test_the_expected_coverage_of_equal_distributions_is_known():
    """1 - prod over i < k of (N - i) / (2N - i), about 1 - 2^-k (Naeem et al. 2020, lemma 2)."""
    rng = np.random.default_rng(0)
    found = measure_prdc(rng.standard_normal((3000, 4)), rng.standard_normal((3000, 4)), k=5)
    assert found.coverage == pytest.approx(1 - 2.0**-5, abs=0.01)


def test_a_set_covers_itself():
    real = np.random.default_rng(0).standard_normal((300, 6))
    assert figures(measure_prdc(real, real))[:2] == (1, 1)
    assert measure_prdc(real, real).coverage == 1


def test_a_missing_half_costs_recall_and_coverage_but_no_precision():
    rng = np.random.default_rng(0)
    real, subject = (rng.standard_normal((1000, 2)) + 20 * (np.arange(1000) % 2)[:, None] for _ in range(2))
    whole, half = measure_prdc(real, subject), measure_prdc(real, subject[::2])
    assert half.precision == pytest.approx(whole.precision, abs=0.05)
    assert half.recall < 0.52 < 0.9 < whole.recall
    assert half.coverage < 0.5 < 0.9 < whole.coverage


def test_one_typical_example_repeated_fools_precision_and_not_coverage():
    real = np.random.default_rng(0).standard_normal((500, 2))
    repeated = np.repeat(real[np.linalg.norm(real, axis=1).argmin()][None], 500, axis=0)
    found = measure_prdc(real, repeated)
    assert found.precision == 1
    assert found.coverage < 0.05


def test_too_few_examples_are_refused():
    with pytest.raises(ValueError, match="neighbour 5 needs more than 5 examples, got 5"):
        measure_prdc(np.eye(9, 5), np.eye(5))
