"""IDX shards, read by a reader that knows the format's description and nothing of ours."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ganmodel.errors import GangenError
from jobs.writers import FORMATS
from jobs.writers.encode import encode_rows

IDX = FORMATS["idx"]


def read_idx(path):
    """Return the array of an IDX file, after its description: two zero bytes, type, dimensions, sizes, data."""
    data = path.read_bytes()
    zeros, kind, dimensions = struct.unpack_from(">HBB", data)
    assert zeros == 0
    assert kind == 8  # unsigned byte
    shape = struct.unpack_from(f">{dimensions}I", data, 4)
    values = np.frombuffer(data, np.uint8, offset=4 + 4 * dimensions)
    assert len(values) == np.prod(shape)
    return values.reshape(shape)


def mnist_folder(root, split, shard=0):
    names = IDX.file_names("gangen_mnist", split, shard)
    paths = [root / name for name in names]
    paths[0].parent.mkdir(parents=True, exist_ok=True)
    return paths


def write(paths, images, labels, cuts=()):
    writer = IDX.open(*paths, image_encoding="raw", class_names=tuple("0123456789"))
    for part in np.split(np.arange(len(labels)), cuts):
        writer.append(encode_rows(images[part], labels[part], int(part[0]) if len(part) else 0, "raw"))
    writer.close()


def some_rows(count, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, 28, 28), np.uint8), rng.integers(0, 10, count).astype(np.int32)


@settings(max_examples=20)
@given(count=st.integers(0, 50), cut=st.integers(0, 50), seed=st.integers(0, 9))
def test_any_idx_reader_finds_every_row_however_rows_were_appended(tmp_path_factory, count, cut, seed):
    images, labels = some_rows(count, seed)
    paths = mnist_folder(tmp_path_factory.mktemp("idx"), "train")
    write(paths, images, labels, [min(cut, count)])
    assert (read_idx(paths[0]) == images).all()
    assert read_idx(paths[0]).shape == (count, 28, 28)
    assert (read_idx(paths[1]) == labels).all()
    assert IDX.count_rows(*paths) == count


def test_a_folder_of_train_and_test_is_a_small_mnist(tmp_path):
    for split, seed in (("train", 1), ("test", 2)):
        write(mnist_folder(tmp_path, split), *some_rows(30, seed))
    folder = tmp_path / "idx/00000"
    assert sorted(path.name for path in folder.iterdir()) == [
        "t10k-images-idx3-ubyte",
        "t10k-labels-idx1-ubyte",
        "train-images-idx3-ubyte",
        "train-labels-idx1-ubyte",
    ]
    for prefix, seed in (("train", 1), ("t10k", 2)):
        assert (read_idx(folder / f"{prefix}-images-idx3-ubyte") == some_rows(30, seed)[0]).all()


def test_a_dropped_writer_leaves_files_that_are_refused(tmp_path):
    paths = mnist_folder(tmp_path, "train")
    writer = IDX.open(*paths, image_encoding="raw", class_names=())
    writer.append(encode_rows(*some_rows(5), 0, "raw"))
    del writer
    with pytest.raises(GangenError, match="does not fit its size"):
        IDX.count_rows(*paths)


def test_images_and_labels_of_different_shards_are_noticed(tmp_path):
    write(mnist_folder(tmp_path, "train", 0), *some_rows(5))
    write(mnist_folder(tmp_path, "train", 1), *some_rows(6))
    mixed = mnist_folder(tmp_path, "train", 0)[0], mnist_folder(tmp_path, "train", 1)[1]
    with pytest.raises(GangenError, match="5 images and 6 labels"):
        IDX.count_rows(*mixed)


def test_png_is_refused(tmp_path):
    with pytest.raises(ValueError, match="raw pixels, not png"):
        IDX.open(*mnist_folder(tmp_path, "train"), image_encoding="png", class_names=())
    assert IDX.stored_as("png") == "raw"
