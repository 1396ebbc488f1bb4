"""The parts of an evaluation on a real Ray: which losses are made good, how often, and what ends the job."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest
import ray

from ganmodel.errors import ClusterError, DataError, GangenError
from jobs import pool as pool_module
from jobs.foreign import in_words
from jobs.losses import Cause
from jobs.pool import MAX_ATTEMPTS, Pool
from jobs.progress import Note
from jobs.target import Throttled

pytestmark = pytest.mark.ray_local


def _raise(err: Exception) -> None:
    raise err


@ray.remote(num_cpus=0, max_restarts=0, max_concurrency=2)
class Stumbler:
    """Takes the first file of a folder away for each part, and comes to grief as its text says."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)

    def run(self, part: str) -> str:
        for told in sorted(self._folder.iterdir()):
            kind = told.read_text()
            told.unlink()
            if kind == "die":
                time.sleep(0.5)  # It has said where it is.
                os._exit(1)
            errors = {
                "memory": MemoryError(),
                "throttled": Throttled("SlowDown"),
                "data": DataError("bad digits"),
            }
            in_words(_raise)(errors.get(kind) or ZeroDivisionError(kind))
        time.sleep(0.3)
        return part.upper()

    def note(self) -> Note:
        return Note()

    def whereabouts(self) -> dict[str, Any]:
        """Return another version of TensorFlow for each worker, where the folder is called so."""
        version = str(os.getpid()) if self._folder.name == "unlike" else "2.21.0"
        return {"node": "here", "versions": {"host": "10.0.0.1", "tensorflow": version}}


@pytest.fixture(scope="module", autouse=True)
def connected():
    environment = {"env_vars": {"PYTHONPATH": str(Path(__file__).parents[2])}}
    ray.init(
        address="local",
        num_cpus=2,
        include_dashboard=False,
        runtime_env=environment,
        log_to_driver=False,
        logging_level="ERROR",
    )
    yield
    ray.shutdown()


@pytest.fixture
def run(tmp_path):
    """Return a function that runs the part `a` while what is told happens, in its order; and the pool it ran on."""

    def run(*told: str) -> tuple[dict[str, str], Pool]:
        for n, kind in enumerate(told):
            (tmp_path / str(n)).write_text(kind)
        done: dict[str, str] = {}
        pool = Pool(lambda: Stumbler.remote(str(tmp_path)), 1, done.__setitem__, lambda _: None)
        pool.run(["a"])
        return done, pool

    return run


def test_a_part_is_done_again_and_what_it_lost_is_counted(run):
    done, pool = run("die", "memory")
    assert done == {"a": "A"}
    assert pool.losses.counts() == {"worker lost": 1, "out of memory": 1}


def test_a_part_that_takes_down_one_worker_after_the_other_ends_the_job(run):
    with pytest.raises(ClusterError, match=f"a took down {MAX_ATTEMPTS} workers .*about 2 GB"):
        run("die", "memory", "die", "die")


def test_a_store_that_never_gets_patient_ends_it_in_its_own_words(run):
    assert run("throttled", "throttled")[1].losses.counts() == {"storage throttled": 2}
    with pytest.raises(Throttled, match=r"^SlowDown$"):
        run("throttled", "throttled", "throttled")


def test_nodes_that_are_dead_by_then_are_not_held_against_a_part_either(run, monkeypatch):
    monkeypatch.setattr(pool_module, "dead_nodes", lambda: {"here"})
    done, pool = run(*["die"] * (MAX_ATTEMPTS + 1))
    assert done == {"a": "A"}
    assert pool.losses.counts() == {"node lost": 1}


def test_workers_with_other_packages_do_nothing_together(tmp_path):
    (tmp_path / "unlike").mkdir()
    pool = Pool(lambda: Stumbler.remote(str(tmp_path / "unlike")), 2, lambda *_: None, lambda _: None)
    with pytest.raises(ClusterError, match=r"are not alike: 10\.0\.0\.1 has TensorFlow"):
        pool.run(list("abcdefgh"))


def test_nodes_that_go_are_not_held_against_a_part(run, monkeypatch):
    # As Ray says it of a node; here it is of the process.
    monkeypatch.setattr(pool_module, "classify", lambda _: Cause.NODE_LOST)
    done, pool = run(*["die"] * (MAX_ATTEMPTS + 1))
    assert done == {"a": "A"}
    assert pool.losses.counts() == {"node lost": 1}, "all were on one"


@pytest.mark.parametrize(
    ("kind", "error", "words"),
    [("data", DataError, "^bad digits$"), ("bug", GangenError, "a failed: ZeroDivisionError: bug")],
)
def test_what_would_be_met_again_ends_it_at_once(run, kind, error, words):
    with pytest.raises(error, match=words):
        run(kind, kind)
