"""The data set without the data: rows by number, and the streams of it."""

from __future__ import annotations

import itertools
import pickle
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from ganmodel import DigitFunction
from ganmodel.errors import GangenError, ModelError, RowError, SpecError
from ganmodel.labels import parse_labels
from ganmodel.rows import MAX_ROWS
from ganmodel.sampler import Sampler

pytestmark = pytest.mark.tf


@pytest.fixture(scope="module")
def digits() -> DigitFunction:
    return DigitFunction.pretrained(seed=3)


@pytest.fixture(scope="module")
def expected():
    """Blocks 0 to 2 of the same data set, as the sampler draws them for `gangen generate`."""
    sampler, rule = Sampler("pretrained", threads=None), parse_labels("balanced")
    images, labels = zip(*[sampler.draw(3, block, rule) for block in range(3)], strict=True)
    return np.concatenate(images), np.concatenate(labels)


def test_rows_are_those_the_sampler_draws(digits, expected) -> None:
    images, labels = digits[995:2005]
    assert (images.dtype, images.shape) == (np.uint8, (1010, 28, 28))
    assert (labels.dtype, labels.shape) == (np.int64, (1010,))
    np.testing.assert_array_equal(images, expected[0][995:2005])
    np.testing.assert_array_equal(labels, expected[1][995:2005])


def test_one_row_several_rows_and_steps_are_the_same_rows(digits, expected) -> None:
    image, label = digits[1234]
    assert (image.shape, type(label)) == ((28, 28), int)
    np.testing.assert_array_equal(image, expected[0][1234])
    assert label == expected[1][1234]
    rows = [2999, 0, 1234, 0]
    for asked in (rows, np.array(rows), np.array(rows, np.uint16)):
        np.testing.assert_array_equal(digits[asked][0], expected[0][rows])
        np.testing.assert_array_equal(digits[asked][1], expected[1][rows])
    np.testing.assert_array_equal(digits[10:2990:700][0], expected[0][10:2990:700])
    np.testing.assert_array_equal(digits[np.int64(7)][0], expected[0][7])


def test_no_rows_are_no_rows(digits) -> None:
    for nothing in (slice(5, 5), slice(6, 5), []):
        images, labels = digits[nothing]
        assert (images.shape, labels.shape) == ((0, 28, 28), (0,))


def test_rows_far_away_are_there_too(digits) -> None:
    images, _ = digits[MAX_ROWS - 3 : MAX_ROWS]
    assert images.max() > 200
    assert np.array_equal(images[2], digits[MAX_ROWS - 1][0])


def test_what_is_returned_is_the_callers_own(digits) -> None:
    image, _ = digits[5]
    image[:] = 0
    images, _ = digits[4:6]
    images[:] = 0
    assert digits[5][0].any()


@pytest.mark.parametrize("row", [-1, MAX_ROWS, [3, -2]])
def test_rows_that_do_not_exist_are_an_index_error(digits, row) -> None:
    with pytest.raises(RowError):
        digits[row]
    with pytest.raises(IndexError):
        digits[row]


@pytest.mark.parametrize("row", [1.5, "7", True, [True, False], [[1, 2]], [0.5], None])
def test_what_is_no_row_is_a_type_error(digits, row) -> None:
    with pytest.raises(TypeError, match="rows are a whole number, a slice or a list of whole numbers"):
        digits[row]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seed": -1}, "seed: must be from 0"),
        ({"truncation": 0}, "truncation: must be above 0 and at most 1, got 0"),
        ({"truncation": float("nan")}, "truncation: must be above 0 and at most 1, got nan"),
        ({"cached_blocks": 0}, "cached_blocks: must be 1 or more, got 0"),
        ({"precision": "fp16"}, "precision: must be one of float32, bfloat16, got 'fp16'"),
        ({"labels": "11"}, "labels are 0 to 9, got 11"),
    ],
)
def test_bad_arguments_are_refused_at_once(arguments, message) -> None:
    with pytest.raises(SpecError, match=message):
        DigitFunction.pretrained(**arguments)
    with pytest.raises(ModelError, match=r"there is no model\.json"):
        DigitFunction("nowhere")


def test_seed_labels_and_truncation_are_the_data_sets(digits) -> None:
    sampler = Sampler("pretrained", threads=None)
    sevens = DigitFunction.pretrained(seed=9, labels="7", truncation=0.5)
    images, _ = sampler.draw(9, 1, parse_labels("7"), truncation=0.5)
    np.testing.assert_array_equal(sevens[1000:2000][0], images)
    assert set(sevens[1000:2000][1]) == {7}
    assert not np.array_equal(digits[1000:2000][0], images)


def test_the_precision_is_the_data_sets_too(digits) -> None:
    rounded = DigitFunction.pretrained(seed=3, precision="bfloat16")
    block, labels = Sampler("pretrained", threads=None, precision="bfloat16").draw(
        3, 0, parse_labels("balanced")
    )
    images, found = rounded[5:9]
    np.testing.assert_array_equal(images, block[5:9])
    np.testing.assert_array_equal(found, labels[5:9])
    assert not np.array_equal(digits[0:200][0], rounded[0:200][0])


def test_the_last_blocks_are_kept_and_no_more() -> None:
    digits = DigitFunction.pretrained(cached_blocks=2)
    drawn = []
    draw = digits._draw
    digits._draw = lambda number: (drawn.append(number), draw(number))[1]
    for row in (0, 1500, 999, 1999, 2500, 1000, 0):
        digits[row]
    assert drawn == [0, 1, 2, 0]


def test_it_can_be_pickled_before_and_after_it_has_drawn(digits) -> None:
    again = pickle.loads(pickle.dumps(digits))
    assert repr(again) == repr(digits) == (
        "DigitFunction(model='pretrained', seed=3, labels='balanced', truncation=1.0, precision='float32')"
    )  # fmt: skip
    assert len(pickle.dumps(digits)) < 1000
    np.testing.assert_array_equal(again[17][0], digits[17][0])


def test_iterating_begins_at_the_first_row_and_does_not_end(digits, expected) -> None:
    rows = list(itertools.islice(digits, 12))
    np.testing.assert_array_equal([image for image, _ in rows], expected[0][:12])
    assert [label for _, label in rows] == expected[1][:12].tolist()


def test_batches_cross_the_edges_of_blocks(digits, expected) -> None:
    batches = list(digits.batches(300, first_row=500, count=1600))
    assert [len(labels) for _, labels in batches] == [300] * 5 + [100]
    np.testing.assert_array_equal(np.concatenate([images for images, _ in batches]), expected[0][500:2100])
    np.testing.assert_array_equal(np.concatenate([labels for _, labels in batches]), expected[1][500:2100])
    endless = itertools.islice(digits.batches(1500), 2)
    assert [images.shape for images, _ in endless] == [(1500, 28, 28)] * 2


@pytest.mark.parametrize(
    ("stream", "error"),
    [
        ({"batch_size": 0}, SpecError),
        ({"part": (2, 2)}, SpecError),
        ({"shuffle": -1}, SpecError),
        ({"count": 0}, RowError),
        ({"first_row": -1}, RowError),
    ],
)
def test_bad_streams_are_refused_before_the_first_batch(digits, stream, error) -> None:
    with pytest.raises(error):
        digits.batches(**stream)
    with pytest.raises(error):
        digits.as_tf_dataset(**stream)


def test_tf_data_gets_the_same_rows_in_the_same_order(digits, expected) -> None:
    import tensorflow as tf

    dataset = digits.as_tf_dataset(300, count=1000, first_row=700)
    assert dataset.element_spec[0] == tf.TensorSpec([None, 28, 28], tf.uint8)
    for _ in range(2):
        images, labels = zip(*dataset.as_numpy_iterator(), strict=True)
        np.testing.assert_array_equal(np.concatenate(images), expected[0][700:1700])
        np.testing.assert_array_equal(np.concatenate(labels), expected[1][700:1700])
    assert digits.as_tf_dataset(50).element_spec[1] == tf.TensorSpec([50], tf.int64)
    shuffled = next(iter(digits.as_tf_dataset(500, count=1000, shuffle=1)))[0].numpy()
    known = {image.tobytes() for image in expected[0][:1000]}
    assert {image.tobytes() for image in shuffled} < known
    assert not np.array_equal(shuffled, expected[0][:500])


def test_a_model_learns_from_the_stream(digits) -> None:
    import keras

    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [keras.layers.Rescaling(1 / 255), keras.layers.Flatten(), keras.layers.Dense(10)]
    )
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    history = model.fit(digits.as_tf_dataset(100), steps_per_epoch=60, shuffle=False, verbose=0)
    assert history.history["accuracy"][-1] > 0.5


def test_torch_gets_the_same_rows(digits, expected) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    stream = digits.as_torch_dataset(300, count=1000, first_row=700)
    batches = list(torch.utils.data.DataLoader(stream, batch_size=None))
    assert (batches[0][0].dtype, batches[0][1].dtype) == (torch.uint8, torch.int64)
    np.testing.assert_array_equal(torch.cat([b[0] for b in batches]).numpy(), expected[0][700:1700])
    loader = torch.utils.data.DataLoader(
        stream, batch_size=None, num_workers=2, multiprocessing_context="spawn"
    )
    images = torch.cat([images for images, _ in loader]).numpy()
    assert {i.tobytes() for i in images} == {i.tobytes() for i in expected[0][700:1700]}
    assert len(images) == 1000


def test_torch_workers_share_the_stream_with_a_stand_in_for_torch(digits, expected, monkeypatch) -> None:
    worker = SimpleNamespace(id=0, num_workers=2)
    torch = ModuleType("torch")
    torch.utils = SimpleNamespace(
        data=SimpleNamespace(IterableDataset=object, get_worker_info=lambda: worker)
    )
    torch.from_numpy = lambda array: array
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.delitem(sys.modules, "ganmodel.torch_stream", raising=False)
    stream = digits.as_torch_dataset(300, first_row=700, count=1800)
    monkeypatch.delitem(sys.modules, "ganmodel.torch_stream")
    rows = []
    for worker.id in (0, 1):
        rows += [image.tobytes() for images, _ in stream for image in images]
    assert len(rows) == 1800
    assert set(rows) == {image.tobytes() for image in expected[0][700:2500]}


def test_torch_that_is_not_there_is_one_line(digits, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "ganmodel.torch_stream", raising=False)
    with pytest.raises(SpecError, match=r"as_torch_dataset: PyTorch cannot be imported .*pip install torch"):
        digits.as_torch_dataset()


def test_a_fork_of_a_process_that_has_drawn_is_told_so(digits, monkeypatch) -> None:
    digits[0]
    monkeypatch.setattr("ganmodel.function.os.getpid", lambda: -1)
    digits[0]  # what is kept needs no TensorFlow
    with pytest.raises(GangenError, match="start workers by spawn"):
        digits[10**9]


def test_importing_the_package_loads_nothing_heavy(run_python) -> None:
    code = """
import sys
import ganmodel
light = sorted(sys.modules)
from ganmodel import DigitFunction
digits = DigitFunction.pretrained(seed=0)
print("numpy" in light, sorted({"tensorflow", "keras", "torch", "ray"} & set(sys.modules)), digits)
try: ganmodel.nothing
except AttributeError as err: print(err)
"""
    done = run_python(code)
    assert done.stdout.splitlines() == [
        "False [] DigitFunction(model='pretrained', seed=0, labels='balanced', truncation=1.0, precision='float32')",
        "module 'ganmodel' has no attribute 'nothing'",
    ], done.stderr
