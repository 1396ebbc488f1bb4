"""What the last run of a data set leaves for people: how it was started, and which shards it left aside and why.

No part of what the data set is: another model folder of one digest writes the same rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field, ValidationError

from ganmodel.config import FrozenModel
from ganmodel.model_dir import PRETRAINED
from jobs.storage import PRIVATE
from jobs.target import reading_errors

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jobs.specs import GenerateSpec
    from jobs.storage import Storage

RUN_FILE = f"{PRIVATE}/run.json"


class RunFigures(FrozenModel):
    """What the last run that made shards did.

    Attributes:
        rows: that it committed.
        seconds: from the first worker to the last shard.
        rows_per_s: while it made them.
        stage_seconds: workers' time by stage, in all.
    """

    rows: int
    seconds: float
    rows_per_s: float
    stage_seconds: dict[str, float]


class RunNotes(FrozenModel):
    """What is told of the last run.

    Attributes:
        model: folder of the model, or `pretrained`.
        labels_file: where the labels were read from, None for a rule.
        exported_from: the data set whose rows are read; None where rows are drawn.
        failures: reason by number of each shard that was left aside.
        losses: how many workers, nodes, ... were lost on the way, by cause, see `jobs.losses`.
        figures: of what the run did, once its last shard was made; None before.
    """

    model: str
    labels_file: str | None = None
    exported_from: str | None = None
    failures: dict[int, str] = Field(default_factory=dict)
    losses: dict[str, int] = Field(default_factory=dict)
    figures: RunFigures | None = None


def write_notes(
    storage: Storage,
    spec: GenerateSpec,
    failures: Mapping[int, str] | None = None,
    losses: Mapping[str, int] | None = None,
    figures: RunFigures | None = None,
) -> None:
    """Leave the notes of a run: when it begins, and again when its last shard is made or left aside."""
    notes = RunNotes(
        model=spec.model,
        labels_file=spec.labels_file,
        failures=dict(failures or {}),
        losses=dict(losses or {}),
        figures=figures,
    )
    storage.write_whole(RUN_FILE, notes.model_dump_json(indent=1) + "\n")


def pass_notes(source: Storage, target: Storage) -> None:
    """Leave the notes of a run that reads the rows of another data set: its model and labels, and where it is."""
    with reading_errors(source.url):
        notes = read_notes(source) or RunNotes(model=PRETRAINED)
    passed = RunNotes(model=notes.model, labels_file=notes.labels_file, exported_from=source.url)
    target.write_whole(RUN_FILE, passed.model_dump_json(indent=1) + "\n")


def read_notes(storage: Storage) -> RunNotes | None:
    """Return the notes of the last run, None if there are none that can be read."""
    try:
        return RunNotes.model_validate_json(storage.read(RUN_FILE) or b"")
    except ValidationError:
        return None
