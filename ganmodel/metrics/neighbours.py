"""Distances to the nearest of a set, by brute force in bounded memory.

Shape suffixes: N queries, M of the set searched, D dimensions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Vectors = NDArray[np.floating[Any]] | NDArray[np.uint8]

CHUNK_VALUES = 2**25
"""Distances held at a time, 128 MiB of float32."""


def squared_distances(queries_ND: Vectors, set_MD: Vectors) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """Yield (rows of the queries, their squared distances [rows, M] float32), a chunk at a time.

    |x - y|^2 is worked out as |x|^2 - 2 x.y + |y|^2, one matrix product in float32, around the set's mean,
    which keeps the terms small and so their difference exact to about 1e-6 of a typical distance.
    A yielded array is overwritten by the next one.
    """
    centre = set_MD.mean(axis=0, dtype=np.float64)
    set_MD = np.subtract(set_MD, centre, dtype=np.float32, casting="same_kind")
    norms_M = np.einsum("md,md->m", set_MD, set_MD)
    rows = max(1, CHUNK_VALUES // max(1, len(set_MD)))
    product = np.empty((min(rows, len(queries_ND)), len(set_MD)), np.float32)
    for first in range(0, len(queries_ND), rows):
        part = slice(first, min(first + rows, len(queries_ND)))
        query = np.subtract(queries_ND[part], centre, dtype=np.float32, casting="same_kind")
        found = np.matmul(query, set_MD.T, out=product[: len(query)])
        found *= -2.0
        found += norms_M
        found += np.einsum("qd,qd->q", query, query)[:, np.newaxis]
        yield part, np.maximum(found, 0.0, out=found)


def kth_distances(set_MD: Vectors, k: int) -> NDArray[np.float32]:
    """Return the distance of each example to its k-th nearest other one, [M] float32.

    Raises:
        ValueError: there are not more than k examples.
    """
    if len(set_MD) <= k:
        raise ValueError(f"the distance to neighbour {k} needs more than {k} examples, got {len(set_MD)}")
    radius_M = np.empty(len(set_MD), np.float32)
    for part, found in squared_distances(set_MD, set_MD):
        inside = np.arange(len(found))
        found[inside, inside + part.start] = -1.0  # itself, first whatever the rounding
        found.partition(k, axis=1)
        radius_M[part] = found[:, k]
    return np.sqrt(radius_M)


@dataclass(frozen=True, slots=True, kw_only=True)
class Nearest:
    """The nearest of a set, for each query.

    Attributes:
        distance: [N] float32, Euclidean.
        row: [N] int64, which of the set.
        marked: [N] float32, distance to the nearest of the marked rows; infinite if none is marked.
    """

    distance: NDArray[np.float32]
    row: NDArray[np.int64]
    marked: NDArray[np.float32]


def find_nearest(queries_ND: Vectors, set_MD: Vectors, marked_M: NDArray[np.bool_] | None = None) -> Nearest:
    """Return the nearest of a set for each query, and the nearest among some of its rows.

    Args:
        queries_ND: [N, D].
        set_MD: [M, D], M at least 1.
        marked_M: [M] bool: the rows `Nearest.marked` looks at, in the same pass over the set; None for all.
    """
    nearest = Nearest(
        distance=np.empty(len(queries_ND), np.float32),
        row=np.empty(len(queries_ND), np.int64),
        marked=np.full(len(queries_ND), np.inf, np.float32),
    )
    marked_rows = np.arange(len(set_MD)) if marked_M is None else np.flatnonzero(marked_M)
    for part, found in squared_distances(queries_ND, set_MD):
        row = found.argmin(axis=1)
        nearest.row[part] = row
        nearest.distance[part] = _distances(queries_ND[part], set_MD[row])
        if marked_M is None:
            nearest.marked[part] = nearest.distance[part]
        elif len(marked_rows):
            row = marked_rows[found[:, marked_rows].argmin(axis=1)]
            nearest.marked[part] = _distances(queries_ND[part], set_MD[row])
    return nearest


def _distances(first_ND: Vectors, second_ND: Vectors) -> NDArray[np.float64]:
    """Return the distance of each pair, [N]: without the rounding of the matrix product, 0 for a copy."""
    gap_ND = np.subtract(first_ND, second_ND, dtype=np.float64)
    distance_N: NDArray[np.float64] = np.linalg.norm(gap_ND, axis=1)
    return distance_N


def nearest_ratio(
    near_train_N: Vectors, near_held_out_N: Vectors, labels_N: NDArray[np.integer[Any]]
) -> tuple[float, tuple[float, ...]]:
    """Return the mean distance to the training set over the mean to held-out images; also label by label.

    Both sets must be of one size, or the larger one's nearest is nearer for that alone. 1: training images are no
    nearer than images never seen. 0: every digit is a copy.

    Args:
        near_train_N: [N], distances to the nearest training image.
        near_held_out_N: [N], to the nearest held-out image.
        labels_N: [N] in [0, 10).

    Returns:
        The ratio, and [10] ratios; 1 for a label that does not occur.

    Source:
        The three-sample view of data copying: Meehan, Chaudhuri and Dasgupta 2020, arXiv:2004.05675, sec. 3.
    """

    def ratio(rows: NDArray[np.bool_]) -> float:
        far = float(near_held_out_N[rows].mean(dtype=np.float64)) if rows.any() else 0.0
        return float(near_train_N[rows].mean(dtype=np.float64)) / far if far else 1.0

    everyone = np.ones(len(labels_N), np.bool_)
    return ratio(everyone), tuple(ratio(labels_N == k) for k in range(10))
