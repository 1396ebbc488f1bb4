"""From an exported model to blocks of digits."""

import json
import subprocess
import sys

import numpy as np
import pytest

from ganmodel.config import GeneratorConfig
from ganmodel.errors import ModelError
from ganmodel.labels import parse_labels
from ganmodel.latents import BLOCK_ROWS, draw_block
from ganmodel.model_dir import export_model
from ganmodel.networks import build_generator
from ganmodel.presets import find_preset
from ganmodel.sampler import Sampler

pytestmark = pytest.mark.tf

BALANCED = parse_labels("balanced")


def export(folder, config, *, without=(), **changes):
    """Export a generator with its first weights, which are as good as any here."""
    arrays = {v.path: v.numpy() for v in build_generator(config, seed=4).variables} | changes
    export_model(
        folder,
        name="toy",
        generator=config,
        class_names=tuple("0123456789"),
        arrays={name: array for name, array in arrays.items() if name not in without},
        training={},
    )
    return str(folder)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return export(tmp_path_factory.mktemp("model"), find_preset("tiny").generator)


@pytest.fixture(scope="module")
def sampler(model):
    return Sampler(model, threads=None)


def test_a_block_is_a_thousand_pictures_and_their_labels(sampler):
    images, labels = sampler.draw(3, 2, BALANCED)
    assert images.shape == (BLOCK_ROWS, 28, 28)
    assert images.dtype == np.uint8
    assert labels.dtype == np.int32
    assert np.array_equal(labels, draw_block(3, 2, 16, BALANCED)[1])
    assert len({image.tobytes() for image in images}) == BLOCK_ROWS
    assert np.ptp(images) > 100


def test_pixels_are_the_generators_rounded(sampler):
    latents, labels = draw_block(3, 2, 16, BALANCED)
    exact = build_generator(find_preset("tiny").generator, seed=4)([latents, labels]).numpy()[..., 0]
    gaps = sampler.draw(3, 2, BALANCED)[0] - (exact * 127.5 + 127.5)
    assert abs(gaps).max() < 0.501


def test_bfloat16_draws_nearly_the_same_pictures_and_says_so_in_its_own_bits(sampler, model):
    images, labels = sampler.draw(3, 2, BALANCED)
    other = Sampler(model, threads=None, precision="bfloat16")
    rounded, same_labels = other.draw(3, 2, BALANCED)
    assert np.array_equal(labels, same_labels)
    gaps = np.abs(images.astype(int) - rounded)
    assert 0 < gaps.mean() < 1
    assert gaps.max() < 30
    assert np.array_equal(other.draw(3, 2, BALANCED)[0], rounded)


def test_the_same_block_twice_is_the_same_to_the_bit(sampler, model):
    images, labels = sampler.draw(3, 2, BALANCED)
    sampler.draw(3, 5, BALANCED)
    for other in (sampler, Sampler(model, threads=None)):
        again, labels_again = other.draw(3, 2, BALANCED)
        assert np.array_equal(again, images)
        assert np.array_equal(labels_again, labels)


@pytest.mark.parametrize(
    ("seed", "block", "labels"), [(4, 2, "balanced"), (3, 1, "balanced"), (3, 2, "uniform"), (3, 2, "7")]
)
def test_seed_block_and_labels_each_change_the_pictures(sampler, seed, block, labels):
    images, _ = sampler.draw(3, 2, BALANCED)
    others, _ = sampler.draw(seed, block, parse_labels(labels))
    changed = (images != others).any(axis=(1, 2)).mean()
    assert changed > 0.8


def test_rows_of_the_same_label_do_not_change_with_the_rule(sampler):
    images, labels = sampler.draw(3, 2, BALANCED)
    sevens, _ = sampler.draw(3, 2, parse_labels("7"))
    gaps = images[labels == 7].astype(int) - sevens[labels == 7]
    assert abs(gaps).max() <= 1


def test_truncation_near_nothing_makes_each_class_one_picture(sampler):
    images, labels = sampler.draw(3, 2, BALANCED, truncation=1e-6)
    typical = []
    for k in range(10):
        assert np.ptp(images[labels == k], axis=0).max() <= 1
        typical.append(images[labels == k][0])
    assert len({picture.tobytes() for picture in typical}) == 10


def test_truncation_draws_pictures_nearer_to_the_typical_one(sampler):
    typical, _ = sampler.draw(3, 2, BALANCED, truncation=1e-6)
    gaps = [
        abs(sampler.draw(3, 2, BALANCED, truncation=psi)[0].astype(int) - typical).mean()
        for psi in (0.3, 0.7, 1.0)
    ]
    assert gaps[0] < gaps[1] < gaps[2]


def test_all_draws_go_through_one_traced_graph(sampler):
    for block in range(3):
        sampler.draw(block, block, BALANCED, truncation=0.5)
    assert sampler._images.experimental_get_tracing_count() == 1


def test_what_pixels_depend_on_is_recorded(sampler):
    facts = sampler.device_facts()
    assert set(facts) == {"device", "machine", "instruction_set", "tensorflow", "keras", "numpy", "drawing"}
    assert all(facts.values())


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"without": ["dense_1/bias"]}, "weights do not fit the network (first at 'dense_1/bias')"),
        ({"more": np.zeros(3, np.float32)}, "weights do not fit the network (first at 'more')"),
        ({"dense_1/bias": np.zeros(3, np.float32)}, "'dense_1/bias' has shape [3]"),
    ],
)
def test_weights_that_do_not_fit_their_description_are_refused(tmp_path, changes, reason):
    path = export(tmp_path, find_preset("tiny").generator, **changes)
    with pytest.raises(ModelError) as err:
        Sampler(path, threads=None)
    assert str(err.value) == f"--model {path}: {reason}"


def test_pixels_do_not_depend_on_the_threads(tmp_path):
    """With the shape that ships, in two processes at once: TensorFlow's threads cannot be changed."""
    path = export(tmp_path, find_preset("fast").generator)
    code = """
import hashlib, json, sys
from ganmodel.labels import parse_labels
from ganmodel.sampler import Sampler
sampler = Sampler(sys.argv[1], threads=int(sys.argv[2]))
blocks = [sampler.draw(3, block, parse_labels("balanced"))[0] for block in range(4)]
print(json.dumps([hashlib.sha256(images.tobytes()).hexdigest() for images in blocks]))
"""
    running = [
        subprocess.Popen(
            [sys.executable, "-c", code, path, threads], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for threads in ("1", "2")
    ]
    outputs = [process.communicate(timeout=180) for process in running]
    assert [process.returncode for process in running] == [0, 0], outputs
    one, two = (json.loads(stdout) for stdout, _ in outputs)
    assert len(set(one)) == 4
    assert one == two


def test_another_shape_draws_too(tmp_path):
    config = GeneratorConfig(
        latent_dim=2, label_dim=3, hidden_units=5, channels_7=3, channels_14=2, blocks_14=1
    )
    images, _ = Sampler(export(tmp_path, config), threads=None).draw(0, 0, BALANCED)
    assert images.shape == (BLOCK_ROWS, 28, 28)


def test_a_process_that_has_used_tensorflow_can_still_sample(run_python):
    code = """
from ganmodel.device import configure_tensorflow
tf = configure_tensorflow()
tf.constant(1) + 1
from ganmodel.labels import parse_labels
from ganmodel.sampler import Sampler
print(Sampler("pretrained").draw(0, 0, parse_labels("balanced"))[0].shape)
"""
    done = run_python(code)
    assert done.stdout.strip() == "(1000, 28, 28)", done.stderr
    assert done.stderr == ""
