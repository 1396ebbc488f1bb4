"""What a scene is made of: a cluster that is whole, a command on its way, the files it leaves."""

from __future__ import annotations

import hashlib
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import Popen, TimeoutExpired
from typing import Any

import pytest
from hosts import Host, RayHosts, wait_until

ROWS = int(float(os.environ.get("GANGEN_CLUSTER_ROWS", "1e5")))
"""Rows of a scene."""

SHARD_ROWS = 2000
NUM_SHARDS = -(-ROWS // SHARD_ROWS)
RUN_S = 900.0
"""Seconds after which a run is stuck."""

DRAWS, TRAINS = "^ray::[Gg]enerate", "^ray::[Tt]rain"
"""How the command lines of workers begin, whatever they are at."""

FIGURES: list[str] = []
"""What was measured, printed at the end: a scene is also an experiment."""


def files_of(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every data file, read from the disk, by its path within a data set."""
    files = [file for place in ("data", "tfds") for file in (folder / place).rglob("*") if file.is_file()]
    return {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


@dataclass
class Generation:
    """`gangen generate` on its way on a cluster.

    Attributes:
        out: folder of the data set.
        process: the command, on the client.
        began: when it was started, by the monotonic clock.
        seconds: it took in all, once it has ended.
    """

    out: Path
    process: Popen[Any]
    log: Path
    began: float = field(default_factory=time.monotonic)
    seconds: float = 0.0

    def num_committed(self) -> int:
        """Return how many shards are committed."""
        return len(list((self.out / ".gangen" / "commits").glob("?????.json")))

    def reach(self, share: float) -> None:
        """Wait until a share of the shards is committed."""

        def is_there() -> bool:
            assert self.process.poll() is None, self.text()
            return self.num_committed() >= share * NUM_SHARDS

        wait_until(is_there, RUN_S, f"{share:.0%} of the shards", every_s=0.02)
        assert self.num_committed() < NUM_SHARDS, "too late: every shard is made"

    def end(self) -> int:
        """Wait for the command; return its exit code."""
        try:
            code = self.process.wait(timeout=RUN_S)
        except TimeoutExpired:
            pytest.fail(f"stuck after {RUN_S:g} s: {self.text()}")
        self.seconds = time.monotonic() - self.began
        return code

    def text(self) -> str:
        """Return what the command has said so far."""
        return self.log.read_text()


@dataclass
class Scene:
    """A cluster that is whole, and what belongs to one scene on it."""

    hosts: RayHosts
    name: str

    @property
    def out(self) -> Path:
        """Where the scene's data set is."""
        return self.hosts.folder / self.name

    def generate(self) -> Generation:
        """Start the command, from the host that has only the client."""
        log = self.hosts.folder / f"{self.name}-{time.monotonic_ns()}.log"
        arguments = ["--count", str(ROWS), "--shard-rows", str(SHARD_ROWS), "--out", str(self.out)]
        process = self.hosts.client.start_gangen(
            "generate", *arguments, "--address", self.hosts.address, log=log
        )
        return Generation(self.out, process, log)

    def drawing(self) -> list[Host]:
        """Return the workers' hosts that have a process that draws."""
        return [host for host in self.hosts.workers if host.pids(DRAWS)]

    def far_from_the_driver(self) -> Host:
        """Return a host that draws and does not drive."""
        return next(host for host in self.drawing() if not host.pids("jobs.entrypoint"))
