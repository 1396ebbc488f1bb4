"""A data set on a disk that every worker sees: files are published by rename, and created once by link."""

from __future__ import annotations

import errno
import os
import shutil
import uuid
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ganmodel.errors import CommitConflict, SpecError
from ganmodel.locking import only_writer
from ganmodel.weights import flush_folder
from jobs.target import PENDING, PRIVATE, TEMPORARY, to_bytes

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator
    from contextlib import AbstractContextManager


class LocalStorage:
    """See `jobs.storage.Storage`.

    Args:
        root: the folder, absolute.
    """

    has_lock = True
    max_file_bytes: int | None = None

    def __init__(self, root: str) -> None:
        self._root = Path(root)

    @property
    def url(self) -> str:
        """The folder as the user named it."""
        return str(self._root)

    def prepare(self) -> None:
        """Create the folder and see that it can be written."""
        try:
            (self._root / TEMPORARY).mkdir(parents=True, exist_ok=True)
            (self._root / PRIVATE / "commits").mkdir(exist_ok=True)
            probe = self._root / TEMPORARY / f"probe-{uuid.uuid4().hex}"
            probe.write_bytes(b"\0")
            probe.unlink()
        except OSError as err:
            raise SpecError(
                f"--out {self._root}: cannot be written ({err.strerror}); choose another folder"
            ) from err

    def free_bytes(self) -> int:
        """Return the free space of the nearest folder that exists, in bytes."""
        folder = self._root
        while not folder.exists():
            folder = folder.parent
        return shutil.disk_usage(folder).free

    def is_occupied(self) -> bool:
        """Return whether the folder holds files that are not gangen's."""
        return self._root.is_dir() and not (self._root / PRIVATE).is_dir() and any(self._root.iterdir())

    @contextmanager
    def scratch(self, name: str) -> Iterator[Path]:
        """Yield a path no one else uses, on the same file system, so that publishing is a rename."""
        path = self._root / TEMPORARY / f"{uuid.uuid4().hex}-{Path(name).name}"
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)

    def publish(self, local: Path, name: str) -> None:
        """Move a finished, flushed file to its place among the pending ones, whole."""
        target = self._root / PENDING / name
        target.parent.mkdir(parents=True, exist_ok=True)
        local.replace(target)

    def write_whole(self, name: str, data: str | bytes) -> None:
        """Write a small file whole, replacing what is there."""
        path = self._root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._written(name, data) as temporary:
            temporary.replace(path)
        flush_folder(path.parent)

    def create_once(self, name: str, data: str | bytes) -> None:
        """Write a small file that must not exist yet with other content."""
        (self._root / name).parent.mkdir(parents=True, exist_ok=True)
        try:
            with self._written(name, data) as temporary:
                # link() fails if the name is taken; rename() would overwrite another run's commit.
                os.link(temporary, self._root / name)
        except FileExistsError:
            if self.read(name) == to_bytes(data):
                return
            raise CommitConflict(
                f"--out {self._root}: {name} was written by another run; run `gangen generate` "
                "again to see whether it is the same data set"
            ) from None

    @contextmanager
    def _written(self, name: str, data: str | bytes) -> Iterator[Path]:
        """Lend a flushed file of this content, where `sweep` finds it if this process is killed."""
        (self._root / TEMPORARY).mkdir(parents=True, exist_ok=True)
        with self.scratch(name) as path:
            with path.open("wb") as file:
                file.write(to_bytes(data))
                file.flush()
                os.fsync(file.fileno())
            yield path

    def read(self, name: str) -> bytes | None:
        """Return a small file's content, None if it is not there."""
        try:
            return (self._root / name).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def read_range(self, name: str, start: int, length: int) -> bytes:
        """Return `length` bytes of a file from byte `start`; fewer where it ends there."""
        with (self._root / name).open("rb") as file:
            file.seek(start)
            return file.read(length)

    @contextmanager
    def local_copy(self, name: str) -> Iterator[Path]:
        """Lend the file itself: it is on a disk of this machine already."""
        path = self._root / name
        if not path.is_file():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
        yield path

    def read_many(self, names: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        """Yield (name, content) of small files, in the order asked; those that are not there are passed over."""
        for name in names:
            data = self.read(name)
            if data is not None:
                yield name, data

    def size(self, name: str) -> int | None:
        """Return the size of a data file in bytes, pending or revealed; None if it is not there."""
        for path in (self._root / PENDING / name, self._root / name):
            try:
                return path.stat().st_size
            except (FileNotFoundError, NotADirectoryError):
                continue
        return None

    def sizes(self, folder: str = "") -> dict[str, int]:
        """Return {name: bytes} of all files in a folder and below."""
        found, folders = {}, [self._root / folder]
        while folders:
            try:
                entries = list(os.scandir(folders.pop()))
            except (FileNotFoundError, NotADirectoryError):
                continue
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(Path(entry.path))
                    continue
                try:
                    size = entry.stat().st_size
                except FileNotFoundError:  # another worker's temporary file, or a link to nowhere
                    continue
                found[Path(entry.path).relative_to(self._root).as_posix()] = size
        return found

    def reveal(self, root: str) -> None:
        """Move a top folder from the pending ones to where readers look, in one rename.

        Where the folder has been revealed before and some of its files were lost and made again, these are
        put back one by one.
        """
        pending, target = self._root / PENDING / root, self._root / root
        if not pending.is_dir():
            return
        if not target.exists():
            pending.rename(target)
            flush_folder(self._root)  # Before the manifest, which tells that it is there.
            return
        # Data before metadata: without the latter TFDS refuses the folder.
        for path in sorted((p for p in pending.rglob("*") if p.is_file()), key=lambda p: p.suffix == ".json"):
            final = target / path.relative_to(pending)
            final.parent.mkdir(parents=True, exist_ok=True)
            path.replace(final)

    def sweep(self) -> None:
        """Delete what crashed tasks left behind; committed files have been revealed or stay in their folders."""
        shutil.rmtree(self._root / TEMPORARY, ignore_errors=True)
        (self._root / TEMPORARY).mkdir(parents=True, exist_ok=True)

    def remove_pending(self, keep: Container[str] = ()) -> None:
        """See `jobs.storage.Storage`."""
        if not keep:
            shutil.rmtree(self._root / PENDING, ignore_errors=True)
        for name in self.sizes(PENDING):
            if name.removeprefix(f"{PENDING}/") not in keep:
                (self._root / name).unlink(missing_ok=True)

    def lock(self) -> AbstractContextManager[None]:
        """Keep other runs out; a process that is killed lets go too."""
        return only_writer(self._root / PRIVATE / "lock", f"--out {self._root}")
