"""What a log gets of a progress that a terminal shows as a bar."""

from __future__ import annotations

import pytest

from jobs import progress
from jobs.progress import LINE_EVERY_S, Reporter


@pytest.fixture
def clock(monkeypatch):
    """The seconds that the clock shows, in a list of one."""
    now = [1000.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_a_log_gets_the_first_news_at_once_then_a_line_now_and_then_and_the_last(clock, capsys):
    with Reporter("generating", "rows", 10_000) as reporter:
        reporter.update(0, note="starting 2 workers")
        reporter.update(100, note="starting 2 workers")
        clock[0] += LINE_EVERY_S - 1
        reporter.update(1000)
        clock[0] += 1
        reporter.update(2000)
        reporter.update(3000)
        clock[0] += 1
        reporter.update(10_000, rate=5.0)
    assert capsys.readouterr().err.splitlines() == [
        "generating: 0/10,000 rows  starting 2 workers",
        f"generating: 2,000/10,000 rows, {2000 / LINE_EVERY_S:,.0f}/s, {8000 * LINE_EVERY_S / 2000:,.0f} s left",
        "generating: 10,000/10,000 rows, 5.0/s, 0 s left",
    ]


def test_where_there_is_nothing_to_say_a_log_waits(clock, capsys):
    with Reporter("verifying", "rows", 10_000) as reporter:
        reporter.update(1000)
        assert capsys.readouterr().err == ""
        clock[0] += LINE_EVERY_S
        reporter.update(5000)
    assert "verifying: 5,000/10,000 rows" in capsys.readouterr().err
