"""The generation job: what is missing is made, and when nothing is, the data set is finished."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from ganmodel.errors import CommitConflict, GangenError, Interrupted, ShardsFailed
from ganmodel.model_dir import read_model
from jobs.begin import begin
from jobs.capacity import check_space
from jobs.fanout import Fanout
from jobs.finish import finish
from jobs.fleet import Fleet
from jobs.inputs import local_model
from jobs.journal import Journal, job_around
from jobs.label_store import store_labels
from jobs.losses import losses_text
from jobs.manifest import read_manifest, read_records, valid_records
from jobs.plan import Plan
from jobs.plan_files import check_plan
from jobs.progress import Reporter, say
from jobs.repair import condemn, restore
from jobs.run_notes import RunFigures, write_notes
from jobs.storage import PENDING, open_storage, target_errors
from jobs.target import TEMPORARY

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from jobs.manifest import Manifest, ShardRecord
    from jobs.specs import GenerateSpec
    from jobs.storage import Storage


class _Making(NamedTuple):
    """How the missing shards were made: seconds from the first worker to the last shard, and losses by cause."""

    seconds: float = 0.0
    losses: dict[str, int] = {}  # noqa: RUF012 - nobody changes it


def generate(spec: GenerateSpec, connect: Callable[[], AbstractContextManager[None]]) -> dict[str, Any]:
    """Make what is missing of a data set, then finish it.

    Args:
        spec: the job.
        connect: opens the way to Ray for as long as shards are made; not called when none is missing.

    Returns:
        What was made: `manifest` (a `Manifest`), `was_finished` before, `rows_made` and `shards_made` by this run,
        `seconds` it took, `making_seconds` of which from the first to the last shard, and `losses`, how often what was
        lost on the way.

    Raises:
        CommitConflict: the folder holds something else, or another run is at work in it.
        SpecError: it cannot be written or is too small.
        ShardsFailed: some shards were left aside; the others are committed.
        Interrupted: asked to stop; what is committed stays.
    """
    began = time.monotonic()
    plan = Plan(spec.dataset)
    storage = open_storage(spec.out)
    check_plan(storage, plan)
    done = read_manifest(storage, plan, check_files=not spec.repair)
    if done is not None and not spec.repair:
        _tidy(storage)
        return _result(done, began)
    check_space(storage, plan, "fewer rows or one --format")
    storage.prepare()
    with storage.lock(), target_errors(spec.out):
        check_plan(storage, plan)  # Again: another run may have been here before the lock was ours.
        begin(storage, plan)
        write_notes(storage, spec)
        store_labels(spec.dataset, storage, spec.labels_file)
        storage.sweep()
        if spec.repair:
            condemn(storage, plan, done)
        # Rows by shard, not the records: with ten thousand of these a driver would grow by megabytes.
        committed: dict[int, int] = {}
        cpus_began = any(device.get("device") == "CPU" for device in (done.devices if done else ()))
        for record in valid_records(storage, plan):
            committed[record.index] = record.num_rows
            cpus_began |= record.device.get("device") == "CPU"
        missing = [task for task in plan.tasks() if task.index not in committed]
        kept = sum(committed.values())
        if committed:
            say(f"resuming: {len(committed):,} of {plan.num_shards:,} shards are committed")
        making = _Making()
        if missing:
            making = _make(spec, plan, missing, committed, connect, cpus_began=cpus_began)
        made = _all_records(storage, plan)
        if done is None:
            manifest = finish(storage, plan, made, model=_model_facts(spec))
        else:
            manifest = restore(storage, done, made)
    return _result(manifest, began) | {
        "was_finished": done is not None,
        "rows_made": manifest.num_rows - kept,
        "shards_made": len(missing),
        "making_seconds": making.seconds,
        "losses": making.losses,
    }


def _make(
    spec: GenerateSpec,
    plan: Plan,
    missing: list[Any],
    committed: dict[int, int],
    connect: Callable[[], AbstractContextManager[None]],
    *,
    cpus_began: bool,
) -> _Making:
    """Make the missing shards, adding to `committed`, the rows by shard."""
    local_model(spec.model)  # If it cannot be fetched, now is the time to say so: the manifest needs it.
    rows = kept = sum(committed.values())
    with Reporter("generating", "rows", plan.spec.count, kept) as reporter, connect():
        fleet = Fleet(spec.placement, cpus_began=cpus_began)
        reporter.update(rows, note=f"starting {fleet.size()} workers")

        def on_record(record: ShardRecord) -> None:
            nonlocal rows
            committed[record.index] = record.num_rows
            rows += record.num_rows
            reporter.update(rows, rate=(rows - kept) / max(fanout.making_seconds, 1e-9))

        journal = Journal(open_storage(spec.out), job_around() or plan.job_id(spec.out))
        journal.event("run began", shards=len(missing), rows=plan.spec.count - kept)
        fanout = Fanout(spec, fleet, on_record, journal)
        try:
            fanout.run(missing)
        except KeyboardInterrupt:
            raise Interrupted(
                f"interrupted: {len(committed):,} of {plan.num_shards:,} shards are committed in {spec.out}; "
                "the same command does the rest"
            ) from None
        finally:
            journal.event("run ended", rows=journal.rows, losses=fanout.losses.counts())
            journal.flush(now=True)
    losses = fanout.losses.counts()
    figures = RunFigures(
        rows=journal.rows,
        seconds=round(fanout.making_seconds, 3),
        rows_per_s=round(journal.rows / max(fanout.making_seconds, 1e-9), 1),
        stage_seconds=journal.stage_seconds,
    )
    write_notes(open_storage(spec.out), spec, fanout.failures, losses, figures)
    if fanout.failures:
        say(f"lost: {losses_text(losses)}")
        index, reason = next(iter(sorted(fanout.failures.items())))
        raise ShardsFailed(
            f"{len(fanout.failures)} of {plan.num_shards:,} shards could not be made (first: shard {index}: {reason}); "
            f"the other {len(committed):,} are committed in {spec.out}; the same command tries the rest again"
        )
    return _Making(fanout.making_seconds, losses)


def _all_records(storage: Storage, plan: Plan) -> list[ShardRecord]:
    """Return every commit record as it lies in storage, in order: what workers said is not proof."""
    records = read_records(storage, plan)
    if len(records) < plan.num_shards:
        raise GangenError(
            f"--out {storage.url}: {plan.num_shards - len(records):,} shards that were made cannot be seen from here; "
            "choose a folder that every node sees"
        )
    return [records[index] for index in range(plan.num_shards)]


def _model_facts(spec: GenerateSpec) -> dict[str, Any]:
    info = read_model(local_model(spec.model))
    return {
        "name": info.name,
        "digest": info.digest,
        "latent_dim": info.generator.latent_dim,
        "training": info.training,
        "quality": {name: figure.model_dump() for name, figure in info.quality.items()},
    }


def _tidy(storage: Storage) -> None:
    """Delete what a run left that was killed right after it had created the manifest; never a shard."""
    left = storage.sizes(PENDING)
    if storage.has_lock and left and all(name.startswith(f"{TEMPORARY}/") for name in left):
        with suppress(OSError, CommitConflict), storage.lock():  # A finished data set may be read-only.
            storage.remove_pending()


def _result(manifest: Manifest, began: float) -> dict[str, Any]:
    """Return what is told of a run that made nothing."""
    return {
        "manifest": manifest,
        "was_finished": True,
        "rows_made": 0,
        "shards_made": 0,
        "seconds": time.monotonic() - began,
        "making_seconds": 0.0,
        "losses": {},
    }
