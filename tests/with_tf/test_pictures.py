"""Pictures of digits, drawn by the model that ships."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ganmodel import DigitFunction
from ganmodel.brush import Brush
from ganmodel.hands import row_hand
from ganmodel.model_dir import PRETRAINED, resolve_model_dir
from ganmodel.presets import find_preset
from jobs import cli

pytestmark = pytest.mark.tf


@pytest.fixture(scope="module")
def brush() -> Brush:
    return Brush("pretrained")


@pytest.fixture
def gangen(tmp_path, monkeypatch, capsys):
    """Return a function that runs a command in an empty folder and returns what it printed."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["gangen", *arguments])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        output = capsys.readouterr()
        assert (stop.value.code, output.err) == (0, "")
        return output.out

    return run


def cells(path: str, scale: int, columns: int) -> np.ndarray:
    """Return the digits of a sheet, [N, 28, 28]."""
    sheet = np.asarray(Image.open(path))[::scale, ::scale]
    lines = (sheet.shape[0] - 2) // 30
    return np.stack(
        [sheet[2 + 30 * i :][:28, 2 + 30 * k :][:, :28] for i in range(lines) for k in range(columns)]
    )


def test_a_brush_draws_what_the_sampler_draws_to_a_grey_level(brush) -> None:
    images, labels = DigitFunction.pretrained(seed=5)[2040:2060]
    hands = np.stack([row_hand(5, row, 64) for row in range(2040, 2060)])
    drawn = brush.draw(hands, brush.mixes(labels))
    assert drawn.dtype == np.uint8
    assert np.abs(drawn.astype(int) - images).max() <= 1


def test_a_mix_of_labels_lies_between_them_and_its_ends_are_the_labels(brush) -> None:
    hands = np.repeat(row_hand(0, 0, 64)[np.newaxis], 3, axis=0)
    mixes = np.zeros((3, 10), np.float32)
    mixes[0, 3] = mixes[2, 8] = 1
    mixes[1, [3, 8]] = 0.5
    three, between, eight = brush.draw(hands, mixes).astype(int)
    pure = brush.draw(hands[:2], brush.mixes([3, 8]))
    np.testing.assert_allclose([three, eight], pure, atol=1)
    gap = np.abs(three - eight).mean()
    assert 0.1 * gap < np.abs(between - three).mean() < gap
    assert 0.1 * gap < np.abs(between - eight).mean() < gap


def test_the_baselines_generator_can_be_entered_after_its_embedding_too() -> None:
    from ganmodel.networks import build_generator, label_embedding, without_embedding

    network = build_generator(find_preset("tutorial").generator, seed=1)
    latents = np.random.default_rng(0).standard_normal((4, 100)).astype(np.float32)
    labels = np.array([1, 2, 3, 9], np.int32)
    entered = without_embedding(network)(
        [latents, np.asarray(label_embedding(network))[labels]], training=False
    )
    np.testing.assert_allclose(entered, network([latents, labels], training=False), atol=1e-6)


def test_preview_of_a_grid_has_a_line_a_label_and_a_column_a_seed(gangen, brush) -> None:
    text = gangen(
        "preview", "--labels", "8,3", "--seeds", "4:7", "--out", "p.png", "--scale", "2", "--terminal", "none"
    )
    assert text.splitlines()[0] == "6 digits: labels 8, 3 down, seeds 4, 5, 6 across"
    assert text.splitlines()[-1] == "next: gangen walk --labels 8,3 --seeds 4 --out walk.gif"
    hands = np.stack([row_hand(seed, 0, 64) for seed in (4, 5, 6)] * 2)
    np.testing.assert_array_equal(cells("p.png", 2, 3), brush.draw(hands, brush.mixes([8, 8, 8, 3, 3, 3])))


def test_preview_of_rows_is_the_rows_of_the_data_set(gangen) -> None:
    facts = json.loads(gangen("preview", "--rows", "1_990:2_010", "--seed", "5", "--out", "r.png", "--json"))
    images, labels = DigitFunction.pretrained(seed=5)[1990:2010]
    np.testing.assert_array_equal(cells("r.png", 3, 10), images)
    assert facts["drawn_labels"] == labels.tolist()
    assert (facts["digits"], facts["pixels"]) == (20, [906, 186])


def test_pictures_are_drawn_by_a_model_in_a_store(gangen, bucket, s3_server) -> None:
    for path in resolve_model_dir(PRETRAINED).iterdir():
        s3_server.ask("PUT", f"{bucket.removeprefix('s3:/')}/m/{path.name}", path.read_bytes())
    model = f"{bucket}/m"
    for command in (["preview", "--seeds", "4"], ["preview", "--rows", "3:5"], ["walk"], ["poster", "7"]):
        out = [*command, "--size", "40"] if command[0] != "preview" else command
        out += ["--labels", "3,8", "--frames", "2"] if command[0] == "walk" else []
        there = gangen(*out, "--model", model, "--out", "there.png")
        gangen(*out, "--out", "here.png")
        assert Path("there.png").read_bytes() == Path("here.png").read_bytes()
        assert f"--model {model}" in there.splitlines()[-1]


def test_preview_takes_a_rule_a_truncation_and_columns_for_rows(gangen) -> None:
    gangen(
        "preview",
        "--rows",
        "0:8",
        "--labels",
        "1,7",
        "--truncation",
        "0.5",
        "--columns",
        "4",
        "--out",
        "r.png",
    )
    images, _ = DigitFunction.pretrained(labels="1,7", truncation=0.5)[0:8]
    np.testing.assert_array_equal(cells("r.png", 3, 4), images)


def test_preview_draws_rows_in_the_precision_asked_for(gangen) -> None:
    gangen("preview", "--rows", "5:9", "--precision", "bfloat16", "--out", "r.png")
    images, _ = DigitFunction.pretrained(precision="bfloat16")[5:9]
    np.testing.assert_array_equal(cells("r.png", 3, 10)[:4], images)
    assert not np.array_equal(images, DigitFunction.pretrained()[5:9][0])


def test_preview_shows_the_digits_in_the_terminal(gangen, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "50")
    lines = gangen("preview", "--labels", "0", "--seeds", "3,9", "--terminal", "ascii").splitlines()
    assert lines[-2].startswith("2 digits: labels 0 down, seeds 3, 9 across")
    assert 8 < len(lines) < 14
    assert max(len(line) for line in lines[:-2]) <= 50
    assert "\u2580" in gangen("preview", "--labels", "0", "--seeds", "3", "--terminal", "blocks")


def frames_of(path: str) -> list[np.ndarray]:
    found = []
    with Image.open(path) as image:
        for number in range(image.n_frames):
            image.seek(number)
            found.append(np.asarray(image.convert("L")).astype(int))
    return found


@pytest.mark.parametrize("suffix", ["gif", "webp"])
def test_a_walk_moves_without_a_jump_and_closes(gangen, suffix) -> None:
    out = f"walk.{suffix}"
    text = gangen(
        "walk",
        "--labels",
        "3,8",
        "--seeds",
        "0",
        "--frames",
        "12",
        "--hold",
        "0",
        "--size",
        "84",
        "--out",
        out,
    )
    assert text.splitlines()[0] == "walked from 3 to 8 and back: 24 frames, 1.2 s"
    assert text.splitlines()[-1] == "next: gangen poster 38 --seed 0 --style-of 0 --out poster.svg"
    frames = frames_of(out)
    assert len(frames) == 24
    steps = [np.abs(a - b).mean() for a, b in zip(frames, [*frames[1:], frames[0]], strict=True)]
    whole = np.abs(frames[0] - frames[12]).mean()
    assert max(steps) < 0.6 * whole
    assert steps[-1] < 0.6 * whole


def test_an_open_walk_ends_at_its_last_stop_and_rests_at_each(gangen, brush) -> None:
    options = [
        "--rows",
        "4,2_017",
        "--seed",
        "6",
        "--frames",
        "5",
        "--open",
        "--size",
        "28",
        "--out",
        "walk.png",
    ]
    facts = json.loads(gangen("walk", *options, "--hold", "2", "--columns", "10", "--json"))
    images, labels = DigitFunction.pretrained(seed=6)[[4, 2017]]
    assert [stop["label"] for stop in facts["stops"]] == labels.tolist()
    assert facts["num_frames"] == 6 + 2 * 2
    strip = np.asarray(Image.open("walk.png").convert("L")).astype(int)
    assert strip.shape == (28, 280)
    for k in range(3):
        assert np.abs(strip[:, 28 * k :][:, :28] - images[0]).max() <= 1
        assert np.abs(strip[:, 28 * (7 + k) :][:, :28] - images[1]).max() <= 1
    assert np.abs(strip[:, 28 * 4 : 28 * 5] - images[0]).max() > 50


def test_a_walk_through_hands_keeps_its_label_and_a_walk_alone_shows_all_ten(gangen) -> None:
    facts = json.loads(
        gangen("walk", "--seeds", "4,7,9", "--frames", "2", "--out", "w.png", "--size", "28", "--json")
    )
    assert [(stop["seed"], stop["label"]) for stop in facts["stops"]] == [(4, 8), (7, 8), (9, 8)]
    facts = json.loads(gangen("walk", "--frames", "1", "--out", "w.png", "--size", "28", "--json"))
    assert [stop["label"] for stop in facts["stops"]] == list(range(10))


def test_colours_speed_and_truncation_of_a_walk(gangen) -> None:
    common = [
        "walk",
        "--labels",
        "1,7",
        "--frames",
        "3",
        "--hold",
        "0",
        "--size",
        "56",
        "--json",
        "--out",
        "w.gif",
    ]
    gangen(*common, "--ink", "#f00", "--paper", "#00ff00", "--fps", "10")
    with Image.open("w.gif") as image:
        assert image.info["duration"] == 100
        pixels = np.asarray(image.convert("RGB"))
    assert tuple(pixels[0, 0]) == (0, 255, 0)
    assert (pixels == (255, 0, 0)).all(axis=2).any()
    gangen(*common, "--truncation", "0.01")
    first = frames_of("w.gif")[0]
    gangen(*common, "--truncation", "0.01", "--seeds", "99")
    assert np.abs(frames_of("w.gif")[0] - first).mean() < 5


@pytest.mark.parametrize(("suffix", "head"), [("png", b"\x89PNG"), ("svg", b"<svg"), ("pdf", b"%PDF")])
def test_a_poster_is_written_the_same_each_time(gangen, suffix, head) -> None:
    def poster() -> bytes:
        text = gangen(
            "poster", "2026-11-23", "12:45", "--style-of", "17", "--out", f"p.{suffix}", "--size", "40"
        )
        assert text.splitlines()[0] == "'2026-11-23 / 12:45' in the hand of row 17 of seed 0"
        assert text.splitlines()[-1] == "next: gangen preview --seed 0 --rows 17:117"
        return Path(f"p.{suffix}").read_bytes()

    data = poster()
    assert data.startswith(head)
    assert poster() == data


def sheet_of(brush: Brush, **changes):
    from jobs.picture_requests import PosterSpec
    from jobs.pictures import draw_poster

    values = {"model": "pretrained", "lines": ("33 3",), "hands": "one", "seed": 2, "row": 5, "variation": 0.0,
              "truncation": 1.0, "size": 40, "ink": (0, 0, 0), "paper": (255, 255, 255), "out": "x.png"}  # fmt: skip
    return [glyph.image.astype(int) for glyph in draw_poster(PosterSpec(**values | changes), brush).glyphs]


def test_one_hand_writes_one_digit_alike_and_many_hands_do_not(brush) -> None:
    one = sheet_of(brush)
    assert np.abs(one[0] - one[1]).max() <= 1
    hands = np.stack([row_hand(2, row, 64) for row in (5, 6, 7)])
    drawn = brush.draw(hands, brush.mixes([3, 3, 3])).astype(int)
    assert np.abs(one[0] - drawn[0]).max() <= 1
    for image, expected in zip(sheet_of(brush, hands="many"), drawn, strict=True):
        assert np.abs(image - expected).max() <= 1


def test_variation_lets_a_hand_stray_a_little_and_at_one_altogether(brush) -> None:
    base = sheet_of(brush)[0]
    gaps = [
        np.mean([np.abs(image - base).mean() for image in sheet_of(brush, variation=v)])
        for v in (0.1, 0.4, 1)
    ]
    assert 0.1 < gaps[0] < gaps[1] < gaps[2]
    assert gaps[0] < 0.5 * gaps[2]
    stranger = brush.draw(row_hand(2, 6, 64)[np.newaxis], brush.mixes([3])).astype(int)[0]
    assert np.abs(sheet_of(brush, variation=1.0)[0] - stranger).max() <= 1
