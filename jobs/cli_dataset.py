"""The commands on data sets that are there: `gangen verify`, `gangen status` and `gangen export`."""

from __future__ import annotations

from typing import Annotated

import typer

from jobs.cli_options import Json, run_options

VERIFY_EXAMPLE = "gangen verify data/digits-1m --full --regenerate 0.01"
STATUS_EXAMPLE = "gangen status data/digits-1m"
EXPORT_EXAMPLE = "gangen export data/digits-1m --to webdataset,idx --out data/digits-1m-tar"

Dataset = Annotated[
    str,
    typer.Argument(metavar="DATASET", help="Folder or URL that `gangen generate` wrote.", show_default=False),
]


def verify(
    dataset: Dataset,
    full: Annotated[
        bool, typer.Option("--full", help="Read every byte and every row. Default: manifest, sizes, footers.")
    ] = False,
    regenerate: Annotated[
        float | None,
        typer.Option(
            metavar="FRACTION", help="Draw this share of the blocks again, 0 < FRACTION <= 1, and compare."
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="DIR", help="Model to draw with, folder or URL. Default: where the last run had it."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Check a finished data set against what its manifest says.

    Nothing is written. Every fault is named with its shard and, where it can be, its row; the exit code is then 7, and
    `gangen generate ... --repair` makes the shards that were named again.
    """
    from jobs.dataset_commands import run_verify

    run_verify(dataset, full=full, fraction=regenerate, model=model, as_json=as_json)


def status(
    dataset: Dataset,
    address: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="Ray cluster that is asked how its job is. Default: $RAY_ADDRESS, else none."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Say how far a data set is, what is missing and why, and which command continues.

    From storage alone: no cluster and no run need be there. With the cluster's address, how the job there is, too.
    """
    from jobs.dataset_commands import run_status

    run_status(dataset, run_options(address, False, False, as_json))


def export(
    dataset: Dataset,
    formats: Annotated[
        str,
        typer.Option(
            "--to", metavar="LIST", help="parquet, tfrecord, webdataset and idx; several with commas."
        ),
    ],
    out: Annotated[str, typer.Option(metavar="DIR", help="Folder or URL of the new data set.")],
    image_encoding: Annotated[
        str | None, typer.Option(metavar="png|raw", help="How images are stored. Default: as they are.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Write a finished data set in other formats, without generating again.

    What comes out is what `gangen generate` would have written in these formats. The same command again does only
    what is missing.
    """
    from jobs.dataset_commands import run_export

    run_export(dataset, formats=formats, out=out, image_encoding=image_encoding, as_json=as_json)
