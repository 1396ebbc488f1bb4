"""Versions that do not fit, said in one line: before a job is submitted, and again where it starts.

A job's code travels as source and its spec and results as JSON, so client and cluster may differ; gangen must only run
on what each has. So what it cannot run on is refused, and what merely differs is said.

This module is imported before anything that the cluster may lack: the standard library and `packaging`, which Ray
itself needs, are all it uses.
"""

from __future__ import annotations

import json
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from ganmodel import __version__
from ganmodel.errors import ClusterError

if TYPE_CHECKING:
    from collections.abc import Mapping

PYTHON = ">=3.11,<3.14"

NEEDED = {
    "crc32c": ">=2.7",
    "filelock": ">=3.12",
    "numpy": ">=1.26",
    "obstore": ">=0.8",
    "pyarrow": ">=17",
    "pydantic": ">=2.8",
    "pyyaml": ">=6",
    "ray": ">=2.52",
    "rich": ">=13.7",
    "safetensors": ">=0.4.3",
    "zlib-ng": ">=0.5",
}
"""What a job's driver and its workers import, as in pyproject.toml (a test compares).

Not TensorFlow, Keras and scikit-learn, which a driver does without: a head may lack them, a worker says it itself.
"""

NAMES = {
    "python": "Python",
    "ray": "Ray",
    "tensorflow": "TensorFlow",
    "gangen": "gangen",
    "keras": "Keras",
    "numpy": "NumPy",
    "pyarrow": "pyarrow",
}

DECIDING = ("gangen", "tensorflow", "keras", "numpy", "pyarrow")
"""What decides pixels, weights and files: to be the same on all nodes that work on one job. Python and Ray are, Ray
itself sees to that."""


def versions_here() -> dict[str, str]:
    """Return the versions of Python, gangen and, where they are installed, the other packages of `NAMES`."""
    found = {"python": platform.python_version(), "gangen": __version__}
    for name in NAMES:
        if name not in found and (installed := _installed(name)) is not None:
            found[name] = installed
    return found


def client_versions() -> str:
    """Return `versions_here` as JSON, for a job to compare with."""
    return json.dumps(versions_here())


def cluster_note(address: str, found: Mapping[str, str]) -> str:
    """Return what differs between a cluster and this machine, one line; empty where nothing does.

    Args:
        address: of the cluster, for messages.
        found: versions of `python` and `ray` there, as far as they are known.

    Raises:
        ClusterError: gangen does not run on them.
    """
    needs = {"python": PYTHON, "ray": NEEDED["ray"]}
    unfit = [name for name, text in found.items() if name in needs and not _fits(text, needs[name])]
    if unfit:
        has = " and ".join(f"{NAMES[name]} {found[name]}" for name in unfit)
        wants = " and ".join(f"{NAMES[name]} {needs[name]}" for name in unfit)
        raise ClusterError(
            f"the Ray cluster at {address} runs {has}, gangen {__version__} needs {wants}: choose another image or "
            "cluster"
        )
    here = versions_here()
    other = [name for name in ("python", "ray") if _differs(name, found.get(name), here.get(name))]
    if not other:
        return ""
    there = " and ".join(f"{NAMES[name]} {found[name]}" for name in other)
    ours = " and ".join(f"{NAMES[name]} {here[name]}" for name in other)
    return f"the Ray cluster at {address} runs {there}, this machine {ours}; the job runs with the cluster's"


def check_here(asked_json: str) -> str:
    """Check what a job finds where it starts; return what differs from the client's, one line or nothing.

    Args:
        asked_json: `client_versions` of the machine that submitted the job; `{}` where nobody said.

    Raises:
        ClusterError: a package is missing or too old, or the installed gangen is not the one that was asked.
    """
    asked = json.loads(asked_json)
    if not _fits(platform.python_version(), PYTHON):
        raise ClusterError(f"the cluster runs Python {platform.python_version()}, gangen needs {PYTHON}")
    missing = [
        f"{name}{needs}" + (f" (it has {installed})" if installed else "")
        for name, needs in NEEDED.items()
        if (installed := _installed(name)) is None or not _fits(installed, needs)
    ]
    if missing:
        raise ClusterError(
            f"the cluster lacks {', '.join(missing)}: install requirements.lock on its nodes, or use gangen's image"
        )
    here = versions_here()
    if _differs("gangen", asked.get("gangen"), here["gangen"]):
        raise ClusterError(
            f"the cluster's image has gangen {here['gangen']}, the command is of gangen {asked['gangen']}: use an "
            "image of that version, or leave out --image-has-gangen and the package travels with the job"
        )
    if _differs("tensorflow", asked.get("tensorflow"), here.get("tensorflow")):
        return (
            f"the cluster runs TensorFlow {here['tensorflow']}, the machine of the command {asked['tensorflow']}: "
            "pixels are equal to the bit only between equal builds"
        )
    return ""


def check_alike(one: Mapping[str, str], other: Mapping[str, str]) -> None:
    """Refuse two workers of one job whose packages would compute different things.

    Args:
        one: `versions_here` of a worker, and `host`, its node's address.
        other: that of another.

    Raises:
        ClusterError: their versions differ.
    """
    unlike = [name for name in DECIDING if _differs(name, one.get(name), other.get(name))]
    if unlike:
        first, second = (
            " and ".join(f"{NAMES[name]} {each[name]}" for name in unlike) for each in (one, other)
        )
        raise ClusterError(
            f"the nodes of this cluster are not alike: {one['host']} has {first}, {other['host']} has {second}; "
            "install one requirements.lock on all of them, or use one image"
        )


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _fits(text: str, needs: str) -> bool:
    from packaging.specifiers import SpecifierSet
    from packaging.version import InvalidVersion

    try:
        return SpecifierSet(needs).contains(text, prereleases=True)
    except InvalidVersion:
        return True  # Somebody's own build: it is for the job to find out.


def _differs(name: str, one: str | None, other: str | None) -> bool:
    """Tell whether two known versions differ; Python's last figure makes no difference."""
    if one is None or other is None:
        return False
    if name == "python":
        return one.split(".")[:2] != other.split(".")[:2]
    return one != other
