"""A job on a Ray cluster that already runs, by the Ray Jobs API: submitted once, followed to its end."""

from __future__ import annotations

import asyncio
import base64
import os
import re
import shlex
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from ganmodel import __version__
from ganmodel.errors import ClusterError
from jobs.addresses import check_address
from jobs.dashboard import Dashboard, NoAnswer
from jobs.job_facts import (
    ENDED,
    NAME_PREFIX,
    JobFacts,
    JobOutcome,
    facts_of,
    outcome_of,
    place_of_driver,
    status_of,
)
from jobs.preflight import client_versions, cluster_note
from jobs.progress import say
from jobs.upload import STOP_WAIT_S, image_command, image_env, python_command, runtime_env

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

POLL_S = 2.0
"""Seconds between questions after a job; also how long a log stream may be silent before one is asked."""

LOST_AFTER_S = 120.0
"""Give up on a cluster that has not answered for this long."""

NOISE = re.compile(r"^(.* -- Runtime env is setting up\.|Running entrypoint for job .*)\n", re.MULTILINE)
"""What Ray writes into the job's log before the job does."""

STOP_TIMEOUT_S = STOP_WAIT_S + 60.0
"""Seconds a job that was told to stop has until we say that it did not; Ray kills it after `STOP_WAIT_S`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRequest:
    """A job to submit.

    Attributes:
        kind: what the entrypoint is to do.
        spec_json: the spec, passed to the entrypoint as base64url.
        submission_id: identity of the job: two requests of one id run once.
        entrypoint_module: run on the cluster as `python -m MODULE KIND SPEC`.
        attach_to_succeeded: take a job of this id that has succeeded for the one asked for; False runs it again.
        image_has_gangen: run the package that is installed on the cluster; False sends ours along.
    """

    kind: Literal["generate", "train", "evaluate", "train-extractors"]
    spec_json: str
    submission_id: str
    entrypoint_module: str = "jobs.entrypoint"
    attach_to_succeeded: bool = True
    image_has_gangen: bool = False

    def entrypoint(self) -> str:
        """Return the shell command that runs the job; it says which versions asked for it."""
        arguments = [self.kind, encode_argument(self.spec_json), encode_argument(client_versions())]
        command = image_command if self.image_has_gangen else python_command
        return command(self.entrypoint_module, *arguments)


def encode_argument(text: str) -> str:
    """Return text as an argument that no shell can misread; `jobs.entrypoint` decodes it."""
    return base64.urlsafe_b64encode(text.encode()).decode()


class JobsClient:
    """The jobs of one cluster.

    Args:
        address: URL of the dashboard; a variable of Ray's in the environment does not override it.
        environ: where the token is looked for.

    Attributes:
        address: the URL that is talked to.

    Raises:
        SpecError: `address` is no URL of a dashboard.
        ClusterError: nothing answers there, it is no Ray, or it refuses us.
    """

    def __init__(self, address: str, environ: Mapping[str, str] = os.environ) -> None:
        check_address(address)
        self.address = address.rstrip("/")
        self._dashboard = Dashboard(self.address, environ)
        self._client = self._dashboard.client
        self._heard = time.monotonic()

    def submit(self, request: JobRequest) -> str:
        """Submit a job, or find that it is there already.

        The last job of the same id is the one that was asked for if it waits, runs or has succeeded. One that failed or
        was stopped is run again under the next free id, `ID-2`, `ID-3`, ...: Ray never takes an id twice.

        Returns:
            The id to follow.

        Raises:
            ClusterError: the cluster is gone, refuses us or the job.
        """
        submission_id, attempt = request.submission_id, 1
        over = ENDED - {"SUCCEEDED"} if request.attach_to_succeeded else ENDED
        asked_for = None
        while True:
            if details := self._find(submission_id):
                asked_for = None if status_of(details) in over else submission_id
                attempt += 1
                submission_id = f"{request.submission_id}-{attempt}"
            elif asked_for:
                return asked_for
            elif self._submit(request, submission_id):
                return submission_id

    def commands(self, submission_id: str) -> dict[str, str]:
        """Return the commands that follow a job: `status`, `logs` and `stop`, as a shell takes them."""
        words = {"status": "", "logs": " --follow", "stop": ""}
        return {
            verb: shlex.join(["gangen", "jobs", verb, submission_id, "--address", self.address]) + option
            for verb, option in words.items()
        }

    def check_versions(self) -> None:
        """Say in a line where the cluster's Python or Ray are others than ours, before anything is submitted.

        Raises:
            ClusterError: gangen does not run on them.
        """
        if note := cluster_note(self.address, self._dashboard.versions()):
            say(f"warning: {note}")

    def jobs(self) -> list[JobFacts]:
        """Return every job of the cluster, ours and others', oldest first.

        Raises:
            ClusterError: the cluster is gone or refuses us.
        """
        now = time.time()
        facts = [facts_of(details, now) for details in self._dashboard.ask(self._client.list_jobs)]
        return sorted((job for job in facts if job.job), key=lambda job: (job.started or "", job.job))

    def facts(self, submission_id: str) -> JobFacts:
        """Return what is known of one job.

        Raises:
            ClusterError: the cluster is gone, refuses us, or has no such job.
        """
        return facts_of(self._details(submission_id), time.time())

    def log(self, submission_id: str) -> str:
        """Return what a job has printed so far.

        Raises:
            ClusterError: the cluster is gone, refuses us, or has no such job.
        """
        self._details(submission_id)
        return NOISE.sub("", self._dashboard.ask(lambda: self._client.get_job_logs(submission_id)))

    def stop(self, submission_id: str) -> JobFacts:
        """Tell a job to stop, wait until it has ended, and return how; one that had ended stays as it is.

        Raises:
            ClusterError: there is no such job, the cluster refuses us or does not answer, or the job does not end.
        """
        facts = self.facts(submission_id)
        if not facts.has_ended:
            self._dashboard.ask(lambda: self._client.stop_job(submission_id))
        give_up = time.monotonic() + STOP_TIMEOUT_S
        while not facts.has_ended:
            if time.monotonic() > give_up:
                raise ClusterError(
                    f"job {submission_id} was told to stop and is still {facts.status} after {STOP_TIMEOUT_S:.0f} s; "
                    "is its node still there? The same command tells it again"
                )
            time.sleep(POLL_S / 4)
            with suppress(NoAnswer):
                facts = self.facts(submission_id)
        return facts

    def status(self, submission_id: str) -> str:
        """Return `PENDING`, `RUNNING`, `SUCCEEDED`, `FAILED` or `STOPPED`.

        Raises:
            ClusterError: the cluster is gone, refuses us, or has no such job.
        """
        return status_of(self._details(submission_id))

    def follow(self, submission_id: str, write: Callable[[str], None]) -> JobOutcome:
        """Pass on what a job prints until it ends.

        The log stream only carries text. It may break, go silent or stop early while the job is well, so how the job
        ended is always asked for, and what the stream missed is fetched.

        Args:
            submission_id: as `submit` returned it.
            write: called with pieces of text as they come; they need not be whole lines.

        Raises:
            ClusterError: there is no such job, the cluster refuses us, or has not answered for `LOST_AFTER_S`.
        """
        goes_on = self.status(submission_id) not in ENDED
        num_written = asyncio.run(self._stream(submission_id, write)) if goes_on else 0
        while True:
            try:
                details = self._details(submission_id)
                # The node that keeps the log may be gone; the status is kept by the head.
                with suppress(NoAnswer):
                    text = self._dashboard.ask(lambda: self._client.get_job_logs(submission_id))[num_written:]
                    if text:
                        write(NOISE.sub("", text))
                        num_written += len(text)
                if status_of(details) in ENDED:
                    return outcome_of(submission_id, details)
            except NoAnswer as err:
                if time.monotonic() - self._heard > LOST_AFTER_S:
                    raise ClusterError(f"{err}; the job {submission_id} may still be running") from err
            time.sleep(POLL_S)

    async def _stream(self, submission_id: str, write: Callable[[str], None]) -> int:
        """Write the log stream until it ends for whatever reason; return how many characters were written."""
        import aiohttp

        num_written = 0
        stream = self._client.tail_job_logs(submission_id)
        broken = (StopAsyncIteration, RuntimeError, OSError, aiohttp.ClientError)
        piece = asyncio.ensure_future(anext(stream))
        try:
            while True:
                await asyncio.wait({piece}, timeout=POLL_S)
                if piece.done():
                    try:
                        text = piece.result()
                    except broken:
                        break
                    write(NOISE.sub("", text))
                    num_written += len(text)
                    self._heard = time.monotonic()
                    piece = asyncio.ensure_future(anext(stream))
                elif not self._may_go_on(submission_id):
                    break
        finally:
            piece.cancel()
            with suppress(asyncio.CancelledError, *broken):
                await piece
        return num_written

    def _may_go_on(self, submission_id: str) -> bool:
        """Return whether a silent stream may carry more; where its other end has vanished, it never says so itself."""
        try:
            return self.status(submission_id) not in ENDED
        except NoAnswer:
            return False

    def _submit(self, request: JobRequest, submission_id: str) -> bool:
        """Submit under one id; return False where another client took the id first."""
        environment = image_env() if request.image_has_gangen else runtime_env()
        try:
            self._dashboard.ask(
                lambda: self._client.submit_job(
                    entrypoint=request.entrypoint(),
                    submission_id=submission_id,
                    entrypoint_resources=place_of_driver(self._dashboard.nodes()) or None,
                    metadata={"job_name": f"{NAME_PREFIX}{request.kind}", "gangen": __version__},
                    runtime_env=environment,
                )
            )
        except ClusterError as err:
            if "already exists" in str(err.__cause__):
                return False
            raise
        return True

    def _details(self, submission_id: str) -> Any:
        if details := self._find(submission_id):
            return details
        raise ClusterError(f"no job {submission_id} on the Ray cluster at {self.address}; was it restarted?")

    def _find(self, submission_id: str) -> Any | None:
        """Return what Ray knows of a job (`JobDetails`), or None where there is no such job."""
        try:
            details = self._dashboard.ask(lambda: self._client.get_job_info(submission_id))
        except ClusterError as err:
            if "status code 404" in str(err.__cause__):
                return None
            raise
        self._heard = time.monotonic()
        return details
