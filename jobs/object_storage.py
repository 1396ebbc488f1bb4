"""A data set in an object store: objects are published by one PUT, and created once by a conditional one.

There is no lock. Two runs of one plan write the same bytes under the same names, and whichever creates the manifest
first has made the data set; the other is told.
"""

from __future__ import annotations

import asyncio
import uuid
from contextlib import contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING, Any, TypeVar

from ganmodel.errors import CommitConflict, SpecError
from jobs.object_access import connect, is_missing_bucket, parse_object_url, refusals
from jobs.scratch import scratch_file
from jobs.target import PENDING, PRIVATE, TEMPORARY, TargetError, to_bytes

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Container, Coroutine, Iterable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    T = TypeVar("T")

WHOLE_BYTES = 64 * 2**20
"""Larger files go in parts, which the store puts together in one step when the last has come."""

MAX_PARTS = 9_000
"""S3 takes 10,000 parts."""

MAX_FILE_BYTES = 5 * 10**9
"""S3 copies no larger object in one request, and revealing is copying."""

AT_ONCE = 48
"""Requests in flight."""

CREATE_ATTEMPTS = 3


class ObjectStorage:
    """See `jobs.storage.Storage`.

    Args:
        out: the URL, as typed.
        retries: see `jobs.object_access.connect`.
        option: what named it, see `jobs.object_access.ObjectUrl`.

    Raises:
        SpecError: the URL or the settings in the environment cannot be used.
    """

    has_lock = False
    max_file_bytes: int | None = MAX_FILE_BYTES

    def __init__(self, out: str, retries: dict[str, Any] | None = None, option: str = "--out") -> None:
        self._url = parse_object_url(out, option)
        self._store = connect(self._url, retries)

    @property
    def url(self) -> str:
        """The URL, without a slash at its end."""
        return str(self._url)

    def prepare(self) -> None:
        """See that objects can be written, are refused where there is one, and can be copied and deleted."""
        from obstore.exceptions import AlreadyExistsError

        first, second = (f"{TEMPORARY}/probe-{uuid.uuid4().hex}" for _ in range(2))

        async def probe() -> bool:
            await self._store.put_async(first, b"1", mode="create")
            try:
                await self._store.put_async(first, b"2", mode="create")
            except AlreadyExistsError:
                await self._store.copy_async(first, second)
                return True
            else:
                return False
            finally:
                await self._delete([first, second])

        if not self._run(probe()):
            raise SpecError(
                f"--out {self.url}: the store overwrites an object where it is told not to (If-None-Match), so two "
                "runs could both finish; choose another store"
            )

    def free_bytes(self) -> None:
        """Return None: a store does not tell."""
        return

    def is_occupied(self) -> bool:
        """Return whether there are objects, and none of them gangen's."""

        async def has_any(prefix: str | None) -> bool:
            async for batch in self._store.list(prefix, chunk_size=1):
                return bool(batch)
            return False

        return not self._run(has_any(PRIVATE)) and self._run(has_any(None))

    def scratch(self, name: str) -> AbstractContextManager[Path]:
        """Lend a path in this machine's temporary folder."""
        return scratch_file(name)

    def publish(self, local: Path, name: str) -> None:
        """Send a finished file to its place among the pending ones, whole."""
        size = local.stat().st_size
        part = max(16 * 2**20, -(-size // MAX_PARTS))
        self._run(
            self._store.put_async(
                f"{PENDING}/{name}",
                local,
                use_multipart=size > WHOLE_BYTES,
                chunk_size=part,
                max_concurrency=4,
            )
        )
        local.unlink()

    def write_whole(self, name: str, data: str | bytes) -> None:
        """Write a small object, replacing what is there."""
        self._run(self._store.put_async(name, to_bytes(data), use_multipart=False))

    def create_once(self, name: str, data: str | bytes) -> None:
        """Write a small object that must not exist yet with other content.

        Where the outcome of a try is unknown, what is there decides; nothing is deleted.
        """
        from obstore.exceptions import AlreadyExistsError

        unsure: TargetError | None = None
        for _ in range(CREATE_ATTEMPTS):
            try:
                self._run(self._store.put_async(name, to_bytes(data), mode="create"))
            except AlreadyExistsError:
                pass
            except TargetError as err:
                unsure = err
            else:
                return
            found = self.read(name)
            if found == to_bytes(data):
                return
            if found is not None:
                raise CommitConflict(
                    f"--out {self.url}: {name} was written by another run; run `gangen generate` "
                    "again to see whether it is the same data set"
                )
        raise unsure or TargetError(f"--out {self.url}: {name} comes and goes; see who else writes there")

    def read(self, name: str) -> bytes | None:
        """Return a small object's content, None if it is not there."""
        return self._run(self._read(name))

    async def _read(self, name: str) -> bytes | None:
        try:
            answer = await self._store.get_async(name)
            return bytes(await answer.bytes_async())
        except FileNotFoundError as err:
            if is_missing_bucket(err):
                raise
            return None

    def read_range(self, name: str, start: int, length: int) -> bytes:
        """Return `length` bytes of an object from byte `start`; fewer where it ends there."""
        from obstore.exceptions import GenericError

        async def read() -> bytes:
            try:
                return bytes(await self._store.get_range_async(name, start=start, length=length))
            except GenericError as err:
                if "status code: 416" in str(err):  # it ends before `start`
                    return b""
                raise

        return self._run(read())

    @contextmanager
    def local_copy(self, name: str) -> Iterator[Path]:
        """Fetch an object to a scratch file, deleted when the block ends."""

        async def fetch(path: Path) -> None:
            answer = await self._store.get_async(name)
            with path.open("wb") as file:
                async for chunk in answer.stream(min_chunk_size=8 * 2**20):
                    file.write(chunk)
            if path.stat().st_size != answer.meta["size"]:
                raise TargetError(
                    f"{self._url.option} {self.url}: {name} came cut; run the same command again"
                )

        with scratch_file(name) as path:
            self._run(fetch(path))
            yield path

    def read_many(self, names: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        """Yield (name, content) of small objects, in the order asked; those that are not there are passed over."""
        for batch in _batches(names):
            found = self._run(self._each(self._read, batch))
            yield from ((name, data) for name, data in zip(batch, found, strict=True) if data is not None)

    def size(self, name: str) -> int | None:
        """Return the size of a data file in bytes, pending or revealed; None if it is not there."""

        async def head(full_name: str) -> int | None:
            try:
                return int((await self._store.head_async(full_name))["size"])
            except FileNotFoundError:
                return None

        pending = self._run(head(f"{PENDING}/{name}"))
        return self._run(head(name)) if pending is None else pending

    def sizes(self, folder: str = "") -> dict[str, int]:
        """Return {name: bytes} of all objects below a folder; one listing, a request for each thousand."""
        return {name: size for name, (size, _) in self._run(self._list(folder)).items()}

    async def _list(self, folder: str) -> dict[str, tuple[int, str | None]]:
        found = {}
        async for batch in self._store.list(folder or None, chunk_size=1000):
            found.update({one["path"]: (int(one["size"]), one["e_tag"]) for one in batch})
        return found

    def reveal(self, root: str) -> None:
        """Copy a top folder's objects, within the store, to where readers look; delete the pending ones.

        A crash at any point is continued by a second call, which passes over what is there already.
        """

        async def reveal() -> None:
            pending, there = await asyncio.gather(self._list(f"{PENDING}/{root}"), self._list(root))
            finals = {name: name.removeprefix(f"{PENDING}/") for name in pending}

            async def copy(name: str) -> None:
                # Equal sizes and tags are equal content; where a store's copies get new tags, it is copied again.
                if there.get(finals[name]) == pending[name] and pending[name][1] is not None:
                    return
                with suppress(
                    FileNotFoundError
                ):  # Another run of this plan has been quicker: its copy is ours.
                    await self._store.copy_async(name, finals[name])

            for is_metadata in (False, True):  # Without its metadata TFDS refuses a folder.
                names = [name for name in pending if name.endswith(".json") is is_metadata]
                for batch in _batches(names):
                    await self._each(copy, batch)
            await self._delete(list(pending))

        self._run(reveal())

    async def _delete(self, names: list[str]) -> None:
        if self._url.scheme == "s3" and names:
            # A thousand a request; what is gone already is no error there.
            await self._store.delete_async(names)
            return

        async def delete(name: str) -> None:
            with suppress(FileNotFoundError):  # by another run
                await self._store.delete_async(name)

        for batch in _batches(names):
            await self._each(delete, batch)

    def sweep(self) -> None:
        """Leave everything as it is: without a lock, what looks left behind may be another run's."""

    def remove_pending(self, keep: Container[str] = ()) -> None:
        """See `jobs.storage.Storage`."""

        async def remove() -> None:
            pending = await self._list(PENDING)
            await self._delete([name for name in pending if name.removeprefix(f"{PENDING}/") not in keep])

        self._run(remove())

    def lock(self) -> AbstractContextManager[None]:
        """Keep nobody out."""
        return nullcontext()

    async def _each(self, call: Callable[[str], Awaitable[T]], names: list[str]) -> list[T]:
        return await asyncio.gather(*map(call, names))

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        # The blocking calls of obstore are deaf to Ctrl-C and SIGTERM until they return; an event loop is not.
        with refusals(self._url):
            return asyncio.run(work)


def _batches(names: Iterable[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    for name in names:
        batch.append(name)
        if len(batch) == AT_ONCE:
            yield batch
            batch = []
    if batch:
        yield batch
