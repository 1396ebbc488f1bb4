"""The training job: one worker, or a group of them, watched from the driver."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ganmodel.errors import ClusterError, GangenError, Interrupted
from jobs.fleet import alive_nodes, spreading, unseen_gpus
from jobs.losses import Losses, classify, losses_text, node_of
from jobs.node_watch import NodeWatch
from jobs.progress import Reporter, say

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from ganmodel.checkpoint import Resume
    from jobs.fleet import Node
    from jobs.specs import TrainSpec

POLL_S = 0.5
"""Seconds between looks at how far the training is."""

ROOM_NOTICE_S = 60
"""Seconds between notices that the cluster has no room yet."""

LOSS_NOTICE_S = 90.0
"""Seconds in which Ray notices that a node is gone, and more: a host that is silent it gives up after 65."""

END_TIMEOUT_S = 30.0
"""Seconds a worker's process has to end when it is killed."""

STOP_TIMEOUT_S = 120.0
"""Seconds a worker gets to end its step and write a checkpoint."""


class WorkerLost(ClusterError):
    """A worker of the group is gone; the others wait for it in vain.

    Args:
        err: what Ray says of it.
        has_begun: steps had been taken, and what --fresh was to clear is cleared.
    """

    def __init__(self, err: Exception, *, has_begun: bool = False) -> None:
        super().__init__(f"a training worker was lost ({str(err).splitlines()[0]})")
        self.err = err
        self.has_begun = has_begun


class WorkerFailed(GangenError):
    """The code of a worker fell; in a group perhaps because another worker was lost."""


def train(spec: TrainSpec, connect: Callable[[], AbstractContextManager[None]]) -> dict[str, Any]:
    """Train a model on Ray workers; where one is lost, all begin again at the last checkpoint.

    Args:
        spec: the job.
        connect: opens the way to Ray.

    Returns:
        `TrainResult` as a dict, of the chief worker, and `losses`, how often what was lost.

    Raises:
        Interrupted: asked to stop; a checkpoint was written.
        ClusterError: more workers were lost than `max_failures`.
        GangenError: what the training itself found wrong.
    """
    losses, num_lost, resume = Losses(), 0, spec.resume
    with connect():
        gpus = _gpus(spec, alive_nodes())
        say(f"training on {spec.workers} worker(s), " + (f"{gpus} GPU(s) each" if gpus else "CPU only"))
        while True:
            try:
                return {**_attempt(spec, gpus, resume), "losses": losses.counts()}
            except WorkerLost as lost:
                losses.add(classify(lost.err), node_of(lost.err))
                num_lost += 1
                if num_lost > spec.max_failures:
                    raise ClusterError(
                        f"{lost}; {losses_text(losses.counts())} in all, --max-failures {spec.max_failures}; the same "
                        "command resumes from its checkpoint"
                    ) from lost
                say(
                    f"{lost}: beginning again at the last checkpoint, {num_lost} of {spec.max_failures} times"
                )
                resume = "auto" if lost.has_begun else resume


def _attempt(spec: TrainSpec, gpus: int, resume: Resume) -> dict[str, Any]:
    """Train until the end, a request to stop, or the loss of a worker; leave no worker behind."""
    import ray
    from ray.util.placement_group import remove_placement_group

    group, workers = _start(spec, gpus)
    refs: list[Any] = []
    try:
        configs = _tf_configs(spec, workers)
        # One worker says where all begin: on a shared folder each may see another last checkpoint, and on CPUs of two
        # types each would choose another precision.
        beginning = _result(workers[0].beginning.remote(resume, _sees_gpus(spec, gpus, workers)))
        refs += [
            worker.train.remote(config, resume, beginning)
            for worker, config in zip(workers, configs, strict=True)
        ]
        return _watch(workers, refs, spec.batch_size)
    finally:
        for worker in workers:
            ray.kill(worker)
        if refs:
            # The chief holds the folder's lock until its process has ended.
            ray.wait(refs, num_returns=len(refs), timeout=END_TIMEOUT_S)
        remove_placement_group(group)


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
    if all(_result(ref) for ref in asked):
        return True
    if spec.placement.gpus is not None:
        raise unseen_gpus(spec.placement.gpus)
    say("there are GPUs, but TensorFlow does not see them: training on CPUs; see gangen[gpu]")
    return False


def _bundle(spec: TrainSpec, gpus: int) -> dict[str, float]:
    """Return what a worker takes of its node."""
    need = {"CPU": spec.placement.cpus or 1.0, "GPU": float(gpus), **dict(spec.placement.resources)}
    return {name: amount for name, amount in need.items() if amount}


def _start(spec: TrainSpec, gpus: int) -> tuple[Any, list[Any]]:
    """Start the workers, all or none, spread over the nodes; return their placement group and their handles."""
    from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

    from jobs.tasks import TrainWorker

    bundle = _bundle(spec, gpus)
    group = _place(spec.workers, bundle)
    return group, [
        TrainWorker.options(  # type: ignore[attr-defined]
            num_cpus=bundle["CPU"],
            num_gpus=gpus,
            resources=dict(spec.placement.resources),
            scheduling_strategy=PlacementGroupSchedulingStrategy(group, placement_group_bundle_index=i),
        ).remote(spec.model_dump_json())
        for i in range(spec.workers)
    ]


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
    cluster = {"worker": [_result(worker.address.remote()) for worker in workers]}
    return [{"cluster": cluster, "task": {"type": "worker", "index": i}} for i in range(len(workers))]


def _watch(workers: list[Any], refs: list[Any], batch_size: int) -> dict[str, Any]:
    """Show the chief's progress until every worker has ended; pass a request to stop on to all."""
    import ray

    reporter: Reporter | None = None
    stopping = False
    waiting = list(refs)
    node = NodeWatch()
    try:
        while waiting:
            try:
                done, waiting = ray.wait(waiting, num_returns=1, timeout=POLL_S)
                for ref in done:
                    _seen_with_others(ref, waiting)
                node.check()
                if waiting:
                    reporter = _show(reporter, workers[0], batch_size)
            except KeyboardInterrupt:
                if stopping:
                    raise
                stopping = True
                say("stopping: the step in progress ends, then a checkpoint is written")
                for worker in workers:
                    worker.stop.remote()
                done, late = ray.wait(waiting, num_returns=len(waiting), timeout=STOP_TIMEOUT_S)
                if late:
                    raise ClusterError(f"a worker did not stop within {STOP_TIMEOUT_S:.0f} s") from None
        result: dict[str, Any] = _result(refs[0])
    except WorkerLost as lost:
        lost.has_begun = reporter is not None
        raise
    finally:
        if reporter:
            reporter.__exit__(None, None, None)
    if result["status"] == "stopped":
        raise Interrupted(
            f"interrupted at step {result['step']:,}; a checkpoint was written, the same command resumes"
        )
    return result


def _result(ref: Any) -> Any:
    import ray
    from ray.exceptions import RayError, RayTaskError

    try:
        return ray.get(ref)
    except RayTaskError as err:
        if isinstance(err.cause, GangenError):
            raise err.cause from err
        raise WorkerFailed(f"the training failed: {type(err.cause).__name__}: {err.cause}") from err
    except RayError as err:
        raise WorkerLost(err) from err


def _seen_with_others(ref: Any, others: list[Any]) -> None:
    """Raise what a worker ended with, if with anything: the loss of another where that made it fail.

    TensorFlow fails in every worker of a group when one is gone, sooner than Ray says so of that one.
    """
    import ray

    try:
        _result(ref)
    except WorkerFailed:
        ended = ray.wait(others, num_returns=len(others), timeout=LOSS_NOTICE_S)[0] if others else []
        for other in ended:
            with suppress(WorkerFailed):
                _result(other)
        raise


def _show(reporter: Reporter | None, chief: Any, batch_size: int) -> Reporter | None:
    import ray
    from ray.exceptions import RayError

    try:
        progress = ray.get(chief.progress.remote(), timeout=POLL_S)
    except (RayError, TimeoutError):
        return reporter  # A busy or dying worker: its own result says which.
    if progress is None:
        return reporter
    if reporter is None:
        reporter = Reporter("training", "steps", progress["steps"], progress["step"]).__enter__()
    metrics = progress["metrics"]
    note = f"{progress['images_per_s']:,.0f} images/s  d {metrics['d_loss']:.3f}  g {metrics['g_loss']:.3f}"
    reporter.update(progress["step"], note=note, rate=progress["images_per_s"] / batch_size)
    return reporter
