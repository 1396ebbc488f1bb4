"""Labels from a file: `file:PATH`, a text with one whole number a line, or a one-dimensional .npy of whole numbers.

Row i carries the file's i-th label. The file is read once, in pieces, and checked to the last row; a data set keeps its
labels as bytes, one a row, and remembers their SHA-256 and counts: that, not the path, is its identity.
"""

from __future__ import annotations

import hashlib
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ganmodel.config import FrozenModel
from ganmodel.errors import SpecError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

PREFIX = "file:"

MAX_CLASSES = 256
"""Labels are kept as one byte a row."""

_TEXT_BYTES = 1 << 24
_NPY_ROWS = 1 << 22
_WINDOW_ROWS = 1 << 20
"""Rows that are read at a time while blocks are drawn: one request where storage is far away."""


class LabelPart(FrozenModel):
    """The labels of one stretch of rows.

    Attributes:
        sha256: of the labels, a byte a row, hex.
        counts: rows of each label, from label 0 on.
    """

    sha256: str
    counts: tuple[int, ...]


class FileLabels:
    """Labels that were read from a file, as a source for blocks; see `ganmodel.labels.Labels`.

    Args:
        read: (first row, rows) -> that many labels or, at the end, fewer; a byte each.
    """

    def __init__(self, read: Callable[[int, int], bytes]) -> None:
        self._read = read
        self._first = 0
        self._window = np.zeros(0, np.uint8)

    def draw(self, first_row: int, num_rows: int, rng: np.random.Generator) -> NDArray[np.int32]:
        """Return the labels of a block, [num_rows] int32; rows past the end, which no file shows, are of class 0."""
        del rng  # What is given needs no drawing.
        if not self._first <= first_row <= first_row + num_rows <= self._first + len(self._window):
            self._first = first_row
            data = self._read(first_row, max(num_rows, _WINDOW_ROWS))
            self._window = np.frombuffer(data, np.uint8)
        found = self._window[first_row - self._first :][:num_rows]
        labels = np.zeros(num_rows, np.int32)
        labels[: len(found)] = found
        return labels


def label_pieces(path: str, num_classes: int) -> Iterator[NDArray[np.uint8]]:
    """Yield the labels of a file in order, piece by piece, [N] uint8 each.

    Raises:
        SpecError: there is no such file, it is no list of labels, or a label is outside [0, num_classes).
    """
    option = f"--labels {PREFIX}{path}"
    if num_classes > MAX_CLASSES:
        raise SpecError(f"{option}: labels from a file need at most {MAX_CLASSES} classes, got {num_classes}")
    pieces = _npy_pieces(path, option) if path.endswith(".npy") else _text_pieces(path, option)
    row = 0
    try:
        for piece in pieces:
            outside = np.flatnonzero((piece < 0) | (piece >= num_classes))
            if len(outside):
                raise SpecError(
                    f"{option}: labels are 0 to {num_classes - 1}, row {row + outside[0]:,} has {piece[outside[0]]}"
                )
            yield piece.astype(np.uint8)
            row += len(piece)
    except OSError as err:
        raise SpecError(f"{option}: cannot be read ({err.strerror or err})") from err


def _npy_pieces(path: str, option: str) -> Iterator[NDArray[np.integer]]:
    try:
        labels = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as err:
        raise SpecError(f"{option}: is no .npy file of numbers") from err
    if not isinstance(labels, np.ndarray) or labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise SpecError(f"{option}: must be one-dimensional whole numbers, got {_kind_of(labels)}")
    for start in range(0, len(labels), _NPY_ROWS):
        yield labels[start : start + _NPY_ROWS]


def _kind_of(labels: object) -> str:
    return f"{list(labels.shape)} {labels.dtype}" if isinstance(labels, np.ndarray) else "an archive"


def _text_pieces(path: str, option: str) -> Iterator[NDArray[np.int64]]:
    row = 0
    with Path(path).open("rb") as file:
        while lines := file.readlines(_TEXT_BYTES):
            # Checked as text first: int() would take 1_0, and a cast of an array would take 1.5.
            words = [line.strip() for line in lines]
            odd = next((i for i, word in enumerate(words) if not word.isdigit() or len(word) > 9), None)
            if odd is not None:
                text = words[odd][:20].decode("ascii", "replace")
                raise SpecError(
                    f"{option}: line {row + odd + 1:,} is no label: '{text}'; write one whole number a line"
                )
            yield np.array(words).astype(np.int64)
            row += len(words)


def read_labels(path: str, num_classes: int, first_row: int, end_row: int) -> bytes:
    """Return the labels of rows [first_row, end_row) of a file, a byte each.

    Raises:
        SpecError: the file has fewer rows, or cannot be used; see `label_pieces`.
    """
    kept, row = [], 0
    for piece in label_pieces(path, num_classes):
        kept.append(piece[max(0, first_row - row) : max(0, end_row - row)].tobytes())
        row += len(piece)
        if row >= end_row:
            return b"".join(kept)
    raise SpecError(f"--labels {PREFIX}{path}: has {row:,} labels, {end_row:,} rows need one each")


def label_parts(path: str, num_classes: int, ends: Sequence[int]) -> tuple[LabelPart, ...]:
    """Return what stands for the labels of each stretch of rows, the first of which begins at row 0.

    Args:
        path: the file; it may have more labels than rows are asked for.
        num_classes: labels are 0 to num_classes - 1.
        ends: the row after the last of each stretch, ascending.

    Raises:
        SpecError: the file has fewer rows, or cannot be used; see `label_pieces`.
    """
    stretches = list(pairwise([0, *ends]))
    hashes = [hashlib.sha256() for _ in ends]
    counts = np.zeros((len(ends), num_classes), np.int64)
    row = 0
    for piece in label_pieces(path, num_classes):
        for i, (first, end) in enumerate(stretches):
            cut = piece[max(0, first - row) : max(0, end - row)]
            hashes[i].update(cut.tobytes())
            counts[i] += np.bincount(cut, minlength=num_classes)
        row += len(piece)
        if row >= ends[-1]:
            break
    else:
        raise SpecError(f"--labels {PREFIX}{path}: has {row:,} labels, --count asks for {ends[-1]:,}")
    return tuple(
        LabelPart(sha256=each.hexdigest(), counts=tuple(rows))
        for each, rows in zip(hashes, counts.tolist(), strict=True)
    )
