"""The command line's promises: quick and quiet help, a runnable example, frozen options, JSON for machines."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from jobs.plan_files import PLAN_FILE

OPTIONS = {
    "generate": {
        "--count", "--out", "--model", "--format", "--shard-rows", "--labels", "--seed", "--truncation",
        "--precision",
        "--image-encoding", "--splits", "--extend", "--repair", "--workers", "--cpus-per-worker", "--gpus-per-worker",
        "--resources", "--address",
        "--no-wait", "--image-has-gangen", "--dry-run", "--json", "--help",
    },
    "train": {
        "--dataset", "--model-dir", "--limit", "--steps", "--epochs", "--batch-size", "--preset", "--learning-rate",
        "--gamma", "--precision", "--strategy", "--workers", "--cpus-per-worker", "--gpus-per-worker", "--resources",
        "--seed", "--resume", "--fresh", "--checkpoint-every", "--max-failures", "--address", "--no-wait",
        "--image-has-gangen", "--dry-run", "--json", "--help",
    },
    "evaluate": {
        "--model", "--data", "--dataset", "--samples", "--metrics", "--truncation", "--seed", "--report", "--record",
        "--address", "--no-wait", "--image-has-gangen", "--dry-run", "--json", "--help",
    },
    "train-extractors": {
        "--dataset", "--out", "--address", "--no-wait", "--image-has-gangen", "--dry-run", "--json", "--help",
    },
    "verify": {"--full", "--regenerate", "--model", "--json", "--help"},
    "status": {"--address", "--json", "--help"},
    "export": {"--to", "--out", "--image-encoding", "--json", "--help"},
    "preview": {
        "--labels", "--seeds", "--rows", "--data", "--seed", "--truncation", "--model", "--out", "--columns", "--scale",
        "--terminal", "--precision", "--hands", "--dry-run", "--json", "--help",
    },
    "walk": {
        "--labels", "--seeds", "--rows", "--seed", "--frames", "--hold", "--loop", "--open", "--fps", "--size",
        "--columns", "--truncation", "--ink", "--paper", "--model", "--out", "--dry-run", "--json", "--help",
    },
    "poster": {
        "--hands", "--style-of", "--seed", "--variation", "--truncation", "--size", "--ink", "--paper", "--model",
        "--out", "--dry-run", "--json", "--help",
    },
    "explore": {"--model", "--port", "--export", "--no-browser", "--json", "--help"},
}  # fmt: skip
MODEL_OPTIONS = {"export": {"--model", "--to", "--out", "--json", "--help"}}
JOBS_OPTIONS = {
    "list": {"--all", "--address", "--json", "--help"},
    "status": {"--address", "--json", "--help"},
    "logs": {"--follow", "--address", "--json", "--help"},
    "stop": {"--address", "--json", "--help"},
}


def gangen(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("gangen")), *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=120)


@pytest.mark.parametrize("command", OPTIONS)
def test_the_options_are_these_and_no_others(command: str) -> None:
    shown = set(
        re.findall(r"(?<![\w`-])--[a-z][a-z-]+", gangen(command, "--help").stdout.partition("Options:")[2])
    )
    assert shown - {"--steps."} == OPTIONS[command]


@pytest.mark.parametrize(
    ("group", "verb", "expected"),
    [(group, verb, options)
     for group, verbs in (("jobs", JOBS_OPTIONS), ("model", MODEL_OPTIONS)) for verb, options in verbs.items()],
)  # fmt: skip
def test_the_options_of_groups_are_these_and_their_examples_use_them(group, verb, expected) -> None:
    text = gangen(group, verb, "--help").stdout
    options, _, example = text.partition("Options:")[2].partition("Example:")
    assert set(re.findall(r"(?<![\w`-])--[a-z][a-z-]+", options)) == expected
    words = shlex.split(example)
    assert words[:3] == ["gangen", group, verb]
    assert {word for word in words if word.startswith("--")} <= expected


@pytest.mark.parametrize("command", [name for name, options in OPTIONS.items() if "--dry-run" in options])
def test_the_example_in_the_help_is_runnable(command: str, tmp_path: Path) -> None:
    text = " ".join(gangen(command, "--help").stdout.split())
    example = shlex.split(text.partition("Example: ")[2])
    assert example[:2] == ["gangen", command]
    done = gangen(*example[1:], "--dry-run", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    json.loads(done.stdout)


@pytest.mark.parametrize("command", [*OPTIONS, "jobs", "model"])
def test_help_loads_neither_tensorflow_nor_ray_nor_numpy(command: str) -> None:
    script = (
        f"import sys\nsys.argv[1:] = [{command!r}, '--help']\nfrom jobs import cli\n"
        "try: cli.main()\nexcept SystemExit: pass\n"
        "print(sorted({'tensorflow', 'keras', 'ray', 'numpy', 'pyarrow', 'pydantic'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_no_command_at_all_shows_the_help() -> None:
    done = gangen()
    assert done.returncode == 0
    assert "Commands:" in done.stdout


def test_the_dry_run_of_a_billion_prints_the_plan_and_writes_nothing(tmp_path: Path) -> None:
    done = gangen("generate", "--count", "1e9", "--dry-run", "--json", cwd=tmp_path)
    facts = json.loads(done.stdout)
    assert (facts["rows"], facts["shards"], facts["shard_rows"]) == (10**9, 10_000, 100_000)
    assert facts["label_counts"] == {str(k): 10**8 for k in range(10)}
    assert facts["last_files"][0] == "data/train-09999.parquet"
    assert facts["estimated_bytes"]["parquet"] > 10**11
    assert list(tmp_path.iterdir()) == []
    text = gangen("generate", "--count", "1e9", "--dry-run", cwd=tmp_path).stdout
    assert "would write 1,000,000,000 digits" in text
    assert text.splitlines()[-1].startswith("next: ")


def test_the_default_folder_follows_from_the_plan(tmp_path: Path) -> None:
    def out(*extra: str) -> str:
        return str(
            json.loads(gangen("generate", "--count", "1e4", "--dry-run", "--json", *extra).stdout)["out"]
        )

    assert out() == out("--workers", "3")
    assert out() != out("--seed", "1")
    assert PLAN_FILE.startswith(".gangen/")
