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


def test_the_gallery_is_small_and_made_by_the_commands_beside_its_pictures(tmp_path: Path) -> None:
    text = (ROOT / "README.md").read_text()
    rows = re.findall(r"^\| !\[[^]]+\]\(([^)]+)\) \| `(gangen [^`]+)`", text, re.MULTILINE)
    assert len(rows) == text.count("![") == 5
    assert sum((ROOT / picture).stat().st_size for picture, _ in rows) < 1_000_000
    drawn = [(picture, command) for picture, command in rows if "--out" in command]
    assert [Path(picture).name for picture, _ in drawn] == [command.split()[-1] for _, command in drawn]
    run("sh", "\n".join(f"{command} --dry-run" for _, command in drawn), tmp_path)
    pages = {
        ROOT / "docs" / picture
        for picture in re.findall(r"\]\((gallery/[^)]+)\)", (ROOT / "docs/art.md").read_text())
    }
    assert set((ROOT / "docs/gallery").iterdir()) == pages | {ROOT / "docs/gallery/report.png"}


@pytest.mark.ray_local
@pytest.mark.tf
def test_the_tour_runs_from_top_to_bottom(tmp_path: Path) -> None:
    for language, tag, code in BLOCKS:
        if not tag and language in ("sh", "python"):
            run(language, code, tmp_path)
    assert (tmp_path / "data/first/.gangen/manifest.json").is_file()
    assert (tmp_path / "data/mine/.gangen/manifest.json").is_file()
