"""Whole training runs: resuming, refusing, failing, and what they leave on disk."""

import json
import shutil
from collections import namedtuple

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from safetensors.numpy import load_file, save_file

from ganmodel.checkpoint import CONFIG_FILE, CheckpointStore
from ganmodel.config import TutorialDiscriminatorConfig, TutorialGeneratorConfig
from ganmodel.errors import GangenError, ModelError, SpecError, TrainingFailed
from ganmodel.labels import parse_labels
from ganmodel.model_dir import MODEL_FILE, WEIGHTS_FILE, QualityFigure, read_model, record_quality
from ganmodel.monitor import CollapseWatch
from ganmodel.presets import find_preset
from ganmodel.sampler import Sampler
from ganmodel.steps import METRIC_NAMES, build_networks
from ganmodel.trainer import TrainOptions, run_training

pytestmark = pytest.mark.tf

STEPS = 8

Run = namedtuple("Run", "folder result progress")


def train(config, digits, folder, *, should_stop=lambda: False, **options):
    """Train with an interval of 2 steps for everything, unless told otherwise."""
    intervals = {"checkpoint_every_steps": 2, "sample_every_steps": 2, "log_every_steps": 2}
    progress = []
    result = run_training(
        config,
        digits,
        TrainOptions(model_dir=folder, **intervals | options),
        on_progress=progress.append,
        should_stop=should_stop,
    )
    return Run(folder, result, progress)


def stop_after(num_steps):
    """Return a `should_stop` that says yes when it is asked for the num_steps-th time."""
    votes = iter([False] * (num_steps - 1))
    return lambda: next(votes, True)


@pytest.fixture(scope="module")
def config(tiny_config):
    return tiny_config(steps=STEPS)


@pytest.fixture(scope="module")
def straight(config, digits, tmp_path_factory):
    """A run from the first step to the last."""
    return train(config, digits, tmp_path_factory.mktemp("straight"))


@pytest.fixture
def copy_of(straight, tmp_path):
    """Return a function that copies the straight run and keeps only the checkpoints up to a step."""

    def copy(*, up_to):
        folder = shutil.copytree(straight.folder, tmp_path / "copy")
        store = CheckpointStore(folder)
        for step in store.steps():
            if step > up_to:
                store.path(step).unlink()
        return folder

    return copy


def checkpoint(folder, step):
    return load_file(CheckpointStore(folder).path(step))


def assert_same_arrays(mine, theirs):
    assert mine.keys() == theirs.keys()
    assert [name for name in mine if mine[name].tobytes() != theirs[name].tobytes()] == []


def lines(folder):
    """Return the lines of metrics.jsonl but for what the clock says."""
    found = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name != "images_per_s"} for line in found]


def test_a_finished_run_leaves_its_log_events_sheets_checkpoints_and_model(straight, config):
    result = straight.result
    assert (result.status, result.step, result.resumed_from) == ("finished", STEPS, 0)
    assert [p.step for p in straight.progress] == [2, 4, 6, 8]
    assert all(p.steps == STEPS and p.images_per_s > 0 for p in straight.progress)
    assert straight.progress[-1].metrics == result.metrics
    assert set(result.metrics) == set(METRIC_NAMES)
    assert result.device["device"]
    logged = lines(straight.folder)
    assert [line["step"] for line in logged] == [2, 2, 4, 4, 6, 6, 8, 8]
    assert all(line["window_steps"] == 2 for line in logged[::2])
    assert all(0 < line["diversity"] < 5 for line in logged[1::2])
    (events,) = (straight.folder / "tensorboard").iterdir()
    tags = {
        value.tag
        for event in tf.compat.v1.train.summary_iterator(str(events))
        for value in event.summary.value
    }
    assert tags == {*METRIC_NAMES, "images_per_s", "window_steps", "diversity", "samples"}
    sheets = sorted((straight.folder / "samples").iterdir())
    assert [sheet.name for sheet in sheets] == [f"step-00000000{step}.png" for step in (2, 4, 6, 8)]
    with Image.open(sheets[-1]) as sheet:
        assert sheet.size == (302, 302)
        assert len(np.unique(np.asarray(sheet))) > 20
    saved = json.loads((straight.folder / CONFIG_FILE).read_text())
    assert saved == config.model_dump(mode="json")


def test_only_the_last_checkpoints_are_kept(straight):
    assert CheckpointStore(straight.folder).steps() == [4, 6, 8]
    assert len(list((straight.folder / "checkpoints").iterdir())) == 3


def test_the_exported_model_is_the_average_and_draws_digits(straight, config):
    info = read_model(str(straight.folder))
    assert info.digest == straight.result.model_digest
    assert info.name == "digits"
    assert info.training["config"] == config.model_dump(mode="json")
    assert info.training["images_seen"] == STEPS * config.batch_size
    assert info.training["final_metrics"] == straight.result.metrics
    weights, arrays = load_file(straight.folder / WEIGHTS_FILE), checkpoint(straight.folder, STEPS)
    assert_same_arrays(
        weights, {k.removeprefix("ema/"): v for k, v in arrays.items() if k.startswith("ema/")}
    )
    images, labels = Sampler(str(straight.folder), threads=None).draw(0, 0, parse_labels("balanced"))
    assert images.shape == (1000, 28, 28)
    assert np.bincount(labels).tolist() == [100] * 10


def test_a_run_stopped_half_way_and_resumed_equals_one_that_went_straight(straight, config, digits, tmp_path):
    stopped = train(config, digits, tmp_path, should_stop=stop_after(4))
    assert (stopped.result.status, stopped.result.step) == ("stopped", 4)
    assert stopped.result.model_digest is None
    assert CheckpointStore(tmp_path).steps() == [2, 4]
    assert not (tmp_path / MODEL_FILE).exists()
    resumed = train(config, digits, tmp_path, resume="require")
    assert (resumed.result.status, resumed.result.resumed_from) == ("finished", 4)
    assert_same_arrays(checkpoint(tmp_path, STEPS), checkpoint(straight.folder, STEPS))
    assert lines(tmp_path) == lines(straight.folder)
    assert resumed.result.model_digest == straight.result.model_digest


def test_a_run_of_the_baseline_resumes_to_the_same_bits_and_its_model_draws(tiny_config, digits, tmp_path):
    """It has what ours has not: moving statistics, dropout, Adam's mean of gradients."""
    networks = {
        "generator": TutorialGeneratorConfig(kind="tutorial", latent_dim=16, channels=(12, 8, 4)),
        "discriminator": TutorialDiscriminatorConfig(kind="tutorial", channels=(4, 8)),
    }
    config = tiny_config(steps=4, gamma=0.0, **find_preset("tutorial").recipe() | networks)
    straight = train(config, digits, tmp_path / "straight")
    train(config, digits, tmp_path / "stopped", should_stop=stop_after(2))
    resumed = train(config, digits, tmp_path / "stopped", resume="require")
    assert resumed.result.resumed_from == 2
    assert_same_arrays(checkpoint(tmp_path / "stopped", 4), checkpoint(tmp_path / "straight", 4))
    assert resumed.result.model_digest == straight.result.model_digest
    assert read_model(str(tmp_path / "stopped")).generator == networks["generator"]
    images, _ = Sampler(str(tmp_path / "stopped"), threads=None).draw(0, 0, parse_labels("balanced"))
    assert images.std() > 0


def test_a_stop_between_two_checkpoints_loses_and_repeats_no_step(straight, config, digits, tmp_path):
    train(config, digits, tmp_path, should_stop=stop_after(3))
    assert CheckpointStore(tmp_path).steps() == [2, 3]
    resumed = train(config, digits, tmp_path)
    assert resumed.result.resumed_from == 3
    assert_same_arrays(checkpoint(tmp_path, STEPS), checkpoint(straight.folder, STEPS))
    windows = [line for line in lines(tmp_path) if "window_steps" in line]
    assert [(line["step"], line["window_steps"]) for line in windows] == [
        (2, 2),
        (3, 1),
        (4, 1),
        (6, 2),
        (8, 2),
    ]


def test_a_crash_is_made_good_from_the_last_checkpoint_and_no_line_stands_twice(
    straight, config, digits, copy_of
):
    folder = copy_of(up_to=6)
    with (folder / "metrics.jsonl").open("a") as file:
        file.write('{"step": 9, "d_lo')
    resumed = train(config, digits, folder)
    assert resumed.result.resumed_from == 6
    assert_same_arrays(checkpoint(folder, STEPS), checkpoint(straight.folder, STEPS))
    assert lines(folder) == lines(straight.folder)


def test_a_crash_between_a_checkpoint_and_a_log_line_leaves_no_gap_in_the_curve(config, digits, tmp_path):
    intervals = {"checkpoint_every_steps": 3, "log_every_steps": 5}
    train(config, digits, tmp_path, **intervals)
    whole = [(line["step"], line["window_steps"]) for line in lines(tmp_path) if "window_steps" in line]
    assert whole == [(3, 3), (5, 2), (6, 1), (8, 2)]
    for step in CheckpointStore(tmp_path).steps():
        if step > 3:
            CheckpointStore(tmp_path).path(step).unlink()
    assert train(config, digits, tmp_path, **intervals).result.resumed_from == 3
    assert [
        (line["step"], line["window_steps"]) for line in lines(tmp_path) if "window_steps" in line
    ] == whole


def test_a_finished_run_that_is_run_again_changes_nothing(straight, config, digits, copy_of):
    folder = copy_of(up_to=STEPS)
    path = folder / MODEL_FILE
    measured = QualityFigure(value=2.5, real=1.0, samples=10, reference="here")
    record_quality(folder, straight.result.model_digest, {"fid": measured})
    before = path.read_bytes()
    again = train(config, digits, folder)
    assert (again.result.status, again.result.resumed_from) == ("finished", STEPS)
    assert again.result.model_digest == straight.result.model_digest
    assert path.read_bytes() == before
    assert lines(folder) == lines(straight.folder)


def test_fresh_starts_over_whatever_the_folder_holds(straight, config, digits, copy_of):
    folder = copy_of(up_to=STEPS)
    (folder / CONFIG_FILE).write_text("damaged")
    other = config.model_copy(update={"steps": 2, "seed": 1})
    again = train(other, digits, folder, resume="fresh")
    assert (again.result.resumed_from, again.result.step) == (0, 2)
    assert again.result.model_digest != straight.result.model_digest
    assert CheckpointStore(folder).steps() == [2]
    assert [line["step"] for line in lines(folder)] == [2, 2]


def test_a_worker_that_is_not_the_chief_starts_over_too_and_writes_nothing(config, digits, copy_of):
    folder = copy_of(up_to=STEPS)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    other = config.model_copy(update={"steps": 1})
    worker = train(other, digits, folder, resume="fresh", is_chief=False)
    assert (worker.result.resumed_from, worker.result.step) == (0, 1)
    assert worker.result.model_digest is None
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


@pytest.mark.parametrize("resume", ["auto", "require"])
def test_another_configuration_is_refused_and_its_fields_are_named(straight, config, digits, resume):
    other = config.model_copy(update={"learning_rate": 0.5, "seed": 3})
    with pytest.raises(SpecError) as err:
        train(other, digits, straight.folder, resume=resume)
    text = str(err.value)
    assert "another configuration (learning_rate: 0.001 -> 0.5; seed: 0 -> 3)" in text
    assert "--fresh" in text
    assert "\n" not in text
    assert CheckpointStore(straight.folder).steps() == [4, 6, 8]


def test_resuming_nothing_is_refused_when_it_was_asked_for(config, digits, tmp_path):
    with pytest.raises(SpecError, match=r"^--resume: .* holds no checkpoint"):
        train(config, digits, tmp_path, resume="require")


def test_a_batch_that_replicas_cannot_share_is_refused(tiny_config, digits, tmp_path):
    with pytest.raises(SpecError, match=r"^--batch-size 7: must be a multiple of the 2 replicas$"):
        train(tiny_config(batch_size=7), digits, tmp_path, strategy="mirrored")


@pytest.mark.parametrize("content", [None, "", "{}", '{"steps": 8}'])
def test_a_missing_or_damaged_configuration_is_one_clear_line(config, digits, copy_of, content):
    folder = copy_of(up_to=STEPS)
    (folder / CONFIG_FILE).unlink()
    if content is not None:
        (folder / CONFIG_FILE).write_text(content)
    with pytest.raises(ModelError, match=r"train\.json (is missing|cannot be read)") as err:
        train(config, digits, folder)
    assert "--fresh" in str(err.value)
    assert "\n" not in str(err.value)


def test_a_checkpoint_cut_in_half_is_one_clear_line_that_names_the_older_one(config, digits, copy_of):
    folder = copy_of(up_to=STEPS)
    path = CheckpointStore(folder).path(STEPS)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ModelError, match="is damaged; delete it to continue from step 6") as err:
        train(config, digits, folder)
    assert str(path) in str(err.value)
    assert "\n" not in str(err.value)
    for step in (4, 6):
        CheckpointStore(folder).path(step).unlink()
    with pytest.raises(ModelError, match="is damaged; start over with --fresh"):
        train(config, digits, folder)


def edit(folder, step, change):
    """Change the arrays of a checkpoint by `change(arrays)`."""
    arrays = checkpoint(folder, step)
    change(arrays)
    save_file(arrays, CheckpointStore(folder).path(step))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            lambda arrays: arrays.pop("ema/dense_1/bias"),
            "does not fit these networks (first at 'ema/dense_1/bias')",
        ),
        (
            lambda arrays: arrays.update({"more": np.zeros(3)}),
            "does not fit these networks (first at 'more')",
        ),
        (lambda arrays: arrays.update({"ema/dense_1/bias": np.zeros(3)}), "'ema/dense_1/bias' has shape [3]"),
    ],
)
def test_a_checkpoint_of_other_networks_is_refused(config, copy_of, change, reason):
    folder = copy_of(up_to=STEPS)
    edit(folder, STEPS, change)
    with pytest.raises(ModelError) as err:
        CheckpointStore(folder).restore(build_networks(config), STEPS)
    assert reason in str(err.value)


def test_a_checkpoint_of_another_configuration_is_refused_though_train_json_says_otherwise(
    config, digits, copy_of
):
    folder = copy_of(up_to=STEPS)
    other = config.model_copy(update={"seed": config.seed + 1})
    (folder / CONFIG_FILE).write_text(other.model_dump_json())
    with pytest.raises(SpecError, match=rf"step-0+{STEPS}\.safetensors: is of configuration") as err:
        train(other, digits, folder)
    assert config.content_digest()[:12] in str(err.value)
    assert other.content_digest()[:12] in str(err.value)
    assert "\n" not in str(err.value)


def test_a_group_begins_where_it_is_told_and_not_where_each_worker_would(config, digits, copy_of):
    folder = copy_of(up_to=STEPS)
    told = train(config, digits, folder, start=4)
    assert (told.result.resumed_from, told.result.step) == (4, STEPS)
    CheckpointStore(folder).path(4).unlink(missing_ok=True)
    with pytest.raises(ModelError, match=r"is not to be seen here; --model-dir must be a folder"):
        train(config, digits, folder, start=4)


def test_a_save_that_breaks_off_leaves_the_older_checkpoints_and_nothing_else(config, copy_of, monkeypatch):
    folder = copy_of(up_to=6)
    store, networks = CheckpointStore(folder, keep=1), build_networks(config)
    store.restore(networks, 6)

    def write_half(arrays, path, metadata):
        path.write_bytes(b"half")
        raise OSError("boom")

    monkeypatch.setattr("safetensors.numpy.save_file", write_half)
    with pytest.raises(GangenError, match=r"cannot be written .boom.") as err:
        store.save(networks, 8)
    assert "\n" not in str(err.value)
    assert sorted(path.name for path in (folder / "checkpoints").iterdir()) == [
        store.path(step).name for step in (4, 6)
    ]
    monkeypatch.undo()
    store.restore(networks, 6)
    store.save(networks, 8)
    assert store.steps() == [8]
    assert_same_arrays(checkpoint(folder, 8), {name: v.numpy() for name, v in networks.variables().items()})


def test_a_nan_stops_the_run_before_anything_bad_is_written(config, digits, copy_of):
    folder = copy_of(up_to=4)
    before = checkpoint(folder, 4)
    assert "nan" not in (folder / "metrics.jsonl").read_text().lower()

    def poison(arrays):
        arrays["generator/to_28/bias"][0] = np.nan

    edit(folder, 4, poison)
    # The log would not look before step 8; the checkpoint at 5 and the sheet at 6 must.
    intervals = {"checkpoint_every_steps": 5, "sample_every_steps": 3, "log_every_steps": 100}
    for due, interval in ((5, intervals), (6, intervals | {"checkpoint_every_steps": 100})):
        with pytest.raises(TrainingFailed) as err:
            train(config, digits, folder, **interval)
        text = str(err.value)
        assert text.startswith(f"step {due}: d_loss, ")
        assert "is no longer a number; the last good checkpoint is step 4; try" in text
        assert "\n" not in text
        assert err.value.exit_code == 5
        assert CheckpointStore(folder).steps() == [4]
    assert [path.name for path in (folder / "samples").iterdir() if path.stat().st_size == 0] == []
    edit(folder, 4, lambda arrays: arrays.update(before))
    assert train(config, digits, folder).result.status == "finished"


def test_a_weight_that_no_loss_looks_at_is_not_saved_as_a_nan_either(config, digits, copy_of):
    folder = copy_of(up_to=4)

    def poison(arrays):
        arrays["ema/to_28/bias"][0] = np.inf

    edit(folder, 4, poison)
    with pytest.raises(
        TrainingFailed, match=r"^step 5: ema/to_28/bias is no longer a number; .* step 4; try"
    ):
        train(config, digits, folder, checkpoint_every_steps=1)
    assert CheckpointStore(folder).steps() == [4]


def test_a_generator_that_draws_one_picture_a_class_stops_the_run(config, digits, copy_of, monkeypatch):
    folder = copy_of(up_to=4)

    def forget_the_latents(arrays):
        arrays["generator/dense_1/kernel"][: config.generator.latent_dim] = 0

    edit(folder, 4, forget_the_latents)
    monkeypatch.setattr(CollapseWatch, "GRACE_STEPS", 0)
    with pytest.raises(TrainingFailed, match=r"^step 7: the generator has collapsed") as err:
        train(config, digits, folder, sample_every_steps=1)
    assert "\n" not in str(err.value)
    assert [line["diversity"] < 0.1 for line in lines(folder) if line["step"] in (5, 7)].count(True) >= 2


def test_two_replicas_stop_and_resume_near_where_one_would_be(config, digits, tmp_path):
    """That the steps are the same is test_steps.py's affair: here the state must survive the files."""
    config = config.model_copy(update={"steps": 3})
    stopped = train(config, digits, tmp_path / "two", strategy="mirrored", should_stop=stop_after(2))
    assert (stopped.result.status, stopped.result.step) == ("stopped", 2)
    resumed = train(config, digits, tmp_path / "two", strategy="mirrored")
    assert (resumed.result.status, resumed.result.resumed_from) == ("finished", 2)
    train(config, digits, tmp_path / "one")
    two, one = checkpoint(tmp_path / "two", 3), checkpoint(tmp_path / "one", 3)
    assert two.keys() == one.keys()
    assert two["generator_optimizer/000/iteration"] == 3
    # Adam can move a weight whose gradient is rounding noise by a learning rate a step, either way.
    limit = 2 * 3 * config.learning_rate
    assert all(abs(two[name] - one[name]).max() < limit for name in two if "optimizer" not in name)


def test_a_second_training_in_the_same_folder_is_refused(config, digits, tmp_path):
    from filelock import FileLock

    from ganmodel.errors import CommitConflict

    folder = tmp_path / "run"
    folder.mkdir()
    with FileLock(folder / ".lock"), pytest.raises(CommitConflict, match="another run is writing here"):
        train(config, digits, folder)
    assert not (folder / "train.json").exists()
