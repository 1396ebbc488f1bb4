"""Benchmarks take minutes and are not run here; each must at least still fit the code it measures."""

import subprocess
import sys
from pathlib import Path

import numpy as np

from benchmarks.tables import tables

ROOT = Path(__file__).parents[2]


def test_every_benchmark_finds_what_it_imports():
    names = sorted(path.stem for path in (ROOT / "benchmarks").glob("*.py"))
    assert len(names) > 10
    # Some are run as scripts, with their folder on the path, and some as modules of the checkout.
    code = f"import sys, importlib\nsys.path[:0] = ['{ROOT}', '{ROOT / 'benchmarks'}']\n" + "".join(
        f"importlib.import_module('benchmarks.{name}')\n" for name in names
    )
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert found.returncode == 0, found.stderr


def test_the_report_tells_machines_precisions_and_every_part_that_was_run():
    run = {
        "count": 1000, "workers": 2, "precision": "bfloat16", "seconds": 3.0, "rows_per_s": 500.0,
        "bytes_a_row": {"parquet": 340.0}, "driver_peak_bytes": 2e8, "worker_peak_bytes": 9e8,
    }  # fmt: skip
    report = {
        "machines": {"scaling": {"cpu": "a", "cores": 2}, "start-up": {"cpu": "a", "cores": 2}},
        "parts": {"scaling": [run], "start-up": {"all": {"gangen --help": [0.1, 0.3, 0.2]}}},
    }
    text = tables(report)
    assert text.count("cpu a, cores 2") == 1
    assert "| 1,000 | 2 | bfloat16 | 3.0 | 500 | 340 | 200 | 900 |" in text
    assert "| gangen --help | 0.20 | 0.10 to 0.30 |" in text


def test_a_block_that_is_kept_was_drawn_before_the_clock_starts(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import function

    class Digits:
        reads = 0

        def __getitem__(self, rows):
            self.reads += 1
            return None, np.zeros(rows.stop - rows.start)

    digits = Digits()
    timed = function.ways(digits, 3000, None)["digits[i:j], kept"](5000)
    assert digits.reads == 1
    assert timed() == 3000
    assert digits.reads == 4
