"""A data set's folder and the few things that may happen to it.

Two primitives carry every promise: a file is published whole (written elsewhere, flushed, renamed) and a
file is created once (`link`, which fails where another run was first).
"""

from __future__ import annotations

import errno
import os
import shutil
import uuid
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ganmodel.errors import CommitConflict, GangenError, SpecError
from ganmodel.weights import replace_on_success

if TYPE_CHECKING:
    from collections.abc import Iterator

PRIVATE = ".gangen"
"""Folder of the plan, the commit records and the manifest; readers of data sets pass hidden folders over."""

PENDING = f"{PRIVATE}/pending"
"""Where whole shards wait until all are there: no glob of a reader finds a half-made data set."""

PREVIEW_FILE = f"{PRIVATE}/preview.png"
"""A picture of samples. In the private folder, because `datasets` would take a lone picture for a data set."""


class TargetError(GangenError):
    """The target cannot be written: full, read-only or not ours to write. A retry would not help."""


_HOPELESS = {
    errno.ENOSPC: "no space left",
    errno.EDQUOT: "disk quota exceeded",
    errno.EROFS: "read-only file system",
    errno.EACCES: "permission denied",
    errno.EPERM: "operation not permitted",
}


@contextmanager
def target_errors(path: str | Path) -> Iterator[None]:
    """Turn the operating system's refusals to write into one clear line.

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
            f"--out {path}: {reason}; committed shards are kept: free space or choose another folder, "
            "then run the same command again"
        ) from err


class LocalStorage:
    """A data set's folder on a disk that every worker sees.

    Args:
        root: the folder, absolute.
    """

    def __init__(self, root: str) -> None:
        self.root = Path(root)

    def path(self, name: str) -> Path:
        """Return the path of a file or folder of the data set."""
        return self.root / name

    def prepare(self) -> None:
        """Create the folder and see that it can be written.

        Raises:
            SpecError: it cannot.
        """
        try:
            self.path(f"{PENDING}/tmp").mkdir(parents=True, exist_ok=True)
            self.path(f"{PRIVATE}/commits").mkdir(exist_ok=True)
            probe = self.path(f"{PENDING}/tmp/probe-{uuid.uuid4().hex}")
            probe.write_bytes(b"\0")
            probe.unlink()
        except OSError as err:
            raise SpecError(
                f"--out {self.root}: cannot be written ({err.strerror}); choose another folder"
            ) from err

    def free_bytes(self) -> int:
        """Return the free space of the nearest folder that exists, in bytes."""
        folder = self.root
        while not folder.exists():
            folder = folder.parent
        return shutil.disk_usage(folder).free

    def is_occupied(self) -> bool:
        """Return whether the folder holds files that are not gangen's."""
        return self.root.is_dir() and not self.path(PRIVATE).is_dir() and any(self.root.iterdir())

    def temporary(self, name: str) -> Path:
        """Return a path no one else uses, on the same file system, for a file to be published as `name`."""
        return self.path(f"{PENDING}/tmp/{uuid.uuid4().hex}-{Path(name).name}")

    def publish(self, temporary: Path, name: str) -> None:
        """Move a finished, flushed file to its place among the pending ones, whole."""
        target = self.path(f"{PENDING}/{name}")
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary.replace(target)

    def write_whole(self, name: str, data: str | bytes) -> None:
        """Write a small file whole, replacing what is there."""
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        with replace_on_success(path) as temporary:
            temporary.write_bytes(data.encode() if isinstance(data, str) else data)

    def create_once(self, name: str, data: str) -> None:
        """Write a small file that must not exist yet.

        Raises:
            CommitConflict: it exists; it is left as it is.
        """
        temporary = self.temporary(name)
        temporary.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("w") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        try:
            # link() fails if the name is taken; rename() would overwrite another run's commit.
            os.link(temporary, self.path(name))
        except FileExistsError as err:
            raise CommitConflict(
                f"--out {self.root}: {name} was written by another run; run `gangen generate` "
                "again to see whether it is the same data set"
            ) from err
        finally:
            temporary.unlink()

    def read(self, name: str) -> bytes | None:
        """Return a small file's content, None if it is not there."""
        try:
            return self.path(name).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def size(self, name: str) -> int | None:
        """Return the size of a data file in bytes, revealed or pending; None if it is not there."""
        for path in (self.path(name), self.path(f"{PENDING}/{name}")):
            try:
                return path.stat().st_size
            except (FileNotFoundError, NotADirectoryError):
                continue
        return None

    def names(self, folder: str) -> list[str]:
        """Return the names of the files in a folder of the data set, sorted; none if it is not there."""
        path = self.path(folder)
        return sorted(entry.name for entry in os.scandir(path) if entry.is_file()) if path.is_dir() else []

    def reveal(self, root: str) -> None:
        """Move a format's top folder from the pending ones to where readers look, in one rename.

        Where the folder has been revealed before and some of its files were lost and made again, these are
        put back one by one.
        """
        pending, target = self.path(f"{PENDING}/{root}"), self.path(root)
        if not pending.is_dir():
            return
        if not target.exists():
            pending.rename(target)
            return
        # Data before metadata: without the latter TFDS refuses the folder.
        for path in sorted((p for p in pending.rglob("*") if p.is_file()), key=lambda p: p.suffix == ".json"):
            final = target / path.relative_to(pending)
            final.parent.mkdir(parents=True, exist_ok=True)
            path.replace(final)

    def sweep_temporaries(self) -> None:
        """Delete what crashed tasks left behind; committed files have been revealed or stay in their folders."""
        shutil.rmtree(self.path(f"{PENDING}/tmp"), ignore_errors=True)
        self.path(f"{PENDING}/tmp").mkdir(parents=True, exist_ok=True)

    def remove_pending(self) -> None:
        """Delete the empty folder of pending files once the data set is finished."""
        shutil.rmtree(self.path(PENDING), ignore_errors=True)


def open_storage(out: str) -> LocalStorage:
    """Return the storage of a target.

    Raises:
        SpecError: it names a place this version cannot write to.
    """
    scheme, sign, _ = out.partition("://")
    if sign and scheme != "file":
        raise SpecError(
            f"--out {out}: this version writes to folders that every worker sees, not to {scheme}://"
        )
    return LocalStorage(out.removeprefix("file://"))
