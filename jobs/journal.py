"""What happens in a generation, told to machines: metrics for Ray's dashboard and Prometheus, a JSON line an event.

The lines lie beside the commit records, in `.gangen/events/`, in one small file for what happened in half a minute: a
folder and an object store take them alike, and no file grows with the run.
"""

from __future__ import annotations

import json
import logging
import os
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ganmodel.errors import GangenError
from jobs.storage import PRIVATE

if TYPE_CHECKING:
    from jobs.losses import Cause
    from jobs.manifest import ShardRecord
    from jobs.storage import Storage

log = logging.getLogger(__name__)

EVENTS = f"{PRIVATE}/events"

FLUSH_S = 30.0
"""Seconds of events that go into a file."""

SHARD_SECONDS = [0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300]
"""Upper bounds of the histogram of what a shard takes, by stage."""


def job_around() -> str | None:
    """Return the id of the job that we are, as Ray told its driver (2.52 to 2.60); None where we are none."""
    try:
        facts = json.loads(os.environ["RAY_JOB_CONFIG_JSON_ENV_VAR"])
        return str(facts["metadata"]["job_submission_id"])
    except (KeyError, TypeError, ValueError):
        return None


def event_line(name: str, job: str, **facts: Any) -> str:
    """Return an event as a line of JSON, now; see `Journal.event`."""
    when = datetime.now(UTC).isoformat(timespec="milliseconds")
    return json.dumps({"time": when, "event": name, "job": job, **facts})


def loss_counter() -> Any:
    """Return the metric of what jobs of every kind lose, by `job` and `cause`."""
    from ray.util.metrics import Counter

    return Counter(
        "gangen_losses", "Shards, parts and trainings that lost something, by cause.", ("job", "cause")
    )


class Journal:
    """The record of one run; needs to be connected to Ray.

    Args:
        storage: the data set's place.
        job: id of the job, as `gangen jobs` shows it where it was submitted.

    Attributes:
        rows: committed by this run.
        stage_seconds: workers' time by stage, in all.
    """

    def __init__(self, storage: Storage, job: str) -> None:
        from ray.util.metrics import Counter, Gauge, Histogram

        self.rows = 0
        self.stage_seconds: dict[str, float] = {}
        self._storage = storage
        self._job = job
        self._lines: list[str] = []
        self._run = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        self._num_parts = 0
        self._began = self._flushed = time.monotonic()
        self._row_counter = Counter("gangen_rows", "Rows committed.", ("job",))
        self._rate = Gauge("gangen_rows_per_second", "Rows committed a second since the run began.", ("job",))
        self._seconds = Histogram(
            "gangen_shard_seconds", "Seconds a shard took, by stage.", SHARD_SECONDS, ("job", "stage")
        )
        self._losses = loss_counter()

    def event(self, name: str, **facts: Any) -> None:
        """Note that something happened.

        Args:
            name: what, a few words.
            facts: about what, as `shard=3, worker="generate-5bf1c0a4-0"`; JSON values.
        """
        self._lines.append(event_line(name, self._job, **facts))

    def committed(self, record: ShardRecord, worker: str) -> None:
        """Note a shard that is whole."""
        self.rows += record.num_rows
        self._row_counter.inc(record.num_rows, {"job": self._job})
        self._rate.set(self.rows / max(time.monotonic() - self._began, 1e-9), {"job": self._job})
        for stage, spent in record.seconds.items():
            self.stage_seconds[stage] = round(self.stage_seconds.get(stage, 0.0) + spent, 4)
            self._seconds.observe(spent, {"job": self._job, "stage": stage})
        self.event(
            "shard committed", shard=record.index, worker=worker, rows=record.num_rows, seconds=record.seconds
        )

    def lost(self, cause: Cause, worker: str, shard: int | None, reason: str) -> None:
        """Note what was lost, and why."""
        self._losses.inc(1, {"job": self._job, "cause": cause.value})
        self.event(cause.value, shard=shard, worker=worker, reason=reason)

    def flush(self, *, now: bool = False) -> None:
        """Write what was noted, where that is due or asked for; what cannot be written is no reason to end a run."""
        if not self._lines or (not now and time.monotonic() - self._flushed < FLUSH_S):
            return
        self._flushed = time.monotonic()
        text = "\n".join(self._lines) + "\n"
        try:
            self._storage.write_whole(f"{EVENTS}/{self._run}-{self._num_parts:04}.jsonl", text)
        except (OSError, GangenError) as err:
            log.warning("events could not be written: %s", err)
        self._num_parts += 1
        self._lines.clear()
