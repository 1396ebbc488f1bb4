"""`gangen train`: parse, one call."""

from __future__ import annotations

from typing import Annotated

import typer

from jobs.cli_options import (
    Address,
    DryRun,
    ImageHasGangen,
    Json,
    MaxFailures,
    NoWait,
    Resources,
    TrainingCpus,
    TrainingGpus,
    run_options,
)

TRAIN_EXAMPLE = "gangen train --dataset digits --preset tiny --steps 500 --model-dir runs/first"


def train(
    dataset: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="mnist, fashion_mnist, digits (no network needed), or the path or s3://, gs://, az:// URL of an .npz.",
        ),
    ] = "mnist",
    model_dir: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="Folder of the model, no URL. Default: runs/DATASET-PRESET."),
    ] = None,
    limit: Annotated[
        str | None,
        typer.Option(
            metavar="N",
            help="Train on N images alone, each label by its share; --seed says which. Few make short epochs: give "
            "--steps too. Default: all there are.",
        ),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(
            min=1, max=100_000_000, metavar="N", help="Optimizer steps. Default: the preset's epochs."
        ),
    ] = None,
    epochs: Annotated[
        float | None, typer.Option(metavar="N", help="Passes over the data, instead of --steps.")
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(
            min=1, max=65_536, metavar="N", help="Images a step over all replicas. Default: the preset's."
        ),
    ] = None,
    preset: Annotated[str, typer.Option(metavar="NAME", help="fast, best, tiny or tutorial.")] = "fast",
    learning_rate: Annotated[
        float | None, typer.Option(metavar="RATE", help="Adam's peak rate. Default: the preset's.")
    ] = None,
    gamma: Annotated[
        float | None,
        typer.Option(metavar="G", help="Weight of the R1 and R2 penalties. Default: the preset's."),
    ] = None,
    precision: Annotated[str, typer.Option(metavar="NAME", help="auto, float32 or mixed_bfloat16.")] = "auto",
    strategy: Annotated[
        str, typer.Option(metavar="NAME", help="auto, one-device, mirrored or multi-worker.")
    ] = "auto",
    workers: Annotated[
        int, typer.Option(min=1, max=1024, metavar="N", help="Ray workers of a multi-worker training.")
    ] = 1,
    cpus_per_worker: TrainingCpus = None,
    gpus_per_worker: TrainingGpus = None,
    resources: Resources = "",
    seed: Annotated[
        int, typer.Option(min=0, max=2**31 - 1, metavar="N", help="Seed of weights, data order and latents.")
    ] = 0,
    resume: Annotated[
        bool | None,
        typer.Option(
            "--resume/--fresh", help="Insist on a checkpoint, or start over. Default: resume if there is one."
        ),
    ] = None,
    checkpoint_every: Annotated[
        int, typer.Option(min=1, metavar="STEPS", help="Steps between checkpoints.")
    ] = 500,
    max_failures: MaxFailures = 3,
    address: Address = None,
    no_wait: NoWait = False,
    image_has_gangen: ImageHasGangen = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Train a class-conditional GAN and export its generator.

    The same command again resumes from the last checkpoint. Ctrl-C and SIGTERM write one before they stop.
    """
    from jobs.checks import placement
    from jobs.requests import train_spec
    from jobs.submit import run_train

    run_train(
        train_spec(
            dataset=dataset,
            model_dir=model_dir,
            limit=limit,
            steps=steps,
            epochs=epochs,
            batch_size=batch_size,
            preset=preset,
            learning_rate=learning_rate,
            gamma=gamma,
            precision=precision,
            strategy=strategy,
            placement=placement(workers, cpus_per_worker, gpus_per_worker, resources),
            seed=seed,
            resume=resume,
            checkpoint_every=checkpoint_every,
            max_failures=max_failures,
        ),
        run_options(address, no_wait, dry_run, as_json, image_has_gangen),
    )
