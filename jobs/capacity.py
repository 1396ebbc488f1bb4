"""Whether a place can hold a data set: its free space, and the largest file it takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ganmodel.errors import SpecError
from ganmodel.latents import BLOCK_ROWS
from jobs.manifest import valid_records

if TYPE_CHECKING:
    from jobs.plan import Plan
    from jobs.storage import Storage

SIZE_MARGIN = 1.1
"""Room left in the largest file a place takes, as a multiple of the estimate."""

FREE_SPACE_MARGIN = 1.1
"""Free space asked for, as a multiple of the estimate."""


def check_space(storage: Storage, plan: Plan, cure: str) -> None:
    """Refuse a place with too little room for the rows that are missing.

    Args:
        storage: the place.
        plan: what is to be there.
        cure: what else the user may do than choose another folder.

    Raises:
        SpecError: it has too little.
    """
    free = storage.free_bytes()
    if free is None:
        return
    missing_rows = plan.spec.count - sum(record.num_rows for record in valid_records(storage, plan))
    needed = sum(plan.estimated_bytes().values()) * missing_rows // plan.spec.count
    if free < needed * FREE_SPACE_MARGIN:
        raise SpecError(
            f"--out {storage.url}: about {needed / 1e9:,.2f} GB are needed, {free / 1e9:,.2f} GB are free; "
            f"choose another folder, {cure}"
        )


def check_file_sizes(storage: Storage, plan: Plan, option: str) -> None:
    """Refuse shards that a place cannot hold as one file.

    Args:
        storage: the place.
        plan: what is to be there.
        option: what named their size or, where that is given, their formats.

    Raises:
        SpecError: one is too large.
    """
    limit = storage.max_file_bytes
    if limit is None:
        return
    row_bytes, format_name = max((n / plan.spec.count, name) for name, n in plan.estimated_bytes().items())
    most = int(limit / SIZE_MARGIN / row_bytes) // BLOCK_ROWS * BLOCK_ROWS
    rows = plan.spec.shard_rows
    if min(rows, plan.spec.count) <= most:
        return
    is_given = option != "--shard-rows"
    what = f"{option}: a shard of {rows:,} rows" if is_given else f"--shard-rows {rows:,}:"
    cure = "choose another format, or a folder on a disk" if is_given else f"use at most {most:,}"
    raise SpecError(
        f"{what} gives {format_name} files of about {rows * row_bytes / 1e9:,.1f} GB, an object store takes "
        f"{limit / 1e9:,.0f} GB; {cure}"
    )
