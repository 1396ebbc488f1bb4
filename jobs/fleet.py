"""Which workers a cluster has room for: arithmetic over its nodes, asked again as they come and go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ganmodel.errors import ClusterError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from jobs.specs import Placement

WORKER_BYTES = 1_000_000_000
"""Memory of a worker, most of it TensorFlow's; a machine with many cores and little memory gets fewer workers."""

MAX_ENCODERS = 32
"""Cores that encode for one GPU. More would wait for it, whatever the GPU."""


@dataclass(frozen=True, slots=True)
class Node:
    """A node that is alive.

    Attributes:
        id: Ray's, hex.
        resources: all it has, free or not: `CPU`, `GPU`, `memory` in bytes, and what else it was started with.
    """

    id: str
    resources: Mapping[str, float]

    def room(self, bundle: Mapping[str, float]) -> int:
        """Return how many times it has all of a bundle, which asks for something."""
        # Ray counts in ten-thousandths; without the rounding, 1 / 0.1 would be a little less than 10.
        return min(int(round(self.resources.get(k, 0.0) / need, 4)) for k, need in bundle.items() if need)


def alive_nodes() -> list[Node]:
    """Return the nodes of the cluster we are connected to."""
    import ray

    return [Node(node["NodeID"], node["Resources"]) for node in ray.nodes() if node["Alive"]]


def dead_nodes() -> set[str]:
    """Return the ids of the nodes that the cluster had and lost."""
    import ray

    return {node["NodeID"] for node in ray.nodes() if not node["Alive"]}


class Fleet:
    """The workers of a generation: what each takes, and how many there is room for.

    One run draws on one kind of device: pixels differ by a hair between a GPU and a CPU. A worker on a CPU draws and
    encodes on its cores; one on a GPU draws alone, and hands its digits to encoders, one a core, beside it.

    Args:
        placement: what was asked for.
        nodes: tells the nodes that are alive.
        cpus_began: what is there of the data set was drawn on CPUs: so is the rest, unless GPUs are asked for.

    Attributes:
        gpus: of a worker; 0 where it draws on CPUs.
    """

    def __init__(
        self,
        placement: Placement,
        nodes: Callable[[], Sequence[Node]] = alive_nodes,
        *,
        cpus_began: bool = False,
    ) -> None:
        self._placement = placement
        self._nodes = nodes
        if placement.gpus is not None:
            self.gpus = placement.gpus
        else:
            has_gpus = not cpus_began and any(node.resources.get("GPU", 0) >= 1 for node in nodes())
            self.gpus = 1.0 if has_gpus else 0.0

    def fall_back(self) -> bool:
        """Take CPUs from now on where GPUs were nobody's wish; return whether that is so."""
        if self._placement.gpus is None:
            self.gpus = 0.0
        return self.gpus == 0

    def bundle(self) -> dict[str, float]:
        """Return what a worker takes of its node, without the cores of encoders."""
        own = {"GPU": self.gpus} if self.gpus else {"CPU": self._placement.cpus or 1.0}
        return own | dict(self._placement.resources)

    def size(self) -> int:
        """Return how many workers there should be now, at least one."""
        if self._placement.workers is not None:
            return self._placement.workers
        bundle = self.bundle() | {"memory": WORKER_BYTES}
        return max(1, sum(node.room(bundle) for node in self._nodes()))

    def encoders(self, node_id: str) -> int:
        """Return how many encoders a worker on a GPU of a node has: its share of the cores, or as many as asked for."""
        if self._placement.cpus is not None:
            return max(1, int(self._placement.cpus))
        node = next((node for node in self._nodes() if node.id == node_id), None)
        if node is None:
            return 1
        workers = max(1, node.room(self.bundle()))
        if self._placement.workers is not None:
            workers = min(workers, self._placement.workers)
        return max(1, min(MAX_ENCODERS, int(node.resources.get("CPU", 1)) // workers))


def unseen_gpus(asked: float) -> ClusterError:
    """Return what to raise where GPUs were asked for that Ray has and TensorFlow does not see."""
    return ClusterError(
        f"--gpus-per-worker {asked:g}: Ray has given GPUs, TensorFlow sees none on their node; install gangen[gpu] "
        "there or use an image with CUDA, or leave the option out to work on CPUs"
    )


def spreading(
    bundle: Mapping[str, float], workers: int, nodes: Sequence[Node]
) -> Literal["STRICT_SPREAD", "SPREAD"]:
    """Return Ray's strategy for a group of workers: one a node where there are as many nodes with room as workers."""
    return "STRICT_SPREAD" if sum(node.room(bundle) > 0 for node in nodes) >= workers else "SPREAD"
