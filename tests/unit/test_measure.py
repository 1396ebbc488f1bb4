"""What an evaluation is cut into, and how many digits it judges."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ganmodel.errors import SpecError
from ganmodel.evaluation import CAS_SEEDS, METRICS
from ganmodel.labels import parse_labels
from jobs.measure import plan_parts, planned_shares
from jobs.render_evaluation import evaluate_command
from jobs.requests import evaluate_spec
from jobs.specs import EvaluateSpec, SubjectSpec


def spec(
    samples: int | None = None, rows: int | None = None, metrics: tuple[Any, ...] = ("nn",)
) -> EvaluateSpec:
    subject = SubjectSpec(
        kind="data" if rows else "model", path="/d", name="d", digest="0", model_digest="0", seed=0, truncation=1,
        rows=rows,
    )  # fmt: skip
    return EvaluateSpec(subject=subject, source="digits", samples=samples, metrics=metrics)


def test_parts_cover_what_was_asked_once_each() -> None:
    parts = plan_parts(METRICS)
    assert len(set(parts)) == len(set(map(str, parts))) == len(parts)
    assert [part.kind for part in parts].count("cas") == 2 * len(CAS_SEEDS)
    assert [part.kind for part in plan_parts(["nn"])] == ["about", "nn"]
    assert [part.kind for part in plan_parts(["label", "fid"])] == ["about", "features", "features"]


@pytest.mark.parametrize(
    ("samples", "rows", "train_rows", "judged"),
    [
        (None, None, 60_000, 10_000),
        (None, None, 1500, 1500),
        (None, 2000, 60_000, 2000),
        (None, 10**6, 60_000, 10_000),
        (3000, None, 60_000, 3000),
        (1000, 1000, 1500, 1000),
    ],
)
def test_as_many_digits_are_judged_as_there_are(samples, rows, train_rows, judged) -> None:
    assert spec(samples, rows).num_samples(train_rows) == judged


@pytest.mark.parametrize(("rows", "whose"), [(None, "the training split"), (1200, "--data /d")])
def test_more_digits_than_there_are_is_one_line(rows, whose) -> None:
    with pytest.raises(SpecError, match=f"--samples: at most the 1,[25]00 of {whose}, got 2,000"):
        spec(2000, rows).num_samples(1500)


@pytest.mark.parametrize(
    ("samples", "rows", "metrics", "trained_on"),
    [
        (None, None, ("cas",), 60_000),
        (None, 20_000, ("cas",), 20_000),
        (None, 10**6, ("cas",), 60_000),
        (10**6, None, ("cas",), 10**6),
        (2000, 10**6, ("cas",), 2000),
        (2000, None, ("fid", "cas"), 60_000),
    ],
)
def test_cas_takes_as_many_as_there_are_real_ones_unless_it_is_asked_for_alone(
    samples, rows, metrics, trained_on
) -> None:
    asked = spec(samples, rows, metrics)
    assert asked.num_cas_samples(60_000) == trained_on
    assert asked.num_samples(60_000) <= 60_000


def test_more_digits_for_cas_than_a_data_set_has_is_one_line() -> None:
    with pytest.raises(SpecError, match="--samples: at most the 1,200 of --data /d, got 2,000"):
        spec(2000, 1200, ("cas",)).num_samples(60_000)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("balanced", [0.1] * 10),
        ("uniform", [0.1] * 10),
        ("0,1", [0.5, 0.5] + [0] * 8),
        ("0=0.25,7=0.75", [0.25] + [0] * 6 + [0.75] + [0] * 2),
    ],
)
def test_planned_shares_are_those_of_the_rule(rule: str, expected: list[float]) -> None:
    np.testing.assert_allclose(planned_shares(str(parse_labels(rule))), expected)


def test_the_command_of_a_report_asks_for_the_same_evaluation() -> None:
    asked = {"model": None, "data": None, "dataset": "digits", "samples": "1000", "metrics": "nn, FID"}
    first = evaluate_spec(**asked, truncation=0.7, seed=3)
    assert first.metrics == ("fid", "nn")
    assert evaluate_command(first) == (
        "gangen evaluate --model pretrained --dataset digits --samples 1000 --metrics fid,nn --truncation 0.7 --seed 3"
    )
