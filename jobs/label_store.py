"""The labels of a data set whose labels came from a file: kept within it, a byte a row, one file a segment."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from ganmodel.errors import CommitConflict, SpecError
from ganmodel.label_file import FileLabels, read_labels
from ganmodel.labels import parse_labels
from jobs.dataset_spec import LABELS_FROM_FILE
from jobs.storage import PRIVATE

if TYPE_CHECKING:
    from ganmodel.labels import Labels
    from jobs.dataset_spec import DatasetSpec
    from jobs.storage import Storage

_PIECE_BYTES = 2**24


def labels_name(segment: int) -> str:
    """Return the name of the labels of a segment."""
    return f"{PRIVATE}/labels-{segment:03d}.u1"


def label_names(spec: DatasetSpec) -> list[str]:
    """Return the names of all files of labels a data set has; none where a rule gives the labels."""
    return [labels_name(segment) for segment in range(len(spec.label_parts))]


def labels_of(spec: DatasetSpec, storage: Storage) -> Labels:
    """Return where the labels of a data set come from, as blocks are drawn."""
    if spec.labels != LABELS_FROM_FILE:
        return parse_labels(spec.labels, len(spec.class_names))

    def read(first_row: int, num_rows: int) -> bytes:
        for segment, (first, end) in enumerate(spec.segments):
            if first <= first_row < end:
                return storage.read_range(
                    labels_name(segment), first_row - first, min(num_rows, end - first_row)
                )
        return b""

    return FileLabels(read)


def drop_other_labels(spec: DatasetSpec, storage: Storage) -> None:
    """Empty files of labels that a plan which came to nothing has left; call it before the plan is written."""
    sizes = storage.sizes(PRIVATE) if spec.label_parts else {}
    for segment, (part, (first, end)) in enumerate(zip(spec.label_parts, spec.segments, strict=False)):
        name = labels_name(segment)
        if sizes.get(name) == end - first and stored_sha256(storage, name, end - first) != part.sha256:
            storage.write_whole(name, b"")


def stored_sha256(storage: Storage, name: str, size_bytes: int) -> str:
    """Return the SHA-256 of a file of so many labels, read piece by piece.

    Raises:
        FileNotFoundError: it is not there.
    """
    hasher = hashlib.sha256()
    for start in range(0, size_bytes, _PIECE_BYTES):
        hasher.update(storage.read_range(name, start, min(_PIECE_BYTES, size_bytes - start)))
    return hasher.hexdigest()


def store_labels(spec: DatasetSpec, storage: Storage, path: str | None) -> None:
    """Copy the labels that are not there yet from the user's file into the data set.

    Args:
        spec: what the data set is.
        storage: its place.
        path: the file; None where a rule gives the labels, or where all are there.

    Raises:
        SpecError: the file has changed since the job was asked for, or cannot be read from here.
        CommitConflict: what is there is not what the plan names.
    """
    sizes = storage.sizes(PRIVATE) if spec.label_parts else {}
    for segment, (part, (first, end)) in enumerate(zip(spec.label_parts, spec.segments, strict=False)):
        name = labels_name(segment)
        if sizes.get(name) == end - first:
            continue
        if path is None:
            raise CommitConflict(f"--out {storage.url}: {name} is missing or cut; restore it")
        data = read_labels(path, len(spec.class_names), first, end)
        if hashlib.sha256(data).hexdigest() != part.sha256:
            raise SpecError(
                f"--labels file:{path}: has changed since the job was asked for; run the same command again"
            )
        storage.write_whole(name, data)
