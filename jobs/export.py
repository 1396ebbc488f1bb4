"""A finished data set in other formats: its rows are read and written again, not drawn, under the same commit protocol.

What comes out is, but for times, what `gangen generate` would have written in these formats.
"""

from __future__ import annotations

import hashlib
import shlex
from contextlib import ExitStack
from typing import TYPE_CHECKING

import numpy as np

from ganmodel.errors import DataError, GangenError
from ganmodel.weights import file_sha256
from jobs.begin import begin
from jobs.capacity import check_file_sizes, check_space
from jobs.dataset_spec import DatasetSpec
from jobs.finish import finish
from jobs.label_store import labels_name
from jobs.manifest import read_manifest, read_records
from jobs.plan import Plan
from jobs.plan_files import check_plan
from jobs.run_notes import pass_notes
from jobs.shards import ShardMaker
from jobs.storage import target_errors
from jobs.target import reading_errors
from jobs.writers import FORMATS
from jobs.writers.encode import DamagedFile, decode_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from jobs.manifest import Manifest, ShardRecord
    from jobs.plan import ShardTask
    from jobs.storage import Storage


class ReadBlocks:
    """Rows that lie in a finished data set, each file checked against its checksum; see `jobs.shards.BlockSource`.

    Args:
        storage: where it is.
        manifest: its own.
    """

    def __init__(self, storage: Storage, manifest: Manifest) -> None:
        self._storage = storage
        self._manifest = manifest

    def blocks(self, task: ShardTask) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.int32]]]:
        """Yield the blocks of a shard, from its first format.

        Raises:
            DataError: a file is not what was committed.
        """
        spec, record = self._manifest.spec, self._manifest.shards[task.index]
        kind = FORMATS[spec.formats[0]]
        encoding = kind.stored_as(spec.image_encoding)
        with reading_errors(self._storage.url), ExitStack() as lent:
            paths = []
            for file in (record.files[key] for key in kind.keys):
                try:
                    paths.append(lent.enter_context(self._storage.local_copy(file.name)))
                except FileNotFoundError:
                    raise DataError(self._damaged(file.name, "is not there")) from None
                if file_sha256(paths[-1]) != file.sha256:
                    raise DataError(self._damaged(file.name, "is not what was committed"))
            try:
                for rows in kind.read(*paths, image_encoding=encoding, first_row=record.first_row):
                    yield decode_rows(rows, encoding), rows.labels.astype(np.int32)
            except (DamagedFile, ValueError) as err:
                raise DataError(self._damaged(record.files[kind.keys[0]].name, str(err))) from err

    def device(self, task: ShardTask) -> dict[str, str]:
        """Return what the pixels were computed with when they were drawn."""
        return self._manifest.shards[task.index].device

    def _damaged(self, name: str, what: str) -> str:
        return f"{self._storage.url}: {name} {what}; `gangen verify {shlex.quote(self._storage.url)} --full` tells more"


def exported_spec(spec: DatasetSpec, formats: Sequence[str], image_encoding: str | None) -> DatasetSpec:
    """Return what a data set becomes in other formats: the same rows in the same shards."""
    changes = {"formats": tuple(formats), "image_encoding": image_encoding or spec.image_encoding}
    return DatasetSpec.model_validate(spec.model_dump() | changes)


def _labels(source: Storage, spec: DatasetSpec) -> dict[str, bytes]:
    """Return {name: content} of a data set's files of labels, each checked against the plan.

    Raises:
        DataError: one is lost, or not what the plan names.
    """
    found = {}
    for segment, part in enumerate(spec.label_parts):
        name = labels_name(segment)
        with reading_errors(source.url):
            data = source.read(name)
        if data is None or hashlib.sha256(data).hexdigest() != part.sha256:
            what = "is not there" if data is None else "is not what the plan names"
            raise DataError(f"{source.url}: {name} {what}; restore it")
        found[name] = data
    return found


def export(
    source: Storage,
    manifest: Manifest,
    target: Storage,
    spec: DatasetSpec,
    on_shard: Callable[[int], None] = lambda _: None,
) -> tuple[Manifest, int | None]:
    """Write a finished data set in other formats; what is there already is left alone.

    Args:
        source: where it is.
        manifest: its own.
        target: where it goes.
        spec: what comes out, see `exported_spec`.
        on_shard: called with the number of shards that are there.

    Returns:
        The manifest of what is there now, and the number of shards this call made; None where it was finished before.

    Raises:
        CommitConflict: the target holds something else, or another run is at work in it.
        DataError: the source is damaged or cannot be read.
        SpecError: the target has too little room.
        TargetError: the target is full or cannot be written.
    """
    plan = Plan(spec)
    with target_errors(target.url):
        check_plan(target, plan)
        done = read_manifest(
            target, plan, cure=f"`gangen verify {shlex.quote(target.url)}` says what mends it"
        )
        if done is not None:
            return done, None
        check_file_sizes(target, plan, "--to")
        check_space(target, plan, "or fewer formats")
    labels = _labels(source, spec)
    target.prepare()
    with target.lock(), target_errors(target.url):
        check_plan(target, plan)
        begin(target, plan)
        pass_notes(source, target)
        for name, data in labels.items():
            target.write_whole(name, data)
        target.sweep()
        maker = ShardMaker(plan, target, ReadBlocks(source, manifest))
        there = read_records(target, plan)
        records: list[ShardRecord] = []
        for task in plan.tasks():
            records.append(maker.make(task))
            if records[-1].rows_digest != manifest.shards[task.index].rows_digest:
                raise GangenError(
                    f"{source.url}: shard {task.index} holds other rows than its manifest says; see `gangen verify`"
                )
            on_shard(len(records))
        return finish(target, plan, records, model=manifest.model), len(records) - len(there)
