"""Making one shard: draw, encode, write, check, publish, commit. No Ray in here."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import numpy as np

from ganmodel.errors import GangenError, ModelError
from ganmodel.labels import parse_labels
from ganmodel.png import encode_png, tile
from ganmodel.weights import file_sha256
from jobs.manifest import (
    PLAN_FILE,
    FileRecord,
    ShardRecord,
    block_digest,
    commit_name,
    read_record,
    sum_digests,
    to_json,
)
from jobs.plan import Plan
from jobs.storage import PREVIEW_FILE, TargetError, open_storage, target_errors
from jobs.writers import FORMATS, SPLIT
from jobs.writers.encode import encode_rows

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from ganmodel.sampler import Sampler
    from jobs.plan import ShardTask
    from jobs.specs import GenerateSpec
    from jobs.writers import ShardWriter

PREVIEW_COLUMNS = 10


class ShardMaker:
    """Makes shards of one data set, one after another, with a model that is loaded once.

    Args:
        spec: the job.
        sampler: the loaded generator.

    Raises:
        ModelError: the model is not the one the plan names.
        TargetError: the target is not the folder the driver wrote the plan to.
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
        self._plan = Plan(dataset)
        self._labels = parse_labels(dataset.labels)
        self._storage = open_storage(spec.out)
        if self._storage.read(PLAN_FILE) != to_json(dataset).encode():
            raise TargetError(
                f"--out {spec.out}: a worker does not find the plan there; choose a folder that every node sees"
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
        names: dict[str, str] = {
            name: FORMATS[name].file_name(self._dataset.name, SPLIT, task.index)
            for name in self._dataset.formats
        }
        with target_errors(self._storage.url), ExitStack() as cleanup:
            temporaries = {f: cleanup.enter_context(self._storage.scratch(name)) for f, name in names.items()}
            counts, digests, seconds = self._write(task, temporaries)
            began = time.perf_counter()
            files = {f: self._check(f, temporaries[f], names[f], task) for f in names}
            for format_name, name in names.items():
                self._storage.publish(temporaries[format_name], name)
            seconds["check"] = time.perf_counter() - began
            record = ShardRecord(
                plan_digest=self._plan.digest,
                index=task.index,
                first_row=task.first_row,
                num_rows=task.num_rows,
                files=files,
                rows_digest=sum_digests(digests),
                label_counts={k: int(n) for k, n in enumerate(counts) if n},
                device=self._sampler.device_facts(),
                seconds={stage: round(spent, 4) for stage, spent in seconds.items()},
            )
            self._storage.write_whole(commit_name(task.index), to_json(record))
        return record

    def _write(
        self, task: ShardTask, temporaries: dict[str, Path]
    ) -> tuple[list[int], list[int], dict[str, float]]:
        """Write every format in one pass; return label counts, block digests and seconds by stage."""
        dataset, size = self._dataset, self._dataset.block_rows
        seconds = {"sample": 0.0, "encode": 0.0, "write": 0.0}
        counts = np.zeros(len(dataset.class_names), np.int64)
        digests = []
        writers: list[ShardWriter] = [
            FORMATS[name].open(path, image_encoding=dataset.image_encoding, class_names=dataset.class_names)
            for name, path in temporaries.items()
        ]
        for block in range(task.first_row // size, -(-task.end_row // size)):
            began = time.perf_counter()
            images, labels = self._sampler.draw(
                dataset.seed, block, self._labels, truncation=dataset.truncation
            )
            rows = min(size, task.end_row - block * size)
            images, labels = images[:rows], labels[:rows]
            if block == 0:
                self._storage.write_whole(PREVIEW_FILE, _preview(images, labels))
            sampled = time.perf_counter()
            digests.append(block_digest(block, images, labels))
            counts += np.bincount(labels, minlength=len(counts))
            encoded = encode_rows(images, labels, block * size, dataset.image_encoding)
            ready = time.perf_counter()
            for writer in writers:
                writer.append(encoded)
            seconds["sample"] += sampled - began
            seconds["encode"] += ready - sampled
            seconds["write"] += time.perf_counter() - ready
        began = time.perf_counter()
        for writer in writers:
            writer.close()
        seconds["write"] += time.perf_counter() - began
        return counts.tolist(), digests, seconds

    def _check(self, format_name: str, path: Path, name: str, task: ShardTask) -> FileRecord:
        """Read a finished file back, from the disk and not from memory, before anyone else can see it."""
        rows = FORMATS[format_name].count_rows(path)
        if rows != task.num_rows:
            raise GangenError(f"{name}: wrote {task.num_rows:,} rows and read back {rows:,}; check the disk")
        return FileRecord(name=name, size_bytes=path.stat().st_size, sha256=file_sha256(path))


def _preview(images: NDArray[np.uint8], labels: NDArray[np.int32]) -> bytes:
    """Return a PNG with a row of digits for each label that occurs."""
    rows = [images[labels == label][:PREVIEW_COLUMNS] for label in np.unique(labels)]
    full = [np.pad(row, ((0, PREVIEW_COLUMNS - len(row)), (0, 0), (0, 0))) for row in rows]
    return encode_png(tile(np.concatenate(full), PREVIEW_COLUMNS))
