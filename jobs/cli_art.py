"""The commands that make pictures: `gangen preview`, `gangen walk` and `gangen poster`. Nothing here needs Ray."""

from __future__ import annotations

import os
import shutil
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jobs.cli_options import DryRun, Json

if TYPE_CHECKING:
    from collections.abc import Callable

PREVIEW_EXAMPLE = "gangen preview --labels 3,8 --seeds 0:10 --out preview.png"

Model = Annotated[
    str, typer.Option(metavar="DIR", help="Folder that `gangen train` exported, or 'pretrained'.")
]


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
            metavar="DIR", help="Data set that --rows are read from. Default without --rows: its first 100."
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(min=0, max=2**63 - 1, metavar="N", help="Seed of the data set of --rows. Default: 0."),
    ] = None,
    truncation: Annotated[
        float | None, typer.Option(metavar="PSI", help="Of digits that are drawn, 0 < PSI <= 1. Default: 1.")
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
        int, typer.Option(min=1, max=32, metavar="N", help="Pixels of the PNG for each of the digit's.")
    ] = 3,
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
        out=out,
        columns=columns,
        scale=scale,
    )

    def run() -> tuple[dict[str, Any], str]:
        from jobs.preview import run_preview

        width = shutil.get_terminal_size((100, 24)).columns
        return run_preview(spec, "none" if as_json else look, width)

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
    typer.echo(to_json(facts) if as_json else text)
