"""Which label a row carries: a rule over the row index, shuffled in small groups.

A rule is written as the user types it and kept in one canonical form, which is part of a data set's identity:

    balanced        every class, exactly: any count is balanced to within one
    uniform         each row draws its class independently
    3   or   0,1    these classes only, balanced
    0=0.5,7=0.5     these classes in these shares, which need not sum to one

Labels may come from a file instead, see `ganmodel.label_file`.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np

from ganmodel.errors import SpecError

if TYPE_CHECKING:
    from numpy.typing import NDArray

WEIGHT_SCALE = 10**6
"""Shares are kept as whole millionths, so that the rule is the same arithmetic on every machine."""


class Labels(Protocol):
    """Where the labels of a data set come from."""

    def draw(self, first_row: int, num_rows: int, rng: np.random.Generator) -> NDArray[np.int32]:
        """Return the labels of a whole block, [num_rows] int32.

        Args:
            first_row: global index of the block's first row.
            num_rows: rows of a block; the same rows must always be drawn together.
            rng: the block's own generator.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelRule:
    """A label plan.

    Attributes:
        kind: `cycle` (exact and balanced over `classes`), `uniform` or `weighted`.
        classes: the labels that occur, ascending.
        weights: `weighted` only: shares in millionths, one a class, summing to 1,000,000.
    """

    kind: Literal["cycle", "uniform", "weighted"]
    classes: tuple[int, ...]
    weights: tuple[int, ...] = ()

    @property
    def is_exact(self) -> bool:
        """Whether the labels of whole blocks are known from the row index alone, without drawing."""
        return self.kind != "uniform"

    def expected_counts(self, num_rows: int) -> dict[int, int] | None:
        """Return how often each class occurs among the first `num_rows`; None if each row is drawn for itself.

        Exact where a block ends. Within a block it is the shuffle's affair which rows come first, and the counts are
        those of the unshuffled rows.
        """
        if self.kind == "uniform":
            return None
        if self.kind == "weighted":
            before, positions = self._due_before(num_rows)
            counts = before + np.bincount(positions[: num_rows - before.sum()], minlength=len(before))
            return dict(zip(self.classes, counts.tolist(), strict=True))
        whole, rest = divmod(num_rows, len(self.classes))
        return {k: whole + (1 if i < rest else 0) for i, k in enumerate(self.classes)}

    def draw(self, first_row: int, num_rows: int, rng: np.random.Generator) -> NDArray[np.int32]:
        """Return the labels of a whole block; see `Labels`."""
        classes = np.asarray(self.classes, np.int32)
        if self.kind == "uniform":
            return classes[rng.integers(0, len(classes), num_rows)]
        if self.kind == "weighted":
            return rng.permutation(classes[self._quota_sequence(first_row, num_rows)])
        return classes[_shuffled_cycle(first_row, num_rows, len(classes), rng)]

    def _quota_sequence(self, first_row: int, num_rows: int) -> NDArray[np.int64]:
        """Return class positions of rows [first_row, first_row + num_rows), each class evenly spread.

        Occurrence j of a class of share w falls due at row (j + 1/2) / w; rows are given out in the order of
        these times, so any prefix has each share to within a row or so. All arithmetic is on
        whole numbers relative to the block, so neighbouring blocks agree on the order to the last row.
        """
        before, positions = self._due_before(first_row, num_rows)
        return positions[first_row - before.sum() :][:num_rows]

    def _due_before(self, first_row: int, num_rows: int = 0) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return how many occurrences of each class fall due some rows before `first_row`, and the classes after that.

        The latter are positions in `classes` in the order of falling due, at least to row first_row + num_rows.
        """
        window = len(self.classes)
        start, stop = max(0, first_row - window), first_row + num_rows + window
        due, position = [], []
        before = np.asarray([_num_due(start, weight) for weight in self.weights], np.int64)
        for k, (weight, first) in enumerate(zip(self.weights, before.tolist(), strict=True)):
            last = _num_due(stop, weight)
            offset = (2 * first + 1) * WEIGHT_SCALE - 2 * weight * start
            late = offset + 2 * WEIGHT_SCALE * np.arange(last - first, dtype=np.int64)
            due.append((late << 20) // (2 * weight))
            position.append(np.full(last - first, k))
        merged = np.concatenate(position)
        return before, merged[np.lexsort((merged, np.concatenate(due)))]

    def __str__(self) -> str:
        """Return the canonical form, which `parse_labels` reads back."""
        if self.kind == "uniform":
            return "uniform"
        if self.kind == "weighted":
            pairs = zip(self.classes, self.weights, strict=True)
            return ",".join(f"{k}={w / WEIGHT_SCALE:.6f}" for k, w in pairs)
        return ",".join(map(str, self.classes))


def _num_due(row: int, weight: int) -> int:
    """Return how many occurrences of a class of `weight` millionths fall due by `row`."""
    return (2 * row * weight + WEIGHT_SCALE) // (2 * WEIGHT_SCALE)


def _shuffled_cycle(first_row: int, num_rows: int, size: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return row mod size, shuffled within each group of `size` rows, so that any prefix stays balanced.

    A group that the block's edge cuts is shuffled within its two parts, each by its own block: which
    classes a part holds follows from the row index, so the blocks need not know of each other.
    """
    cycle = np.arange(first_row, first_row + num_rows, dtype=np.int64) % size
    lead = min(-first_row % size, num_rows)
    whole = (num_rows - lead) // size * size
    groups = rng.permuted(cycle[lead : lead + whole].reshape(-1, size), axis=1)
    edges = rng.permutation(cycle[:lead]), rng.permutation(cycle[lead + whole :])
    return np.concatenate([edges[0], groups.ravel(), edges[1]])


def parse_labels(text: str, num_classes: int = 10) -> LabelRule:
    """Return the rule that `text` stands for.

    Raises:
        SpecError: it cannot be read, names a label twice or one outside [0, num_classes), or has a share
            that is not positive.
    """
    word = text.strip().lower()
    if word in ("balanced", "uniform"):
        kind: Literal["cycle", "uniform"] = "cycle" if word == "balanced" else "uniform"
        return LabelRule(kind=kind, classes=tuple(range(num_classes)))
    parts = [part.strip() for part in word.split(",")]
    pairs = [part.partition("=") for part in parts]
    try:
        classes = [int(name) for name, _, _ in pairs]
        shares = [_share(share) for _, sign, share in pairs if sign]
    except ValueError:
        raise SpecError(
            f"--labels: cannot read '{text}'; write balanced, uniform, classes as in 0,1 or shares as in "
            "0=0.5,7=0.5"
        ) from None
    outside = [k for k in classes if not 0 <= k < num_classes]
    if outside:
        raise SpecError(f"--labels: labels are 0 to {num_classes - 1}, got {outside[0]}")
    if len(set(classes)) < len(classes):
        raise SpecError(f"--labels: a label is named twice in '{text}'")
    if not shares:
        return LabelRule(kind="cycle", classes=tuple(sorted(classes)))
    if len(shares) < len(classes):
        raise SpecError(f"--labels: give every label a share or none, got '{text}'")
    if min(shares) <= 0:
        raise SpecError(f"--labels: shares must be positive, got '{text}'")
    return _weighted(sorted(zip(classes, shares, strict=True)), text)


def _share(text: str) -> Fraction:
    # Through float, because Fraction alone would work out all the digits of 1e999999999.
    return Fraction(str(float(text)))


def _weighted(pairs: list[tuple[int, Fraction]], text: str) -> LabelRule:
    total = sum(share for _, share in pairs)
    millionths = [int(share * WEIGHT_SCALE / total) for _, share in pairs]
    millionths[millionths.index(max(millionths))] += WEIGHT_SCALE - sum(millionths)
    if min(millionths) == 0:
        raise SpecError(f"--labels: the smallest share is one in a million, got less in '{text}'")
    return LabelRule(kind="weighted", classes=tuple(k for k, _ in pairs), weights=tuple(millionths))
