"""Models and training data by URL: a real S3 server, the model that ships, no TensorFlow and no Ray."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from command_line import assert_refused_without_loading
from fault_proxy import Fault, FaultProxy
from s3_server import SECRET, S3Server

import ganmodel.data
from ganmodel.errors import DataError, ModelError, SpecError
from ganmodel.model_dir import MODEL_FILE, PRETRAINED, WEIGHTS_FILE, read_model, resolve_model_dir
from jobs import object_access, scratch
from jobs.checks import checked_model
from jobs.driver import generate
from jobs.inputs import load_test_set, load_training_set, local_file, local_model
from jobs.model_commands import run_model_export
from jobs.model_requests import model_export_spec
from jobs.plan import Plan
from jobs.requests import evaluate_spec, train_spec
from jobs.requests_generate import generate_spec
from jobs.run_notes import RunNotes
from jobs.shards import DrawnBlocks
from jobs.specs import GenerateSpec, Placement
from jobs.status import generating
from jobs.target import Throttled

Put = Callable[[str, bytes], str]

MODEL = {name: (resolve_model_dir(PRETRAINED) / name).read_bytes() for name in (MODEL_FILE, WEIGHTS_FILE)}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The scratch disk of a process that has fetched nothing."""
    disk = tmp_path / "scratch"
    disk.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(disk))
    monkeypatch.setattr(scratch, "_held", {})
    return disk


@pytest.fixture
def put(bucket: str, s3_server: S3Server) -> Put:
    """Return a function that puts an object into the bucket and returns its URL."""

    def put(name: str, data: bytes) -> str:
        s3_server.ask("PUT", f"{bucket.removeprefix('s3:/')}/{name}", data)
        return f"{bucket}/{name}"

    return put


@pytest.fixture
def model(put: Put) -> str:
    """The URL of a model that is whole: the one that ships."""
    for name, data in MODEL.items():
        put(f"models/mine/{name}", data)
    return put("models/mine/README.md", b"of no concern").rpartition("/")[0]


def asked(model: str) -> GenerateSpec:
    return generate_spec(
        count="3000", out="/data/x", model=model, formats="parquet", shard_rows=None, labels="balanced", seed=0,
        truncation=1.0, precision="float32", image_encoding="png", splits=None, extend=False, repair=False,
        placement=Placement(),
    )  # fmt: skip


def trained_on(dataset: str, model_dir: str | None = None) -> Any:
    return train_spec(
        dataset=dataset, model_dir=model_dir, limit=None, steps=5, epochs=None, batch_size=None, preset="tiny",
        learning_rate=None, gamma=None, precision="auto", strategy="auto", placement=Placement(workers=1), seed=0,
        resume=None, checkpoint_every=5, max_failures=0,
    )  # fmt: skip


def evaluated(**changes: Any) -> Any:
    values = {"model": None, "data": None, "dataset": "digits", "samples": None, "metrics": "nn"}
    return evaluate_spec(**values | {"truncation": None, "seed": None} | changes)


def test_a_model_is_fetched_whole_and_once(model: str, folder: Path, fault_proxy: FaultProxy) -> None:
    place, info = checked_model(f"{model}/")
    assert (place, info) == (model, read_model(PRETRAINED))
    here = Path(local_model(model))
    assert folder in here.parents
    assert {path.name: path.read_bytes() for path in here.iterdir()} == MODEL
    assert len(fault_proxy.requests) == 2
    assert local_model(PRETRAINED) == PRETRAINED
    assert local_model("/runs/mine") == "/runs/mine"


def test_where_a_model_is_changes_neither_the_plan_nor_the_job(model: str) -> None:
    there, here = asked(model), asked(str(resolve_model_dir(PRETRAINED)))
    assert there.model == model
    assert there.dataset == here.dataset
    assert Plan(there.dataset).job_id(there.out) == Plan(here.dataset).job_id(here.out)


def test_a_worker_that_fetches_another_model_refuses(
    model: str, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = asked(model)
    info = json.loads(MODEL[MODEL_FILE])
    other = read_model(PRETRAINED)
    changed = other.model_copy(update={"generator": other.generator.model_copy(update={"latent_dim": 7})})
    digest = changed.expected_digest()
    put(
        f"models/mine/{MODEL_FILE}",
        json.dumps(
            info | {"generator": changed.generator.model_dump(mode="json"), "digest": digest}
        ).encode(),
    )
    monkeypatch.setattr(scratch, "_held", {})  # another process
    sampler: Any = SimpleNamespace(info=read_model(local_model(spec.model)))
    with pytest.raises(
        ModelError, match=rf"^--model {model}: has digest {digest[:12]} where the job runs, the plan"
    ):
        DrawnBlocks(spec, sampler)


def test_a_driver_that_cannot_fetch_the_model_says_so_before_it_starts_ray(
    model: str, bucket: str, tmp_path: Path
) -> None:
    spec = asked(model).model_copy(update={"model": f"{bucket}/gone", "out": str(tmp_path / "out")})

    def connect() -> Any:
        raise AssertionError("Ray was started")

    with pytest.raises(ModelError, match=f"^--model {bucket}/gone: there is no model.json there"):
        generate(spec, connect)


def damaged(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


@pytest.mark.parametrize(
    ("objects", "reason"),
    [
        ({}, "there is no model.json there; give the URL that model.json and generator.safetensors of"),
        ({MODEL_FILE: MODEL[MODEL_FILE]}, "there is no generator.safetensors there; give the URL"),
        ({**MODEL, MODEL_FILE: b"{}"}, "models/x/model.json is not a gangen model"),
        (
            {**MODEL, WEIGHTS_FILE: damaged(MODEL[WEIGHTS_FILE])},
            "models/x/generator.safetensors does not match model.json",
        ),
        (
            {**MODEL, MODEL_FILE: MODEL[MODEL_FILE].replace(b'"digest": "', b'"digest": "0', 1)},
            "models/x/model.json does not match its own digest",
        ),
    ],
)
def test_what_is_no_whole_model_is_refused_by_its_url(
    bucket: str, put: Put, folder: Path, objects: dict[str, bytes], reason: str
) -> None:
    for name, data in objects.items():
        put(f"models/x/{name}", data)
    with pytest.raises(ModelError) as caught:
        checked_model(f"{bucket}/models/x")
    text = str(caught.value)
    assert text.startswith(f"--model {bucket}/models/x: ")
    assert reason in text
    assert str(folder) not in text
    assert "\n" not in text


@pytest.mark.parametrize("scheme", ["http", "https", "ftp", "file", "hdfs"])
def test_other_schemes_are_refused_and_their_secrets_not_repeated(scheme: str) -> None:
    url = f"{scheme}://me:{SECRET}@host/x.npz"
    for ask, option in ((checked_model, "--model"), (trained_on, "--dataset")):
        with pytest.raises(
            SpecError, match=f"^{option} {scheme}://...: must be a path or begin with s3://"
        ) as caught:
            ask(url)
        assert SECRET not in str(caught.value)


def test_malformed_urls_are_refused_by_the_option_that_named_them(bucket: str) -> None:
    for ask, option in ((checked_model, "--model"), (trained_on, "--dataset")):
        with pytest.raises(SpecError, match=f"^{option} s3:///x: needs a bucket"):
            ask("s3:///x")
        with pytest.raises(SpecError, match=rf"^{option} s3://\.\.\.: takes no user") as caught:
            ask(f"s3://me:{SECRET}@bucket/x")
        assert SECRET not in str(caught.value)
    for url in (f"{bucket}/set", f"{bucket}.npz"):
        with pytest.raises(SpecError, match=f"^--dataset {url}: must be the URL of an .npz"):
            trained_on(url)


def test_refusals_of_the_store_name_the_option_and_ask_for_no_more_than_reading(
    bucket: str, monkeypatch: pytest.MonkeyPatch, fault_proxy: FaultProxy
) -> None:
    with pytest.raises(ModelError, match=r"^--model s3://no-such-bucket/m: there is no such bucket;"):
        checked_model("s3://no-such-bucket/m")
    fault_proxy.faults.append(Fault("denied", "GET", times=9))
    with pytest.raises(
        DataError, match=r"is denied \(AccessDenied\); grant the credentials read and list there"
    ):
        local_file(f"{bucket}/x.npz")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    # Not the machine's own role, should it have one; and no minute of waiting.
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", "http://127.0.0.1:1/169.254.169.254")
    monkeypatch.setitem(object_access.RETRIES, "max_retries", 0)
    with pytest.raises(
        ModelError, match=f"^--model {bucket}/m: no credentials were found in the environment; set"
    ):
        checked_model(f"{bucket}/m")


def test_a_store_that_throttles_is_told_apart_so_that_the_worker_is_started_again(
    model: str, fault_proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(object_access.RETRIES, "max_retries", 0)
    fault_proxy.faults.append(Fault("slow_down", "GET", WEIGHTS_FILE))
    with pytest.raises(Throttled, match=f"^--model {model}: the store has been throttling us for too long"):
        local_model(model)
    assert read_model(local_model(model)) == read_model(PRETRAINED)


def test_training_data_in_a_store_that_throttles_is_no_bad_data(
    put: Put, fault_proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = put("mnist.npz", b"not asked for its sense")
    monkeypatch.setitem(object_access.RETRIES, "max_retries", 0)
    fault_proxy.faults.append(Fault("slow_down", "GET", "mnist.npz"))
    with pytest.raises(
        Throttled, match=f"^--dataset {url.rpartition('/')[0]}: the store has been throttling us"
    ):
        local_file(url)
    assert Path(local_file(url)).read_bytes() == b"not asked for its sense"


def test_a_full_scratch_disk_is_named_and_a_half_fetched_model_not_used(
    model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", fill)
        with pytest.raises(ModelError, match=r"^TMPDIR .*: no space left"):
            local_model(model)
    assert read_model(local_model(model)) == read_model(PRETRAINED)


def test_training_data_is_fetched_once_and_is_what_its_file_is(
    put: Put, save_npz: Callable[..., str], fault_proxy: FaultProxy
) -> None:
    labels = (np.arange(20) % 10).astype(np.uint8)
    path = save_npz(x_test=np.ones((20, 28, 28), np.uint8), y_test=labels)
    url = put("sets/My-Set.npz", Path(path).read_bytes())
    spec = trained_on(url)
    assert (spec.source, Path(spec.model_dir).name) == (url, "My-Set-tiny")
    there, here = spec.training_set(), ganmodel.data.load_training_set(path)
    assert (there.name, there.digest()) == ("my_set", here.digest())
    assert load_training_set(url).digest() == here.digest()
    assert load_test_set(url).digest() == ganmodel.data.load_test_set(path).digest()
    assert evaluated(dataset=url).source_sha256 == evaluated(dataset=path).source_sha256
    assert len(fault_proxy.requests) == 1


def test_training_data_that_cannot_be_used_is_refused_by_its_url(
    bucket: str, put: Put, save_npz: Callable[..., str], folder: Path
) -> None:
    with pytest.raises(
        DataError, match=f"^--dataset {bucket}/no.npz: there is no such object; give the URL of an"
    ):
        evaluated(dataset=f"{bucket}/no.npz")
    half = Path(save_npz(without=["y_train"])).read_bytes()
    for data, reason in ((b"noise", "not a readable .npz file"), (half, "has no array y_train")):
        url = put(f"{len(data)}.npz", data)
        with pytest.raises(DataError, match=f"^--dataset {url}: {reason}") as caught:
            load_training_set(url)
        assert str(folder) not in str(caught.value)


def test_a_folder_of_checkpoints_stays_a_folder() -> None:
    with pytest.raises(SpecError, match=r"^--model-dir: checkpoints need a folder .*: --model takes URLs$"):
        trained_on("digits", "s3://bucket/runs/x")


def test_bad_urls_are_refused_before_anything_heavy_loads(bucket: str, put: Put, tmp_path: Path) -> None:
    bad = f"{bucket}/nothing"
    put("bad.npz", b"noise")
    models = [
        ["generate", "--count", "1000"], ["evaluate", "--dataset", "digits"], ["preview"], ["poster", "1"],
        ["walk", "--out", "w.gif"], ["explore", "--export", "page"],
        ["model", "export", "--to", "savedmodel", "--out", "m"],
    ]  # fmt: skip
    commands = [[*command, "--model", bad] for command in models]
    commands += [
        ["train", "--preset", "tiny", "--dataset", url] for url in (f"{bad}.npz", f"{bucket}/bad.npz")
    ]
    commands += [["train-extractors", "--dataset", f"{bad}.npz"], ["train", "--model-dir", bad]]
    assert_refused_without_loading(commands, tmp_path)


def test_a_model_in_a_store_is_evaluated_exported_and_named_in_the_next_command(
    model: str, tmp_path: Path
) -> None:
    spec = evaluated(model=model)
    assert (spec.subject.path, spec.subject.digest) == (model, read_model(PRETRAINED).digest)
    facts, _ = run_model_export(model_export_spec(model=model, to="onnx", out=str(tmp_path / "m.onnx")))
    assert (facts["model"], facts["model_digest"]) == (model, spec.subject.digest)
    words = generating("/data/x", asked(model).dataset, RunNotes(model="s3://bucket-that-is-gone/m"))
    assert words[words.index("--model") + 1] == "s3://bucket-that-is-gone/m"
