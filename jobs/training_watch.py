"""A group of training workers seen from the driver: how far it is, how it ends, what it is lost to."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ganmodel.errors import ClusterError, GangenError, Interrupted
from jobs.fleet import dead_nodes
from jobs.losses import OF_THE_NODE, POLICIES, Cause, classify, node_of
from jobs.node_watch import NodeWatch
from jobs.progress import Reporter, say

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jobs.specs import TrainSpec
    from jobs.train_journal import TrainJournal

POLL_S = 0.5
"""Seconds between looks at how far the training is."""

LOSS_NOTICE_S = 90.0
"""Seconds in which Ray notices that a node is gone, and more: a host that is silent it gives up after 65."""

STOP_TIMEOUT_S = 120.0
"""Seconds a worker gets to end its step and write a checkpoint."""


class Setback(ClusterError):
    """What ends the work of a group, while another may go on from the last checkpoint.

    Args:
        err: what Ray says of it, or a worker raised.
        ref: the answer of a worker that it stood in the place of.

    Attributes:
        cause: what the group was lost to.
        node: id of the node that died, empty where none did.
        reason: in Ray's or the worker's words, one line.
        has_begun: steps had been taken, and what --fresh was to clear is cleared.
        has_saved: the group had written a checkpoint.
    """

    def __init__(self, err: Exception, ref: Any = None) -> None:
        self.cause, self.node, self.ref = classify(err), node_of(err), ref
        self.reason = (str(err).splitlines() or [type(err).__name__])[0]
        self.has_begun = self.has_saved = False
        super().__init__(self.reason)

    def __str__(self) -> str:
        """Return one line for people."""
        return f"the training lost its workers ({self.cause.value}: {self.reason})"

    @property
    def counts(self) -> bool:
        """Whether it is one of the failures that are limited; a node's end is not, where the work came on meanwhile."""
        return self.cause not in OF_THE_NODE or not self.has_saved

    def settle(self, nodes: Iterable[str]) -> None:
        """Take a worker for lost with its node where one of the group's is dead by now."""
        if self.cause is Cause.WORKER_LOST and (gone := dead_nodes().intersection(nodes)):
            self.cause, self.node = Cause.NODE_LOST, min(gone)


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
        raise WorkerFailed(f"the training failed: {type(err.cause).__name__}: {err.cause}") from err
    except RayError as err:
        raise Setback(err, ref) from err


class Watch:
    """Looks after a group that trains.

    Args:
        workers: the chief first.
        refs: the answers they will give when they are done.
        spec: the job.
        first_step: of the checkpoint they began at.
        journal: told how far they are.
    """

    def __init__(
        self, workers: list[Any], refs: list[Any], spec: TrainSpec, first_step: int, journal: TrainJournal
    ) -> None:
        self._workers = workers
        self._refs = refs
        self._spec = spec
        self._first_step = self._step = first_step
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
            every = self._spec.checkpoint_every_steps
            setback.has_begun = self._reporter is not None
            setback.has_saved = self._step // every > self._first_step // every
            raise
        finally:
            if self._reporter:
                self._reporter.__exit__(None, None, None)
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
        self._step = progress["step"]
        self._journal.progress(progress)
        if self._reporter is None:
            self._reporter = Reporter("training", "steps", progress["steps"], progress["step"]).__enter__()
        metrics = progress["metrics"]
        note = (
            f"{progress['images_per_s']:,.0f} images/s  d {metrics['d_loss']:.3f}  g {metrics['g_loss']:.3f}"
        )
        rate = progress["images_per_s"] / self._spec.batch_size
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
