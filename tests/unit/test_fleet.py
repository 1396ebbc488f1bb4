"""Which workers there is room for, and what a loss means: arithmetic and words, without a cluster."""

from __future__ import annotations

import pytest

from ganmodel.errors import SpecError
from jobs.checks import placement
from jobs.fleet import WORKER_BYTES, Fleet, Node, spreading
from jobs.specs import Placement

MUCH = 100.0 * WORKER_BYTES
HEAD = Node("head", {"memory": MUCH})
SMALL = Node("small", {"CPU": 4.0, "memory": MUCH})
LARGE = Node("large", {"CPU": 16.0, "memory": MUCH, "disk": 2.0})
POOR = Node("poor", {"CPU": 16.0, "memory": 3.5 * WORKER_BYTES})
GPUS = Node("gpus", {"CPU": 9.0, "GPU": 2.0, "memory": MUCH})


@pytest.mark.parametrize(
    ("asked", "nodes", "size", "gpus"),
    [
        ({}, [HEAD, SMALL, LARGE], 20, 0),
        ({}, [HEAD], 1, 0),
        ({"cpus": 3}, [SMALL, LARGE], 1 + 5, 0),
        ({"resources": (("disk", 1.0),)}, [SMALL, LARGE], 2, 0),
        ({}, [POOR], 3, 0),
        ({"workers": 7}, [SMALL], 7, 0),
        ({}, [SMALL, GPUS], 2, 1),
        ({"gpus": 0.0}, [SMALL, GPUS], 13, 0),
        ({"gpus": 0.1}, [SMALL, GPUS], 20, 0.1),
    ],
)
def test_there_is_room_for_so_many_workers(asked, nodes, size, gpus):
    fleet = Fleet(Placement(**asked), lambda: nodes)
    assert (fleet.size(), fleet.gpus) == (size, gpus)


def test_the_room_follows_the_nodes():
    nodes = [SMALL]
    fleet = Fleet(Placement(), lambda: nodes)
    assert fleet.size() == 4
    nodes.append(LARGE)
    assert fleet.size() == 20
    nodes.remove(SMALL)
    assert fleet.size() == 16


@pytest.mark.parametrize(
    ("asked", "encoders"),
    [({}, 4), ({"gpus": 0.5}, 2), ({"cpus": 3}, 3), ({"workers": 1}, 9), ({"gpus": 2.0}, 9)],
)
def test_a_worker_on_a_gpu_has_its_share_of_the_cores_beside_it(asked, encoders):
    fleet = Fleet(Placement(**asked), lambda: [SMALL, GPUS])
    assert fleet.encoders("gpus") == encoders
    assert "CPU" not in fleet.bundle()
    assert fleet.encoders("gone") == asked.get("cpus", 1)


def test_gpus_that_nobody_asked_for_are_given_up_and_others_are_not():
    fleet = Fleet(Placement(), lambda: [GPUS])
    assert (fleet.gpus, fleet.fall_back(), fleet.gpus, fleet.size()) == (1, True, 0, 9)
    begun = Fleet(Placement(), lambda: [GPUS], cpus_began=True)
    assert (begun.gpus, begun.size()) == (0, 9)
    asked = Fleet(Placement(gpus=1.0), lambda: [GPUS])
    assert (asked.fall_back(), asked.gpus) == (False, 1)


@pytest.mark.parametrize(
    ("bundle", "workers", "strategy"),
    [
        ({"CPU": 1.0}, 3, "STRICT_SPREAD"),
        ({"CPU": 1.0}, 4, "SPREAD"),
        ({"CPU": 1.0, "GPU": 1.0}, 1, "STRICT_SPREAD"),
        ({"CPU": 1.0, "GPU": 1.0}, 2, "SPREAD"),
        ({"CPU": 5.0}, 2, "STRICT_SPREAD"),
        ({"CPU": 5.0}, 3, "SPREAD"),
    ],
)
def test_a_group_has_a_node_each_where_there_are_enough(bundle, workers, strategy):
    assert spreading(bundle, workers, [HEAD, SMALL, LARGE, GPUS]) == strategy


def test_a_placement_is_read_from_its_options():
    assert placement(3, 2.5, 0.5, "rack7=0.5, fast_disk=1") == Placement(
        workers=3, cpus=2.5, gpus=0.5, resources=(("fast_disk", 1.0), ("rack7", 0.5))
    )
    assert placement(None, None, None, "") == Placement()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"needs": "disk"}, "--resources: cannot read 'disk'; write a name and an amount"),
        ({"needs": "disk=0"}, "--resources: cannot read"),
        ({"needs": "disk=inf"}, "--resources: cannot read"),
        ({"needs": "=1"}, "--resources: cannot read"),
        ({"needs": "a=1,a=2"}, "--resources: cannot read"),
        ({"needs": "CPU=2"}, "--resources: CPU has an option of its own, --cpus-per-worker"),
        ({"needs": "GPU=2"}, "--resources: GPU has an option of its own, --gpus-per-worker"),
        ({"cpus": 0.0}, "--cpus-per-worker: must be above 0"),
    ],
)
def test_a_placement_that_cannot_be_is_one_line(options, words):
    asked = {"workers": None, "cpus": None, "gpus": None, "needs": ""} | options
    with pytest.raises(SpecError, match=words) as caught:
        placement(**asked)
    assert "\n" not in str(caught.value)
