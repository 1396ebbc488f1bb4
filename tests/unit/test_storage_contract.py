"""What a data set's place promises, whatever it is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ganmodel.errors import CommitConflict
from jobs.storage import PENDING, Storage, open_storage
from jobs.target import TEMPORARY


@pytest.fixture(params=["folder", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "folder":
        return str(tmp_path / "out")
    return f"{request.getfixturevalue('bucket')}/a/set"


@pytest.fixture
def storage(place: str) -> Storage:
    storage = open_storage(place)
    storage.prepare()
    return storage


def publish(storage: Storage, name: str, data: bytes) -> None:
    with storage.scratch(name) as path:
        path.write_bytes(data)
        storage.publish(path, name)


def test_a_prepared_place_is_empty_and_can_be_prepared_again(storage: Storage) -> None:
    storage.prepare()
    assert storage.sizes() == {}
    assert not storage.is_occupied()


def test_second_creation_is_refused_and_first_survives(storage: Storage) -> None:
    storage.create_once(".gangen/once.json", "first")
    with pytest.raises(CommitConflict, match=r"once\.json was written by another run"):
        storage.create_once(".gangen/once.json", "second")
    assert storage.read(".gangen/once.json") == b"first"
    assert storage.sizes() == {".gangen/once.json": 5}


def test_creation_that_is_tried_again_because_its_answer_was_lost_is_no_conflict(storage: Storage) -> None:
    storage.create_once("once.json", "same")
    storage.create_once("once.json", "same")
    assert storage.read("once.json") == b"same"


def test_a_published_file_stays_hidden_until_its_folder_is_revealed(storage: Storage) -> None:
    publish(storage, "data/a.bin", b"rows")
    assert storage.sizes("data") == {}
    assert storage.sizes() == {f"{PENDING}/data/a.bin": 4}
    assert storage.size("data/a.bin") == 4
    storage.reveal("data")
    storage.reveal("data")  # A crash after the first one is continued by a second.
    assert storage.read("data/a.bin") == b"rows"
    assert storage.size("data/a.bin") == 4
    assert storage.size("data/none.bin") is None
    assert storage.sizes() == {"data/a.bin": 4}


def test_a_file_that_is_published_again_replaces_the_first(storage: Storage) -> None:
    publish(storage, "data/a.bin", b"ro")
    publish(storage, "data/a.bin", b"rows")
    storage.reveal("data")
    assert storage.read("data/a.bin") == b"rows"


def test_files_that_were_lost_or_cut_after_the_reveal_are_put_back(storage: Storage) -> None:
    for name in ("data/a.bin", "data/b.bin"):
        publish(storage, name, b"rows")
    storage.reveal("data")
    storage.write_whole("data/a.bin", b"ro")
    publish(storage, "data/a.bin", b"rows")
    publish(storage, "data/deep/er/c.json", b"{}")
    assert storage.size("data/a.bin") == 4
    storage.reveal("data")
    assert storage.sizes("data") == {"data/a.bin": 4, "data/b.bin": 4, "data/deep/er/c.json": 2}
    assert storage.sizes(PENDING) == {}


def test_scratch_is_lent_and_taken_back(storage: Storage) -> None:
    with pytest.raises(RuntimeError, match="boom"), storage.scratch("data/a.bin") as path:  # noqa: PT012
        path.write_bytes(b"half")
        raise RuntimeError("boom")
    assert not path.exists()
    with storage.scratch("data/a.bin") as mine, storage.scratch("data/a.bin") as other:
        assert mine != other
    assert storage.sizes() == {}


def test_a_listing_goes_down_and_takes_no_folder_for_its_namesake(storage: Storage) -> None:
    for name in ("data/a", "data/deep/b", "data2/c", "data.md"):
        storage.write_whole(name, b"1")
    assert storage.sizes("data") == {"data/a": 1, "data/deep/b": 1}
    assert storage.sizes("nowhere") == {}
    assert len(storage.sizes()) == 4


def test_small_files_are_read_in_the_order_asked_and_missing_ones_passed_over(storage: Storage) -> None:
    names = [f".gangen/commits/{n:05d}.json" for n in range(150)]
    for name in names:
        storage.write_whole(name, name)
    asked = [*reversed(names), ".gangen/none.json", names[0]]
    assert list(storage.read_many(asked)) == [(n, n.encode()) for n in asked if n != ".gangen/none.json"]
    assert storage.read(".gangen/none.json") is None


def test_a_window_of_a_file_is_read_and_cut_where_the_file_ends(storage: Storage) -> None:
    storage.write_whole(".gangen/labels.u1", bytes(range(100)))
    assert storage.read_range(".gangen/labels.u1", 10, 20) == bytes(range(10, 30))
    assert storage.read_range(".gangen/labels.u1", 90, 1 << 20) == bytes(range(90, 100))
    assert storage.read_range(".gangen/labels.u1", 100, 5) == b""
    with pytest.raises(FileNotFoundError):
        storage.read_range(".gangen/none.u1", 0, 1)


def test_a_revealed_file_is_lent_as_a_path_and_outlives_the_loan(storage: Storage) -> None:
    publish(storage, "data/a.bin", b"rows")
    storage.reveal("data")
    with storage.local_copy("data/a.bin") as path:
        assert path.read_bytes() == b"rows"
    assert storage.read("data/a.bin") == b"rows"
    with pytest.raises(FileNotFoundError), storage.local_copy("data/none.bin"):
        pass


def test_files_of_others_are_seen_and_ours_are_not_taken_for_them(storage: Storage) -> None:
    storage.write_whole("data/a.bin", b"rows")
    storage.write_whole(".gangen/plan.json", "{}")
    assert not storage.is_occupied()


def test_files_of_others_occupy_a_place(place: str) -> None:
    storage = open_storage(place)
    assert not storage.is_occupied()
    around, _, name = place.rpartition("/")
    open_storage(around).write_whole(f"{name}/thesis.txt", "words")
    assert storage.is_occupied()


def test_what_is_pending_can_be_removed_and_what_is_revealed_stays(storage: Storage) -> None:
    publish(storage, "data/a.bin", b"rows")
    storage.reveal("data")
    publish(storage, "data/b.bin", b"late")
    storage.sweep()
    assert storage.size("data/b.bin") == 4
    publish(storage, "data/c.bin", b"last")
    storage.remove_pending(keep={"data/c.bin"})
    assert (storage.size("data/b.bin"), storage.size("data/c.bin")) == (None, 4)
    storage.remove_pending()
    assert storage.sizes() == {"data/a.bin": 4}


def test_a_small_file_is_built_where_a_killed_run_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage, seen = open_storage(str(tmp_path)), []
    monkeypatch.setattr(os, "fsync", lambda _: seen.append(list(storage.sizes())))
    storage.write_whole("tfds/dataset_info.json", "{}")
    storage.create_once(".gangen/manifest.json", "{}")
    assert len(seen) >= 2
    half_made = {name for names in seen for name in names} - set(storage.sizes())
    assert len(half_made) == 2
    assert all(name.startswith(TEMPORARY) for name in half_made)
