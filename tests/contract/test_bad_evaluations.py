"""Every bad input of `gangen evaluate` and `gangen train-extractors`: one line, exit code 2, nothing started."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from command_line import assert_refused_without_loading, refuse

from ganmodel.model_dir import PRETRAINED, resolve_model_dir

EVALUATE = {
    "model and data": (["--model", "a", "--data", "b"], "--model and --data: give one of them, got both"),
    "no such model": (["--model", "nowhere"], "there is no model.json in "),
    "model by URI": (["--model", "ftp://b/m"], "--model ftp://...: must be a path or begin with s3://"),
    "no such data": (["--data", "nowhere"], "there is no .gangen/manifest.json; give a folder or URL"),
    "data in no bucket": (
        ["--data", "s3://B/d"],
        "--data s3://B/d: needs a bucket, as in s3://bucket/folder",
    ),
    "data and seed": (["--data", ".", "--seed", "1"], "--seed and --truncation: are of digits to be drawn"),
    "data and truncation": (["--data", ".", "--truncation", "1"], "--seed and --truncation: are of digits"),
    "no such file": (["--dataset", "nowhere.npz"], "nowhere.npz: no such file"),
    "no such set": (["--dataset", "cifar"], "--dataset: 'cifar' is neither mnist, fashion_mnist nor digits"),
    "no number": (["--samples", "many"], "--samples: 'many' is no number"),
    "too few": (["--samples", "99"], "--samples: must be from 100 to 1,000,000, got 99"),
    "too many": (["--samples", "2M"], "--samples: must be a whole number from 1 to 1,000,000, got 2M"),
    "more than real": (
        ["--dataset", "digits", "--samples", "2000"],
        "--samples: at most the 1,500 of the training split, got 2,000",
    ),
    "unknown metric": (
        ["--metrics", "fid,ssim"],
        "--metrics: must be some of fid, cas, prdc, label, nn, got 'ssim'",
    ),
    "no metric": (["--metrics", ""], "--metrics: must be some of fid, cas, prdc, label, nn, got ''"),
    "truncation": (["--truncation", "0"], "--truncation: must be above 0 and at most 1, got 0"),
    "truncation no number": (["--truncation", "nan"], "--truncation: must be above 0 and at most 1, got nan"),
    "negative seed": (["--seed", "-1"], "Invalid value for '--seed': -1"),
    "no cluster to submit to": (["--no-wait"], "--no-wait: needs a cluster to submit to"),
    "report without waiting": (
        ["--no-wait", "--report", "r", "--address", "http://127.0.0.1:1"],
        "--report and --no-wait: the page is written when the job has ended",
    ),
    "record of what ships": (["--record"], "--record: is for the folder of a model; give --model DIR"),
    "record without waiting": (
        ["--no-wait", "--record", "--address", "http://127.0.0.1:1"],
        "--record and --no-wait: figures are recorded when the job has ended",
    ),
    "address unreadable": (["--address", "nonsense"], "--address"),
    "report nowhere": (["--report", "file/report"], "--report file/report: cannot be written"),
    "misspelt option": (["--sample", "4"], "No such option: --sample"),
}

EXTRACTORS = {
    "no data": (["--out", "x"], "Missing option '--dataset'"),
    "no folder": (["--dataset", "digits"], "Missing option '--out'"),
    "no such set": (["--dataset", "cifar", "--out", "x"], "--dataset: 'cifar' is neither"),
    "no such file": (["--dataset", "nowhere.npz", "--out", "x"], "nowhere.npz: no such file"),
    "out by URI": (["--dataset", "digits", "--out", "s3://b/x"], "--out: this version takes folders"),
    "out nowhere": (["--dataset", "digits", "--out", "file/x/y"], "cannot be written"),
}

CASES = {
    **{("evaluate", name): case for name, case in EVALUATE.items()},
    **{("train-extractors", name): case for name, case in EXTRACTORS.items()},
}


@pytest.mark.parametrize(("command", "case"), CASES)
def test_bad_option_is_one_line_and_exit_code_2(
    command: str,
    case: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("mine")
    arguments, message = CASES[command, case]
    code, err = refuse([command, *arguments], monkeypatch, capsys)
    assert (code, err.count("\n")) == (2, 1), err
    assert err.startswith("error: ")
    assert message in err
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_bad_input_is_found_before_tensorflow_or_ray_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    commands = [[command, *arguments] for (command, _), (arguments, _) in CASES.items()]
    assert_refused_without_loading(commands, tmp_path)


def test_a_file_without_a_test_split_is_one_line(
    save_npz, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, err = refuse(["evaluate", "--dataset", save_npz()], monkeypatch, capsys)
    assert (code, err.count("\n")) == (2, 1), err
    assert "x_test" in err


def test_figures_of_truncated_digits_are_not_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(resolve_model_dir(PRETRAINED), tmp_path / "model")
    command = ["evaluate", "--model", str(tmp_path / "model"), "--record", "--truncation", "0.5"]
    code, err = refuse(command, monkeypatch, capsys)
    assert (code, err.count("\n")) == (2, 1), err
    assert "--record: a model's figures are those of its digits at --truncation 1, got 0.5" in err


def test_a_damaged_model_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(resolve_model_dir(PRETRAINED), tmp_path / "model")
    with (tmp_path / "model/generator.safetensors").open("r+b") as file:
        file.seek(-100, 2)
        file.write(np.random.default_rng(0).bytes(8))
    code, err = refuse(["evaluate", "--model", str(tmp_path / "model")], monkeypatch, capsys)
    assert (code, err.count("\n")) == (2, 1), err
    assert "does not match model.json" in err
