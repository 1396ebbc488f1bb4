"""How fast `digits[i:j]` and its streams are, beside reading the same rows from a data set on disk.

    python benchmarks/function.py [--rows 20000] [--rounds 3] [--data DIR] [--json FILE]

One process that may use all cores. Rates are medians over rounds of rows a second; the first block, with TensorFlow's
start, is not counted. `--data` is a folder that `gangen generate` wrote, of at least as many rows. "kept" reads one
block that was drawn before, again and again, "one by one" rows in a loop of Python, "far apart" rows of a block each.
`as_torch_dataset` needs PyTorch. `as_ray_dataset` is read once the rest is done, on a Ray of its own with an actor a
core: ten times the rows, after as many as `--rows` that see it started.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganmodel import DigitFunction
from ganmodel.device import device_facts
from ganmodel.latents import BLOCK_ROWS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


def spent(work: Callable[[], int]) -> float:
    """Return rows a second of one piece of work, which returns its rows."""
    began = time.perf_counter()
    rows = work()
    return rows / (time.perf_counter() - began)


def count(batches: Iterable[Any]) -> int:
    """Return the rows of batches of (images, labels)."""
    return sum(len(labels) for _, labels in batches)


def ways(digits: DigitFunction, rows: int, data: str | None) -> dict[str, Callable[[int], Callable[[], int]]]:
    """Return what is measured, by name; each takes a first row nobody has drawn yet and returns what is timed."""

    def kept(first: int) -> Callable[[], int]:
        block = slice(first, first + BLOCK_ROWS)
        _ = digits[block]
        return lambda: sum(len(digits[block][1]) for _ in range(rows // BLOCK_ROWS))

    def torch_stream(first: int) -> Callable[[], int]:
        from torch.utils.data import DataLoader

        stream = digits.as_torch_dataset(256, count=rows, first_row=first)
        return lambda: count(DataLoader(stream, batch_size=None))

    def from_disk() -> int:
        from jobs.reading import open_dataset, read_rows

        return len(read_rows(str(data), open_dataset(str(data)), rows)[1])

    found: dict[str, Callable[[int], Callable[[], int]]] = {
        "digits[i:j]": lambda first: lambda: len(digits[first : first + rows][1]),
        "batches(256)": lambda first: lambda: count(digits.batches(256, first_row=first, count=rows)),
        "batches(256), shuffled": lambda first: (
            lambda: count(digits.batches(256, first_row=first, count=rows, shuffle=1))
        ),
        "as_tf_dataset(256)": lambda first: (
            lambda: count(digits.as_tf_dataset(256, count=rows, first_row=first))
        ),
        "digits[i], one by one": lambda first: lambda: sum(1 for row in range(rows) if digits[first + row]),
        "digits[i], far apart": lambda first: (
            lambda: sum(1 for block in range(rows // BLOCK_ROWS) if digits[first + block * BLOCK_ROWS])
        ),
        "digits[i:j], kept": kept,
    }
    if importlib.util.find_spec("torch"):
        found["as_torch_dataset(256)"] = torch_stream
    if data:
        found["read from disk"] = lambda _first: from_disk
    return found


def ray_rates(digits: DigitFunction, rows: int, rounds: int) -> list[float]:
    """Return rows a second of `as_ray_dataset` from when the first `rows` are there, once a round."""
    import ray

    ray.init("local", include_dashboard=False, log_to_driver=False)
    ray.data.DataContext.get_current().enable_progress_bars = False
    rates = []
    for number in range(rounds):
        dataset = digits.as_ray_dataset(11 * rows, first_row=10**12 + number * 10**8)
        sizes = (len(batch["label"]) for batch in dataset.iter_batches(batch_size=None))
        begun = 0
        while begun < rows:
            begun += next(sizes)
        rates.append(spent(lambda sizes=sizes: sum(sizes)))
    ray.shutdown()
    return rates


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--data")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    digits = DigitFunction.pretrained(seed=1)
    _ = digits[0]
    rates: dict[str, list[float]] = {}
    first = 10**9
    for _ in range(options.rounds):
        for name, work in ways(digits, options.rows, options.data).items():
            first += 10**7
            rates.setdefault(name, []).append(spent(work(first)))
    rates["as_ray_dataset"] = ray_rates(digits, options.rows, options.rounds)
    medians = {name: statistics.median(found) for name, found in rates.items()}
    for name, rate in medians.items():
        print(f"{name:24} {rate:>12,.0f} rows/s")
    if not importlib.util.find_spec("torch"):
        print("as_torch_dataset(256) was not measured: PyTorch is not installed")
    if options.json:
        report = {"machine": device_facts(), "rows": options.rows, "rows_per_s": medians, "all": rates}
        options.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
