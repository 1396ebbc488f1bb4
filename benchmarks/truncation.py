"""What --truncation trades: figures of a model's digits over psi, as a table in Markdown.

    python benchmarks/truncation.py [--model pretrained] --dataset mnist.npz [--psi 1,0.9,0.8,0.7,0.5] [--seeds 0,1]

Label agreement and coverage are of 10,000 digits under each extractor, CAS is trained on as many digits as there are
real ones. The last row is what real digits give.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

import numpy as np

from ganmodel.cas import cas_steps
from ganmodel.data import load_test_set, load_training_set
from ganmodel.device import configure_tensorflow
from ganmodel.evaluation import Figure, Subject, cas_run, feature_figures
from ganmodel.extractors import load_extractors, shipped_for
from ganmodel.labels import parse_labels
from ganmodel.latents import BLOCK_ROWS
from ganmodel.sampler import Sampler

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ganmodel.data import TrainingSet

METRICS = (("fid", 3), ("label_agreement", 4), ("precision", 3), ("coverage", 3))
SAMPLES = 10_000


def draw(sampler: Sampler, count: int, psi: float) -> Subject:
    """Return the first digits of seed 0."""
    rule = parse_labels("balanced")
    blocks = [sampler.draw(0, block, rule, truncation=psi) for block in range(-(-count // BLOCK_ROWS))]
    images, labels = (np.concatenate(part)[:count] for part in zip(*blocks, strict=True))
    return Subject(images=images, labels=labels, planned=np.full(10, 0.1))


def cas(digits: Subject | TrainingSet, test: TrainingSet, steps: int, seeds: Sequence[int]) -> str:
    """Return the mean CAS over seeds."""
    runs = [cas_run(digits.images, digits.labels, test, steps=steps, seed=seed) for seed in seeds]
    return f"{np.mean([run.accuracy for run in runs]):.4f}"


def cells(figures: Sequence[Figure], field: str) -> list[str]:
    """Return one cell a metric, the extractors' figures in it."""
    return [
        " / ".join(f"{getattr(figure, field):.{places}f}" for figure in figures if figure.metric == metric)
        for metric, places in METRICS
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="pretrained")
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--psi", default="1,0.9,0.8,0.7,0.5")
    parser.add_argument("--seeds", default="0,1")
    options = parser.parse_args()
    configure_tensorflow(use_gpus=False)
    seeds = [int(seed) for seed in options.seeds.split(",")]
    train, test = load_training_set(options.dataset), load_test_set(options.dataset)
    folder = shipped_for(train.digest())
    if folder is None:
        parser.error("no extractors ship for this training split")
    extractors, sampler = load_extractors(folder), Sampler(options.model, use_gpus=False)
    steps = cas_steps(len(train.labels))
    print(f"| psi | {' | '.join(name for name, _ in METRICS)} | cas |\n|{' --- |' * (len(METRICS) + 2)}")
    figures: list[Figure] = []
    for psi in map(float, options.psi.split(",")):
        digits = draw(sampler, len(train.labels), psi)
        subject = Subject(
            images=digits.images[:SAMPLES], labels=digits.labels[:SAMPLES], planned=digits.planned
        )
        figures, _ = feature_figures(["fid", "prdc", "label"], subject, train, test, extractors)
        row = [f"{psi:g}", *cells(figures, "value"), cas(digits, test, steps, seeds)]
        print(f"| {' | '.join(row)} |", flush=True)
    row = ["real", *cells(figures, "real"), cas(train, test, steps, seeds)]
    print(f"| {' | '.join(row)} |")


if __name__ == "__main__":
    main()
