"""The report: one page that needs nothing else, tells the same as the JSON and repeats no one's markup."""

from __future__ import annotations

import json
import math
import re
from html.parser import HTMLParser

import pytest

from jobs.render_evaluation import evaluation_facts, evaluation_text
from jobs.report import JSON_FILE, PAGE_FILE, render_page, write_report
from jobs.report_charts import OCTAVES, ratio_bar

VOID = {"meta", "img", "br", "link", "input", "hr"}
"""Elements without an end."""


class Checker(HTMLParser):
    """Looks that every element is closed in order, and collects what a browser would fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.fetched: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.fetched += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "data")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)  # Of a drawing: `<line/>` has no end.

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def checked(page: str) -> Checker:
    checker = Checker()
    checker.feed(page)
    assert checker.open == []
    return checker


def headings(page: str) -> list[str]:
    return re.findall(r"<h2>(.*?)</h2>", page)


def test_the_page_is_whole_and_fetches_nothing(findings) -> None:
    page = render_page(findings, "gangen evaluate --seed 0")
    found = checked(page)
    assert found.fetched
    assert all(source.startswith("data:image/png;base64,") for source in found.fetched)
    assert "script" not in found.tags
    assert not re.search(r"https?:|url\(|@import", page)
    assert "$" not in page
    assert "prefers-color-scheme: dark" in page


def test_every_section_is_there_and_every_figure_in_it(findings) -> None:
    page = render_page(findings, "gangen evaluate --seed 0")
    assert headings(page) == [
        "Figures", "Digits", "Label by label", "What was asked, and what a sees", "Closest to the training set",
        "Distance to the nearest neighbour", "Training of the generator", "Where this comes from",
    ]  # fmt: skip
    assert "0.1100" in page
    assert "1.57 x floor" in page
    assert "0.9800 &plusmn;&nbsp;0.0010" in page
    assert "gangen evaluate --seed 0" in page
    assert page.count('alt="4 digits that were to show') == 10
    assert "<figcaption>d_loss</figcaption>" in page
    assert "g_loss" not in page, "a curve of one point is no curve"


def test_what_was_not_measured_leaves_no_empty_section(make_findings) -> None:
    page = render_page(make_findings(pictures=False), "gangen evaluate")
    checked(page)
    assert headings(page) == ["Figures", "Digits", "Label by label", "Where this comes from"]


def test_names_are_shown_as_they_are_and_never_as_markup(make_findings) -> None:
    page = render_page(make_findings(name="<script>alert('x')</script>"), "gangen evaluate '<b>'")
    assert "script" not in checked(page).tags
    assert "&lt;script&gt;" in page
    assert "&lt;b&gt;" in page


def test_the_json_is_the_one_that_the_command_prints(findings, tmp_path) -> None:
    write_report(tmp_path, findings, "gangen evaluate")
    assert {path.name for path in tmp_path.iterdir()} == {PAGE_FILE, JSON_FILE}
    facts = json.loads((tmp_path / JSON_FILE).read_text())
    assert facts == evaluation_facts(findings)
    assert facts["figures"][0]["real"] == 0.07


def test_a_figure_that_is_no_number_does_no_harm(make_findings) -> None:
    findings = make_findings(value=math.nan)
    checked(render_page(findings, "gangen evaluate"))
    assert "nan" not in evaluation_text(findings, None, "gangen evaluate")


@pytest.mark.parametrize(
    ("value", "real", "better", "css", "share"),
    [
        (2.0, 1.0, "lower", "worse", 0.5),
        (0.5, 1.0, "lower", "better", 0.5),
        (0.5, 1.0, "higher", "worse", 0.5),
        (2.0, 1.0, "higher", "better", 0.5),
        (2.0, 1.0, "near", "worse", 0.5),
        (100.0, 1.0, "lower", "worse", 1.0),
    ],
)
def test_a_bar_is_as_long_as_the_ratio_says(value, real, better, css, share, findings) -> None:
    changes = {"value": value, "real": real, "better": better}
    bar = ratio_bar(findings.evaluation.figures[0].model_copy(update=changes))
    length = float(re.search(rf'class="{css}" x="[0-9.]+" y="3" width="([0-9.]+)"', bar)[1])
    assert length == pytest.approx(share * 73, abs=0.1)
    assert OCTAVES == 2


def test_the_table_for_people_ends_with_what_to_do_next(findings) -> None:
    text = evaluation_text(findings, None, "gangen evaluate --report r")
    assert text.splitlines()[-1] == "next: gangen evaluate --report r"
    assert "  lost      1 worker lost: their parts were done again" in text.splitlines()
    assert evaluation_text(findings, "/r/report.html", "").splitlines()[-1] == ("next: open /r/report.html")
    assert re.search(r"FID +a +0\.1100 +0\.0700 +1\.57 x floor +1,000 +test split, 1,000", text)
