"""The Frechet distance between two sets of features, as if both were Gaussian.

Shape suffixes: N and M examples, F features.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Vectors = NDArray[np.floating[Any]]


def moments(
    features_NF: Vectors, weights_N: Vectors | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the mean [F] and the unbiased covariance [F, F] of features [N, F], in float64.

    Args:
        features_NF: [N, F].
        weights_N: [N], how much each example counts, not negative; None counts all alike.

    Raises:
        ValueError: fewer than two examples count.
    """
    exact = np.asarray(features_NF, np.float64)
    if weights_N is not None:
        exact, weights_N = exact[weights_N > 0], weights_N[weights_N > 0]
    if len(exact) < 2:
        raise ValueError(f"a covariance needs two examples, got {len(exact)}")
    mean_F = np.average(exact, axis=0, weights=weights_N)
    return mean_F, np.cov(exact, rowvar=False, aweights=weights_N).reshape(len(mean_F), len(mean_F))


def frechet_distance(first_NF: Vectors, second_MF: Vectors, second_weights_M: Vectors | None = None) -> float:
    """Return the squared Frechet distance of two sets of features, 0 for equal moments.

    Args:
        first_NF: [N, F].
        second_MF: [M, F].
        second_weights_M: [M], how much each of the second set counts; None counts all alike.

    Source:
        Heusel et al. 2017, arXiv:1706.08500, eq. 6; Dowson and Landau 1982 for the formula itself.
    """
    return gaussian_distance(*moments(first_NF), *moments(second_MF, second_weights_M))


def gaussian_distance(
    mean_F: Vectors, covariance_FF: Vectors, other_mean_F: Vectors, other_covariance_FF: Vectors
) -> float:
    """Return |m - m'|^2 + tr(C + C' - 2 (C C')^(1/2)) of two Gaussians.

    C C' is not symmetric, but C^(1/2) C' C^(1/2) is and has the same eigenvalues: two symmetric
    decompositions replace the square root of a general matrix, which is slow and turns complex where
    features are few or dependent.

    Args:
        mean_F: m, [F].
        covariance_FF: C, [F, F], symmetric and positive semidefinite.
        other_mean_F: m', [F].
        other_covariance_FF: C', [F, F].
    """
    values_F, vectors_FF = np.linalg.eigh(covariance_FF)
    root_FF = (vectors_FF * np.sqrt(values_F.clip(min=0.0))) @ vectors_FF.T
    cross_F = np.linalg.eigvalsh(root_FF @ other_covariance_FF @ root_FF).clip(min=0.0)
    gap_F = np.asarray(mean_F) - np.asarray(other_mean_F)
    distance = gap_F @ gap_F + np.trace(covariance_FF) + np.trace(other_covariance_FF)
    # Rounding alone can leave a little less than nothing.
    return max(0.0, float(distance - 2.0 * np.sqrt(cross_F).sum()))
