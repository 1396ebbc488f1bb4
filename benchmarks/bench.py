"""Every figure of docs/performance.md in one go.

    python -m benchmarks.bench [--only PART,...] [--quick] [--out data/bench]

Parts run one after another, each in processes of its own; within a part those that are compared take turns. Writes
FOLDER/bench.json with every value of every round and the machine of each part, bench.md and bench.svg, and prints
bench.md. A part that is run again replaces its figures and leaves the others', so a long run may be cut in pieces.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

from benchmarks.tables import chart, tables
from ganmodel.device import cpu_flags

PARTS = {
    "side by side": ("side_by_side", ["--rounds", "3"], ["--rounds", "1", "--rows", "100000"]),
    "stages": ("encode", ["--digits"], ["--digits", "--rows", "5000"]),
    "scaling": (
        "generate",
        ["--counts", "1e5,1e6,1e7", "--workers", "2", "--precision", "bfloat16"],
        ["--counts", "1e4,1e5", "--workers", "2", "--precision", "bfloat16"],
    ),
    "workers": (
        "generate",
        ["--counts", "5e5", "--workers", "1,2", "--rounds", "3"],
        ["--counts", "5e4", "--workers", "1,2"],
    ),
    "start-up": ("startup", ["--rounds", "3"], ["--rounds", "1"]),
    "row access": ("function", [], ["--rows", "5000", "--rounds", "1"]),
    "reading": ("reading", [], ["--rows", "5000", "--rounds", "1"]),
    "training": ("train", [], ["--steps", "2", "--rounds", "1"]),
}
"""What there is: the script, its arguments, and those of a quick look."""


def machine() -> dict[str, Any]:
    """Return what the figures were measured on."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    models = {line.partition(":")[2].strip() for line in lines if line.startswith("model name")}
    return {
        "when": datetime.now(UTC).date().isoformat(),
        "cpu": ", ".join(sorted(models)) or platform.processor(),
        "cores": psutil.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9),
        "flags": sorted(cpu_flags() & {"avx2", "avx512f", "avx512_bf16", "amx_bf16"}),
        "python": platform.python_version(),
        **{name: version(name) for name in ("tensorflow", "keras", "ray", "pyarrow", "numba", "numpy")},
    }


def run(script: str, arguments: list[str]) -> Any:
    """Run a benchmark of its own and return what it writes."""
    with tempfile.TemporaryDirectory() as folder:
        found = Path(folder, "found.json")
        command = [sys.executable, "-m", f"benchmarks.{script}", *arguments, "--json", str(found)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return json.loads(found.read_text())


def main() -> None:
    """Measure, write, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default=",".join(PARTS), help=f"some of: {', '.join(PARTS)}")
    parser.add_argument(
        "--quick", action="store_true", help="a look at whether all runs; no figures to quote"
    )
    parser.add_argument("--out", type=Path, default=Path("data/bench"))
    options = parser.parse_args()
    wanted = options.only.split(",")
    if odd := sorted(set(wanted) - PARTS.keys()):
        parser.error(f"--only: there is no part '{odd[0]}'; choose from {', '.join(PARTS)}")
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / "bench.json"
    report: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {"parts": {}}
    report.setdefault("machines", {})
    for name in wanted:
        script, arguments, quick = PARTS[name]
        print(f"{name} ...", file=sys.stderr, flush=True)
        report["parts"][name] = run(script, quick if options.quick else arguments)
        report["machines"][name] = machine()
        path.write_text(json.dumps(report, indent=1) + "\n")
    text = tables(report)
    (options.out / "bench.md").write_text(text)
    (options.out / "bench.svg").write_text(chart(report))
    print(text)


if __name__ == "__main__":
    main()
