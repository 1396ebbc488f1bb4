"""The training job: one worker, or a group of them, watched from the driver."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ganmodel.errors import ClusterError, GangenError, Interrupted
from jobs.node_watch import NodeWatch
from jobs.progress import Reporter, say

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from jobs.specs import TrainSpec

POLL_S = 0.5
"""Seconds between looks at how far the training is."""

ROOM_NOTICE_S = 60
"""Seconds between notices that the cluster has no room yet."""

STOP_TIMEOUT_S = 120.0
"""Seconds a worker gets to end its step and write a checkpoint."""


def train(spec: TrainSpec, connect: Callable[[], AbstractContextManager[None]]) -> dict[str, Any]:
    """Train a model on Ray workers.

    Args:
        spec: the job.
        connect: opens the way to Ray.

    Returns:
        `TrainResult` as a dict, of the chief worker.

    Raises:
        Interrupted: asked to stop; a checkpoint was written.
        ClusterError: a worker was lost, or there is no room for the group.
        GangenError: what the training itself found wrong.
    """
    with connect():
        gpus = _gpus_per_worker(spec)
        say(f"training on {spec.workers} worker(s), " + (f"{gpus} GPU(s) each" if gpus else "CPU only"))
        workers = _start(spec, gpus)
        configs = _tf_configs(spec, workers)
        refs = [worker.train.remote(config) for worker, config in zip(workers, configs, strict=True)]
        result: dict[str, Any] = _watch(workers, refs, spec.batch_size)
        return result


def _gpus_per_worker(spec: TrainSpec) -> int:
    import ray

    if spec.gpus_per_worker is not None:
        return spec.gpus_per_worker
    if spec.workers == 1 and spec.strategy in ("auto", "mirrored"):
        # One worker takes all the GPUs of the node that has most.
        return max(int(node["Resources"].get("GPU", 0)) for node in ray.nodes() if node["Alive"])
    return 1 if ray.cluster_resources().get("GPU", 0) >= spec.workers else 0


def _start(spec: TrainSpec, gpus: int) -> list[Any]:
    """Start the workers, all or none, spread over the nodes."""
    import ray
    from ray.util.placement_group import placement_group
    from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

    from jobs.tasks import TrainWorker

    bundle = {"CPU": 1.0, **({"GPU": float(gpus)} if gpus else {})}
    group = placement_group([bundle] * spec.workers, strategy="SPREAD")
    # A node that the autoscaler starts takes minutes; how long is too long is the user's to say.
    while not group.wait(timeout_seconds=ROOM_NOTICE_S):
        have = {k: v for k, v in ray.cluster_resources().items() if k in ("CPU", "GPU")}
        say(
            f"waiting for room for {spec.workers} worker(s) with 1 CPU and {gpus} GPU(s) each; the cluster has {have}. "
            "If it cannot grow, stop and ask for fewer with --workers or --gpus-per-worker"
        )
    return [
        TrainWorker.options(  # type: ignore[attr-defined]
            num_cpus=1,
            num_gpus=gpus,
            scheduling_strategy=PlacementGroupSchedulingStrategy(group, placement_group_bundle_index=i),
        ).remote(spec.model_dump_json())
        for i in range(spec.workers)
    ]


def _tf_configs(spec: TrainSpec, workers: list[Any]) -> list[dict[str, Any] | None]:
    """Return each worker's TF_CONFIG; None for a worker alone."""
    import ray

    if spec.strategy != "multi-worker" and spec.workers == 1:
        return [None]
    cluster = {"worker": ray.get([worker.address.remote() for worker in workers])}
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
                    _result(ref)
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
        raise GangenError(f"the training failed: {type(err.cause).__name__}: {err.cause}") from err
    except RayError as err:
        raise ClusterError(
            f"a training worker was lost ({str(err).splitlines()[0]}); the same command resumes from its checkpoint"
        ) from err


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
