"""Finished data sets, read back: the manifest says what they are, and the files must still be what it says."""

from __future__ import annotations

import hashlib
import zlib
from typing import TYPE_CHECKING

import numpy as np

from ganmodel.config import IMAGE_SIZE
from ganmodel.errors import CommitConflict, DataError
from jobs.local_storage import LocalStorage
from jobs.manifest import MANIFEST_FILE, PLAN_FILE, read_manifest
from jobs.writers.encode import RAW_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from jobs.manifest import Manifest

_PNG_LEAD, _PNG_TAIL = 41, 16
"""Bytes around the compressed pixels of a PNG of ours: signature, IHDR and IDAT's head; IDAT's CRC and IEND."""


def open_dataset(path: str) -> Manifest:
    """Return the manifest of a finished data set.

    Raises:
        DataError: there is none, it is not finished, or files it lists are missing or cut.
    """
    storage = LocalStorage(path)
    try:
        manifest = read_manifest(storage)
    except CommitConflict as err:
        reason = str(err).removeprefix(f"--out {storage.url}: ").partition(";")[0]
        raise DataError(f"--data {path}: {reason}; the command that made it makes it whole again") from err
    if manifest is None and storage.read(PLAN_FILE):
        raise DataError(f"--data {path}: is not finished; run the command that began it again")
    if manifest is None:
        raise DataError(
            f"--data {path}: there is no {MANIFEST_FILE}; give a folder that `gangen generate` wrote"
        )
    return manifest


def read_rows(path: str, manifest: Manifest, count: int) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Return the first rows of a data set, from its first format, each file checked against its checksum.

    Args:
        path: folder of the data set.
        manifest: its own.
        count: rows, at most those there are.

    Returns:
        Images [count, 28, 28] uint8 and labels [count] int32.

    Raises:
        DataError: a file is not what was committed.
    """
    storage = LocalStorage(path)
    format_name = manifest.spec.formats[0]
    images, labels, found = [], [], 0
    for shard in manifest.shards:
        if found >= count:
            break
        record = shard.files[format_name]
        with storage.local_copy(record.name) as file:
            with file.open("rb") as stream:
                if hashlib.file_digest(stream, "sha256").hexdigest() != record.sha256:
                    raise DataError(
                        f"--data {path}: {record.name} is not what was committed; restore it, or generate again"
                    )
            for image, label in _READERS[format_name](file):
                images.append(_pixels(image))
                labels.append(np.asarray(label, np.int32))
                found += len(labels[-1])
                if found >= count:
                    break
    return np.concatenate(images)[:count], np.concatenate(labels)[:count]


def _read_parquet(file: Path) -> Iterator[tuple[list[bytes], list[int]]]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(file) as shard:
        for batch in shard.iter_batches(batch_size=1000, columns=["image", "label"]):
            rows = batch.column("image").field("bytes").to_pylist()
            yield rows, batch.column("label").to_pylist()


def _read_tfrecord(file: Path) -> Iterator[tuple[list[bytes], list[int]]]:
    import tensorflow as tf

    features = {"image": tf.io.FixedLenFeature([], tf.string), "label": tf.io.FixedLenFeature([], tf.int64)}
    for batch in tf.data.TFRecordDataset(str(file)).batch(1000):
        rows = tf.io.parse_example(batch, features)
        yield rows["image"].numpy().tolist(), rows["label"].numpy().tolist()


_READERS = {"parquet": _read_parquet, "tfrecord": _read_tfrecord}


def _pixels(rows: list[bytes]) -> NDArray[np.uint8]:
    """Return the images of encoded rows, [N, 28, 28] uint8: PNGs as `ganmodel.png` writes them, PGM or bare pixels."""
    if rows[0].startswith(b"\x89PNG"):
        # Our own PNGs have one IDAT and filter 0 throughout, so what is inflated is the pixels, led by a 0 in each row.
        flat = b"".join(zlib.decompress(row[_PNG_LEAD:-_PNG_TAIL]) for row in rows)
        return np.frombuffer(flat, np.uint8).reshape(-1, IMAGE_SIZE, IMAGE_SIZE + 1)[..., 1:]
    flat = b"".join(row[-RAW_BYTES:] for row in rows)
    return np.frombuffer(flat, np.uint8).reshape(-1, IMAGE_SIZE, IMAGE_SIZE)
