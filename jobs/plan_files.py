"""The private files of a data set: their names, and the plan that says what a place holds or is to hold.

.gangen/plan.json            what is being made; written first
.gangen/commits/00042.json   one a shard, after its files are whole and in place
.gangen/manifest.json        everything, created once when every shard has a valid record

An extension leaves all of them as they are and adds plan-001.json, commit records and manifest-001.json, which tells of
the whole data set again. Two different extensions of one data set meet at the same name: one of them is refused.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from ganmodel.errors import CommitConflict
from jobs.dataset_spec import DatasetSpec
from jobs.plan import Plan
from jobs.storage import PRIVATE

if TYPE_CHECKING:
    from jobs.storage import Storage

PLAN_FILE = f"{PRIVATE}/plan.json"
MANIFEST_FILE = f"{PRIVATE}/manifest.json"
COMMITS = f"{PRIVATE}/commits"
COMMIT_NAME = re.compile(rf"{re.escape(COMMITS)}/([0-9]{{5}})\.json")


def commit_name(index: int) -> str:
    """Return the name of a shard's commit record."""
    return f"{COMMITS}/{index:05d}.json"


def plan_name(generation: int) -> str:
    """Return the name of the plan of a data set that has been extended `generation` times."""
    return f"{PRIVATE}/plan-{generation:03d}.json" if generation else PLAN_FILE


def manifest_name(generation: int) -> str:
    """Return the name of the manifest likewise."""
    return f"{PRIVATE}/manifest-{generation:03d}.json" if generation else MANIFEST_FILE


def plan_text(spec: DatasetSpec) -> str:
    """Return the content of a plan's file."""
    return json.dumps(spec.identity(), indent=1) + "\n"


def latest_spec(storage: Storage) -> DatasetSpec | None:
    """Return the last plan that was begun in a place, None where there is none.

    Raises:
        CommitConflict: it cannot be read.
    """
    found, generation = None, 0
    while data := storage.read(plan_name(generation)):
        found, generation = data, generation + 1
    if found is None:
        return None
    try:
        return DatasetSpec.model_validate_json(found)
    except ValidationError as err:
        name = plan_name(generation - 1)
        raise CommitConflict(
            f"--out {storage.url}: {name} cannot be read; choose another folder, or restore it"
        ) from err


def changed_fields(old: DatasetSpec, new: DatasetSpec) -> list[str]:
    """Return one phrase for each field in which two specs differ."""
    theirs, mine = old.model_dump(mode="json"), new.model_dump(mode="json")
    differ = [k for k in mine if mine[k] != theirs[k]]
    if "labels" in differ and "label_parts" in differ:
        differ.remove("label_parts")  # What is in a file, and that there is one: one change.
    return [f"{k}: {_short(theirs[k])} there, {_short(mine[k])} asked" for k in differ]


def check_plan(storage: Storage, plan: Plan) -> None:
    """Refuse a place that holds another data set or files of someone else.

    Under a lock, a plan of which nothing has been made yet (a run that was refused or stopped at once) is no data
    set. Without one it may be the plan of a run that is at work.

    Raises:
        CommitConflict: it does; the message names the first fields that differ.
    """
    if storage.is_occupied():
        raise CommitConflict(
            f"--out {storage.url}: holds files that are not gangen's; choose an empty folder"
        )
    old = latest_spec(storage)
    if old is None or old == plan.spec:
        return
    generation = len(old.extended_at)
    is_finished = storage.read(manifest_name(generation)) is not None
    if generation and not is_finished:
        # Of an extension that was given up at once nothing is there; what it was to extend is.
        base = old.before_extension(generation - 1)
        others = plan.spec.before_extension(generation - 1) if plan.generation >= generation else plan.spec
        if others != base:
            old, is_finished = base, True
    changed = "; ".join(changed_fields(old, plan.spec))
    if generation < plan.generation and plan.spec.before_extension(generation) == old:
        if not is_finished:
            raise CommitConflict(
                f"--out {storage.url}: its {old.count:,} rows are not finished; run the command that began them "
                "again, then --extend"
            )
        return
    if is_finished or _is_begun(storage, Plan(old)):
        hint = ", or add --extend" if _is_grown(old, plan.spec) else ""
        raise CommitConflict(
            f"--out {storage.url}: holds another data set ({changed}); choose another folder, or ask for what is "
            f"there{hint}"
        )
    if not storage.has_lock:
        raise CommitConflict(
            f"--out {storage.url}: another data set has been begun there ({changed}); choose another "
            f"folder, or delete {plan_name(generation)} if no run is at work on it"
        )


def _is_grown(old: DatasetSpec, new: DatasetSpec) -> bool:
    """Return whether a spec is another one with no fewer rows, whenever these came, and no other difference."""
    growth = {"count": new.count, "extended_at": new.extended_at, "label_parts": new.label_parts}
    return old.model_copy(update=growth) == new and new.count >= old.count


def _is_begun(storage: Storage, plan: Plan) -> bool:
    """Return whether a shard that the last segment of a plan adds has been committed."""
    first = next(s.first_index for s in plan.sections if s.segment == plan.generation)
    numbers = (int(match[1]) for name in storage.sizes(COMMITS) if (match := COMMIT_NAME.fullmatch(name)))
    return any(number >= first for number in numbers)


def write_plan(storage: Storage, plan: Plan) -> None:
    """Leave the plan where workers and later runs look for it; call it under the lock, after `check_plan`.

    Raises:
        CommitConflict: another run was first, with another plan.
    """
    for generation in range(plan.generation + 1):
        name, text = plan_name(generation), plan_text(plan.spec.before_extension(generation))
        if storage.read(name) == text.encode():
            continue
        if storage.has_lock:
            storage.write_whole(name, text)
        else:
            storage.create_once(name, text)


def _short(value: Any) -> str:
    if isinstance(value, list):
        value = ",".join(str(part["sha256"] if isinstance(part, dict) else part) for part in value) or "none"
    text = str(value)
    return text if len(text) <= 24 else f"{text[:12]}..."
