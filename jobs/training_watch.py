"""A group of training workers seen from the driver: how far it is, how it ends, what it is lost to."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ganmodel.errors import ClusterError, GangenError, Interrupted
from jobs.foreign import error_text
from jobs.losses import POLICIES, classify
from jobs.node_watch import NodeWatch
from jobs.progress import Reporter, say
from jobs.setbacks import LOSS_NOTICE_S, Setback

if TYPE_CHECKING:
    from jobs.train_journal import TrainJournal

POLL_S = 0.5
"""Seconds between looks at how far the training is."""

STOP_TIMEOUT_S = 120.0
"""Seconds a worker gets to end its step and write a checkpoint."""


class WorkerFailed(GangenError):
    """The code of a worker fell; in a group perhaps because another worker was lost."""


def result_of(ref: Any) -> Any:
    """Return what a training worker answers.

    Raises:
        Setback: it is lost, or met what another attempt may not meet.
        GangenError: what it found wrong.
        WorkerFailed: its code fell.
    """
    import ray
    from ray.exceptions import RayError, RayTaskError

    try:
        return ray.get(ref)
    except RayTaskError as err:
        if POLICIES[classify(err)].again:
            raise Setback(err.cause, ref) from err
        if isinstance(err.cause, GangenError):
            raise err.cause from err
        raise WorkerFailed(f"the training failed: {error_text(err.cause)}") from err
    except RayError as err:
        raise Setback(err, ref) from err


class Watch:
    """Looks after a group that trains.

    Args:
        workers: the chief first.
        refs: the answers they will give when they are done.
        batch_size: images a step.
        journal: told how far they are.
    """

    def __init__(self, workers: list[Any], refs: list[Any], batch_size: int, journal: TrainJournal) -> None:
        self._workers = workers
        self._refs = refs
        self._batch_size = batch_size
        self._journal = journal
        self._reporter: Reporter | None = None

    def until_done(self) -> dict[str, Any]:
        """Show the chief's progress until every worker has ended; pass a request to stop on to all.

        Returns:
            What the chief returned.

        Raises:
            Interrupted: asked to stop; a checkpoint was written.
            Setback: a worker was lost.
            GangenError: what a worker found wrong.
        """
        try:
            self._wait()
            result: dict[str, Any] = result_of(self._refs[0])
        except Setback as setback:
            setback.has_begun = self._reporter is not None
            raise
        finally:
            if self._reporter:
                self._reporter.__exit__(None, None, None)
        self._journal.reached(result["step"])
        if result["status"] == "stopped":
            raise Interrupted(
                f"interrupted at step {result['step']:,}; a checkpoint was written, the same command resumes"
            )
        return result

    def _wait(self) -> None:
        import ray

        waiting, stopping, node = list(self._refs), False, NodeWatch()
        while waiting:
            try:
                done, waiting = ray.wait(waiting, num_returns=1, timeout=POLL_S)
                for ref in done:
                    _seen_with_others(ref, waiting)
                node.check()
                if waiting:
                    self._show()
            except KeyboardInterrupt:
                if stopping:
                    raise
                stopping = True
                say("stopping: the step in progress ends, then a checkpoint is written")
                for worker in self._workers:
                    worker.stop.remote()
                done, late = ray.wait(waiting, num_returns=len(waiting), timeout=STOP_TIMEOUT_S)
                if late:
                    raise ClusterError(f"a worker did not stop within {STOP_TIMEOUT_S:.0f} s") from None

    def _show(self) -> None:
        import ray
        from ray.exceptions import RayError

        try:
            progress = ray.get(self._workers[0].progress.remote(), timeout=POLL_S)
        except (RayError, TimeoutError):
            return  # A busy or dying worker: its own result says which.
        if progress is None:
            return
        self._journal.progress(progress)
        if self._reporter is None:
            self._reporter = Reporter("training", "steps", progress["steps"], progress["step"]).__enter__()
        metrics = progress["metrics"]
        note = (
            f"{progress['images_per_s']:,.0f} images/s  d {metrics['d_loss']:.3f}  g {metrics['g_loss']:.3f}"
        )
        rate = progress["images_per_s"] / self._batch_size
        self._reporter.update(progress["step"], note=note, rate=rate)


def _seen_with_others(ref: Any, others: list[Any]) -> None:
    """Raise what a worker ended with, if with anything: the loss of another where that made it fail.

    TensorFlow fails in every worker of a group when one is gone, sooner than Ray says so of that one.
    """
    import ray

    try:
        result_of(ref)
    except WorkerFailed:
        ended = ray.wait(others, num_returns=len(others), timeout=LOSS_NOTICE_S)[0] if others else []
        for other in ended:
            with suppress(WorkerFailed):
                result_of(other)
        raise
