"""Finished data sets, read back: the manifest says what they are, and the files must still be what it says."""

from __future__ import annotations

import shlex
from contextlib import ExitStack
from typing import TYPE_CHECKING

import numpy as np

from ganmodel.errors import CommitConflict, DataError, GangenError
from ganmodel.weights import file_sha256
from jobs.manifest import read_manifest
from jobs.plan_files import MANIFEST_FILE, PLAN_FILE
from jobs.storage import open_storage
from jobs.target import reading_errors
from jobs.writers import FORMATS
from jobs.writers.encode import decode_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jobs.manifest import Manifest


def open_dataset(path: str) -> Manifest:
    """Return the manifest of a finished data set.

    Raises:
        DataError: there is none, it is not finished, it cannot be read, or files it lists are missing or cut.
    """
    with reading_errors(path):
        storage = open_storage(path)
        try:
            manifest = read_manifest(storage)
        except CommitConflict as err:
            reason = str(err).removeprefix(f"--out {storage.url}: ").partition(";")[0]
            raise DataError(
                f"--data {path}: {reason}; the command that made it makes it whole again"
            ) from err
        is_begun = manifest is None and storage.read(PLAN_FILE) is not None
    if is_begun:
        raise DataError(
            f"--data {path}: is not finished; `gangen status {shlex.quote(path)}` names the command that finishes it"
        )
    if manifest is None:
        raise DataError(
            f"--data {path}: there is no {MANIFEST_FILE}; give a folder or URL that `gangen generate` wrote"
        )
    return manifest


def read_rows(path: str, manifest: Manifest, count: int) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Return the first rows of a data set, from its first format, each file checked against its checksum.

    Args:
        path: folder or URL of the data set.
        manifest: its own.
        count: rows, at most those there are.

    Returns:
        Images [count, 28, 28] uint8 and labels [count] int32.

    Raises:
        DataError: a file is not what was committed, or cannot be read.
    """
    storage, spec = open_storage(path), manifest.spec
    kind = FORMATS[spec.formats[0]]
    encoding = kind.stored_as(spec.image_encoding)
    images, labels, found = [], [], 0
    for shard in manifest.shards:
        if found >= count:
            break
        with reading_errors(path), ExitStack() as lent:
            files = []
            for record in (shard.files[key] for key in kind.keys):
                files.append(lent.enter_context(storage.local_copy(record.name)))
                if file_sha256(files[-1]) != record.sha256:
                    raise DataError(
                        f"--data {path}: {record.name} is not what was committed; see `gangen verify {path} --full`"
                    )
            try:
                for rows in kind.read(*files, image_encoding=encoding, first_row=shard.first_row):
                    images.append(decode_rows(rows, encoding))
                    labels.append(rows.labels.astype(np.int32))
                    found += rows.num_rows
                    if found >= count:
                        break
            except (GangenError, ValueError) as err:
                raise DataError(f"--data {path}: {err}") from err
    return np.concatenate(images)[:count], np.concatenate(labels)[:count]
