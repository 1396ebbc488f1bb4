"""The lock files pin what pyproject.toml asks for, by hash, for every supported Python, and name no host."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PYTHONS = ("3.11", "3.12", "3.13")

# The whole grammar of a lock: a pin, then its hashes. A line with a URL, an option or a comment does not fit.
PIN = r"[a-z0-9-]+==[0-9][0-9a-z.]*(?: ; [A-Za-z0-9_ .'<>=!()]+)?"
ENTRY = re.compile(rf"(?P<pin>{PIN})(?P<hashes>(?: \\\n    --hash=sha256:[0-9a-f]{{64}})+)\n")


def read_lock(text: str) -> dict[str, str]:
    """Return {pin: its hashes}; ValueError for text that holds anything but pins with hashes."""
    entries, end = {}, 0
    while end < len(text):
        match = ENTRY.match(text, end)
        if match is None:
            raise ValueError(f"not a pin with hashes: {text[end : end + 80]!r}")
        entries[match["pin"]] = match["hashes"]
        end = match.end()
    return entries


def pinned_versions(lock: dict[str, str], python: str) -> dict[str, str]:
    """Return {package: version} that the lock installs on Linux; ValueError for two versions of one package."""
    environment = {"python_version": python, "python_full_version": f"{python}.0", "sys_platform": "linux"}
    versions: dict[str, str] = {}
    for requirement in map(Requirement, lock):
        if requirement.marker is None or requirement.marker.evaluate(environment):
            if requirement.name in versions:
                raise ValueError(f"{requirement.name} is pinned twice for Python {python}")
            versions[requirement.name] = str(requirement.specifier).removeprefix("==")
    return versions


def missing_pins(asked: list[str], versions: dict[str, str]) -> list[str]:
    """Return the requirements that no pinned version satisfies."""
    missing = []
    for line in asked:
        requirement = Requirement(line)
        version = versions.get(canonicalize_name(requirement.name))
        if version is None or not requirement.specifier.contains(version):
            missing.append(line)
    return missing


RUNTIME = read_lock((ROOT / "requirements.lock").read_text(encoding="utf-8"))
EVERYTHING = read_lock((ROOT / "requirements-dev.lock").read_text(encoding="utf-8"))


@pytest.mark.parametrize("python", PYTHONS)
def test_every_dependency_is_pinned_within_its_range(python: str) -> None:
    runtime = PYPROJECT["project"]["dependencies"]
    assert missing_pins(runtime, pinned_versions(RUNTIME, python)) == []
    everything = runtime + PYPROJECT["dependency-groups"]["dev"]
    assert missing_pins(everything, pinned_versions(EVERYTHING, python)) == []


@pytest.mark.parametrize("python", PYTHONS)
def test_tests_run_on_the_versions_that_users_get(python: str) -> None:
    assert pinned_versions(RUNTIME, python).items() <= pinned_versions(EVERYTHING, python).items()


def test_build_backend_is_pinned_because_it_is_used_without_isolation() -> None:
    assert missing_pins(PYPROJECT["build-system"]["requires"], pinned_versions(RUNTIME, "3.11")) == []


def test_supported_pythons_are_those_of_the_lock() -> None:
    classifiers = [
        line.rpartition(" ")[2] for line in PYPROJECT["project"]["classifiers"] if "Python :: 3." in line
    ]
    assert tuple(classifiers) == PYTHONS
    assert PYPROJECT["project"]["requires-python"] == ">=3.11,<3.14"


def test_gpu_extra_adds_only_the_cuda_libraries_of_tensorflow() -> None:
    (gpu,) = map(Requirement, PYPROJECT["project"]["optional-dependencies"]["gpu"])
    (plain,) = (r for r in map(Requirement, PYPROJECT["project"]["dependencies"]) if r.name == "tensorflow")
    assert (gpu.name, gpu.extras, gpu.specifier) == ("tensorflow", {"and-cuda"}, plain.specifier)


HASH = " \\\n    --hash=sha256:" + "0" * 64


@pytest.mark.parametrize(
    "text",
    [
        "--index-url https://packages.example.org/simple\n",
        "numpy==2.0 @ https://packages.example.org/numpy.whl" + HASH + "\n",
        "# from packages.example.org\nnumpy==2.0" + HASH + "\n",
        "numpy==2.0\n",
        "numpy>=2.0" + HASH + "\n",
        "numpy==2.0 \\\n    --hash=md5:" + "0" * 32 + "\n",
    ],
)
def test_host_loose_pin_or_missing_hash_is_caught(text: str) -> None:
    with pytest.raises(ValueError, match="not a pin with hashes"):
        read_lock(text)


def test_missing_old_or_doubled_pin_is_caught() -> None:
    lock = read_lock(f"numpy==2.0{HASH}\nscipy==1.0 ; python_full_version < '3.12'{HASH}\n")
    assert pinned_versions(lock, "3.12") == {"numpy": "2.0"}
    assert missing_pins(["NumPy>=1.26", "scipy>=1"], pinned_versions(lock, "3.12")) == ["scipy>=1"]
    assert missing_pins(["numpy>=2.1"], pinned_versions(lock, "3.11")) == ["numpy>=2.1"]
    with pytest.raises(ValueError, match="pinned twice"):
        pinned_versions(read_lock(f"numpy==2.0{HASH}\nnumpy==2.1{HASH}\n"), "3.11")
