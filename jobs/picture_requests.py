"""From what was typed to walks and posters: every check that needs no TensorFlow, one line each."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from ganmodel.config import FrozenModel
from ganmodel.errors import SpecError
from ganmodel.labels import parse_labels
from ganmodel.latents import BLOCK_ROWS, draw_block
from ganmodel.lettering import DIGITS, LINE_HEIGHT, MARKS
from ganmodel.rows import MAX_ROWS
from jobs.art_requests import (
    MAX_PIXELS,
    MAX_SEED,
    Row,
    Seed,
    Truncation,
    check_file,
    check_truncation,
    parse_label_list,
    parse_list,
    parse_number,
)
from jobs.checks import checked_model

if TYPE_CHECKING:
    from ganmodel.model_dir import ModelInfo

MAX_FRAMES = 2000
DEFAULT_FPS = 20
DEFAULT_VARIATION = 0.15
MAX_SIGNS = 2000
"""Signs of a poster."""

Part = Annotated[int, Field(ge=0, le=255)]
Colour = tuple[Part, Part, Part]
NAMES = {"black": (0, 0, 0), "white": (255, 255, 255)}


class Stop(FrozenModel):
    """A stop of a walk: a label in the hand of a row.

    Attributes:
        seed: of the data set the row is of.
        row: whose hand it is.
        label: that is written.
    """

    seed: Seed
    row: Row
    label: int


class WalkSpec(FrozenModel):
    """A moving picture that goes from digit to digit.

    Attributes:
        model: folder of the model, or `pretrained`.
        stops: in order.
        frames: from each stop to the next.
        hold: frames that rest at each stop.
        loop: whether it ends where it began.
        fps: frames a second.
        size: pixels of a frame's side.
        columns: frames in a line of a strip.
        truncation: psi in (0, 1].
        ink: colour of the strokes.
        paper: of the ground.
        out: file; .gif, .webp, or .png for a strip.
    """

    model: str
    stops: tuple[Stop, ...]
    frames: int
    hold: int
    loop: bool
    fps: int
    size: int
    columns: int
    truncation: Truncation
    ink: Colour
    paper: Colour
    out: str

    @property
    def num_frames(self) -> int:
        """Return how many frames there are in all."""
        legs = len(self.stops) - (0 if self.loop else 1)
        return legs * self.frames + (0 if self.loop else 1) + self.hold * len(self.stops)


class PosterSpec(FrozenModel):
    """A text in digits.

    Attributes:
        model: folder of the model, or `pretrained`.
        lines: of the text.
        hands: `one`, that of a row, or `many`, those of the rows from it on.
        seed: of the data set the rows are of.
        row: see `hands`.
        variation: how far each digit strays from the one hand towards another, 0 to 1.
        truncation: psi in (0, 1].
        size: height of a line: pixels, or points for a PDF.
        ink: colour of the strokes.
        paper: of the ground.
        out: file; .png, .svg or .pdf.
    """

    model: str
    lines: tuple[str, ...]
    hands: Literal["one", "many"]
    seed: Seed
    row: Row
    variation: Annotated[float, Field(ge=0, le=1)]
    truncation: Truncation
    size: int
    ink: Colour
    paper: Colour
    out: str

    @property
    def zoom(self) -> float:
        """Return pixels for each pixel of the generator's."""
        return self.size / LINE_HEIGHT


def parse_colour(text: str, option: str) -> Colour:
    """Return (red, green, blue) of `#rrggbb`, `#rgb`, black or white.

    Raises:
        SpecError: it is none of these.
    """
    word = text.strip().lower()
    if word in NAMES:
        return NAMES[word]
    if re.fullmatch(r"#[0-9a-f]{3}", word):
        word = "#" + "".join(2 * digit for digit in word[1:])
    if not re.fullmatch(r"#[0-9a-f]{6}", word):
        raise SpecError(f"{option}: write black, white or a colour as in #1b2a4a, got '{text}'")
    return int(word[1:3], 16), int(word[3:5], 16), int(word[5:], 16)


def walk_spec(
    *,
    model: str,
    labels: str | None,
    seeds: str | None,
    rows: str | None,
    seed: int | None,
    frames: int,
    hold: int | None,
    loop: bool,
    fps: int | None,
    size: int,
    columns: int | None,
    truncation: float,
    ink: str,
    paper: str,
    out: str,
) -> WalkSpec:
    """Return the walk that `gangen walk` was asked for; see its help for the arguments.

    Raises:
        SpecError: something cannot be done as asked.
        ModelError: the model is missing or damaged.
    """
    target = str(check_file(out, (".gif", ".webp", ".png")))
    is_strip = target.lower().endswith(".png")
    _check_stops(seeds, rows, seed)
    if is_strip and fps is not None:
        raise SpecError("--fps: is for a picture that moves; give --out a .gif or .webp")
    if not is_strip and columns is not None:
        raise SpecError("--columns: is for a strip; give --out a .png")
    check_truncation(truncation)
    path, info = checked_model(model)
    asked = None if labels is None else parse_label_list(labels, info)
    if rows is not None:
        hands = [(seed or 0, row) for row in parse_list(rows, "--rows", MAX_ROWS - 1)]
        chosen = asked or tuple(_row_label(*hand, info) for hand in hands)
    else:
        hands = [(one, 0) for one in parse_list(seeds or "0", "--seeds", MAX_SEED)]
        chosen = asked or (tuple(range(info.generator.num_classes)) if len(hands) == 1 else (8,))
    spec = WalkSpec(
        model=path,
        stops=_stops(hands, chosen),
        frames=frames,
        hold=(0 if is_strip else 4) if hold is None else hold,
        loop=loop,
        fps=fps or DEFAULT_FPS,
        size=size,
        columns=columns or frames,
        truncation=truncation,
        ink=parse_colour(ink, "--ink"),
        paper=parse_colour(paper, "--paper"),
        out=target,
    )
    if spec.num_frames > MAX_FRAMES:
        raise SpecError(f"--frames: at most {MAX_FRAMES:,} frames in all, got {spec.num_frames:,}")
    if spec.num_frames * size**2 > MAX_PIXELS:
        side = int((MAX_PIXELS / spec.num_frames) ** 0.5)
        raise SpecError(f"--size: {spec.num_frames:,} frames may have sides of {side}, got {size}")
    return spec


def _check_stops(seeds: str | None, rows: str | None, seed: int | None) -> None:
    if seeds is not None and rows is not None:
        raise SpecError("--seeds and --rows: give one of them, got both")
    if seed is not None and rows is None:
        raise SpecError("--seed: is for --rows; the seeds of a walk are --seeds, as in 4,7")


def _stops(hands: list[tuple[int, int]], labels: tuple[int, ...]) -> tuple[Stop, ...]:
    count = max(len(hands), len(labels))
    if count < 2:
        raise SpecError("--labels, --seeds or --rows: a walk needs two stops or more, as in --labels 3,8")
    if {len(hands), len(labels)} - {1, count}:
        raise SpecError(
            f"--labels: give one, or one for each of the {len(hands)} hands, got {len(labels)} of them"
        )
    hands, labels = hands * (count // len(hands)), labels * (count // len(labels))
    return tuple(
        Stop(seed=seed, row=row, label=label) for (seed, row), label in zip(hands, labels, strict=True)
    )


def _row_label(seed: int, row: int, info: ModelInfo) -> int:
    shape = info.generator
    rule = parse_labels("balanced", shape.num_classes)
    # Labels follow the latents in one stream of random numbers, so these must be drawn in their number.
    _, labels = draw_block(seed, row // BLOCK_ROWS, shape.latent_dim, rule)
    return int(labels[row % BLOCK_ROWS])


def poster_spec(
    *,
    text: list[str],
    model: str,
    hands: str,
    seed: int,
    style_of: str,
    variation: float | None,
    truncation: float,
    size: int,
    ink: str,
    paper: str,
    out: str,
) -> PosterSpec:
    """Return the poster that `gangen poster` was asked for; see its help for the arguments.

    Raises:
        SpecError: something cannot be done as asked.
        ModelError: the model is missing or damaged.
    """
    target = str(check_file(out, (".png", ".svg", ".pdf")))
    lines = tuple(line.rstrip() for part in text for line in part.split("\n"))
    odd = [sign for sign in "".join(lines) if sign not in f"{DIGITS}{MARKS} "]
    if odd:
        raise SpecError(f"TEXT: takes digits, spaces and {' '.join(MARKS)}, got '{odd[0]}'")
    if not set("".join(lines)) & set(DIGITS):
        raise SpecError("TEXT: holds no digit; write a number or a date, as in 2026-11-23")
    if sum(map(len, lines)) > MAX_SIGNS:
        raise SpecError(f"TEXT: at most {MAX_SIGNS:,} signs, got {sum(map(len, lines)):,}")
    if hands not in ("one", "many"):
        raise SpecError(f"--hands: must be one or many, got '{hands}'")
    if hands == "many" and variation is not None:
        raise SpecError("--variation: is for one hand; leave it out with --hands many")
    if variation is None:
        variation = DEFAULT_VARIATION
    if not 0 <= variation <= 1:
        raise SpecError(f"--variation: must be from 0 to 1, got {variation:g}")
    check_truncation(truncation)
    path, info = checked_model(model)
    if info.generator.num_classes < len(DIGITS):
        raise SpecError(f"--model {model}: does not know all ten digits")
    row = parse_number(style_of, "--style-of", MAX_ROWS - 1 - MAX_SIGNS)
    widest = max(map(len, lines)) * LINE_HEIGHT
    if target.endswith(".png") and (size / LINE_HEIGHT) ** 2 * widest * LINE_HEIGHT * len(lines) > MAX_PIXELS:
        raise SpecError(
            f"--size: a PNG may have some {MAX_PIXELS:,} pixels, {size} gives more; use .svg or .pdf"
        )
    return PosterSpec(
        model=path,
        lines=lines,
        hands="one" if hands == "one" else "many",
        seed=seed,
        row=row,
        variation=variation,
        truncation=truncation,
        size=size,
        ink=parse_colour(ink, "--ink"),
        paper=parse_colour(paper, "--paper"),
        out=target,
    )
