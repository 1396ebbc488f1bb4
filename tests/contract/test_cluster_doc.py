"""docs/cluster.md: its commands are ones that gangen takes, its sums are right, its messages are ours."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from jobs.cli import app
from jobs.losses import Cause

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/cluster.md").read_text()
BLOCKS = re.findall(r"^```sh[^\n]*\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
COMMANDS = [line for block in BLOCKS for line in block.splitlines() if line.startswith("gangen ")]

ROWS, RATE, ROW_BYTES = 1e9, 20_000, 757


def rows_of(heading: str) -> list[list[str]]:
    """Return the cells of the table whose first line begins with `heading`."""
    table = TEXT[TEXT.index(heading) :].partition("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table]


def numbers(text: str) -> list[float]:
    return [float(number.replace(",", "")) for number in re.findall(r"\d[\d,]*\.?\d*", text)]


@pytest.mark.parametrize("command", COMMANDS)
def test_gangen_takes_its_commands(command):
    words = shlex.split(command)[1:]
    depth = 2 if words[0] == "jobs" else 1
    shown = CliRunner().invoke(app, [*words[:depth], "--help"], env={"COLUMNS": "200", "NO_COLOR": "1"})
    assert shown.exit_code == 0
    assert {word for word in words if word.startswith("--")} <= set(re.findall(r"--[a-z-]+", shown.output))


def test_every_command_line_there_is_is_looked_at():
    assert {shlex.split(command)[1] for command in COMMANDS} == {
        "generate",
        "train",
        "evaluate",
        "status",
        "jobs",
    }
    verbs = {shlex.split(command)[2] for command in COMMANDS if command.startswith("gangen jobs")}
    assert verbs == {"list", "status", "logs", "stop"}


def test_the_size_of_a_billion_is_what_the_dry_run_says(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    told = CliRunner().invoke(app, ["generate", "--count", "1e9", "--dry-run", "--json"])
    facts = json.loads(told.output)
    assert f"{facts['shards']:,} shards of {facts['shard_rows']:,} rows" in TEXT
    sizes = {name: round(size / 1e9) for name, size in facts["estimated_bytes"].items()}
    assert f"about {sizes['parquet']} GB of Parquet and {sizes['tfrecord']} GB of TFRecord" in TEXT
    assert f"storage, {sum(sizes.values())} GB" in TEXT
    assert f"{sum(sizes.values()) / 1000:.3f} GB a million rows" in TEXT


def test_the_times_follow_from_the_rate():
    table = rows_of("| workers | work |")
    assert [row[0] for row in table] == ["16", "64", "240"]
    for workers, minutes, rate, storage in table:
        rows_s = int(workers) * RATE
        assert numbers(minutes)[0] == pytest.approx(ROWS / rows_s / 60, rel=0.03)
        assert numbers(rate) == [rows_s]
        assert numbers(storage)[0] == pytest.approx(rows_s * ROW_BYTES / 1e9, rel=0.02)


def test_the_costs_follow_from_the_assumed_prices():
    work_h = ROWS / RATE / 3600
    table = rows_of("| | assumed |")
    spot, demand = table[0], table[1]
    for column, cores in ((2, 64), (3, 240)):
        hours = work_h + cores * 5 / 60
        assert numbers(spot[column])[1] == pytest.approx(cores * 5 / 60, abs=0.05)
        assert numbers(spot[column])[-1] == pytest.approx(hours * numbers(spot[1])[0], abs=0.01)
        assert numbers(demand[column])[-1] == pytest.approx(hours * numbers(demand[1])[0], abs=0.01)
    for row in table[3:]:
        assert numbers(row[2])[0] == pytest.approx(ROW_BYTES * numbers(row[1])[0], rel=0.01)
    assert f"{work_h:.1f} core-hours of work" in TEXT


def test_the_stages_add_up():
    cells = {row[0]: numbers(row[1])[0] for row in rows_of("| stage |")}
    whole = 1 / sum(1 / cells[stage] for stage in ("draw", "encode PNG", "write Parquet", "write TFRecord"))
    assert cells["all of it, as the sum of the times"] == pytest.approx(whole, rel=0.01)
    assert RATE < cells["the same by the clock, digests, checks and files included"] < whole


def test_what_it_says_is_said_is_in_the_code():
    code = "".join(path.read_text() for path in (ROOT / "jobs").glob("*.py"))
    flat = re.sub(r'"\s*\n\s*f?"', "", code)
    for said, *_ in rows_of("| what is said |"):
        words = re.split(r"[A-Z]{2,}|\d[\d.]*|>=[\d.]+|\(a warning\)|Ray |Python |pyarrow|,| and ", said)
        for part in (word.strip() for word in words):
            assert part in flat, f"nobody says {part!r}"


def test_the_tests_that_show_it_are_there():
    shown = [name.strip() for *_, names in rows_of("| what is said |") for name in names.split(",")]
    assert all(shown)
    missing = [name for name in shown if not (ROOT / "tests" / f"{name}.py").is_file()]
    assert not missing


def test_it_tells_of_every_loss():
    assert [cause for cause, *_ in rows_of("| lost to |")] == list(Cause)


def test_the_files_it_names_are_there():
    links = re.findall(r"\]\(\.\./([^)]+)\)", TEXT)
    assert {"cluster.yaml", "deploy/cluster-local.yaml", "Dockerfile"} <= set(links)
    assert all((ROOT / link).is_file() for link in links)
