"""From what was typed to a spec: every check that needs neither TensorFlow nor Ray, one line each."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Literal, cast, get_args

from pydantic import ValidationError

from ganmodel.errors import DataError, SpecError
from ganmodel.evaluation import METRICS, MIN_SAMPLES
from ganmodel.labels import parse_labels
from ganmodel.latents import BLOCK_ROWS
from ganmodel.model_dir import PRETRAINED, read_model
from ganmodel.presets import find_preset
from ganmodel.weights import file_sha256
from jobs.plan import Plan
from jobs.reading import open_dataset
from jobs.specs import (
    MAX_SAMPLES,
    DatasetSpec,
    EvaluateSpec,
    ExtractorsSpec,
    GenerateSpec,
    SubjectSpec,
    TrainSpec,
    default_shard_rows,
    parse_count,
)

Format = Literal["parquet", "tfrecord"]
Encoding = Literal["png", "raw"]
StrategyName = Literal["auto", "one-device", "mirrored", "multi-worker"]
PrecisionName = Literal["auto", "float32", "mixed_bfloat16"]


def generate_spec(
    *,
    count: str,
    out: str | None,
    model: str,
    formats: str,
    shard_rows: str | None,
    labels: str,
    seed: int,
    truncation: float,
    image_encoding: str,
    workers: int | None,
    gpus_per_worker: float,
) -> GenerateSpec:
    """Return the job that `gangen generate` was asked for; see its help for the arguments.

    Raises:
        SpecError: something cannot be done as asked.
        ModelError: the model is missing or damaged.
    """
    rows = parse_count(count)
    shard = default_shard_rows(rows) if shard_rows is None else parse_count(shard_rows, "--shard-rows")
    if shard < BLOCK_ROWS or shard % BLOCK_ROWS:
        raise SpecError(
            f"--shard-rows: must be whole blocks of {BLOCK_ROWS:,} rows, got {shard:,}; "
            f"use {max(1, round(shard / BLOCK_ROWS)) * BLOCK_ROWS:,}"
        )
    _in_range("--truncation", truncation, 0, 1)
    chosen = tuple(name.strip().lower() for name in formats.split(","))
    for name in chosen:
        _one_of("--format", name, Format)
    if len(set(chosen)) < len(chosen):
        raise SpecError(f"--format: a format is named twice in '{formats}'")
    rule = parse_labels(labels)
    _one_of("--image-encoding", image_encoding, Encoding)
    model_path = model if model == PRETRAINED else _absolute(model, "--model")
    info = read_model(model)
    dataset = DatasetSpec(
        name=f"gangen_{info.name}",
        model_digest=info.digest,
        class_names=info.class_names,
        seed=seed,
        labels=str(rule),
        truncation=truncation,
        count=rows,
        shard_rows=shard,
        formats=cast("tuple[Format, ...]", tuple(sorted(chosen))),
        image_encoding=cast("Encoding", image_encoding),
    )
    plan = Plan(dataset)
    return GenerateSpec(
        dataset=dataset,
        model=model_path,
        out=out
        if out and "://" in out
        else _absolute(out or f"data/{dataset.name}-{rows}-{plan.digest[:8]}", "--out"),
        workers=workers,
        gpus_per_worker=gpus_per_worker,
    )


def train_spec(
    *,
    dataset: str,
    model_dir: str | None,
    steps: int | None,
    epochs: float | None,
    batch_size: int | None,
    preset: str,
    learning_rate: float | None,
    gamma: float | None,
    precision: str,
    strategy: str,
    workers: int,
    gpus_per_worker: int | None,
    seed: int,
    resume: bool | None,
    checkpoint_every: int,
) -> TrainSpec:
    """Return the job that `gangen train` was asked for; see its help for the arguments.

    Raises:
        SpecError: something cannot be done as asked.
    """
    row = find_preset(preset)
    _one_of("--strategy", strategy, StrategyName)
    _one_of("--precision", precision, PrecisionName)
    if steps is not None and epochs is not None:
        raise SpecError("--steps and --epochs: give one of them, got both")
    if workers > 1 and strategy not in ("auto", "multi-worker"):
        raise SpecError(f"--workers {workers}: needs --strategy multi-worker or auto, got {strategy}")
    _in_range("--epochs", epochs, 0, 1e6)
    _in_range("--learning-rate", learning_rate, 0, 1)
    if gamma is not None and not 0 <= gamma <= 1000:
        raise SpecError(f"--gamma: must be from 0 to 1000, got {gamma:g}")
    batch = batch_size or row.batch_size
    if batch % workers:
        raise SpecError(f"--batch-size {batch}: must be a multiple of the {workers} workers")
    try:
        return TrainSpec(
            source=_source(dataset),
            model_dir=_absolute(model_dir or f"runs/{Path(dataset).stem}-{preset}", "--model-dir"),
            preset=preset,
            steps=steps,
            epochs=epochs,
            batch_size=batch,
            learning_rate=row.learning_rate if learning_rate is None else learning_rate,
            gamma=row.gamma if gamma is None else gamma,
            seed=seed,
            precision=None if precision == "auto" else cast("Literal['float32']", precision),
            strategy=cast("StrategyName", strategy),
            workers=workers,
            gpus_per_worker=gpus_per_worker,
            resume={None: "auto", True: "require", False: "fresh"}[resume],  # type: ignore[arg-type]
            checkpoint_every_steps=checkpoint_every,
        )
    except ValidationError as err:
        first = err.errors()[0]
        raise SpecError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}, got {first['input']}") from err


def evaluate_spec(
    *,
    model: str | None,
    data: str | None,
    dataset: str,
    samples: str | None,
    metrics: str,
    truncation: float | None,
    seed: int | None,
) -> EvaluateSpec:
    """Return the job that `gangen evaluate` was asked for; see its help for the arguments.

    Raises:
        SpecError: something cannot be done as asked.
        ModelError: the model is missing or damaged.
        DataError: the data set or the file of real digits is missing or damaged.
    """
    if model is not None and data is not None:
        raise SpecError("--model and --data: give one of them, got both")
    count = None if samples is None else parse_count(samples, "--samples", MAX_SAMPLES)
    if count is not None and count < MIN_SAMPLES:
        raise SpecError(f"--samples: must be from {MIN_SAMPLES:,} to {MAX_SAMPLES:,}, got {count:,}")
    _in_range("--truncation", truncation, 0, 1)
    chosen = [name.strip().lower() for name in metrics.split(",")]
    for name in chosen:
        if name not in METRICS:
            raise SpecError(f"--metrics: must be some of {', '.join(METRICS)}, got '{name}'")
    source = _source(dataset)
    is_file = source.endswith(".npz")
    if is_file and not Path(source).is_file():
        raise DataError(f"--dataset {source}: no such file; give the path of an .npz in Keras' layout")
    if data is None:
        subject = _model_subject(model or PRETRAINED, seed, truncation)
    elif seed is not None or truncation is not None:
        raise SpecError("--seed and --truncation: are of digits to be drawn; those of --data have theirs")
    else:
        subject = _data_subject(data)
    return EvaluateSpec(
        subject=subject,
        source=source,
        source_sha256=file_sha256(Path(source)) if is_file else None,
        samples=count,
        metrics=cast("tuple[Literal['fid'], ...]", tuple(name for name in METRICS if name in chosen)),
    )


def _model_subject(model: str, seed: int | None, truncation: float | None) -> SubjectSpec:
    path = model if model == PRETRAINED else _absolute(model, "--model")
    info = read_model(path)
    return SubjectSpec(
        kind="model",
        path=path,
        name=info.name,
        digest=info.digest,
        model_digest=info.digest,
        seed=seed or 0,
        truncation=1.0 if truncation is None else truncation,
        trained_on=info.training.get("config", {}).get("dataset_digest"),
    )


def _data_subject(data: str) -> SubjectSpec:
    path = _absolute(data, "--data")
    manifest = open_dataset(path)
    if manifest.num_rows < MIN_SAMPLES:
        raise DataError(
            f"--data {path}: has {manifest.num_rows:,} rows, an evaluation takes {MIN_SAMPLES:,} or more"
        )
    spec = manifest.spec
    return SubjectSpec(
        kind="data",
        path=path,
        name=spec.name,
        digest=manifest.rows_digest,
        model_digest=spec.model_digest,
        labels=spec.labels,
        seed=spec.seed,
        truncation=spec.truncation,
        rows=manifest.num_rows,
        trained_on=manifest.model.get("training", {}).get("config", {}).get("dataset_digest"),
    )


def extractors_spec(*, dataset: str, out: str) -> ExtractorsSpec:
    """Return the job that `gangen train-extractors` was asked for; see its help for the arguments.

    Raises:
        SpecError: something cannot be done as asked.
    """
    return ExtractorsSpec(source=_source(dataset), out=_absolute(out, "--out"))


def _source(dataset: str) -> str:
    """Return --dataset with a path made absolute: the job may run in another folder."""
    return _absolute(dataset, "--dataset") if dataset.endswith(".npz") else dataset


def _absolute(path: str, option: str) -> str:
    if "://" in path:
        raise SpecError(f"{option}: this version takes folders that every node sees, got {path}")
    try:
        return str(Path(path).expanduser().absolute())
    except RuntimeError as err:
        raise SpecError(f"{option}: {path} names no user's home ({err})") from err


def _one_of(option: str, value: str, choices: object) -> None:
    names = get_args(choices)
    if value not in names:
        raise SpecError(f"{option}: must be one of {', '.join(names)}, got '{value}'")


def _in_range(option: str, value: float | None, above: float, most: float) -> None:
    if value is not None and not (math.isfinite(value) and above < value <= most):
        raise SpecError(f"{option}: must be above {above:g} and at most {most:g}, got {value:g}")
