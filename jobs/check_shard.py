"""One shard, read to the last row in every format: against its record, the plan's labels and its other formats."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import numpy as np

from ganmodel.latents import draw_block
from ganmodel.weights import file_sha256
from jobs.faults import Fault, shard_fault
from jobs.manifest import block_digest, sum_digests
from jobs.writers import FORMATS
from jobs.writers.encode import READ_ROWS, DamagedFile, decode_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from ganmodel.labels import Labels
    from jobs.dataset_spec import DatasetSpec
    from jobs.faults import FaultKind
    from jobs.manifest import FileRecord, ShardRecord
    from jobs.storage import Storage
    from jobs.writers.encode import EncodedRows


class _Stream:
    """The rows of a shard in one format, as they are read; what was wrong first is kept.

    Attributes:
        format_name: the format.
        is_as_committed: whether its files have the recorded checksums.
        fault: (kind, phrase, row or None) of the first thing that is wrong.
        differs: (other format, kind, row) of the first row in which another format has something else.
        digests: of the blocks so far.
    """

    def __init__(
        self, format_name: str, paths: list[Path], spec: DatasetSpec, first_row: int, *, is_as_committed: bool
    ) -> None:
        kind = FORMATS[format_name]
        self.format_name = format_name
        self.is_as_committed = is_as_committed
        self.fault: tuple[FaultKind, str, int | None] | None = None
        self.differs: tuple[_Stream, FaultKind, int] | None = None
        self.digests: list[int] = []
        self._encoding = kind.stored_as(spec.image_encoding)
        self._first_row = first_row
        self._rows: Iterator[EncodedRows] | None = kind.read(
            *paths, image_encoding=self._encoding, first_row=first_row
        )

    def blame(self, kind: FaultKind, what: str, row: int | None) -> None:
        """Remember what is wrong, if it is the first thing."""
        self.fault = self.fault or (kind, what, row)

    def agrees(self, record: ShardRecord) -> bool:
        """Return whether the rows are those that were committed."""
        return self._rows is not None and sum_digests(self.digests) == record.rows_digest

    def take(self, first_row: int, num_rows: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]] | None:
        """Return the next rows: images [N, 28, 28] uint8 and labels [N] int64; None where they do not read."""
        if self._rows is None:
            return None
        try:
            rows = next(self._rows, None)
        except DamagedFile as err:
            position = err.position
            self.blame("changed", _phrase(err), None if position is None else self._first_row + position)
            self._rows = None
            return None
        try:
            if rows is not None and rows.num_rows == num_rows:
                return decode_rows(rows, self._encoding), rows.labels
            found = first_row + (rows.num_rows if rows else 0)
            self.blame("changed", f"ends after row {found - 1:,}", found)
        except ValueError:
            row = first_row + _first_bad(rows, self._encoding) if rows else first_row
            self.blame("pixels", "the image does not decode", row)
        self._rows = None
        return None

    def ends(self, end_row: int) -> None:
        """See that there are no rows after the last."""
        try:
            if self._rows is not None and next(self._rows, None) is not None:
                self.blame("changed", f"has rows after row {end_row - 1:,}", end_row - 1)
        except DamagedFile as err:
            self.blame("changed", _phrase(err), end_row - 1)


def _phrase(err: Exception) -> str:
    """Return what a reader says, without the path and the advice."""
    text = str(err)
    text = text.partition(": ")[2] if text.startswith("/") else text
    return text.partition("; ")[0]


def _first_bad(rows: EncodedRows, encoding: str) -> int:
    """Return the position of the first image that does not decode."""
    for i in range(rows.num_rows):
        one = type(rows)(
            data=rows.data[rows.offsets[i] : rows.offsets[i + 1]],
            offsets=rows.offsets[i : i + 2] - rows.offsets[i],
            labels=rows.labels[i : i + 1],
            first_row=rows.first_row + i,
        )
        try:
            decode_rows(one, encoding)  # type: ignore[arg-type]
        except ValueError:
            return i
    return 0


class ShardChecker:
    """Checks shards of one data set in full.

    Args:
        storage: where it is.
        spec: what it is.
        files: every file that is recorded.
        labels: where its labels come from; None leaves them unchecked.
        latent_dim: of its generator, which labels are drawn after; None leaves drawn labels unchecked.
        place: name as recorded -> name in storage.
    """

    def __init__(
        self,
        storage: Storage,
        spec: DatasetSpec,
        files: list[FileRecord],
        labels: Labels | None,
        latent_dim: int | None,
        place: Callable[[str], str] = str,
    ) -> None:
        self._storage = storage
        self._spec = spec
        self._owners = {file.sha256: file for file in files}
        self._labels = labels if latent_dim is not None or spec.label_parts else None
        self._latent_dim = latent_dim or 1
        self._place = place

    def check(self, record: ShardRecord) -> list[Fault]:
        """Return what is wrong with a shard; at most one fault a file."""
        faults: list[Fault] = []
        hashes: dict[str, str] = {}
        streams: list[_Stream] = []
        with ExitStack() as lent:
            paths: dict[str, Path] = {}
            for key, file in record.files.items():
                try:
                    paths[key] = lent.enter_context(self._storage.local_copy(self._place(file.name)))
                except FileNotFoundError:
                    faults.append(shard_fault(record, "missing", "is not there", file.name))
                else:
                    hashes[key] = file_sha256(paths[key])
            for name in self._spec.formats:
                keys = FORMATS[name].keys
                if all(key in paths for key in keys):
                    is_good = all(hashes[key] == record.files[key].sha256 for key in keys)
                    mine = [paths[key] for key in keys]
                    streams.append(_Stream(name, mine, self._spec, record.first_row, is_as_committed=is_good))
            self._read(record, streams)
            for stream in streams:
                faults += self._file_faults(record, stream, hashes, paths)
        return faults

    def _read(self, record: ShardRecord, streams: list[_Stream]) -> None:
        """Read all formats side by side."""
        # Of formats that differ, the one whose bytes are as committed is right.
        streams = sorted(streams, key=lambda stream: not stream.is_as_committed)
        end = record.first_row + record.num_rows
        for first in range(record.first_row, end, READ_ROWS):
            planned = self._planned(first, min(READ_ROWS, end - first))
            reference: tuple[_Stream, tuple[NDArray[np.uint8], NDArray[np.int64]]] | None = None
            for stream in streams:
                found = stream.take(first, min(READ_ROWS, end - first))
                if found is None:
                    continue
                _check_labels(stream, first, found[1], planned, len(self._spec.class_names))
                stream.digests.append(
                    block_digest(first // self._spec.block_rows, found[0], found[1].astype(np.int32))
                )
                if reference is None:
                    reference = stream, found
                elif stream.differs is None:
                    _compare(stream, first, found, *reference)
        for stream in streams:
            stream.ends(end)
            _settle(stream, record)
        for stream in streams:
            if not stream.agrees(record):
                stream.blame("pixels", "its rows are not those that were committed", None)

    def _planned(self, first_row: int, num_rows: int) -> NDArray[np.int32] | None:
        """Return the labels that the plan gives to rows of one block, [num_rows] int32."""
        if self._labels is None:
            return None
        block = first_row // self._spec.block_rows
        return draw_block(self._spec.seed, block, self._latent_dim, self._labels)[1][:num_rows]

    def _file_faults(
        self, record: ShardRecord, stream: _Stream, hashes: dict[str, str], paths: dict[str, Path]
    ) -> list[Fault]:
        """Return what is wrong with the files of one format."""
        kind, what, row = stream.fault or (
            "changed",
            "its bytes are not those that were committed, though its rows are",
            None,
        )
        faults = []
        for key in FORMATS[stream.format_name].keys:
            file = record.files[key]
            if hashes[key] == file.sha256:
                continue
            owner = self._owners.get(hashes[key])
            size = paths[key].stat().st_size
            if owner is not None:
                faults.append(self._misplaced(record, file, owner))
            elif size < file.size_bytes and stream.fault and kind == "changed":
                text = f"has {size:,} of {file.size_bytes:,} bytes ({what})"
                faults.append(shard_fault(record, "truncated", text, file.name, row))
            else:
                faults.append(shard_fault(record, kind, what, file.name, row))
        if not faults and stream.fault:
            names = [record.files[key].name for key in FORMATS[stream.format_name].keys]
            faults.append(shard_fault(record, kind, what, names[0], row))
        return faults

    def _misplaced(self, record: ShardRecord, file: FileRecord, owner: FileRecord) -> Fault:
        """Return the fault of a file that holds what another one should hold."""
        try:
            with self._storage.local_copy(self._place(owner.name)) as path:
                is_swapped = file_sha256(path) == file.sha256
        except FileNotFoundError:
            is_swapped = False
        if is_swapped:
            return shard_fault(
                record, "swapped", f"holds what {owner.name} should, and that one what this should", file.name
            )
        return shard_fault(record, "duplicate", f"holds what {owner.name} should", file.name)


def _check_labels(
    stream: _Stream,
    first_row: int,
    labels: NDArray[np.int64],
    planned: NDArray[np.int32] | None,
    num_classes: int,
) -> None:
    outside = np.flatnonzero((labels < 0) | (labels >= num_classes))
    if len(outside):
        stream.blame(
            "label",
            f"the label is {labels[outside[0]]}, there are 0 to {num_classes - 1}",
            first_row + int(outside[0]),
        )
    if planned is not None:
        odd = np.flatnonzero(labels != planned)
        if len(odd):
            text = f"the label is {labels[odd[0]]}, the plan says {planned[odd[0]]}"
            stream.blame("label", text, first_row + int(odd[0]))


def _compare(
    stream: _Stream,
    first_row: int,
    found: tuple[NDArray[np.uint8], NDArray[np.int64]],
    other: _Stream,
    reference: tuple[NDArray[np.uint8], NDArray[np.int64]],
) -> None:
    """Remember the first row in which a format differs from another."""
    odd = np.flatnonzero((found[0] != reference[0]).any(axis=(1, 2)) | (found[1] != reference[1]))
    if len(odd):
        row = int(odd[0])
        kind: FaultKind = "label" if found[1][row] != reference[1][row] else "pixels"
        stream.differs = other, kind, first_row + row


def _settle(stream: _Stream, record: ShardRecord) -> None:
    """Blame one of two formats that differ: the one whose rows are not those that were committed."""
    if stream.differs is None:
        return
    other, kind, row = stream.differs
    if stream.agrees(record) and not other.agrees(record):
        stream, other = other, stream
    words = "the label is" if kind == "label" else "the pixels are"
    stream.blame(kind, f"{words} not as in {other.format_name}", row)
