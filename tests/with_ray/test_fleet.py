"""A generation on nodes that come and go, and on GPUs: several nodes on this machine, noise in the place of digits."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from ganmodel.errors import ClusterError
from jobs import driver
from jobs.journal import EVENTS
from jobs.manifest import Manifest
from jobs.run_notes import read_notes
from jobs.specs import GenerateSpec, Placement
from jobs.storage import open_storage
from jobs.target import Throttled
from jobs.training import _place
from tests.support.noise_workers import (
    GPU_VARIABLE,
    OTHER_VARIABLE,
    SECONDS_VARIABLE,
    THROTTLED_VARIABLE,
    ray_with,
)
from tests.unit.fake_digits import dataset_spec, make_dataset

pytestmark = pytest.mark.ray_local

TIMEOUT_S = 180
ANYWHERE = Placement()


@pytest.fixture(scope="module")
def nodes():
    """A cluster whose head has no cores."""
    patch = pytest.MonkeyPatch()
    patch.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    try:
        yield cluster
    finally:
        cluster.shutdown()
        patch.undo()


@pytest.fixture
def add_node(nodes):
    """Return a function that starts a node, which ends with the test at the latest."""
    before = set(nodes.worker_nodes)
    yield nodes.add_node
    for node in set(nodes.worker_nodes) - before:
        nodes.remove_node(node)


@pytest.fixture
def generate(nodes, monkeypatch):
    """Return a function that runs a generation, each block of which takes some seconds."""
    monkeypatch.setattr("jobs.fanout.FLEET_CHECK_S", 0.5)
    facts = {"name": "noise", "digest": "", "latent_dim": 4, "training": {}, "quality": {}}
    monkeypatch.setattr(driver, "_model_facts", lambda spec: facts | {"digest": spec.dataset.model_digest})

    def run(
        out: Path,
        *,
        throttled: str = "",
        block_s: float = 0.0,
        gpu: str = "",
        other: str = "",
        placement: Placement = ANYWHERE,
        **changes,
    ):
        variables = {SECONDS_VARIABLE: str(block_s), GPU_VARIABLE: gpu}
        variables |= {THROTTLED_VARIABLE: throttled, OTHER_VARIABLE: other}
        connect = ray_with("replace_sampler", variables, address=nodes.address)
        spec = GenerateSpec(dataset=dataset_spec(**changes), model="noise", out=str(out), placement=placement)
        return driver.generate(spec, connect)["manifest"]

    return run


def files(manifest: Manifest) -> dict[str, str]:
    return {f.name: f.sha256 for shard in manifest.shards for f in shard.files.values()}


def events(out: Path) -> list[dict]:
    """Return what the data set's events say, in the order in which they were written."""
    parts = sorted((out / EVENTS).iterdir())
    return [json.loads(line) for part in parts for line in part.read_text().splitlines()]


def committed(out: Path) -> int:
    return len(list(out.glob(".gangen/commits/*.json")))


@pytest.fixture
def started(monkeypatch) -> list[dict]:
    """The options of every actor that is started, by the time."""
    from jobs.crew import Crew

    found: list[dict] = []
    start = Crew._start

    def note(self, kind, options, **others):
        found.append(options)
        return start(self, kind, options, **others)

    monkeypatch.setattr(Crew, "_start", note)
    return found


def wait_until(claim) -> None:
    give_up = time.monotonic() + TIMEOUT_S
    while not claim():
        assert time.monotonic() < give_up
        time.sleep(0.05)


def test_workers_come_with_nodes_and_go_with_them_and_the_rows_are_the_same(
    generate, nodes, add_node, started, tmp_path, capsys
):
    plan = {"count": 40_000, "shard_rows": 1000, "formats": ("parquet",)}
    expected = make_dataset(tmp_path / "expected", **plan)
    first, out = add_node(num_cpus=1), tmp_path / "out"
    done: list[Manifest] = []
    running = threading.Thread(target=lambda: done.append(generate(out, block_s=0.3, **plan)))
    running.start()
    wait_until(lambda: committed(out) >= 3)
    add_node(num_cpus=2)
    wait_until(lambda: len(started) == 3)
    wait_until(lambda: committed(out) >= 10)
    nodes.remove_node(first)
    running.join(TIMEOUT_S)
    assert (done[0].rows_digest, files(done[0])) == (expected.rows_digest, files(expected))
    told = capsys.readouterr().err
    assert "the cluster has room for 3 worker(s) now, it had for 1" in told
    losses = read_notes(open_storage(str(out))).losses
    assert losses == {"node lost": 1}
    told = events(out)
    assert {event["job"] for event in told} == {driver.Plan(dataset_spec(**plan)).job_id(str(out))}
    names = [event["event"] for event in told]
    assert (names[0], names[-1], names.count("shard committed")) == ("run began", "run ended", 40)
    lost = next(event for event in told if event["event"] in ("node lost", "worker lost"))
    ready = {event["worker"]: event["node"] for event in told if event["event"] == "worker ready"}
    assert lost["worker"] in ready
    assert all(event["worker"] in ready for event in told if event["event"] == "shard committed")
    assert {name.rpartition("-")[0] for name in ready} == {
        f"generate-{driver.Plan(dataset_spec(**plan)).digest[:8]}"
    }


@pytest.mark.parametrize(("gpus", "workers"), [pytest.param(1.0, 1, marks=pytest.mark.slow), (0.5, 2)])
def test_a_gpu_draws_for_encoders_beside_it_and_the_files_are_those_of_one_process(
    generate, add_node, started, tmp_path, gpus, workers
):
    plan = {"count": 11_500, "shard_rows": 2000, "formats": ("parquet", "tfrecord")}
    expected = make_dataset(tmp_path / "expected", **plan)
    add_node(num_cpus=8, num_gpus=2)
    add_node(num_cpus=4, num_gpus=1, resources={"fast": 2})
    made = generate(
        tmp_path / "out",
        block_s=0.02,
        gpu="GPU noise",
        placement=Placement(gpus=gpus, resources=(("fast", 1.0),)),
        **plan,
    )
    assert files(made) == files(expected)
    assert [device["device"] for device in made.devices] == ["GPU noise"]
    drawers = [options for options in started if options.get("num_gpus")]
    assert [options["num_gpus"] for options in drawers] == [gpus] * workers
    assert all(options["resources"] == {"fast": 1} for options in drawers)
    assert len(started) - len(drawers) == 4, "an encoder a core"


@pytest.mark.slow
def test_a_storage_that_throttles_puts_shards_off_and_one_that_never_stops_ends_the_run(
    generate, add_node, tmp_path
):
    plan = {"count": 6000, "shard_rows": 1000, "formats": ("parquet",)}
    expected = make_dataset(tmp_path / "expected", **plan)
    add_node(num_cpus=1)
    refusals = tmp_path / "refusals"
    refusals.mkdir()
    for n in range(3):
        (refusals / str(n)).touch()
    assert files(generate(tmp_path / "out", throttled=str(refusals), **plan)) == files(expected)
    assert read_notes(open_storage(str(tmp_path / "out"))).losses == {"storage throttled": 3}
    for n in range(100):
        (refusals / str(n)).touch()
    with pytest.raises(Throttled, match="throttling us for too long"):
        generate(tmp_path / "never", throttled=str(refusals), **plan)
    assert len(list(refusals.iterdir())) in (95, 96), "one more may have been at work"
    assert events(tmp_path / "never")[-1] | {"time": ""} == {
        "time": "", "event": "run ended", "job": events(tmp_path / "never")[0]["job"], "rows": 0,
        "losses": {"storage throttled": 4},
    }  # fmt: skip


@pytest.mark.slow
def test_a_worker_that_a_throttled_store_does_not_let_start_is_replaced(generate, add_node, tmp_path):
    plan = {"count": 4000, "shard_rows": 1000, "formats": ("parquet",)}
    expected = make_dataset(tmp_path / "expected", **plan)
    add_node(num_cpus=1)
    refusals = tmp_path / "refusals"
    refusals.mkdir()
    for n in range(2):
        (refusals / f"load-{n}").touch()
    assert files(generate(tmp_path / "out", throttled=str(refusals), **plan)) == files(expected)
    assert read_notes(open_storage(str(tmp_path / "out"))).losses == {"storage throttled": 2}
    for n in range(100):
        (refusals / f"load-{n}").touch()
    with pytest.raises(Throttled, match="throttling us for too long"):
        generate(tmp_path / "never", throttled=str(refusals), **plan)
    assert len(list(refusals.iterdir())) == 96


def test_workers_with_other_packages_than_the_first_end_the_run_in_one_line(generate, add_node, tmp_path):
    plan = {"count": 60_000, "shard_rows": 1000, "formats": ("parquet",)}
    expected = make_dataset(tmp_path / "expected", **plan)
    add_node(num_cpus=2)
    other = tmp_path / "other"
    other.touch()
    with pytest.raises(ClusterError, match=r"are not alike: .* TensorFlow .*requirements\.lock") as caught:
        generate(tmp_path / "out", other=str(other), block_s=0.5, **plan)
    assert "TensorFlow 2.17.0" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert files(generate(tmp_path / "out", **plan)) == files(expected)


def test_a_group_that_waits_for_a_node_each_takes_one_where_the_other_goes(
    add_node, nodes, monkeypatch, capsys
):
    import ray
    from ray.util.placement_group import remove_placement_group

    monkeypatch.setattr("jobs.training.ROOM_NOTICE_S", 1)
    add_node(num_cpus=2)
    busy = add_node(num_cpus=1, resources={"busy": 1})
    ray.init(nodes.address, log_to_driver=False, logging_level="ERROR")
    try:

        @ray.remote(num_cpus=1, resources={"busy": 1})
        class Busy:
            def here(self) -> None:
                pass

        other = Busy.remote()
        ray.get(other.here.remote())
        groups: list[Any] = []
        placing = threading.Thread(target=lambda: groups.append(_place(2, {"CPU": 1.0})), daemon=True)
        placing.start()
        told = ""

        def is_waiting() -> bool:
            nonlocal told
            told += capsys.readouterr().err
            return "waiting for room for 2 worker(s) with 1 CPU and 0 GPU(s) each" in told

        wait_until(is_waiting)
        assert "each on a node of its own (STRICT_SPREAD)" in told
        nodes.remove_node(busy)
        placing.join(30)
        assert groups, "it waits for a node that is gone"
        assert "on fewer nodes than workers (SPREAD)" in capsys.readouterr().err
        remove_placement_group(groups[0])
    finally:
        ray.shutdown()


@pytest.mark.slow
def test_a_gpu_that_tensorflow_does_not_see_is_left_alone_unless_it_was_asked_for(
    generate, add_node, tmp_path, capsys
):
    plan = {"count": 3000, "shard_rows": 1000, "formats": ("parquet",)}
    expected = make_dataset(tmp_path / "expected", **plan)
    add_node(num_cpus=1, num_gpus=1)
    assert files(generate(tmp_path / "out", **plan)) == files(expected)
    assert "TensorFlow sees none on their nodes: drawing on CPUs" in capsys.readouterr().err
    with pytest.raises(ClusterError, match=r"--gpus-per-worker 0.5: .*TensorFlow sees none.*gangen\[gpu\]"):
        generate(tmp_path / "asked", placement=Placement(gpus=0.5), **plan)
    assert committed(tmp_path / "asked") == 0
