"""Lines of text in handwritten digits: where each glyph stands, and the marks between digits.

Lengths are in pixels of the generator's pictures: a digit is about 20 high.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ganmodel.config import IMAGE_SIZE
from ganmodel.ink import LEVEL, stroke

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

DIGITS = "0123456789"
MARKS = "-.,:/+="
"""Signs that are drawn with straight strokes, as wide as those of the digits."""

GAP = 3.5
"""Between the ink of two neighbours."""

SPACE = 11.0
LINE_HEIGHT = 29.0
BORDER = 9.0
"""Between the ink and the edge of the sheet."""

_TOP, _MIDDLE, _BASE = 4.5, 14.0, 23.5
_MARK_WIDTH = 14


@dataclass(frozen=True, slots=True)
class Glyph:
    """A picture at its place.

    Attributes:
        image: [28, W] uint8.
        x: of the picture's left edge.
        y: of its top.
    """

    image: NDArray[np.uint8]
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Sheet:
    """A text that has been set.

    Attributes:
        glyphs: what stands on it.
        width: of the sheet, borders included.
        height: likewise.
    """

    glyphs: tuple[Glyph, ...]
    width: float
    height: float


def set_text(lines: Sequence[str], digits: Sequence[NDArray[np.uint8]], stroke_px: float) -> Sheet:
    """Return a text, set line by line, flush left, each glyph as wide as its ink.

    Args:
        lines: of digits, spaces and `MARKS`.
        digits: a picture [28, 28] uint8 for each digit of the text, in order.
        stroke_px: width of the marks' strokes.
    """
    glyphs, widest, pictures = [], 0.0, iter(digits)
    for number, line in enumerate(lines):
        right, top = 0.0, BORDER - _TOP + number * LINE_HEIGHT
        for sign in line:
            if sign == " ":
                right += SPACE
                continue
            image = next(pictures) if sign in DIGITS else mark(sign, stroke_px)
            low, high = ink_span(image)
            left = right + (GAP if right else 0.0)
            glyphs.append(Glyph(image, BORDER + left - low, top))
            right = left + high - low
        widest = max(widest, right)
    height = 2 * BORDER + (len(lines) - 1) * LINE_HEIGHT + _BASE - _TOP
    return Sheet(tuple(glyphs), widest + 2 * BORDER, height)


def ink_span(image: NDArray[np.uint8]) -> tuple[float, float]:
    """Return the columns between which the ink lies; the middle third for a picture without any."""
    inked = np.flatnonzero((image > LEVEL * 255).any(axis=0))
    if not len(inked):
        return image.shape[1] / 3, image.shape[1] * 2 / 3
    return float(inked[0]), float(inked[-1] + 1)


def mark(sign: str, stroke_px: float) -> NDArray[np.uint8]:
    """Return one of `MARKS`, [28, 14] uint8."""
    middle = _MARK_WIDTH / 2
    reach = 3.5
    foot = _BASE - stroke_px / 2
    segments = {
        "-": [(middle - reach, _MIDDLE, middle + reach, _MIDDLE)],
        "+": [(middle - 4, _MIDDLE, middle + 4, _MIDDLE), (middle, _MIDDLE - 4, middle, _MIDDLE + 4)],
        "=": [
            (middle - 4, _MIDDLE + y, middle + 4, _MIDDLE + y)
            for y in (-2.5 - stroke_px / 4, 2.5 + stroke_px / 4)
        ],
        ".": [(middle, foot, middle, foot)],
        ",": [(middle, foot, middle - 1.2, foot + 3)],
        ":": [(middle, y, middle, y) for y in (_MIDDLE - 4, _MIDDLE + 5)],
        "/": [(middle + 3.5, _TOP + 1, middle - 3.5, _BASE)],
    }[sign]
    # A pen rests on a dot; smoothing, too, takes more from a dot than from a line.
    width_px = stroke_px * 1.3 if sign in ".:," else stroke_px
    return stroke(segments, width_px, (IMAGE_SIZE, _MARK_WIDTH))
