"""What a check of a data set may find, as values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from jobs.manifest import ShardRecord

FaultKind = Literal[
    "changed",
    "duplicate",
    "extra",
    "label",
    "manifest",
    "metadata",
    "missing",
    "pixels",
    "record",
    "swapped",
    "truncated",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that is not as the manifest says.

    Attributes:
        kind: one word for machines.
        what: what was found, a phrase for people.
        file: the file, a path within the data set.
        shard: number of the shard it is in; None where it is in none.
        row: global index of the first row concerned; None where no row is.
        num_rows: rows among which the damage lies, from `row` on: 1 where it is this row.
        is_as_committed: whether the file's bytes are those the manifest tells of: no repair can change them.
    """

    kind: FaultKind
    what: str
    file: str | None = None
    shard: int | None = None
    row: int | None = None
    num_rows: int = 0
    is_as_committed: bool = False

    def facts(self) -> dict[str, Any]:
        """Return the fault as JSON values."""
        names = ("kind", "file", "shard", "row", "num_rows", "what", "is_as_committed")
        return {name: getattr(self, name) for name in names}

    def __str__(self) -> str:
        """Return a line for people."""
        where = [self.file] if self.file else []
        if self.shard is not None:
            where.append(f"shard {self.shard}")
        if self.row is not None:
            last = self.row + self.num_rows - 1
            where.append(f"row {self.row:,}" if self.num_rows == 1 else f"rows {self.row:,} to {last:,}")
        return f"{self.kind}: {', '.join(where)}: {self.what}" if where else f"{self.kind}: {self.what}"


def shard_fault(
    record: ShardRecord, kind: FaultKind, what: str, file: str | None = None, row: int | None = None
) -> Fault:
    """Return a fault in a shard, of one row or, where no row is known, of any of them."""
    return Fault(
        kind=kind,
        what=what,
        file=file,
        shard=record.index,
        row=record.first_row if row is None else row,
        num_rows=record.num_rows if row is None else 1,
    )
