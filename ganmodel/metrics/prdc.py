"""Precision, recall, density and coverage: are the digits like real ones, and are all real ones covered.

Shape suffixes: R real examples, N subject's examples, F features.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ganmodel.metrics.neighbours import kth_distances, squared_distances

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Vectors = NDArray[np.floating[Any]]

NEIGHBOURS = 5
"""k of the published comparisons (Naeem et al. 2020, sec. 4)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prdc:
    """The four figures.

    Attributes:
        precision: share of the subject's examples within reach of a real one.
        recall: share of real examples within reach of one of the subject's.
        density: real balls an example lies in, over k: about 1 for the real distribution, no upper bound.
        coverage: share of real examples whose own ball holds one of the subject's.
    """

    precision: float
    recall: float
    density: float
    coverage: float


def measure_prdc(real_RF: Vectors, subject_NF: Vectors, *, k: int = NEIGHBOURS) -> Prdc:
    """Return the four figures; an example's ball reaches to its k-th nearest neighbour in its own set.

    All four depend on the sizes: compare figures of equal R and N only.

    Args:
        real_RF: [R, F], more than k of them.
        subject_NF: [N, F], more than k of them.
        k: neighbours.

    Source:
        Precision and recall: Kynkaanniemi et al. 2019, arXiv:1904.06991, eq. 1 and 2. Density and coverage:
        Naeem et al. 2020, arXiv:2002.09797, eq. 3 and 4.
    """
    real_reach_R = np.square(kth_distances(real_RF, k))
    subject_reach_N = np.square(kth_distances(subject_NF, k))
    inside = balls = 0
    recalled_R = np.zeros(len(real_RF), np.bool_)
    nearest_R = np.full(len(real_RF), np.inf, np.float32)
    for part, found in squared_distances(subject_NF, real_RF):
        in_ball = found < real_reach_R
        balls += int(in_ball.sum())
        inside += int(in_ball.any(axis=1).sum())
        recalled_R |= (found < subject_reach_N[part, np.newaxis]).any(axis=0)
        np.minimum(nearest_R, found.min(axis=0), out=nearest_R)
    return Prdc(
        precision=inside / len(subject_NF),
        recall=float(recalled_R.mean()),
        density=balls / (k * len(subject_NF)),
        coverage=float((nearest_R < real_reach_R).mean()),
    )
