"""What an evaluation found survives the way through a job's log, whatever cuts the log to pieces."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ganmodel.errors import ClusterError
from ganmodel.evaluation import Neighbours
from jobs.findings import RESULT_MARK, LogFilter, from_line, to_line
from jobs.job_commands import _without_result
from jobs.render_evaluation import evaluation_facts


def test_findings_come_back_as_they_were(findings) -> None:
    back = from_line(to_line(findings))
    assert back.evaluation == findings.evaluation
    assert back.curves == findings.curves
    assert back.losses == findings.losses == {"worker lost": 1}
    np.testing.assert_array_equal(back.pictures.samples, findings.pictures.samples)
    np.testing.assert_array_equal(back.pictures.confusion, findings.pictures.confusion)
    for name in Neighbours.__dataclass_fields__:
        np.testing.assert_array_equal(
            getattr(back.pictures.neighbours, name), getattr(findings.pictures.neighbours, name)
        )


def test_what_was_not_measured_stays_away(make_findings) -> None:
    back = from_line(to_line(make_findings(pictures=False)))
    assert back.pictures.neighbours is None
    assert back.pictures.confusion is None


def test_a_figure_that_is_no_number_comes_back_and_is_null_in_json(make_findings) -> None:
    back = from_line(to_line(make_findings(value=math.nan)))
    assert math.isnan(back.evaluation.figures[0].value)
    assert evaluation_facts(back)["figures"][0]["value"] is None


@given(st.lists(st.integers(0, 400), max_size=30))
def test_the_log_is_passed_on_without_the_result_however_it_is_cut(cuts: list[int]) -> None:
    lines = ["data: 10,000 digits", "", "evaluating: 3/9 parts", f"{RESULT_MARK}{'x' * 120}", "Ray says bye"]
    text = "\n".join(lines)
    edges = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    written: list[str] = []
    log = LogFilter(written.append)
    for start, end in itertools.pairwise(edges):
        log(text[start:end])
    with pytest.raises(ClusterError, match="cannot be read from its log"):
        log.finish()
    assert "".join(written) == "\n".join([*lines[:3], lines[4]])
    assert log.result == lines[3]


def test_the_findings_are_picked_out_of_a_log(findings) -> None:
    log = LogFilter(lambda _: None)
    log(f"before\n{to_line(findings)}\nafter\n")
    assert log.finish().evaluation == findings.evaluation


def test_a_log_can_be_shown_without_the_result(findings) -> None:
    assert _without_result(f"before\n{to_line(findings)}\nafter\nno newline") == "before\nafter\nno newline"


def test_a_log_without_a_result_is_one_line() -> None:
    with pytest.raises(ClusterError, match="its log holds no result"):
        LogFilter(lambda _: None).finish()


@pytest.mark.parametrize("damage", ["", "A", "AAAA", "!!!!"])
def test_a_cut_or_damaged_result_is_one_line(damage: str, findings) -> None:
    line = to_line(findings)
    with pytest.raises(ClusterError, match="cannot be read"):
        from_line(line[: len(line) // 2] + damage)
