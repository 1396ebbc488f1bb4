"""How fast digits are made, stage by stage and whole, and how much memory that takes.

    python benchmarks/generate.py [--blocks 50] [--rounds 3] [--counts 1e5,1e6] [--workers 2] [--json FILE]

Stages are measured alone in this process on one thread, interleaved over the rounds; the whole is `gangen generate` as
a user runs it, its processes watched from outside. Figures are medians; machines drift, so compare within one run.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import psutil

from ganmodel.device import cpu_flags
from ganmodel.labels import parse_labels
from ganmodel.latents import BLOCK_ROWS
from ganmodel.sampler import Sampler
from jobs.specs import parse_count
from jobs.writers import FORMATS
from jobs.writers.encode import encode_rows


def stages(blocks: int, rounds: int, folder: Path) -> dict[str, list[float]]:
    """Return rows/s of each stage alone on one thread, one figure a round."""
    sampler, labels = Sampler("pretrained"), parse_labels("balanced")
    for block in range(3):
        sampler.draw(0, block, labels)
    rates: dict[str, list[float]] = {}

    def timed(name: str, work: Any) -> Any:
        began = time.perf_counter()
        result = work()
        rates.setdefault(name, []).append(blocks * BLOCK_ROWS / (time.perf_counter() - began))
        return result

    for _ in range(rounds):
        drawn = timed("sample", lambda: [sampler.draw(0, block, labels) for block in range(blocks)])
        rows = timed(
            "encode png",
            lambda drawn=drawn: [encode_rows(x, y, i * BLOCK_ROWS, "png") for i, (x, y) in enumerate(drawn)],
        )
        for name, form in FORMATS.items():

            def write(form: Any = form, rows: Any = rows) -> None:
                writer = form.open(
                    folder / form.name, image_encoding="png", class_names=sampler.info.class_names
                )
                for encoded in rows:
                    writer.append(encoded)
                writer.close()

            timed(f"write {name}", write)
    return rates


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


def whole(count: int, workers: int, folder: Path) -> dict[str, Any]:
    """Return the facts of one `gangen generate` run: rates, sizes, peak memory."""
    gangen = str(Path(sys.executable).with_name("gangen"))
    command = [
        gangen,
        "generate",
        "--count",
        str(count),
        "--workers",
        str(workers),
        "--out",
        str(folder / "out"),
    ]
    process = subprocess.Popen([*command, "--json"], stdout=subprocess.PIPE, text=True)
    watch = Watch(process.pid)
    watch.start()
    output, _ = process.communicate()
    facts = json.loads(output)
    return {
        "count": count,
        "workers": workers,
        "seconds": facts["seconds"],
        "making_seconds": facts["making_seconds"],
        "rows_per_s": facts["rows_per_s"],
        "bytes_a_row": {name: size / count for name, size in facts["size_bytes"].items()},
        "driver_peak_bytes": watch.driver_bytes,
        "worker_peak_bytes": watch.worker_bytes,
    }


def machine() -> dict[str, Any]:
    """Return what the figures were measured on."""
    flags = sorted(cpu_flags() & {"avx2", "avx512f", "avx512_bf16", "amx_bf16"})
    return {
        "machine": platform.machine(),
        "cores": psutil.cpu_count(),
        "flags": flags,
        "python": platform.python_version(),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--blocks", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--counts", default="1e5,1e6")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    report: dict[str, Any] = {"machine": machine()}
    with tempfile.TemporaryDirectory() as folder:
        rates = stages(options.blocks, options.rounds, Path(folder))
    report["stages"] = {name: {"median": statistics.median(r), "all": r} for name, r in rates.items()}
    for name, figures in report["stages"].items():
        print(f"{name:16} {figures['median']:>12,.0f} rows/s, one core")
    report["whole"] = []
    for text in filter(None, options.counts.split(",")):
        with tempfile.TemporaryDirectory() as folder:
            facts = whole(parse_count(text), options.workers, Path(folder))
        report["whole"].append(facts)
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
