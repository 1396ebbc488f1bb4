"""Whether the Ray node we stand on is still there: without it no worker ever starts again, and Ray does not say so."""

from __future__ import annotations

import time

from ganmodel.errors import ClusterError

LOOK_EVERY_S = 5.0
"""Seconds between questions to the cluster's head, which lists every node."""


class NodeWatch:
    """Looks after this process' own node; made when Ray is connected."""

    def __init__(self) -> None:
        import ray

        self._node = ray.get_runtime_context().get_node_id()
        self._next = time.monotonic() + LOOK_EVERY_S

    def check(self) -> None:
        """See that the node is alive; asks every `LOOK_EVERY_S` and otherwise returns at once.

        Raises:
            ClusterError: its process has died.
        """
        import ray

        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + LOOK_EVERY_S
        if any(node["NodeID"] == self._node and not node["Alive"] for node in ray.nodes()):
            raise ClusterError(
                "Ray's node process (raylet) on this machine has died, perhaps for want of memory; what was written is "
                "kept: run the same command again"
            )
