"""A folder of this process' own on the machine's disk, for files on their way to or from an object store."""

from __future__ import annotations

import atexit
import fcntl
import os
import shutil
import tempfile
import uuid
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.target import target_errors

if TYPE_CHECKING:
    from collections.abc import Iterator

_PREFIX = "gangen-scratch-"
_held: dict[int, tuple[Path, int]] = {}
"""By process id, so that a forked child does not take its parent's folder for its own."""


@contextmanager
def scratch_file(name: str) -> Iterator[Path]:
    """Lend a path nobody else uses in the machine's temporary folder (`TMPDIR`); what is there in the end is deleted.

    Args:
        name: what the file is for; its last part ends the path.

    Raises:
        TargetError: the disk is full or cannot be written.
    """
    with target_errors(tempfile.gettempdir(), "TMPDIR"):
        path = _folder() / f"{uuid.uuid4().hex}-{Path(name).name}"
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)


def scratch_folder() -> Path:
    """Return this process' folder, made if need be; it is deleted when the process ends, or by another one after it.

    Raises:
        TargetError: the disk is full or cannot be written.
    """
    with target_errors(tempfile.gettempdir(), "TMPDIR"):
        return _folder()


@atexit.register
def _remove_own() -> None:
    held = _held.pop(os.getpid(), None)
    if held is not None:
        shutil.rmtree(held[0], ignore_errors=True)


def _folder() -> Path:
    """Return this process' folder. Whoever makes one removes those of processes that were killed."""
    held = _held.get(os.getpid())
    if held is not None and held[0].is_dir():
        return held[0]
    parent = Path(tempfile.gettempdir())
    for old in parent.glob(f"{_PREFIX}*"):
        _remove_if_abandoned(old)
    while True:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
        lock = _lock(folder)
        # Between the two lines above another process may have taken it for abandoned.
        if lock is not None and folder.is_dir():
            _held[os.getpid()] = (folder, lock)
            return folder


def _remove_if_abandoned(folder: Path) -> None:
    lock = _lock(folder)
    if lock is not None:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _lock(folder: Path) -> int | None:
    """Return a descriptor that holds the folder's lock until it is closed or the process dies; None if it is held."""
    with suppress(OSError):  # gone, or another user's
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            return None
        return descriptor
    return None
