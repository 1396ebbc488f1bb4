"""Parquet as `datasets.load_dataset` reads it: columns image (Image), label (ClassLabel) and index (int64).

A raw image is stored as a PGM file (Netpbm "P5"): 13 bytes of header, then the 784 pixels. So both encodings have
one schema, load as Hugging Face's `Image` with no code, and open in any image library. Arrow lists of uint8
(`Array2D`) were measured and refused: they write and read at 60,000 rows/s, PGM at 380,000 and 530,000
(pyarrow 26, zstd 1, one core), which would make raw slower than PNG.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from jobs.writers.encode import PGM_HEADER, RAW_BYTES, READ_ROWS, DamagedFile, EncodedRows

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from jobs.writers.encode import ImageEncoding

ROOT = "data"

ROW_GROUP_ROWS = 10_000
"""Rows of a row group, some 3 MB of PNG: few enough to read one cheaply, enough that footers stay small."""

_IMAGE_TYPE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
_MAX_DATA_BYTES = 2**31 - 1

_DAMAGE = (pa.ArrowException, LookupError, TypeError, ValueError, AttributeError, OverflowError, OSError)
"""What pyarrow raises for damaged files: for a footer with one bit flipped, any of these."""


def file_name(_dataset_name: str, split: str, shard: int) -> str:
    """Return a shard's path within the data set.

    The name carries no number of shards: a data set that grows renames nothing.
    """
    return f"{ROOT}/{split}-{shard:05d}.parquet"


def huggingface_features(class_names: Sequence[str]) -> dict[str, Any]:
    """Return the columns' types in the JSON form of `datasets.Features`."""
    return {
        "image": {"_type": "Image"},
        "label": {"names": list(class_names), "_type": "ClassLabel"},
        "index": {"dtype": "int64", "_type": "Value"},
    }


def arrow_schema(class_names: Sequence[str]) -> pa.Schema:
    """Return the schema of every shard, with the metadata that makes `datasets` see Image and ClassLabel.

    `datasets` takes a type from the metadata only where the Arrow field equals its own to the letter
    (datasets 5.2, `Features.from_arrow_schema`), so int64 and binary here are no matter of taste.
    """
    features = {"info": {"features": huggingface_features(class_names)}}
    return pa.schema(
        [("image", _IMAGE_TYPE), ("label", pa.int64()), ("index", pa.int64())],
        metadata={"huggingface": json.dumps(features)},
    )


class ParquetShardWriter:
    """Writes a Parquet file, a row group whenever one is full.

    Every setting that decides a byte is pinned here: equal rows give equal files under one version of pyarrow.

    Args:
        path: the file; replaced if it is there.
        image_encoding: of the rows to come.
        class_names: one name a label.
    """

    def __init__(self, path: Path, *, image_encoding: ImageEncoding, class_names: Sequence[str]) -> None:
        self._is_raw = image_encoding == "raw"
        self._schema = arrow_schema(class_names)
        self._pending: list[pa.RecordBatch] = []
        self._num_pending = 0
        self._file = pa.OSFile(str(path), "wb")
        self._writer = pq.ParquetWriter(
            self._file,
            self._schema,
            version="2.6",
            data_page_version="1.0",
            data_page_size=1 << 20,
            # PNG stays as it is, as `datasets` writes images, so one can be had without its whole page. The price:
            # zstd 1 would pack the PNG headers, 279 -> 219 bytes a row (MNIST).
            compression={
                "image.bytes": "zstd" if self._is_raw else "none",
                "image.path": "none",
                "label": "snappy",
                "index": "snappy",
            },
            compression_level={"image.bytes": 1} if self._is_raw else None,
            use_dictionary=["label"],
            column_encoding={"index": "DELTA_BINARY_PACKED"},
            # Smallest and largest image mean nothing; those of label and index let readers skip row groups.
            write_statistics=["label", "index"],
            write_page_index=True,
        )

    def append(self, rows: EncodedRows) -> None:
        """Add rows at the end; see `jobs.writers.ShardWriter`."""
        self._pending.append(self._record_batch(rows))
        self._num_pending += rows.num_rows
        if self._num_pending >= ROW_GROUP_ROWS:
            self._write(self._num_pending // ROW_GROUP_ROWS * ROW_GROUP_ROWS)

    def close(self) -> None:
        """Write the last row group and the footer, and see the file on the disk."""
        with self._file:
            if self._num_pending:
                self._write(self._num_pending)
            self._writer.close()
            os.fsync(self._file.fileno())

    def _write(self, num_rows: int) -> None:
        """Write the first `num_rows` pending rows as row groups."""
        table = pa.Table.from_batches(self._pending, self._schema)
        self._writer.write_table(table.slice(0, num_rows), row_group_size=ROW_GROUP_ROWS)
        self._pending = table.slice(num_rows).to_batches()
        self._num_pending -= num_rows

    def _record_batch(self, rows: EncodedRows) -> pa.RecordBatch:
        """Return rows as Arrow arrays over their own memory: no Python object a row."""
        count = rows.num_rows
        if self._is_raw:
            pixels = np.frombuffer(rows.data, np.uint8).reshape(count, RAW_BYTES)
            header = np.frombuffer(PGM_HEADER, np.uint8)
            data: Any = np.hstack([np.broadcast_to(header, (count, len(header))), pixels])
            offsets = np.arange(count + 1, dtype=np.int64) * data.shape[1]
        else:
            data, offsets = rows.data, rows.offsets
        if offsets[-1] > _MAX_DATA_BYTES:
            raise ValueError(f"at most {_MAX_DATA_BYTES:,} bytes of images at a time, got {offsets[-1]:,}")
        buffers = [None, pa.py_buffer(offsets.astype(np.int32)), pa.py_buffer(data)]
        encoded = pa.BinaryArray.from_buffers(pa.binary(), count, buffers)
        image = pa.StructArray.from_arrays([encoded, pa.nulls(count, pa.string())], fields=list(_IMAGE_TYPE))
        index = np.arange(rows.first_row, rows.first_row + count, dtype=np.int64)
        return pa.RecordBatch.from_arrays(
            [image, pa.array(rows.labels, pa.int64()), pa.array(index)], schema=self._schema
        )


def count_rows(path: Path) -> int:
    """Return the rows that a file's footer tells of.

    Raises:
        DamagedFile: there is no footer.
    """
    try:
        return int(pq.read_metadata(path).num_rows)
    except _DAMAGE as err:
        raise DamagedFile(f"{path}: is no whole Parquet file ({_text(err)}); check the disk") from err


def read_rows(path: Path, *, image_encoding: ImageEncoding, first_row: int) -> Iterator[EncodedRows]:
    """Yield the rows of a file; see `read` of `jobs.writers.Format`.

    Raises:
        DamagedFile: the file is damaged, or its rows are others.
    """
    head = len(PGM_HEADER) if image_encoding == "raw" else 0
    row = first_row
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(READ_ROWS, columns=["image", "label", "index"]):
                index = batch.column("index").to_numpy()
                if not np.array_equal(index, np.arange(row, row + len(index))):
                    break
                yield _encoded(batch, row, head)
                row += len(index)
            else:
                return
    except _DAMAGE as err:
        raise DamagedFile(f"{path}: cannot be read ({_text(err)}); check the disk") from err
    raise DamagedFile(f"{path}: expected rows {row:,} and on, the index column tells others", row - first_row)


def _text(err: Exception) -> str:
    return " ".join(str(err).split())


def _encoded(batch: pa.RecordBatch, first_row: int, head: int) -> EncodedRows:
    """Return a record batch as bytes, without the first `head` bytes of each image, over its own memory."""
    data = batch.column("image").field("bytes")
    _, raw_offsets, values = data.buffers()
    count = len(data)
    offsets = np.frombuffer(raw_offsets, np.int32)[data.offset : data.offset + count + 1].astype(np.int64)
    images = values.to_pybytes()[offsets[0] : offsets[-1]] if values is not None else b""
    offsets -= offsets[0]
    if head and count:
        pixels = np.frombuffer(images, np.uint8)[offsets[0] :]
        if (np.diff(offsets) != head + RAW_BYTES).any():
            raise pa.ArrowInvalid("a raw image has another size")
        images = pixels.reshape(count, head + RAW_BYTES)[:, head:].tobytes()
        offsets = np.arange(count + 1, dtype=np.int64) * RAW_BYTES
    labels = batch.column("label").to_numpy().astype(np.int64)
    return EncodedRows(data=images, offsets=offsets, labels=labels, first_row=first_row)
