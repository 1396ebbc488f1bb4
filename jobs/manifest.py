"""Commit records and the manifest: what makes a data set exist; where they lie is in `jobs.plan_files`."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import ValidationError

from ganmodel.config import FrozenModel, json_digest
from ganmodel.errors import CommitConflict
from jobs.dataset_spec import DatasetSpec
from jobs.plan_files import COMMIT_NAME, changed_fields, commit_name, manifest_name, plan_name
from jobs.storage import PENDING
from jobs.writers import format_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray

    from jobs.plan import Plan, ShardTask
    from jobs.storage import Storage


REPAIR = "run the same command with --repair to have them made again"
"""What mends a data set that `gangen generate` made, said to whoever runs it again."""


class FileRecord(FrozenModel):
    """One file of a shard.

    Attributes:
        name: path within the data set.
        size_bytes: its size.
        sha256: of its bytes, hex.
    """

    name: str
    size_bytes: int
    sha256: str


class ShardRecord(FrozenModel):
    """A committed shard.

    Attributes:
        recipe_digest: of what its rows and files follow from, see `Plan.recipe_digest`.
        index: the shard's number.
        first_row: global index of its first row.
        num_rows: rows in each file.
        files: by format name, or one a part as in `idx.labels`.
        rows_digest: sum of its blocks' digests, see `block_digest`.
        label_counts: rows of each label, by label.
        device: what the pixels were computed with, and the version of pyarrow, which stands in every Parquet file.
        seconds: time spent, by stage.
    """

    recipe_digest: str
    index: int
    first_row: int
    num_rows: int
    files: dict[str, FileRecord]
    rows_digest: str
    label_counts: dict[int, int]
    device: dict[str, str]
    seconds: dict[str, float]

    def fits(self, task: ShardTask, plan: Plan) -> bool:
        """Return whether the record is of this shard of this plan."""
        return (
            self.recipe_digest == plan.recipe_digest(task.segment)
            and (self.index, self.first_row, self.num_rows) == (task.index, task.first_row, task.num_rows)
            and {key: file.name for key, file in self.files.items()} == plan.file_names(task)
        )


class UnreadableManifest(CommitConflict):
    """The manifest is there and cannot be read.

    Args:
        url: of the data set.
        name: of the manifest's file.
    """

    def __init__(self, url: str, name: str) -> None:
        super().__init__(f"--out {url}: {name} is damaged; restore it, or delete it to have it made again")
        self.name = name


class Manifest(FrozenModel):
    """A finished data set.

    Attributes:
        format_version: of this file.
        gangen_version: of the code that finished it.
        plan_digest: identity of the data set as asked for.
        rows_digest: identity of the rows as made: equal for equal rows, whatever the shard size, the
            formats and the image encoding.
        spec: what was asked for.
        model: name, training provenance and quality of the generator.
        num_rows: in all.
        label_counts: rows of each label.
        size_bytes: of each format's files.
        devices: every device description met, with the number of shards made there.
        shards: every commit record, in order.
    """

    format_version: Literal[1] = 1
    gangen_version: str
    plan_digest: str
    rows_digest: str
    spec: DatasetSpec
    model: dict[str, Any]
    num_rows: int
    label_counts: dict[int, int]
    size_bytes: dict[str, int]
    devices: list[dict[str, Any]]
    shards: list[ShardRecord]


def block_digest(block: int, images: NDArray[np.uint8], labels: NDArray[np.int32]) -> int:
    """Return a whole number below 2**256 that stands for the rows of a block.

    SHA-256 over the block's number, its labels and its pixels. Shards and data sets add these up modulo
    2**256 (an incremental hash in the manner of Bellare and Micciancio 1997, AdHash), so the sum
    does not depend on how blocks are cut into shards. It identifies data; against forgery the files' SHA-256 stand.
    """
    hasher = hashlib.sha256(block.to_bytes(8, "little"))
    hasher.update(labels.astype("<i4").tobytes())
    hasher.update(np.ascontiguousarray(images).tobytes())
    return int.from_bytes(hasher.digest(), "big")


def sum_digests(digests: Iterable[int]) -> str:
    """Return the sum modulo 2**256, 64 hex digits."""
    return f"{sum(digests) % 2**256:064x}"


def to_json(value: FrozenModel) -> str:
    """Return a value as JSON text with a final newline."""
    return value.model_dump_json(indent=1) + "\n"


def file_sizes(storage: Storage) -> dict[str, int]:
    """Return {name: bytes} of every file, a pending one under the name it is to have; one listing."""
    found = storage.sizes()
    prefix = f"{PENDING}/"
    return found | {name.removeprefix(prefix): n for name, n in found.items() if name.startswith(prefix)}


def read_records(storage: Storage, plan: Plan) -> dict[int, ShardRecord]:
    """Return the valid commit records by shard number; see `valid_records`."""
    return {record.index: record for record in valid_records(storage, plan)}


def valid_records(storage: Storage, plan: Plan) -> Iterator[ShardRecord]:
    """Yield the valid commit records; one listing and one small read a shard.

    A record is valid when it fits the plan and its files have the recorded sizes; any other is as good as none,
    and its shard will be made again.
    """
    sizes = file_sizes(storage)
    numbers = {name: int(match[1]) for name in sizes if (match := COMMIT_NAME.fullmatch(name))}
    planned = sorted(name for name, number in numbers.items() if number < plan.num_shards)
    for name, data in storage.read_many(planned):
        record = _valid_record(data, plan, plan.task(numbers[name]), sizes.get)
        if record is not None:
            yield record


def read_record(storage: Storage, plan: Plan, task: ShardTask) -> ShardRecord | None:
    """Return a shard's commit record if it is valid, else None."""
    return _valid_record(storage.read(commit_name(task.index)) or b"", plan, task, storage.size)


def _valid_record(
    data: bytes, plan: Plan, task: ShardTask, size_of: Callable[[str], int | None]
) -> ShardRecord | None:
    try:
        record = ShardRecord.model_validate_json(data)
    except ValidationError:
        return None
    if not record.fits(task, plan):
        return None
    is_whole = all(size_of(file.name) == file.size_bytes for file in record.files.values())
    return record if is_whole else None


def read_manifest(
    storage: Storage, plan: Plan | None = None, *, check_files: bool = True, cure: str = REPAIR
) -> Manifest | None:
    """Return the manifest of a finished data set, None if there is none.

    Args:
        storage: the data set's place.
        plan: whose manifest is asked for; None takes the newest, even where an extension has been begun since.
        check_files: whether to see, by one listing, that the files are there.
        cure: what the message says to do where they are not.

    Raises:
        CommitConflict: there is one that cannot be read or of another plan, or files it lists are not there in their
            size.
    """
    generation = plan.generation if plan else _latest_generation(storage)
    data, name = storage.read(manifest_name(generation)), manifest_name(generation)
    if data is None:
        return None
    try:
        manifest = Manifest.model_validate_json(data)
    except ValidationError as err:
        raise UnreadableManifest(storage.url, name) from err
    if plan and manifest.plan_digest != plan.digest:
        changed = "; ".join(changed_fields(manifest.spec, plan.spec))
        raise CommitConflict(
            f"--out {storage.url}: holds another data set ({changed}); choose another folder, or ask for what is there"
        )
    if not check_files:
        return manifest
    lost = lost_files(storage, manifest)
    if lost:
        num_files = sum(len(shard.files) for shard in manifest.shards)
        raise CommitConflict(
            f"--out {storage.url}: {len(lost):,} of {num_files:,} files are missing or cut (first: {lost[0]}); {cure}"
        )
    return manifest


def lost_files(storage: Storage, manifest: Manifest) -> list[str]:
    """Return the files of shards that are not where readers look, in their size; one listing."""
    sizes = storage.sizes()  # The pending files of a repair do not count: they may yet be refused.
    files = (file for shard in manifest.shards for file in shard.files.values())
    return [file.name for file in files if sizes.get(file.name) != file.size_bytes]


def _latest_generation(storage: Storage) -> int:
    """Return the number of the newest manifest, 0 where there is none."""
    plans = 0
    while storage.read(plan_name(plans)) is not None:
        plans += 1
    found = (n for n in range(plans - 1, 0, -1) if storage.read(manifest_name(n)) is not None)
    return next(found, 0)


def build_manifest(
    plan: Plan, records: list[ShardRecord], *, model: dict[str, Any], gangen_version: str
) -> Manifest:
    """Return the manifest of a data set whose every shard is committed.

    Args:
        plan: the data set.
        records: one a shard, in order.
        model: what is told of the generator.
        gangen_version: of this code.
    """
    counts: dict[int, int] = {}
    size_bytes: dict[str, int] = dict.fromkeys(plan.spec.formats, 0)
    devices: dict[str, dict[str, Any]] = {}
    for record in records:
        for label, rows in record.label_counts.items():
            counts[label] = counts.get(label, 0) + rows
        for key, file in record.files.items():
            size_bytes[format_of(key)] += file.size_bytes
        entry = devices.setdefault(json_digest(record.device), {**record.device, "shards": 0})
        entry["shards"] += 1
    return Manifest(
        gangen_version=gangen_version,
        plan_digest=plan.digest,
        rows_digest=sum_digests(int(record.rows_digest, 16) for record in records),
        spec=plan.spec,
        model=model,
        num_rows=sum(record.num_rows for record in records),
        label_counts=dict(sorted(counts.items())),
        size_bytes=size_bytes,
        devices=list(devices.values()),
        shards=records,
    )
