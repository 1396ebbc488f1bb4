"""Every bad input of the commands that make pictures: one line, exit code 2, nothing written, TensorFlow not loaded."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
from command_line import assert_refused_without_loading, refuse

from ganmodel.model_dir import read_model

PREVIEW = {
    "label out of range": (["--labels", "10"], "--labels: must be at most 9, got 10"),
    "labels unreadable": (["--labels", "odd"], "--labels: 'odd' is no whole number from 0"),
    "rule unreadable": (["--rows", "0:9", "--labels", "odd"], "--labels: cannot read 'odd'"),
    "scale of no PNG": (["--scale", "4"], "--scale: is for a PNG; give --out FILE"),
    "no seed": (["--seeds", ""], "--seeds: '' is no whole number from 0; write 17, 1_000_000, 1e6 or 1M"),
    "negative seed": (["--seeds", "-1"], "--seeds: '-1' is no whole number from 0"),
    "seed too large": (
        ["--seeds", "9223372036854775808"],
        "--seeds: must be at most 9,223,372,036,854,775,807",
    ),
    "empty range of seeds": (["--seeds", "5:5"], "--seeds: 5:5 holds nothing; B must be above A"),
    "too many digits": (["--seeds", "0:2000"], "--labels and --seeds: at most 10,000 digits, got 20,000"),
    "no range of rows": (["--rows", "7"], "--rows: write A:B, from A up to and without B, got '7'"),
    "rows backwards": (["--rows", "9:7"], "--rows: 9:7 holds nothing"),
    "too many rows": (["--rows", "0:1e6"], "--rows: at most 10,000 at once, got 1,000,000"),
    "rows from nowhere": (["--rows", "-5:7"], "--rows: '-5' is no whole number from 0"),
    "rows without end": (["--rows", "5:"], "--rows: '' is no whole number from 0"),
    "rows and seeds": (
        ["--rows", "0:9", "--seeds", "4"],
        "--seeds: is for a grid; the rows of --rows are those",
    ),
    "a grid's seed": (["--seed", "4"], "--seed: is for --rows; the seeds of a grid are --seeds, as in 0:10"),
    "truncation": (["--truncation", "0"], "--truncation: must be above 0 and at most 1, got 0"),
    "no model": (["--model", "nowhere"], "there is no model.json in "),
    "model by URI": (["--model", "http://b/m"], "--model http://...: must be a path or begin with s3://"),
    "no data": (["--data", "nowhere"], "there is no .gangen/manifest.json"),
    "data and seed": (
        ["--data", ".", "--seed", "1"],
        "--seed: is of digits to be drawn; those of --data are there",
    ),
    "precision of a grid": (["--precision", "bfloat16"], "--precision: is for --rows; a grid is drawn in"),
    "unknown precision": (
        ["--rows", "0:9", "--precision", "fp16"],
        "--precision: must be one of float32, bfloat16, got 'fp16'",
    ),
    "no such hands": (
        ["--hands", "nowhere.json"],
        "nowhere.json: cannot be read (No such file or directory)",
    ),
    "hands that are none": (["--hands", "file"], "file: is no file of `gangen explore` (Invalid JSON"),
    "hands of another model": (
        ["--hands", "hands.json"],
        "hands.json: its digits are of the model 000000000000, this is 51a1f90f5c12; name theirs with --model",
    ),
    "hands that do not fit": (
        ["--hands", "short.json"],
        "a digit has 64 latents and 10 labels, number 0 2 and 1",
    ),
    "hands and rows": (
        ["--hands", "f", "--rows", "0:9"],
        "--rows: is for other digits than those of --hands",
    ),
    "hands and truncation": (["--hands", "f", "--truncation", "1"], "--truncation: is for other digits than"),
    "data and model": (["--data", ".", "--model", "m"], "--model: is of digits to be drawn"),
    "no picture": (["--out", "x.jpg"], "--out x.jpg: the name must end in .png"),
    "a folder": (["--out", "folder.png"], "--out folder.png: is a folder; name a file"),
    "below a file": (["--out", "file/x.png"], "--out file/x.png: cannot be written ("),
    "no columns": (["--columns", "0"], "Invalid value for '--columns': 0"),
    "no scale": (["--scale", "0"], "Invalid value for '--scale': 0"),
    "unknown look": (["--terminal", "kitty"], "--terminal: must be one of auto, blocks, ascii, sixel, none"),
    "misspelt option": (["--sede", "4"], "No such option: --sede"),
}

WALK = {
    "one stop": (["--labels", "3"], "--labels, --seeds or --rows: a walk needs two stops or more"),
    "uneven stops": (
        ["--labels", "3,8", "--seeds", "1,2,3"],
        "--labels: give one, or one for each of the 3 hands, got 2 of them",
    ),
    "seeds and rows": (["--seeds", "1,2", "--rows", "1,2"], "--seeds and --rows: give one of them, got both"),
    "seed without rows": (["--seed", "3"], "--seed: is for --rows; the seeds of a walk are --seeds"),
    "label out of range": (["--labels", "3,10"], "--labels: must be at most 9, got 10"),
    "no such row": (["--rows", "3,-1"], "--rows: '-1' is no whole number from 0"),
    "not a picture": (["--out", "walk.mp4"], "--out walk.mp4: the name must end in .gif or .webp or .png"),
    "no frames": (["--frames", "0"], "Invalid value for '--frames': 0"),
    "too many frames": (["--frames", "300"], "--frames: at most 2,000 frames in all, got 3,040"),
    "too many pixels": (["--size", "2800"], "--size: 200 frames may have sides of 707, got 2800"),
    "fps of a strip": (["--fps", "9", "--out", "a.png"], "--fps: is for a picture that moves"),
    "columns of what moves": (["--columns", "3", "--out", "a.gif"], "--columns: is for a strip"),
    "too fast": (["--fps", "100"], "Invalid value for '--fps': 100"),
    "no colour": (["--ink", "blueish"], "--ink: write black, white or a colour as in #1b2a4a, got 'blueish'"),
    "truncation": (["--truncation", "2"], "--truncation: must be above 0 and at most 1, got 2"),
    "no model": (["--model", "nowhere"], "there is no model.json in "),
}

POSTER = {
    "no text": ([], "Missing argument 'TEXT...'"),
    "letters": (["4x"], "TEXT: takes digits, spaces and - . , : / + =, got 'x'"),
    "markup": (["1<2"], "TEXT: takes digits, spaces and - . , : / + =, got '<'"),
    "no digit": ([" . "], "TEXT: holds no digit; write a number or a date"),
    "too long": (["1" * 2001], "TEXT: at most 2,000 signs, got 2,001"),
    "some hands": (["1", "--hands", "two"], "--hands: must be one or many, got 'two'"),
    "variation of many": (["1", "--hands", "many", "--variation", "0.5"], "--variation: is for one hand"),
    "variation": (["1", "--variation", "1.5"], "--variation: must be from 0 to 1, got 1.5"),
    "variation no number": (["1", "--variation", "nan"], "--variation: must be from 0 to 1, got nan"),
    "no such row": (["1", "--style-of", "x"], "--style-of: 'x' is no whole number from 0"),
    "truncation": (["1", "--truncation", "nan"], "--truncation: must be above 0 and at most 1, got nan"),
    "too large": (["1" * 99, "--size", "9999"], "--size: a PNG may have some 100,000,000 pixels"),
    "no size": (["1", "--size", "3"], "Invalid value for '--size': 3"),
    "no colour": (["1", "--paper", "#12345"], "--paper: write black, white or a colour as in #1b2a4a"),
    "not a picture": (["1", "--out", "x.txt"], "--out x.txt: the name must end in .png or .svg or .pdf"),
    "no model": (["1", "--model", "nowhere"], "there is no model.json in "),
}

EXPLORE = {
    "no model": (["--model", "nowhere"], "there is no model.json in "),
    "no port": (["--port", "70000"], "Invalid value for '--port': 70000"),
    "port of a file": (["--port", "7000", "--export", "site"], "--port: is for a page that is served"),
    "export below a file": (["--export", "file/site"], "--export file/site: cannot be written ("),
    "export to a file": (["--export", "file"], "--export file: cannot be written ("),
    "export by URI": (["--export", "s3://b/p"], "--export: takes a path of this machine, got s3://b/p"),
    "export over a page": (["--export", "folder.png"], "its index.html is no page of ours; choose another"),
    "misspelt option": (["--browser"], "No such option: --browser"),
}

EXPORT = {
    "no format": (["export", "--out", "x.onnx"], "Missing option '--to'"),
    "no place": (["export", "--to", "onnx"], "Missing option '--out'"),
    "unknown format": (
        ["export", "--to", "tflite", "--out", "x"],
        "--to: must be one of onnx, savedmodel, got",
    ),
    "no onnx file": (["export", "--to", "onnx", "--out", "x.pb"], "--out x.pb: the name must end in .onnx"),
    "below a file": (
        ["export", "--to", "savedmodel", "--out", "file/x"],
        "--out file/x: cannot be written (",
    ),
    "is there": (
        ["export", "--to", "savedmodel", "--out", "folder.png"],
        "--out folder.png: is there already",
    ),
    "no model": (
        ["export", "--to", "savedmodel", "--out", "x", "--model", "nowhere"],
        "there is no model.json in ",
    ),
    "no verb": (["import"], "No such command 'import'"),
}

COMMANDS = {"preview": PREVIEW, "walk": WALK, "poster": POSTER, "explore": EXPLORE, "model": EXPORT}
CASES = {(name, case): [name, *table[case][0]] for name, table in COMMANDS.items() for case in table}
MESSAGES = {(name, case): table[case][1] for name, table in COMMANDS.items() for case in table}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "folder.png/index.html").write_text("mine")
    kept = {"format": "gangen hands", "format_version": 1, "model_digest": "0" * 64}
    (tmp_path / "hands.json").write_text(json.dumps(kept | {"digits": [{"hand": [0.5], "mix": [1]}]}))
    kept["model_digest"] = read_model("pretrained").digest
    (tmp_path / "short.json").write_text(json.dumps(kept | {"digits": [{"hand": [0, 1], "mix": [1]}]}))
    return tmp_path


@pytest.mark.parametrize("case", CASES, ids=" ".join)
def test_bad_option_is_one_line_and_exit_code_2(
    case: tuple[str, str], folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, err = refuse(CASES[case], monkeypatch, capsys)
    assert (code, err.count("\n")) == (2, 1), err
    assert err.startswith("error: ")
    assert MESSAGES[case] in err
    assert sorted(path.name for path in folder.iterdir()) == [
        "file",
        "folder.png",
        "hands.json",
        "short.json",
    ]


def test_onnx_that_is_not_installed_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("jobs.model_requests.find_spec", lambda _: None)
    code, err = refuse(["model", "export", "--to", "onnx", "--out", "x.onnx"], monkeypatch, capsys)
    assert (code, err) == (
        2,
        "error: --to onnx: needs the onnx package, the extra gangen[onnx]: pip install onnx\n",
    )


def test_a_port_that_is_taken_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, err = refuse(["explore", "--no-browser", "--port", str(port)], monkeypatch, capsys)
    assert code == 2
    assert (
        err == f"error: --port {port}: cannot be had (Address already in use); leave it out for a free one\n"
    )


def test_bad_input_is_found_before_tensorflow_or_ray_is_loaded(folder: Path) -> None:
    assert_refused_without_loading(list(CASES.values()), folder)
