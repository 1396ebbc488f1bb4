"""A real S3 of another make. Swift's has no conditional PUT: it is refused to write to, and can be read from."""

from __future__ import annotations

import pytest
from swift_server import make_bucket, running_swift, why_not

from jobs.storage import TargetError, open_storage
from jobs.verify import finished_manifest, verify
from tests.unit.fake_digits import make_dataset

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def swift(tmp_path_factory):
    if reason := why_not():
        pytest.skip(f"no Swift here: {reason}")
    with running_swift(tmp_path_factory.mktemp("swift")) as environ:
        make_bucket(environ, "digits")
        yield environ


@pytest.fixture
def place(swift, monkeypatch):
    for name, value in swift.items():
        monkeypatch.setenv(name, value)
    return "s3://digits/some"


def test_a_store_that_cannot_create_once_is_refused_before_anything_is_written(place):
    storage = open_storage(place)
    with pytest.raises(TargetError, match=r"If-None-Match.*choose a store that has it") as caught:
        storage.prepare()
    assert "\n" not in str(caught.value)
    assert storage.sizes() == {}


def test_a_data_set_that_was_copied_there_is_read_and_verified_from_there(place, tmp_path):
    make_dataset(tmp_path, shard_rows=1000)
    storage = open_storage(f"{place}/copied")
    for path in tmp_path.rglob("*"):
        if path.is_file():
            storage.write_whole(str(path.relative_to(tmp_path)), path.read_bytes())
    found = verify(storage, finished_manifest(storage), full=True)
    assert found.faults == []
    assert (found.rows, found.shards_read) == (5000, 5)
