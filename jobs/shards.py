"""Making one shard: rows come block by block, are encoded, written, checked, published, committed. No Ray in here."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Protocol

import numpy as np
import pyarrow as pa

from ganmodel.errors import GangenError, ModelError
from ganmodel.png import encode_png, tile
from ganmodel.weights import file_sha256
from jobs.label_store import labels_of
from jobs.manifest import FileRecord, ShardRecord, block_digest, read_record, sum_digests, to_json
from jobs.plan import Plan
from jobs.plan_files import commit_name, plan_name, plan_text
from jobs.storage import PREVIEW_FILE, TargetError, open_storage, target_errors
from jobs.writers import FORMATS
from jobs.writers.encode import encode_rows

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from ganmodel.sampler import Sampler
    from jobs.plan import ShardTask
    from jobs.specs import GenerateSpec
    from jobs.storage import Storage
    from jobs.writers import ShardWriter
    from jobs.writers.encode import ImageEncoding

PREVIEW_COLUMNS = 10


class BlockSource(Protocol):
    """Where the rows of shards come from."""

    def blocks(self, task: ShardTask) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.int32]]]:
        """Yield images [N, 28, 28] uint8 and labels [N] int32 of each block of a shard, in order."""

    def device(self, task: ShardTask) -> dict[str, str]:
        """Return what the pixels of a shard were computed with."""


class DrawnBlocks:
    """Rows that a generator draws.

    Args:
        spec: the job.
        sampler: the loaded generator.

    Raises:
        ModelError: the model is not the one the plan names.
    """

    def __init__(self, spec: GenerateSpec, sampler: Sampler) -> None:
        dataset = spec.dataset
        if sampler.info.digest != dataset.model_digest:
            raise ModelError(
                f"--model {spec.model}: has digest {sampler.info.digest[:12]} where the job runs, the plan names "
                f"{dataset.model_digest[:12]}; use the same model everywhere"
            )
        self._sampler = sampler
        self._dataset = dataset
        self._labels = labels_of(dataset, open_storage(spec.out))

    def blocks(self, task: ShardTask) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.int32]]]:
        """Yield the blocks of a shard; see `BlockSource`."""
        size = self._dataset.block_rows
        for first in range(task.first_row, task.end_row, size):
            rows = min(size, task.end_row - first)
            images, labels = self._sampler.draw(
                self._dataset.seed, first // size, self._labels, truncation=self._dataset.truncation
            )
            yield images[:rows], labels[:rows]

    def device(self, task: ShardTask) -> dict[str, str]:
        """Return what this process computes with; see `BlockSource`."""
        del task
        return self._sampler.device_facts()


class ShardMaker:
    """Makes shards of one data set, one after another.

    Args:
        plan: the data set.
        storage: where it goes.
        source: where its rows come from.

    Raises:
        TargetError: the target is not the folder the driver wrote the plan to.
    """

    def __init__(self, plan: Plan, storage: Storage, source: BlockSource) -> None:
        self._plan = plan
        self._dataset = plan.spec
        self._storage = storage
        self._source = source
        if storage.read(plan_name(plan.generation)) != plan_text(plan.spec).encode():
            raise TargetError(
                f"--out {storage.url}: a worker does not find the plan there; choose a folder that every node sees"
            )

    def make(self, task: ShardTask) -> ShardRecord:
        """Make a shard and return its commit record; a shard that is committed already is left alone.

        Raises:
            TargetError: the target is full or cannot be written.
            GangenError: a file does not read back as it was written.
        """
        done = read_record(self._storage, self._plan, task)
        if done is not None:
            return done
        names = self._plan.file_names(task)
        with target_errors(self._storage.url), ExitStack() as cleanup:
            temporaries = {k: cleanup.enter_context(self._storage.scratch(name)) for k, name in names.items()}
            counts, digests, seconds = self._write(task, temporaries)
            began = time.perf_counter()
            self._check_rows(temporaries, names, task)
            files = {
                key: FileRecord(name=name, size_bytes=path.stat().st_size, sha256=file_sha256(path))
                for (key, name), path in zip(names.items(), temporaries.values(), strict=True)
            }
            for key, name in names.items():
                self._storage.publish(temporaries[key], name)
            seconds["check"] = time.perf_counter() - began
            record = ShardRecord(
                recipe_digest=self._plan.recipe_digest(task.segment),
                index=task.index,
                first_row=task.first_row,
                num_rows=task.num_rows,
                files=files,
                rows_digest=sum_digests(digests),
                label_counts={k: int(n) for k, n in enumerate(counts) if n},
                device={**self._source.device(task), "pyarrow": pa.__version__},
                seconds={stage: round(spent, 4) for stage, spent in seconds.items()},
            )
            self._storage.write_whole(commit_name(task.index), to_json(record))
        return record

    def _write(
        self, task: ShardTask, temporaries: dict[str, Path]
    ) -> tuple[list[int], list[int], dict[str, float]]:
        """Write every format in one pass; return label counts, block digests and seconds by stage."""
        dataset = self._dataset
        seconds = {"sample": 0.0, "encode": 0.0, "write": 0.0}
        counts = np.zeros(len(dataset.class_names), np.int64)
        digests: list[int] = []
        writers = self._open(temporaries)
        row, began = task.first_row, time.perf_counter()
        for images, labels in self._source.blocks(task):
            if row == 0:
                self._storage.write_whole(PREVIEW_FILE, _preview(images, labels))
            sampled = time.perf_counter()
            digests.append(block_digest(row // dataset.block_rows, images, labels))
            counts += np.bincount(labels, minlength=len(counts))
            encodings = {encoding for encoding, _ in writers}
            encoded = {encoding: encode_rows(images, labels, row, encoding) for encoding in encodings}
            ready = time.perf_counter()
            for encoding, writer in writers:
                writer.append(encoded[encoding])
            row += len(labels)
            seconds["sample"] += sampled - began
            seconds["encode"] += ready - sampled
            began = time.perf_counter()
            seconds["write"] += began - ready
        began = time.perf_counter()
        for _, writer in writers:
            writer.close()
        seconds["write"] += time.perf_counter() - began
        return counts.tolist(), digests, seconds

    def _open(self, temporaries: dict[str, Path]) -> list[tuple[ImageEncoding, ShardWriter]]:
        """Return a writer of each format, and the image encoding it wants."""
        writers = []
        for name in self._dataset.formats:
            kind = FORMATS[name]
            encoding = kind.stored_as(self._dataset.image_encoding)
            paths = [temporaries[key] for key in kind.keys]
            writer = kind.open(*paths, image_encoding=encoding, class_names=self._dataset.class_names)
            writers.append((encoding, writer))
        return writers

    def _check_rows(self, temporaries: dict[str, Path], names: dict[str, str], task: ShardTask) -> None:
        """Read finished files back, from the disk and not from memory, before anyone else can see them."""
        for format_name in self._dataset.formats:
            keys = FORMATS[format_name].keys
            rows = FORMATS[format_name].count_rows(*(temporaries[key] for key in keys))
            if rows != task.num_rows:
                raise GangenError(
                    f"{names[keys[0]]}: wrote {task.num_rows:,} rows and read back {rows:,}; check the disk"
                )


def _preview(images: NDArray[np.uint8], labels: NDArray[np.int32]) -> bytes:
    """Return a PNG with a row of digits for each label that occurs."""
    rows = [images[labels == label][:PREVIEW_COLUMNS] for label in np.unique(labels)]
    full = [np.pad(row, ((0, PREVIEW_COLUMNS - len(row)), (0, 0), (0, 0))) for row in rows]
    return encode_png(tile(np.concatenate(full), PREVIEW_COLUMNS))
