"""The commands that take a generator elsewhere: `gangen explore` and `gangen model export`. Nothing here needs Ray."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jobs.cli_options import Json, Model

if TYPE_CHECKING:
    from collections.abc import Callable

EXPLORE_EXAMPLE = "gangen explore --model pretrained"
MODEL_EXPORT_EXAMPLE = "gangen model export --to onnx --out generator.onnx"

model_app = typer.Typer(
    name="model",
    help="Take a generator to other programs.",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)


@model_app.callback()
def _group() -> None:
    """Take a generator to other programs."""


@model_app.command("export", epilog=f"\b\nExample:\n  {MODEL_EXPORT_EXAMPLE}")
def export_model(
    to: Annotated[str, typer.Option(metavar="onnx|savedmodel", help="The format.")],
    out: Annotated[str, typer.Option(metavar="PATH", help=".onnx file, or folder of a SavedModel.")],
    model: Model = "pretrained",
    as_json: Json = False,
) -> None:
    """Write a generator as ONNX or as a TensorFlow SavedModel.

    It takes latents and labels and gives the sampler's pixels, to within a grey level.
    """
    from jobs.model_requests import model_export_spec

    spec = model_export_spec(model=model, to=to, out=out)
    from jobs.model_commands import run_model_export

    _teller(as_json)(*run_model_export(spec))


def explore(
    model: Model = "pretrained",
    port: Annotated[
        int | None,
        typer.Option(
            min=1, max=65535, metavar="N", help="Port of the loopback address. Default: a free one."
        ),
    ] = None,
    export: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="Write the page there, as index.html, instead of serving it."),
    ] = None,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Do not open a browser.")] = False,
    as_json: Json = False,
) -> None:
    """Wander among the digits in the browser, where the generator itself runs.

    The page is for this machine alone and makes no request. Ctrl-C stops it.
    """
    from jobs.model_requests import explore_spec

    spec = explore_spec(model=model, port=port, export=export)
    from jobs.model_commands import run_explore

    # Where there is no screen, Python would open a browser of the terminal.
    has_screen = sys.platform == "darwin" or bool({"DISPLAY", "WAYLAND_DISPLAY"} & set(os.environ))
    run_explore(spec, _teller(as_json), has_screen=has_screen and not no_browser)


def _teller(as_json: bool) -> Callable[[dict[str, Any], str], None]:
    from jobs.render import to_json

    return lambda facts, text: typer.echo(to_json(facts) if as_json else text)
