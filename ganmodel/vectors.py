"""A set text as SVG and PDF: the outlines of its ink, filled by even-odd. No library is needed for either."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import numpy as np

from ganmodel.ink import outlines

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ganmodel.lettering import Sheet

Colour = tuple[int, int, int]


def to_svg(sheet: Sheet, zoom: float, ink: Colour, paper: Colour, title: str) -> bytes:
    """Return a sheet as an SVG 1.1 document.

    Args:
        sheet: the text.
        zoom: units of the document for each pixel of a digit.
        ink: colour of the strokes, 0 to 255 each.
        paper: of the ground.
        title: what is read aloud; without `<`, `>` and `&`.
    """
    width, height = sheet.width * zoom, sheet.height * zoom
    paths = []
    for polygon in _placed(sheet):
        middles = (polygon + np.roll(polygon, -1, axis=0)) / 2 * zoom
        corners = np.roll(polygon, -1, axis=0) * zoom
        ends = np.roll(middles, -1, axis=0)
        curves = "".join(
            f"Q{_n(c[0])} {_n(c[1])} {_n(e[0])} {_n(e[1])}" for c, e in zip(corners, ends, strict=True)
        )
        paths.append(f"M{_n(middles[0][0])} {_n(middles[0][1])}{curves}Z")
    text = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_n(width)}" height="{_n(height)}" '
        f'viewBox="0 0 {_n(width)} {_n(height)}" role="img"><title>{title}</title>'
        f'<rect width="100%" height="100%" fill="{_hex(paper)}"/>'
        f'<path fill="{_hex(ink)}" fill-rule="evenodd" d="{"".join(paths)}"/></svg>\n'
    )
    return text.encode()


def to_pdf(sheet: Sheet, zoom: float, ink: Colour, paper: Colour) -> bytes:
    """Return a sheet as a PDF 1.4 document of one page; the same bytes for the same sheet.

    Args:
        sheet: the text.
        zoom: points for each pixel of a digit.
        ink: colour of the strokes, 0 to 255 each.
        paper: of the ground.
    """
    width, height = sheet.width * zoom, sheet.height * zoom
    drawing = [f"{_rgb(paper)} rg 0 0 {_n(width)} {_n(height)} re f", f"{_rgb(ink)} rg"]
    for polygon in _placed(sheet):
        points = polygon * zoom
        points[:, 1] = height - points[:, 1]  # a page's y goes up
        middles = (points + np.roll(points, -1, axis=0)) / 2
        corners, ends = np.roll(points, -1, axis=0), np.roll(middles, -1, axis=0)
        # A quadratic curve as a cubic one: both handles lie two thirds of the way to the corner.
        first, second = middles + (corners - middles) * 2 / 3, ends + (corners - ends) * 2 / 3
        drawing.append(f"{_n(middles[0][0])} {_n(middles[0][1])} m")
        for curve in np.hstack([first, second, ends]):
            drawing.append(" ".join(map(_n, curve)) + " c")
        drawing.append("h")
    drawing.append("f*")
    stream = zlib.compress("\n".join(drawing).encode(), 9)
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {_n(width)} {_n(height)}] ".encode()
        + b"/Contents 4 0 R /Resources << >> >>",
        f"<< /Length {len(stream)} /Filter /FlateDecode >>\nstream\n".encode() + stream + b"\nendstream",
    ]
    out, offsets = b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n", []
    for number, body in enumerate(objects, start=1):
        offsets.append(len(out))
        out += f"{number} 0 obj\n".encode() + body + b"\nendobj\n"
    table = "".join(f"{offset:010d} 00000 n \n" for offset in offsets)
    size = len(objects) + 1
    index = f"xref\n0 {size}\n0000000000 65535 f \n{table}trailer\n<< /Size {size} /Root 1 0 R >>\n"
    return out + f"{index}startxref\n{len(out)}\n%%EOF\n".encode()


def _placed(sheet: Sheet) -> list[NDArray[np.float64]]:
    return [
        polygon + np.array([glyph.x, glyph.y]) for glyph in sheet.glyphs for polygon in outlines(glyph.image)
    ]


def _n(value: float) -> str:
    """Return a number to a hundredth, as short as can be."""
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def _hex(colour: Colour) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)


def _rgb(colour: Colour) -> str:
    return " ".join(_n(part / 255) for part in colour)
