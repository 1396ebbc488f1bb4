"""What cures a finished data set that was checked: the one thing to do next, so that the same check then finds less."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from jobs.label_store import labels_name
from jobs.plan_files import manifest_name
from jobs.status import generating, in_words, repairing

if TYPE_CHECKING:
    from jobs.faults import Fault
    from jobs.manifest import Manifest
    from jobs.run_notes import RunNotes


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
    if any(fault.kind != "extra" and not fault.is_as_committed for fault in faults):
        return shlex.join(repairing(url, spec, notes))
    if any(fault.is_as_committed for fault in faults):
        # The manifest itself tells of rows that its model does not draw: only a new data set has those it draws.
        return shlex.join(generating(f"{url}-again", spec.model_copy(update={"extended_at": ()}), notes))
    return in_words("delete", url, [fault.file for fault in faults if fault.file])
