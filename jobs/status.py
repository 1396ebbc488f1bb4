"""How far a data set is, from storage alone: no cluster, no run need be there."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from ganmodel.errors import DataError, ModelError
from ganmodel.label_file import PREFIX
from ganmodel.model_dir import PRETRAINED, read_model
from jobs.dataset_spec import LABELS_FROM_FILE, WHOLE
from jobs.manifest import UnreadableManifest, file_sizes, read_manifest, read_records
from jobs.plan import Plan
from jobs.plan_files import commit_name, latest_spec
from jobs.run_notes import RunNotes, read_notes
from jobs.writers import format_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jobs.dataset_spec import DatasetSpec
    from jobs.manifest import ShardRecord
    from jobs.storage import Storage

MAX_LISTED = 20
"""Missing shards that are named; the rest is counted."""

MAX_NAMED = 3
"""Files that are named in one line; the rest is counted."""

NOT_MADE = "not made yet"
"""Why most shards are missing that are."""

UNKNOWN_MODEL = "MODEL"
"""What stands in a command for a model's folder that nobody wrote down."""


def status(storage: Storage) -> dict[str, Any]:
    """Return how far a data set is.

    Returns:
        JSON values: `status` (`finished`, `damaged` where files of a finished one are gone or its manifest cannot be
        read, or `unfinished`), counts planned and done, `missing` (number, rows and reason of up to `MAX_LISTED`
        shards, those not made yet last), `unreadable` (the manifest, where that is so), `last_run` (what it did and
        lost), and `next`, the command that continues.

    Raises:
        DataError: nothing was ever begun there.
        CommitConflict: the plan cannot be read.
    """
    spec = latest_spec(storage)
    if spec is None:
        raise DataError(
            f"{storage.url}: holds no data set; give a folder that `gangen generate` was started in"
        )
    plan, notes, unreadable = Plan(spec), read_notes(storage), None
    try:
        manifest = read_manifest(storage, plan, check_files=False)
    except UnreadableManifest as err:
        manifest, unreadable = None, err.name
    sizes = file_sizes(storage) if manifest is None else storage.sizes()
    if manifest is not None:
        records = {
            record.index: record
            for record in manifest.shards
            if all(sizes.get(file.name) == file.size_bytes for file in record.files.values())
        }
    else:
        records = read_records(storage, plan)
    missing = [
        {"shard": task.index, "first_row": task.first_row, "rows": task.num_rows}
        | {"why": _why(task.index, sizes, notes, is_finished=manifest is not None)}
        for task in plan.tasks()
        if task.index not in records
    ]
    state = "unfinished" if manifest is None else "damaged" if missing else "finished"
    then = _next(storage, spec, notes, state)
    if unreadable is not None:
        state, then = "damaged", in_words("restore", storage.url, [unreadable])
    return {
        "status": state,
        "dataset": storage.url,
        "rows": spec.count,
        "rows_done": sum(record.num_rows for record in records.values()),
        "shards": plan.num_shards,
        "shards_done": len(records),
        "segments": [end for _, end in spec.segments],
        "splits": plan.split_rows(),
        "size_bytes": _size_bytes(spec, records.values()),
        "rows_per_core_s": _rate(records.values()),
        "missing_shards": len(missing),
        "missing": sorted(missing, key=lambda entry: entry["why"] == NOT_MADE)[:MAX_LISTED],
        "plan_digest": plan.digest,
        "rows_digest": manifest.rows_digest if manifest else None,
        "unreadable": unreadable,
        "last_run": _last_run(notes),
        "next": then,
    }


def _last_run(notes: RunNotes | None) -> dict[str, Any] | None:
    """Return what the last run did and lost; None where it made nothing, or was ended before it could say."""
    if notes is None or notes.figures is None:
        return None
    return {**notes.figures.model_dump(), "losses": notes.losses}


def job_id(storage: Storage) -> str | None:
    """Return the id of the job that makes a data set where it is made on a cluster; None where there is no data set."""
    spec = latest_spec(storage)
    return Plan(spec).job_id(storage.url) if spec else None


def _why(index: int, sizes: dict[str, int], notes: RunNotes | None, *, is_finished: bool) -> str:
    if is_finished:
        return "its files are gone or cut"
    if notes and index in notes.failures:
        return f"the last run left it aside: {notes.failures[index]}"
    if commit_name(index) in sizes:
        return "its record does not fit its files"
    return NOT_MADE


def _size_bytes(spec: DatasetSpec, records: Iterable[ShardRecord]) -> dict[str, int]:
    sizes: dict[str, int] = dict.fromkeys(map(str, spec.formats), 0)
    for record in records:
        for key, file in record.files.items():
            sizes[format_of(key)] += file.size_bytes
    return sizes


def _rate(records: Iterable[ShardRecord]) -> float | None:
    """Return rows a second of one worker, from the time that shards took; None where none tells."""
    rows = seconds = 0.0
    for record in records:
        rows += record.num_rows
        seconds += sum(record.seconds.values())
    return rows / seconds if seconds else None


def _next(storage: Storage, spec: DatasetSpec, notes: RunNotes | None, state: str) -> str:
    if state == "finished":
        return shlex.join(["gangen", "verify", storage.url])
    return shlex.join((repairing if state == "damaged" else continuing)(storage.url, spec, notes))


def continuing(out: str, spec: DatasetSpec, notes: RunNotes | None) -> list[str]:
    """Return the command that finishes a data set; it asks for the very plan that lies there."""
    if notes and notes.exported_from:
        words = ["gangen", "export", notes.exported_from, "--to", ",".join(spec.formats), "--out", out]
        return [*words, "--image-encoding", spec.image_encoding]
    return generating(out, spec, notes)


def repairing(out: str, spec: DatasetSpec, notes: RunNotes | None) -> list[str]:
    """Return the command that makes what is damaged of a finished data set again, exported or drawn."""
    return [*generating(out, spec, notes), "--repair"]


def generating(out: str, spec: DatasetSpec, notes: RunNotes | None) -> list[str]:
    """Return the command that draws a data set, with or without `--extend` as it was made."""
    words = ["gangen", "generate", "--count", str(spec.count), "--out", out]
    words += ["--model", model_folder(spec, notes) or UNKNOWN_MODEL]
    file = notes.labels_file if notes else None
    words += ["--labels", f"{PREFIX}{file or 'LABELS'}" if spec.labels == LABELS_FROM_FILE else spec.labels]
    words += [
        "--seed",
        str(spec.seed),
        "--shard-rows",
        str(spec.shard_rows),
        "--format",
        ",".join(spec.formats),
    ]
    if spec.truncation != 1:
        words += ["--truncation", repr(spec.truncation)]
    if spec.precision != "float32":
        words += ["--precision", spec.precision]
    if spec.image_encoding != "png":
        words += ["--image-encoding", spec.image_encoding]
    if spec.splits != WHOLE:
        words += ["--splits", ",".join(f"{name}={share}" for name, share in spec.splits)]
    return [*words, "--extend"] if spec.extended_at else words


def in_words(verb: str, url: str, names: list[str]) -> str:
    """Return a line that asks for files of a data set to be restored or deleted, quoted as a shell takes them."""
    files = list(dict.fromkeys(shlex.quote(f"{url}/{name}") for name in names))
    more = [f"and {len(files) - MAX_NAMED:,} more"] if len(files) > MAX_NAMED else []
    return " ".join([verb, *files[:MAX_NAMED], *more])


def model_folder(spec: DatasetSpec, notes: RunNotes | None) -> str | None:
    """Return the place of a data set's model: where the last run had it, or in the package; None if in neither."""
    for folder in (notes.model if notes else PRETRAINED, PRETRAINED):
        # Whoever fetches it compares its digest; how far a data set is asks no other store.
        if "://" in folder:
            return folder
        try:
            if read_model(folder).digest == spec.model_digest:
                return folder
        except ModelError:
            continue
    return None
