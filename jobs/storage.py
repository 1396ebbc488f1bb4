"""A data set's place and the few things that may happen to it, the same for a disk and an object store.

Two primitives carry every promise: a file is published whole (built elsewhere, then renamed or sent in one PUT)
and a file is created once (`link`, or a PUT that the store refuses where another run was first).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from urllib.parse import unquote

from ganmodel.errors import SpecError
from jobs.local_storage import LocalStorage
from jobs.object_access import SCHEMES
from jobs.object_storage import ObjectStorage
from jobs.target import PENDING, PREVIEW_FILE, PRIVATE, TargetError, target_errors

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator
    from contextlib import AbstractContextManager

__all__ = [
    "PENDING",
    "PREVIEW_FILE",
    "PRIVATE",
    "Storage",
    "TargetError",
    "open_storage",
    "target_errors",
]


class Storage(Protocol):
    """Where a data set is. Names are relative to it, with `/`; folders exist as soon as files in them do.

    What is below is safe to repeat after a crash at any point. Every method may raise TargetError for what no retry
    mends: a full or read-only disk, wrong credentials, a store that stays out of reach.
    """

    has_lock: bool
    """Whether `lock` keeps other runs out. Where it does not, what was created once decides between them."""

    max_file_bytes: int | None
    """The largest file it takes, None where nothing but space limits it."""

    @property
    def url(self) -> str:
        """What the user typed after `--out`, made absolute."""

    def prepare(self) -> None:
        """Make the place ready and see that both primitives work there.

        Raises:
            SpecError: it cannot be written, or cannot promise that a file is created once.
        """

    def free_bytes(self) -> int | None:
        """Return the free space in bytes, None where there is no telling."""

    def is_occupied(self) -> bool:
        """Return whether there are files, and none of them gangen's."""

    def scratch(self, name: str) -> AbstractContextManager[Path]:
        """Lend a path of this machine's own, to build the file that is to be published as `name`.

        What is still there when the block ends is deleted.
        """

    def publish(self, local: Path, name: str) -> None:
        """Put a finished, flushed scratch file among the pending ones, whole, replacing what is there."""

    def write_whole(self, name: str, data: str | bytes) -> None:
        """Write a small file whole, replacing what is there."""

    def create_once(self, name: str, data: str | bytes) -> None:
        """Write a small file that must not exist yet with other content.

        The same content is taken for our own: the answer to a first try may have been lost.

        Raises:
            CommitConflict: it exists with other content, and is left as it is.
        """

    def read(self, name: str) -> bytes | None:
        """Return a small file's content, None if it is not there."""

    def read_range(self, name: str, start: int, length: int) -> bytes:
        """Return `length` bytes of a file from byte `start`; fewer where it ends there.

        Raises:
            FileNotFoundError: it is not there.
        """

    def local_copy(self, name: str) -> AbstractContextManager[Path]:
        """Lend a revealed file as a path of this machine: to read, and only for as long as the block runs.

        Raises:
            FileNotFoundError: it is not there.
        """

    def read_many(self, names: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        """Yield (name, content) of small files, in the order asked; those that are not there are passed over."""

    def size(self, name: str) -> int | None:
        """Return the size of one data file in bytes, pending or revealed; None if it is not there."""

    def sizes(self, folder: str = "") -> dict[str, int]:
        """Return {name: bytes} of all files in a folder and below, names relative to the data set; one listing."""

    def reveal(self, root: str) -> None:
        """Move a top folder from the pending ones to where readers look; metadata (.json) goes last."""

    def sweep(self) -> None:
        """Delete what crashed tasks left behind; only under the lock, where there is one."""

    def remove_pending(self, keep: Container[str] = ()) -> None:
        """Delete the pending files but for those to keep, named as they are to be."""

    def lock(self) -> AbstractContextManager[None]:
        """Keep other runs out for as long as the block runs, where `has_lock`.

        Raises:
            CommitConflict: another run is at work.
        """


def open_storage(out: str) -> Storage:
    """Return the storage of a target: an absolute path, or a URL with file://, s3://, gs:// or az://.

    Raises:
        SpecError: it names no place to write to.
    """
    scheme, sign, rest = out.partition("://")
    if not sign:
        return LocalStorage(out)
    if scheme == "file":
        if not rest.startswith("/"):
            raise SpecError(f"--out {out}: a file URL has three slashes and an absolute path: file:///data/x")
        return LocalStorage(str(Path(unquote(rest))))
    if scheme in SCHEMES:
        return ObjectStorage(out)
    raise SpecError(
        f"--out {scheme}://...: must be a folder or begin with {', '.join(f'{known}://' for known in SCHEMES)} or file://"
    )
