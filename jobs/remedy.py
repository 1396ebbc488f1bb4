"""What cures a finished data set that was checked: the one thing to do next, so that the same check then finds less."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from jobs.label_store import labels_name
from jobs.plan_files import manifest_name
from jobs.status import repairing

if TYPE_CHECKING:
    from jobs.faults import Fault
    from jobs.manifest import Manifest
    from jobs.run_notes import RunNotes

MAX_NAMED = 3
"""Files that are named in one line; the rest is counted."""


def remedy(url: str, manifest: Manifest, notes: RunNotes | None, faults: list[Fault]) -> str:
    """Return what to do about faults, the first thing first: `--repair` needs a manifest and labels that are good.

    Args:
        url: of the data set.
        manifest: its own.
        notes: of its last run.
        faults: what is wrong, not empty.
    """
    spec = manifest.spec
    labels = {labels_name(segment) for segment in range(len(spec.label_parts))}
    lost = [
        fault.file or manifest_name(len(spec.extended_at))
        for fault in faults
        if fault.kind == "manifest" or fault.file in labels
    ]
    if lost:
        return in_words("restore", url, lost)
    if any(fault.kind != "extra" for fault in faults):
        return shlex.join(repairing(url, spec, notes))
    return in_words("delete", url, [fault.file for fault in faults if fault.file])


def in_words(verb: str, url: str, names: list[str]) -> str:
    """Return a line that asks for files of a data set to be restored or deleted, quoted as a shell takes them."""
    files = list(dict.fromkeys(shlex.quote(f"{url}/{name}") for name in names))
    more = [f"and {len(files) - MAX_NAMED:,} more"] if len(files) > MAX_NAMED else []
    return " ".join([verb, *files[:MAX_NAMED], *more])
