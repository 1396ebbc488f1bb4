"""The commands that measure: `gangen evaluate` and `gangen train-extractors`."""

from __future__ import annotations

from typing import Annotated

import typer

from jobs.cli_options import Address, DryRun, ImageHasGangen, Json, NoWait, run_options

EVALUATE_EXAMPLE = "gangen evaluate --model pretrained --report reports/pretrained"
EXTRACTORS_EXAMPLE = "gangen train-extractors --dataset digits --out runs/extractors"


def evaluate(
    model: Annotated[
        str | None,
        typer.Option(
            metavar="DIR",
            help="Folder that `gangen train` exported, or its URL. Default: the one that ships, 'pretrained'.",
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="Finished data set, folder or URL, instead of --model."),
    ] = None,
    dataset: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Real digits with a test split: mnist, fashion_mnist, digits, or the path or URL of an .npz.",
        ),
    ] = "mnist",
    samples: Annotated[
        str | None,
        typer.Option(
            metavar="N",
            help="Digits to judge, 100 or more. Default: 10,000, or as many as there are; for CAS always as many as "
            "there are real ones, unless it is asked for alone.",
        ),
    ] = None,
    metrics: Annotated[
        str, typer.Option(metavar="LIST", help="Some of fid, cas, prdc, label and nn, with commas.")
    ] = "fid,cas,prdc,label,nn",
    truncation: Annotated[
        float | None,
        typer.Option(metavar="PSI", help="Of the digits that --model draws, 0 < PSI <= 1. Default: 1."),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(min=0, max=2**63 - 1, metavar="N", help="Of the digits that --model draws. Default: 0."),
    ] = None,
    report: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="Folder for report.html, one page with pictures, and report.json."),
    ] = None,
    record: Annotated[
        bool,
        typer.Option(
            "--record", help="Keep the figures in the model's model.json, for the cards of its data sets."
        ),
    ] = False,
    address: Address = None,
    no_wait: NoWait = False,
    image_has_gangen: ImageHasGangen = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Measure how good synthetic digits are, each figure beside what real digits give.

    FID under two classifiers, classification accuracy score (CAS), precision, recall, density, coverage, label
    agreement, and whether training digits were memorised. The test split is used here and nowhere else.
    """
    from jobs.requests import evaluate_spec
    from jobs.submit_evaluate import run_evaluate

    spec = evaluate_spec(
        model=model,
        data=data,
        dataset=dataset,
        samples=samples,
        metrics=metrics,
        truncation=truncation,
        seed=seed,
    )
    run_evaluate(spec, report, record, run_options(address, no_wait, dry_run, as_json, image_has_gangen))


def train_extractors(
    dataset: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Real digits with a test split: mnist, fashion_mnist, digits, or the path or URL of an .npz.",
        ),
    ],
    out: Annotated[str, typer.Option(metavar="DIR", help="Folder they are written to.")],
    address: Address = None,
    no_wait: NoWait = False,
    image_has_gangen: ImageHasGangen = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Train the two classifiers whose features `gangen evaluate` uses.

    Those of MNIST ship with gangen, made by this command. For another training set `gangen evaluate` trains its own.
    """
    from jobs.requests import extractors_spec
    from jobs.submit_evaluate import run_train_extractors

    run_train_extractors(
        extractors_spec(dataset=dataset, out=out),
        run_options(address, no_wait, dry_run, as_json, image_has_gangen),
    )
