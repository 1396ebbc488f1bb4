"""Ray workers that draw noise, so that they are there in a second; everything else is as in a real run.

For `ray.init(runtime_env={"worker_process_setup_hook": "tests.support.noise_workers.replace_sampler"})`.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from jobs.target import Throttled
from tests.unit.fake_digits import FakeSampler

SECONDS_VARIABLE = "GANGEN_TEST_BLOCK_SECONDS"
"""How long a worker takes for a block."""

GPU_VARIABLE = "GANGEN_TEST_GPU"
"""What TensorFlow says of a GPU that Ray has been told of; nothing, where it sees none."""


THROTTLED_VARIABLE = "GANGEN_TEST_THROTTLED"
"""A folder; as many files as it holds, so many blocks are refused in the name of the storage. Those whose names begin
with `load` refuse a worker that starts."""


class NoiseSampler(FakeSampler):
    """See `ganmodel.sampler.Sampler`."""

    def __init__(self, model: str, *, threads: int | None, use_gpus: bool, precision: str) -> None:
        del model, threads, precision
        gpu = os.environ.get(GPU_VARIABLE, "")
        super().__init__(device=gpu if use_gpus and gpu else "CPU")
        _refuse("load*")

    def draw(self, *arguments: Any, **options: Any) -> Any:
        time.sleep(float(os.environ.get(SECONDS_VARIABLE, "0")))
        _refuse("[0-9]*")
        return super().draw(*arguments, **options)


def _refuse(names: str) -> None:
    for refusal in Path(os.environ.get(THROTTLED_VARIABLE) or "/nowhere").glob(names):
        with suppress(FileNotFoundError):  # Another worker was first.
            refusal.unlink()
            raise Throttled("--out s3://noise: the store has been throttling us for too long")


def replace_sampler() -> None:
    """Put noise in the place of digits in this process."""
    import ganmodel.sampler

    ganmodel.sampler.Sampler = NoiseSampler  # type: ignore[assignment, misc]
