"""Ink, outlines, lettering and the files they become."""

from __future__ import annotations

import io
import re
import zlib
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from ganmodel.ink import LEVEL, outlines, sharpened, stroke, stroke_width
from ganmodel.lettering import BORDER, LINE_HEIGHT, MARKS, Sheet, ink_span, mark, set_text
from ganmodel.raster import MOVING_STEPS, painted, to_animation, to_png
from ganmodel.vectors import to_pdf, to_svg

RING = stroke([(14 + 7 * np.cos(a), 14 + 7 * np.sin(a), 14 + 7 * np.cos(a + 0.1), 14 + 7 * np.sin(a + 0.1))
               for a in np.arange(0, 6.3, 0.1)], 3, (28, 28))  # fmt: skip
BAR = stroke([(14, 5, 14, 23)], 3, (28, 28))
BLANK = np.zeros((28, 28), np.uint8)
INK, PAPER = (27, 42, 74), (255, 255, 255)


def area(polygon: np.ndarray) -> float:
    following = np.roll(polygon, -1, axis=0)
    return abs(float((polygon[:, 0] * following[:, 1] - polygon[:, 1] * following[:, 0]).sum())) / 2


def test_a_ring_has_an_outer_and_an_inner_edge_where_its_ink_is() -> None:
    found = sorted(map(area, outlines(RING)))
    assert len(found) == 2
    assert found[0] == pytest.approx(np.pi * 5.5**2, rel=0.15)
    assert found[1] == pytest.approx(np.pi * 8.5**2, rel=0.1)
    for polygon in outlines(RING):
        np.testing.assert_allclose(polygon.mean(axis=0), 14, atol=0.3)


def test_no_ink_has_no_edge_and_all_ink_one() -> None:
    assert outlines(BLANK) == []
    (edge,) = outlines(np.full((28, 28), 255, np.uint8))
    assert area(edge) == pytest.approx(28**2, rel=0.05)


@pytest.mark.parametrize("seed", range(5))
def test_outlines_of_any_picture_are_closed_and_hold_its_ink(seed: int) -> None:
    image = np.random.default_rng(seed).integers(0, 256, (28, 28)).astype(np.uint8)
    polygons = outlines(image)
    for polygon in polygons:
        gaps = np.hypot(*(np.roll(polygon, -1, axis=0) - polygon).T)
        assert gaps.max() < 1
        assert polygon.min() > -1
        assert polygon.max() < 29


def test_the_width_of_a_stroke_is_measured() -> None:
    widths = [stroke_width(stroke([(14, 5, 14, 23)], width, (28, 28))) for width in (2, 3, 4)]
    assert widths == sorted(widths)
    np.testing.assert_allclose(widths, [2, 3, 4], atol=0.8)
    assert stroke_width(BLANK) == 0


@pytest.mark.parametrize("zoom", [0.5, 1, 4.3, 20])
def test_ink_is_sharp_at_any_size(zoom: float) -> None:
    coverage = sharpened(BAR, zoom)
    assert coverage.shape == (round(28 * zoom), round(28 * zoom))
    assert 0 <= coverage.min() <= coverage.max() <= 1
    if zoom > 4:
        grey = ((coverage > 0.02) & (coverage < 0.98)).sum(axis=1)[round(14 * zoom)]
        assert grey <= 8
        assert coverage[round(14 * zoom), round(14 * zoom)] == 1


def test_a_text_is_set_with_the_same_gap_between_all_ink() -> None:
    sheet = set_text(["11", "1"], [BAR, BAR, BAR], 3)
    assert [glyph.y for glyph in sheet.glyphs] == pytest.approx([4.5, 4.5, 4.5 + LINE_HEIGHT])
    first, second, below = (glyph.x + ink_span(glyph.image)[0] for glyph in sheet.glyphs)
    assert first == below == BORDER
    width = np.ptp(ink_span(BAR))
    assert second - first == pytest.approx(width + 3.5)
    assert sheet.width == pytest.approx(2 * BORDER + 2 * width + 3.5)
    assert set_text(["1 1"], [BAR, BAR], 3).width == pytest.approx(sheet.width + 11)


@pytest.mark.parametrize("sign", MARKS)
def test_every_mark_is_drawn(sign: str) -> None:
    image = mark(sign, 3)
    assert image.shape == (28, 14)
    assert (image > LEVEL * 255).sum() > 6
    assert outlines(image)


def test_a_picture_without_ink_has_a_place_too() -> None:
    assert ink_span(BLANK) == pytest.approx((28 / 3, 56 / 3))
    assert set_text(["8"], [BLANK], 3).width > 2 * BORDER


def test_a_png_has_the_two_colours_and_the_ink_where_it_belongs() -> None:
    sheet = set_text(["0"], [RING], 3)
    image = Image.open(io.BytesIO(to_png(painted(sheet, 5), INK, PAPER)))
    assert image.size == (round(sheet.width * 5), round(sheet.height * 5))
    pixels = np.asarray(image.convert("RGB"))
    assert tuple(pixels[0, 0]) == PAPER
    middle_y = round(sheet.height * 5 / 2)
    assert tuple(pixels[middle_y, round(BORDER * 5) + 8]) == INK
    assert tuple(pixels[middle_y, pixels.shape[1] // 2]) == PAPER


def test_an_svg_is_well_formed_and_its_path_the_outlines() -> None:
    sheet = set_text(["0", "1"], [RING, BAR], 3)
    root = ElementTree.fromstring(to_svg(sheet, 2.5, INK, PAPER, "0 1"))
    name = "{http://www.w3.org/2000/svg}"
    assert root.find(f"{name}title").text == "0 1"
    assert root.find(f"{name}rect").get("fill") == "#ffffff"
    path = root.find(f"{name}path")
    assert (path.get("fill"), path.get("fill-rule")) == ("#1b2a4a", "evenodd")
    assert path.get("d").count("M") == path.get("d").count("Z") == 3
    numbers = np.array([float(n) for n in re.findall(r"-?\d+\.?\d*", path.get("d"))]).reshape(-1, 2)
    assert numbers.min() > 0
    assert (numbers.max(axis=0) < [float(root.get("width")), float(root.get("height"))]).all()
    assert re.fullmatch(r"[MQZ0-9. -]+", path.get("d"))


def test_a_pdf_has_a_sound_table_and_one_page_of_the_size() -> None:
    sheet = set_text(["0"], [RING], 3)
    data = to_pdf(sheet, 2, INK, PAPER)
    assert data == to_pdf(sheet, 2, INK, PAPER)
    assert data.startswith(b"%PDF-1.4")
    start = int(data.split(b"startxref\n")[1].split()[0])
    assert data[start:].startswith(b"xref\n0 5\n")
    for number, offset in enumerate(re.findall(rb"(\d{10}) 00000 n", data), start=1):
        assert data[int(offset) :].startswith(f"{number} 0 obj".encode())
    box = [float(n) for n in re.search(rb"MediaBox \[(.*?)\]", data)[1].split()]
    assert box[2:] == pytest.approx([sheet.width * 2, sheet.height * 2], abs=0.01)
    stream = re.search(rb"/Length (\d+) /Filter /FlateDecode >>\nstream\n", data)
    drawing = zlib.decompress(data[stream.end() :][: int(stream[1])]).decode()
    assert drawing.endswith("f*")
    assert drawing.count(" m\n") == drawing.count("h\n") == 2


@pytest.mark.parametrize("kind", ["GIF", "WEBP"])
def test_a_moving_picture_moves_for_ever_and_keeps_its_frames(kind: str) -> None:
    frames = [sharpened(np.roll(BAR, shift, axis=1), 3) for shift in range(-4, 5)]
    data = to_animation(frames, INK, PAPER, kind=kind, frame_ms=50)
    assert data == to_animation(frames, INK, PAPER, kind=kind, frame_ms=50)
    image = Image.open(io.BytesIO(data))
    assert (image.n_frames, image.info["loop"], image.size) == (9, 0, (84, 84))
    for number, frame in enumerate(frames):
        image.seek(number)
        shown = np.asarray(image.convert("RGB")).astype(int)[..., 0]
        expected = 255 + (27 - 255) * np.round(frame * (MOVING_STEPS - 1)) / (MOVING_STEPS - 1)
        assert np.abs(shown - expected).max() <= 1
        assert image.info.get("duration", 50) == 50


def test_an_empty_sheet_is_paper() -> None:
    assert not painted(Sheet((), 10.0, 10.0), 2).any()
