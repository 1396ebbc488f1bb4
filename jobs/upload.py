"""What travels with a job to a cluster: our two packages, and the means to start them with the right Python.

The cluster runs the code that the command ran. Data and models do not travel, they go by path or URI.

A cluster's Python need not be on the PATH of its daemon (`/some/venv/bin/ray start` does not put it there), so in a
job's shell `python` may be another Python, or none. Only a worker process of Ray knows which Python it runs on. The
job's shell is a child of one, Ray's job supervisor, and gets a copy of its environment: `announce_python` runs in the
supervisor first and leaves the path there. Tried with Ray 2.60; the job option `worker_process_setup_hook` would be
the public way, but reaches the job's own workers only, not the supervisor.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganmodel.errors import ClusterError
from jobs.object_access import PLACE_VARIABLES

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_UPLOAD_BYTES = 32 * 2**20
"""What may travel. The dashboard refuses more than 100 MiB, with an unreadable error (ray issue 55877)."""

STOP_WAIT_S = 150
"""Seconds between SIGTERM and SIGKILL: time to end a step and write a checkpoint. Ray's own 3 s cut it short."""

PYTHON_VARIABLE = "GANGEN_PYTHON"
HOOK_VARIABLE = "__RAY_WORKER_PROCESS_SETUP_HOOK_ENV_VAR"
"""Names the function that a worker process calls when it starts (`ray._private.ray_constants`)."""


def announce_python() -> None:
    """Tell child processes which Python this is; called at the start of every worker process of a job."""
    os.environ[PYTHON_VARIABLE] = sys.executable


def python_command(module: str, *arguments: str) -> str:
    """Return the shell command that runs a module of ours with the cluster's Python.

    Where nobody announced a Python, the `python3` on the PATH is the best guess. The job starts in the folder that
    the cluster was started in, which may be a checkout with another `jobs`: `-P` keeps it out of the driver's path,
    and `cd /` out of the workers', where Ray puts the driver's current folder first.
    """
    return f'cd / && exec "${{{PYTHON_VARIABLE}:-python3}}" ' + shlex.join(["-P", "-m", module, *arguments])


def image_command(module: str, *arguments: str) -> str:
    """Return the shell command that runs a module of the gangen that the cluster's image has.

    Nobody can announce a Python here, the one who would is a part of the package: it is the `python3` on the PATH.
    """
    look = f"from importlib.util import find_spec as f; raise SystemExit(f({module!r}) is None)"
    refusal = (
        "error: the python3 of this cluster has no gangen; use an image that has it, or leave out --image-has-gangen "
        "and the package travels with the job"
    )
    return (
        f"cd / && {{ {shlex.join(['python3', '-P', '-c', look])} 2>/dev/null || "
        f"{{ echo {shlex.quote(refusal)} >&2; exit {ClusterError.exit_code}; }}; }} && exec "
        + shlex.join(["python3", "-P", "-m", module, *arguments])
    )


def package_folders() -> list[Path]:
    """Return the folders of the packages this process runs."""
    import ganmodel
    import jobs

    return [Path(str(package.__file__)).parent for package in (jobs, ganmodel)]


def code_digest(folders: Sequence[Path] | None = None) -> str:
    """Return the SHA-256 (hex) of the code that travels: what a job answers depends on it, too."""
    hasher = hashlib.sha256()
    for folder in folders or package_folders():
        for file in sorted(folder.rglob("*.py")):
            hasher.update(f"{file.relative_to(folder.parent)}\0".encode())
            hasher.update(file.read_bytes())
    return hasher.hexdigest()


def check_size(folders: Sequence[Path], limit_bytes: int = MAX_UPLOAD_BYTES) -> None:
    """Check that folders are small enough to travel with a job.

    Raises:
        ClusterError: they hold more than `limit_bytes` together.
    """
    files = [file for folder in folders for file in folder.rglob("*") if file.is_file()]
    size = sum(file.stat().st_size for file in files if "__pycache__" not in file.parts)
    if size > limit_bytes:
        raise ClusterError(
            f"the package in {' and '.join(map(str, folders))} is {size / 2**20:,.1f} MiB and at most "
            f"{limit_bytes / 2**20:,.1f} MiB travel with a job: keep data and models elsewhere and pass their paths"
        )


def runtime_env() -> dict[str, Any]:
    """Return Ray's runtime environment of a job.

    Raises:
        ClusterError: the packages are too large to travel.
    """
    folders = package_folders()
    check_size(folders)
    return {
        "py_modules": [str(folder) for folder in folders],
        "excludes": ["__pycache__"],
        "env_vars": {
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "RAY_JOB_STOP_WAIT_TIME_S": str(STOP_WAIT_S),
            **_places(),
            HOOK_VARIABLE: f"{announce_python.__module__}.{announce_python.__qualname__}",
        },
    }


def image_env() -> dict[str, Any]:
    """Return Ray's runtime environment of a job whose code the cluster's image has: `runtime_env` without the code."""
    variables: dict[str, str] = runtime_env()["env_vars"]
    return {"env_vars": {name: value for name, value in variables.items() if name != HOOK_VARIABLE}}


def _places() -> dict[str, str]:
    """Return what the environment says of where object stores are, so that a job means the store this process sees.

    Credentials stay here: Ray shows a job's environment to whoever may look at its dashboard. Workers have their own.
    """
    found = {name: os.environ[name] for name in PLACE_VARIABLES if os.environ.get(name)}
    return {name: value for name, value in found.items() if "@" not in value}
