"""The exported model: what is read back, and every way in which it is refused."""

import json
import resource

import numpy as np
import pytest

from ganmodel.config import GeneratorConfig, TutorialGeneratorConfig
from ganmodel.errors import GangenError, ModelError
from ganmodel.model_dir import (
    MODEL_FILE,
    PRETRAINED,
    WEIGHTS_FILE,
    QualityFigure,
    export_model,
    read_model,
    record_quality,
    resolve_model_dir,
)
from ganmodel.weights import load_arrays, replace_on_success, save_arrays

ARRAYS = {
    "dense/kernel": np.arange(12, dtype=np.float32).reshape(3, 4),
    "dense/bias": np.zeros(4, np.float32),
}


def export(folder, **changes):
    values = {
        "name": "toy",
        "generator": GeneratorConfig(latent_dim=3),
        "class_names": tuple("0123456789"),
        "arrays": ARRAYS,
        "training": {"images_seen": 5},
    }
    return export_model(folder, **values | changes)


def refusal(folder):
    """Return the one line with which a model directory is refused."""
    with pytest.raises(ModelError) as err:
        read_model(str(folder))
    assert err.value.exit_code == 2
    text = str(err.value)
    assert text.startswith(f"--model {folder}: ")
    assert "\n" not in text
    return text


def edit(folder, **changes):
    path = folder / MODEL_FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_an_exported_model_reads_back_as_it_was_written(tmp_path):
    info = export(tmp_path / "model")
    assert read_model(str(tmp_path / "model")) == info
    assert info.training == {"images_seen": 5}
    arrays, _ = load_arrays(tmp_path / "model" / WEIGHTS_FILE)
    assert arrays.keys() == ARRAYS.keys()
    assert all(np.array_equal(arrays[name], ARRAYS[name]) for name in ARRAYS)
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == [WEIGHTS_FILE, MODEL_FILE]


def test_a_model_of_the_baseline_reads_back_as_such(tmp_path):
    info = export(tmp_path, generator=TutorialGeneratorConfig(kind="tutorial", latent_dim=3))
    assert read_model(str(tmp_path)).generator == info.generator
    assert info.digest != export(tmp_path / "ours").digest


def test_a_digest_is_of_shape_and_weights_and_of_nothing_else(tmp_path):
    digest = export(tmp_path / "a").digest
    same = export(tmp_path / "b", name="other", training={}, class_names=tuple("abcdefghij"))
    reshaped = export(tmp_path / "c", generator=GeneratorConfig(latent_dim=4))
    retrained = export(tmp_path / "d", arrays=ARRAYS | {"dense/bias": np.ones(4, np.float32)})
    assert same.digest == digest
    assert len({digest, reshaped.digest, retrained.digest}) == 3


def test_a_digest_does_not_depend_on_the_order_of_the_arrays(tmp_path):
    backwards = dict(reversed(ARRAYS.items()))
    assert export(tmp_path / "a").digest == export(tmp_path / "b", arrays=backwards).digest


def figure(value):
    return QualityFigure(value=value, real=1.0, samples=10, reference="here")


def test_quality_may_be_added_without_a_new_digest_and_survives_another_export(tmp_path):
    info = export(tmp_path)
    record_quality(tmp_path, info.digest, {"fid": figure(2.0), "cas": figure(0.9)})
    record_quality(tmp_path, info.digest, {"fid": figure(1.5)})
    known = read_model(str(tmp_path))
    assert known == info.model_copy(update={"quality": {"fid": figure(1.5), "cas": figure(0.9)}})
    again = export(tmp_path, training={})
    assert again.quality == known.quality
    assert again.training == {"images_seen": 5}
    assert export(tmp_path, generator=GeneratorConfig(latent_dim=4)).quality == {}


def test_quality_of_another_model_is_not_recorded(tmp_path):
    measured = export(tmp_path).digest
    other = export(tmp_path, generator=GeneratorConfig(latent_dim=4))
    with pytest.raises(ModelError, match=f"is {other.digest[:12]} now, {measured[:12]} was measured"):
        record_quality(tmp_path, measured, {"fid": figure(1.5)})
    assert read_model(str(tmp_path)) == other


def test_a_damaged_description_is_replaced_by_another_export(tmp_path):
    info = export(tmp_path)
    (tmp_path / MODEL_FILE).write_text("{")
    assert export(tmp_path) == info
    assert read_model(str(tmp_path)) == info


@pytest.mark.parametrize("at", [8, 60, -1])
def test_one_flipped_bit_in_the_weights_is_noticed(tmp_path, at):
    export(tmp_path)
    path = tmp_path / WEIGHTS_FILE
    whole = bytearray(path.read_bytes())
    whole[at] ^= 1
    path.write_bytes(whole)
    assert "does not match model.json (expected sha256 " in refusal(tmp_path)


def test_an_edited_shape_is_noticed(tmp_path):
    info = export(tmp_path)
    edit(tmp_path, generator=GeneratorConfig(latent_dim=4).model_dump())
    assert f"does not match its own digest (says {info.digest[:12]}, is " in refusal(tmp_path)


def test_weights_of_another_model_are_noticed_although_their_sum_was_edited_too(tmp_path):
    export(tmp_path / "a")
    other = export(tmp_path / "b", arrays={"dense/kernel": np.zeros(3, np.float32)})
    (tmp_path / "b" / WEIGHTS_FILE).replace(tmp_path / "a" / WEIGHTS_FILE)
    edit(tmp_path / "a", weights_sha256=other.weights_sha256)
    assert "does not match its own digest" in refusal(tmp_path / "a")


def test_missing_weights_a_missing_file_and_a_missing_folder_are_refused(tmp_path):
    export(tmp_path / "model")
    (tmp_path / "model" / WEIGHTS_FILE).unlink()
    assert f"{WEIGHTS_FILE} is missing" in refusal(tmp_path / "model")
    (tmp_path / "model" / MODEL_FILE).unlink()
    assert f"there is no {MODEL_FILE} in" in refusal(tmp_path / "model")
    assert f"there is no {MODEL_FILE} in" in refusal(tmp_path / "none")


@pytest.mark.parametrize("content", ["", "{", "not json", "[]", "null", '"text"', "\x00\xff"])
def test_a_description_that_is_no_json_object_is_refused(tmp_path, content):
    export(tmp_path)
    (tmp_path / MODEL_FILE).write_bytes(content.encode("latin-1"))
    assert "is not a gangen model (" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"author": "me"}, "author: Extra inputs are not permitted"),
        ({"format_version": 2}, "format_version: Input should be 1"),
        ({"digest": None}, "digest: "),
        ({"generator": {"latent_dim": -1}}, "generator.latent_dim: "),
        ({"generator": {"kind": "other"}}, "generator.kind: Input should be 'tutorial'"),
        ({"generator": {"depth": 3}}, "generator.depth: Extra inputs are not permitted"),
        ({"name": "../../etc"}, "name: "),
        ({"name": "Name"}, "name: "),
        ({"name": ""}, "name: "),
        ({"class_names": ["a", "b"]}, "2 class_names for 10 classes"),
    ],
)
def test_a_description_with_a_wrong_or_unknown_field_is_refused_by_name(tmp_path, changes, reason):
    export(tmp_path)
    edit(tmp_path, **changes)
    assert reason in refusal(tmp_path)


def test_the_word_pretrained_stands_for_the_shipped_folder(tmp_path):
    assert resolve_model_dir(PRETRAINED).parent.name == "ganmodel"
    assert resolve_model_dir(str(tmp_path)) == tmp_path


@pytest.mark.parametrize("old", [None, b"old"])
def test_a_write_that_fails_half_way_leaves_what_was_there(tmp_path, old):
    path = tmp_path / "file"
    if old:
        path.write_bytes(old)

    def write_half():
        with replace_on_success(path) as temporary:
            temporary.write_bytes(b"half")
            raise OSError("boom")

    with pytest.raises(OSError, match="boom"):
        write_half()
    assert [p.read_bytes() for p in tmp_path.iterdir()] == ([old] if old else [])


def test_a_write_that_ends_well_replaces_what_was_there_and_leaves_nothing_else(tmp_path):
    (tmp_path / "file").write_bytes(b"old")
    with replace_on_success(tmp_path / "file") as temporary:
        temporary.write_bytes(b"new")
        assert (tmp_path / "file").read_bytes() == b"old"
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("file", b"new")]


def test_arrays_keep_values_shapes_dtypes_and_note(tmp_path):
    arrays = ARRAYS | {
        "scalar": np.array(5, np.int64),
        "empty": np.zeros((0, 3), np.float32),
        "turned": np.arange(12, dtype=np.float32).reshape(3, 4).T,
        "every second": np.arange(12, dtype=np.int32)[::2],
    }
    save_arrays(tmp_path / "file", arrays, note="a note")
    back, note = load_arrays(tmp_path / "file")
    assert note == "a note"
    assert {k: (v.dtype, v.shape, v.tolist()) for k, v in back.items()} == {
        k: (v.dtype, v.shape, v.tolist()) for k, v in arrays.items()
    }


def test_arrays_a_full_disk_cuts_off_leave_what_was_there(tmp_path):
    path = tmp_path / "file"
    save_arrays(path, ARRAYS)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        with pytest.raises(GangenError, match="file: cannot be written") as err:
            save_arrays(path, {"large": np.ones(10_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "\n" not in str(err.value)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
    assert load_arrays(path)[0].keys() == ARRAYS.keys()


@pytest.mark.parametrize("keep", [0, 5, 40, -1])
def test_arrays_cut_short_are_refused(tmp_path, keep):
    path = tmp_path / "file"
    save_arrays(path, ARRAYS)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ModelError, match="cannot be read"):
        load_arrays(path)
    with pytest.raises(ModelError, match="cannot be read"):
        load_arrays(tmp_path / "none")
