"""What a worker, a shard or a part of a job was lost to, and what follows; the table is in docs/cluster.md, too."""

from __future__ import annotations

import re
from collections import Counter
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from ganmodel.errors import CommitConflict, GangenError, SpecError
from jobs.target import TargetError, Throttled

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


class Cause(StrEnum):
    """What something was lost to."""

    WORKER_LOST = "worker lost"
    NODE_LOST = "node lost"
    PREEMPTED = "preempted"
    OUT_OF_MEMORY = "out of memory"
    STORAGE_THROTTLED = "storage throttled"
    USER_ERROR = "user error"
    POISONED_SHARD = "poisoned shard"


class Policy(NamedTuple):
    """What follows from a cause.

    Attributes:
        again: the shard, the part or the steps since the last checkpoint are done again, by another worker; otherwise
            a shard is left aside, and any other job ends.
        blames: it counts against the shard that was at work: after a few such losses it is left aside.
        ends: it would meet every shard: the run ends with the one line that says it.
    """

    again: bool
    blames: bool
    ends: bool


POLICIES = {
    Cause.WORKER_LOST: Policy(again=True, blames=True, ends=False),
    Cause.NODE_LOST: Policy(again=True, blames=False, ends=False),
    Cause.PREEMPTED: Policy(again=True, blames=False, ends=False),
    Cause.OUT_OF_MEMORY: Policy(again=True, blames=True, ends=False),
    Cause.STORAGE_THROTTLED: Policy(again=True, blames=False, ends=False),
    Cause.USER_ERROR: Policy(again=False, blames=False, ends=True),
    Cause.POISONED_SHARD: Policy(again=False, blames=False, ends=False),
}

OF_THE_NODE = frozenset({Cause.NODE_LOST, Cause.PREEMPTED})
"""Causes that say nothing of the work that was lost with it."""

_NODE_DIED = re.compile(r"its node has died|node .{0,80}(?:died|is dead)|NodeDied", re.IGNORECASE)
_NODE_ID = re.compile(r"Node I[dD]: ?([0-9a-f]{56})")
_KILLED_FOR_MEMORY = re.compile(r"running low on memory|due to memory pressure", re.IGNORECASE)
"""Ray 2.52 to 2.60 say these in the text of an `ActorDiedError`, and nowhere else."""


def classify(err: BaseException) -> Cause:
    """Return what an error of Ray's, or one that a worker raised, means."""
    from ray.exceptions import NodeDiedError, OutOfMemoryError, RayError, RayTaskError

    if isinstance(err, RayTaskError):
        return classify(err.cause) if isinstance(err.cause, BaseException) else Cause.POISONED_SHARD
    if isinstance(err, Throttled):
        return Cause.STORAGE_THROTTLED
    if isinstance(err, (TargetError, SpecError, CommitConflict)):
        return Cause.USER_ERROR
    if isinstance(err, (OutOfMemoryError, MemoryError)):
        return Cause.OUT_OF_MEMORY
    if isinstance(err, GangenError) or not isinstance(err, RayError):
        return Cause.POISONED_SHARD
    if getattr(err, "preempted", False):
        return Cause.PREEMPTED
    text = str(err)
    if isinstance(err, NodeDiedError) or _NODE_DIED.search(text):
        return Cause.NODE_LOST
    return Cause.OUT_OF_MEMORY if _KILLED_FOR_MEMORY.search(text) else Cause.WORKER_LOST


def node_of(err: BaseException) -> str:
    """Return the id of the node that Ray says has died, empty where it says none."""
    found = _NODE_ID.search(str(err))
    return found[1] if found else ""


class Losses:
    """What was lost in a run."""

    def __init__(self) -> None:
        self._found: list[tuple[Cause, str]] = []

    def add(self, cause: Cause, node: str = "") -> None:
        """Note a loss; `node` is the id of the node it happened on, where that is known."""
        self._found.append((cause, node))

    def settle(self, dead_nodes: Collection[str]) -> None:
        """Take workers for lost with their node where that is dead by now: Ray learns of it later than of them."""
        self._found = [
            (Cause.NODE_LOST if cause is Cause.WORKER_LOST and node in dead_nodes else cause, node)
            for cause, node in self._found
        ]

    def counts(self) -> dict[str, int]:
        """Return how often each cause was met; of nodes the nodes, and not the workers that went with them."""
        once = {found for found in self._found if found[0] is Cause.NODE_LOST and found[1]}
        others = [found for found in self._found if found not in once]
        return dict(Counter(cause.value for cause, _ in [*others, *once]))


_MANY = {
    Cause.WORKER_LOST: ("1 worker lost", "{} workers lost"),
    Cause.NODE_LOST: ("1 node lost", "{} nodes lost"),
    Cause.PREEMPTED: ("1 worker preempted", "{} workers preempted"),
    Cause.OUT_OF_MEMORY: ("1 worker out of memory", "{} workers out of memory"),
    Cause.STORAGE_THROTTLED: ("throttled by the storage once", "throttled by the storage {} times"),
    Cause.POISONED_SHARD: ("1 shard left aside", "{} shards left aside"),
}


def losses_text(counts: Mapping[str, int]) -> str:
    """Return counted losses for people, as in `2 workers lost, 1 node lost`; empty where nothing was."""
    words = [
        one if counts[cause] == 1 else many.format(f"{counts[cause]:,}")
        for cause, (one, many) in _MANY.items()
        if counts.get(cause)
    ]
    return ", ".join(words)


def lost_lines(counts: Mapping[str, int], then: str) -> list[str]:
    """Return the line of a result that tells of losses and what was done about them; none where nothing was lost."""
    text = losses_text(counts)
    return [f"  lost      {text}: {then}"] if text else []
