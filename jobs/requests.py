"""From what was typed to a spec: every check that needs neither TensorFlow nor Ray, one line each."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast, get_args

from pydantic import ValidationError

from ganmodel.data import NUM_CLASSES
from ganmodel.errors import DataError, SpecError
from ganmodel.evaluation import METRICS, MIN_SAMPLES
from ganmodel.labels import parse_labels
from ganmodel.model_dir import PRETRAINED
from ganmodel.presets import find_preset
from ganmodel.weights import file_sha256
from jobs.checks import absolute, absolute_input, absolute_place, checked_model, in_range, one_of
from jobs.dataset_spec import LABELS_FROM_FILE
from jobs.inputs import local_file
from jobs.reading import open_dataset
from jobs.specs import (
    MAX_SAMPLES,
    EvaluateSpec,
    ExtractorsSpec,
    SubjectSpec,
    TrainSpec,
    parse_count,
)

if TYPE_CHECKING:
    from jobs.manifest import Manifest
    from jobs.specs import Placement

StrategyName = Literal["auto", "one-device", "mirrored", "multi-worker"]
PrecisionName = Literal["auto", "float32", "mixed_bfloat16"]


def train_spec(
    *,
    dataset: str,
    model_dir: str | None,
    limit: str | None,
    steps: int | None,
    epochs: float | None,
    batch_size: int | None,
    preset: str,
    learning_rate: float | None,
    gamma: float | None,
    precision: str,
    strategy: str,
    placement: Placement,
    seed: int,
    resume: bool | None,
    checkpoint_every: int,
    max_failures: int,
) -> TrainSpec:
    """Return the job that `gangen train` was asked for; see its help for the arguments.

    Raises:
        SpecError: something cannot be done as asked.
    """
    row = find_preset(preset)
    one_of("--strategy", strategy, get_args(StrategyName))
    one_of("--precision", precision, get_args(PrecisionName))
    if steps is not None and epochs is not None:
        raise SpecError("--steps and --epochs: give one of them, got both")
    workers = placement.workers or 1
    if workers > 1 and strategy not in ("auto", "multi-worker"):
        raise SpecError(f"--workers {workers}: needs --strategy multi-worker or auto, got {strategy}")
    in_range("--epochs", epochs, 0, 1e6)
    in_range("--learning-rate", learning_rate, 0, 1)
    if gamma is not None and not 0 <= gamma <= 1000:
        raise SpecError(f"--gamma: must be from 0 to 1000, got {gamma:g}")
    batch = batch_size or row.batch_size
    if batch % workers:
        raise SpecError(f"--batch-size {batch}: must be a multiple of the {workers} workers")
    try:
        return TrainSpec(
            source=_source(dataset),
            model_dir=_model_dir(model_dir or f"runs/{Path(dataset).stem}-{preset}"),
            preset=preset,
            limit=None if limit is None else _image_limit(limit),
            steps=steps,
            epochs=epochs,
            batch_size=batch,
            learning_rate=row.learning_rate if learning_rate is None else learning_rate,
            gamma=row.gamma if gamma is None else gamma,
            seed=seed,
            precision=None if precision == "auto" else cast("Literal['float32']", precision),
            strategy=cast("StrategyName", strategy),
            placement=placement,
            resume={None: "auto", True: "require", False: "fresh"}[resume],  # type: ignore[arg-type]
            checkpoint_every_steps=checkpoint_every,
            max_failures=max_failures,
        )
    except ValidationError as err:
        first = err.errors()[0]
        raise SpecError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}, got {first['input']}") from err


def _model_dir(path: str) -> str:
    if "://" in path:
        raise SpecError(
            "--model-dir: checkpoints need a folder that every node sees, got a URL; train into one, then copy its "
            "model.json and generator.safetensors to the store (aws s3 cp, gcloud storage cp, az storage blob upload): "
            "--model takes URLs"
        )
    return absolute(path, "--model-dir")


def _image_limit(text: str) -> int:
    limit = parse_count(text, "--limit")
    if limit < NUM_CLASSES:
        raise SpecError(f"--limit: must be {NUM_CLASSES} or more, one image a label, got {limit}")
    return limit


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
    in_range("--truncation", truncation, 0, 1)
    chosen = [name.strip().lower() for name in metrics.split(",")]
    for name in chosen:
        if name not in METRICS:
            raise SpecError(f"--metrics: must be some of {', '.join(METRICS)}, got '{name}'")
    source = _source(dataset)
    file = Path(local_file(source)) if source.endswith(".npz") else None
    if file is not None and not file.is_file():
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
        source_sha256=None if file is None else file_sha256(file),
        samples=count,
        metrics=cast("tuple[Literal['fid'], ...]", tuple(name for name in METRICS if name in chosen)),
    )


def _model_subject(model: str, seed: int | None, truncation: float | None) -> SubjectSpec:
    path, info = checked_model(model)
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
    path = absolute_place(data, "--data")
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
        labels=_rule_of(manifest),
        seed=spec.seed,
        truncation=spec.truncation,
        rows=manifest.num_rows,
        trained_on=manifest.model.get("training", {}).get("config", {}).get("dataset_digest"),
    )


def _rule_of(manifest: Manifest) -> str:
    """Return the rule of a data set's labels; where a file gave them, the shares there are stand for it."""
    if manifest.spec.labels != LABELS_FROM_FILE:
        return manifest.spec.labels
    return str(parse_labels(",".join(f"{label}={rows}" for label, rows in manifest.label_counts.items())))


def extractors_spec(*, dataset: str, out: str) -> ExtractorsSpec:
    """Return the job that `gangen train-extractors` was asked for; see its help for the arguments.

    Raises:
        SpecError: something cannot be done as asked.
    """
    return ExtractorsSpec(source=_source(dataset), out=absolute(out, "--out"))


def _source(dataset: str) -> str:
    """Return --dataset with a path made absolute: the job may run in another folder."""
    if "://" not in dataset and not dataset.endswith(".npz"):
        return dataset
    source = absolute_input(dataset, "--dataset")
    if "://" in source and not (source.endswith(".npz") and source.count("/") > 2):
        raise SpecError(f"--dataset {source}: must be the URL of an .npz in Keras' layout")
    return source
