"""What a training was lost to, and whether it counts: a node that goes says nothing of a training that comes on."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from ganmodel.errors import ClusterError
from jobs.fleet import dead_nodes
from jobs.foreign import first_line
from jobs.losses import OF_THE_NODE, Cause, Losses, classify, losses_text, node_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

LOSS_NOTICE_S = 90.0
"""Seconds in which Ray notices that a node is gone, and more: a host that is silent it gives up after 65."""

LOOK_EVERY_S = 1.0
"""Seconds between looks at the nodes, where the last loss is decided by them."""


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
        is_uncertain: Ray cannot reach a worker, and does not say why; it may be the node.
        nodes: ids of those that the group was on.
        came_on: the next group that began did so at a later step than any before; None while there is none. A group
            that is lost before it began has not come on.
    """

    def __init__(self, err: BaseException, ref: Any = None) -> None:
        self.cause, self.node, self.ref = classify(err), node_of(err), ref
        self.reason = first_line(err)
        self.has_begun = False
        self.is_uncertain = type(err).__name__ == "ActorUnavailableError"
        self.nodes: list[str] = []
        self.came_on: bool | None = None
        super().__init__(self.reason)

    def __str__(self) -> str:
        """Return one line for people."""
        return f"the training lost its workers ({self.cause.value}: {self.reason})"

    @property
    def counts(self) -> bool:
        """Whether it is one of the failures that are limited."""
        return self.cause not in OF_THE_NODE or self.came_on is False

    def settle(self, dead: Collection[str]) -> None:
        """Take a worker for lost with its node where that is dead by now: Ray learns of it later than of workers."""
        if self.cause is Cause.WORKER_LOST and (gone := set(dead).intersection(self.nodes)):
            self.cause, self.node = Cause.NODE_LOST, min(gone)


class Account:
    """The setbacks of a training, and how many of them it may have.

    Args:
        max_failures: as many as count are let pass.
        dead: tells the nodes that are gone.
    """

    def __init__(self, max_failures: int, dead: Callable[[], Collection[str]] = dead_nodes) -> None:
        self._max_failures = max_failures
        self._dead = dead
        self._setbacks: list[Setback] = []
        self._furthest = -1
        self._has_begun = False

    def begins(self, step: int) -> None:
        """Note the step at which a group begins.

        Raises:
            ClusterError: the group before had not come on, and that is one failure too many.
        """
        for setback in self._setbacks:
            if setback.came_on is None:
                setback.came_on = step > self._furthest
                self._check(setback)
        self._has_begun, self._furthest = True, max(self._furthest, step)

    def add(self, setback: Setback) -> str:
        """Note a setback; return what is said of it.

        Raises:
            ClusterError: it is one too many.
        """
        if not self._has_begun:
            setback.came_on = False
        self._has_begun = False
        self._setbacks.append(setback)
        self._check(setback)
        if setback.counts:
            return f"{self._num_failures()} of {self._max_failures} times"
        return "which does not count if one has been written since it began"

    def losses(self) -> dict[str, int]:
        """Return how often what was lost, by cause, as far as that is settled."""
        losses = Losses()
        for setback in self._setbacks:
            losses.add(setback.cause, setback.node)
        return losses.counts()

    def settle(self) -> None:
        """Look again which workers were lost with their nodes."""
        dead = self._dead()
        for setback in self._setbacks:
            setback.settle(dead)

    def _num_failures(self) -> int:
        return sum(setback.counts for setback in self._setbacks)

    def _check(self, last: Setback) -> None:
        """Raise where too many failures count, once it is certain that the last was no node's."""
        self.settle()
        give_up = time.monotonic() + (LOSS_NOTICE_S if last.is_uncertain else 0)
        while self._num_failures() > self._max_failures:
            if time.monotonic() >= give_up:
                raise ClusterError(
                    f"{last}; {losses_text(self.losses())} in all, --max-failures {self._max_failures}; the same "
                    "command resumes from its checkpoint"
                ) from last
            time.sleep(LOOK_EVERY_S)
            self.settle()
