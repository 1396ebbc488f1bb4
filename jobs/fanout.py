"""Giving shards to workers: bounded in flight, a lost worker's shards done again, a bad shard left aside."""

from __future__ import annotations

import logging
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ganmodel.errors import ClusterError, CommitConflict, GangenError, SpecError
from jobs.manifest import ShardRecord
from jobs.node_watch import NodeWatch
from jobs.target import TargetError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

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

FOR_ALL = (TargetError, SpecError, CommitConflict)
"""What meets one shard and would meet every other: a full target, a changed model, a plan that is another."""

ROOM_NOTICE_S = 120.0
"""Seconds without any worker after which we say what the cluster has free: it may lack what we ask for."""

WAIT_S = 0.5
"""Seconds between looks for a signal while nothing arrives."""


@dataclass(slots=True, eq=False)
class _Worker:
    handle: Any
    is_loaded: bool = False
    given: deque[ShardTask] = field(default_factory=deque)


class Fanout:
    """Runs shard tasks on actors until each is committed or left aside.

    Args:
        spec: the job.
        num_workers: actors to hold.
        on_record: called with each commit record as it arrives.

    Attributes:
        failures: reason by shard number, of the shards that were left aside.
        making_seconds: from the first loaded worker to the last shard.
    """

    def __init__(
        self, spec: GenerateSpec, num_workers: int, on_record: Callable[[ShardRecord], None]
    ) -> None:
        self.failures: dict[int, str] = {}
        self.making_seconds = 0.0
        self._began: float | None = None
        self._spec = spec
        self._num_workers = num_workers
        self._on_record = on_record
        self._waiting: deque[ShardTask] = deque()
        self._attempts: dict[int, int] = {}
        self._in_flight: dict[Any, tuple[_Worker, ShardTask | None]] = {}
        self._workers: list[_Worker] = []
        self._idle_losses = 0
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
            for _ in range(min(self._num_workers, len(self._waiting))):
                self._start_worker()
            # Workers that the cluster has no room for stay in flight for ever: the shards decide.
            noticed = time.monotonic()
            while self._waiting or any(worker.given for worker in self._workers):
                if any(worker.is_loaded for worker in self._workers):
                    noticed = time.monotonic()
                elif time.monotonic() - noticed > ROOM_NOTICE_S:
                    noticed = time.monotonic()
                    self._notice_no_worker()
                done, _ = ray.wait(list(self._in_flight), num_returns=1, timeout=WAIT_S)
                for ref in done:
                    self._collect(ref)
                node.check()
                for worker in self._workers:
                    self._feed(worker)
        finally:
            for worker in self._workers:
                ray.kill(worker.handle)

    def _notice_no_worker(self) -> None:
        import ray

        free = {k: v for k, v in ray.available_resources().items() if k in ("CPU", "GPU")}
        log.warning(
            "no worker yet: each needs 1 CPU and %g GPU, the cluster has %s free. If it cannot grow, stop and ask for "
            "less with --gpus-per-worker",
            self._spec.gpus_per_worker,
            free,
        )

    def _start_worker(self) -> None:
        from jobs.tasks import GenerateWorker

        options = {"num_cpus": 1, "num_gpus": self._spec.gpus_per_worker}
        handle = GenerateWorker.options(**options).remote(self._spec.model_dump_json())  # type: ignore[attr-defined]
        worker = _Worker(handle)
        self._workers.append(worker)
        self._in_flight[handle.load.remote()] = (worker, None)

    def _feed(self, worker: _Worker) -> None:
        # Near the end nobody hoards: the last shards go to whoever is free.
        limit = SHARDS_IN_FLIGHT if len(self._waiting) > len(self._workers) else 1
        while self._waiting and worker.is_loaded and len(worker.given) < limit:
            task = self._waiting.popleft()
            worker.given.append(task)
            self._in_flight[worker.handle.make.remote(task.index)] = (worker, task)

    def _collect(self, ref: Any) -> None:
        import ray
        from ray.exceptions import RayError, RayTaskError

        worker, task = self._in_flight.pop(ref)
        try:
            value = ray.get(ref)
        except RayTaskError as err:
            cause = err.cause
            if isinstance(cause, FOR_ALL) or (task is None and isinstance(cause, GangenError)):
                raise cause from err
            if task is None:
                raise GangenError(f"a worker could not start: {type(cause).__name__}: {cause}") from err
            worker.given.remove(task)
            is_ours = isinstance(cause, GangenError)
            self._leave_aside(task, str(cause) if is_ours else f"{type(cause).__name__}: {cause}")
        except RayError as err:
            self._lose(worker, err)
        else:
            if task is None:
                worker.is_loaded = True
                self._began = self._began or time.monotonic()
                return
            worker.given.remove(task)
            self._idle_losses = 0
            self._is_any_done = True
            self.making_seconds = time.monotonic() - (self._began or 0.0)
            self._on_record(ShardRecord.model_validate_json(value))

    def _lose(self, worker: _Worker, err: Exception) -> None:
        """Replace a worker that died; the shard it was at is blamed, those behind it are not."""
        import ray

        is_preempted = bool(getattr(err, "preempted", False))
        # Where shards do get done, a loss at one is that shard's, and counted there.
        self._idle_losses += not is_preempted and not (worker.given and self._is_any_done)
        log.warning("a worker was lost (%s); its shards are done again", type(err).__name__)
        self._workers.remove(worker)
        ray.kill(worker.handle)  # It may be out of reach and alive, on the core its successor needs.
        self._in_flight = {ref: pair for ref, pair in self._in_flight.items() if pair[0] is not worker}
        if self._idle_losses > max(MIN_IDLE_LOSSES, 2 * self._num_workers):
            reason = str(err).splitlines()[0]
            raise ClusterError(
                f"{self._idle_losses} workers in a row were lost before they finished a shard ({reason}); "
                "see Ray's logs, and check the memory a worker has (it needs about 1 GB)"
            )
        if worker.given:
            task = worker.given.popleft()
            self._attempts[task.index] = self._attempts.get(task.index, 0) + (not is_preempted)
            if self._attempts[task.index] >= MAX_ATTEMPTS:
                self._leave_aside(task, f"took down {MAX_ATTEMPTS} workers")
            else:
                # Last: what is bad about it should not keep the others waiting.
                self._waiting.append(task)
        self._waiting.extendleft(reversed(worker.given))
        self._start_worker()

    def _leave_aside(self, task: ShardTask, reason: str) -> None:
        log.error("shard %d was left aside: %s", task.index, reason)
        self.failures[task.index] = reason
        if not self._is_any_done and len(self.failures) >= MAX_FAILURES:
            log.error("the other shards are not tried: the first %d all failed", MAX_FAILURES)
            self._waiting.clear()
