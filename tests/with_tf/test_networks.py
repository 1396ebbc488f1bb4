"""The networks, their layers and losses."""

import ast
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import ganmodel.layers
import ganmodel.losses
import ganmodel.networks
from ganmodel.config import DiscriminatorConfig, GeneratorConfig
from ganmodel.layers import DepthToSpace
from ganmodel.losses import discriminator_loss, generator_loss, gradient_penalty
from ganmodel.networks import build_discriminator, build_generator
from ganmodel.presets import PRESETS, find_preset

pytestmark = pytest.mark.tf

TINY = find_preset("tiny")


def inputs(latent_dim, count=6, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((count, latent_dim), dtype=np.float32), np.arange(count, dtype=np.int32) % 10


def pictures(count=6, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, (count, 28, 28, 1)).astype(np.float32)


def imported(source):
    """Return the top-level packages a module's source imports."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").partition(".")[0])
    return found


@pytest.mark.parametrize("module", [ganmodel.networks, ganmodel.layers, ganmodel.losses])
def test_networks_use_keras_alone(module):
    assert imported(Path(module.__file__).read_text()) <= {"__future__", "typing", "keras", "ganmodel"}


def test_an_import_of_tensorflow_would_be_noticed():
    assert imported("import os\nimport tensorflow.math as m") == {"os", "tensorflow"}
    assert imported("def f():\n    from tensorflow.math import add") == {"tensorflow"}


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_builds_networks_of_the_promised_shapes_dtypes_and_range(name):
    preset = find_preset(name)
    generator, discriminator = build_generator(preset.generator), build_discriminator(preset.discriminator)
    latents, labels = inputs(preset.generator.latent_dim)
    images = generator([30 * latents, labels])
    assert images.shape == (6, 28, 28, 1)
    assert images.dtype == tf.float32
    assert float(tf.reduce_max(tf.abs(images))) <= 1
    assert float(tf.reduce_max(images) - tf.reduce_min(images)) > 0.5
    logits = discriminator([images.numpy(), labels])
    assert logits.shape == (6,)
    assert logits.dtype == tf.float32


def count_multiply_adds(network):
    """Return a network's multiply-adds an image: each weight of a kernel once an output position."""
    total = 0
    for layer in network.layers:
        if isinstance(layer, keras.layers.Conv2D):
            total += int(np.prod(layer.kernel.shape)) * layer.output.shape[1] * layer.output.shape[2]
        elif isinstance(layer, keras.layers.Dense):
            total += int(np.prod(layer.kernel.shape))
        else:
            # An embedding is a look-up; whatever else has weights would have to be counted.
            assert isinstance(layer, keras.layers.Embedding) or not layer.weights
    return total


@pytest.mark.parametrize(
    "config",
    [preset.generator for preset in PRESETS.values()]
    + [GeneratorConfig(num_classes=7, latent_dim=5, label_dim=3, hidden_units=11, channels_7=6, blocks_14=2)],
)
def test_the_multiply_adds_of_a_shape_are_those_of_its_layers(config):
    assert config.multiply_adds() == count_multiply_adds(build_generator(config))


@pytest.mark.parametrize("name", PRESETS)
def test_a_discriminator_is_as_large_as_its_generator(name):
    preset = find_preset(name)
    generator, discriminator = build_generator(preset.generator), build_discriminator(preset.discriminator)
    assert discriminator.count_params() >= 0.95 * generator.count_params()


@pytest.mark.parametrize("name", PRESETS)
def test_no_layer_mixes_the_examples_of_a_batch(name):
    preset = find_preset(name)
    for network in (build_generator(preset.generator), build_discriminator(preset.discriminator)):
        kinds = {type(layer).__name__ for layer in network.layers}
        assert not {kind for kind in kinds if "Norm" in kind or "Dropout" in kind}
        assert not network.non_trainable_variables


def test_a_logit_depends_on_its_own_image_alone():
    discriminator = build_discriminator(TINY.discriminator)
    labels = np.arange(6, dtype=np.int32)
    logits = discriminator([pictures(), labels]).numpy()
    others = pictures(seed=1)
    others[2] = pictures()[2]
    mixed = discriminator([others, labels]).numpy()
    assert mixed[2] == pytest.approx(logits[2], rel=1e-5)
    assert (abs(np.delete(mixed, 2) - np.delete(logits, 2)) > 1e-5).all()


def test_label_and_latents_each_change_the_image():
    generator = build_generator(TINY.generator)
    latents, _ = inputs(16, count=10)
    same_latents = generator([np.repeat(latents[:1], 10, axis=0), np.arange(10, dtype=np.int32)]).numpy()
    same_label = generator([latents, np.full(10, 3, np.int32)]).numpy()
    for images in (same_latents, same_label):
        gaps = abs(images[:, None] - images[None]).mean(axis=(2, 3, 4))
        assert (gaps[~np.eye(10, dtype=bool)] > 0.01).all()


def test_the_label_changes_the_logit():
    discriminator = build_discriminator(TINY.discriminator)
    logits = discriminator([np.repeat(pictures(1), 10, axis=0), np.arange(10, dtype=np.int32)]).numpy()
    assert len(np.unique(logits.round(5))) == 10


def test_bfloat16_networks_keep_float32_weights_and_results_near_float32s():
    generator = build_generator(TINY.generator, precision="mixed_bfloat16")
    discriminator = build_discriminator(TINY.discriminator, precision="mixed_bfloat16")
    assert generator.get_layer("dense_2").compute_dtype == "bfloat16"
    assert discriminator.get_layer("to_7").compute_dtype == "bfloat16"
    assert {v.dtype for v in generator.variables + discriminator.variables} == {"float32"}
    latents, labels = inputs(16)
    images, logits = generator([latents, labels]), discriminator([pictures(), labels])
    assert images.dtype == logits.dtype == tf.float32
    exact_images = build_generator(TINY.generator)([latents, labels])
    exact_logits = build_discriminator(TINY.discriminator)([pictures(), labels])
    assert 0 < float(tf.reduce_max(tf.abs(images - exact_images))) < 0.1
    assert float(tf.reduce_max(tf.abs(logits - exact_logits))) < 0.1


@pytest.mark.parametrize(
    ("build", "config"), [(build_generator, TINY.generator), (build_discriminator, TINY.discriminator)]
)
def test_a_seed_gives_the_same_weights_under_the_same_names_and_another_gives_others(build, config):
    first, again, other = build(config, seed=3), build(config, seed=3), build(config, seed=4)
    assert [v.path for v in first.variables] == [v.path for v in again.variables]
    assert all(
        np.array_equal(a.numpy(), b.numpy()) for a, b in zip(first.variables, again.variables, strict=True)
    )
    kernels = [(a, b) for a, b in zip(first.variables, other.variables, strict=True) if "bias" not in a.path]
    assert all((a.numpy() != b.numpy()).any() for a, b in kernels)


def test_layer_names_never_change():
    """A checkpoint or exported model finds its arrays by these names."""
    generator = build_generator(GeneratorConfig(blocks_14=1))
    discriminator = build_discriminator(DiscriminatorConfig())
    assert sorted(v.path for v in generator.variables if "bias" not in v.path) == [
        "block_14_0_a/kernel",
        "block_14_0_b/kernel",
        "block_7_0_a/kernel",
        "block_7_0_b/kernel",
        "dense_1/kernel",
        "dense_2/kernel",
        "label/embeddings",
        "to_14/kernel",
        "to_28/kernel",
    ]
    assert sorted(v.path for v in discriminator.variables if "bias" not in v.path) == [
        "block_14_0_a/kernel",
        "block_14_0_b/kernel",
        "block_7_0_a/kernel",
        "block_7_0_b/kernel",
        "hidden/kernel",
        "label/embeddings",
        "score/kernel",
        "to_14/kernel",
        "to_4/kernel",
        "to_7/kernel",
    ]


def test_depth_to_space_is_tensorflows():
    x = np.random.default_rng(0).standard_normal((2, 3, 5, 12)).astype(np.float32)
    assert np.array_equal(DepthToSpace()(x), tf.nn.depth_to_space(x, 2))
    assert DepthToSpace().compute_output_shape((None, 3, 5, 12)) == (None, 6, 10, 3)
    with pytest.raises(ValueError, match="must be known"):
        DepthToSpace().compute_output_shape((None, None, 5, 12))


def test_losses_are_softplus_of_the_gap_and_mirror_each_other():
    real, fake = np.float32([2.0, 0.0, -3.0]), np.float32([0.0, 0.0, 4.0])
    expected = np.log1p(np.exp(np.float64([-2.0, 0.0, 7.0])))
    assert discriminator_loss(real, fake).numpy() == pytest.approx(expected, rel=1e-6)
    assert generator_loss(fake, real).numpy() == pytest.approx(expected, rel=1e-6)


def test_the_penalty_is_the_squared_norm_of_each_image_by_itself():
    gradient = np.zeros((2, 28, 28, 1), np.float32)
    gradient[0, 3, 4], gradient[0, 27, 0], gradient[1] = 3.0, 4.0, 0.5
    assert gradient_penalty(gradient).numpy().tolist() == [25.0, 0.25 * 784]
