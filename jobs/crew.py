"""The actors of a generation: started where there is room, let go where a node has left, replaced where they die."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from jobs.fleet import unseen_gpus
from jobs.plan import Plan
from jobs.preflight import check_alike
from jobs.progress import say

if TYPE_CHECKING:
    from jobs.fleet import Fleet
    from jobs.journal import Journal
    from jobs.plan import ShardTask
    from jobs.specs import GenerateSpec


@dataclass(slots=True, eq=False, kw_only=True)
class Worker:
    """An actor that makes shards; or one that draws on a GPU for such as those, its encoders.

    Attributes:
        name: Ray's for it, as its dashboard shows it.
        handle: of the actor.
        draws_for_others: it makes no shards itself.
        drawer: who draws for it; None where it draws itself.
        encoders: those it draws for.
        node: id of its node, once it is loaded.
        is_loaded: it is ready.
        given: shards it was given and has not returned, the one at work first.
    """

    name: str
    handle: Any
    draws_for_others: bool = False
    drawer: Worker | None = None
    encoders: list[Worker] = field(default_factory=list)
    node: str = ""
    is_loaded: bool = False
    given: deque[ShardTask] = field(default_factory=deque)

    @property
    def takes_shards(self) -> bool:
        """Whether it can be given shards."""
        return self.is_loaded and not self.draws_for_others


class Crew:
    """The actors that are there.

    Args:
        spec: the job.
        fleet: how many there are to be, and of which kind.
        journal: told of who comes and goes.

    Attributes:
        fleet: as given.
        workers: all of them, those that draw for others among them.
        in_flight: of each answer we wait for, whose it is and which shard it is about; None while it loads.
    """

    def __init__(self, spec: GenerateSpec, fleet: Fleet, journal: Journal) -> None:
        self.fleet = fleet
        self.workers: list[Worker] = []
        self.in_flight: dict[Any, tuple[Worker, ShardTask | None]] = {}
        self._journal = journal
        self._spec_json = spec.model_dump_json()
        self._name = f"generate-{Plan(spec.dataset).digest[:8]}"
        self._num_started = 0
        self._room = 0
        self._versions: dict[str, str] = {}

    def _heads(self) -> list[Worker]:
        return [worker for worker in self.workers if worker.drawer is None]

    def resize(self, num_waiting: int) -> None:
        """Start workers where there is room and work for them; let go of those that no node has room for any more.

        Args:
            num_waiting: shards that nobody has been given.
        """
        heads = self._heads()
        room = self.fleet.size()
        num_started = min(room, len(heads) + num_waiting) - len(heads)
        # One that is loaded has its node. What waits for one that has left would wait for ever, and has no shards.
        idle = [head for head in reversed(heads) if not head.is_loaded]
        surplus = idle[: max(0, len(heads) - room)]
        for _ in range(num_started):
            self._start_head()
        for head in surplus:
            self._let_go(head)
        if self._room not in (0, room):
            say(f"the cluster has room for {room:,} worker(s) now, it had for {self._room:,}")
            self._journal.event("fleet changed", workers=len(self._heads()), room=room, before=self._room)
        self._room = room

    def loaded(self, worker: Worker, facts: dict[str, Any], num_waiting: int) -> list[ShardTask]:
        """Note that a worker is ready, and start encoders where it draws for others.

        Args:
            worker: the one.
            facts: what its `load` returned.
            num_waiting: shards that nobody has been given.

        Returns:
            Shards of workers that had to go.

        Raises:
            ClusterError: TensorFlow sees no GPU where one was asked for, or the worker's packages are not those of
                the others.
        """
        self._versions = self._versions or facts["versions"]
        check_alike(self._versions, facts["versions"])
        worker.is_loaded, worker.node = True, facts["node"]
        self._journal.event("worker ready", worker=worker.name, node=worker.node, on_gpu=facts["on_gpu"])
        if not worker.draws_for_others:
            return []
        if not facts["on_gpu"]:
            if not self.fleet.fall_back():
                raise unseen_gpus(self.fleet.gpus)
            say("the cluster has GPUs, but TensorFlow sees none on their nodes: drawing on CPUs")
            left = [task for head in self._heads() for task in self._let_go(head)]
            self.resize(num_waiting + len(left))
            return left
        for _ in range(min(self.fleet.encoders(worker.node), max(1, num_waiting))):
            self._start_encoder(worker)
        return []

    def replace(self, worker: Worker, num_waiting: int) -> list[ShardTask]:
        """End a worker that is lost, with those it draws for, and start another where there is room.

        Returns:
            The shards they had been given.
        """
        left = self._let_go(worker)
        if worker.drawer in self.workers:
            self._start_encoder(worker.drawer)
        else:
            self.resize(num_waiting + len(left))
        return left

    def end(self) -> None:
        """End all workers."""
        import ray

        for worker in self.workers:
            ray.kill(worker.handle)

    def _start_head(self) -> None:
        from jobs.tasks import DrawWorker, GenerateWorker

        bundle = self.fleet.bundle()
        kind: Any = DrawWorker if self.fleet.gpus else GenerateWorker
        options = {"num_cpus": bundle.pop("CPU", 0), "num_gpus": bundle.pop("GPU", 0), "resources": bundle}
        self._start(kind, options, draws_for_others=bool(self.fleet.gpus))

    def _start_encoder(self, drawer: Worker) -> None:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        from jobs.tasks import GenerateWorker

        # Soft: a node without cores of its own has its digits encoded elsewhere.
        beside = NodeAffinitySchedulingStrategy(drawer.node, soft=True)
        drawer.encoders.append(
            self._start(GenerateWorker, {"num_cpus": 1, "scheduling_strategy": beside}, drawer=drawer)
        )

    def _start(
        self,
        kind: Any,
        options: dict[str, Any],
        *,
        drawer: Worker | None = None,
        draws_for_others: bool = False,
    ) -> Worker:
        name = f"{self._name}-{self._num_started}"
        self._num_started += 1
        arguments = (drawer.handle,) if drawer else ()
        handle = kind.options(name=name, **options).remote(self._spec_json, *arguments)
        worker = Worker(name=name, handle=handle, drawer=drawer, draws_for_others=draws_for_others)
        self.workers.append(worker)
        self.in_flight[handle.load.remote()] = (worker, None)
        return worker

    def _let_go(self, worker: Worker) -> list[ShardTask]:
        """End a worker, and those it draws for; return the shards they had been given."""
        import ray

        if worker.drawer:
            worker.drawer.encoders.remove(worker)
        gone = [worker, *worker.encoders]
        for each in gone:
            self.workers.remove(each)
            ray.kill(each.handle)  # It may be out of reach and alive, on the core its successor needs.
        self.in_flight = {ref: pair for ref, pair in self.in_flight.items() if pair[0] not in gone}
        return [task for each in gone for task in each.given]
