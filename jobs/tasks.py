"""What runs on Ray's workers. The only place with Ray actors; imported only where Ray is in use."""

from __future__ import annotations

import json
import os
import socket
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import ray

from ganmodel.device import choose_precision, configure_tensorflow, cpu_flags
from jobs.foreign import in_words
from jobs.preflight import versions_here
from jobs.progress import Note
from jobs.specs import EvaluateSpec, ExtractorsSpec, GenerateSpec, TrainSpec

if TYPE_CHECKING:
    from ganmodel.checkpoint import Resume
    from ganmodel.config import Precision
    from jobs.manifest import ShardRecord
    from jobs.measure import Part


@ray.remote(max_restarts=0)
class GenerateWorker:
    """Makes the shards it is given, one at a time: draws the digits itself on the CPU, or has a `DrawWorker` draw them.

    Args:
        spec_json: the job.
        drawer: the handle of a `DrawWorker`; None loads the generator here.
    """

    def __init__(self, spec_json: str, drawer: Any = None) -> None:
        self._spec = GenerateSpec.model_validate_json(spec_json)
        self._drawer = drawer
        self._maker: Any = None
        self._plan: Any = None

    @in_words
    def load(self) -> dict[str, Any]:
        """Get ready; return where: see `_whereabouts`, and `on_gpu`."""
        # Not in __init__: there, an error in the model would come back as a dead actor.
        from jobs.plan import Plan
        from jobs.remote_blocks import RemoteBlocks
        from jobs.shards import ShardMaker
        from jobs.storage import open_storage

        self._plan = Plan(self._spec.dataset)
        threading.Thread(target=_warm_up, args=(self._spec,)).start()  # while TensorFlow loads
        source = (
            RemoteBlocks(self._drawer, self._spec.dataset.block_rows)
            if self._drawer
            else _drawn_blocks(self._spec, use_gpus=False)
        )
        self._maker = ShardMaker(self._plan, open_storage(self._spec.out), source)
        return _whereabouts() | {"on_gpu": False}

    @in_words
    def make(self, index: int) -> str:
        """Make shard `index` and return its commit record as JSON."""
        record: ShardRecord = self._maker.make(self._plan.task(index))
        return record.model_dump_json()


@ray.remote(max_restarts=0)
class DrawWorker:
    """Loads the generator on a GPU and draws blocks for the encoders beside it, one at a time in the order asked."""

    def __init__(self, spec_json: str) -> None:
        self._spec = GenerateSpec.model_validate_json(spec_json)
        self._source: Any = None

    @in_words
    def load(self) -> dict[str, Any]:
        """Load TensorFlow and the model, compile the graph; return where: see `_whereabouts`, and `on_gpu`."""
        self._source = _drawn_blocks(self._spec, use_gpus=True)
        return _whereabouts() | {"on_gpu": self.device()["device"].startswith("GPU")}

    @in_words
    def device(self) -> dict[str, str]:
        """Return what the pixels are computed with."""
        facts: dict[str, str] = self._source.device(None)
        return facts

    @in_words
    def draw(self, first_row: int, num_rows: int) -> Any:
        """Return images [num_rows, 28, 28] uint8 and labels [num_rows] int32 of a block.

        Args:
            first_row: global index of its first row, the first of a block.
            num_rows: how many of its rows are wanted.
        """
        from jobs.plan import ShardTask

        part = ShardTask(index=0, first_row=first_row, num_rows=num_rows, split="", number=0, segment=0)
        return next(self._source.blocks(part))


def _warm_up(spec: GenerateSpec) -> None:
    from jobs.writers import warm_up

    with suppress(Exception):  # What fails here fails again where it can be told.
        warm_up(spec.dataset.formats, spec.dataset.image_encoding)


def _drawn_blocks(spec: GenerateSpec, *, use_gpus: bool) -> Any:
    """Load TensorFlow and the model and compile the graph; return the source of blocks."""
    from ganmodel.sampler import Sampler
    from jobs.inputs import local_model
    from jobs.shards import DrawnBlocks

    threads = max(1, int(spec.placement.cpus or 1))
    return DrawnBlocks(
        spec,
        Sampler(
            local_model(spec.model), threads=threads, use_gpus=use_gpus, precision=spec.dataset.precision
        ),
    )


def _whereabouts() -> dict[str, Any]:
    """Return a worker's `node`, by its id, and `versions` of what is installed there, for `check_alike`."""
    host = {"host": ray.util.get_node_ip_address()}
    return {"node": ray.get_runtime_context().get_node_id(), "versions": versions_here() | host}


@ray.remote(max_restarts=0, max_concurrency=2)
class EvaluateWorker:
    """Does parts of an evaluation, one at a time, on one core; the other thread answers how far the part is."""

    def __init__(self, spec_json: str) -> None:
        self._spec = EvaluateSpec.model_validate_json(spec_json)
        self._measurer: Any = None
        self._note = Note()

    @in_words
    def run(self, part: Part) -> Any:
        """Do a part and return what `jobs.measure.Measurer.measure` does."""
        from jobs.measure import Measurer

        self._note = Note()
        self._measurer = self._measurer or Measurer(
            self._spec, lambda text, share: setattr(self, "_note", Note(text, share))
        )
        return self._measurer.measure(part)

    def note(self) -> Note:
        """Return how far the part at work is."""
        return self._note

    def whereabouts(self) -> dict[str, Any]:
        """Return where this worker is, see `_whereabouts`."""
        return _whereabouts()


@ray.remote(max_restarts=0, max_concurrency=2)
class ExtractorsWorker:
    """Trains the extractors in one thread while the other answers how far it is."""

    def __init__(self, spec_json: str) -> None:
        self._spec = ExtractorsSpec.model_validate_json(spec_json)
        self._note = Note()

    @in_words
    def run(self, part: None) -> Any:
        """Train and write both extractors; return what `extractors.json` says."""
        del part
        from jobs.measure import train_extractors

        return train_extractors(self._spec, lambda text, share: setattr(self, "_note", Note(text, share)))

    def note(self) -> Note:
        """Return how far the training is."""
        return self._note

    def whereabouts(self) -> dict[str, Any]:
        """Return where this worker is, see `_whereabouts`."""
        return _whereabouts()


class Beginning(NamedTuple):
    """What the workers of a training must agree on, and may see differently.

    Attributes:
        step: of the checkpoint they begin at, 0 for a new run.
        precision: where the spec leaves it to the device.
        use_gpus: whether they compute on the GPUs they were given.
    """

    step: int
    precision: Precision
    use_gpus: bool


@ray.remote(max_restarts=0, max_concurrency=2)
class TrainWorker:
    """Trains in one thread while the other answers how far it is and takes the request to stop."""

    def __init__(self, spec_json: str) -> None:
        self._spec = TrainSpec.model_validate_json(spec_json)
        self._stop = threading.Event()
        self._progress: dict[str, Any] | None = None

    def address(self) -> str:
        """Return `host:port` for this worker in TF_CONFIG; the port was free when asked."""
        with socket.socket() as probe:
            probe.bind(("", 0))
            return f"{ray.util.get_node_ip_address()}:{probe.getsockname()[1]}"

    def whereabouts(self) -> dict[str, Any]:
        """Return where this worker is, see `_whereabouts`."""
        return _whereabouts()

    @in_words
    def seen_gpus(self) -> int:
        """Return how many GPUs TensorFlow sees; 0 where Ray has given this worker none."""
        return len(configure_tensorflow().config.list_physical_devices("GPU")) if ray.get_gpu_ids() else 0

    @in_words
    def beginning(self, resume: Resume, use_gpus: bool) -> Beginning:
        """Return how this worker would begin; a run that goes on keeps its precision, whatever the device."""
        from ganmodel.checkpoint import CheckpointStore

        store = CheckpointStore(Path(self._spec.model_dir))
        step = 0 if resume == "fresh" else max(store.steps(), default=0)
        old = store.config() if step else None
        chosen = choose_precision(has_gpu=use_gpus, flags=cpu_flags())
        return Beginning(step, old.precision if old else chosen, use_gpus)

    @in_words
    def train(self, tf_config: dict[str, Any] | None, resume: Resume, beginning: Beginning) -> dict[str, Any]:
        """Train until done or asked to stop.

        Args:
            tf_config: this worker's place in a group, as TensorFlow reads it from TF_CONFIG; None alone.
            resume: see `ganmodel.trainer.TrainOptions`.
            beginning: of all workers of the group.

        Returns:
            `TrainResult` as a dict.
        """
        if tf_config is not None:
            os.environ["TF_CONFIG"] = json.dumps(tf_config)
        from dataclasses import asdict

        from ganmodel.trainer import TrainOptions, run_training

        spec = self._spec
        gpus = len(ray.get_gpu_ids()) if beginning.use_gpus else 0
        training_set = spec.training_set()
        config = spec.resolved(training_set, beginning.precision)
        options = TrainOptions(
            model_dir=Path(spec.model_dir),
            strategy=_strategy(spec, gpus, grouped=tf_config is not None),
            resume=resume,
            start=beginning.step,
            checkpoint_every_steps=spec.checkpoint_every_steps,
            use_gpus=gpus > 0,
            is_chief=tf_config is None or tf_config["task"]["index"] == 0,
        )
        result = run_training(
            config,
            training_set,
            options,
            on_progress=lambda progress: setattr(self, "_progress", asdict(progress)),
            should_stop=self._stop.is_set,
        )
        return asdict(result)

    def progress(self) -> dict[str, Any] | None:
        """Return the last `TrainProgress` as a dict; None before the first."""
        return self._progress

    def stop(self) -> None:
        """Ask the training to write a checkpoint and return."""
        self._stop.set()


def _strategy(spec: TrainSpec, gpus: int, *, grouped: bool) -> Any:
    if grouped:
        return "multi-worker"
    if spec.strategy == "auto":
        return "mirrored" if gpus > 1 else "one-device"
    return spec.strategy
