"""Ten thousand tiny shards: what a run, a check and a look at the status take, beside ten."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from jobs.specs import GenerateSpec
from tests.unit.fake_digits import dataset_spec

ROOT = Path(__file__).parents[2]
GANGEN = str(Path(sys.executable).with_name("gangen"))
MOST_BYTES_A_SHARD = 12_000
"""By which a process may grow: each record lies in memory once when the manifest is written."""


def peak_bytes(command: list[str]) -> int:
    """Run a command to its good end and return its largest resident set."""
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, command
    return usage.ru_maxrss * 1024


@pytest.mark.slow
def test_memory_hardly_grows_from_ten_to_ten_thousand_shards(tmp_path: Path) -> None:
    """Driver and worker are one process here, without Ray and with noise for digits."""
    peaks: dict[str, dict[int, int]] = {"generate": {}, "status": {}, "verify": {}}
    for shards in (10, 10_000):
        out = str(tmp_path / "out")
        dataset = dataset_spec(count=shards * 1000, shard_rows=1000, formats=("parquet",))
        spec = GenerateSpec(dataset=dataset, model="noise", out=out, workers=1)
        lone = [sys.executable, "-m", "tests.support.lone_driver", spec.model_dump_json(), "0"]
        peaks["generate"][shards] = peak_bytes(lone)
        for command in ("status", "verify"):
            peaks[command][shards] = peak_bytes([GANGEN, command, out])
        shutil.rmtree(out)
    grown = {name: peak[10_000] - peak[10] for name, peak in peaks.items()}
    assert max(grown.values()) < 10_000 * MOST_BYTES_A_SHARD, peaks
