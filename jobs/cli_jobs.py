"""`gangen jobs`: the jobs on a cluster, seen and stopped from anywhere."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from jobs.cli_options import Json

if TYPE_CHECKING:
    from jobs.job_commands import JobOptions

Address = Annotated[
    str | None,
    typer.Option(metavar="URL", help="Ray cluster, as http://127.0.0.1:8265. Default: $RAY_ADDRESS."),
]
JobId = Annotated[str, typer.Argument(metavar="ID", help="Id that `gangen jobs list` shows.")]

EXAMPLES = {
    "list": "gangen jobs list --address http://127.0.0.1:8265",
    "status": "gangen jobs status gangen-generate-5bf1c0a4d2e39786 --address http://127.0.0.1:8265",
    "logs": "gangen jobs logs gangen-generate-5bf1c0a4d2e39786 --follow --address http://127.0.0.1:8265",
    "stop": "gangen jobs stop gangen-generate-5bf1c0a4d2e39786 --address http://127.0.0.1:8265",
}

jobs_app = typer.Typer(
    name="jobs",
    help="See and stop what runs on a Ray cluster.",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)


def _options(address: str | None, as_json: bool) -> JobOptions:
    from jobs.job_commands import JobOptions

    return JobOptions(address=address, environ=os.environ, as_json=as_json)


def _epilog(verb: str) -> str:
    return f"\b\nExample:\n  {EXAMPLES[verb]}"


@jobs_app.command("list", epilog=_epilog("list"))
def list_jobs(
    everybodys: Annotated[bool, typer.Option("--all", help="Jobs that gangen did not submit, too.")] = False,
    address: Address = None,
    as_json: Json = False,
) -> None:
    """List gangen's jobs on a cluster, the oldest first."""
    from jobs.job_commands import run_list

    run_list(everybodys, _options(address, as_json))


@jobs_app.command("status", epilog=_epilog("status"))
def status(job: JobId, address: Address = None, as_json: Json = False) -> None:
    """Say how a job is."""
    from jobs.job_commands import run_status

    run_status(job, _options(address, as_json))


@jobs_app.command("logs", epilog=_epilog("logs"))
def logs(
    job: JobId,
    follow: Annotated[
        bool,
        typer.Option("--follow", help="Go on until the job ends, and end with its exit code."),
    ] = False,
    address: Address = None,
    as_json: Json = False,
) -> None:
    """Print what a job has printed."""
    from jobs.job_commands import run_logs

    run_logs(job, follow, _options(address, as_json))


@jobs_app.command("stop", epilog=_epilog("stop"))
def stop(job: JobId, address: Address = None, as_json: Json = False) -> None:
    """Stop a job, and wait until it has stopped.

    It keeps what is whole: a generation its shards, a training a checkpoint. The same command continues either.
    """
    from jobs.job_commands import run_stop

    run_stop(job, _options(address, as_json))
