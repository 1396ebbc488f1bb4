"""A generation job with neither Ray nor network, killed at a step: `python -m tests.support.lone_driver SPEC STEP`.

The driver and the making of shards are the real ones; noise stands for digits, and the shards are made right here. STEP
counts what is done to the file system (files opened to be written, renamed, linked, removed, folders made): at the
step of that number the process is killed, before the step happens. 0 kills nobody.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

from jobs import driver
from jobs.leaving import leave
from jobs.losses import Losses
from jobs.manifest import ShardRecord
from jobs.plan import Plan, ShardTask
from jobs.shards import DrawnBlocks, ShardMaker
from jobs.specs import GenerateSpec
from jobs.storage import open_storage
from tests.unit.fake_digits import FakeSampler

STEPS = {"os.rename", "os.link", "os.remove", "os.mkdir", "os.rmdir"}


class LoneFanout:
    """Makes the shards in this process; see `jobs.fanout.Fanout`."""

    def __init__(
        self, spec: GenerateSpec, fleet: Any, on_record: Callable[[ShardRecord], None], journal: Any
    ) -> None:
        del fleet, journal
        self.failures: dict[int, str] = {}
        self.losses = Losses()
        self.making_seconds = 1.0
        self._spec = spec
        self._on_record = on_record

    def run(self, tasks: Iterable[ShardTask]) -> None:
        source = DrawnBlocks(self._spec, FakeSampler(digest=self._spec.dataset.model_digest))
        maker = ShardMaker(Plan(self._spec.dataset), open_storage(self._spec.out), source)
        for task in tasks:
            self._on_record(maker.make(task))


class LoneJournal:
    """Takes note of nothing: the real one needs Ray; see `jobs.journal.Journal`."""

    def __init__(self, *_: Any) -> None:
        self.rows = 0
        self.stage_seconds: dict[str, float] = {}

    def event(self, *_: Any, **__: Any) -> None:
        """Forget it."""

    def flush(self, **_: Any) -> None:
        """Write nothing."""


def die_at(step: int) -> None:
    """Have this process killed at a step."""
    count = 0

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal count
        is_write = (
            event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        )
        if is_write or event in STEPS:
            count += 1
            if count == step:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


if __name__ == "__main__":
    spec = GenerateSpec.model_validate_json(sys.argv[1])
    driver.Fanout = LoneFanout  # type: ignore[assignment, misc]
    driver.Journal = LoneJournal  # type: ignore[assignment, misc]
    driver.Fleet = lambda _, **__: SimpleNamespace(size=lambda: 1)  # type: ignore[assignment, misc]
    driver._model_facts = lambda spec: {  # type: ignore[assignment]
        "name": "noise", "digest": spec.dataset.model_digest, "latent_dim": 4, "training": {}, "quality": {},
    }  # fmt: skip
    if int(sys.argv[2]):
        die_at(int(sys.argv[2]))
    driver.generate(spec, nullcontext)
    leave(0)
