"""What happens in a training, told to machines: metrics for Ray's dashboard and Prometheus, a JSON line an event.

The lines lie beside the losses of the networks, in `events.jsonl` of the model's folder.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganmodel.errors import Interrupted
from jobs.journal import event_line, loss_counter

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from jobs.losses import Cause
    from jobs.setbacks import Account

log = logging.getLogger(__name__)

EVENTS_FILE = "events.jsonl"


class TrainJournal:
    """The record of one training; needs to be connected to Ray.

    Lines are held back until a step is reached: then the chief has the folder's lock. What is refused before, because
    another training is at work there or made the checkpoints, leaves no line in the other's file.

    Args:
        folder: of the model.
        job: id of the job, as `gangen jobs` shows it where it was submitted.
    """

    def __init__(self, folder: str, job: str) -> None:
        from ray.util.metrics import Gauge

        self._path = Path(folder) / EVENTS_FILE
        self._job = job
        self._step = 0
        self._held: list[str] = []
        self._is_held = True
        self._steps = Gauge("gangen_train_step", "Optimizer steps taken.", ("job",))
        self._rate = Gauge("gangen_train_images_per_second", "Images trained on a second.", ("job",))
        self._losses = loss_counter()

    def began(self, step: int, *, workers: list[str], nodes: list[str]) -> None:
        """Note that a group begins at a step: its workers by name, and the ids of their nodes."""
        self._step = step
        self._event("training began", step=step, workers=workers, nodes=nodes)

    def progress(self, progress: Mapping[str, Any]) -> None:
        """Note how far the training is.

        Args:
            progress: a `TrainProgress` as a dict.
        """
        self._rate.set(progress["images_per_s"], {"job": self._job})
        self.reached(progress["step"])

    def reached(self, step: int) -> None:
        """Note the steps that have been taken."""
        self._step = step
        self._steps.set(step, {"job": self._job})
        self._is_held = False
        self._write()

    def lost(self, cause: Cause, *, worker: str | None, reason: str) -> None:
        """Note what was lost, and why; `worker` is the one that says so, where one does."""
        self._losses.inc(1, {"job": self._job, "cause": cause.value})
        self._event(cause.value, worker=worker, step=self._step, reason=reason)

    @contextmanager
    def ending(self, account: Account) -> Iterator[None]:
        """Note how what is done inside ends: finished, stopped or failed."""
        status = "failed"
        try:
            yield
            status = "finished"
        except (Interrupted, KeyboardInterrupt):
            status = "stopped"
            raise
        finally:
            self._event("training ended", status=status, step=self._step, losses=account.losses())

    def _event(self, name: str, **facts: Any) -> None:
        self._held.append(event_line(name, self._job, **facts) + "\n")
        self._write()

    def _write(self) -> None:
        if self._is_held or not self._held:
            return
        try:
            # The folder is for a worker to make: where the driver's disk is another, none is made there.
            if self._path.parent.is_dir():
                with self._path.open("a") as lines:
                    lines.writelines(self._held)
        except OSError as err:
            log.warning("events could not be written: %s", err)
        self._held.clear()
