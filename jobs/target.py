"""What every kind of storage shares: the names in a data set that are gangen's own, and how a target refuses."""

from __future__ import annotations

import errno
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ganmodel.errors import DataError, GangenError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PRIVATE = ".gangen"
"""Folder of the plan, the commit records and the manifest; readers of data sets pass hidden folders over."""

PENDING = f"{PRIVATE}/pending"
"""Where whole shards wait until all are there: no glob of a reader finds a half-made data set."""

TEMPORARY = f"{PENDING}/tmp"
"""Where files are built or tried that nobody should take for anything."""

PREVIEW_FILE = f"{PRIVATE}/preview.png"
"""A picture of samples. In the private folder, because `datasets` would take a lone picture for a data set."""


class TargetError(GangenError):
    """The target cannot be written: full, read-only, not ours to write or out of reach. A retry would not help."""


class Throttled(TargetError):
    """The target has been asking for patience for longer than a request is repeated; it may be well again later."""


_HOPELESS = {
    errno.ENOSPC: "no space left",
    errno.EDQUOT: "disk quota exceeded",
    errno.EROFS: "read-only file system",
    errno.EACCES: "permission denied",
    errno.EPERM: "operation not permitted",
}


@contextmanager
def target_errors(path: str | Path, what: str = "--out") -> Iterator[None]:
    """Turn the operating system's refusals to write into one clear line.

    Args:
        path: the folder that is written to.
        what: the option or variable that named it.

    Raises:
        TargetError: what was refused cannot go better on a retry.
    """
    try:
        yield
    except OSError as err:
        reason = _HOPELESS.get(err.errno or 0)
        if reason is None:
            raise
        raise TargetError(
            f"{what} {path}: {reason}; committed shards are kept: free space or choose another folder, "
            "then run the same command again"
        ) from err


@contextmanager
def reading_errors(url: str) -> Iterator[None]:
    """Turn refusals to read a data set into one line that names it, and not `--out`.

    Args:
        url: of the data set.

    Raises:
        DataError: a file of it cannot be read, or the storage says that it cannot.
    """
    try:
        yield
    except OSError as err:
        raise DataError(f"{err.filename or url}: cannot be read ({err.strerror or err})") from err
    except GangenError as err:
        text = str(err)
        if not text.startswith("--out "):
            raise
        raise DataError(text.removeprefix("--out ")) from err


def to_bytes(data: str | bytes) -> bytes:
    """Return what is written for `data`: text as UTF-8."""
    return data.encode() if isinstance(data, str) else data
