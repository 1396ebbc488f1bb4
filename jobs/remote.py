"""A job on a Ray cluster that already runs, by the Ray Jobs API: submitted once, followed to its end.

The installed `jobs` and `ganmodel` folders travel with the job, so the cluster runs the code that was typed at.
Data and models do not: they go by path or URI.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import os
import re
import shlex
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from ganmodel.errors import ClusterError, SpecError
from jobs.dashboard import ADDRESS_VARIABLES, Dashboard, NoAnswer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

MAX_PACKAGE_BYTES = 32 * 2**20
"""What may travel. The dashboard refuses uploads over 100 MiB with an unreadable error (ray issue 55877)."""

NOT_TRAVELLING = ("__pycache__", "*.pyc")

SILENCE_S = 30.0
"""A log stream quiet for this long may be a dead connection: ask whether the job has ended."""
POLL_S = 2.0
LOST_AFTER_S = 120.0
"""Give up on a cluster that has not answered for this long."""

PYTHON_VARIABLE = "GANGEN_PYTHON"
HOOK_VARIABLE = "__RAY_WORKER_PROCESS_SETUP_HOOK_ENV_VAR"
"""Ray's name for the function a worker process calls when it starts (`ray._private.ray_constants`)."""

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
    if url.username is not None:
        raise SpecError(f"{wanted}, without a user name or password in it")
    if url.scheme == "ray":
        raise SpecError(
            f"{wanted}; '{address}' is for Ray Client, jobs go to the dashboard's port, usually 8265"
        )
    if url.scheme not in ("http", "https") or not host or port == 0 or url.query or url.fragment:
        raise SpecError(f"{wanted}, got '{address}'")


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRequest:
    """A job to submit.

    Attributes:
        kind: what the entrypoint is to do.
        spec_json: the spec, passed to the entrypoint as base64url.
        submission_id: identity of the job: two requests of one id run once.
        entrypoint_module: module run on the cluster as `python -m MODULE KIND SPEC`.
        num_cpus: CPUs reserved for the entrypoint. With 0 CPUs and GPUs it runs on the head node.
        num_gpus: GPUs reserved for the entrypoint.
    """

    kind: Literal["generate", "train"]
    spec_json: str
    submission_id: str
    entrypoint_module: str = "jobs.entrypoint"
    num_cpus: float = 0
    num_gpus: float = 0

    def entrypoint(self) -> str:
        """Return the shell command that runs the job.

        Ray hands it to `sh -c` with the environment of the cluster's daemon. A cluster started as
        `/some/venv/bin/ray start` need not have that venv on its PATH, so `python` may be another Python, or none.
        Only a Ray worker knows which Python it is: `announce_python` has it say so. Where that did not happen, the
        `python3` on the PATH is the best guess. `-P`: a `jobs` folder where the cluster was started is not ours.
        """
        spec = base64.urlsafe_b64encode(self.spec_json.encode()).decode()
        command = shlex.join(["-P", "-m", self.entrypoint_module, self.kind, spec])
        return f'exec "${{{PYTHON_VARIABLE}:-python3}}" {command}'


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


def announce_python() -> None:
    """Tell child processes which Python this is.

    Runs at the start of every worker process of a job. The one that matters is Ray's job supervisor: it is the parent
    of the entrypoint's shell, whose environment is a copy of its own.
    """
    os.environ[PYTHON_VARIABLE] = sys.executable


def check_size(folders: Sequence[Path], limit_bytes: int = MAX_PACKAGE_BYTES) -> None:
    """Check that folders are small enough to travel with a job.

    Raises:
        ClusterError: they are larger than `limit_bytes` together.
    """
    files = [file for folder in folders for file in folder.rglob("*") if file.is_file()]
    size = sum(f.stat().st_size for f in files if "__pycache__" not in f.parts and f.suffix != ".pyc")
    if size > limit_bytes:
        names = " and ".join(str(folder) for folder in folders)
        raise ClusterError(
            f"the package in {names} is {size / 2**20:,.0f} MiB, at most {limit_bytes / 2**20:,.0f} MiB may travel "
            "with a job: keep data and models out of it and pass their paths"
        )


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
        stopped is tried again under the next free id, `ID-2`, `ID-3`, ...: Ray never takes an id twice.

        Returns:
            The id to follow.

        Raises:
            ClusterError: the cluster is gone, refuses us or the job.
        """
        for attempt in itertools.count(1):
            submission_id = request.submission_id + (f"-{attempt}" if attempt > 1 else "")
            details = self._find(submission_id)
            if details is None and self._submit(request, submission_id):
                return submission_id
            details = details or self._find(submission_id)
            if details is None or _status(details) not in ("FAILED", "STOPPED"):
                return submission_id
        raise AssertionError  # count() has no end

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
        self._details(submission_id)
        num_written = asyncio.run(self._stream(submission_id, write))
        last_answer = time.monotonic()
        while True:
            try:
                details = self._details(submission_id)
                # The node that keeps the log may be gone; the status is kept by the head.
                with suppress(NoAnswer):
                    text = self._dashboard.ask(lambda: self._client.get_job_logs(submission_id))[num_written:]
                    if text:
                        write(text)
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
                await asyncio.wait({piece}, timeout=SILENCE_S)
                if piece.done():
                    try:
                        text = piece.result()
                    except broken:
                        break
                    write(text)
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
        import ganmodel
        import jobs

        folders = [Path(str(package.__file__)).parent for package in (jobs, ganmodel)]
        check_size(folders)
        try:
            self._dashboard.ask(
                lambda: self._client.submit_job(
                    entrypoint=request.entrypoint(),
                    submission_id=submission_id,
                    entrypoint_num_cpus=request.num_cpus,
                    entrypoint_num_gpus=request.num_gpus,
                    metadata={"job_name": f"gangen {request.kind}"},
                    runtime_env={
                        "py_modules": [str(folder) for folder in folders],
                        "excludes": list(NOT_TRAVELLING),
                        "env_vars": {
                            "TF_CPP_MIN_LOG_LEVEL": "3",
                            HOOK_VARIABLE: f"{announce_python.__module__}.{announce_python.__qualname__}",
                        },
                    },
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
                f"the Ray cluster at {self.address} has no job {submission_id}; was it restarted?"
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
