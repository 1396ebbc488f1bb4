"""The begin of a generation job: its plan is written, and of plans that came to nothing nothing stays."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobs.label_store import drop_other_labels
from jobs.manifest import valid_records
from jobs.plan_files import plan_name, plan_text, write_plan

if TYPE_CHECKING:
    from jobs.plan import Plan
    from jobs.storage import Storage


def begin(storage: Storage, plan: Plan) -> None:
    """Leave the plan where workers and later runs look for it; call it under the lock, after `check_plan`.

    Where it is not there yet, labels and shards that were never committed may be those of another, given up before
    its first shard; once it is, they are taken for its own.

    Raises:
        CommitConflict: another run was first, with another plan.
    """
    if storage.read(plan_name(plan.generation)) == plan_text(plan.spec).encode():
        return
    drop_other_labels(plan.spec, storage)
    if storage.has_lock:  # Without one, what is pending may be another run's.
        records = valid_records(storage, plan)
        storage.remove_pending(keep={file.name for record in records for file in record.files.values()})
    write_plan(storage, plan)
