"""What one listing, the manifest and the footers tell of a data set: O(shards), whatever the rows."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from ganmodel.labels import parse_labels
from jobs.dataset_spec import LABELS_FROM_FILE
from jobs.faults import Fault, shard_fault
from jobs.finish import split_facts
from jobs.label_store import label_names
from jobs.manifest import build_manifest
from jobs.plan import Plan
from jobs.plan_files import COMMITS, commit_name, manifest_name, plan_name, plan_text
from jobs.writers import FORMATS
from jobs.writers.tfrecord import folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from jobs.faults import FaultKind
    from jobs.manifest import Manifest, ShardRecord
    from jobs.storage import Storage

CARD = "README.md"
_TFDS_FILES = ("dataset_info.json", "features.json", "label.labels.txt", "metadata.json")


def check_manifest(storage: Storage, manifest: Manifest, plan: Plan) -> Iterator[Fault]:
    """Yield what the manifest says that does not fit itself, its plan or the plan's labels."""
    name = manifest_name(plan.generation)
    if storage.read(plan_name(plan.generation)) != plan_text(manifest.spec).encode():
        what = "is missing or not the plan that the manifest tells of"
        yield Fault(kind="manifest", what=what, file=plan_name(plan.generation))
    if len(manifest.shards) != plan.num_shards:
        what = f"lists {len(manifest.shards):,} shards, the plan has {plan.num_shards:,}"
        yield Fault(kind="manifest", what=what, file=name)
        return
    for record, task in zip(manifest.shards, plan.tasks(), strict=True):
        if not record.fits(task, plan):
            yield Fault(
                kind="manifest",
                what=f"entry {task.index} is not of the planned shard",
                file=name,
                shard=task.index,
            )
            return
    again = build_manifest(
        plan, manifest.shards, model=manifest.model, gangen_version=manifest.gangen_version
    )
    for field in ("plan_digest", "rows_digest", "num_rows", "label_counts", "size_bytes"):
        said, found = getattr(manifest, field), getattr(again, field)
        if said != found:
            yield Fault(kind="manifest", what=f"{field} is {said}, its shards make {found}", file=name)
    yield from _check_counts(manifest, plan)


def _check_counts(manifest: Manifest, plan: Plan) -> Iterator[Fault]:
    """Yield the shards whose rows of each label are not the planned ones; those of whole blocks are known exactly."""
    spec = manifest.spec
    expected = plan.expected_counts(manifest.model.get("latent_dim"))
    is_exact = spec.count % spec.block_rows == 0 or "latent_dim" in manifest.model
    rule = None if spec.labels == LABELS_FROM_FILE else parse_labels(spec.labels, len(spec.class_names))
    for record in manifest.shards:
        if sum(record.label_counts.values()) != record.num_rows:
            yield shard_fault(record, "manifest", "its labels do not add up to its rows")
        elif rule and rule.is_exact and record.num_rows % spec.block_rows == 0:
            before = rule.expected_counts(record.first_row) or {}
            after = rule.expected_counts(record.first_row + record.num_rows) or {}
            planned = {
                label: n - before.get(label, 0) for label, n in after.items() if n > before.get(label, 0)
            }
            if planned != record.label_counts:
                yield shard_fault(record, "manifest", f"has labels {record.label_counts}, planned {planned}")
    if expected is not None and is_exact:
        planned = {label: n for label, n in expected.items() if n}
        if planned != manifest.label_counts:
            what = f"the labels are {manifest.label_counts}, planned {planned}"
            yield Fault(kind="manifest", what=what, file=manifest_name(plan.generation))


def check_listing(manifest: Manifest, plan: Plan, sizes: Mapping[str, int]) -> Iterator[Fault]:
    """Yield files that are missing or cut, and files in the data set's folders that nobody planned.

    Args:
        manifest: of the data set.
        plan: likewise.
        sizes: {name: bytes} of every file.
    """
    known = {CARD, *label_names(manifest.spec), *map(commit_name, range(plan.num_shards))}
    for generation in range(plan.generation + 1):
        known.add(plan_name(generation))
    if "tfrecord" in manifest.spec.formats:
        known |= {f"{folder(manifest.spec.name)}/{name}" for name in _TFDS_FILES}
    for record in manifest.shards:
        if commit_name(record.index) not in sizes:
            yield Fault(kind="record", what="its commit record is missing", shard=record.index)
        for file in record.files.values():
            size = sizes.get(file.name)
            if size is None:
                yield shard_fault(record, "missing", "is not there", file.name)
            elif size != file.size_bytes:
                kind: FaultKind = "truncated" if size < file.size_bytes else "changed"
                what = f"has {size:,} bytes, committed were {file.size_bytes:,}"
                yield shard_fault(record, kind, what, file.name)
            known.add(file.name)
    commits = {commit_name(index) for index in range(plan.num_shards)}
    for name in sorted(known - commits - {f.name for r in manifest.shards for f in r.files.values()}):
        if name not in sizes:
            yield Fault(kind="metadata", what="is not there", file=name)
    roots = (COMMITS, *(kind.root for kind in FORMATS.values()))
    for name in sorted(sizes.keys() - known):
        is_hidden = name.rpartition("/")[2].startswith(".")
        if name.startswith(tuple(f"{root}/" for root in roots)) and not is_hidden:
            yield Fault(kind="extra", what="is no file of the data set; delete it", file=name)


def check_metadata(storage: Storage, manifest: Manifest) -> Iterator[Fault]:
    """Yield where the card or TFDS' metadata tell readers other counts; what people wrote into the card is theirs."""
    splits = split_facts(manifest)
    if "parquet" in manifest.spec.formats and (card := storage.read(CARD)) is not None:
        try:
            front = yaml.safe_load(card.decode().split("---\n")[1])
            told = {split["name"]: split["num_examples"] for split in front["dataset_info"]["splits"]}
        except (yaml.YAMLError, ValueError, LookupError, TypeError):
            told = None
        if told != {name: split.num_rows for name, split in splits.items()}:
            yield Fault(
                kind="metadata", what="its front matter does not tell the rows of each split", file=CARD
            )
    if "tfrecord" in manifest.spec.formats:
        name = f"{folder(manifest.spec.name)}/dataset_info.json"
        if (text := storage.read(name)) is None:
            return
        try:
            info = json.loads(text)
            told = {split["name"]: list(map(int, split["shardLengths"])) for split in info["splits"]}
        except (ValueError, LookupError, TypeError):
            told = None
        if told != {name: list(split.shard_rows) for name, split in splits.items()}:
            yield Fault(kind="metadata", what="does not tell the rows of each shard", file=name)


class _RangeFile(io.RawIOBase):
    """A file of a data set, of which only what is asked for is read."""

    def __init__(self, storage: Storage, name: str, size: int) -> None:
        self._storage, self._name, self._size, self._at = storage, name, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def read(self, size: int = -1) -> bytes:
        length = self._size - self._at if size < 0 else min(size, self._size - self._at)
        data = self._storage.read_range(self._name, self._at, length) if length > 0 else b""
        self._at += len(data)
        return data


def check_footer(storage: Storage, record: ShardRecord) -> Iterator[Fault]:
    """Yield where the footer of a shard's Parquet file tells of other rows; a few kilobytes are read."""
    file = record.files.get("parquet")
    if file is None:
        return
    try:
        footer = pq.read_metadata(pa.PythonFile(_RangeFile(storage, file.name, file.size_bytes), "r"))
        groups = [footer.row_group(i) for i in range(footer.num_row_groups)]
        names = [groups[0].column(i).path_in_schema for i in range(groups[0].num_columns)]
        ranges = [group.column(names.index("index")).statistics for group in groups]
        first, last = ranges[0].min, ranges[-1].max
    except (pa.ArrowException, OSError, ValueError, AttributeError, IndexError) as err:
        yield shard_fault(
            record, "changed", f"has no footer that reads ({' '.join(str(err).split())})", file.name
        )
        return
    expected = record.num_rows, record.first_row, record.first_row + record.num_rows - 1
    if (footer.num_rows, first, last) != expected:
        what = f"its footer tells of {footer.num_rows:,} rows, {first:,} to {last:,}"
        yield shard_fault(record, "changed", what, file.name)
