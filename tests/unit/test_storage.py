from __future__ import annotations

import errno
from pathlib import Path

import pytest

from ganmodel.errors import CommitConflict, SpecError
from jobs.storage import PENDING, LocalStorage, TargetError, open_storage, target_errors


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    storage = LocalStorage(str(tmp_path / "out"))
    storage.prepare()
    return storage


def test_second_creation_is_refused_and_first_survives(storage: LocalStorage) -> None:
    storage.create_once("once.json", "first")
    with pytest.raises(CommitConflict, match=r"once\.json was written by another run"):
        storage.create_once("once.json", "second")
    assert storage.read("once.json") == b"first"
    assert storage.names(f"{PENDING}/tmp") == []


def test_a_published_file_stays_hidden_until_its_folder_is_revealed(storage: LocalStorage) -> None:
    temporary = storage.temporary("data/a.bin")
    temporary.write_bytes(b"rows")
    storage.publish(temporary, "data/a.bin")
    assert not storage.path("data").exists()
    assert storage.size("data/a.bin") == 4
    storage.reveal("data")
    storage.reveal("data")  # A crash after the first one is continued by a second.
    assert storage.path("data/a.bin").read_bytes() == b"rows"
    assert storage.size("data/a.bin") == 4
    assert storage.size("data/none.bin") is None


def test_a_file_that_was_lost_after_the_reveal_is_put_back(storage: LocalStorage) -> None:
    for name in ("data/a.bin", "data/b.bin"):
        temporary = storage.temporary(name)
        temporary.write_bytes(b"rows")
        storage.publish(temporary, name)
    storage.reveal("data")
    storage.path("data/a.bin").unlink()
    again = storage.temporary("data/a.bin")
    again.write_bytes(b"rows")
    storage.publish(again, "data/a.bin")
    storage.reveal("data")
    assert storage.names("data") == ["a.bin", "b.bin"]


def test_a_write_that_fails_half_way_leaves_the_old_content(
    storage: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage.write_whole("card.md", "old")

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", refuse)
    with pytest.raises(OSError, match="No space"):
        storage.write_whole("card.md", "new")
    assert storage.read("card.md") == b"old"
    assert storage.names("") == ["card.md"]


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


def test_places_this_version_cannot_write_to_are_refused() -> None:
    with pytest.raises(SpecError, match="s3://"):
        open_storage("s3://bucket/digits")
    assert open_storage("file:///tmp/x").root == Path("/tmp/x")


def test_temporaries_of_a_crash_are_swept_and_published_files_stay(storage: LocalStorage) -> None:
    storage.temporary("data/half.bin").write_bytes(b"ha")
    whole = storage.temporary("data/whole.bin")
    whole.write_bytes(b"whole")
    storage.publish(whole, "data/whole.bin")
    storage.sweep_temporaries()
    assert storage.names(f"{PENDING}/tmp") == []
    assert storage.size("data/whole.bin") == 5
