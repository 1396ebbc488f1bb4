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
from urllib.parse import urlsplit

from ganmodel.errors import ClusterError, SpecError
from jobs.dashboard import ADDRESS_VARIABLES, Dashboard, NoAnswer
from jobs.ray_token import MODE_VARIABLE
from jobs.upload import python_command, runtime_env

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

POLL_S = 2.0
"""Seconds between questions after a job; also how long a log stream may be silent before one is asked."""

LOST_AFTER_S = 120.0
"""Give up on a cluster that has not answered for this long."""

NOISE = re.compile(r"^(.* -- Runtime env is setting up\.|Running entrypoint for job .*)\n", re.MULTILINE)
"""What Ray writes into the job's log before the job does."""

ENDED = frozenset({"SUCCEEDED", "FAILED", "STOPPED"})


def resolve_address(option: str | None, environ: Mapping[str, str]) -> str | None:
    """Return the address of the cluster to submit to, or None for a local Ray.

    `local`, Ray's own word, asks for a local Ray in spite of the environment.

    Args:
        option: what `--address` says; it wins.
        environ: the environment, for `RAY_API_SERVER_ADDRESS` and then `RAY_ADDRESS`.
    """
    found = option or next((environ[name] for name in ADDRESS_VARIABLES if environ.get(name)), None)
    return None if found == "local" else found


def check_address(address: str) -> None:
    """Check what can be seen of an address without the network.

    Raises:
        SpecError: it is not the URL of a dashboard.
    """
    wanted = "--address: needs the URL of the cluster's dashboard, such as http://127.0.0.1:8265"
    try:
        url = urlsplit(address)
        host, port = url.hostname, url.port
    except ValueError:
        raise SpecError(f"{wanted}, got '{address}'") from None
    if "@" in url.netloc or url.query or url.fragment:  # may hold a secret: not repeated
        raise SpecError(f"{wanted}, without a user, password or query in it")
    if url.scheme == "ray":
        raise SpecError(f"{wanted}; '{address}' is for Ray Client, jobs go to the dashboard's port")
    if url.scheme not in ("http", "https") or not host or port == 0:
        raise SpecError(f"{wanted}, got '{address}'")


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRequest:
    """A job to submit.

    Attributes:
        kind: what the entrypoint is to do.
        spec_json: the spec, passed to the entrypoint as base64url.
        submission_id: identity of the job: two requests of one id run once.
        entrypoint_module: run on the cluster as `python -m MODULE KIND SPEC`.
        num_cpus: CPUs reserved for the entrypoint. With 0 CPUs and GPUs it runs on the head node.
        num_gpus: GPUs reserved for the entrypoint.
        attach_to_succeeded: take a job of this id that has succeeded for the one asked for; False runs it again.
    """

    kind: Literal["generate", "train", "evaluate", "train-extractors"]
    spec_json: str
    submission_id: str
    entrypoint_module: str = "jobs.entrypoint"
    num_cpus: float = 0
    num_gpus: float = 0
    attach_to_succeeded: bool = True

    def entrypoint(self) -> str:
        """Return the shell command that runs the job."""
        spec = base64.urlsafe_b64encode(self.spec_json.encode()).decode()
        return python_command(self.entrypoint_module, self.kind, spec)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobOutcome:
    """How a job ended.

    Attributes:
        submission_id: of the job.
        status: `SUCCEEDED`, `FAILED` or `STOPPED`.
        message: what Ray says about it, one line.
        exit_code: of the entrypoint, None where it did not run to its end.
    """

    submission_id: str
    status: str
    message: str
    exit_code: int | None = None


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

    def submit(self, request: JobRequest) -> str:
        """Submit a job, or find that it is there already.

        A job of the same id that waits, runs or has succeeded is the job that was asked for. One that failed or was
        stopped is run again under the next free id, `ID-2`, `ID-3`, ...: Ray never takes an id twice.

        Returns:
            The id to follow.

        Raises:
            ClusterError: the cluster is gone, refuses us or the job.
        """
        submission_id, attempt = request.submission_id, 1
        over = ENDED - {"SUCCEEDED"} if request.attach_to_succeeded else ENDED
        while True:
            details = self._find(submission_id)
            if details is None:
                if self._submit(request, submission_id):
                    return submission_id
                details = self._details(submission_id)
            if _status(details) not in over:
                return submission_id
            attempt += 1
            submission_id = f"{request.submission_id}-{attempt}"

    def commands(self, submission_id: str) -> dict[str, str]:
        """Return Ray's own commands for a job: `status`, `logs` and `stop`, as a shell takes them.

        They set variables, because Ray's commands let `RAY_ADDRESS` override their `--address`, and send a token only
        when they are told to.
        """
        variables = f"{ADDRESS_VARIABLES[0]}={shlex.quote(self.address)}"
        if self._dashboard.has_token:
            variables += f" {MODE_VARIABLE}=token"
        words = {"status": "status", "logs": "logs --follow", "stop": "stop"}
        return {
            name: f"{variables} ray job {verb} {shlex.quote(submission_id)}" for name, verb in words.items()
        }

    def status(self, submission_id: str) -> str:
        """Return `PENDING`, `RUNNING`, `SUCCEEDED`, `FAILED` or `STOPPED`.

        Raises:
            ClusterError: the cluster is gone, refuses us, or has no such job.
        """
        return _status(self._details(submission_id))

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
        is_over = self.status(submission_id) in ENDED
        num_written = 0 if is_over else asyncio.run(self._stream(submission_id, write))
        last_answer = time.monotonic()
        while True:
            try:
                details = self._details(submission_id)
                # The node that keeps the log may be gone; the status is kept by the head.
                with suppress(NoAnswer):
                    text = self._dashboard.ask(lambda: self._client.get_job_logs(submission_id))[num_written:]
                    if text:
                        write(NOISE.sub("", text))
                        num_written += len(text)
                if _status(details) in ENDED:
                    return _outcome(submission_id, details)
                last_answer = time.monotonic()
            except NoAnswer as err:
                if time.monotonic() - last_answer > LOST_AFTER_S:
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
                    piece = asyncio.ensure_future(anext(stream))
                elif self._has_ended(submission_id):
                    break
        finally:
            piece.cancel()
            with suppress(asyncio.CancelledError, *broken):
                await piece
        return num_written

    def _has_ended(self, submission_id: str) -> bool:
        try:
            return self.status(submission_id) in ENDED
        except NoAnswer:
            return False

    def _submit(self, request: JobRequest, submission_id: str) -> bool:
        """Submit under one id; return False where another client took the id first."""
        environment = runtime_env()
        try:
            self._dashboard.ask(
                lambda: self._client.submit_job(
                    entrypoint=request.entrypoint(),
                    submission_id=submission_id,
                    entrypoint_num_cpus=request.num_cpus,
                    entrypoint_num_gpus=request.num_gpus,
                    metadata={"job_name": f"gangen {request.kind}"},
                    runtime_env=environment,
                )
            )
        except ClusterError as err:
            if "already exists" in str(err.__cause__):
                return False
            raise
        return True

    def _details(self, submission_id: str) -> Any:
        details = self._find(submission_id)
        if details is None:
            raise ClusterError(
                f"no job {submission_id} on the Ray cluster at {self.address}; was it restarted?"
            )
        return details

    def _find(self, submission_id: str) -> Any | None:
        """Return what Ray knows of a job (`JobDetails`), or None where there is no such job."""
        try:
            return self._dashboard.ask(lambda: self._client.get_job_info(submission_id))
        except ClusterError as err:
            if "status code 404" in str(err.__cause__):
                return None
            raise


def _status(details: Any) -> str:
    return str(getattr(details.status, "value", details.status))


def _outcome(submission_id: str, details: Any) -> JobOutcome:
    message = re.sub(r",? last available logs.*", "", (details.message or "").strip().partition("\n")[0])
    return JobOutcome(
        submission_id=submission_id,
        status=_status(details),
        message=message,
        exit_code=getattr(details, "driver_exit_code", None),
    )
