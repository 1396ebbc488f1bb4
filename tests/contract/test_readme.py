"""Every example in the README is run, in order, in one folder, as a reader would."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```(\w+)(?: (\w+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCKS = BLOCK.findall((ROOT / "README.md").read_text())


def environ() -> dict[str, str]:
    return {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }


def run(language: str, code: str, folder: Path) -> None:
    command = ["bash", "-euc", code] if language == "sh" else [sys.executable, "-c", code]
    cache = {"HF_HOME": str(folder / "cache"), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        command,
        cwd=folder,
        env={**environ(), **cache},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, f"{code}\n{done.stdout}\n{done.stderr}"


def test_the_readme_holds_the_blocks_these_tests_run() -> None:
    kinds = [(language, tag) for language, tag, _ in BLOCKS]
    assert ("sh", "setup") in kinds
    assert ("sh", "cluster") in kinds
    assert kinds.count(("sh", "")) >= 5
    assert ("python", "") in kinds


def test_the_set_up_commands_are_targets_of_the_makefile() -> None:
    setup = next(code for language, tag, code in BLOCKS if tag == "setup")
    targets = re.findall(r"^make (\S+)", setup, re.MULTILINE)
    assert targets == ["run", "test"]
    for target in [*targets, *re.findall(r"`make ([a-z-]+)`", (ROOT / "README.md").read_text())]:
        subprocess.run(["make", "-n", target], cwd=ROOT, check=True, capture_output=True)


@pytest.mark.ray_local
@pytest.mark.tf
def test_the_tour_runs_from_top_to_bottom(tmp_path: Path) -> None:
    for language, tag, code in BLOCKS:
        if not tag and language in ("sh", "python"):
            run(language, code, tmp_path)
    assert (tmp_path / "data/first/.gangen/manifest.json").is_file()
    assert (tmp_path / "data/mine/.gangen/manifest.json").is_file()
