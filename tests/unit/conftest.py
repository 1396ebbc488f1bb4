"""Findings of an evaluation that nobody ran."""

from __future__ import annotations

import numpy as np
import pytest

from ganmodel.evaluation import Evaluation, ExtractorFacts, Figure, Neighbours, Pictures
from jobs.findings import Findings


@pytest.fixture(scope="session")
def make_findings():
    """Return a function that makes findings of a name, with or without pictures."""

    def make(*, name: str = "mnist", value: float = 0.11, pictures: bool = True) -> Findings:
        rng = np.random.default_rng(0)
        shares = tuple(float(x) for x in rng.uniform(0.9, 1, 10))
        facts = {"samples": 1000, "reference": "test split, 1,000"}
        figures = (
            Figure(metric="fid", extractor="a", value=value, real=0.07, better="lower", **facts),
            Figure(metric="fid", extractor="b", value=3.0, real=1.0, better="lower", **facts),
            Figure(metric="cas", extractor=None, value=0.98, real=0.99, spread=0.001, real_spread=0.002,
                   better="higher", per_class=shares, real_per_class=shares, **facts),
            Figure(metric="nn_ratio", extractor=None, value=0.99, real=0.0, better="near", **facts),
        )  # fmt: skip
        evaluation = Evaluation(
            subject={"kind": "model", "path": f"/runs/{name}", "name": name, "digest": "d" * 64, "seed": 0,
                     "truncation": 1.0, "trained_on": "e" * 64},
            dataset={"name": name, "train_digest": "f" * 64, "train_rows": 60_000, "test_rows": 1000,
                     "class_names": [f"{name}{k}" for k in range(10)]},
            samples=1000,
            extractors=(
                ExtractorFacts(name="a", digest="a" * 64, test_accuracy=0.99, trained_on="f" * 64, shipped=True),
            ),
            figures=figures,
            seconds={"digits": 1.5, "all": 2.0},
            device={"device": "CPU"},
        )  # fmt: skip
        distances = {
            f"{who}nn_{where}": rng.uniform(1, 6, 50).astype(np.float32)
            for who in ("", "real_")
            for where in ("train", "held_out")
        }
        neighbours = Neighbours(**distances, closest=rng.integers(0, 256, (3, 3, 28, 28), np.uint8))
        return Findings(
            evaluation=evaluation,
            pictures=Pictures(
                samples=rng.integers(0, 256, (10, 4, 28, 28), np.uint8),
                neighbours=neighbours if pictures else None,
                confusion=np.diag(np.arange(10)) if pictures else None,
            ),
            curves={"d_loss": [(50, 0.7), (100, 0.6)], "g_loss": [(50, 0.7)]} if pictures else {},
            losses={"worker lost": 1} if pictures else {},
        )

    return make


@pytest.fixture
def findings(make_findings):
    """Findings with everything in them."""
    return make_findings()
