"""How fast models draw digits on all cores, beside the script a Keras user would write with the tutorial's networks.

    python benchmarks/sampler.py [--models pretrained] [--blocks 100] [--rounds 3] [--peer-rows 10000] [--json FILE]

A process a core, one thread each, as `gangen generate` has them; (latents, labels) to uint8, nothing is encoded or
written. The peer (`benchmarks/peers/keras_script.py`) has all cores, and writes Parquet. They take turns within each
round: figures are medians over rounds, ratios medians of each round's own. Compare within one run.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from ganmodel.device import device_facts
from ganmodel.latents import BLOCK_ROWS

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from ganmodel.config import DrawPrecision

PEER = Path(__file__).parent / "peers/keras_script.py"


def draw_on_demand(model: str, precision: DrawPrecision, orders: Connection) -> None:
    """Draw as many blocks as each message says and answer when they are drawn."""
    from ganmodel.labels import parse_labels
    from ganmodel.sampler import Sampler

    sampler, labels = Sampler(model, use_gpus=False, precision=precision), parse_labels("balanced")
    sampler.draw(0, 0, labels)
    orders.send("ready")
    while blocks := orders.recv():
        for block in range(blocks):
            sampler.draw(0, block, labels)
        orders.send("done")


class Crew:
    """A process a core, waiting for orders."""

    def __init__(self, model: str, precision: DrawPrecision) -> None:
        context = multiprocessing.get_context("spawn")
        self._ends = []
        for _ in range(psutil.cpu_count() or 1):
            mine, theirs = context.Pipe()
            context.Process(target=draw_on_demand, args=(model, precision, theirs), daemon=True).start()
            self._ends.append(mine)
        for end in self._ends:
            end.recv()

    def rows_per_s(self, blocks: int) -> float:
        """Return the rate of all cores together over so many blocks each."""
        began = time.perf_counter()
        for end in self._ends:
            end.send(blocks)
        for end in self._ends:
            end.recv()
        return len(self._ends) * blocks * BLOCK_ROWS / (time.perf_counter() - began)

    def dismiss(self) -> None:
        """End the processes."""
        for end in self._ends:
            end.send(0)


def peer_rows_per_s(rows: int, preset: str) -> float:
    """Return the rate of the Keras script, all it does included but its start."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, str(PEER), "--rows", str(rows), "--preset", preset]
        out = subprocess.run(
            [*command, "--out", f"{folder}/digits.parquet"], stdout=subprocess.PIPE, text=True, check=True
        )
    rate: float = json.loads(out.stdout.splitlines()[-1])["rows_per_s"]
    return rate


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", default="pretrained")
    parser.add_argument("--blocks", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peer-rows", type=int, default=10_000)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    precisions: tuple[DrawPrecision, ...] = ("float32", "bfloat16")
    models = {
        f"{model}, {precision}": (model, precision)
        for model in options.models.split(",")
        for precision in precisions
    }
    peer: list[float] = []
    rates: dict[str, list[float]] = {model: [] for model in models}
    for _ in range(options.rounds):
        peer.append(peer_rows_per_s(options.peer_rows, "tutorial"))
        for name, (model, precision) in models.items():
            crew = Crew(model, precision)
            rates[name].append(crew.rows_per_s(options.blocks))
            crew.dismiss()
    report: dict[str, Any] = {
        "machine": device_facts(),
        "cores": psutil.cpu_count(),
        "peer": {"rows_per_s": statistics.median(peer), "all": peer},
        "models": {},
    }
    print(f"{'Keras script':24} {report['peer']['rows_per_s']:>10,.0f} rows/s, tutorial networks, Parquet")
    for model, found in rates.items():
        times = statistics.median(mine / theirs for mine, theirs in zip(found, peer, strict=True))
        report["models"][model] = {
            "rows_per_s": statistics.median(found),
            "times_the_script": times,
            "all": found,
        }
        print(
            f"{model:24} {statistics.median(found):>10,.0f} rows/s, sampler alone, {times:.1f} times the script"
        )
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
