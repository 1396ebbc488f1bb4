"""`gangen generate` as a user runs it, over counts and workers: rates, bytes a row, peak memory.

    python -m benchmarks.generate [--counts 1e5,1e6] [--workers 1,2] [--precision float32] [--rounds 1] [--json FILE]

The processes are watched from outside. Figures are medians; machines drift, so compare within one run.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import psutil

from jobs.specs import parse_count

GANGEN = str(Path(sys.executable).with_name("gangen"))


class Watch(threading.Thread):
    """Keeps the largest resident set of a process and of its Ray workers, in bytes, until it has ended."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._process = psutil.Process(pid)
        self.driver_bytes = 0
        self.worker_bytes = 0

    def run(self) -> None:
        """Look ten times a second."""
        while self._process.is_running() and self._process.status() != psutil.STATUS_ZOMBIE:
            try:
                self.driver_bytes = max(self.driver_bytes, self._process.memory_info().rss)
                for child in self._process.children(recursive=True):
                    if (child.cmdline() or [""])[0].startswith("ray::GenerateWorker"):
                        self.worker_bytes = max(self.worker_bytes, child.memory_info().rss)
            except psutil.Error:
                continue
            time.sleep(0.1)


def watched(*arguments: str) -> dict[str, Any]:
    """Run a gangen command; return the `facts` it printed, its `seconds` and the peaks of its memory in bytes."""
    began = time.monotonic()
    process = subprocess.Popen([GANGEN, *arguments, "--json"], stdout=subprocess.PIPE, text=True)
    watch = Watch(process.pid)
    watch.start()
    output, _ = process.communicate()
    if process.returncode:
        raise SystemExit(f"gangen {' '.join(arguments)} ended with exit code {process.returncode}")
    return {
        "facts": json.loads(output),
        "seconds": time.monotonic() - began,
        "driver_bytes": watch.driver_bytes,
        "worker_bytes": watch.worker_bytes,
    }


def whole(count: int, workers: int, folder: Path, precision: str, *arguments: str) -> dict[str, Any]:
    """Return the facts of one `gangen generate` run with these arguments: rates, sizes, peak memory."""
    command = ["generate", "--count", str(count), "--workers", str(workers), "--precision", precision]
    found = watched(*command, "--out", str(folder / "out"), *arguments)
    facts = found["facts"]
    return {
        "count": count,
        "workers": workers,
        "precision": precision,
        "seconds": facts["seconds"],
        "making_seconds": facts["making_seconds"],
        "rows_per_s": facts["rows_per_s"],
        "bytes_a_row": {name: size / count for name, size in facts["size_bytes"].items()},
        "driver_peak_bytes": found["driver_bytes"],
        "worker_peak_bytes": found["worker_bytes"],
    }


def summed_up(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the medians of a run's figures, and all rounds."""
    figures = {
        key: statistics.median(facts[key] for facts in rounds) if isinstance(value, int | float) else value
        for key, value in rounds[0].items()
    }
    return figures | {"all": rounds}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--counts", default="1e5,1e6")
    parser.add_argument("--workers", default="2", help="numbers of workers, by comma")
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    runs = [
        (parse_count(count), int(workers))
        for count in options.counts.split(",")
        for workers in options.workers.split(",")
    ]
    found: dict[tuple[int, int], list[dict[str, Any]]] = {run: [] for run in runs}
    for _ in range(options.rounds):
        for run in runs:
            with tempfile.TemporaryDirectory() as folder:
                found[run].append(whole(*run, Path(folder), options.precision))
    report = [summed_up(values) for values in found.values()]
    for facts in report:
        sizes = ", ".join(f"{name} {size:.0f} B/row" for name, size in facts["bytes_a_row"].items())
        print(
            f"{facts['count']:>12,} rows, {facts['workers']} workers: {facts['seconds']:.1f} s in all, "
            f"{facts['rows_per_s']:,.0f} rows/s making; {sizes}; peak memory driver "
            f"{facts['driver_peak_bytes'] / 1e6:.0f} MB, worker {facts['worker_peak_bytes'] / 1e6:.0f} MB"
        )
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
