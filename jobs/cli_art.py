"""The commands that make pictures: `gangen preview`, `gangen walk` and `gangen poster`. Nothing here needs Ray."""

from __future__ import annotations

import os
import shutil
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jobs.cli_options import DryRun, Json, Model

if TYPE_CHECKING:
    from collections.abc import Callable

POSTER_EXAMPLE = 'gangen poster "2026-11-23" --style-of 17 --out poster.png'
WALK_EXAMPLE = "gangen walk --labels 3,8 --seeds 0 --out walk.gif"
PREVIEW_EXAMPLE = "gangen preview --labels 3,8 --seeds 0:10 --out preview.png"


def preview(
    labels: Annotated[
        str | None,
        typer.Option(
            metavar="LIST",
            help="Labels, one a line, as in 3,8 or 0:10. With --rows, the rule of the data set, as for `gangen "
            "generate`. Default: all.",
        ),
    ] = None,
    seeds: Annotated[
        str | None,
        typer.Option(metavar="LIST", help="Seeds, one a column, as in 0:10 or 4,7. Default: 0:10."),
    ] = None,
    rows: Annotated[
        str | None,
        typer.Option(
            metavar="A:B",
            help="Rows of a data set instead of a grid, from A up to and without B, computed anew.",
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            metavar="DIR",
            help="Data set (folder or URL) that --rows are read from; without --rows its first 100.",
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(min=0, max=2**63 - 1, metavar="N", help="Seed of the data set of --rows. Default: 0."),
    ] = None,
    truncation: Annotated[
        float | None, typer.Option(metavar="PSI", help="Of digits that are drawn, 0 < PSI <= 1. Default: 1.")
    ] = None,
    precision: Annotated[
        str | None, typer.Option(metavar="float32|bfloat16", help="Of --rows, as for `gangen generate`.")
    ] = None,
    hands: Annotated[
        str | None, typer.Option(metavar="FILE", help="Digits that were kept in `gangen explore`, instead.")
    ] = None,
    model: Model = "pretrained",
    out: Annotated[str | None, typer.Option(metavar="FILE", help="PNG to write as well.")] = None,
    columns: Annotated[
        int | None,
        typer.Option(
            min=1, max=1000, metavar="N", help="Digits in a line. Default: the seeds; 10 for --rows."
        ),
    ] = None,
    scale: Annotated[
        int | None,
        typer.Option(
            min=1, max=32, metavar="N", help="Pixels of the PNG for each of the digit's. Default: 3."
        ),
    ] = None,
    terminal: Annotated[
        str, typer.Option(metavar="LOOK", help="auto, blocks (24-bit colour), ascii, sixel or none.")
    ] = "auto",
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Show digits in the terminal, and as a PNG: a grid of labels by seeds, or rows of a data set.

    A seed's hand is that of row 0 of its data set. Rows are those `gangen generate` writes.
    """
    from jobs.art_requests import preview_spec
    from jobs.terminal import choose_look

    look = choose_look(
        terminal, os.environ, is_terminal=sys.stdout.isatty(), encoding=sys.stdout.encoding or "ascii"
    )
    spec = preview_spec(
        model=model,
        labels=labels,
        seeds=seeds,
        seed=seed,
        rows=rows,
        data=data,
        truncation=truncation,
        precision=precision,
        hands=hands,
        out=out,
        columns=columns,
        scale=scale,
    )

    def run() -> tuple[dict[str, Any], str]:
        from jobs.preview import run_preview

        width = shutil.get_terminal_size((100, 24)).columns
        return run_preview(spec, "none" if as_json else look, width)

    _carry_out(spec.model_dump(mode="json"), run, dry_run, as_json)


Truncation = Annotated[float, typer.Option(metavar="PSI", help="0 < PSI <= 1; less is more typical.")]
Ink = Annotated[str, typer.Option(metavar="COLOUR", help="Of the strokes: black, white or as in #1b2a4a.")]
Paper = Annotated[str, typer.Option(metavar="COLOUR", help="Of the ground.")]


def walk(
    labels: Annotated[
        str | None,
        typer.Option(
            metavar="LIST",
            help="Labels of the stops, as in 3,8 or 0:10; one for all, or one each. Default: all in one hand, 8 in "
            "several, the row's own for --rows.",
        ),
    ] = None,
    seeds: Annotated[
        str | None,
        typer.Option(metavar="LIST", help="Hands of the stops, as in 4,7: row 0 of each seed. Default: 0."),
    ] = None,
    rows: Annotated[
        str | None,
        typer.Option(metavar="LIST", help="Rows of a data set as stops, as in 17,42, with their labels."),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(min=0, max=2**63 - 1, metavar="N", help="Seed of the data set of --rows. Default: 0."),
    ] = None,
    frames: Annotated[
        int, typer.Option(min=1, max=1000, metavar="N", help="Frames from each stop to the next.")
    ] = 16,
    hold: Annotated[
        int | None,
        typer.Option(
            min=0, max=1000, metavar="N", help="Frames that rest at a stop. Default: 4; 0 in a strip."
        ),
    ] = None,
    loop: Annotated[
        bool, typer.Option("--loop/--open", help="End where it began, or at the last stop.")
    ] = True,
    fps: Annotated[
        int | None, typer.Option(min=1, max=50, metavar="N", help="Frames a second. Default: 20.")
    ] = None,
    size: Annotated[
        int, typer.Option(min=14, max=2800, metavar="PX", help="Side of a frame in pixels.")
    ] = 168,
    columns: Annotated[
        int | None,
        typer.Option(min=1, max=1000, metavar="N", help="Frames in a line of a strip. Default: --frames."),
    ] = None,
    truncation: Truncation = 1.0,
    ink: Ink = "white",
    paper: Paper = "black",
    model: Model = "pretrained",
    out: Annotated[
        str, typer.Option(metavar="FILE", help=".gif or .webp that moves, or a .png strip.")
    ] = "walk.gif",
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Go from digit to digit without a jump: between labels, hands or rows, as a moving picture or a strip.

    Hands are interpolated on the sphere, labels between the vectors the model has learned for them.
    """
    from jobs.picture_requests import walk_spec

    spec = walk_spec(
        model=model,
        labels=labels,
        seeds=seeds,
        rows=rows,
        seed=seed,
        frames=frames,
        hold=hold,
        loop=loop,
        fps=fps,
        size=size,
        columns=columns,
        truncation=truncation,
        ink=ink,
        paper=paper,
        out=out,
    )

    def run() -> tuple[dict[str, Any], str]:
        from jobs.pictures import run_walk

        return run_walk(spec)

    _carry_out(spec.model_dump(mode="json"), run, dry_run, as_json)


def poster(
    text: Annotated[
        list[str],
        typer.Argument(metavar="TEXT...", help="Digits, spaces and - . , : / + =; each argument is a line."),
    ],
    hands: Annotated[
        str, typer.Option(metavar="one|many", help="One hand for all digits, or one for each.")
    ] = "one",
    style_of: Annotated[
        str, typer.Option(metavar="ROW", help="Row whose hand it is; the first of them for many.")
    ] = "0",
    seed: Annotated[
        int, typer.Option(min=0, max=2**63 - 1, metavar="N", help="Seed of the data set that row is of.")
    ] = 0,
    variation: Annotated[
        float | None,
        typer.Option(
            metavar="V",
            help="How far each digit strays from the one hand, 0 to 1: nobody writes two alike. Default: 0.15.",
        ),
    ] = None,
    truncation: Truncation = 1.0,
    size: Annotated[
        int,
        typer.Option(min=14, max=10_000, metavar="PX", help="Height of a line in pixels; points for a PDF."),
    ] = 160,
    ink: Ink = "#1b2a4a",
    paper: Paper = "white",
    model: Model = "pretrained",
    out: Annotated[
        str, typer.Option(metavar="FILE", help=".png, or .svg or .pdf as outlines.")
    ] = "poster.png",
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Write a number, a date or a text of digits in one hand or in many.

    A hand is a latent vector: the same one with another label is the same writer's other digit.
    """
    from jobs.picture_requests import poster_spec

    spec = poster_spec(
        text=text,
        model=model,
        hands=hands,
        seed=seed,
        style_of=style_of,
        variation=variation,
        truncation=truncation,
        size=size,
        ink=ink,
        paper=paper,
        out=out,
    )

    def run() -> tuple[dict[str, Any], str]:
        from jobs.pictures import run_poster

        return run_poster(spec)

    _carry_out(spec.model_dump(mode="json"), run, dry_run, as_json)


def _carry_out(
    facts: dict[str, Any], run: Callable[[], tuple[dict[str, Any], str]], dry_run: bool, as_json: bool
) -> None:
    """Print what would be made, or make it and print what was."""
    from jobs.render import to_json

    if dry_run:
        lines = [f"  {name:12} {value}" for name, value in facts.items() if value not in (None, [], "")]
        text = "\n".join(["would draw", *lines, "next: the same command without --dry-run"])
    else:
        facts, text = run()
    # What is coloured was asked for, or stdout is a terminal: Typer need not look again.
    typer.echo(to_json(facts) if as_json else text, color=True)
