"""A finished data set, checked against what its manifest says; nothing is written.

Without more the check takes O(shards): one listing, the manifest, the footers. In full, every byte and every row. Where
something is wrong with a file, that shard is read in full in any case, to name the row.
"""

from __future__ import annotations

import shlex
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from ganmodel.errors import DataError
from jobs.check_files import check_footer, check_listing, check_manifest, check_metadata
from jobs.check_shard import ShardChecker
from jobs.faults import Fault
from jobs.label_store import label_names, labels_name, labels_of, stored_sha256
from jobs.manifest import ShardRecord, read_manifest
from jobs.plan import Plan
from jobs.plan_files import PLAN_FILE, commit_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ganmodel.labels import Labels
    from jobs.manifest import Manifest, UnreadableManifest
    from jobs.regenerate import Regenerated
    from jobs.storage import Storage


@dataclass(slots=True)
class Report:
    """What a check found.

    Attributes:
        url: of the data set.
        rows: it has; 0 where its manifest cannot be read.
        shards: likewise.
        is_full: whether every byte was read.
        shards_read: shards of which every row was read.
        faults: everything that is wrong, in the order it was found.
        regenerated: what came of drawing blocks again, None where that was not asked for.
        seconds: taken.
    """

    url: str
    rows: int
    shards: int
    is_full: bool
    shards_read: int = 0
    faults: list[Fault] = field(default_factory=list)
    regenerated: Regenerated | None = None
    seconds: float = 0.0

    @property
    def bad_shards(self) -> list[int]:
        """Numbers of the shards that are to be made again."""
        return sorted({f.shard for f in self.faults if f.shard is not None and not f.is_as_committed})

    def facts(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        again = self.regenerated
        return {
            "status": "damaged" if self.faults else "good",
            "dataset": self.url,
            "rows": self.rows,
            "shards": self.shards,
            "full": self.is_full,
            "shards_read": self.shards_read,
            "faults": [fault.facts() for fault in self.faults],
            "bad_shards": self.bad_shards,
            "regenerated": again
            and {
                "blocks": again.blocks,
                "exact_blocks": again.exact_blocks,
                "levels": again.levels,
                "allowed_levels": again.allowed_levels,
            },
            "seconds": self.seconds,
        }


def finished_manifest(storage: Storage) -> Manifest:
    """Return the manifest of a finished data set, whether or not its files are there.

    Raises:
        DataError: there is none.
        UnreadableManifest: it cannot be read.
    """
    manifest = read_manifest(storage, check_files=False)
    if manifest is None and storage.read(PLAN_FILE):
        raise DataError(
            f"{storage.url}: is not finished; `gangen status {shlex.quote(storage.url)}` names the command that "
            "finishes it"
        )
    if manifest is None:
        raise DataError(f"{storage.url}: holds no data set; give a folder that `gangen generate` wrote")
    return manifest


def unreadable(storage: Storage, err: UnreadableManifest) -> Report:
    """Return the report on a data set of which nothing can be checked, because its manifest cannot be read."""
    return Report(
        storage.url,
        0,
        0,
        is_full=False,
        faults=[Fault(kind="manifest", what="cannot be read", file=err.name)],
    )


def verify(
    storage: Storage,
    manifest: Manifest,
    *,
    full: bool = False,
    on_shard: Callable[[int], None] = lambda _: None,
) -> Report:
    """Check a finished data set.

    Args:
        storage: where it is.
        manifest: its own, see `finished_manifest`.
        full: whether to read every byte of every shard.
        on_shard: called with the number of shards that are done.
    """
    began = time.monotonic()
    plan = Plan(manifest.spec)
    report = Report(storage.url, manifest.num_rows, len(manifest.shards), full)
    report.faults += check_manifest(storage, manifest, plan)
    sizes = storage.sizes()
    listed = list(check_listing(manifest, plan, sizes))
    suspects = {fault.shard for fault in listed if fault.file and fault.shard is not None}
    report.faults += (fault for fault in listed if fault.shard not in suspects or not fault.file)
    report.faults += check_metadata(storage, manifest)
    damaged = list(check_label_files(storage, manifest)) if full else []
    report.faults += damaged
    names = label_names(manifest.spec)
    whole = [end - first for first, end in manifest.spec.segments][: len(names)]
    are_good = not damaged and [sizes.get(name) for name in names] == whole
    labels: Labels | None = labels_of(manifest.spec, storage) if are_good else None
    checker = shard_checker(storage, manifest, labels)
    told: dict[int | None, list[Fault]] = {}
    for fault in listed:
        told.setdefault(fault.shard, []).append(fault)
    for done, record in enumerate(manifest.shards, 1):
        quick = told[record.index] if record.index in suspects else []
        if not quick:
            quick = list(check_footer(storage, record))
        if full or quick:
            report.shards_read += 1
            report.faults += checker.check(record) or quick
        if full:
            report.faults += check_record(storage, record)
        on_shard(done)
    report.seconds = time.monotonic() - began
    return report


def shard_checker(storage: Storage, manifest: Manifest, labels: Labels | None) -> ShardChecker:
    """Return what checks the shards of a finished data set."""
    files = [file for record in manifest.shards for file in record.files.values()]
    return ShardChecker(storage, manifest.spec, files, labels, manifest.model.get("latent_dim"))


def check_record(storage: Storage, record: ShardRecord) -> Iterator[Fault]:
    """Yield where a shard's commit record is not what the manifest says of it."""
    data = storage.read(commit_name(record.index))
    if data is None:
        return  # The listing has told.
    try:
        committed = ShardRecord.model_validate_json(data)
    except ValidationError:
        what = "cannot be read"
    else:
        facts = ("recipe_digest", "index", "first_row", "num_rows", "files", "rows_digest", "label_counts")
        odd = [name for name in facts if getattr(committed, name) != getattr(record, name)]
        if not odd:
            return
        what = f"its {odd[0]} is not what the manifest says"
    yield Fault(kind="record", what=what, file=commit_name(record.index), shard=record.index)


def check_label_files(storage: Storage, manifest: Manifest) -> Iterator[Fault]:
    """Yield the files of labels that are not what the plan names, which are read whole."""
    parts = zip(manifest.spec.label_parts, manifest.spec.segments, strict=False)
    for segment, (part, (first, end)) in enumerate(parts):
        name = labels_name(segment)
        try:
            found = stored_sha256(storage, name, end - first)
        except FileNotFoundError:
            continue  # The listing has told.
        if found != part.sha256:
            yield Fault(kind="metadata", what="the labels are not those that the plan names", file=name)
