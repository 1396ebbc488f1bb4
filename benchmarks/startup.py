"""From the command to the first committed shard: `python -m benchmarks.startup [--rounds 3] [--json FILE]`.

The whole is `gangen generate --count 1000` into a new folder, as people try it first. Its parts are measured alone,
each in a process of its own, so that they add up to more than the whole where the command does two of them at a time.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

GANGEN = Path(sys.executable).with_name("gangen")
COUNT = 1000

PARTS = {
    "an empty Python": "pass",
    "Ray: import": "import ray",
    "Ray: import, start, stop": (
        "from jobs.local import local_ray\nfrom jobs.specs import Placement\n"
        "with local_ray(Placement(workers=1))():\n    pass"
    ),
    "TensorFlow and Keras: import": (
        "from ganmodel.device import configure_tensorflow\n"
        "configure_tensorflow(threads=1, use_gpus=False)\nimport keras"
    ),
    "... and model": "from ganmodel.sampler import Sampler\nSampler('pretrained', use_gpus=False)",
    "... and first block": (
        "from ganmodel.sampler import Sampler\nfrom ganmodel.labels import parse_labels\n"
        "Sampler('pretrained', use_gpus=False).draw(0, 0, parse_labels('balanced'))"
    ),
    "loops: import and first block": (
        "import numpy as np\nfrom jobs.writers.encode import encode_rows\n"
        "from jobs.writers.tfrecord_block import records\n"
        "records(encode_rows(np.zeros((1000, 28, 28), np.uint8), np.zeros(1000, np.int64), 0, 'png'), 1)"
    ),
}


def seconds(command: list[str]) -> float:
    """Return how long a command takes."""
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - began


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    found: dict[str, list[float]] = {}
    for _ in range(options.rounds):
        with tempfile.TemporaryDirectory() as folder:
            generate = [str(GANGEN), "generate", "--count", str(COUNT), "--out", f"{folder}/out"]
            commands = {
                "gangen --help": [str(GANGEN), "--help"],
                "gangen generate --dry-run": [*generate, "--dry-run"],
                **{name: [sys.executable, "-c", code] for name, code in PARTS.items()},
                "gangen generate --count 1000": generate,
            }
            for name, command in commands.items():
                found.setdefault(name, []).append(seconds(command))
    for name, values in found.items():
        print(f"{name:32} {statistics.median(values):>6.2f} s   {min(values):.2f} to {max(values):.2f}")
    if options.json:
        medians = {name: statistics.median(values) for name, values in found.items()}
        options.json.write_text(json.dumps({"seconds": medians, "all": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
