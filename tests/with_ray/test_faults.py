"""What may go wrong in a run, at three points of it; then the same command ends in the data an undisturbed run makes.

The points: `start`, the plan is written and workers load; `middle`, some shards are committed; `end`, all are revealed
and the manifest is about to be created. Every fault comes with its own outcome for the run it befell.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
from fault_proxy import Fault, FaultProxy

from ganmodel.model_dir import PRETRAINED, read_model
from jobs.storage import PRIVATE, open_storage

pytestmark = [pytest.mark.ray_local, pytest.mark.tf, pytest.mark.slow]

GANGEN = str(Path(sys.executable).with_name("gangen"))
HELD_DRIVER = str(Path(__file__).parents[1] / "support" / "held_driver.py")
COUNT, NUM_SHARDS = 24_000, 24
ARGUMENTS = ["generate", "--count", str(COUNT), "--shard-rows", "1000", "--workers", "1"]
POINTS = ("start", "middle", "end")
TIMEOUT_S = 900


@dataclass
class Run:
    """A run of the command that a fault is to befall at a point.

    Attributes:
        process: the driver.
        place: the data set's, as typed.
        flags: folder through which a driver is held at the end.
    """

    process: subprocess.Popen[str]
    place: str
    flags: Path
    family: list[psutil.Process] = field(default_factory=list)

    def wait_for(self, point: str) -> None:
        """Return when the run has come to a point."""
        storage = open_storage(self.place)
        before = len(storage.sizes(f"{PRIVATE}/commits"))

        def is_there() -> bool:
            if point == "end":
                return (self.flags / "held").exists()
            if point == "middle":
                return len(storage.sizes(f"{PRIVATE}/commits")) >= before + 2
            return bool(self.workers())

        deadline = time.monotonic() + TIMEOUT_S
        while not is_there():
            assert self.process.poll() is None, self.process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        self.family = psutil.Process(self.process.pid).children(recursive=True)

    def workers(self) -> list[psutil.Process]:
        """Return the workers of this run."""
        return self.named("ray::GenerateWorker")

    def named(self, start: str) -> list[psutil.Process]:
        """Return the processes of this run whose program is called so."""
        found = []
        for process in psutil.Process(self.process.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                if Path((process.cmdline() or [""])[0]).name.startswith(start):
                    found.append(process)
        return found

    def go_on(self) -> None:
        """Let a driver that is held create the manifest."""
        (self.flags / "go-on").touch()

    def outcome(self) -> tuple[int, str]:
        """Wait for the end of the run and of all it started; return exit code and stderr."""
        _, errors = self.process.communicate(timeout=TIMEOUT_S)
        _, alive = psutil.wait_procs(self.family, timeout=120)
        assert not alive, alive
        return self.process.returncode, errors


def start(place: str, flags: Path, point: str, *extra: str) -> Run:
    shutil.rmtree(flags, ignore_errors=True)
    flags.mkdir()
    program = [sys.executable, HELD_DRIVER, str(flags)] if point == "end" else [GANGEN]
    command = [*program, *ARGUMENTS, "--out", place, *extra]
    return Run(
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True), place, flags
    )


def run(place: str, *extra: str) -> subprocess.CompletedProcess[str]:
    command = [GANGEN, *ARGUMENTS, "--out", place, "--json", *extra]
    return subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)


def one_line(errors: str) -> str:
    """Return the line that says what went wrong; there must be exactly one, and no traceback."""
    assert "Traceback" not in errors, errors
    lines = [line for line in errors.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, errors
    return lines[0]


def files(place: str) -> dict[str, str]:
    """Return {name: sha256} of a finished data set, which must hold these files and nothing half-made."""
    storage = open_storage(place)
    manifest = json.loads(storage.read(f"{PRIVATE}/manifest.json") or b"")
    recorded = [f for shard in manifest["shards"] for f in shard["files"].values()]
    found = {f["name"]: f["sha256"] for f in recorded}
    sizes = storage.sizes()
    assert {f["name"]: sizes.get(f["name"]) for f in recorded} == {
        f["name"]: f["size_bytes"] for f in recorded
    }
    assert not [name for name in sizes if name.startswith(f"{PRIVATE}/pending")]
    return found


def is_hidden(place: str) -> bool:
    """Return whether no reader would find anything of a data set."""
    return all(name.startswith(f"{PRIVATE}/") for name in open_storage(place).sizes())


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    place = str(tmp_path_factory.mktemp("undisturbed") / "out")
    done = run(place)
    assert done.returncode == 0, done.stderr
    found = files(place)
    assert len(found) == 2 * NUM_SHARDS
    return found


def ends_as_undisturbed(place: str, undisturbed: dict[str, str]) -> None:
    done = run(place)
    assert done.returncode == 0, done.stderr
    assert files(place) == undisturbed


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_driver_that_is_stopped_at_any_point_is_continued(
    tmp_path: Path, undisturbed: dict[str, str], number: signal.Signals
) -> None:
    place = str(tmp_path / "out")
    for point in POINTS:
        broken = start(place, tmp_path / "flags", point)
        broken.wait_for(point)
        broken.process.send_signal(number)
        code, errors = broken.outcome()
        assert code == (-number if number == signal.SIGKILL else 130), errors
        if number != signal.SIGKILL:
            assert "the same command" in one_line(errors)
        assert point == "end" or is_hidden(place)
    ends_as_undisturbed(place, undisturbed)


def test_workers_that_are_killed_at_any_point_cost_nothing_but_time(
    tmp_path: Path, undisturbed: dict[str, str]
) -> None:
    place = str(tmp_path / "out")
    disturbed = start(place, tmp_path / "flags", "middle")
    for point in ("start", "middle", "middle"):
        disturbed.wait_for(point)
        for worker in disturbed.workers():
            with suppress(psutil.NoSuchProcess):
                worker.kill()
    code, errors = disturbed.outcome()
    assert code == 0, errors
    assert "a worker was lost" in errors
    assert files(place) == undisturbed


def test_a_shard_that_takes_every_worker_down_is_left_aside_and_the_others_are_made(
    tmp_path: Path, undisturbed: dict[str, str]
) -> None:
    place = tmp_path / "out"
    disturbed = start(str(place), tmp_path / "flags", "middle")
    begun: set[Path] = set()
    while disturbed.process.poll() is None:
        seen = set((place / PRIVATE / "pending/tmp").glob("*-train-00003.parquet")) - begun
        if seen:
            begun |= seen
            disturbed.family = psutil.Process(disturbed.process.pid).children(recursive=True)
            for worker in disturbed.workers():
                with suppress(psutil.NoSuchProcess):
                    worker.kill()
        time.sleep(0.005)
    code, errors = disturbed.outcome()
    assert code == 3, errors
    assert "1 of 24 shards could not be made (first: shard 3: took down 3 workers)" in one_line(errors)
    assert len(open_storage(str(place)).sizes(f"{PRIVATE}/commits")) == NUM_SHARDS - 1
    assert is_hidden(str(place))
    notes = json.loads((place / PRIVATE / "run.json").read_text())
    assert list(notes["failures"]) == ["3"]
    ends_as_undisturbed(str(place), undisturbed)


def test_a_node_that_dies_at_any_point_is_continued_from_storage_alone(
    tmp_path: Path, undisturbed: dict[str, str]
) -> None:
    place = str(tmp_path / "out")
    for point in ("start", "middle"):
        broken = start(place, tmp_path / "flags", point)
        broken.wait_for(point)
        for process in [*broken.named("raylet"), *broken.workers()]:
            process.kill()
        code, errors = broken.outcome()
        assert code == 6, errors
        assert "Ray's node process (raylet) on this machine has died" in one_line(errors)
        assert is_hidden(place)
    broken = start(place, tmp_path / "flags", "end")
    broken.wait_for("end")
    for process in [*broken.named("raylet"), *broken.named("gcs_server")]:  # none: Ray is not needed any more
        process.kill()
    broken.go_on()
    assert broken.outcome()[0] == 0
    assert files(place) == undisturbed


def test_a_run_whose_raylet_alone_dies_ends_or_finishes_and_prints_results_alone(
    tmp_path: Path, undisturbed: dict[str, str]
) -> None:
    place = str(tmp_path / "out")
    broken = start(place, tmp_path / "flags", "middle", "--json")
    broken.wait_for("middle")
    for process in broken.named("raylet"):
        process.kill()
    output, errors = broken.process.communicate(timeout=TIMEOUT_S)
    # Its workers outlive it for a while, and may have made everything by then.
    assert broken.process.returncode in (0, 6), errors
    assert not output or json.loads(output)["rows"] == COUNT
    ends_as_undisturbed(place, undisturbed)


@contextmanager
def small_disk(folder: Path, size_bytes: int) -> Iterator[Path]:
    """Mount a file system of a size; skip where this user may not."""
    folder.mkdir()
    options = f"size={size_bytes}"
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"this user may not mount a small disk: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Leave no byte free."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(1 << 20))
    with ballast.open("ab", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(512))
    return ballast


def test_a_disk_that_fills_up_at_any_point_is_named_and_room_continues_it(
    tmp_path: Path, undisturbed: dict[str, str]
) -> None:
    with small_disk(tmp_path / "disk", 64 << 20) as disk:
        place = str(disk / "out")
        for point in POINTS:
            broken = start(place, tmp_path / "flags", point)
            broken.wait_for(point)
            ballast = fill(disk)
            broken.go_on()
            code, errors = broken.outcome()
            assert code == 1, errors
            assert "no space left; committed shards are kept" in one_line(errors)
            refused = run(place)
            assert refused.returncode in (1, 2), refused.stderr
            one_line(refused.stderr)
            ballast.unlink()
        ends_as_undisturbed(place, undisturbed)


def test_a_disk_that_turns_read_only_is_refused_in_one_line(
    tmp_path: Path, undisturbed: dict[str, str]
) -> None:
    def remount(mode: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{mode}", str(disk)], check=True)

    with small_disk(tmp_path / "disk", 64 << 20) as disk:
        place = str(disk / "out")
        for point in POINTS:
            broken = start(place, tmp_path / "flags", point)
            broken.wait_for(point)
            broken.process.kill()
            broken.outcome()
            remount("ro")
            refused = run(place)
            assert refused.returncode in (1, 2), refused.stderr
            assert os.strerror(errno.EROFS).lower() in one_line(refused.stderr).lower()
            remount("rw")
        ends_as_undisturbed(place, undisturbed)
        remount("ro")
        assert run(place).returncode == 0  # Nothing to do needs nothing written.
        remount("rw")


def test_clocks_that_jump_mean_nothing(tmp_path: Path, undisturbed: dict[str, str]) -> None:
    place = tmp_path / "out"
    for point, then in zip(POINTS, (0, 2**33, 10**9), strict=True):  # 1970, 2242, 2001
        broken = start(str(place), tmp_path / "flags", point)
        broken.wait_for(point)
        broken.process.kill()
        broken.outcome()
        for path in place.rglob("*"):
            os.utime(path, (then, then))
    ends_as_undisturbed(str(place), undisturbed)


def test_another_model_or_another_plan_is_refused_at_any_point_and_nothing_is_lost(
    tmp_path: Path, undisturbed: dict[str, str]
) -> None:
    place = str(tmp_path / "out")
    other = tmp_path / "model"
    train = [
        GANGEN,
        "train",
        "--dataset",
        "digits",
        "--preset",
        "tiny",
        "--steps",
        "2",
        "--model-dir",
        str(other),
    ]
    subprocess.run(train, check=True, capture_output=True, timeout=TIMEOUT_S)
    for point in POINTS:
        broken = start(place, tmp_path / "flags", point)
        broken.wait_for(point)
        broken.process.kill()
        broken.outcome()
        if point == "start":
            continue  # Nothing is made yet: the place may still become another data set.
        before = open_storage(place).sizes()
        for change in (["--model", str(other)], ["--seed", "1"]):
            refused = run(place, *change)
            assert refused.returncode == 4, refused.stderr
            assert "holds another data set" in one_line(refused.stderr)
        assert open_storage(place).sizes() == before
    ends_as_undisturbed(place, undisturbed)


def test_a_model_that_changes_under_the_workers_is_refused(tmp_path: Path) -> None:
    mine, other = tmp_path / "mine", tmp_path / "other"
    for folder, seed in ((mine, "0"), (other, "1")):
        line = [GANGEN, "train", "--dataset", "digits", "--preset", "tiny", "--steps", "2", "--seed", seed,
                "--model-dir", str(folder)]  # fmt: skip
        subprocess.run(line, check=True, capture_output=True, timeout=TIMEOUT_S)
    assert read_model(str(mine)).digest != read_model(PRETRAINED).digest
    place = str(tmp_path / "out")
    broken = start(place, tmp_path / "flags", "start", "--model", str(mine))
    while not open_storage(place).read(f"{PRIVATE}/plan.json"):
        assert broken.process.poll() is None, broken.process.communicate()
        time.sleep(0.01)
    kept = tmp_path / "kept"
    mine.rename(kept)
    other.rename(mine)
    code, errors = broken.outcome()
    assert code == 2, errors
    assert "the plan names" in one_line(errors)
    mine.rename(other)
    kept.rename(mine)
    done = run(place, "--model", str(mine))
    assert done.returncode == 0, done.stderr
    assert len(files(place)) == 2 * NUM_SHARDS


PASSING = ["error", "slow_down", "reset", "drop_reply"]


@pytest.mark.parametrize("kind", PASSING)
def test_a_store_that_stumbles_at_every_point_delays_a_run_and_no_more(
    bucket: str, fault_proxy: FaultProxy, undisturbed: dict[str, str], kind: Any
) -> None:
    place = f"{bucket}/a/set"
    fault_proxy.faults = [
        Fault(kind, path=r"\.gangen/plan\.json"),
        Fault(kind, path=r"\.gangen/pending/data", skip=3, times=2),
        Fault(kind, path=r"\.gangen/commits", skip=5, times=2),
        Fault(kind, path=r"/set/data/", times=2),  # the copies that reveal
        Fault(kind, path=r"\.gangen/manifest\.json"),
        Fault(kind, method="GET", path="list-type", times=2),
    ]
    done = run(place)
    assert done.returncode == 0, done.stderr
    assert all(fault.befallen for fault in fault_proxy.faults)
    assert files(place) == undisturbed


@pytest.mark.parametrize(
    "where",
    [
        r"\.gangen/plan\.json",
        r"\.gangen/pending/data/train-00005",
        r"\.gangen/commits/00003",
        r"/set/tfds/",
        r"\.gangen/manifest\.json",
    ],
)
def test_a_store_that_refuses_is_named_in_one_line_and_the_same_command_continues(
    bucket: str, fault_proxy: FaultProxy, undisturbed: dict[str, str], where: str
) -> None:
    place = f"{bucket}/a/set"
    fault_proxy.faults = [Fault("denied", path=where, times=1000)]
    done = run(place)
    assert done.returncode == 1, done.stderr
    assert "access is denied (AccessDenied); what is committed is kept" in one_line(done.stderr)
    assert os.environ["AWS_SECRET_ACCESS_KEY"] not in done.stderr
    assert os.environ["AWS_ACCESS_KEY_ID"] not in done.stderr
    before = open_storage(place).sizes()
    assert f"{PRIVATE}/manifest.json" not in before
    deleted = [path for method, path in fault_proxy.requests if method in ("POST", "DELETE")]
    assert all("pending" in path or "delete" in path for path in deleted)
    fault_proxy.faults = []
    ends_as_undisturbed(place, undisturbed)


def test_two_runs_at_one_folder_one_is_told_at_every_point(
    tmp_path: Path, undisturbed: dict[str, str]
) -> None:
    place = str(tmp_path / "out")
    first = start(place, tmp_path / "flags", "end")
    for point in POINTS:
        first.wait_for(point)
        second = run(place)
        assert second.returncode == 4, second.stderr
        assert "another run is writing here" in one_line(second.stderr)
    first.go_on()
    assert first.outcome()[0] == 0
    assert files(place) == undisturbed


def test_two_runs_at_one_prefix_one_wins_and_the_other_is_told(
    tmp_path: Path, bucket: str, fault_proxy: FaultProxy, undisturbed: dict[str, str]
) -> None:
    place = f"{bucket}/a/set"
    runs = [start(place, tmp_path / f"flags{n}", "end") for n in range(2)]
    runs[0].wait_for("end")
    other_plan = run(place, "--seed", "1")
    assert other_plan.returncode == 4, other_plan.stderr
    runs[0].go_on()
    assert runs[0].outcome()[0] == 0
    assert files(place) == undisturbed
    runs[1].go_on()
    code, errors = runs[1].outcome()
    if code:  # 0 where it came to the very same manifest
        assert code == 4, errors
        told = ("another run has finished it", "written by another run")
        assert any(words in one_line(errors) for words in told)
    again = run(place)
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["shards_made"] == 0
    assert files(place) == undisturbed
