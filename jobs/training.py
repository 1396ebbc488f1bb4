"""The training job: one worker, or a group of them, watched from the driver."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobs.fleet import alive_nodes, spreading, unseen_gpus
from jobs.journal import job_around
from jobs.preflight import check_alike
from jobs.progress import say
from jobs.setbacks import Account, Setback
from jobs.train_journal import TrainJournal
from jobs.training_watch import Watch, result_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from ganmodel.checkpoint import Resume
    from jobs.fleet import Node
    from jobs.specs import TrainSpec

ROOM_NOTICE_S = 60
"""Seconds between notices that the cluster has no room yet."""

END_TIMEOUT_S = 30.0
"""Seconds a worker's process has to end when it is killed."""


@dataclass(frozen=True, slots=True)
class Group:
    """The workers of one attempt.

    Attributes:
        placement: their placement group.
        workers: their handles, the chief's first.
        names: as Ray's dashboard shows them.
    """

    placement: Any
    workers: list[Any]
    names: list[str]


def train(spec: TrainSpec, connect: Callable[[], AbstractContextManager[None]]) -> dict[str, Any]:
    """Train a model on Ray workers; where one is lost, all begin again at the last checkpoint.

    Args:
        spec: the job.
        connect: opens the way to Ray.

    Returns:
        `TrainResult` as a dict, of the chief worker, and `losses`, how often what was lost.

    Raises:
        Interrupted: asked to stop; a checkpoint was written.
        ClusterError: more was lost than `max_failures`, or the nodes are not alike.
        GangenError: what the training itself found wrong.
    """
    resume, attempt = spec.resume, 0
    with connect():
        account = Account(spec.max_failures)
        journal = TrainJournal(spec.model_dir, job_around() or spec.job_id())
        gpus = _gpus(spec, alive_nodes())
        say(f"training on {spec.workers} worker(s), " + (f"{gpus} GPU(s) each" if gpus else "CPU only"))
        with journal.ending(account):
            while True:
                group = _start(spec, gpus, attempt)
                try:
                    result = _attempt(spec, gpus, resume, group, account, journal)
                    account.settle()
                    return result | {"losses": account.losses()}
                except Setback as setback:
                    say(f"{setback}: beginning again at the last checkpoint, {account.add(setback)}")
                    resume, attempt = "auto" if setback.has_begun else resume, attempt + 1


def _attempt(
    spec: TrainSpec, gpus: int, resume: Resume, group: Group, account: Account, journal: TrainJournal
) -> dict[str, Any]:
    """Train until the end, a request to stop, or a setback; leave no worker behind."""
    import ray
    from ray.util.placement_group import remove_placement_group

    refs: list[Any] = []
    nodes: list[str] = []
    try:
        nodes = _alike(group)
        configs = _tf_configs(spec, group.workers)
        # One worker says where all begin: on a shared folder each may see another last checkpoint, and on CPUs of two
        # types each would choose another precision.
        beginning = result_of(
            group.workers[0].beginning.remote(resume, _sees_gpus(spec, gpus, group.workers))
        )
        account.begins(beginning.step)
        journal.began(beginning.step, workers=group.names, nodes=nodes)
        refs += [
            worker.train.remote(config, resume, beginning)
            for worker, config in zip(group.workers, configs, strict=True)
        ]
        return Watch(group.workers, refs, spec.batch_size, journal).until_done()
    except Setback as setback:
        setback.nodes = nodes
        lost = group.names[refs.index(setback.ref)] if setback.ref in refs else None
        journal.lost(setback.cause, worker=lost, reason=setback.reason)
        raise
    finally:
        for worker in group.workers:
            ray.kill(worker)
        if refs:
            # The chief holds the folder's lock until its process has ended.
            ray.wait(refs, num_returns=len(refs), timeout=END_TIMEOUT_S)
        remove_placement_group(group.placement)


def _alike(group: Group) -> list[str]:
    """Return the ids of the nodes that the workers of a group are on, which have the same packages."""
    places = [result_of(ref) for ref in [worker.whereabouts.remote() for worker in group.workers]]
    for place in places[1:]:
        check_alike(places[0]["versions"], place["versions"])
    return [place["node"] for place in places]


def _gpus(spec: TrainSpec, nodes: Sequence[Node]) -> int:
    """Return the GPUs of each worker."""
    if spec.placement.gpus is not None:
        return int(spec.placement.gpus)
    bundle = _bundle(spec, 0)
    if spec.workers == 1 and spec.strategy in ("auto", "mirrored"):
        # One worker takes all the GPUs of the node that has most.
        return max((int(node.resources.get("GPU", 0)) for node in nodes if node.room(bundle)), default=0)
    return int(sum(node.room(_bundle(spec, 1)) for node in nodes) >= spec.workers)


def _sees_gpus(spec: TrainSpec, gpus: int, workers: list[Any]) -> bool:
    """Return whether the workers compute on their GPUs, which TensorFlow must see on each."""
    if not gpus:
        return False
    asked = [worker.seen_gpus.remote() for worker in workers]
    if all(result_of(ref) for ref in asked):
        return True
    if spec.placement.gpus is not None:
        raise unseen_gpus(spec.placement.gpus)
    say("there are GPUs, but TensorFlow does not see them: training on CPUs; see gangen[gpu]")
    return False


def _bundle(spec: TrainSpec, gpus: int) -> dict[str, float]:
    """Return what a worker takes of its node."""
    need = {"CPU": spec.placement.cpus or 1.0, "GPU": float(gpus), **dict(spec.placement.resources)}
    return {name: amount for name, amount in need.items() if amount}


def _start(spec: TrainSpec, gpus: int, attempt: int) -> Group:
    """Start the workers, all or none, spread over the nodes."""
    from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

    from jobs.tasks import TrainWorker

    bundle = _bundle(spec, gpus)
    placement = _place(spec.workers, bundle)
    names = [f"train-{Path(spec.model_dir).name}-{attempt}-{i}" for i in range(spec.workers)]
    workers = [
        TrainWorker.options(  # type: ignore[attr-defined]
            name=name,
            num_cpus=bundle["CPU"],
            num_gpus=gpus,
            resources=dict(spec.placement.resources),
            scheduling_strategy=PlacementGroupSchedulingStrategy(placement, placement_group_bundle_index=i),
        ).remote(spec.model_dump_json())
        for i, name in enumerate(names)
    ]
    return Group(placement, workers, names)


def _place(workers: int, bundle: dict[str, float]) -> Any:
    """Return the placement group of the workers, once the cluster has room for all of them."""
    import ray
    from ray.util.placement_group import placement_group, remove_placement_group

    words = {"STRICT_SPREAD": "each on a node of its own", "SPREAD": "on fewer nodes than workers"}
    strategy: str = ""
    group: Any = None
    while True:
        # Asked again: a group that wants a node each would wait for ever where one has gone for good.
        fitting = spreading(bundle, workers, alive_nodes())
        if fitting != strategy:
            if group:
                remove_placement_group(group)
            strategy, group = fitting, placement_group([bundle] * workers, strategy=fitting)
            if workers > 1:
                say(f"placing {workers} workers {words[strategy]} ({strategy})")
        # A node that the autoscaler starts takes minutes; how long is too long is the user's to say.
        if group.wait(timeout_seconds=ROOM_NOTICE_S):
            return group
        have = {k: v for k, v in ray.cluster_resources().items() if k in ("CPU", "GPU")}
        say(
            f"waiting for room for {workers} worker(s) with {bundle['CPU']:g} CPU and {bundle.get('GPU', 0):g} GPU(s) "
            f"each; the cluster has {have}. "
            "If it cannot grow, stop and ask for fewer with --workers or --gpus-per-worker"
        )


def _tf_configs(spec: TrainSpec, workers: list[Any]) -> list[dict[str, Any] | None]:
    """Return each worker's TF_CONFIG; None for a worker alone."""
    if spec.strategy != "multi-worker" and spec.workers == 1:
        return [None]
    cluster = {"worker": [result_of(worker.address.remote()) for worker in workers]}
    return [{"cluster": cluster, "task": {"type": "worker", "index": i}} for i in range(len(workers))]
