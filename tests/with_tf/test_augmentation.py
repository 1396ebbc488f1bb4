"""The benchmark of docs/augmentation.md, on scikit-learn's digits and with next to no training."""

from __future__ import annotations

import json
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from ganmodel.data import TrainingSet, load_training_set, stratified_subset
from ganmodel.model_dir import read_model

pytestmark = pytest.mark.tf

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
TINY = [
    "--dataset", "digits", "--preset", "tiny", "--sizes", "10,1500", "--seeds", "4", "--arms", "affine,own+affine",
    "--classifier-steps", "2", "--generator-steps", "2",
]  # fmt: skip


@pytest.fixture
def augmentation(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import augmentation

    return augmentation


@pytest.fixture
def chart(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import augmentation_chart

    return augmentation_chart


def test_a_rerun_does_only_what_is_missing_and_draws_again(augmentation, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(sys, "argv", ["augmentation.py", *TINY, "--out", str(tmp_path)])
    augmentation.main()
    results = tmp_path / "results.jsonl"
    whole = results.read_text()
    lines = [json.loads(line) for line in whole.splitlines()]
    assert [(line["run"]["size"], line["run"]["arm"]) for line in lines] == [
        (10, "affine"), (10, "own+affine"), (1500, "affine"), (1500, "own+affine"),
    ]  # fmt: skip
    assert all(0 <= line["accuracy"] <= 1 for line in lines)
    trained = read_model(str(tmp_path / "generators/digits-tiny-10-seed-4-steps-2"))
    assert lines[1]["generator"] == trained.digest
    ten = stratified_subset(load_training_set("digits"), 10, seed=4)
    assert trained.training["config"]["dataset_digest"] == ten.digest()
    assert trained.training["config"]["limit"] == 10

    results.write_text(whole[: whole.index("\n") + 1])
    ran = []
    once = augmentation.carry_out
    monkeypatch.setattr(augmentation, "own_generator", lambda *_: "pretrained")
    monkeypatch.setattr(augmentation, "carry_out", lambda run, *rest: ran.append(run) or once(run, *rest))
    augmentation.main()
    assert [(run.size, run.arm) for run in ran] == [
        (10, "own+affine"),
        (1500, "affine"),
        (1500, "own+affine"),
    ]
    again = [json.loads(line) for line in results.read_text().splitlines()]
    assert (again[0], again[2]["run"]) == (lines[0], lines[2]["run"])

    monkeypatch.setattr(augmentation, "carry_out", None)
    (tmp_path / "accuracy.svg").unlink()
    capsys.readouterr()
    augmentation.main()
    assert capsys.readouterr().out.count("\n| ") == 3
    ET.parse(tmp_path / "accuracy.svg")

    asked = [*sys.argv, "--seeds", "4,5"]
    monkeypatch.setattr(sys, "argv", [*asked, "--draw"])
    augmentation.main()  # what is there, and nothing is done for what is not
    monkeypatch.setattr(sys, "argv", asked)
    with pytest.raises(TypeError):
        augmentation.main()
    monkeypatch.setattr(sys, "argv", [*asked, "--draw", "--classifier-steps", "3"])
    with pytest.raises(ValueError, match="no run is done"):  # other steps are other runs
        augmentation.main()


def test_all_images_there_are_take_the_generator_that_ships_only_if_it_was_trained_on_them(
    augmentation, monkeypatch, digits
):
    from dataclasses import dataclass

    @dataclass
    class Shipped:
        training: dict

    run = augmentation.Run(
        dataset="digits", size=1500, arm="own", seed=0, classifier_steps=1, generator_steps=1, preset="tiny"
    )
    known = Shipped({"config": {"dataset_digest": digits.digest()}})
    monkeypatch.setattr(augmentation, "read_model", lambda _: known)
    assert augmentation.own_generator(run, digits, None) == "pretrained"


def test_a_generator_of_another_data_set_is_not_taken_for_its_own(augmentation, monkeypatch, tmp_path):
    trained = []

    def train(_config, _real, options):
        trained.append(str(options.model_dir))
        options.model_dir.mkdir(parents=True)
        (options.model_dir / "model.json").write_text("{}")

    monkeypatch.setattr("ganmodel.trainer.run_training", train)
    folders = []
    for dataset in ("mnist", "fashion_mnist", "mnist"):
        options = augmentation.argparse.Namespace(
            dataset=dataset, out=tmp_path, generator_steps=2, preset="tiny"
        )
        run = augmentation.Run(
            dataset=dataset, size=300, arm="own", seed=0, classifier_steps=1, generator_steps=2, preset="tiny"
        )
        folders.append(augmentation.own_generator(run, grey(9, 0), options))
    assert trained == folders[:2]
    assert folders[0] == folders[2] != folders[1]


def test_a_size_is_trained_for_as_many_steps_as_the_cas_takes_or_as_were_asked_for(augmentation):
    def steps(asked):
        options = augmentation.argparse.Namespace(
            dataset="a/mnist.npz", sizes="60000,10,10", seeds="0,1", arms="real,own",
            classifier_steps=asked, generator_steps=7, preset="fast",
        )  # fmt: skip
        runs = list(augmentation.planned_runs(options))
        assert [(run.seed, run.size, run.arm) for run in runs[:4]] == [
            (0, 10, "real"), (0, 10, "own"), (0, 60_000, "real"), (0, 60_000, "own"),
        ]  # fmt: skip
        assert len(runs) == 8
        assert {(run.arm, run.generator_steps, run.preset) for run in runs} == {
            ("real", None, None), ("own", 7, "fast"),
        }  # fmt: skip
        return {run.size: run.classifier_steps for run in runs}

    assert steps(None) == {10: 500, 60_000: 2345}
    assert steps(40) == {10: 40, 60_000: 40}


def grey(level: int, label: int) -> TrainingSet:
    return TrainingSet(
        name="grey", images=np.full((300, 28, 28), level, np.uint8), labels=np.full(300, label, np.int32)
    )


def step(number: int):
    return tf.constant(number, tf.int64)


def test_synthetic_digits_are_half_of_each_batch_and_a_batch_is_always_as_large(augmentation):
    for synthetic, shares in ((None, {255: 128}), (grey(0, 7), {255: 64, 0: 64})):
        images, labels = augmentation.batches(grey(255, 3), synthetic, affine=False, seed=0)(step(5))
        assert images.shape == (128, 28, 28, 1)
        levels = ((images.numpy()[:, 0, 0, 0] + 1) * 127.5).round().astype(int)
        assert {level: int((levels == level).sum()) for level in set(levels)} == shares
        assert np.array_equal(labels.numpy(), np.where(levels == 255, 3, 7))


def test_affine_moves_each_digit_of_each_batch_its_own_way_on_a_black_ground(augmentation, digits):
    batch_of = tf.function(augmentation.batches(digits, None, affine=True, seed=0))
    plain, labels = augmentation.batches(digits, None, affine=False, seed=0)(step(0))
    first, same_labels = batch_of(step(0))
    second, _ = batch_of(step(0))
    assert np.array_equal(labels, same_labels)
    for other in (plain, second):
        assert (np.abs(first.numpy() - other.numpy()).mean(axis=(1, 2, 3)) > 0.01).mean() > 0.95
    assert float(tf.reduce_min(first)) >= -1.0001
    assert float(tf.reduce_max(first)) <= 1.0001
    bright = augmentation.batches(grey(255, 0), None, affine=True, seed=0)(step(0))[0].numpy()
    assert (bright[:, 0].min(axis=(1, 2)) < -0.9).mean() > 0.3  # what is moved in from outside is black


def test_the_table_tells_spread_and_missing_seeds(chart):
    found = {"real": {10: [0.5, 0.6, 0.7], 1000: [0.9]}, "own": {1000: [0.8, 0.82, 0.84]}, "affine": {}}
    assert chart.draw_table(found).splitlines() == [
        "| N | real alone | + own generator |",
        "| --- | --- | --- |",
        "| 10 | 60.00 (50.00 to 70.00) |  |",
        "| 1,000 | 90.00, 1 of 3 seeds | 82.00 (80.00 to 84.00) |",
    ]


def test_the_chart_is_sound_xml_with_a_line_an_arm_and_everything_within_it(chart):
    found = {"real": {10: [0.5, 0.6], 1000: [0.9]}, "shipped": {10: [0.96], 1000: [1.0]}}
    root = ET.fromstring(chart.draw_chart(found))
    space = "{http://www.w3.org/2000/svg}"
    dots = [c for c in root.iter(f"{space}circle") if c.get("fill") == chart.LOOKS["real"].colour]
    assert len(dots) == 2 + 1  # a size each, and the key
    for dot in root.iter(f"{space}circle"):
        assert 0 < float(dot.get("cx")) < chart.WIDTH
        assert 0 < float(dot.get("cy")) < chart.HEIGHT
    texts = [text.text for text in root.iter(f"{space}text")]
    assert {"10", "1,000", "real alone", "50 %"} <= set(texts)
    with pytest.raises(ValueError, match="no run is done"):
        chart.draw_chart({"real": {}})
