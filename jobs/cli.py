"""`gangen`: parse, check, build a spec, make one call. TensorFlow and Ray are not imported here."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from jobs.cli_art import POSTER_EXAMPLE, PREVIEW_EXAMPLE, WALK_EXAMPLE, poster, preview, walk
from jobs.cli_dataset import EXPORT_EXAMPLE, STATUS_EXAMPLE, VERIFY_EXAMPLE, export, status, verify
from jobs.cli_evaluate import EVALUATE_EXAMPLE, EXTRACTORS_EXAMPLE, evaluate, train_extractors
from jobs.cli_jobs import jobs_app
from jobs.cli_model import EXPLORE_EXAMPLE, explore, model_app
from jobs.cli_options import (
    Address,
    CpusPerWorker,
    DryRun,
    GpusPerWorker,
    ImageHasGangen,
    Json,
    Model,
    NoWait,
    Resources,
    run_options,
)
from jobs.cli_train import TRAIN_EXAMPLE, train

INTERRUPTED = 130
"""Exit code after Ctrl-C or SIGTERM, Typer's own and ours."""

_INTERRUPTED_LINE = "error: interrupted; the same command continues"

app = typer.Typer(
    name="gangen",
    help="Make synthetic handwritten digits by the million.",
    epilog="\b\nExample:\n  gangen generate --count 1e5 --out data/digits",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)


def _show_version(asked: bool) -> None:
    if asked:
        from ganmodel import __version__

        typer.echo(f"gangen {__version__}")
        raise typer.Exit


@app.callback()
def gangen(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Make synthetic handwritten digits by the million."""


@app.command(
    epilog="\b\nExample:\n  gangen generate --count 1e6 --labels balanced --seed 7 --out data/digits-1m"
)
def generate(
    count: Annotated[str, typer.Option(metavar="N", help="Rows: 1000, 1_000_000, 1e6 or 1M; up to 1e12.")],
    out: Annotated[
        str | None,
        typer.Option(
            metavar="DIR",
            help="Folder or s3://, gs://, az:// URL of the data set. Default: a name made of the plan, in data/.",
        ),
    ] = None,
    model: Model = "pretrained",
    formats: Annotated[
        str,
        typer.Option(
            "--format", metavar="LIST", help="parquet, tfrecord, webdataset and idx; several with commas."
        ),
    ] = "parquet,tfrecord",
    shard_rows: Annotated[
        str | None,
        typer.Option(
            metavar="N",
            help="Rows of a shard, whole thousands. Default: by the count, at most 10,000 shards.",
        ),
    ] = None,
    labels: Annotated[
        str,
        typer.Option(
            metavar="RULE",
            help="balanced, uniform, classes as in 0,1, weights as in 0=1,7=3, or file:PATH, one label a row.",
        ),
    ] = "balanced",
    seed: Annotated[int, typer.Option(min=0, max=2**63 - 1, metavar="N", help="Seed of the data set.")] = 0,
    truncation: Annotated[
        float,
        typer.Option(metavar="PSI", help="Latents are multiplied by it, 0 < PSI <= 1; less is more typical."),
    ] = 1.0,
    precision: Annotated[
        str,
        typer.Option(
            metavar="float32|bfloat16",
            help="What pixels are computed in. bfloat16 is faster where the processor has it, and other pixels by a "
            "hair: a data set of its own.",
        ),
    ] = "float32",
    image_encoding: Annotated[
        str, typer.Option(metavar="png|raw", help="How images are stored; raw is 784 bytes a row.")
    ] = "png",
    splits: Annotated[
        str | None,
        typer.Option(metavar="SHARES", help="Splits, as in train=0.9,test=0.1. Default: train alone."),
    ] = None,
    extend: Annotated[
        bool, typer.Option("--extend", help="Add rows to the data set in --out, up to --count in all.")
    ] = False,
    repair: Annotated[
        bool, typer.Option("--repair", help="Check what is there in full and make damaged shards again.")
    ] = False,
    workers: Annotated[
        int | None,
        typer.Option(min=1, max=100_000, metavar="N", help="Actors. Default: as many as there is room for."),
    ] = None,
    cpus_per_worker: CpusPerWorker = None,
    gpus_per_worker: GpusPerWorker = None,
    resources: Resources = "",
    address: Address = None,
    no_wait: NoWait = False,
    image_has_gangen: ImageHasGangen = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Write labelled synthetic digits as a data set of Parquet, TFRecord and other files.

    The data set is a function of model, seed, labels and count: any number of workers writes the same rows. The
    same command again does only what is missing.
    """
    from jobs.checks import placement
    from jobs.requests_generate import generate_spec
    from jobs.submit import run_generate

    run_generate(
        generate_spec(
            count=count,
            out=out,
            model=model,
            formats=formats,
            shard_rows=shard_rows,
            labels=labels,
            seed=seed,
            truncation=truncation,
            precision=precision,
            image_encoding=image_encoding,
            splits=splits,
            extend=extend,
            repair=repair,
            placement=placement(workers, cpus_per_worker, gpus_per_worker, resources),
        ),
        run_options(address, no_wait, dry_run, as_json, image_has_gangen),
    )


app.command(epilog=f"\b\nExample:\n  {TRAIN_EXAMPLE}")(train)
app.command(epilog=f"\b\nExample:\n  {VERIFY_EXAMPLE}")(verify)
app.command(epilog=f"\b\nExample:\n  {STATUS_EXAMPLE}")(status)
app.command(epilog=f"\b\nExample:\n  {EXPORT_EXAMPLE}")(export)
app.command(epilog=f"\b\nExample:\n  {EVALUATE_EXAMPLE}")(evaluate)
app.command(epilog=f"\b\nExample:\n  {EXTRACTORS_EXAMPLE}")(train_extractors)
app.add_typer(jobs_app)
app.command(epilog=f"\b\nExample:\n  {PREVIEW_EXAMPLE}")(preview)
app.command(epilog=f"\b\nExample:\n  {WALK_EXAMPLE}")(walk)
app.command(epilog=f"\b\nExample:\n  {POSTER_EXAMPLE}")(poster)
app.command(epilog=f"\b\nExample:\n  {EXPLORE_EXAMPLE}")(explore)
app.add_typer(model_app)


def main() -> None:
    """Run the command line; end with the exit code of `ganmodel.errors`, and one line for what went wrong."""
    from ganmodel.errors import GangenError

    try:
        code = int(app(sys.argv[1:] or ["--help"], standalone_mode=False) or 0)
        if code == INTERRUPTED:  # Typer takes a Ctrl-C itself, and says nothing.
            typer.echo(_INTERRUPTED_LINE, err=True)
    except typer.TyperException as err:
        typer.echo(f"error: {_usage_text(err)}", err=True)
        code = 2
    except GangenError as err:
        typer.echo(f"error: {err}", err=True)
        code = err.exit_code
    except (KeyboardInterrupt, typer.Abort):
        typer.echo(_INTERRUPTED_LINE, err=True)
        code = INTERRUPTED
    sys.exit(code)


def script() -> None:
    """Be `gangen`, in a process of its own that ends here."""
    from jobs.leaving import leave

    try:
        main()
    except SystemExit as stop:
        leave(int(stop.code or 0))


def _usage_text(err: typer.TyperException) -> str:
    """Return Typer's message about a wrong option as one line that says where help is."""
    text = " ".join(err.format_message().split()).rstrip(".")
    context = getattr(err, "ctx", None)
    return f"{text}; see {context.command_path if context else 'gangen'} --help"
