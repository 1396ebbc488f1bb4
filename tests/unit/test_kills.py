"""Random small plans, killed at random steps: what comes out in the end is what an undisturbed run makes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path
from typing import Any

import pytest
from fault_proxy import Fault, FaultProxy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobs.plan_files import MANIFEST_FILE
from jobs.specs import GenerateSpec
from jobs.storage import PENDING, PRIVATE, open_storage
from tests.unit.fake_digits import dataset_spec

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
RELAXED = settings(
    deadline=None,
    max_examples=15,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@st.composite
def plans(draw: st.DrawFn) -> dict[str, Any]:
    """Changes of a small data set's spec."""
    names = ("idx", "parquet", "tfrecord", "webdataset")
    formats = draw(st.sets(st.sampled_from(names), min_size=1, max_size=2))
    return {
        "count": draw(st.integers(1, 7000)),
        "shard_rows": draw(st.sampled_from([1000, 2000, 3000])),
        "formats": tuple(sorted(formats)),
        "image_encoding": draw(st.sampled_from(["png", "raw"])),
        "seed": draw(st.integers(0, 2**63 - 1)),
        "labels": draw(st.sampled_from(["0,1,2,3,4,5,6,7,8,9", "uniform", "3,5"])),
    }


def drive(place: str, changes: dict[str, Any], step: int = 0) -> subprocess.Popen[str]:
    spec = GenerateSpec(dataset=dataset_spec(**changes), model="noise", out=place)
    command = [sys.executable, "-m", "tests.support.lone_driver", spec.model_dump_json(), str(step)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=ROOT)


def finish(place: str, changes: dict[str, Any]) -> dict[str, Any]:
    """Run to the end; return the manifest but for how long everything took, and the names of all files."""
    process = drive(place, changes)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    storage = open_storage(place)
    left = storage.sizes(PENDING)
    # Without a lock, probes of a run that was killed are left alone: they may be another run's.
    assert not left or (not storage.has_lock and set(left.values()) == {1}), left
    manifest = json.loads(storage.read(MANIFEST_FILE) or b"")
    sizes = storage.sizes()
    for shard in manifest["shards"]:
        del shard["seconds"]
        assert all(sizes[file["name"]] == file["size_bytes"] for file in shard["files"].values())
    return manifest | {"files": sorted(name for name in sizes if not name.startswith(PRIVATE))}


@RELAXED
@given(changes=plans(), kills=st.lists(st.integers(1, 160), min_size=1, max_size=3))
def test_kills_at_any_step_on_a_disk_change_nothing(changes: dict[str, Any], kills: list[int]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        undisturbed = finish(f"{folder}/undisturbed", changes)
        place = f"{folder}/out"
        for step in kills:
            process = drive(place, changes, step)
            _, errors = process.communicate(timeout=300)
            assert process.returncode in (0, -signal.SIGKILL), errors
            assert "Traceback" not in errors
        assert finish(place, changes) == undisturbed


@RELAXED
@given(
    changes=plans(),
    kills=st.lists(
        st.tuples(st.integers(0, 60), st.sampled_from(["kill", "drop_reply_and_kill"])), max_size=3
    ),
)
def test_kills_at_any_request_to_a_store_change_nothing(
    bucket: str, fault_proxy: FaultProxy, changes: dict[str, Any], kills: list[tuple[int, Any]]
) -> None:
    place, undisturbed = (f"{bucket}/{uuid.uuid4().hex}" for _ in range(2))
    fault_proxy.faults = []
    expected = finish(undisturbed, changes)
    for skip, kind in kills:
        fault_proxy.faults = [Fault(kind, method=None, skip=skip)]
        process = drive(place, changes)
        fault_proxy.victim = process.pid
        _, errors = process.communicate(timeout=300)
        assert process.returncode in (0, -signal.SIGKILL), errors
    fault_proxy.faults = []
    assert finish(place, changes) == expected
