"""The Dockerfile, as far as it can be checked without an engine: its instructions, its shell, and what it copies."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from ganmodel import __version__

ROOT = Path(__file__).parents[2]

# The Dockerfile reference's instructions; MAINTAINER is deprecated and left out.
INSTRUCTIONS = frozenset(
    {
        *("ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL"),
        *("ONBUILD", "RUN", "SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR"),
    }
)


def read_dockerfile(text: str) -> list[tuple[str, str]]:
    """Return [(instruction, the rest)]; ValueError for a line that begins with none."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    found = []
    for line in joined.splitlines():
        word, _, rest = line.strip().partition(" ")
        if word not in INSTRUCTIONS or not rest.strip():
            raise ValueError(f"no instruction: {line!r}")
        found.append((word, rest.strip()))
    return found


def copies(steps: list[tuple[str, str]]) -> list[tuple[list[str], str]]:
    """Return [(sources, target)] of each COPY, without its options."""
    found = []
    for word, rest in steps:
        if word == "COPY":
            *sources, target = [part for part in rest.split() if not part.startswith("--")]
            found.append((sources, target))
    return found


STEPS = read_dockerfile((ROOT / "Dockerfile").read_text())


def test_the_base_image_is_the_ray_of_the_lock_for_both_devices():
    ray = re.search(r"^ray(?:\[[^]]*\])?==(\S+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    assert ray
    (base,) = [rest for word, rest in STEPS if word == "FROM"]
    assert base == f"rayproject/ray:{ray[1]}-py311-${{DEVICE}}"
    before = STEPS[: STEPS.index(("FROM", base))]
    assert before == [("ARG", "DEVICE=cpu")], "the base's name needs its argument before it"
    assert ("ARG", "DEVICE") in STEPS, "an argument of before FROM is unknown after it"


def test_every_command_is_one_a_shell_can_read():
    commands = [rest for word, rest in STEPS if word == "RUN"]
    assert len(commands) == 2
    for command in commands:
        subprocess.run(["sh", "-n", "-c", command], check=True, capture_output=True)
    assert any("--require-hashes" in command for command in commands), "packages are not pinned"


@pytest.mark.parametrize(("device", "extra"), [("cpu", ""), ("gpu", "[gpu]")])
def test_the_gpu_libraries_come_with_the_device_alone(device, extra, tmp_path):
    command = [rest for word, rest in STEPS if word == "RUN"][-1]
    for name in ("python", "gangen"):
        (tmp_path / name).write_text('#!/bin/sh\necho "$0 $*"\n')
        (tmp_path / name).chmod(0o755)
    done = subprocess.run(
        ["/bin/sh", "-euc", command],
        env={"PATH": str(tmp_path), "DEVICE": device},
        capture_output=True,
        text=True,
        check=True,
    )
    lines = [line.removeprefix(f"{tmp_path}/") for line in done.stdout.splitlines()]
    installs = [line for line in lines if line.startswith("python")]
    assert len(installs) == 1 + bool(extra)
    assert installs[-1].endswith(f".{extra}" if extra else " .")
    assert lines[-1] == "gangen --version"


def test_it_ends_as_a_user_who_is_not_root_and_asks_for_a_token():
    assert [rest for word, rest in STEPS if word == "USER"][-1] == "1000"
    (environment,) = [rest for word, rest in STEPS if word == "ENV"]
    assert "RAY_AUTH_MODE=token" in environment.split()
    assert not any(word in {"EXPOSE", "ENTRYPOINT", "CMD"} for word, _ in STEPS), "Ray's launchers start it"


def test_what_it_copies_is_in_the_build_and_nothing_else_is():
    ignore = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]
    assert ignore[0] == "*", "the build would take data, models and tokens along"
    let_in = {line.removeprefix("!") for line in ignore if line.startswith("!")}
    copied = {source for sources, _ in copies(STEPS) for source in sources}
    assert copied == let_in
    assert all((ROOT / source).exists() for source in copied)


def test_the_package_builds_from_what_is_copied_alone(tmp_path):
    build = tmp_path / "build"
    for sources, target in copies(STEPS):
        for source in sources:
            place = build / target if source == target.removeprefix("./") else build / target / source
            place.parent.mkdir(parents=True, exist_ok=True)
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, place, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / source, place)
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-index",
        "--no-deps",
        "--no-build-isolation",
    ]
    subprocess.run([*command, "-w", str(tmp_path / "dist"), "."], cwd=build, check=True, capture_output=True)
    (wheel,) = (tmp_path / "dist").iterdir()
    assert wheel.name.startswith(f"gangen-{__version__}-")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {
        "jobs/cli.py",
        "jobs/report.html",
        "jobs/explorer/page.html",
        "ganmodel/pretrained/generator.safetensors",
    } <= names


def test_the_versions_in_its_comments_are_the_packages():
    tags = re.findall(r"gangen:(\d+\.\d+\.\d+)", (ROOT / "Dockerfile").read_text())
    assert set(tags) == {__version__}


@pytest.mark.parametrize("text", ["FROMX x\n", "FROM\n", "FROM x\nRUN a &&\nb\n", "copy a b\n"])
def test_a_line_that_is_no_instruction_is_caught(text):
    with pytest.raises(ValueError, match="no instruction"):
        read_dockerfile(text)
