"""A cluster of several hosts for the whole session, whole again before each scene; what an undisturbed run makes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hosts import OURS, PROGRAMS, RayHosts, why_not
from scenes import FIGURES, ROWS, RUN_S, SHARD_ROWS, Generation, Scene, files_of

if signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
    # As Ctrl-C: the hosts end first, and their folder goes with them.
    signal.signal(signal.SIGTERM, signal.default_int_handler)

NUM_WORKERS = 3


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip everything here, with the reason, on a machine that cannot hold several hosts."""
    here = [item for item in items if Path(__file__).parent in item.path.parents]
    reason = why_not() if here else None
    for item in here:
        item.add_marker(pytest.mark.slow)
        if reason:
            item.add_marker(pytest.mark.skip(reason=f"no several hosts here: {reason}"))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print what was measured."""
    if FIGURES:
        terminalreporter.section("figures")
        terminalreporter.write_line("\n".join(FIGURES))


@pytest.fixture(scope="session")
def hosts() -> Iterator[RayHosts]:
    with RayHosts(NUM_WORKERS) as hosts:
        yield hosts


@pytest.fixture
def scene(hosts: RayHosts, request: pytest.FixtureRequest) -> Scene:
    hosts.mend()
    return Scene(hosts, request.node.name.removeprefix("test_"))


@pytest.fixture(scope="session")
def one_machine(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What this machine alone makes: `rows_digest` and `files`."""
    out = tmp_path_factory.mktemp("one-machine") / "digits"
    command = [str(PROGRAMS / "gangen"), "generate", "--count", str(ROWS), "--shard-rows", str(SHARD_ROWS)]
    command += ["--out", str(out), "--workers", "2", "--address", "local", "--json"]
    made = subprocess.run(
        command, env=os.environ | OURS, capture_output=True, text=True, timeout=RUN_S, check=False
    )
    assert made.returncode == 0, made.stderr
    facts = json.loads(made.stdout)
    FIGURES.append(f"one machine, {ROWS:,} rows: {facts['seconds']:.0f} s, {facts['rows_per_s']:,.0f} rows/s")
    return {"rows_digest": facts["rows_digest"], "files": files_of(out)}


@pytest.fixture(scope="session")
def undisturbed(hosts: RayHosts) -> Generation:
    """The command on the cluster that nothing happens to; its time is what the others are compared with."""
    hosts.mend()
    # The first job of a cluster pays for unpacking and cold files.
    warm = ["--count", "1000", "--out", str(hosts.folder / "warm"), "--address", hosts.address]
    assert hosts.client.gangen("generate", *warm).returncode == 0
    run = Scene(hosts, "undisturbed").generate()
    assert run.end() == 0, run.text()
    FIGURES.append(f"undisturbed on {len(hosts.workers)} hosts: {run.seconds:.0f} s")
    return run


@pytest.fixture
def is_as_on_one_machine(one_machine: dict[str, Any]) -> Callable[[Path], None]:
    """A check: a data set has the rows and the very files of the one-machine run, and nothing is left over."""

    def check(out: Path) -> None:
        manifest = json.loads((out / ".gangen" / "manifest.json").read_text())
        assert manifest["rows_digest"] == one_machine["rows_digest"]
        assert files_of(out) == one_machine["files"]
        left = [file for file in (out / ".gangen").rglob("*") if "pending" in str(file) and file.is_file()]
        assert not left

    return check


@pytest.fixture
def lost(undisturbed: Generation, request: pytest.FixtureRequest) -> Callable[..., None]:
    """Note the time a scene took more than an undisturbed run."""

    def note(*runs: Generation, **facts: object) -> None:
        seconds = sum(run.seconds for run in runs)
        told = "".join(f", {name.replace('_', ' ')} {value}" for name, value in facts.items())
        name = request.node.name.removeprefix("test_").replace("_", " ")
        FIGURES.append(f"{name}: {seconds:.0f} s, {seconds - undisturbed.seconds:+.0f} s{told}")

    return note
