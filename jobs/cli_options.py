"""Options that several commands share."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from jobs.submit import RunOptions

Address = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="Ray cluster to run on, as http://127.0.0.1:8265, or auto inside one. Default: $RAY_ADDRESS, else a local "
        "Ray.",
    ),
]
CpusPerWorker = Annotated[
    float | None,
    typer.Option(
        metavar="N",
        help="Cores of a worker. Default: one; where it draws on a GPU, its share of the node's, which encode.",
    ),
]
GpusPerWorker = Annotated[
    float | None,
    typer.Option(
        min=0,
        max=64,
        metavar="G",
        help="GPUs of a worker, may be a fraction. Default: one where there are any, else none.",
    ),
]
TrainingCpus = Annotated[
    float | None, typer.Option(metavar="N", help="Cores Ray keeps free for a worker. Default: one.")
]
TrainingGpus = Annotated[
    int | None,
    typer.Option(
        min=0,
        max=64,
        metavar="N",
        help="GPUs of a worker. Default: those of one node, for several workers one each where there are as many.",
    ),
]
MaxFailures = Annotated[
    int,
    typer.Option(
        min=0,
        max=1000,
        metavar="N",
        help="Times the training begins again at a checkpoint. Nodes that go do not count where it came on meanwhile.",
    ),
]
Resources = Annotated[
    str,
    typer.Option(
        metavar="NAME=AMOUNT,...",
        help="What else a worker needs of its node, by the names Ray has for it there, as in fast_disk=1.",
    ),
]
ImageHasGangen = Annotated[
    bool,
    typer.Option(
        "--image-has-gangen", help="The cluster's image has gangen: run that, and send no code along."
    ),
]
Model = Annotated[
    str,
    typer.Option(
        metavar="DIR",
        help="Folder that `gangen train` exported, its s3://, gs:// or az:// URL, or 'pretrained'.",
    ),
]
NoWait = Annotated[bool, typer.Option("--no-wait", help="Submit to the cluster and return at once.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print what would be done, and do nothing.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def run_options(
    address: str | None, no_wait: bool, dry_run: bool, as_json: bool, image_has_gangen: bool = False
) -> RunOptions:
    """Return where a command runs and what it prints; the environment is read here and nowhere else."""
    from jobs.submit import RunOptions

    return RunOptions(
        address=address,
        environ=os.environ,
        no_wait=no_wait,
        dry_run=dry_run,
        as_json=as_json,
        image_has_gangen=image_has_gangen,
    )
