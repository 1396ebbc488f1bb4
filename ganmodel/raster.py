"""Pictures of ink in two colours: PNG, and moving ones as GIF and WebP, written by Pillow.

Ink is a share from paper to ink, so a palette of that ramp loses nothing worth having and keeps files small.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np

from ganmodel.ink import sharpened

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ganmodel.lettering import Sheet
    from ganmodel.vectors import Colour

STILL_STEPS = 256
MOVING_STEPS = 32
"""Steps of a moving picture's ramp: its edges are two pixels wide, and a GIF half the size."""


def painted(sheet: Sheet, zoom: float) -> NDArray[np.float32]:
    """Return the coverage by ink of a set text, [round(height zoom), round(width zoom)] float32 in [0, 1]."""
    canvas = np.zeros((round(sheet.height * zoom), round(sheet.width * zoom)), np.float32)
    for glyph in sheet.glyphs:
        ink = sharpened(glyph.image, zoom)
        top, left = round(glyph.y * zoom), round(glyph.x * zoom)
        inner = ink[max(0, -top) : canvas.shape[0] - top, max(0, -left) : canvas.shape[1] - left]
        place = canvas[max(0, top) :, max(0, left) :][: inner.shape[0], : inner.shape[1]]
        np.maximum(place, inner, out=place)
    return canvas


def to_png(coverage: NDArray[np.float32], ink: Colour, paper: Colour) -> bytes:
    """Return a picture as PNG; coverage is [H, W] in [0, 1]."""
    buffer = io.BytesIO()
    _image(coverage, ink, paper, STILL_STEPS).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def to_animation(
    frames: Sequence[NDArray[np.float32]], ink: Colour, paper: Colour, *, kind: str, frame_ms: int
) -> bytes:
    """Return a moving picture that repeats for ever.

    Args:
        frames: coverages, [H, W] in [0, 1] each.
        ink: colour of the strokes, 0 to 255 each.
        paper: of the ground.
        kind: `GIF` or `WEBP`.
        frame_ms: how long a frame is shown, in milliseconds; GIF counts in tens.
    """
    images = [_image(frame, ink, paper, MOVING_STEPS) for frame in frames]
    options: dict[str, Any] = {"lossless": True, "method": 4} if kind == "WEBP" else {"optimize": False}
    if kind == "WEBP":
        images = [image.convert("RGB") for image in images]
    buffer = io.BytesIO()
    images[0].save(
        buffer, kind, save_all=True, append_images=images[1:], duration=frame_ms, loop=0, **options
    )
    return buffer.getvalue()


def _image(coverage: NDArray[np.float32], ink: Colour, paper: Colour, steps: int) -> Any:
    from PIL import Image

    image = Image.fromarray(np.round(coverage * (steps - 1)).astype(np.uint8), "P")
    share = np.linspace(0, 1, steps)[:, None]
    ramp = np.round((1 - share) * np.asarray(paper) + share * np.asarray(ink)).astype(np.uint8)
    image.putpalette(ramp.tobytes(), "RGB")
    return image
