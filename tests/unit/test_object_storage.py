"""What an object store may do to us, with a real server and a proxy that misbehaves; plain use is in the contract."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from datetime import timedelta
from typing import Any

import pytest
from fault_proxy import Fault, FaultProxy
from s3_server import CREDENTIALS, SECRET, S3Server

from ganmodel.errors import CommitConflict, SpecError
from jobs.object_access import ObjectUrl, connect, parse_object_url, refusals
from jobs.object_storage import WHOLE_BYTES, ObjectStorage
from jobs.storage import PENDING, TargetError, open_storage
from jobs.target import Throttled

QUICK: dict[str, Any] = {
    "max_retries": 2,
    "retry_timeout": timedelta(seconds=20),
    "backoff": {
        "init_backoff": timedelta(milliseconds=5),
        "max_backoff": timedelta(milliseconds=20),
        "base": 2,
    },
}
KEY = CREDENTIALS["AWS_ACCESS_KEY_ID"]


@pytest.fixture
def storage(bucket: str, fault_proxy: FaultProxy) -> ObjectStorage:
    return ObjectStorage(f"{bucket}/set", QUICK)


def publish(storage: ObjectStorage, name: str, data: bytes) -> None:
    with storage.scratch(name) as path:
        path.write_bytes(data)
        storage.publish(path, name)


@pytest.mark.parametrize(
    ("url", "parsed"),
    [
        ("s3://bucket", ObjectUrl("s3", "bucket", "")),
        ("gs://my-bucket/a/b/", ObjectUrl("gs", "my-bucket", "a/b")),
        ("az://box/x=1/y_2", ObjectUrl("az", "box", "x=1/y_2")),
    ],
)
def test_urls_are_read(url: str, parsed: ObjectUrl, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "me")
    assert parse_object_url(url) == parsed
    assert str(parsed) == url.rstrip("/")
    assert open_storage(url).url == url.rstrip("/")


@pytest.mark.parametrize("url", ["s3://", "s3:///x", "s3://Bucket/x", "s3://b", "s3://bucket//x", "s3://bucket/../x",
                                 "s3://bucket/a b", "gs://bucket/a%20b"])  # fmt: skip
def test_malformed_urls_are_refused(url: str) -> None:
    with pytest.raises(SpecError, match="--out "):
        open_storage(url)


@pytest.mark.parametrize("url", [f"s3://{KEY}:{SECRET}@bucket/x", f"s3://bucket/x?secret={SECRET}"])
def test_urls_with_secrets_are_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(SpecError, match="credentials in the environment") as caught:
        open_storage(url)
    assert SECRET not in str(caught.value)


def test_an_endpoint_with_a_password_is_refused_and_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://me:{SECRET}@127.0.0.1:1")
    with pytest.raises(SpecError, match="AWS_ENDPOINT_URL: takes") as caught:
        open_storage("s3://bucket/x")
    assert SECRET not in str(caught.value)


def test_plain_http_is_for_endpoints_that_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://127.0.0.1:1")
    assert "allow_http" not in connect(ObjectUrl("s3", "bucket", "")).client_options
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    assert connect(ObjectUrl("s3", "bucket", "")).client_options["allow_http"]


@pytest.mark.parametrize("kind", ["error", "slow_down", "reset", "drop_reply"])
@pytest.mark.parametrize("size", [40, 3_000_000])
def test_a_shard_gets_there_whole_through_what_passes(
    storage: ObjectStorage, fault_proxy: FaultProxy, kind: Any, size: int
) -> None:
    fault_proxy.faults = [Fault(kind, times=2)]
    publish(storage, "data/a.bin", bytes(size))
    assert storage.sizes() == {f"{PENDING}/data/a.bin": size}
    assert fault_proxy.faults[0].befallen == 2


@pytest.mark.parametrize("kind", ["error", "slow_down", "reset", "drop_reply"])
def test_what_is_created_is_created_once_through_what_passes(
    storage: ObjectStorage, fault_proxy: FaultProxy, kind: Any
) -> None:
    fault_proxy.faults = [Fault(kind, times=2)]
    storage.create_once("manifest.json", "mine")
    assert fault_proxy.faults[0].befallen
    fault_proxy.faults = [Fault(kind, times=2)]
    with pytest.raises(CommitConflict, match="another run"):
        storage.create_once("manifest.json", "theirs")
    assert storage.read("manifest.json") == b"mine"


@pytest.mark.parametrize("kind", ["drop_reply", "error", "denied"])
def test_an_unknown_outcome_of_the_commit_deletes_nothing(
    storage: ObjectStorage, fault_proxy: FaultProxy, kind: Any
) -> None:
    publish(storage, "data/a.bin", b"rows")
    fault_proxy.faults = [Fault(kind, times=100), Fault(kind, method="GET", times=100)]
    with pytest.raises(TargetError, match="what is committed is kept"):
        storage.create_once("manifest.json", "mine")
    assert not [method for method, _ in fault_proxy.requests if method in ("DELETE", "POST")]
    fault_proxy.faults = []
    storage.create_once("manifest.json", "mine")
    assert storage.sizes() == {"manifest.json": 4, f"{PENDING}/data/a.bin": 4}


def test_a_large_file_goes_in_parts_and_is_seen_only_when_all_are_there(
    storage: ObjectStorage, fault_proxy: FaultProxy
) -> None:
    fault_proxy.faults = [Fault("denied", method="PUT", path="partNumber=3")]
    data = os.urandom(1000) * (WHOLE_BYTES // 1000 + 1)
    with pytest.raises(TargetError, match="access is denied"):
        publish(storage, "data/a.bin", data)
    assert storage.sizes() == {}
    publish(storage, "data/a.bin", data)
    storage.reveal("data")
    with storage.local_copy("data/a.bin") as path:
        assert path.read_bytes() == data


def test_the_sizes_of_a_thousand_files_take_one_request(
    storage: ObjectStorage, fault_proxy: FaultProxy
) -> None:
    for n in range(30):
        storage.write_whole(f"data/{n}", b"1")
    fault_proxy.requests.clear()
    assert len(storage.sizes()) == 30
    assert len(fault_proxy.requests) == 1


@pytest.mark.parametrize(("method", "skip"), [("PUT", 0), ("PUT", 5), ("POST", 0)])
def test_a_reveal_that_broke_off_is_continued(
    storage: ObjectStorage, fault_proxy: FaultProxy, method: str, skip: int
) -> None:
    names = [f"tfds/x/1.0.0/{n}" for n in range(12)] + ["tfds/x/1.0.0/dataset_info.json"]
    for name in names:
        publish(storage, name, name.encode())
    fault_proxy.faults = [Fault("denied", method=method, skip=skip, times=1000)]
    with pytest.raises(TargetError, match="denied"):
        storage.reveal("tfds")
    there = storage.sizes("tfds")
    assert (
        method == "POST" or "tfds/x/1.0.0/dataset_info.json" not in there
    )  # what makes TFDS take the folder
    assert {name.removeprefix(f"{PENDING}/") for name in storage.sizes()} == set(names)
    fault_proxy.faults = []
    fault_proxy.requests.clear()
    storage.reveal("tfds")
    assert storage.sizes() == {name: len(name) for name in names}
    copies = [path for verb, path in fault_proxy.requests if verb == "PUT"]
    # What is there already is not copied again; of the copies in flight when it broke off, more may have got there.
    assert len(copies) <= len(names) - len(there)
    assert {name: storage.read(name) for name in names} == {name: name.encode() for name in names}


def test_another_run_that_reveals_first_is_no_failure(storage: ObjectStorage, bucket: str) -> None:
    names = [f"data/{n}" for n in range(20)]
    for name in names:
        publish(storage, name, b"rows")

    other, copy = ObjectStorage(f"{bucket}/set", QUICK), storage._store.copy_async

    class Slow:
        """The store of a run that is overtaken between its listing and its copies."""

        def __getattr__(self, name: str) -> Any:
            return getattr(other._store, name)

        async def copy_async(self, *names: str) -> None:
            await copy(*names)
            await other._store.delete_async(names[0])
            await copy(*names)

    storage._store = Slow()
    storage.reveal("data")
    assert storage.sizes() == dict.fromkeys(names, 4)


REFUSED = [
    ("denied", r"access is denied \(AccessDenied\)"),
    ("slow_down", r"throttling us for too long \(SlowDown\)"),
    ("error", r"keeps failing \(InternalError\)"),
    ("reset", "cannot be reached"),
]


@pytest.mark.parametrize(("kind", "reason"), REFUSED)
@pytest.mark.parametrize("call", ["read", "sizes", "write", "prepare", "occupied"])
def test_what_does_not_pass_is_one_line_without_secrets(
    storage: ObjectStorage, fault_proxy: FaultProxy, kind: Any, reason: str, call: str
) -> None:
    fault_proxy.faults = [Fault(kind, method=method, times=100) for method in ("GET", "PUT")]
    calls = {
        "read": lambda: storage.read("x"),
        "sizes": storage.sizes,
        "write": lambda: storage.write_whole("x", b"1"),
        "prepare": storage.prepare,
        "occupied": storage.is_occupied,
    }
    with pytest.raises(
        TargetError, match=rf"^--out {storage.url}: .*{reason}.*, then run the same command again$"
    ) as e:
        calls[call]()
    assert "\n" not in str(e.value)
    assert KEY not in str(e.value)
    assert e.value.__suppress_context__
    assert isinstance(e.value, Throttled) == (kind == "slow_down")


def test_a_missing_bucket_is_named(storage: ObjectStorage) -> None:
    nowhere = ObjectStorage("s3://no-such-bucket-here/x", QUICK)
    for call in (nowhere.prepare, nowhere.sizes, nowhere.is_occupied, lambda: nowhere.read("x")):
        with pytest.raises(
            TargetError, match=r"--out s3://no-such-bucket-here/x: there is no such bucket.*create it"
        ):
            call()


def test_credentials_that_the_store_does_not_know_are_named(s3_server: S3Server, bucket: str) -> None:
    s3_server.ask("POST", "/moto-api/reset-auth", b"0")
    try:
        with pytest.raises(
            TargetError, match=r"does not accept the credentials \(InvalidAccessKeyId\).*set AWS_ACC"
        ):
            ObjectStorage(f"{bucket}/set", QUICK).prepare()
    finally:
        s3_server.ask("POST", "/moto-api/reset-auth", b"inf")


def test_the_absence_of_credentials_is_named(storage: ObjectStorage) -> None:
    from obstore.exceptions import GenericError

    asked = GenericError("Error performing PUT http://169.254.169.254/latest/api/token in 1 s - HTTP error")
    reason = r"no credentials were found.*AWS_SECRET_ACCESS_KEY where"
    with pytest.raises(TargetError, match=reason), refusals(storage._url):
        raise asked


def test_a_store_that_overwrites_what_it_should_not_is_refused(
    storage: ObjectStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = storage._store.put_async

    class Careless:
        def __getattr__(self, name: str) -> Any:
            return getattr(put.__self__, name)

        async def put_async(self, name: str, data: bytes, **_: object) -> None:
            await put(name, data)

    storage._store = Careless()
    with pytest.raises(SpecError, match="overwrites an object"):
        storage.prepare()
    assert storage.sizes() == {}
    monkeypatch.setenv("AWS_CONDITIONAL_PUT", "disabled")
    with pytest.raises(TargetError, match="lacks an operation"):
        ObjectStorage(storage.url, QUICK).prepare()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_store_that_does_not_answer_can_be_left_at_once(
    storage: ObjectStorage, fault_proxy: FaultProxy, number: signal.Signals
) -> None:
    fault_proxy.faults = [Fault("stall", method="GET", times=10)]
    code = (
        "import sys\nfrom jobs.local import interrupt_on_sigterm\nfrom jobs.storage import open_storage\n"
        "interrupt_on_sigterm()\nstorage = open_storage(sys.argv[1])\nprint('asking', flush=True)\n"
        "try:\n    storage.sizes()\nexcept KeyboardInterrupt:\n    sys.exit(7)\n"
    )
    child = subprocess.Popen([sys.executable, "-c", code, storage.url], stdout=subprocess.PIPE, text=True)
    assert child.stdout
    child.stdout.readline()
    while not fault_proxy.requests:
        time.sleep(0.05)
    began = time.monotonic()
    child.send_signal(number)
    child.communicate(timeout=30)
    assert child.returncode == 7
    assert time.monotonic() - began < 10
