"""What Ray's own errors mean to a run, and the words for it."""

from __future__ import annotations

import pickle

import pytest

from ganmodel.errors import CommitConflict, GangenError, ModelError
from jobs.losses import POLICIES, Cause, Losses, classify, losses_text, node_of
from jobs.target import TargetError, Throttled

NODE, OTHER = "ab" * 28, "cd" * 28


def died(text: str, *, preempted: bool = False) -> Exception:
    """Return the error of an actor that died, as Ray makes it from what the cluster says."""
    from ray.core.generated.common_pb2 import ActorDiedErrorContext, NodeDeathInfo
    from ray.exceptions import ActorDiedError

    context = ActorDiedErrorContext(error_message=text, actor_id=bytes(16), pid=7)
    if preempted:
        context.node_death_info.reason = NodeDeathInfo.AUTOSCALER_DRAIN_PREEMPTED
    return ActorDiedError(context)


def raised(cause: Exception) -> Exception:
    """Return the error of a task whose code raised `cause`, as the driver gets it."""
    from ray.exceptions import RayTaskError

    return RayTaskError("make", "a traceback", cause)


def unavailable() -> Exception:
    from ray.exceptions import ActorUnavailableError

    return ActorUnavailableError("rpc error", bytes(16))


def of_ray(name: str, text: str) -> Exception:
    import ray.exceptions

    return getattr(ray.exceptions, name)(text)


ERRORS = {
    "a killed process": (lambda: died("Worker exits with an exit code None."), Cause.WORKER_LOST),
    "out of reach": (unavailable, Cause.WORKER_LOST),
    "crashed": (lambda: of_ray("WorkerCrashedError", ""), Cause.WORKER_LOST),
    "its node": (
        lambda: died(f"The actor died because its node has died. Node Id: {NODE}"),
        Cause.NODE_LOST,
    ),
    "a task's node": (lambda: of_ray("NodeDiedError", "the node is dead"), Cause.NODE_LOST),
    "preempted": (
        lambda: died("The actor died because its node has died.", preempted=True),
        Cause.PREEMPTED,
    ),
    "the memory monitor": (lambda: of_ray("OutOfMemoryError", "killed"), Cause.OUT_OF_MEMORY),
    "the node's memory": (
        lambda: died("1 worker(s) were killed due to the node running low on memory."),
        Cause.OUT_OF_MEMORY,
    ),
    "Python's memory": (lambda: raised(MemoryError()), Cause.OUT_OF_MEMORY),
    "throttled": (lambda: raised(Throttled("SlowDown")), Cause.STORAGE_THROTTLED),
    "a full disk": (lambda: raised(TargetError("no space left")), Cause.USER_ERROR),
    "another model": (lambda: raised(ModelError("digest")), Cause.USER_ERROR),
    "another run": (lambda: raised(CommitConflict("taken")), Cause.USER_ERROR),
    "does not read back": (lambda: raised(GangenError("wrote 2, read 1")), Cause.POISONED_SHARD),
    "a bug": (lambda: raised(ZeroDivisionError("0")), Cause.POISONED_SHARD),
}


@pytest.mark.parametrize(("make", "cause"), ERRORS.values(), ids=ERRORS)
def test_an_error_means_this(make, cause):
    assert classify(make()) is cause


def test_every_cause_is_met_and_has_its_policy_and_no_word_of_it_is_missing():
    assert {cause for _, cause in ERRORS.values()} == set(Cause) == set(POLICIES)
    for cause in set(Cause) - {Cause.USER_ERROR}:  # That one ends the run, with its own line.
        assert "1" in losses_text({cause: 1}) or "once" in losses_text({cause: 1})
        assert "1,234" in losses_text({cause: 1234})


def test_a_node_is_counted_once_however_many_workers_went_with_it():
    losses = Losses()
    losses.add(Cause.WORKER_LOST, NODE)
    losses.add(Cause.WORKER_LOST, OTHER)
    losses.add(Cause.WORKER_LOST, OTHER)
    losses.add(Cause.NODE_LOST, NODE)
    losses.add(Cause.NODE_LOST, NODE)
    assert losses.counts() == {"worker lost": 3, "node lost": 1}
    losses.settle({NODE})
    assert losses.counts() == {"worker lost": 2, "node lost": 1}
    assert losses_text(losses.counts()) == "2 workers lost, 1 node lost"
    assert losses_text({}) == ""


def test_the_node_that_died_is_read_from_what_ray_says():
    assert node_of(died(f"The actor died because its node has died. Node Id: {NODE}")) == NODE
    assert node_of(unavailable()) == ""


def test_a_throttled_target_travels_from_a_worker_as_what_it_is():
    error = pickle.loads(pickle.dumps(Throttled("--out s3://x: SlowDown")))
    assert isinstance(error, Throttled)
    assert str(error) == "--out s3://x: SlowDown"
