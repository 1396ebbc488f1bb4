"""Training sets: what is accepted, what is refused and in which words."""

import io
import os
import pickle
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ganmodel.data import (
    FASHION_CLASS_NAMES,
    NUM_CLASSES,
    _set_name,
    load_test_set,
    load_training_set,
    needs_download,
)
from ganmodel.errors import DataError

IMAGES = np.zeros((40, 28, 28), np.uint8)
LABELS = (np.arange(40) % 10).astype(np.uint8)


def refusal(source):
    """Return the one line with which a set is refused."""
    with pytest.raises(DataError) as err:
        load_training_set(str(source))
    assert err.value.exit_code == 2
    text = str(err.value)
    assert text.startswith("--dataset")
    assert "\n" not in text
    return text


def labels_with(value):
    changed = LABELS.astype(np.int64)
    changed[0] = value
    return changed


def test_a_sound_file_is_read(save_npz):
    images = np.arange(40 * 784, dtype=np.uint32).astype(np.uint8).reshape(40, 28, 28)
    found = load_training_set(save_npz(x_train=images, x_test=IMAGES, y_test=LABELS))
    assert found.name == "set"
    assert np.array_equal(found.images, images)
    assert found.images.dtype == np.uint8
    assert np.array_equal(found.labels, LABELS)
    assert found.labels.dtype == np.int32
    assert found.class_names == tuple("0123456789")


@pytest.mark.parametrize("dtype", [np.int64, np.uint64, np.int8, ">i2"])
def test_labels_of_any_integer_kind_are_the_same_set(save_npz, dtype):
    digest = load_training_set(save_npz()).digest()
    assert load_training_set(save_npz(y_train=LABELS.astype(dtype))).digest() == digest


def test_a_last_axis_of_one_is_the_same_set(save_npz):
    digest = load_training_set(save_npz()).digest()
    with_axis = save_npz(x_train=IMAGES[..., None], y_train=LABELS[:, None])
    assert load_training_set(with_axis).digest() == digest


def test_a_digest_tells_a_pixel_and_a_label_apart(save_npz):
    pixel = IMAGES.copy()
    pixel[3, 4, 5] = 1
    swapped = LABELS.copy()
    swapped[[0, 1]] = swapped[[1, 0]]
    digests = [
        load_training_set(save_npz(**changes)).digest()
        for changes in ({}, {"x_train": pixel}, {"y_train": swapped})
    ]
    assert len(set(digests)) == 3


BAD = {
    "no images": ({"without": ["x_train"]}, "has no array x_train (it has: y_train)"),
    "no labels": ({"without": ["y_train"]}, "has no array y_train (it has: x_train)"),
    "no arrays": ({"without": ["x_train", "y_train"]}, "has no array x_train and y_train (it has: none)"),
    "32 by 32": (
        {"x_train": np.zeros((40, 32, 32), np.uint8)},
        "must be [N, 28, 28] grey images, got [40, 32",
    ),
    "colour": ({"x_train": np.zeros((40, 28, 28, 3), np.uint8)}, "got [40, 28, 28, 3]"),
    "flat": ({"x_train": IMAGES.reshape(40, 784)}, "got [40, 784]"),
    "a number": ({"x_train": np.uint8(3)}, "got []"),
    "floats": ({"x_train": IMAGES / 255}, "x_train must be uint8 (0 to 255), got float64"),
    "signed": ({"x_train": IMAGES.astype(np.int8)}, "x_train must be uint8 (0 to 255), got int8"),
    "float labels": ({"y_train": LABELS.astype(np.float32)}, "y_train must be integers, got float32"),
    "truths": ({"y_train": LABELS > 4}, "y_train must be integers, got bool"),
    "words": ({"y_train": LABELS.astype("U1")}, "y_train must be integers, got <U1"),
    "one-hot": ({"y_train": np.eye(10, dtype=np.uint8)[LABELS]}, "got [40, 10] labels for 40 images"),
    "too few": ({"y_train": LABELS[:-1]}, "one label an image, got [39] labels for 40 images"),
    "label 10": ({"y_train": labels_with(10)}, "labels must lie in 0 to 9, got 0 to 10"),
    "label -1": ({"y_train": labels_with(-1)}, "labels must lie in 0 to 9, got -1 to 9"),
    "huge label": ({"y_train": labels_with(2**32)}, "labels must lie in 0 to 9, got 0 to 4294967296"),
    "no 3": ({"y_train": np.where(LABELS == 3, 4, LABELS)}, "no image is labelled 3; each of 0 to 9"),
    "empty": ({"x_train": IMAGES[:0], "y_train": LABELS[:0]}, "holds no image"),
}


@pytest.mark.parametrize(("changes", "reason"), BAD.values(), ids=BAD)
def test_arrays_a_generator_cannot_learn_from_are_refused(save_npz, changes, reason):
    path = save_npz(**changes)
    text = refusal(path)
    assert path in text
    assert reason in text


def test_the_test_split_is_the_other_pair_of_arrays(save_npz):
    images = np.arange(20 * 784, dtype=np.uint32).astype(np.uint8).reshape(20, 28, 28)
    path = save_npz(x_test=images[..., None], y_test=LABELS[:20, None])
    found = load_test_set(path)
    assert np.array_equal(found.images, images)
    assert np.array_equal(found.labels, LABELS[:20])
    assert found.name == load_training_set(path).name == "set"
    assert len(load_training_set(path).labels) == 40


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, "has no test split (no array x_test and y_test)"),
        ({"x_test": IMAGES}, "has no test split (no array y_test)"),
        ({"x_test": IMAGES / 255, "y_test": LABELS}, "x_test must be uint8 (0 to 255), got float64"),
        ({"x_test": IMAGES, "y_test": LABELS[:3]}, "y_test must hold one label an image"),
        ({"x_test": IMAGES, "y_test": labels_with(10)}, "y_test: labels must lie in 0 to 9, got 0 to 10"),
        ({"x_test": IMAGES[:5], "y_test": LABELS[:5]}, "x_test: no image is labelled 5, 6, 7, 8, 9"),
    ],
)
def test_a_test_split_that_is_missing_or_unsound_is_refused(save_npz, changes, reason):
    path = save_npz(**changes)
    with pytest.raises(DataError) as err:
        load_test_set(path)
    assert str(err.value).startswith(f"--dataset {path}: ")
    assert reason in str(err.value)
    load_training_set(path)  # which does not need it


def test_the_digits_of_the_test_split_are_in_no_training():
    train, test = load_training_set("digits"), load_test_set("digits")
    assert test.images.shape == (297, 28, 28)
    assert np.bincount(test.labels, minlength=NUM_CLASSES).min() > 20
    assert not {image.tobytes() for image in train.images} & {image.tobytes() for image in test.images}


class Trap:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, witness):
        self.witness = witness

    def __reduce__(self):
        return os.mkdir, (self.witness,)


def test_an_array_of_objects_is_refused_and_never_unpickled(save_npz, tmp_path):
    witness = tmp_path / "unpickled"
    path = save_npz(y_train=np.array([Trap(str(witness))] * 40))
    assert "not a readable .npz file (Object arrays cannot be loaded" in refusal(path)
    assert not witness.exists()
    with np.load(path, allow_pickle=True) as trusting:
        assert len(trusting["y_train"]) == 40
    assert witness.exists()  # the trap works


def test_a_pickle_in_place_of_a_file_is_refused_and_never_unpickled(tmp_path):
    witness = tmp_path / "unpickled"
    path = tmp_path / "set.npz"
    path.write_bytes(pickle.dumps(Trap(str(witness))))
    assert "not a readable .npz file" in refusal(path)
    assert not witness.exists()


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    assert f"{tmp_path / 'none.npz'}: no such file" in refusal(tmp_path / "none.npz")
    folder = tmp_path / "folder.npz"
    folder.mkdir()
    assert f"{folder}: no such file" in refusal(folder)


def test_an_unknown_name_is_refused_and_the_known_ones_are_named():
    assert "neither mnist, fashion_mnist nor digits" in refusal("minst")


def plain_bytes(path, whole):
    path.write_bytes(b"these are no arrays")


def nothing(path, whole):
    path.write_bytes(b"")


def single_array(path, whole):
    with path.open("wb") as file:
        np.save(file, IMAGES)


def first_half(path, whole):
    path.write_bytes(whole[: len(whole) // 2])


def damaged_inside(path, whole):
    path.write_bytes(whole[:1000] + b"damage" + whole[1006:])


def compressed_and_damaged(path, whole):
    rng = np.random.default_rng(0)
    np.savez_compressed(path, x_train=rng.integers(0, 9, (40, 28, 28)).astype(np.uint8), y_train=LABELS)
    whole = path.read_bytes()
    path.write_bytes(whole[:1000] + b"\xff" * 500 + whole[1500:])


def members_that_are_no_arrays(path, whole):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x_train", "text")
        archive.writestr("y_train", "text")


def array_too_large_for_any_machine(path, whole):
    header = io.BytesIO()
    shape = {"descr": "|u1", "fortran_order": False, "shape": (10**14, 28, 28)}
    np.lib.format.write_array_header_1_0(header, shape)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x_train.npy", header.getvalue())
        archive.writestr("y_train.npy", header.getvalue())


@pytest.mark.parametrize(
    "spoil",
    [
        plain_bytes,
        nothing,
        single_array,
        first_half,
        damaged_inside,
        compressed_and_damaged,
        members_that_are_no_arrays,
        array_too_large_for_any_machine,
    ],
)
def test_a_file_that_is_no_sound_archive_is_refused(save_npz, spoil):
    path = Path(save_npz())
    spoil(path, path.read_bytes())
    text = refusal(path)
    assert "not a readable .npz file" in text or "must be NumPy arrays" in text


def test_the_digits_are_28_by_28_and_use_the_whole_range(digits):
    assert digits.images.shape == (1500, 28, 28)
    assert digits.images.dtype == np.uint8
    assert digits.images.min() == 0
    assert digits.images.max() == 255
    assert np.bincount(digits.labels).min() > 140
    assert digits.name == "digits"


def test_the_digits_are_scikit_learns_drawn_larger(digits):
    from sklearn.datasets import load_digits

    small = load_digits().images[:1500] * (255 / 16)
    # Seven samples of the enlarged picture fall on two of the original's pixels.
    shrunk = digits.images.reshape(-1, 4, 7, 4, 7).mean(axis=(2, 4))
    wanted = small.reshape(-1, 4, 2, 4, 2).mean(axis=(2, 4))
    assert np.corrcoef(shrunk.ravel(), wanted.ravel())[0, 1] > 0.99
    assert abs(digits.images.mean() - small.mean()) < 2
    # A zero has a hole, a one has none.
    means = np.stack([digits.images[digits.labels == k].mean(axis=0) for k in range(NUM_CLASSES)])
    assert means[0, 14, 14] < 60 < 150 < means[1, 14, 14]


def test_mnist_is_read_as_it_is(mnist_path):
    found = load_training_set(str(mnist_path))
    assert found.name == "mnist"
    assert found.images.shape == (60000, 28, 28)
    assert np.bincount(found.labels).tolist() == [
        5923,
        6742,
        5958,
        6131,
        5842,
        5421,
        5918,
        6265,
        5851,
        5949,
    ]
    assert round(float(found.images.mean()), 4) == 33.3184


def test_mnists_test_split_is_read_as_it_is(mnist_path):
    found = load_test_set(str(mnist_path))
    assert found.images.shape == (10000, 28, 28)
    assert np.bincount(found.labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


def test_fashion_keeps_its_names_wherever_the_file_lies(save_npz, tmp_path):
    path = Path(save_npz()).rename(tmp_path / "fashion_mnist.npz")
    assert load_training_set(str(path)).class_names == FASHION_CLASS_NAMES


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("mnist", "mnist"),
        ("/data/My Digits-2.npz", "my_digits_2"),
        ("7.npz", "set_7"),
        (".npz", "npz"),
        ("___.npz", "set"),
        ("\u6570\u5b57.npz", "set"),
        ("a" * 200 + ".npz", "a" * 50),
    ],
)
def test_a_set_is_named_after_its_file(source, name):
    assert _set_name(source) == name


@given(stem=st.text(st.characters(exclude_characters="/\x00"), min_size=1))
def test_any_file_gives_a_name_that_files_and_tables_can_bear(stem):
    assert re.fullmatch(r"[a-z][a-z0-9_]{0,60}", _set_name(f"/data/{stem}.npz"))


def test_only_the_keras_sets_need_a_network():
    assert needs_download("mnist")
    assert needs_download("fashion_mnist")
    assert not needs_download("digits")
    assert not needs_download("mnist.npz")


@pytest.mark.tf
def test_without_network_or_cache_the_error_names_the_flags_that_help(run_python, tmp_path):
    code = """
import sys, time
from ganmodel.device import quiet_start
with quiet_start():
    import keras
from ganmodel.data import load_training_set
from ganmodel.errors import DataError
for source in ("mnist", "fashion_mnist"):
    began = time.monotonic()
    try:
        load_training_set(source)
    except DataError as err:
        print(err)
    assert time.monotonic() - began < 20
"""
    # A proxy nobody listens at: the download fails at once also where there is a network.
    nowhere = "http://127.0.0.1:9"
    done = run_python(
        code, HOME=str(tmp_path), KERAS_HOME=str(tmp_path), https_proxy=nowhere, HTTPS_PROXY=nowhere
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    # Nothing else may stand on stdout, not Keras' own 'Downloading data from ...' either.
    assert len(lines) == 2
    for source, line in zip(("mnist", "fashion_mnist"), lines, strict=True):
        assert line.startswith(f"--dataset {source}: Keras could not download it (")
        assert line.endswith(
            "pass a copy with --dataset PATH.npz, or use --dataset digits, which needs no network"
        )
