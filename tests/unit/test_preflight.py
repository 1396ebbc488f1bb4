"""Versions that do not fit: refused where gangen cannot run, said where they merely differ, in one line each."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from ganmodel import __version__
from ganmodel.errors import ClusterError
from jobs import preflight
from jobs.preflight import (
    DECIDING,
    NAMES,
    NEEDED,
    PYTHON,
    check_alike,
    check_here,
    client_versions,
    cluster_note,
    versions_here,
)

ADDRESS = "http://10.0.0.1:8265"
HERE = {"python": "3.11.7", "ray": "2.60.0", "tensorflow": "2.21.0", "gangen": "0.1.0"}
ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def here(monkeypatch):
    """Make this machine one of known versions."""
    monkeypatch.setattr(preflight, "versions_here", lambda: dict(HERE))


def test_what_is_needed_is_what_the_package_says():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = {r.name: r.specifier for r in map(Requirement, project["dependencies"])}
    assert project["requires-python"] == PYTHON
    assert {name: str(asked[name]) for name in NEEDED} == NEEDED
    # A driver and its workers start without these; typer is the command line's, TensorFlow and its kin the workers'.
    left_out = {"keras", "numba", "pillow", "scikit-learn", "tensorboard", "tensorflow", "typer"}
    assert set(asked) - set(NEEDED) <= left_out


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ({"ray": "2.60.0", "python": "3.11.7"}, ""),
        ({"ray": "2.60.0", "python": "3.11.2"}, ""),
        ({"ray": "2.60.0"}, ""),
        (
            {"ray": "2.59.1", "python": "3.11.7"},
            "runs Ray 2.59.1, this machine Ray 2.60.0; the job runs with",
        ),
        ({"ray": "2.60.0", "python": "3.12.1"}, "runs Python 3.12.1, this machine Python 3.11.7;"),
        ({"ray": "2.61.0", "python": "3.13.0"}, "runs Python 3.13.0 and Ray 2.61.0, this machine Python"),
        ({"ray": "3.0.0.dev0", "python": "3.11.7"}, "runs Ray 3.0.0.dev0,"),
    ],
)
def test_what_merely_differs_is_said_in_one_line(found, words):
    note = cluster_note(ADDRESS, found)
    assert bool(note) == bool(words)
    assert words in note
    assert "\n" not in note


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ({"ray": "2.40.0", "python": "3.11.7"}, r"runs Ray 2\.40\.0, gangen .* needs Ray >=2\.52"),
        (
            {"ray": "2.60.0", "python": "3.10.4"},
            r"runs Python 3\.10\.4, gangen .* needs Python >=3\.11,<3\.14",
        ),
        (
            {"ray": "2.9.3", "python": "3.9.1"},
            r"runs Ray 2\.9\.3 and Python 3\.9\.1, .*Ray >=2\.52 and Python",
        ),
    ],
)
def test_what_gangen_cannot_run_on_is_refused_before_anything_is_submitted(found, words):
    with pytest.raises(ClusterError, match=words) as caught:
        cluster_note(ADDRESS, found)
    assert "\n" not in str(caught.value)


def test_a_job_compares_itself_with_the_machine_that_asked():
    assert check_here(json.dumps(HERE)) == ""
    assert check_here("{}") == ""
    assert check_here(json.dumps(HERE | {"python": "3.12.0", "ray": "2.59.0"})) == ""  # Said before.
    assert "runs TensorFlow 2.21.0, the machine of the command 2.20.0" in check_here(
        json.dumps(HERE | {"tensorflow": "2.20.0"})
    )
    with pytest.raises(ClusterError, match=r"image has gangen 0\.1\.0, the command is of gangen 0\.2\.0"):
        check_here(json.dumps(HERE | {"gangen": "0.2.0"}))


def test_a_package_the_cluster_lacks_or_has_too_old_is_named(monkeypatch):
    have = {"pyarrow": "16.1.0", "pydantic": None}
    monkeypatch.setattr(preflight, "_installed", lambda name: have.get(name, "999"))
    with pytest.raises(ClusterError, match=r"lacks pyarrow>=17 \(it has 16\.1\.0\), pydantic>=2\.8: install"):
        check_here("{}")


def test_another_python_is_refused_where_the_job_starts(monkeypatch):
    monkeypatch.setattr(platform, "python_version", lambda: "3.10.4")
    with pytest.raises(ClusterError, match=r"runs Python 3\.10\.4, gangen needs >=3\.11,<3\.14"):
        check_here("{}")


def test_the_versions_of_this_machine_are_known_without_loading_anything():
    script = (
        "import sys\nfrom jobs.preflight import client_versions\nprint(client_versions())\n"
        "import jobs.entrypoint\n"
        "heavy = {'ray', 'tensorflow', 'pydantic', 'pyarrow', 'numpy', 'rich'} & set(sys.modules)\nprint(sorted(heavy))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT
    )
    versions, heavy = done.stdout.splitlines()
    assert json.loads(versions)["gangen"] == __version__
    assert {"python", "ray", "tensorflow"} <= set(json.loads(versions))
    assert heavy == "[]", "what the cluster may lack is imported before anybody has looked for it"
    assert json.loads(client_versions()) == HERE
    assert versions_here()["gangen"] == __version__


def test_workers_whose_packages_decide_otherwise_are_refused_and_what_ray_looks_after_is_left_to_it():
    one = {
        "host": "10.0.0.1",
        "gangen": "0.1.0",
        "python": "3.11.7",
        "tensorflow": "2.21.0",
        "numpy": "2.4.0",
    }
    check_alike(one, one | {"host": "10.0.0.2", "python": "3.11.9", "ray": "2.60.0"})
    check_alike(one, {"host": "10.0.0.2"})  # What nobody knows cannot be compared.
    with pytest.raises(
        ClusterError,
        match=r"10\.0\.0\.1 has TensorFlow 2\.21\.0 and NumPy 2\.4\.0, 10\.0\.0\.2 has TensorFlow 2\.20",
    ) as caught:
        check_alike(one, one | {"host": "10.0.0.2", "tensorflow": "2.20.0", "numpy": "2.3.9"})
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 6
    assert set(DECIDING) < set(NAMES)
