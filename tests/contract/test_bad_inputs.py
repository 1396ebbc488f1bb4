"""Every bad input: one clear line on stderr, the right exit code, and nothing lost or left behind."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from command_line import assert_refused_without_loading, refuse

from ganmodel.model_dir import PRETRAINED, resolve_model_dir

DEFAULT = ["generate", "--count", "1000"]

GENERATE = {
    "zero rows": (["--count", "0"], "--count: must be a whole number from 1 to 1,000,000,000,000, got 0"),
    "no number": (["--count", "ten"], "--count: 'ten' is no number; write 1000, 1_000_000, 1e6 or 1M"),
    "half a row": (["--count", "1.5"], "--count: must be a whole number from 1"),
    "too many rows": (["--count", "2e12"], "got 2e12"),
    "shard below a block": (
        ["--shard-rows", "500"],
        "--shard-rows: must be whole blocks of 1,000 rows, got 500",
    ),
    "shard not whole blocks": (
        ["--shard-rows", "1500"],
        "--shard-rows: must be whole blocks of 1,000 rows, got 1,500",
    ),
    "too many shards": (["--count", "1e9", "--shard-rows", "1000"], "use at least 11,000"),
    "unknown format": (
        ["--format", "csv"],
        "--format: must be one of idx, parquet, tfrecord, webdataset, got 'csv'",
    ),
    "format twice": (["--format", "parquet,parquet"], "--format: a format is named twice"),
    "label out of range": (["--labels", "10"], "--labels: labels are 0 to 9, got 10"),
    "label twice": (["--labels", "0=1,0=2"], "--labels: a label is named twice"),
    "share not positive": (["--labels", "0=-1,1=1"], "--labels: shares must be positive"),
    "labels unreadable": (["--labels", "odd"], "--labels: cannot read 'odd'"),
    "truncation": (["--truncation", "0"], "--truncation: must be above 0 and at most 1, got 0"),
    "truncation above one": (["--truncation", "1.5"], "--truncation: must be above 0 and at most 1, got 1.5"),
    "precision": (["--precision", "fp16"], "--precision: must be one of float32, bfloat16, got 'fp16'"),
    "image encoding": (["--image-encoding", "jpeg"], "--image-encoding: must be one of png, raw, got 'jpeg'"),
    "no model": (["--model", "nowhere"], "nowhere: there is no model.json in "),
    "negative seed": (["--seed", "-1"], "Invalid value for '--seed': -1"),
    "seed no number": (["--seed", "x"], "Invalid value for '--seed': 'x'"),
    "no worker": (["--workers", "0"], "Invalid value for '--workers': 0"),
    "an image of no cluster": (
        ["--image-has-gangen"],
        "--image-has-gangen: needs a cluster to submit to; give --address or set RAY_ADDRESS",
    ),
    "a job of the cluster around": (
        ["--address", "auto", "--no-wait"],
        "--no-wait: needs a cluster to submit to",
    ),
    "store without a bucket": (
        ["--out", "s3:///x"],
        "--out s3:///x: needs a bucket, as in s3://bucket/folder",
    ),
    "unknown store": (
        ["--out", "ftp://host/x"],
        "--out ftp://...: must be a folder or begin with s3://, gs://, az://",
    ),
    "secret in a URL": (
        ["--out", "s3://me:hunter2@bucket/x"],
        "--out s3://...: takes no user, password or query",
    ),
    "shards too large for a store": (
        ["--count", "1e12", "--out", "s3://bucket/x"],
        "--shard-rows 100,000,000: gives tfrecord files of about 41.2 GB, an object store takes 5 GB; use at most 11,",
    ),
    "splits unreadable": (
        ["--splits", "train"],
        "--splits: cannot read 'train'; write shares as in train=0.9,",
    ),
    "split that all readers take for everything": (
        ["--splits", "all=1,b=1"],
        "--splits: 'all' is no name for a split",
    ),
    "split with a dash": (["--splits", "a-b=1"], "--splits: 'a-b' is no name for a split"),
    "split that begins with another": (
        ["--splits", "t=1,test=1"],
        "may begin with another, got 't' and 'test'",
    ),
    "split named twice": (["--splits", "a=1,a=1"], "no name may begin with another, got 'a' and 'a'"),
    "split of nothing": (["--splits", "a=1,b=0"], "--splits: shares must be positive"),
    "split without rows": (["--splits", "a=0.9,b=0.1"], "--splits: 'b' would have no rows of 1,000"),
    "extension of nowhere": (["--extend"], "--extend: needs --out"),
    "extension of nothing": (
        ["--extend", "--out", "x"],
        "holds no data set; leave --extend away to make one",
    ),
    "no such labels": (
        ["--labels", "file:nowhere.txt"],
        "nowhere.txt: cannot be read (No such file or directory)",
    ),
    "no cluster to submit to": (["--no-wait"], "--no-wait: needs a cluster to submit to"),
    "address unreadable": (["--address", "nonsense"], "--address"),
    "more workers than sense": (["--workers", "5000"], "--workers: at most "),
    "resources unreadable": (["--resources", "disk"], "--resources: cannot read 'disk'; write a name and"),
    "resources of no cluster": (
        ["--resources", "disk=1"],
        "--resources: a Ray of our own has no disk, 1 asked",
    ),
    "no core": (["--cpus-per-worker", "0"], "--cpus-per-worker: must be above 0 and at most 1024, got 0"),
    "model by URI": (
        ["--model", "http://b/m"],
        "--model http://...: must be a path or begin with s3://, gs://, az://",
    ),
    "model without a bucket": (
        ["--model", "gs://b/m"],
        "--model gs://b/m: needs a bucket, as in gs://bucket/folder",
    ),
    "no such home": (["--out", "~nosuchuser/x"], "--out: ~nosuchuser/x names no user's home"),
    "misspelt option": (["--cuont", "4"], "No such option: --cuont"),
}


@pytest.mark.parametrize("case", GENERATE)
def test_bad_generate_option_is_one_line_and_exit_code_2(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments, message = GENERATE[case]
    code, err = refuse([*DEFAULT, *arguments], monkeypatch, capsys)
    assert (code, err.count("\n")) == (2, 1), err
    assert err.startswith("error: ")
    assert message in err
    assert list(tmp_path.iterdir()) == []


TRAIN = {
    "unknown preset": (
        ["--preset", "huge"],
        "--preset: there is no 'huge'; choose fast, best, tiny, tutorial",
    ),
    "steps and epochs": (
        ["--steps", "5", "--epochs", "1"],
        "--steps and --epochs: give one of them, got both",
    ),
    "failures below none": (["--max-failures", "-1"], "Invalid value for '--max-failures': -1"),
    "resources unreadable": (["--resources", "disk"], "--resources: cannot read 'disk'; write a name and"),
    "unknown strategy": (
        ["--strategy", "tpu"],
        "--strategy: must be one of auto, one-device, mirrored, multi-worker",
    ),
    "unknown precision": (
        ["--precision", "fp8"],
        "--precision: must be one of auto, float32, mixed_bfloat16",
    ),
    "learning rate": (["--learning-rate", "0"], "--learning-rate: must be above 0 and at most 1, got 0"),
    "learning rate nan": (
        ["--learning-rate", "nan"],
        "--learning-rate: must be above 0 and at most 1, got nan",
    ),
    "gamma": (["--gamma", "-1"], "--gamma: must be from 0 to 1000, got -1"),
    "batch of none": (["--batch-size", "0"], "Invalid value for '--batch-size': 0"),
    "epochs": (["--epochs", "-1"], "--epochs: must be above 0"),
    "workers and strategy": (
        ["--workers", "2", "--strategy", "mirrored"],
        "--workers 2: needs --strategy multi-worker",
    ),
    "uneven workers": (
        ["--workers", "3", "--batch-size", "128"],
        "--batch-size 128: must be a multiple of the 3",
    ),
    "no such file": (["--dataset", "nowhere.npz"], "nowhere.npz: no such file"),
    "no such set": (["--dataset", "cifar"], "--dataset: 'cifar' is neither mnist, fashion_mnist nor digits"),
    "too many epochs": (
        ["--dataset", "digits", "--epochs", "1e6", "--batch-size", "1"],
        "the limit is 100,000,000",
    ),
    "fewer images than labels": (
        ["--limit", "9"],
        "--limit: must be 10 or more, one image a label, got 9",
    ),
    "limit no number": (["--limit", "few"], "--limit: 'few' is no number; write 1000"),
    "more images than there are": (
        ["--dataset", "digits", "--limit", "1501"],
        "--limit: must be from 10, one image a label, to the 1,500 of the training split of digits, got 1,501",
    ),
    "model folder by URI": (
        ["--model-dir", "gs://b/m"],
        "--model-dir: checkpoints need a folder that every node sees, got a URL; train into one, then copy its",
    ),
    "dataset by URI": (
        ["--dataset", "https://b/m.npz"],
        "--dataset https://...: must be a path or begin with s3://",
    ),
    "dataset that is no file": (
        ["--dataset", "s3://bucket/m"],
        "--dataset s3://bucket/m: must be the URL of an .npz",
    ),
    "nothing to resume": (["--dataset", "digits", "--resume"], "--resume: "),
}


@pytest.mark.parametrize("case", TRAIN)
def test_bad_train_option_is_one_line_and_exit_code_2(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments, message = TRAIN[case]
    code, err = refuse(["train", *arguments], monkeypatch, capsys)
    assert (code, err.count("\n")) == (2, 1), err
    assert message in err
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


NPZ = {
    "missing array": ({"x_train": np.zeros((10, 28, 28), np.uint8)}, "has no array y_train"),
    "wrong shape": (
        {"x_train": np.zeros((10, 32, 32), np.uint8), "y_train": np.arange(10)},
        "got [10, 32, 32]",
    ),
    "wrong dtype": ({"x_train": np.zeros((10, 28, 28), np.float32), "y_train": np.arange(10)}, "got float32"),
    "label out of range": (
        {"x_train": np.zeros((10, 28, 28), np.uint8), "y_train": np.arange(1, 11)},
        "labels must lie in 0 to 9, got 1 to 10",
    ),
}


@pytest.mark.parametrize("case", NPZ)
def test_bad_training_set_is_one_line_and_exit_code_2(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arrays, message = NPZ[case]
    np.savez(tmp_path / "bad.npz", **arrays)
    monkeypatch.chdir(tmp_path)
    code, err = refuse(["train", "--dataset", "bad.npz"], monkeypatch, capsys)
    assert (code, err.count("\n")) == (2, 1), err
    assert message in err
    assert "--dataset" in err


def test_a_damaged_model_is_one_line_and_exit_code_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / "model"
    shutil.copytree(resolve_model_dir(PRETRAINED), model)
    weights = bytearray((model / "generator.safetensors").read_bytes())
    weights[-100] ^= 1
    (model / "generator.safetensors").write_bytes(weights)
    code, err = refuse([*DEFAULT, "--model", str(model)], monkeypatch, capsys)
    assert (code, err.count("\n")) == (2, 1), err
    assert "does not match model.json" in err


def test_a_target_that_cannot_be_written_is_exit_code_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("mine")
    code, err = refuse([*DEFAULT, "--out", str(tmp_path / "file/out")], monkeypatch, capsys)
    assert (code, err.count("\n")) == (2, 1), err
    assert "cannot be written" in err
    assert (tmp_path / "file").read_text() == "mine"


def test_a_target_without_room_is_exit_code_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, err = refuse(["generate", "--count", "1e12", "--out", str(tmp_path / "out")], monkeypatch, capsys)
    assert (code, err.count("\n")) == (2, 1), err
    assert "GB are needed" in err


def test_a_folder_of_other_files_is_left_alone_with_exit_code_4(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    code, err = refuse([*DEFAULT, "--out", str(tmp_path)], monkeypatch, capsys)
    assert (code, err.count("\n")) == (4, 1), err
    assert "holds files that are not gangen's" in err
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_another_data_set_is_left_alone_with_exit_code_4_and_the_difference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from jobs.plan_files import COMMITS, PLAN_FILE
    from jobs.requests_generate import generate_spec
    from jobs.specs import Placement

    spec = generate_spec(
        count="1000", out=str(tmp_path), model="pretrained", formats="parquet", shard_rows=None, labels="balanced",
        seed=7, truncation=1.0, precision="float32", image_encoding="png", splits=None, extend=False, repair=False,
        placement=Placement(),
    )  # fmt: skip
    (tmp_path / PLAN_FILE).parent.mkdir()
    (tmp_path / PLAN_FILE).write_text(spec.dataset.model_dump_json())
    (tmp_path / COMMITS).mkdir()
    (tmp_path / COMMITS / "00000.json").write_text("{}")
    arguments = [*DEFAULT, "--out", str(tmp_path), "--format", "parquet", "--seed", "8"]
    code, err = refuse(arguments, monkeypatch, capsys)
    assert (code, err.count("\n")) == (4, 1), err
    assert "holds another data set (seed: 7 there, 8 asked)" in err


def test_bad_input_is_found_before_tensorflow_or_ray_is_loaded(tmp_path: Path) -> None:
    commands = [[*DEFAULT, *arguments] for arguments, _ in GENERATE.values()]
    commands += [["train", *arguments] for arguments, _ in TRAIN.values()]
    assert_refused_without_loading(commands, tmp_path)
