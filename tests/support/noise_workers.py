"""Ray workers that draw noise, so that they are there in a second, or that do not train at all; the rest is as it is.

For `ray.init(runtime_env={"worker_process_setup_hook": "tests.support.noise_workers.replace_sampler"})`, or
`replace_training`.
"""

from __future__ import annotations

import os
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobs.specs import TrainSpec
from jobs.target import Throttled
from tests.unit.fake_digits import FakeSampler

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager

ROOT = Path(__file__).parents[2]

SECONDS_VARIABLE = "GANGEN_TEST_BLOCK_SECONDS"
"""How long a worker takes for a block."""

GPU_VARIABLE = "GANGEN_TEST_GPU"
"""What TensorFlow says of a GPU that Ray has been told of; nothing, where it sees none."""

THROTTLED_VARIABLE = "GANGEN_TEST_THROTTLED"
"""A folder; as many files as it holds, so many blocks are refused in the name of the storage. Those whose names begin
with `load` refuse a worker that starts."""

OTHER_VARIABLE = "GANGEN_TEST_OTHER_VERSION"
"""A file; the process that takes it away believes to have TensorFlow 2.17.0."""

TRAINING_VARIABLE = "GANGEN_TEST_TRAINING"
"""A folder; each training takes the first file away, by its name, and raises what the text of it says."""


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
    _be_other()


def replace_training() -> None:
    """Have this process raise what it is told to, and believe to have trained, for a second, where that is nothing."""
    import ganmodel.trainer

    def run_training(config: Any, *_: Any, **hooks: Any) -> Any:
        from ganmodel.errors import DataError

        for told in sorted(Path(os.environ[TRAINING_VARIABLE]).iterdir()):
            kind = told.read_text()
            told.unlink()
            raise {
                "memory": MemoryError(),
                "throttled": Throttled("SlowDown"),
                "data": DataError("bad digits"),
            }[kind]
        hooks["on_progress"](
            ganmodel.trainer.TrainProgress(
                step=2, steps=config.steps, images_per_s=12.5, metrics={"d_loss": 0.5, "g_loss": 0.5}
            )
        )
        time.sleep(1)
        return ganmodel.trainer.TrainResult(
            status="finished", step=config.steps, resumed_from=0, model_digest="d" * 64, metrics={}, device={}
        )

    ganmodel.trainer.run_training = run_training
    _be_other()


def ray_with(
    hook: str, variables: Mapping[str, str], on_end: Callable[[], None] = lambda: None, **options: Any
) -> Callable[[], AbstractContextManager[None]]:
    """Return the way to a Ray with workers of this module's.

    Args:
        hook: `replace_sampler` or `replace_training`.
        variables: of the workers' environment.
        on_end: called before this Ray ends.
        options: of `ray.init`; without an address, a Ray of this process with two cores.
    """

    @contextmanager
    def connect() -> Iterator[None]:
        import ray

        environment = {
            "worker_process_setup_hook": f"{__name__}.{hook}",
            "env_vars": {"PYTHONPATH": str(ROOT), **variables},
        }
        own = {} if "address" in options else {"address": "local", "num_cpus": 2, "include_dashboard": False}
        ray.init(runtime_env=environment, log_to_driver=False, logging_level="ERROR", **own, **options)
        try:
            yield
            on_end()
        finally:
            ray.shutdown()

    return connect


def untrained_spec(folder: Path | str = "/nowhere", **changes: Any) -> TrainSpec:
    """Return a training for workers that do not train."""
    fields = {"source": "digits", "model_dir": str(folder), "preset": "tiny", "steps": 3, "batch_size": 20}
    return TrainSpec(**fields | {"learning_rate": 0.001, "gamma": 1.0} | changes)


def _be_other() -> None:
    try:
        Path(os.environ.get(OTHER_VARIABLE) or "/nowhere").unlink()
    except FileNotFoundError:
        return
    from jobs import preflight

    here = preflight.versions_here()
    preflight.versions_here = lambda: here | {"tensorflow": "2.17.0"}
