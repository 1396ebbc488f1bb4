"""What happens in a training, told to machines: metrics for Ray's dashboard and Prometheus, a JSON line an event.

The lines lie beside the losses of the networks, in `events.jsonl` of the model's folder.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobs.journal import event_line, loss_counter

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jobs.losses import Cause

log = logging.getLogger(__name__)

EVENTS_FILE = "events.jsonl"


class TrainJournal:
    """The record of one training; needs to be connected to Ray.

    Args:
        folder: of the model.
        job: id of the job, as `gangen jobs` shows it where it was submitted.

    Attributes:
        step: the last that was heard of.
    """

    def __init__(self, folder: str, job: str) -> None:
        from ray.util.metrics import Gauge

        self.step = 0
        self._path = Path(folder) / EVENTS_FILE
        self._job = job
        self._lines: list[str] = []
        self._steps = Gauge("gangen_train_step", "Optimizer steps taken.", ("job",))
        self._rate = Gauge("gangen_train_images_per_second", "Images trained on a second.", ("job",))
        self._losses = loss_counter()

    def event(self, name: str, **facts: Any) -> None:
        """Note that something happened; what cannot be written is no reason to end a training.

        Args:
            name: what, a few words.
            facts: about what, as `step=200, worker="train-mine-0-1"`; JSON values.
        """
        self._lines.append(event_line(name, self._job, **facts) + "\n")
        self._flush()

    def progress(self, progress: Mapping[str, Any]) -> None:
        """Note how far the training is.

        Args:
            progress: a `TrainProgress` as a dict.
        """
        self.step = progress["step"]
        self._flush()
        self._steps.set(self.step, {"job": self._job})
        self._rate.set(progress["images_per_s"], {"job": self._job})

    def lost(self, cause: Cause, *, worker: str, step: int, reason: str) -> None:
        """Note what was lost, after which step, and why."""
        self._losses.inc(1, {"job": self._job, "cause": cause.value})
        self.event(cause.value, worker=worker, step=step, reason=reason)

    def _flush(self) -> None:
        # The folder is for a worker to make: where the driver's disk is another, none is made there.
        if not self._lines or not self._path.parent.is_dir():
            return
        try:
            with self._path.open("a") as lines:
                lines.writelines(self._lines)
        except OSError as err:
            log.warning("events could not be written: %s", err)
        self._lines.clear()
