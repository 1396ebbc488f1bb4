"""Ten thousand shards beside ten: what the end of a run, a check and a look at the status take."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from jobs.manifest import FileRecord, ShardRecord, to_json
from jobs.plan import Plan
from jobs.plan_files import commit_name, write_plan
from jobs.specs import GenerateSpec
from jobs.storage import PENDING, open_storage
from tests.unit.fake_digits import dataset_spec

ROOT = Path(__file__).parents[2]
GANGEN = str(Path(sys.executable).with_name("gangen"))
MOST_BYTES_A_SHARD = 12_000
"""By which a process may grow: the records lie in memory once, when the manifest is written or read."""


def commit(shards: int, out: Path) -> GenerateSpec:
    """Leave a place as workers leave it that have made every shard; the files are of one byte."""
    spec = dataset_spec(count=shards * 1000, shard_rows=1000, formats=("tfrecord",))
    plan, storage = Plan(spec), open_storage(str(out))
    storage.prepare()
    write_plan(storage, plan)
    device = {"device": "CPU", "instruction_set": "amx_bf16", "machine": "x86_64", "tensorflow": "2.21.0"}
    for task in plan.tasks():
        (name,) = plan.file_names(task).values()
        path = out / PENDING / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
        record = ShardRecord(
            recipe_digest=plan.recipe_digest(0), index=task.index, first_row=task.first_row, num_rows=1000,
            files={"tfrecord": FileRecord(name=name, size_bytes=1, sha256=f"{task.index:064x}")},
            rows_digest=f"{task.index:064x}", label_counts=dict.fromkeys(range(10), 100), device=device,
            seconds={"sample": 0.1, "encode": 0.02, "write": 0.01, "check": 0.01},
        )  # fmt: skip
        (out / commit_name(task.index)).write_text(to_json(record))
    return GenerateSpec(dataset=spec, model="noise", out=str(out))


def peak_bytes(command: list[str]) -> int:
    """Run a command to its good end and return its largest resident set, as last seen shortly before."""
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    peak, status = 0, Path(f"/proc/{process.pid}/status")
    while process.poll() is None:
        if found := re.search(r"VmHWM:\s+(\d+) kB", status.read_text()):
            peak = int(found[1]) * 1024
        time.sleep(0.005)
    assert process.returncode == 0, command
    return peak


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux' /proc")
def test_memory_hardly_grows_from_ten_to_ten_thousand_shards(tmp_path: Path) -> None:
    """A worker makes one shard after another and keeps none, so it is the driver that could grow."""
    peaks: dict[str, dict[int, int]] = {"finish": {}, "again": {}, "status": {}, "verify": {}}
    for shards in (10, 10_000):
        spec = commit(shards, tmp_path / str(shards))
        driver = [sys.executable, "-m", "tests.support.lone_driver", spec.model_dump_json(), "0"]
        peaks["finish"][shards] = peak_bytes(driver)
        peaks["again"][shards] = peak_bytes(driver)
        for command in ("status", "verify"):
            peaks[command][shards] = peak_bytes([GANGEN, command, spec.out])
    print(peaks)  # noqa: T201
    grown = {name: peak[10_000] - peak[10] for name, peak in peaks.items()}
    assert max(grown.values()) < 10_000 * MOST_BYTES_A_SHARD, peaks
