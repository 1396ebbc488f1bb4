"""Pictures of digits, drawn by the model that ships."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
from PIL import Image

from ganmodel import DigitFunction
from ganmodel.brush import Brush
from ganmodel.hands import row_hand
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


def test_preview_shows_the_digits_in_the_terminal(gangen, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "50")
    lines = gangen("preview", "--labels", "0", "--seeds", "3,9", "--terminal", "ascii").splitlines()
    assert lines[-2].startswith("2 digits: labels 0 down, seeds 3, 9 across")
    assert 8 < len(lines) < 14
    assert max(len(line) for line in lines[:-2]) <= 50
    assert "\u2580" in gangen("preview", "--labels", "0", "--seeds", "3", "--terminal", "blocks")
