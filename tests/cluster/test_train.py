"""`gangen train --strategy multi-worker` over two hosts: lost workers, the loss curve, one worker's weights."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hosts import Host, RayHosts, wait_until
from scenes import FIGURES, RUN_S, TRAINS, Scene

from ganmodel.weights import load_arrays

if TYPE_CHECKING:
    from collections.abc import Callable

STEPS, EVERY = 200, 20
GROUP = ("--strategy", "multi-worker", "--workers", "2")
LOST_AFTER = 60
LOST = 6
"""Exit code of a command whose training lost a worker."""

MAX_RUNS = 3


def arguments(folder: Path, hosts: RayHosts, steps: int) -> list[str]:
    fixed = ["train", "--dataset", "digits", "--preset", "tiny", "--precision", "float32"]
    fixed += ["--checkpoint-every", str(EVERY), "--address", hosts.address]
    return [*fixed, "--steps", str(steps), "--model-dir", str(folder)]


def train(hosts: RayHosts, name: str, *extra: str, steps: int) -> tuple[Path, float]:
    """Train to the end; return the folder and the seconds."""
    folder, began = hosts.folder / name, time.monotonic()
    done = hosts.client.gangen(*arguments(folder, hosts, steps), *extra)
    assert done.returncode == 0, done.stderr
    return folder, time.monotonic() - began


def differences(one: Path, other: Path) -> Any:
    """Return the absolute difference of every weight of two exported generators."""
    mine, theirs = (load_arrays(folder / "generator.safetensors")[0] for folder in (one, other))
    assert mine.keys() == theirs.keys()
    return np.concatenate([np.abs(mine[name] - theirs[name]).ravel() for name in mine])


def curve(folder: Path) -> list[dict[str, Any]]:
    """Return the lines of metrics.jsonl that average over steps, but for what the clock says."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [line for line in lines if line.pop("images_per_s", None)]


@dataclass
class Straight:
    """A group's training that nothing happens to."""

    folder: Path
    seconds: float


@pytest.fixture(scope="module")
def straight(hosts: RayHosts) -> Straight:
    hosts.mend()
    folder, seconds = train(hosts, "straight", *GROUP, steps=STEPS)
    FIGURES.append(f"{STEPS} steps on two hosts, undisturbed: {seconds:.0f} s")
    return Straight(folder, seconds)


def test_two_hosts_train_what_one_worker_trains_for_the_same_global_batch(scene: Scene) -> None:
    alone, alone_s = train(scene.hosts, "alone", "--strategy", "one-device", steps=10)
    group, group_s = train(scene.hosts, "group", *GROUP, steps=10)
    apart = differences(alone, group)
    FIGURES.append(
        f"10 steps, one worker and two hosts: {alone_s:.0f} and {group_s:.0f} s, weights apart by at most "
        f"{apart.max():.1e}, the median {np.median(apart):.1e}, {np.mean(apart > 1e-4):.2%} by more than 1e-4"
    )
    # As in tests/with_ray/test_train.py: Adam turns rounding into a whole step where a gradient is near zero.
    assert np.mean(apart > 1e-4) < 0.02


def lose_a_process(hosts: list[Host]) -> None:
    hosts[0].kill_process(hosts[0].pids(TRAINS)[0])


def lose_a_host(hosts: list[Host]) -> None:
    next(host for host in hosts if not host.pids("jobs.entrypoint")).kill()


@pytest.mark.parametrize("lose", [lose_a_process, lose_a_host])
def test_a_worker_is_lost_and_the_curve_has_no_gap(
    lose: Callable[[list[Host]], None], scene: Scene, straight: Straight
) -> None:
    hosts, folder = scene.hosts, scene.out
    began, log = time.monotonic(), hosts.folder / f"{scene.name}.log"
    command = [*arguments(folder, hosts, STEPS), *GROUP]
    run = hosts.client.start_gangen(*command, log=log)

    def is_under_way() -> bool:
        assert run.poll() is None, log.read_text()
        return any(
            int(file.stem[-9:]) >= LOST_AFTER for file in folder.glob("checkpoints/step-*.safetensors")
        )

    wait_until(is_under_way, RUN_S, f"step {LOST_AFTER}", every_s=0.02)
    group = [host for host in hosts.workers if host.pids(TRAINS)]
    assert len(group) == 2, "the group is not spread over hosts"
    lose(group)
    codes = [run.wait(timeout=RUN_S)]
    if lose is lose_a_process:
        assert codes == [0], f"the job did not restart its workers by itself: {log.read_text()}"
        assert "beginning again at the last checkpoint, 1 of 3 times" in log.read_text()
    else:
        told = [json.loads(line)["event"] for line in (folder / "events.jsonl").read_text().splitlines()]
        assert {"node lost", "worker lost"} & set(told)
        assert "lost      1 node lost: gone on from the last checkpoint" in log.read_text()
    while codes[-1] == LOST and len(codes) < MAX_RUNS:
        assert "the same command resumes from its checkpoint" in log.read_text()
        codes.append(hosts.client.start_gangen(*command, log=log).wait(timeout=RUN_S))
    assert codes[-1] == 0, log.read_text()
    assert "Traceback" not in log.read_text()

    windows = curve(folder)
    assert list(accumulate(line["window_steps"] for line in windows)) == [line["step"] for line in windows]
    assert [line["step"] for line in windows] == [line["step"] for line in curve(straight.folder)]
    apart = [abs(a["d_loss"] - b["d_loss"]) for a, b in zip(windows, curve(straight.folder), strict=True)]
    seconds = time.monotonic() - began
    FIGURES.append(
        f"{lose.__name__} of a training after step {LOST_AFTER} of {STEPS}: {seconds:.0f} s, "
        f"{seconds - straight.seconds:+.0f} s, {len(codes)} commands; from the undisturbed run apart by at most "
        f"{max(apart):.1e} in d_loss, {differences(folder, straight.folder).max():.1e} in a weight"
    )
    assert max(apart) < 1e-3
