"""The outer loop of a training run: when to log, look, checkpoint and stop.

What a step does is `ganmodel.steps`; who runs the loop, and where, is `jobs`.
"""

from __future__ import annotations

import time
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ganmodel.checkpoint import CheckpointStore, Resume
from ganmodel.device import configure_tensorflow, device_facts
from ganmodel.errors import SpecError, TrainingFailed
from ganmodel.locking import only_writer
from ganmodel.model_dir import export_model
from ganmodel.monitor import CollapseWatch, RunLog, SampleSheet

if TYPE_CHECKING:
    from collections.abc import Callable

    from ganmodel.config import TrainConfig
    from ganmodel.data import TrainingSet

Strategy = Literal["one-device", "mirrored", "multi-worker"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainOptions:
    """How a run is carried out; nothing here changes what it computes.

    Attributes:
        model_dir: folder of the checkpoints, logs and the exported model.
        strategy: of `tf.distribute`; multi-worker reads TF_CONFIG.
        resume: see `ganmodel.checkpoint.Resume`.
        start: the step to continue at, which a group's workers must agree on; None takes the last checkpoint seen here.
        checkpoint_every_steps: steps between checkpoints.
        sample_every_steps: steps between sample sheets.
        log_every_steps: steps a line of metrics.jsonl averages over at most; every checkpoint ends a line.
        keep_checkpoints: how many stay.
        is_chief: whether this process writes files; one of a group does.
        logical_cpus: see `configure_tensorflow`.
        use_gpus: see there.
    """

    model_dir: Path
    strategy: Strategy = "one-device"
    resume: Resume = "auto"
    start: int | None = None
    checkpoint_every_steps: int = 500
    sample_every_steps: int = 500
    log_every_steps: int = 50
    keep_checkpoints: int = 3
    is_chief: bool = True
    logical_cpus: int = 0
    use_gpus: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainProgress:
    """What a live line shows.

    Attributes:
        step: optimizer steps taken.
        steps: planned.
        images_per_s: over the last window.
        metrics: mean of the last window, by name.
    """

    step: int
    steps: int
    images_per_s: float
    metrics: dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainResult:
    """How a run ended.

    Attributes:
        status: `finished`, or `stopped` on request with a checkpoint.
        step: optimizer steps taken in all.
        resumed_from: the step this process began at.
        model_digest: of the exported model; None when stopped.
        metrics: the last window's.
        device: what it ran on.
    """

    status: Literal["finished", "stopped"]
    step: int
    resumed_from: int
    model_digest: str | None
    metrics: dict[str, float]
    device: dict[str, str]


def make_strategy(tf: Any, name: Strategy) -> Any:
    """Return the `tf.distribute` strategy of that name.

    Multi-worker uses gRPC rings (CommunicationImplementation.AUTO picks NCCL where all have GPUs).
    """
    if name == "mirrored":
        devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
        return tf.distribute.MirroredStrategy([device.name for device in devices])
    if name == "multi-worker":
        return tf.distribute.MultiWorkerMirroredStrategy()
    has_gpu = bool(tf.config.list_logical_devices("GPU"))
    return tf.distribute.OneDeviceStrategy("/gpu:0" if has_gpu else "/cpu:0")


def run_training(
    config: TrainConfig,
    training_set: TrainingSet,
    options: TrainOptions,
    *,
    on_progress: Callable[[TrainProgress], None] = lambda _: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> TrainResult:
    """Train, or continue training, until `config.steps` or until asked to stop.

    Args:
        config: what is computed.
        training_set: the data `config.dataset_digest` names.
        options: how it is carried out.
        on_progress: called once a log window.
        should_stop: asked after each step; a checkpoint is written before returning.

    Raises:
        SpecError: the directory holds another run, or the replicas do not divide the batch.
        CommitConflict: another training is at work in the directory.
        TrainingFailed: a loss is no number, or the generator collapsed; the last good checkpoint stays.
    """
    options.model_dir.mkdir(parents=True, exist_ok=True)
    lock = only_writer(options.model_dir / ".lock", f"--model-dir {options.model_dir}")
    with lock if options.is_chief else nullcontext():
        return _train(config, training_set, options, on_progress, should_stop)


def _train(
    config: TrainConfig,
    training_set: TrainingSet,
    options: TrainOptions,
    on_progress: Callable[[TrainProgress], None],
    should_stop: Callable[[], bool],
) -> TrainResult:
    store = CheckpointStore(options.model_dir, keep=options.keep_checkpoints)
    seen = store.check(config, options.resume)
    start = seen if options.start is None else options.start
    tf = configure_tensorflow(logical_cpus=options.logical_cpus, use_gpus=options.use_gpus)
    strategy = make_strategy(tf, options.strategy)
    replicas = strategy.num_replicas_in_sync
    if config.batch_size % replicas:
        raise SpecError(f"--batch-size {config.batch_size}: must be a multiple of the {replicas} replicas")
    from ganmodel.data import BatchSource
    from ganmodel.steps import TrainStep, build_networks

    if options.is_chief:
        if options.resume == "fresh":
            store.clear()
        store.begin(config)
    with strategy.scope():
        networks = build_networks(config)
        if start:
            store.restore(networks, start)
    batches = BatchSource(training_set, global_batch=config.batch_size, seed=config.seed)
    loop = _Loop(
        config=config,
        options=options,
        store=store,
        networks=networks,
        take_step=TrainStep(config, networks, batches, strategy),
        sheet=SampleSheet(config, training_set),
        log=RunLog(options.model_dir, first_step=start) if options.is_chief else None,
        on_progress=on_progress,
        should_stop=should_stop,
    )
    step = loop.run(start)
    finished = step == config.steps
    digest = None
    if finished and options.is_chief:
        digest = _export(config, training_set, options, networks, loop.metrics)
    return TrainResult(
        status="finished" if finished else "stopped",
        step=step,
        resumed_from=start,
        model_digest=digest,
        metrics=loop.metrics,
        device=device_facts(),
    )


@dataclass(slots=True, kw_only=True)
class _Loop:
    config: TrainConfig
    options: TrainOptions
    store: CheckpointStore
    networks: Any
    take_step: Any
    sheet: SampleSheet
    log: RunLog | None
    on_progress: Callable[[TrainProgress], None]
    should_stop: Callable[[], bool]
    metrics: dict[str, float]

    def __init__(self, **parts: Any) -> None:
        for name, part in parts.items():
            setattr(self, name, part)
        self.metrics = {}

    def run(self, step: int) -> int:
        """Take steps until the plan's end or a vote to stop; return the steps taken in all."""
        watch = CollapseWatch()
        window: list[Any] = []
        began = time.monotonic()
        while step < self.config.steps:
            asked = self.should_stop()
            metrics, votes = self.take_step(step, stop=asked)
            window.append(metrics)
            step += 1
            # Reading the votes waits for the step; alone, the answer is known without.
            stopping = float(votes) > 0 if self.options.strategy == "multi-worker" else asked
            last = step == self.config.steps
            look = last or step % self.options.sample_every_steps == 0
            save = last or stopping or step % self.options.checkpoint_every_steps == 0
            # With every checkpoint: a run that goes on from it would know nothing of the steps since the last line.
            log = save or step % self.options.log_every_steps == 0
            if log or look or save:
                self._average(step, window)
            if log:
                self._log(step, len(window), time.monotonic() - began)
                window, began = [], time.monotonic()
            if look:
                self._look(step, watch)
            if save:
                self._save(step)
            if stopping:
                break
        return step

    def _average(self, step: int, window: list[Any]) -> None:
        """Average the metrics of the window, before anything is written that a NaN would spoil."""
        from ganmodel.steps import METRIC_NAMES

        mean = np.mean([np.asarray(values) for values in window], axis=0)
        self.metrics = {name: float(v) for name, v in zip(METRIC_NAMES, mean, strict=True)}
        bad = [name for name, value in self.metrics.items() if not np.isfinite(value)]
        if bad:
            good = self.store.steps()
            raise TrainingFailed(
                f"step {step}: {', '.join(bad)} is no longer a number; the last good checkpoint is step "
                f"{good[-1] if good else 0}; try a lower --learning-rate or a higher --gamma with --fresh"
            )

    def _log(self, step: int, num_steps: int, seconds: float) -> None:
        rate = num_steps * self.config.batch_size / seconds
        if self.log:
            self.log.write(step, images_per_s=rate, window_steps=num_steps, **self.metrics)
        self.on_progress(
            TrainProgress(step=step, steps=self.config.steps, images_per_s=rate, metrics=dict(self.metrics))
        )

    def _look(self, step: int, watch: CollapseWatch) -> None:
        diversity = self.sheet.diversity(self.networks.generator)
        if self.log:
            self.log.write(step, diversity=diversity)
            self.log.write_sheet(step, self.sheet.draw(self.networks.ema))
        watch.check(step, diversity)

    def _save(self, step: int) -> None:
        if self.options.is_chief:
            self.store.save(self.networks, step)


def _export(
    config: TrainConfig,
    training_set: TrainingSet,
    options: TrainOptions,
    networks: Any,
    metrics: dict[str, float],
) -> str:
    arrays = {variable.path: variable.numpy() for variable in networks.ema.variables}
    training = {
        "config": config.model_dump(mode="json"),
        "images_seen": config.steps * config.batch_size,
        "final_metrics": metrics,
        "device": device_facts(),
    }
    info = export_model(
        options.model_dir,
        name=training_set.name,
        generator=config.generator,
        class_names=training_set.class_names,
        arrays=arrays,
        training=training,
    )
    return info.digest
