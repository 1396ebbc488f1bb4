"""What a training decides once for all its workers: GPUs, precision, the step they begin at."""

from __future__ import annotations

import json
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
import ray

from ganmodel.checkpoint import CheckpointStore
from ganmodel.errors import ClusterError
from jobs import tasks, training
from jobs.fleet import Node
from jobs.losses import Cause
from jobs.specs import Placement, TrainSpec
from jobs.train_journal import TrainJournal
from jobs.training_watch import Setback

CORES = Node("cores", {"CPU": 8.0})
ONE = Node("one", {"CPU": 8.0, "GPU": 1.0, "fast": 1.0})
FOUR = Node("four", {"CPU": 8.0, "GPU": 4.0})
NO_CORES = Node("no cores", {"CPU": 0.0, "GPU": 8.0})


def make_spec(folder: Any = "/nowhere", **changes: Any) -> TrainSpec:
    fields = {"source": "digits", "model_dir": str(folder), "preset": "tiny", "steps": 3, "batch_size": 20}
    return TrainSpec(**fields | {"learning_rate": 0.001, "gamma": 1.0} | changes)


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
    spec = make_spec(placement=Placement(**{"workers": 1} | asked), strategy=strategy)
    assert training._gpus(spec, nodes) == gpus


def fake_workers(monkeypatch, *seen: int) -> list[Any]:
    monkeypatch.setattr(training, "result_of", lambda ref: ref)
    return [SimpleNamespace(seen_gpus=SimpleNamespace(remote=lambda n=n: n)) for n in seen]


def test_gpus_that_tensorflow_does_not_see_are_an_error_where_they_were_asked_for(monkeypatch, capsys):
    asked = make_spec(placement=Placement(workers=2, gpus=1.0))
    with pytest.raises(
        ClusterError, match=r"--gpus-per-worker 1: .*TensorFlow sees none.*gangen\[gpu\]"
    ) as caught:
        training._sees_gpus(asked, 1, fake_workers(monkeypatch, 1, 0))
    assert "\n" not in str(caught.value)
    assert training._sees_gpus(asked, 1, fake_workers(monkeypatch, 1, 1))
    assert capsys.readouterr().err == ""
    found = make_spec(placement=Placement(workers=2))
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
    spec = make_spec(tmp_path)
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
        raise InterruptedError

    monkeypatch.setattr(trainer, "run_training", note)
    with pytest.raises(InterruptedError):
        worker(make_spec(tmp_path, precision=own)).train(
            None, "auto", tasks.Beginning(40, "mixed_bfloat16", use_gpus=False)
        )
    assert made == [(expected, 40, False)]


LOST = {
    "a process": (Cause.WORKER_LOST, False, True),
    "a process, after a checkpoint": (Cause.WORKER_LOST, True, True),
    "memory": (Cause.OUT_OF_MEMORY, True, True),
    "a patient store": (Cause.STORAGE_THROTTLED, True, True),
    "a node before any checkpoint": (Cause.NODE_LOST, False, True),
    "a node": (Cause.NODE_LOST, True, False),
    "a node that was to go": (Cause.PREEMPTED, True, False),
}


def make_setback(cause: Cause, *, has_saved: bool) -> Setback:
    setback = Setback(RuntimeError("gone"))
    setback.cause, setback.has_saved, setback.has_begun = cause, has_saved, True
    return setback


@pytest.mark.parametrize(("cause", "has_saved", "counts"), LOST.values(), ids=LOST)
def test_what_a_training_is_lost_to_decides_whether_it_counts(
    cause, has_saved, counts, monkeypatch, tmp_path, capsys
):
    met: list[str] = []

    def attempt(_spec: Any, _gpus: int, resume: str, *_: Any) -> Any:
        met.append(resume)
        if len(met) <= 3:
            raise make_setback(cause, has_saved=has_saved)
        return {"status": "finished"}

    monkeypatch.setattr(training, "_attempt", attempt)
    monkeypatch.setattr(training, "alive_nodes", list)
    spec = make_spec(tmp_path, resume="fresh", max_failures=2)
    if counts:
        with pytest.raises(ClusterError, match=r"in all, --max-failures 2; the same command resumes"):
            training.train(spec, nullcontext)
        assert len(met) == 3
        assert "beginning again at the last checkpoint, 2 of 2 times" in capsys.readouterr().err
    else:
        assert training.train(spec, nullcontext)["losses"] == {cause.value: 3}
        assert "which does not count: a node went" in capsys.readouterr().err
    assert met[:2] == ["fresh", "auto"], "what it has trained is cleared again"
    last = json.loads((tmp_path / "events.jsonl").read_text().splitlines()[-1])
    assert (last["event"], last["losses"], last["job"]) == ("training ended", {cause.value: 3}, spec.job_id())


def test_events_wait_for_the_folder_that_a_worker_makes(tmp_path):
    journal = TrainJournal(str(tmp_path / "model"), "job")
    journal.event("training began", step=0)
    assert not (tmp_path / "model").exists(), "where the driver's disk is another, nothing is left on it"
    (tmp_path / "model").mkdir()
    journal.progress({"step": 7, "images_per_s": 10.0})
    journal.lost(Cause.NODE_LOST, worker="train-model-0-1", step=journal.step, reason="its node has died")
    began, lost = [
        json.loads(line) for line in (tmp_path / "model" / "events.jsonl").read_text().splitlines()
    ]
    assert (began["event"], began["job"]) == ("training began", "job")
    assert (lost["event"], lost["worker"], lost["step"]) == ("node lost", "train-model-0-1", 7)
