"""The training job as a user runs it: interrupted and resumed, alone and in a group."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from ganmodel.data import load_training_set, stratified_subset
from ganmodel.model_dir import read_model
from ganmodel.weights import load_arrays

pytestmark = [pytest.mark.ray_local, pytest.mark.tf]

GANGEN = str(Path(sys.executable).with_name("gangen"))
STEPS = 300
TIMEOUT_S = 400


def command(model_dir: Path, *extra: str, steps: int = STEPS) -> list[str]:
    fixed = ["--dataset", "digits", "--preset", "tiny", "--precision", "float32"]
    return [GANGEN, "train", *fixed, "--steps", str(steps), "--model-dir", str(model_dir), *extra]


def finish(model_dir: Path, *extra: str, steps: int = STEPS) -> dict[str, Any]:
    line = [*command(model_dir, *extra, steps=steps), "--json"]
    done = subprocess.run(line, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def logged(model_dir: Path) -> list[dict[str, Any]]:
    path = model_dir / "metrics.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []


def differences(one: Path, other: Path) -> Any:
    """Return the absolute difference of every weight of two exported generators."""
    mine, _ = load_arrays(one / "generator.safetensors")
    theirs, _ = load_arrays(other / "generator.safetensors")
    assert mine.keys() == theirs.keys()
    return np.concatenate([np.abs(mine[name] - theirs[name]).ravel() for name in mine])


@pytest.mark.parametrize("stop", [pytest.param(signal.SIGTERM, marks=pytest.mark.slow), signal.SIGINT])
def test_an_interrupted_run_resumes_with_no_step_lost_or_repeated(
    stop: signal.Signals, tmp_path: Path
) -> None:
    folder = tmp_path / "stopped"
    process = subprocess.Popen(command(folder), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + TIMEOUT_S
    while not logged(folder):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(stop)
    _, errors = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 130, errors
    assert "a checkpoint was written, the same command resumes" in errors.splitlines()[-1]
    assert "Traceback" not in errors
    stopped_at = logged(folder)[-1]["step"]
    assert 0 < stopped_at < STEPS
    assert not (folder / "model.json").exists()

    facts = finish(folder, "--resume")
    assert (facts["resumed_from"], facts["step"], facts["status"]) == (stopped_at, STEPS, "finished")
    windows = [line for line in logged(folder) if "window_steps" in line]
    assert sum(line["window_steps"] for line in windows) == STEPS
    assert np.cumsum([line["window_steps"] for line in windows]).tolist() == [
        line["step"] for line in windows
    ]

    straight = tmp_path / "straight"
    finish(straight)
    assert differences(folder, straight).max() == 0


def test_two_workers_train_what_one_trains_for_the_same_global_batch(tmp_path: Path) -> None:
    alone, group = tmp_path / "alone", tmp_path / "group"
    finish(alone, steps=10)
    facts = finish(group, "--strategy", "multi-worker", "--workers", "2", steps=10)
    assert facts["step"] == 10
    # Adam turns the rounding of another order of summation into a whole step where a gradient is near zero: a few
    # weights may differ, most must not. (Gradients summed twice: 35 % of the weights differ by more than this.)
    assert np.mean(differences(alone, group) > 1e-4) < 0.02


def lose_a_worker(process: subprocess.Popen[str], folder: Path) -> None:
    """Kill a worker of a group once there is a checkpoint."""
    deadline = time.monotonic() + TIMEOUT_S
    while not list(folder.glob("checkpoints/step-*.safetensors")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    found = psutil.Process(process.pid).children(recursive=True)
    workers = [child for child in found if (child.cmdline() or [""])[0].startswith("ray::TrainWorker")]
    assert len(workers) == 2
    max(workers, key=lambda worker: worker.create_time()).kill()


@pytest.mark.slow
def test_a_group_that_loses_a_worker_goes_on_from_its_checkpoint_as_often_as_is_allowed(
    tmp_path: Path,
) -> None:
    group = ("--strategy", "multi-worker", "--workers", "2", "--checkpoint-every", "50")
    straight, broken, given_up = tmp_path / "straight", tmp_path / "broken", tmp_path / "given-up"
    finish(straight, *group, steps=150)
    line = [*command(broken, *group, steps=150), "--json"]
    process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    lose_a_worker(process, broken)
    output, errors = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0, errors
    assert "beginning again at the last checkpoint, 1 of 3 times" in errors
    facts = json.loads(output)
    assert facts["losses"] == {"worker lost": 1}
    told = [json.loads(line) for line in (broken / "events.jsonl").read_text().splitlines()]
    assert [event["event"] for event in told] == [
        "training began", "worker lost", "training began", "training ended"
    ]  # fmt: skip
    assert told[1]["worker"] in told[0]["workers"] == ["train-broken-0-0", "train-broken-0-1"]
    assert told[2]["step"] == facts["resumed_from"]
    assert (told[3]["step"], told[3]["losses"]) == (150, {"worker lost": 1})
    assert len({event["job"] for event in told}) == 1
    assert facts["resumed_from"] in (50, 100)
    windows = [line["step"] for line in logged(broken) if "window_steps" in line]
    assert windows == [50, 100, 150]
    assert np.mean(differences(straight, broken) > 1e-4) < 0.02

    line = command(given_up, *group, "--max-failures", "0", steps=150)
    process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    lose_a_worker(process, given_up)
    _, errors = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 6
    assert "1 worker lost in all, --max-failures 0; the same command resumes" in errors.splitlines()[-1]
    assert "Traceback" not in errors


def test_a_changed_configuration_is_refused_by_name_and_fresh_starts_over(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    finish(folder, steps=10)
    refused = subprocess.run(
        command(folder, "--seed", "5", steps=10),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert refused.returncode == 2
    assert "seed: 0 -> 5" in refused.stderr
    facts = finish(folder, "--seed", "5", "--fresh", "--limit", "20", steps=10)
    assert facts["resumed_from"] == 0
    trained = read_model(str(folder)).training["config"]
    twenty = stratified_subset(load_training_set("digits"), 20, seed=5)
    assert (trained["limit"], trained["dataset_digest"]) == (20, twenty.digest())
