"""What the number of shards costs: time and memory of `gangen generate`, `status` and `verify`, shards of 1,000 rows.

    python -m benchmarks.shards [--shards 10,100,1000,10000] [--workers 2] [--model DIR] [--format idx] [--json FILE]

Memory is the largest resident set seen, ten times a second: of the command's own process, and of its largest worker.
Any model will do (a tiny one draws faster): what a shard costs besides its rows is asked for.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.bench import machine
from benchmarks.generate import watched


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shards", default="10,100,1000,10000")
    parser.add_argument("--workers", default="2")
    parser.add_argument("--model", default="pretrained")
    parser.add_argument("--format", default="idx")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    report: dict[str, Any] = {"machine": machine(), "runs": []}
    for shards in map(int, options.shards.split(",")):
        with tempfile.TemporaryDirectory() as folder:
            out = f"{folder}/out"
            generate = ["generate", "--count", str(shards * 1000), "--shard-rows", "1000", "--out", out]
            generate += ["--workers", options.workers, "--model", options.model, "--format", options.format]
            steps = {
                "generate": watched(*generate),
                "again": watched(*generate),
                "status": watched("status", out),
                "verify": watched("verify", out),
            }
        report["runs"].append({"shards": shards, **steps})
        texts = []
        for name, step in steps.items():
            worker = f", worker {step['worker_bytes'] / 1e6:.0f} MB" if step["worker_bytes"] else ""
            texts.append(f"{name} {step['seconds']:.1f} s, {step['driver_bytes'] / 1e6:.0f} MB{worker}")
        print(f"{shards:>7,} shards: {'; '.join(texts)}", flush=True)
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
