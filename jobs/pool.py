"""Parts of a job given to actors, one a core: whoever is free takes the next, and a lost worker's part is done again.

For a handful of parts that return something; `jobs.fanout` is for shards by the thousand.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from ganmodel.errors import ClusterError, GangenError
from jobs.fleet import dead_nodes
from jobs.foreign import error_text, first_line
from jobs.journal import job_around, loss_counter
from jobs.losses import OF_THE_NODE, POLICIES, Losses, classify, node_of
from jobs.node_watch import NodeWatch
from jobs.preflight import check_alike
from jobs.progress import say

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jobs.losses import Cause
    from jobs.progress import Note

log = logging.getLogger(__name__)

MAX_ATTEMPTS = 3
"""Workers a part may take down before the job is given up; those that went with their node do not count."""

POLL_S = 1.0
"""Seconds between looks at how far the parts are."""

ROOM_NOTICE_S = 120.0
"""Seconds without an answer from any worker after which we say that there may be no room for one."""


class Pool:
    """Runs parts on actors that have `run(part)`, `note()` and `whereabouts()`.

    Args:
        start: starts an actor.
        size: actors to hold.
        on_done: called with each part and its result as it arrives.
        on_note: called every `POLL_S` with what the workers say they are at, by part.

    Attributes:
        losses: what was lost on the way.
    """

    def __init__(
        self,
        start: Callable[[], Any],
        size: int,
        on_done: Callable[[Any, Any], None],
        on_note: Callable[[dict[Any, Note]], None],
    ) -> None:
        self.losses = Losses()
        self._start = start
        self._size = size
        self._on_done = on_done
        self._on_note = on_note
        self._waiting: deque[Any] = deque()
        self._in_flight: dict[Any, tuple[Any, Any]] = {}
        self._lost: dict[Any, list[tuple[Cause, str]]] = {}
        self._places: dict[Any, Any] = {}
        self._nodes: dict[Any, str] = {}
        self._versions: dict[str, str] = {}
        self._asked: dict[Any, Any] = {}

    def run(self, parts: Sequence[Any]) -> None:
        """Run the parts.

        Raises:
            GangenError: what a part found wrong.
            ClusterError: a part took down `MAX_ATTEMPTS` workers, the nodes are not alike, or the one that we are on
                has died.
        """
        import ray

        node = NodeWatch()
        self._counter = loss_counter()
        self._waiting.extend(parts)
        began = time.monotonic()
        for _ in range(min(self._size, len(parts))):
            self._feed(self._start())
        has_answer = has_spoken = False
        try:
            while self._in_flight:
                done, _ = ray.wait(list(self._in_flight), num_returns=1, timeout=POLL_S)
                self._meet()
                for ref in done:
                    self._collect(ref)
                node.check()
                if self._in_flight:
                    has_answer = self._ask() or bool(done) or has_answer
                if not (has_answer or has_spoken) and time.monotonic() - began > ROOM_NOTICE_S:
                    has_spoken = True
                    say("no worker yet: each needs 1 CPU. If the cluster cannot grow, stop and wait for room")
        finally:
            for worker in self._workers():
                ray.kill(worker)
        self.losses.settle(dead_nodes())

    def _feed(self, worker: Any) -> None:
        import ray

        if self._waiting:
            part = self._waiting.popleft()
            self._in_flight[worker.run.remote(part)] = (worker, part)
            if worker not in self._nodes and worker not in self._places:
                self._places[worker] = worker.whereabouts.remote()
        else:
            ray.kill(worker)

    def _collect(self, ref: Any) -> None:
        import ray
        from ray.exceptions import RayError, RayTaskError

        worker, part = self._in_flight.pop(ref)
        try:
            result = ray.get(ref)
        except RayTaskError as err:
            if POLICIES[classify(err)].again:
                self._lose(worker, part, err.cause)
                return
            if isinstance(err.cause, GangenError):
                raise err.cause from err
            raise GangenError(f"{_name(part)} failed: {error_text(err.cause)}") from err
        except RayError as err:
            self._lose(worker, part, err)
        else:
            self._on_done(part, result)
            self._feed(worker)

    def _lose(self, worker: Any, part: Any, err: Exception) -> None:
        import ray

        kind, node = classify(err), node_of(err) or self._nodes.get(worker, "")
        self.losses.add(kind, node)
        self._counter.inc(1, {"job": job_around() or "local", "cause": kind.value})
        lost = self._lost.setdefault(part, [])
        lost.append((kind, node))
        dead = dead_nodes()
        if sum(kind not in OF_THE_NODE and node not in dead for kind, node in lost) >= MAX_ATTEMPTS:
            if isinstance(err, GangenError):  # The storage says it better.
                raise err
            raise ClusterError(
                f"{_name(part)} took down {MAX_ATTEMPTS} workers ({first_line(err)}); see Ray's logs, and check the "
                "memory a worker has (it needs about 2 GB)"
            ) from err
        log.warning(
            "a worker was lost (%s: %s); %s is done again", kind.value, type(err).__name__, _name(part)
        )
        ray.kill(worker)
        self._waiting.appendleft(part)
        self._feed(self._start())

    def _meet(self) -> None:
        """Learn where the workers are that have come to answer, and that they are alike."""
        import ray

        for worker, ref in list(self._places.items()):
            if not ray.wait([ref], timeout=0)[0]:
                continue
            del self._places[worker]
            try:
                place = ray.get(ref)
            except ray.exceptions.RayError:
                continue  # A dying worker: its own part says so.
            self._nodes[worker] = place["node"]
            self._versions = self._versions or place["versions"]
            check_alike(self._versions, place["versions"])

    def _ask(self) -> bool:
        """Pass on what the workers are at, those that answer; return whether any does."""
        import ray

        # A worker that has not answered yet, because it waits for room or is starting, is not asked again.
        self._asked = {worker: self._asked.get(worker) or worker.note.remote() for worker in self._workers()}
        answered, _ = ray.wait(list(self._asked.values()), num_returns=len(self._asked), timeout=POLL_S)
        told: dict[Any, Note] = {}
        for worker, part in self._in_flight.values():
            if self._asked[worker] in answered:
                try:
                    told[part] = ray.get(self._asked.pop(worker))
                except ray.exceptions.RayError:
                    continue  # A dying worker: its own part says so.
        if told:
            self._on_note(told)
        return bool(told)

    def _workers(self) -> list[Any]:
        return [worker for worker, _ in self._in_flight.values()]


def _name(part: Any) -> str:
    return "the job" if part is None else str(part)
