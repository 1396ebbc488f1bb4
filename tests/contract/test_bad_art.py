"""Every bad input of the commands that make pictures: one line, exit code 2, nothing written, TensorFlow not loaded."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import assert_refused_without_loading, refuse

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
    "model by URI": (["--model", "s3://b/m"], "--model: takes a path of this machine, got s3://b/m"),
    "no data": (["--data", "nowhere"], "there is no .gangen/manifest.json"),
    "data and seed": (
        ["--data", ".", "--seed", "1"],
        "--seed: is of digits to be drawn; those of --data are there",
    ),
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

COMMANDS = {"preview": PREVIEW, "walk": WALK, "poster": POSTER}
CASES = {(name, case): [name, *table[case][0]] for name, table in COMMANDS.items() for case in table}
MESSAGES = {(name, case): table[case][1] for name, table in COMMANDS.items() for case in table}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder.png").mkdir()
    return tmp_path


@pytest.mark.parametrize("case", CASES, ids=" ".join)
def test_bad_option_is_one_line_and_exit_code_2(
    case: tuple[str, str], folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, err = refuse(CASES[case], monkeypatch, capsys)
    assert (code, err.count("\n")) == (2, 1), err
    assert err.startswith("error: ")
    assert MESSAGES[case] in err
    assert sorted(path.name for path in folder.iterdir()) == ["file", "folder.png"]


def test_bad_input_is_found_before_tensorflow_or_ray_is_loaded(tmp_path: Path) -> None:
    assert_refused_without_loading(list(CASES.values()), tmp_path)
