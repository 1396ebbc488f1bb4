"""One writer to a folder at a time."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from ganmodel.errors import CommitConflict

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def only_writer(lock_file: Path, folder: str) -> Iterator[None]:
    """Hold a lock for as long as the block runs; a process that is killed releases it too.

    Args:
        lock_file: the lock, created if needed.
        folder: the option and folder, for the message.

    Raises:
        CommitConflict: another process holds it.
    """
    lock = FileLock(lock_file, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise CommitConflict(
            f"{folder}: another run is writing here; wait for it, or choose another folder"
        ) from None
    try:
        yield
    finally:
        lock.release()
