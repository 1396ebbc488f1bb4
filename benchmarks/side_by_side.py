"""gangen beside what a user would otherwise write, beside its own sampler and beside the machine's limit, by turns.

    python -m benchmarks.side_by_side [--rounds 3] [--rows 1000000] [--only NAME,...] [--json FILE]

All have the whole machine and its start-up is left out of all: rates count from the first loaded model to the last file
written. The peers write PNG with the same columns from as many rows as fit in about ten seconds; `--rows` is gangen's.
Figures are medians over rounds, ratios medians of each round's own; compare within one run.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from benchmarks.gemm import all_cores
from benchmarks.generate import whole
from benchmarks.sampler import Crew
from ganmodel.model_dir import read_model

if TYPE_CHECKING:
    from collections.abc import Callable

PEERS = Path(__file__).parent / "peers"
GEMM_SECONDS = 2.0


def peer(script: str, rows: int, *arguments: str) -> float:
    """Return the rows/s that a peer's script prints."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, str(PEERS / script), "--rows", str(rows), *arguments]
        out = subprocess.run(
            [*command, "--out", f"{folder}/digits"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            check=True,
        )
    rate: float = json.loads(out.stdout.splitlines()[-1])["rows_per_s"]
    return rate


def pipeline(rows: int, precision: str, *arguments: str) -> float:
    """Return the rows/s of `gangen generate` on all cores."""
    with tempfile.TemporaryDirectory() as folder:
        rate: float = whole(rows, psutil.cpu_count() or 1, Path(folder), precision, *arguments)["rows_per_s"]
    return rate


def sampler(rows: int, precision: Any) -> float:
    """Return the rows/s of the sampler alone on all cores, for a third of the rows."""
    crew = Crew("pretrained", precision)
    try:
        return crew.rows_per_s(max(1, rows // 3000 // (psutil.cpu_count() or 1)))
    finally:
        crew.dismiss()


def contestants(rows: int) -> dict[str, Callable[[], float]]:
    """Return who takes part: a name, and what runs once and returns rows/s, or GFLOP/s for the limit."""
    few = max(1000, rows // 50_000 * 1000)
    tfrecord = ("--format", "tfrecord")
    formats = {
        "Parquet": ("--format", "parquet"),
        "TFRecord": tfrecord,
        "both": ("--format", "parquet,tfrecord"),
    }
    return {
        "Keras script, tutorial networks, Parquet": partial(peer, "keras_script.py", few),
        "Keras script, fast networks, Parquet": partial(peer, "keras_script.py", 3 * few, "--preset", "fast"),
        "Ray Data, fast model, Parquet": partial(peer, "ray_data.py", 3 * few),
        "Ray Data, fast model, TFRecord": partial(peer, "ray_data.py", few, *tfrecord),
        **{
            f"gangen {precision}, {name}": partial(pipeline, rows, precision, *chosen)
            for precision in ("float32", "bfloat16")
            for name, chosen in formats.items()
        },
        "sampler alone float32": partial(sampler, rows, "float32"),
        "sampler alone bfloat16": partial(sampler, rows, "bfloat16"),
        "GEMM float32, GFLOP/s": partial(all_cores, "float32", GEMM_SECONDS),
        "GEMM bfloat16, GFLOP/s": partial(all_cores, "bfloat16", GEMM_SECONDS),
    }


RATIOS = {
    "pipeline / Keras script, tutorial networks": (
        "gangen {}, Parquet",
        "Keras script, tutorial networks, Parquet",
    ),
    "pipeline / Keras script, fast networks": ("gangen {}, Parquet", "Keras script, fast networks, Parquet"),
    "pipeline / Ray Data, Parquet": ("gangen {}, Parquet", "Ray Data, fast model, Parquet"),
    "pipeline / Ray Data, TFRecord": ("gangen {}, TFRecord", "Ray Data, fast model, TFRecord"),
    "pipeline / sampler alone, Parquet": ("gangen {}, Parquet", "sampler alone {}"),
    "pipeline / sampler alone, both": ("gangen {}, both", "sampler alone {}"),
}
"""What is divided by what; `{}` stands for a precision."""


def ratios(rates: dict[str, list[float]]) -> dict[str, float]:
    """Return the medians of each round's ratios, of those whose contestants took part."""
    gflop_a_row = 2e-9 * read_model("pretrained").generator.multiply_adds()
    found = {}
    for precision in ("float32", "bfloat16"):
        pairs = {name: (a.format(precision), b.format(precision), 1.0) for name, (a, b) in RATIOS.items()}
        pairs["sampler / GEMM peak"] = (
            f"sampler alone {precision}",
            f"GEMM {precision}, GFLOP/s",
            gflop_a_row,
        )
        for name, (mine, theirs, factor) in pairs.items():
            if rates.get(mine) and rates.get(theirs):
                each = [factor * a / b for a, b in zip(rates[mine], rates[theirs], strict=True)]
                found[f"{name}, {precision}"] = statistics.median(each)
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--only", help="names that contain one of these, by comma")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    wanted = (options.only or "").split(",")
    chosen = {
        name: run for name, run in contestants(options.rows).items() if any(part in name for part in wanted)
    }
    rates: dict[str, list[float]] = {name: [] for name in chosen}
    for number in range(options.rounds):
        for name, run in chosen.items():
            rates[name].append(run())
            print(f"round {number + 1}: {name:42} {rates[name][-1]:>12,.0f}", file=sys.stderr, flush=True)
    found = ratios(rates)
    for name, values in rates.items():
        print(f"{name:42} {statistics.median(values):>12,.0f}   {min(values):,.0f} to {max(values):,.0f}")
    for name, ratio in found.items():
        print(f"{name:58} {ratio:>8.2f}")
    if options.json:
        medians = {name: statistics.median(values) for name, values in rates.items()}
        report = {"rows": options.rows, "medians": medians, "all": rates, "ratios": found}
        options.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
