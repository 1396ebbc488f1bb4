"""From what was typed to a spec: every check that needs neither TensorFlow nor Ray, one line each."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Literal, cast, get_args

from pydantic import ValidationError

from ganmodel.errors import SpecError
from ganmodel.labels import parse_labels
from ganmodel.latents import BLOCK_ROWS
from ganmodel.model_dir import PRETRAINED, read_model
from ganmodel.presets import find_preset
from jobs.plan import Plan
from jobs.specs import DatasetSpec, GenerateSpec, TrainSpec, default_shard_rows, parse_count

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
    if not 0 < truncation <= 1:
        raise SpecError(f"--truncation: must be above 0 and at most 1, got {truncation:g}")
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
    source = dataset if not dataset.endswith(".npz") else _absolute(dataset, "--dataset")
    try:
        return TrainSpec(
            source=source,
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
