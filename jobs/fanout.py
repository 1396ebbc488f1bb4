"""Giving shards to workers: bounded in flight, a lost worker's shards done again, a bad shard left aside."""

from __future__ import annotations

import logging
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from ganmodel.errors import ClusterError, GangenError
from jobs.crew import Crew, Worker
from jobs.fleet import dead_nodes
from jobs.foreign import error_text, first_line
from jobs.losses import POLICIES, Cause, Losses, classify, node_of
from jobs.manifest import ShardRecord
from jobs.node_watch import NodeWatch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ray.exceptions import RayTaskError

    from jobs.fleet import Fleet
    from jobs.journal import Journal
    from jobs.plan import ShardTask
    from jobs.specs import GenerateSpec

log = logging.getLogger(__name__)

SHARDS_IN_FLIGHT = 2
"""Shards given to a worker at a time: one at work, one waiting, so that no worker waits for the driver."""

MAX_ATTEMPTS = 3
"""Workers a shard may take down before it is left aside."""

MIN_IDLE_LOSSES = 5
"""Workers that may be lost in a row without a single shard done before we give up on the cluster, or twice the
number of workers where that is more: one node may take many with it."""

MAX_FAILURES = 20
"""Shards that may be left aside before any is done: then all are bad, and the rest is not tried."""

MAX_THROTTLED = 3
"""Shards and workers that may be throttled without a shard done, or the number of workers where that is more."""

ROOM_NOTICE_S = 120.0
"""Seconds without any worker after which we say what the cluster has free: it may lack what we ask for."""

WAIT_S = 0.5
"""Seconds between looks for a signal while nothing arrives."""


FLEET_CHECK_S = 10.0
"""Seconds between looks at what the cluster has room for."""


class Fanout:
    """Runs shard tasks on actors until each is committed or left aside.

    Args:
        spec: the job.
        fleet: how many workers there are to be, and of which kind.
        on_record: called with each commit record as it arrives.
        journal: told of what happens.

    Attributes:
        failures: reason by shard number, of the shards that were left aside.
        losses: what was lost on the way.
        making_seconds: from the first loaded worker to the last shard.
    """

    def __init__(
        self, spec: GenerateSpec, fleet: Fleet, on_record: Callable[[ShardRecord], None], journal: Journal
    ) -> None:
        self.failures: dict[int, str] = {}
        self.losses = Losses()
        self.making_seconds = 0.0
        self._began: float | None = None
        self._crew = Crew(spec, fleet, journal)
        self._journal = journal
        self._on_record = on_record
        self._waiting: deque[ShardTask] = deque()
        self._attempts: dict[int, int] = {}
        self._idle_losses = 0
        self._throttled = 0
        self._is_any_done = False

    def run(self, tasks: Iterable[ShardTask]) -> None:
        """Run the tasks.

        Raises:
            GangenError: a worker could not start, or met what would meet every shard (a changed model, a full target).
            ClusterError: workers keep dying before they finish anything, or the node that we are on has died.
        """
        import ray

        node = NodeWatch()
        self._waiting.extend(tasks)
        try:
            self._crew.resize(len(self._waiting))
            # Workers that the cluster has no room for stay in flight for ever: the shards decide.
            noticed = resized = time.monotonic()
            while self._waiting or any(worker.given for worker in self._crew.workers):
                now = time.monotonic()
                if any(worker.takes_shards for worker in self._crew.workers):
                    noticed = now
                elif now - noticed > ROOM_NOTICE_S:
                    noticed = now
                    self._notice_no_worker()
                if now - resized > FLEET_CHECK_S:
                    resized = now
                    self._crew.resize(len(self._waiting))
                done, _ = ray.wait(list(self._crew.in_flight), num_returns=1, timeout=WAIT_S)
                for ref in done:
                    self._collect(ref)
                node.check()
                for worker in self._crew.workers:
                    self._feed(worker)
                self._journal.flush()
            self.losses.settle(dead_nodes())
        finally:
            self._crew.end()

    def _notice_no_worker(self) -> None:
        import ray

        free = {k: v for k, v in ray.available_resources().items() if k in ("CPU", "GPU")}
        needs = " and ".join(f"{amount:g} {name}" for name, amount in self._crew.fleet.bundle().items())
        log.warning(
            "no worker yet: each needs %s, the cluster has %s free. If it cannot grow, stop and ask for less with "
            "--cpus-per-worker, --gpus-per-worker or --resources",
            needs,
            free,
        )

    def _feed(self, worker: Worker) -> None:
        # Near the end nobody hoards: the last shards go to whoever is free.
        limit = SHARDS_IN_FLIGHT if len(self._waiting) > len(self._crew.workers) else 1
        while self._waiting and worker.takes_shards and len(worker.given) < limit:
            task = self._waiting.popleft()
            worker.given.append(task)
            make = worker.handle.make.options(name=f"GenerateWorker.shard-{task.index}")  # For the dashboard.
            self._crew.in_flight[make.remote(task.index)] = (worker, task)

    def _collect(self, ref: Any) -> None:
        import ray
        from ray.exceptions import RayError, RayTaskError

        worker, task = self._crew.in_flight.pop(ref)
        try:
            value = ray.get(ref)
        except RayTaskError as err:
            self._refused(worker, task, err)
        except RayError as err:
            self._lose(worker, err)
        else:
            if task is None:
                self._began = self._began or time.monotonic()
                self._waiting.extendleft(reversed(self._crew.loaded(worker, value, len(self._waiting))))
                return
            worker.given.remove(task)
            self._idle_losses = self._throttled = 0
            self._is_any_done = True
            self.making_seconds = time.monotonic() - (self._began or 0.0)
            record = ShardRecord.model_validate_json(value)
            self._journal.committed(record, worker.name)
            self._on_record(record)

    def _refused(self, worker: Worker, task: ShardTask | None, err: RayTaskError) -> None:
        """Deal with what a worker that is well has raised."""
        from ray.exceptions import RayError

        cause = err.cause
        if isinstance(cause, RayError) and worker.drawer in self._crew.workers:
            # What failed was not the encoder, but the one that draws for it.
            self._lose(worker.drawer, cause)
            return
        kind = classify(cause)
        if kind is Cause.STORAGE_THROTTLED:
            self._put_off(worker, task, cause)
            return
        if POLICIES[kind].ends or (task is None and isinstance(cause, GangenError)):
            raise cause from err
        if task is None:
            raise GangenError(f"a worker could not start: {error_text(cause)}") from err
        if POLICIES[kind].again:
            self._lose(worker, cause)  # It is there, and no longer fit for anything.
            return
        worker.given.remove(task)
        self._leave_aside(worker, task, error_text(cause))

    def _put_off(self, worker: Worker, task: ShardTask | None, cause: Exception) -> None:
        """Make a shard, or start a worker, later that the storage had no patience for; give up where it never has."""
        self._note_loss(Cause.STORAGE_THROTTLED, worker, task, str(cause))
        self._throttled += 1
        if self._throttled > max(MAX_THROTTLED, len(self._crew.workers)):
            raise cause
        if task is None:
            log.warning("the storage throttles us; a worker that could not start is replaced")
            self._waiting.extendleft(reversed(self._crew.replace(worker, len(self._waiting))))
            return
        log.warning("the storage throttles us; shard %d is made later", task.index)
        worker.given.remove(task)
        self._waiting.append(task)

    def _lose(self, worker: Worker, err: Exception) -> None:
        """Replace a worker that died; the shard it was at is blamed, those behind it are not."""
        kind = classify(err)
        self._note_loss(kind, worker, worker.given[0] if worker.given else None, str(err), node_of(err))
        # Where shards do get done, a loss at one is that shard's, and counted there.
        self._idle_losses += kind is not Cause.PREEMPTED and not (worker.given and self._is_any_done)
        log.warning("a worker was lost (%s: %s); its shards are done again", kind.value, type(err).__name__)
        if self._idle_losses > max(MIN_IDLE_LOSSES, 2 * len(self._crew.workers)):
            reason = first_line(err)
            raise ClusterError(
                f"{self._idle_losses} workers in a row were lost before they finished a shard ({reason}); "
                "see Ray's logs, and check the memory a worker has (it needs about 1 GB)"
            )
        if worker.given and POLICIES[kind].blames:
            task = worker.given.popleft()
            self._attempts[task.index] = self._attempts.get(task.index, 0) + 1
            if self._attempts[task.index] >= MAX_ATTEMPTS:
                self._leave_aside(worker, task, f"took down {MAX_ATTEMPTS} workers")
            else:
                # Last: what is bad about it should not keep the others waiting.
                self._waiting.append(task)
        self._waiting.extendleft(reversed(self._crew.replace(worker, len(self._waiting))))

    def _note_loss(
        self, cause: Cause, worker: Worker, task: ShardTask | None, reason: str, node: str = ""
    ) -> None:
        self.losses.add(cause, node or worker.node)
        self._journal.lost(cause, worker.name, task.index if task else None, (reason.splitlines() or [""])[0])

    def _leave_aside(self, worker: Worker, task: ShardTask, reason: str) -> None:
        log.error("shard %d was left aside: %s", task.index, reason)
        self._note_loss(Cause.POISONED_SHARD, worker, task, reason)
        self.failures[task.index] = reason
        if not self._is_any_done and len(self.failures) >= MAX_FAILURES:
            log.error("the other shards are not tried: the first %d all failed", MAX_FAILURES)
            self._waiting.clear()
