"""Digits in a terminal: half-block characters in 24-bit grey, sixels, or plain ASCII."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from ganmodel.errors import SpecError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

Look = Literal["blocks", "ascii", "sixel", "none"]
LOOKS: tuple[Look, ...] = ("blocks", "ascii", "sixel", "none")

RAMP = " .:-=+*#%@"
"""ASCII from no ink to full."""

MARGIN = 3
"""Pixels cut from each side of a digit: MNIST's way of centring leaves four empty, nearly always."""

SMALLEST, LARGEST = 8, 22
"""Columns of a digit: below, it is no longer legible; above, there is nothing more to show."""

SIXEL_GREYS = 16


def choose_look(asked: str, environ: Mapping[str, str], *, is_terminal: bool, encoding: str) -> Look:
    """Return how to show digits.

    Args:
        asked: --terminal: `auto` or one of `LOOKS`.
        environ: environment variables: TERM, COLORTERM and NO_COLOR.
        is_terminal: whether stdout is one.
        encoding: of stdout.

    Raises:
        SpecError: `asked` is none of these.
    """
    if asked in LOOKS:
        return asked
    if asked != "auto":
        raise SpecError(f"--terminal: must be one of auto, {', '.join(LOOKS)}, got '{asked}'")
    colours = environ.get("COLORTERM", "").lower() in ("truecolor", "24bit") or "direct" in environ.get(
        "TERM", ""
    )
    unicode = encoding.lower().replace("-", "") == "utf8"
    return "blocks" if is_terminal and colours and unicode and not environ.get("NO_COLOR") else "ascii"


def show(images: NDArray[np.uint8], columns: int, look: Look, width: int) -> str:
    """Return digits as text for a terminal, without a final newline.

    Args:
        images: [N, 28, 28] uint8.
        columns: digits in a line; fewer where the terminal is too narrow.
        look: how.
        width: columns of the terminal.
    """
    if look == "none" or not len(images):
        return ""
    gap = 1 if columns * (SMALLEST + 1) - 1 <= width else 0
    columns = max(1, min(columns, (width + gap) // (SMALLEST + gap)))
    side = max(SMALLEST, min(LARGEST, (width + gap) // columns - gap))
    side -= side % 2  # two rows of pixels make one of characters
    small = _shrunk(images[:, MARGIN:-MARGIN, MARGIN:-MARGIN], side)
    if look == "sixel":
        return _sixel(_sheet(small.repeat(4, axis=1).repeat(4, axis=2), columns, 4))
    lines: list[str] = []
    for start in range(0, len(small), columns):
        sheet = _sheet(small[start : start + columns], columns, gap)
        lines += _blocks(sheet) if look == "blocks" else _ascii(sheet)
    return "\n".join(lines)


def _shrunk(images: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Return images [N, side, side] uint8, each pixel the mean of the area it covers."""
    size = images.shape[1]
    edges = np.linspace(0, size, side + 1)
    cells = np.arange(size)
    share = np.clip(np.minimum(edges[1:, None], cells + 1) - np.maximum(edges[:-1, None], cells), 0, 1)
    share /= share.sum(axis=1, keepdims=True)
    small = share @ images.astype(np.float64) @ share.T
    return np.asarray(np.round(small), np.uint8)


def _sheet(images: NDArray[np.uint8], columns: int, gap: int) -> NDArray[np.uint8]:
    """Return images side by side in lines of `columns`, `gap` pixels between, none around."""
    count, height, width = images.shape
    lines = -(-count // columns)
    sheet = np.zeros((lines * (height + gap) - gap, columns * (width + gap) - gap), np.uint8)
    for i, image in enumerate(images):
        top, left = i // columns * (height + gap), i % columns * (width + gap)
        sheet[top : top + height, left : left + width] = image
    return sheet


def _blocks(sheet: NDArray[np.uint8]) -> list[str]:
    """Return upper half blocks: the foreground is the upper pixel, the background the lower."""
    lines = []
    for upper, lower in zip(sheet[::2].tolist(), sheet[1::2].tolist(), strict=True):
        text, last = [], None
        for above, below in zip(upper, lower, strict=True):
            if (above, below) != last:
                text.append(f"\x1b[38;2;{above};{above};{above};48;2;{below};{below};{below}m")
                last = (above, below)
            text.append("\u2580")
        lines.append("".join(text) + "\x1b[0m")
    return lines


def _ascii(sheet: NDArray[np.uint8]) -> list[str]:
    pairs = sheet.reshape(len(sheet) // 2, 2, -1).mean(axis=1)
    steps = np.minimum(pairs * len(RAMP) / 256, len(RAMP) - 1).astype(int)
    return ["".join(RAMP[step] for step in line).rstrip() for line in steps.tolist()]


def _sixel(sheet: NDArray[np.uint8]) -> str:
    """Return DEC sixels: bands of six rows, one pass a grey, runs shortened (VT330/340 manual, chapter 14)."""
    greys = sheet.astype(int) * SIXEL_GREYS // 256
    height, width = greys.shape
    out = [f'\x1bP7;1q"1;1;{width};{height}']
    for grey in range(SIXEL_GREYS):
        percent = round(100 * grey / (SIXEL_GREYS - 1))
        out.append(f"#{grey};2;{percent};{percent};{percent}")
    for top in range(0, height, 6):
        band = greys[top : top + 6]
        weights = (1 << np.arange(len(band)))[:, None]
        passes = []
        for grey in np.unique(band).tolist():
            bits = ((band == grey) * weights).sum(axis=0)
            edges = np.flatnonzero(np.diff(bits, prepend=-1, append=-1))
            runs = [
                f"!{end - start}{chr(63 + bits[start])}"
                if end - start > 3
                else chr(63 + bits[start]) * (end - start)
                for start, end in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)
            ]
            passes.append(f"#{grey}{''.join(runs)}")
        out.append("$".join(passes) + "-")
    return "".join(out) + "\x1b\\"
