"""The generation job as a user runs it: real Ray, real model, real kills."""

from __future__ import annotations

import ipaddress
import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.plan_files import COMMITS, MANIFEST_FILE

pytestmark = [pytest.mark.ray_local, pytest.mark.tf]

GANGEN = str(Path(sys.executable).with_name("gangen"))
COUNT, SHARD = 60_500, 2_000
NUM_SHARDS = 31
TIMEOUT_S = 400


def command(out: Path, *extra: str) -> list[str]:
    return [GANGEN, "generate", "--count", str(COUNT), "--shard-rows", str(SHARD), "--out", str(out), *extra]


def finish(out: Path, *extra: str) -> dict[str, Any]:
    done = subprocess.run(
        [*command(out, *extra), "--json"], capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def start(out: Path, *extra: str) -> subprocess.Popen[str]:
    return subprocess.Popen(command(out, *extra), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_until(claim: Callable[[], object], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not claim():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def committed(out: Path) -> set[str]:
    return {path.name for path in (out / COMMITS).glob("*.json") if path.is_file()}


def files(out: Path) -> dict[str, str]:
    manifest = json.loads((out / MANIFEST_FILE).read_text())
    return {f["name"]: f["sha256"] for shard in manifest["shards"] for f in shard["files"].values()}


def rows(out: Path) -> pa.Table:
    return pq.read_table(out / "data")


def ray_workers(driver: subprocess.Popen[str]) -> list[psutil.Process]:
    found = psutil.Process(driver.pid).children(recursive=True)
    return [p for p in found if (p.cmdline() or [""])[0].startswith("ray::GenerateWorker")]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    facts = finish(out, "--workers", "2")
    assert (facts["rows"], facts["rows_made"], facts["shards"]) == (COUNT, COUNT, NUM_SHARDS)
    return out


def test_every_planned_row_is_there_once_and_labels_are_balanced(undisturbed: Path) -> None:
    table = rows(undisturbed)
    assert table.num_rows == COUNT
    assert table["index"].to_pylist() == list(range(COUNT))
    counts = {row["values"]: row["counts"] for row in table["label"].value_counts().to_pylist()}
    assert counts == dict.fromkeys(range(10), COUNT // 10)


def test_the_finished_folder_holds_what_readers_need_and_no_leftovers(undisturbed: Path) -> None:
    assert sorted(p.name for p in undisturbed.iterdir()) == [".gangen", "README.md", "data", "tfds"]
    private = {p.name for p in (undisturbed / ".gangen").iterdir()}
    assert private - {"lock"} == {
        "commits", "events", "manifest.json", "plan.json", "preview.png", "run.json",
    }  # fmt: skip
    again = subprocess.run(
        command(undisturbed), capture_output=True, text=True, timeout=TIMEOUT_S, check=True
    )
    assert again.stdout.startswith("nothing to do: ")
    last = again.stdout.splitlines()[-1]
    assert last.startswith("next: ")
    shown = subprocess.run(
        last.removeprefix("next: "), shell=True, capture_output=True, text=True, check=True
    )
    assert "label" in shown.stdout


def test_one_worker_and_other_shards_give_the_same_rows(undisturbed: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = subprocess.run(
        [GANGEN, "generate", "--count", str(COUNT), "--shard-rows", "25000", "--workers", "1", "--format", "parquet",
         "--out", str(out), "--json"],
        capture_output=True, text=True, timeout=TIMEOUT_S, check=True,
    )  # fmt: skip
    facts = json.loads(done.stdout)
    assert facts["shards"] == 3
    assert facts["rows_digest"] == json.loads((undisturbed / MANIFEST_FILE).read_text())["rows_digest"]
    assert rows(out).equals(rows(undisturbed))


def test_a_killed_worker_costs_nothing_but_time(undisturbed: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    driver = start(out, "--workers", "2")
    wait_until(lambda: len(committed(out)) >= 2, driver)
    victim = ray_workers(driver)[0]
    victim.kill()
    output, errors = driver.communicate(timeout=TIMEOUT_S)
    assert driver.returncode == 0, errors
    assert "a worker was lost" in errors
    assert f"committed {COUNT:,} digits" in output
    assert "lost      1 worker lost: their shards were made again" in output
    assert files(out) == files(undisturbed)
    status = subprocess.run(
        [GANGEN, "status", str(out), "--json"], capture_output=True, text=True, timeout=TIMEOUT_S, check=True
    )
    last_run = json.loads(status.stdout)["last_run"]
    assert (last_run["rows"], last_run["losses"]) == (COUNT, {"worker lost": 1})
    assert set(last_run["stage_seconds"]) == {"sample", "encode", "write", "check"}


def test_two_runs_an_interrupt_and_a_killed_driver_end_in_the_same_data(
    undisturbed: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    driver = start(out)
    wait_until(lambda: committed(out), driver)
    _only_loopback_is_listened_on(driver)
    second = subprocess.run(command(out), capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert second.returncode == 4
    assert "another run is writing here" in second.stderr
    driver.send_signal(signal.SIGINT)
    _, errors = driver.communicate(timeout=TIMEOUT_S)
    assert driver.returncode == 130, errors
    assert "the same command does the rest" in errors.splitlines()[-1]
    assert "Traceback" not in errors

    kept = committed(out)
    driver = start(out)
    wait_until(lambda: len(committed(out)) >= len(kept) + 2, driver)
    orphans = ray_workers(driver)
    driver.kill()
    driver.communicate(timeout=TIMEOUT_S)
    psutil.wait_procs(
        orphans, timeout=TIMEOUT_S
    )  # They end with their raylet, and may commit a shard until then.
    assert len(committed(out)) < NUM_SHARDS
    assert sorted(p.name for p in out.iterdir()) == [".gangen"]  # Nothing that any reader would find.

    before = {name: (out / COMMITS / name).stat().st_mtime_ns for name in committed(out)}
    facts = finish(out)
    assert facts["shards_made"] == NUM_SHARDS - len(before)
    assert all((out / COMMITS / name).stat().st_mtime_ns == then for name, then in before.items())
    assert files(out) == files(undisturbed)


def _only_loopback_is_listened_on(driver: subprocess.Popen[str]) -> None:
    addresses = set()
    for process in psutil.Process(driver.pid).children(recursive=True):
        try:
            connections = process.net_connections("inet")
        except psutil.NoSuchProcess:
            continue
        addresses |= {c.laddr.ip for c in connections if c.status == psutil.CONN_LISTEN}
    assert addresses
    assert all(ipaddress.ip_address(a.removeprefix("::ffff:")).is_loopback for a in addresses), addresses


def test_a_shard_that_cannot_be_committed_is_left_aside_and_the_rest_is_kept(tmp_path: Path) -> None:
    out = tmp_path / "out"
    obstacle = out / ".gangen/commits/00001.json"
    obstacle.mkdir(parents=True)
    (obstacle / "in-the-way").write_text("")
    small = [
        GANGEN,
        "generate",
        "--count",
        "4000",
        "--shard-rows",
        "1000",
        "--format",
        "parquet",
        "--out",
        str(out),
    ]
    done = subprocess.run(small, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert done.returncode == 3, done.stderr
    assert "1 of 4 shards could not be made (first: shard 1: " in done.stderr
    assert committed(out) == {"00000.json", "00002.json", "00003.json"}
    assert not (out / "data").exists()
    (obstacle / "in-the-way").unlink()
    obstacle.rmdir()
    again = subprocess.run([*small, "--json"], capture_output=True, text=True, timeout=TIMEOUT_S, check=True)
    assert json.loads(again.stdout)["shards_made"] == 1
    assert rows(out)["index"].to_pylist() == list(range(4000))


def test_a_lost_file_is_named_and_made_again(undisturbed: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(undisturbed, out)
    lost = out / "data/train-00007.parquet"
    lost.unlink()
    refused = subprocess.run(command(out), capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert refused.returncode == 4
    assert "1 of 62 files are missing or cut (first: data/train-00007.parquet)" in refused.stderr
    assert "run the same command with --repair" in refused.stderr
    assert finish(out, "--repair")["shards_made"] == 1
    assert files(out) == files(undisturbed)
    assert lost.is_file()


def test_gpus_that_are_not_there_are_refused_in_one_line(tmp_path: Path) -> None:
    line = [*command(tmp_path / "out"), "--workers", "2", "--gpus-per-worker", "0.5"]
    refused = subprocess.run(line, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert refused.returncode == 6
    assert refused.stderr.count("\n") == 1
    assert "1 GPUs are asked for in all, this machine has 0" in refused.stderr


def test_another_package_called_jobs_in_the_folder_of_the_command_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "__init__.py").write_text("raise RuntimeError('not gangen')")
    done = subprocess.run(
        [GANGEN, "generate", "--count", "1000", "--out", "digits", "--workers", "1"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "digits" / MANIFEST_FILE).is_file()
