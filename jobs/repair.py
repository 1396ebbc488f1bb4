"""Damaged shards, made again: what a full check named loses its commit record; what replaces it must be the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ganmodel.errors import CommitConflict
from jobs.check_shard import ShardChecker
from jobs.finish import show
from jobs.label_store import labels_of
from jobs.manifest import read_records, to_json
from jobs.plan_files import commit_name
from jobs.progress import say
from jobs.storage import PENDING
from jobs.verify import verify

if TYPE_CHECKING:
    from jobs.faults import Fault
    from jobs.manifest import Manifest, ShardRecord
    from jobs.plan import Plan
    from jobs.storage import Storage

MAX_SHOWN = 20


def condemn(storage: Storage, plan: Plan, manifest: Manifest | None) -> list[int]:
    """Check what is committed in full, and take the commit records of damaged shards away.

    Args:
        storage: the data set's place, under its lock where it has one.
        plan: the data set.
        manifest: its own; None where it is not finished.

    Returns:
        The numbers of the shards to be made again.

    Raises:
        CommitConflict: the manifest itself is damaged, so nothing says what the shards should be.
    """
    faults = (
        _unfinished_faults(storage, plan) if manifest is None else verify(storage, manifest, full=True).faults
    )
    broken = [fault for fault in faults if fault.kind == "manifest"]
    if broken:
        raise CommitConflict(f"--repair: {broken[0]}; restore the manifest first")
    for fault in faults[:MAX_SHOWN]:
        say(f"found {fault}")
    bad = sorted({fault.shard for fault in faults if fault.shard is not None})
    if bad:
        say(f"making {len(bad):,} damaged shards again")
    for index in bad:
        storage.write_whole(commit_name(index), "{}\n")
    return bad


def _unfinished_faults(storage: Storage, plan: Plan) -> list[Fault]:
    """Return what is wrong with the shards that are committed; the labels are told by the plan where they can be."""
    records = read_records(storage, plan)
    pending = {name.removeprefix(f"{PENDING}/") for name in storage.sizes(PENDING)}
    checker = ShardChecker(
        storage,
        plan.spec,
        [file for record in records.values() for file in record.files.values()],
        labels_of(plan.spec, storage) if plan.spec.label_parts else None,
        None,
        lambda name: f"{PENDING}/{name}" if name in pending else name,
    )
    return [fault for record in records.values() for fault in checker.check(record)]


def restore(storage: Storage, manifest: Manifest, records: list[ShardRecord]) -> Manifest:
    """Put shards that were made again in the place of damaged ones, and whatever readers look at.

    Raises:
        CommitConflict: a shard came out otherwise than the manifest says; nothing is replaced.
    """
    for said, made in zip(manifest.shards, records, strict=True):
        if said.files != made.files:
            _take_back(storage, manifest, records)
            raise CommitConflict(
                f"--repair: shard {said.index} made again is not what the manifest says, so nothing was replaced; "
                f"make it where it was made ({_differences(said.device, made.device)}), or generate into another folder"
            )
    show(storage, manifest)
    storage.remove_pending()
    return manifest


def _differences(then: dict[str, str], now: dict[str, str]) -> str:
    """Return what bytes depend on and is another now, as a phrase."""
    names = [name for name in {**then, **now} if then.get(name) != now.get(name)]
    return "; ".join(
        f"{name} {then.get(name, 'unknown')} then, {now.get(name, 'unknown')} now" for name in names
    ) or ("all that is recorded of it is the same now")


def _take_back(storage: Storage, manifest: Manifest, records: list[ShardRecord]) -> None:
    """Leave a data set as it was before `condemn`: the records that the manifest tells of, and no remade files."""
    for said, made in zip(manifest.shards, records, strict=True):
        if said != made:
            storage.write_whole(commit_name(said.index), to_json(said))
    storage.remove_pending()
