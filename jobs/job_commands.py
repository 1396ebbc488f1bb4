"""`gangen jobs list|status|logs|stop`: thin over `jobs.remote`."""

from __future__ import annotations

import json
import shlex
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import typer

from ganmodel.errors import ClusterError, SpecError
from jobs.addresses import SURROUNDING, check_address, resolve_address
from jobs.findings import LogFilter
from jobs.progress import say
from jobs.remote import JobsClient

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jobs.job_facts import JobFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class JobOptions:
    """Which cluster is asked and how its answer is printed.

    Attributes:
        address: --address.
        environ: environment variables, for Ray's own.
        as_json: print JSON to stdout.
    """

    address: str | None
    environ: Mapping[str, str]
    as_json: bool

    def client(self) -> JobsClient:
        """Return the way to the cluster's jobs.

        Raises:
            SpecError: no cluster is named, or not by the URL of its dashboard.
            ClusterError: nothing answers there, or it refuses us.
        """
        address = resolve_address(self.address, self.environ)
        if address is None or address == SURROUNDING:
            raise SpecError(
                "--address: needs the URL of the cluster's dashboard, such as http://127.0.0.1:8265; give it or set "
                "RAY_ADDRESS"
            )
        check_address(address)
        say(f"cluster: {address}")
        return JobsClient(address, self.environ)

    def print(self, facts: dict[str, Any], text: str) -> None:
        """Write a result to stdout."""
        typer.echo(json.dumps(facts) if self.as_json else text)


def run_list(everybodys: bool, options: JobOptions) -> None:
    """Carry out `gangen jobs list`.

    Args:
        everybodys: show jobs that gangen did not submit, too.
        options: the cluster, and how to print.
    """
    client = options.client()
    found = client.jobs()
    shown = [job for job in found if everybodys or job.is_ours]
    facts = {"address": client.address, "jobs": [job.as_dict() for job in shown]}
    options.print(facts, _table(shown, len(found) - len(shown), client))


def run_status(job: str, options: JobOptions) -> None:
    """Carry out `gangen jobs status`."""
    client = options.client()
    facts = client.facts(job)
    options.print(
        {"address": client.address, **facts.as_dict()},
        "\n".join([_line(facts), f"next: {_next(facts, client)}"]),
    )


def run_logs(job: str, follow: bool, options: JobOptions) -> None:
    """Carry out `gangen jobs logs`.

    Raises:
        SpecError: --follow and --json were asked for together.
        ClusterError: the job that was followed did not succeed; the exit code is the job's.
    """
    if follow and options.as_json:
        raise SpecError("--follow and --json: a log that goes on is no JSON; give one of them")
    client = options.client()
    if not follow:
        text = _without_result(client.log(job))
        options.print({"address": client.address, "job": job, "log": text}, text.rstrip("\n"))
        return
    log = LogFilter(_to_stdout)
    outcome = client.follow(job, log)
    log.flush()
    if outcome.status != "SUCCEEDED":
        error = ClusterError(f"job {job} ended as {outcome.status} ({outcome.message})")
        error.exit_code = outcome.exit_code or error.exit_code
        raise error


def _without_result(text: str) -> str:
    """Return a log without the line that carries an evaluation's pictures: `gangen evaluate` reads it."""
    kept: list[str] = []
    log = LogFilter(kept.append)
    log(text)
    log.flush()
    return "".join(kept)


def run_stop(job: str, options: JobOptions) -> None:
    """Carry out `gangen jobs stop`."""
    client = options.client()
    before = client.facts(job)
    if not before.has_ended:
        say(f"stopping {job}: it ends what it is at and keeps what is whole")
    after = before if before.has_ended else client.stop(job)
    facts = {"address": client.address, **after.as_dict(), "had_ended": before.has_ended}
    lead = "nothing to do: " if before.has_ended else ""
    options.print(facts, "\n".join([lead + _line(after), f"next: {_next(after, client)}"]))


def _to_stdout(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _table(shown: list[JobFacts], num_hidden: int, client: JobsClient) -> str:
    if not shown:
        rest = f"; {num_hidden} of others, --all shows them" if num_hidden else ""
        return f"no job of gangen's at {client.address}{rest}"
    width = max(len(job.job) for job in shown)
    lines = [f"{'job':{width}}  {'status':9}  {'submitted (UTC)':19}  {'seconds':>9}  what"]
    for job in shown:
        began = (job.started or "").removesuffix("+00:00")
        seconds = "" if job.seconds is None else f"{job.seconds:,.0f}"
        lines.append(f"{job.job:{width}}  {job.status:9}  {began:19}  {seconds:>9}  {job.kind}")
    return "\n".join([*lines, f"next: {_next(shown[-1], client)}"])


def _line(job: JobFacts) -> str:
    code = "" if job.exit_code is None else f", exit code {job.exit_code}"
    seconds = "" if job.seconds is None else f", {job.seconds:,.0f} s"
    return f"{job.job} is {job.status}{code}{seconds}" + (f": {job.message}" if job.message else "")


def _next(job: JobFacts, client: JobsClient) -> str:
    if not job.has_ended:
        return client.commands(job.job)["logs"]
    return shlex.join(["gangen", "jobs", "logs", job.job, "--address", client.address])
