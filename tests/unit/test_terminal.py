"""Digits as text: what a terminal would show is read back from its escape codes."""

from __future__ import annotations

import re

import numpy as np
import pytest

from ganmodel.errors import SpecError
from jobs.terminal import LOOKS, choose_look, show

DOT = np.zeros((28, 28), np.uint8)
DOT[10:18, 10:18] = 255
DIGITS = np.stack([DOT, np.zeros_like(DOT), 255 - np.zeros_like(DOT)])


@pytest.mark.parametrize(
    ("environ", "is_terminal", "encoding", "look"),
    [
        ({"COLORTERM": "truecolor"}, True, "utf-8", "blocks"),
        ({"COLORTERM": "24bit"}, True, "UTF8", "blocks"),
        ({"TERM": "xterm-direct"}, True, "utf-8", "blocks"),
        ({"COLORTERM": "truecolor"}, False, "utf-8", "ascii"),
        ({"COLORTERM": "truecolor"}, True, "latin-1", "ascii"),
        ({"COLORTERM": "truecolor", "NO_COLOR": "1"}, True, "utf-8", "ascii"),
        ({"TERM": "dumb"}, True, "utf-8", "ascii"),
        ({}, True, "utf-8", "ascii"),
    ],
)
def test_auto_shows_what_the_terminal_can(environ, is_terminal, encoding, look) -> None:
    assert choose_look("auto", environ, is_terminal=is_terminal, encoding=encoding) == look


def test_a_look_that_is_asked_for_is_taken_and_no_other() -> None:
    for look in LOOKS:
        assert choose_look(look, {}, is_terminal=False, encoding="ascii") == look
    with pytest.raises(
        SpecError, match="--terminal: must be one of auto, blocks, ascii, sixel, none, got 'kitty'"
    ):
        choose_look("kitty", {}, is_terminal=False, encoding="ascii")


def pixels_of(text: str) -> np.ndarray:
    rows = []
    for line in text.split("\n"):
        assert line.endswith("\x1b[0m")
        upper, lower, pair = [], [], (0, 0)
        for match in re.finditer("\x1b\\[38;2;(\\d+);\\1;\\1;48;2;(\\d+);\\2;\\2m|\u2580", line):
            if match[1]:
                pair = int(match[1]), int(match[2])
            else:
                upper.append(pair[0])
                lower.append(pair[1])
        rows += [upper, lower]
    return np.array(rows)


def test_blocks_are_the_digits_in_24_bit_grey() -> None:
    shown = pixels_of(show(DIGITS, 3, "blocks", 200))
    assert shown.shape == (22, 3 * 22 + 2)
    np.testing.assert_array_equal(shown[:, :22], DOT[3:-3, 3:-3])
    assert not shown[:, 22:46].any()
    assert (shown[:, 46:] == 255).all()


@pytest.mark.parametrize(
    ("width", "columns"), [(200, 3), (68, 3), (27, 3), (26, 3), (24, 3), (23, 2), (8, 1), (1, 1)]
)
def test_a_narrow_terminal_gets_smaller_digits_and_then_fewer_a_line(width: int, columns: int) -> None:
    lines = show(DIGITS, 3, "ascii", width).split("\n")
    side = next(side for side in range(22, 0, -2) if side * columns <= max(width, 8))
    assert len(lines) * 2 // -(-3 // columns) in (side, side - 2)
    assert max(map(len, lines)) <= max(width, 8)


def test_ascii_is_ascii_and_darker_is_denser() -> None:
    text = show(DIGITS, 3, "ascii", 200)
    assert text.isascii()
    assert text.split("\n")[0] == " " * 46 + "@" * 22
    assert "@" in text.split("\n")[5][:22]


def test_no_look_and_no_digits_are_no_text() -> None:
    assert show(DIGITS, 3, "none", 80) == ""
    assert show(DIGITS[:0], 3, "ascii", 80) == ""


def test_sixels_are_the_digits() -> None:
    text = show(DIGITS, 3, "sixel", 26)
    assert text.startswith('\x1bP7;1q"1;1;')
    assert text.endswith("\x1b\\")
    body = re.sub(r"#\d+;2;\d+;\d+;\d+", "", text[2:-2].partition("q")[2]).partition("#")
    width, height = map(int, re.findall(r"\d+", text[:40].partition('"')[2])[2:4])
    picture = np.full((height + 6, width), -1)
    for band, line in enumerate(("#" + body[2]).split("-")[:-1]):
        for one in line.split("$"):
            grey, column = int(re.match(r"#(\d+)", one)[1]), 0
            for count, sixel in re.findall(r"(?:!(\d+))?([?-~])", re.sub(r"^#\d+", "", one)):
                for _ in range(int(count or 1)):
                    for bit in range(6):
                        if (ord(sixel) - 63) >> bit & 1:
                            assert picture[6 * band + bit, column] == -1
                            picture[6 * band + bit, column] = grey
                    column += 1
            assert column == width
    assert (picture[:height] >= 0).all()
    assert (picture[:height, -20:] == 15).all()
    assert picture[:height, :20].max() == 15
    assert (picture[: height // 4, :20] == 0).all()
