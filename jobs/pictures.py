"""`gangen walk` and `gangen poster`: a spec becomes digits, and these a file."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ganmodel.hands import between, row_hand, walk
from ganmodel.ink import sharpened, stroke_width
from ganmodel.lettering import DIGITS, Sheet, set_text
from ganmodel.model_dir import PRETRAINED
from ganmodel.raster import painted, to_animation, to_png
from ganmodel.vectors import to_pdf, to_svg
from jobs.inputs import local_model
from jobs.preview import write_picture

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ganmodel.brush import Brush
    from jobs.picture_requests import PosterSpec, WalkSpec


def draw_walk(spec: WalkSpec, brush: Brush) -> NDArray[np.uint8]:
    """Return the frames of a walk, [N, 28, 28] uint8."""
    latent_dim = brush.info.generator.latent_dim
    hands = np.stack([row_hand(stop.seed, stop.row, latent_dim) for stop in spec.stops])
    mixes = brush.mixes([stop.label for stop in spec.stops])
    path_hands, path_mixes = walk(hands, mixes, spec.frames, loop=spec.loop)
    images = brush.draw(path_hands * np.float32(spec.truncation), path_mixes)
    shown = [1 + (spec.hold if i % spec.frames == 0 else 0) for i in range(len(images))]
    return images.repeat(shown, axis=0)


def run_walk(spec: WalkSpec) -> tuple[dict[str, Any], str]:
    """Draw a walk, write it, and return its facts and its text."""
    from ganmodel.brush import Brush

    images = draw_walk(spec, Brush(local_model(spec.model)))
    frames = [sharpened(image, spec.size / image.shape[0]) for image in images]
    if spec.out.lower().endswith(".png"):
        data = to_png(_strip(frames, spec.columns), spec.ink, spec.paper)
        what = f"a strip of {len(frames)} pictures"
    else:
        kind = Path(spec.out).suffix[1:].upper()
        frame_ms = max(20, round(100 / spec.fps) * 10)
        data = to_animation(frames, spec.ink, spec.paper, kind=kind, frame_ms=frame_ms)
        what = f"{len(frames)} frames, {len(frames) * frame_ms / 1000:.1f} s"
    size_bytes = write_picture(spec.out, data)
    facts = {**spec.model_dump(mode="json"), "num_frames": len(frames), "bytes": size_bytes}
    stops = " to ".join(str(stop.label) for stop in spec.stops)
    lines = [
        f"walked from {stops}{' and back' if spec.loop else ''}: {what}",
        f"wrote {spec.out}, {spec.size} pixels a side, {size_bytes:,} bytes",
    ]
    first = spec.stops[0]
    model = [] if spec.model == PRETRAINED else ["--model", spec.model]
    hand = ["--seed", str(first.seed), "--style-of", str(first.row)]
    command = ["gangen", "poster", "".join(str(stop.label) for stop in spec.stops), *model, *hand]
    return facts, "\n".join([*lines, f"next: {shlex.join([*command, '--out', 'poster.svg'])}"])


def _strip(frames: list[NDArray[np.float32]], columns: int) -> NDArray[np.float32]:
    """Return frames side by side in lines of `columns`, without gaps: each has its own margin."""
    height, width = frames[0].shape
    strip = np.zeros((-(-len(frames) // columns) * height, min(columns, len(frames)) * width), np.float32)
    for i, frame in enumerate(frames):
        top, left = i // columns * height, i % columns * width
        strip[top : top + height, left : left + width] = frame
    return strip


def draw_poster(spec: PosterSpec, brush: Brush) -> Sheet:
    """Return the set text of a poster."""
    signs = [int(sign) for sign in "".join(spec.lines) if sign in DIGITS]
    latent_dim = brush.info.generator.latent_dim
    base = row_hand(spec.seed, spec.row, latent_dim)
    others = [row_hand(spec.seed, spec.row + i, latent_dim) for i in range(len(signs) + 1)]
    if spec.hands == "many":
        hands = np.stack(others[:-1])
    else:
        hands = np.stack([between(base, other, spec.variation) for other in others[1:]])
    images = brush.draw(hands * np.float32(spec.truncation), brush.mixes(signs))
    return set_text(spec.lines, list(images), float(np.median([stroke_width(image) for image in images])))


def run_poster(spec: PosterSpec) -> tuple[dict[str, Any], str]:
    """Draw a poster, write it, and return its facts and its text."""
    from ganmodel.brush import Brush

    sheet = draw_poster(spec, Brush(local_model(spec.model)))
    kind = Path(spec.out).suffix.lower()
    if kind == ".svg":
        data = to_svg(sheet, spec.zoom, spec.ink, spec.paper, " ".join(spec.lines))
    elif kind == ".pdf":
        data = to_pdf(sheet, spec.zoom, spec.ink, spec.paper)
    else:
        data = to_png(painted(sheet, spec.zoom), spec.ink, spec.paper)
    size_bytes = write_picture(spec.out, data)
    width, height = round(sheet.width * spec.zoom), round(sheet.height * spec.zoom)
    facts = {**spec.model_dump(mode="json"), "width": width, "height": height, "bytes": size_bytes}
    who = (
        f"the hand of row {spec.row:,}"
        if spec.hands == "one"
        else f"the hands of the rows from {spec.row:,} on"
    )
    unit = "points" if kind == ".pdf" else "pixels"
    model = [] if spec.model == PRETRAINED else ["--model", spec.model]
    seed = ["--seed", str(spec.seed)]
    command = ["gangen", "preview", *model, *seed, "--rows", f"{spec.row}:{spec.row + 100}"]
    return facts, "\n".join(
        [
            f"'{' / '.join(spec.lines)}' in {who} of seed {spec.seed}",
            f"wrote {spec.out}, {width} x {height} {unit}, {size_bytes:,} bytes",
            f"next: {shlex.join(command)}",
        ]
    )
