"""What only a disk can do wrong; what every storage does is in test_storage_contract.py."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from ganmodel.errors import CommitConflict, SpecError
from jobs.local_storage import LocalStorage
from jobs.storage import Storage, TargetError, open_storage, target_errors


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    storage = LocalStorage(str(tmp_path / "out"))
    storage.prepare()
    return storage


def test_a_write_that_fails_half_way_leaves_the_old_content(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage.write_whole("card.md", "old")

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", refuse)
    with pytest.raises(OSError, match="No space"):
        storage.write_whole("card.md", "new")
    with pytest.raises(OSError, match="No space"):
        storage.create_once("once.json", "new")
    assert storage.read("card.md") == b"old"
    assert list(storage.sizes()) == ["card.md"]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_hopeless_refusals_become_one_line(code: int) -> None:
    with pytest.raises(TargetError, match=r"--out /x: .*same command"), target_errors("/x"):
        raise OSError(code, "whatever")


def test_other_failures_of_the_system_pass_as_they_are() -> None:
    with pytest.raises(OSError, match="odd") as caught, target_errors("/x"):
        raise OSError(errno.EIO, "odd")
    assert not isinstance(caught.value, TargetError)


def test_a_target_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SpecError, match="cannot be written"):
        LocalStorage(str(tmp_path / "file/out")).prepare()


def test_two_runs_cannot_hold_the_lock_of_a_folder(storage: Storage, tmp_path: Path) -> None:
    assert storage.has_lock
    with (
        storage.lock(),
        pytest.raises(CommitConflict, match="another run"),
        LocalStorage(str(tmp_path / "out")).lock(),
    ):
        pass


def test_scratch_of_a_crash_is_swept(storage: Storage, tmp_path: Path) -> None:
    left_behind = storage.scratch("data/half.bin").__enter__()
    left_behind.write_bytes(b"ha")
    storage.sweep()
    assert storage.sizes() == {}


@pytest.mark.parametrize(
    ("out", "url"),
    [("/tmp/x", "/tmp/x"), ("file:///tmp/x", "/tmp/x"), ("file:///tmp/a%20b", "/tmp/a b")],
)
def test_a_path_and_a_file_url_name_the_same_folder(out: str, url: str) -> None:
    assert open_storage(out).url == url


@pytest.mark.parametrize("out", ["file://x/y", "file://", "ftp://host/x", "http://host/x", "://x"])
def test_places_nobody_can_write_to_are_refused(out: str) -> None:
    with pytest.raises(SpecError, match=f"--out {out.partition('://')[0]}://.*: "):
        open_storage(out)
