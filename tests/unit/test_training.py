"""What a training decides once for all its workers: GPUs, precision, the step they begin at."""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import ray
from ray.exceptions import ActorUnavailableError

from ganmodel.checkpoint import CheckpointStore
from ganmodel.errors import ClusterError, Interrupted
from jobs import setbacks, tasks, training
from jobs.fleet import Node
from jobs.losses import OF_THE_NODE, Cause
from jobs.setbacks import Account, Setback
from jobs.specs import Placement, TrainSpec
from jobs.train_journal import TrainJournal
from tests.support.noise_workers import untrained_spec

CORES = Node("cores", {"CPU": 8.0})
ONE = Node("one", {"CPU": 8.0, "GPU": 1.0, "fast": 1.0})
FOUR = Node("four", {"CPU": 8.0, "GPU": 4.0})
NO_CORES = Node("no cores", {"CPU": 0.0, "GPU": 8.0})


@pytest.mark.parametrize(
    ("asked", "strategy", "nodes", "gpus"),
    [
        ({}, "auto", [CORES], 0),
        ({}, "auto", [], 0),
        ({}, "auto", [CORES, ONE, FOUR, NO_CORES], 4),
        ({}, "one-device", [CORES, FOUR], 1),
        ({"resources": (("fast", 1.0),)}, "auto", [CORES, ONE, FOUR], 1),
        ({"cpus": 9.0}, "auto", [CORES, ONE, FOUR], 0),
        ({"workers": 5}, "auto", [ONE, FOUR], 1),
        ({"workers": 6}, "auto", [ONE, FOUR, NO_CORES], 0),
        ({"workers": 2, "resources": (("fast", 1.0),)}, "auto", [ONE, FOUR], 0),
        ({"gpus": 2.0}, "auto", [CORES], 2),
        ({"gpus": 0.0}, "auto", [FOUR], 0),
    ],
)
def test_a_worker_has_the_gpus_of_a_node_it_fits_on(asked, strategy, nodes, gpus):
    spec = untrained_spec(placement=Placement(**{"workers": 1} | asked), strategy=strategy)
    assert training._gpus(spec, nodes) == gpus


def fake_workers(monkeypatch, *seen: int) -> list[Any]:
    monkeypatch.setattr(training, "result_of", lambda ref: ref)
    return [SimpleNamespace(seen_gpus=SimpleNamespace(remote=lambda n=n: n)) for n in seen]


def test_gpus_that_tensorflow_does_not_see_are_an_error_where_they_were_asked_for(monkeypatch, capsys):
    asked = untrained_spec(placement=Placement(workers=2, gpus=1.0))
    with pytest.raises(
        ClusterError, match=r"--gpus-per-worker 1: .*TensorFlow sees none.*gangen\[gpu\]"
    ) as caught:
        training._sees_gpus(asked, 1, fake_workers(monkeypatch, 1, 0))
    assert "\n" not in str(caught.value)
    assert training._sees_gpus(asked, 1, fake_workers(monkeypatch, 1, 1))
    assert capsys.readouterr().err == ""
    found = untrained_spec(placement=Placement(workers=2))
    assert not training._sees_gpus(found, 1, fake_workers(monkeypatch, 0, 1))
    assert "TensorFlow does not see them: training on CPUs" in capsys.readouterr().err
    assert not training._sees_gpus(found, 0, [])


@pytest.fixture
def worker(monkeypatch):
    """Return a function that makes a worker, here and without Ray, on a CPU that has bfloat16 or has not."""

    def make(spec: TrainSpec, *flags: str) -> Any:
        monkeypatch.setattr(ray, "get_gpu_ids", list)
        monkeypatch.setattr(tasks, "cpu_flags", lambda: set(flags))
        return tasks.TrainWorker.__ray_metadata__.modified_class(spec.model_dump_json())

    return make


def test_the_precision_is_the_chiefs_to_choose_and_a_run_that_goes_on_keeps_it(worker, tmp_path):
    spec = untrained_spec(tmp_path)
    assert worker(spec).beginning("auto", False) == (0, "float32", False)
    assert worker(spec).beginning("auto", True) == (0, "mixed_bfloat16", True)
    assert worker(spec, "avx512_bf16").beginning("auto", False) == (0, "mixed_bfloat16", False)
    store = CheckpointStore(tmp_path)
    store.begin(spec.resolved(spec.training_set(), "float32"))
    assert worker(spec, "avx512_bf16").beginning("auto", False).precision == "mixed_bfloat16", (
        "nothing to keep"
    )
    store.path(7).touch()
    assert worker(spec, "avx512_bf16").beginning("auto", False) == (7, "float32", False)
    assert worker(spec, "avx512_bf16").beginning("fresh", False) == (0, "mixed_bfloat16", False)


@pytest.mark.parametrize(("own", "expected"), [(None, "mixed_bfloat16"), ("float32", "float32")])
def test_a_worker_trains_with_the_precision_of_its_group(worker, tmp_path, monkeypatch, own, expected):
    from ganmodel import trainer

    made: list[Any] = []

    def note(config: Any, _data: Any, options: Any, **_: Any) -> Any:
        made.append((config.precision, options.start, options.use_gpus))
        raise Interrupted

    monkeypatch.setattr(trainer, "run_training", note)
    with pytest.raises(Interrupted):
        worker(untrained_spec(tmp_path, precision=own)).train(
            None, "auto", tasks.Beginning(40, "mixed_bfloat16", use_gpus=False)
        )
    assert made == [(expected, 40, False)]


BLAMED = (Cause.WORKER_LOST, Cause.OUT_OF_MEMORY, Cause.STORAGE_THROTTLED)


def make_setback(cause: Cause, *nodes: str, err: Exception | None = None) -> Setback:
    setback = Setback(err or RuntimeError("gone"))
    setback.cause, setback.nodes, setback.has_begun = cause, list(nodes), True
    return setback


@pytest.mark.parametrize("cause", BLAMED)
def test_what_a_worker_is_lost_to_counts_however_far_the_training_came(cause):
    account = Account(1, dead=set)
    account.begins(0)
    assert account.add(make_setback(cause)) == "1 of 1 times"
    account.begins(500)
    with pytest.raises(ClusterError, match=r" in all, --max-failures 1; the same command resumes from its"):
        account.add(make_setback(cause))
    assert account.losses() == {cause.value: 2}


@pytest.mark.parametrize("cause", OF_THE_NODE)
def test_a_node_that_goes_counts_only_where_the_training_did_not_come_on(cause):
    account = Account(1, dead=set)
    account.begins(100)
    for step in (200, 300, 400):
        assert (
            account.add(make_setback(cause)) == "which does not count if one has been written since it began"
        )
        account.begins(step)
    account.add(make_setback(cause))
    account.begins(400)
    account.add(make_setback(cause))
    with pytest.raises(ClusterError, match=r"--max-failures 1; the same command resumes"):
        account.begins(150)
    assert account.losses() == {cause.value: 5}


def test_groups_that_are_lost_with_their_nodes_before_they_begin_count():
    account = Account(2, dead=set)
    account.begins(0)
    account.add(make_setback(Cause.NODE_LOST))  # It had come on, which the next that begins will show.
    assert account.add(make_setback(Cause.NODE_LOST)) == "1 of 2 times"
    account.add(make_setback(Cause.NODE_LOST))
    account.begins(60)
    assert account.add(make_setback(Cause.NODE_LOST)).startswith("which does not count")
    with pytest.raises(ClusterError, match="5 nodes lost in all, --max-failures 2"):
        account.add(make_setback(Cause.NODE_LOST))


def test_a_worker_that_went_with_its_node_is_a_node_lost_once_ray_knows():
    dead: set[str] = set()
    account = Account(0, dead=lambda: dead)
    account.begins(0)
    dead.add("b")
    account.add(make_setback(Cause.WORKER_LOST, "a", "b"))
    account.begins(10)
    assert account.losses() == {"node lost": 1}


def test_before_a_training_is_given_up_ray_gets_the_time_to_say_why_a_worker_cannot_be_reached(monkeypatch):
    monkeypatch.setattr(setbacks, "LOOK_EVERY_S", 0)
    looks: list[int] = []

    def dead() -> set[str]:
        looks.append(len(looks))
        return {"a"} if len(looks) > 5 else set()

    account = Account(0, dead)
    account.begins(0)
    account.add(make_setback(Cause.WORKER_LOST, "a", err=ActorUnavailableError("Socket closed", bytes(16))))
    assert account.losses() == {"node lost": 1}
    certain = Account(0, dead)
    certain.begins(0)
    with pytest.raises(ClusterError, match="1 worker lost in all"):
        certain.add(make_setback(Cause.WORKER_LOST, "c"))


class Attempts:
    """Stands in the place of `training._attempt`: raises what it is given, then a result."""

    def __init__(self, *outcomes: Any) -> None:
        self.outcomes = list(outcomes)
        self.resumes: list[str] = []

    def __call__(self, _spec: Any, _gpus: int, resume: str, _group: Any, account: Any, journal: Any) -> Any:
        self.resumes.append(resume)
        account.begins(len(self.resumes))
        journal.began(len(self.resumes), workers=["train-x-0-0"], nodes=["a"])
        journal.reached(40)
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


@pytest.fixture
def attempts(monkeypatch):
    """Return a function that sets the outcomes of attempts, on no Ray."""

    def make(*outcomes: Any) -> Attempts:
        found = Attempts(*outcomes)
        monkeypatch.setattr(training, "_attempt", found)
        monkeypatch.setattr(training, "_start", lambda *_: None)
        monkeypatch.setattr(training, "alive_nodes", list)
        monkeypatch.setattr(training, "Account", lambda most: Account(most, dead=set))
        return found

    return make


def told(folder: Any) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]


def test_a_training_that_is_set_back_begins_again_and_clears_nothing_twice(attempts, tmp_path, capsys):
    made = attempts(make_setback(Cause.NODE_LOST), make_setback(Cause.WORKER_LOST), {"status": "finished"})
    spec = untrained_spec(tmp_path, resume="fresh")
    assert training.train(spec, nullcontext)["losses"] == {"node lost": 1, "worker lost": 1}
    assert made.resumes == ["fresh", "auto", "auto"]
    said = capsys.readouterr().err
    assert (
        "(node lost: gone): beginning again at the last checkpoint, which does not count if one has" in said
    )
    assert "(worker lost: gone): beginning again at the last checkpoint, 1 of 3 times" in said
    last = told(tmp_path)[-1]
    assert (last["event"], last["status"], last["step"]) == ("training ended", "finished", 40)
    assert (last["losses"], last["job"]) == ({"node lost": 1, "worker lost": 1}, spec.job_id())


@pytest.mark.parametrize(
    ("outcome", "status"), [(Interrupted("asked"), "stopped"), (ClusterError("no room"), "failed")]
)
def test_how_a_training_ended_is_in_its_events(outcome, status, attempts, tmp_path):
    attempts(outcome)
    with pytest.raises(type(outcome)):
        training.train(untrained_spec(tmp_path), nullcontext)
    assert told(tmp_path)[-1]["status"] == status


def test_events_wait_for_the_folder_and_its_lock_and_never_end_a_training(tmp_path, monkeypatch, caplog):
    folder = tmp_path / "model"
    journal = TrainJournal(str(folder), "job")
    folder.mkdir()
    journal.began(5, workers=["train-model-0-0"], nodes=["a"])
    journal.lost(Cause.NODE_LOST, worker=None, reason="its node has died")
    assert not list(folder.iterdir()), "another training may be at work there"
    journal.progress({"step": 7, "images_per_s": 10.0})
    journal.lost(Cause.WORKER_LOST, worker="train-model-0-0", reason="killed")
    assert [(event["event"], event.get("step")) for event in told(folder)] == [
        ("training began", 5), ("node lost", 5), ("worker lost", 7)
    ]  # fmt: skip
    elsewhere = TrainJournal(str(tmp_path / "elsewhere"), "job")
    elsewhere.reached(7)
    elsewhere.began(7, workers=[], nodes=[])
    assert not (tmp_path / "elsewhere").exists(), "where the driver's disk is another, nothing is left on it"

    def refuse(_: Path) -> bool:
        raise OSError(116, "Stale file handle")

    monkeypatch.setattr(Path, "is_dir", refuse)
    journal.began(8, workers=[], nodes=[])
    assert "events could not be written" in caplog.text
