"""Benchmarks take minutes and are not run here; each must at least still fit the code it measures."""

import subprocess
import sys
from pathlib import Path

import numpy as np

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
