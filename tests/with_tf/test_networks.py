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
import ganmodel.tutorial
from ganmodel.config import (
    DiscriminatorConfig,
    GeneratorConfig,
    TutorialDiscriminatorConfig,
    TutorialGeneratorConfig,
)
from ganmodel.layers import DepthToSpace, LabelMatch, NoiseDropout
from ganmodel.losses import LOSSES, gradient_penalty
from ganmodel.networks import build_discriminator, build_generator
from ganmodel.presets import PRESETS, find_preset

pytestmark = pytest.mark.tf

TINY = find_preset("tiny")
OURS = [name for name in PRESETS if name != "tutorial"]
BASELINE = TutorialGeneratorConfig(kind="tutorial", latent_dim=16, channels=(12, 8, 4))
BASELINE_D = TutorialDiscriminatorConfig(kind="tutorial", channels=(4, 8))


def inputs(latent_dim, count=6, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((count, latent_dim), dtype=np.float32), np.arange(count, dtype=np.int32) % 10


def pictures(count=6, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, (count, 28, 28, 1)).astype(np.float32)


def judge(discriminator, images, labels, **options):
    """Return a discriminator's logits, of the baseline's too, which wants noise for its dropout."""
    noises = [
        np.full((len(labels), *noise.shape[1:]), 2**15, np.uint16) for noise in discriminator.inputs[2:]
    ]
    return discriminator([images, labels, *noises], **options)


def imported(source):
    """Return the top-level packages a module's source imports."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").partition(".")[0])
    return found


@pytest.mark.parametrize("module", [ganmodel.networks, ganmodel.tutorial, ganmodel.layers, ganmodel.losses])
def test_networks_use_keras_alone(module):
    plain = {"__future__", "collections", "typing"}
    assert imported(Path(module.__file__).read_text()) <= {*plain, "keras", "ganmodel"}


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
    logits = judge(discriminator, images.numpy(), labels)
    assert logits.shape == (6,)
    assert logits.dtype == tf.float32


def count_multiply_adds(network):
    """Return a network's multiply-adds an image: each weight of a kernel once an output position."""
    total = 0
    for layer in network.layers:
        if isinstance(layer, keras.layers.Conv2D):
            total += int(np.prod(layer.kernel.shape)) * layer.output.shape[1] * layer.output.shape[2]
        elif isinstance(layer, keras.layers.Conv2DTranspose):
            total += int(np.prod(layer.kernel.shape)) * layer.input.shape[1] * layer.input.shape[2]
        elif isinstance(layer, keras.layers.Dense):
            total += int(np.prod(layer.kernel.shape))
        else:
            # An embedding is a look-up, normalisation folds away; whatever else has weights would count.
            free = keras.layers.Embedding, keras.layers.BatchNormalization
            assert isinstance(layer, free) or not layer.weights
    return total


@pytest.mark.parametrize(
    "config",
    [preset.generator for preset in PRESETS.values()]
    + [GeneratorConfig(num_classes=7, latent_dim=5, label_dim=3, hidden_units=11, channels_7=6, blocks_14=2)]
    + [BASELINE],
)
def test_the_multiply_adds_of_a_shape_are_those_of_its_layers(config):
    assert config.multiply_adds() == count_multiply_adds(build_generator(config))


@pytest.mark.parametrize("name", OURS)
def test_a_discriminator_is_as_large_as_its_generator(name):
    preset = find_preset(name)
    generator, discriminator = build_generator(preset.generator), build_discriminator(preset.discriminator)
    assert discriminator.count_params() >= 0.95 * generator.count_params()


@pytest.mark.parametrize("name", OURS)
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


@pytest.mark.parametrize("config", [TINY.discriminator, BASELINE_D], ids=["ours", "baseline"])
def test_the_label_changes_the_logit(config):
    discriminator = build_discriminator(config)
    images, labels = np.repeat(pictures(1), 10, axis=0), np.arange(10, dtype=np.int32)
    logits = judge(discriminator, images, labels).numpy()
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
    ("build", "config"),
    [
        (build_generator, TINY.generator),
        (build_discriminator, TINY.discriminator),
        (build_generator, BASELINE),
        (build_discriminator, BASELINE_D),
    ],
)
def test_a_seed_gives_the_same_weights_under_the_same_names_and_another_gives_others(build, config):
    first, again, other = build(config, seed=3), build(config, seed=3), build(config, seed=4)
    assert [v.path for v in first.variables] == [v.path for v in again.variables]
    assert all(
        np.array_equal(a.numpy(), b.numpy()) for a, b in zip(first.variables, again.variables, strict=True)
    )
    kernels = [(a, b) for a, b in zip(first.variables, other.variables, strict=True)]
    kernels = [(a, b) for a, b in kernels if a.path.endswith(("kernel", "embeddings"))]
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


def test_the_baselines_layer_names_never_change():
    """Its dropout has no state: a counter would be named by how many layers the process has made."""
    paths = [v.path for v in build_discriminator(BASELINE_D).variables if "bias" not in v.path]
    assert sorted(paths) == ["label/embeddings", "score/kernel", "to_14/kernel", "to_7/kernel"]
    norms = [f"{layer}_norm/{part}" for layer in ("at_7", "dense", "to_14") for part in NORM]
    kernels = ["at_7/kernel", "dense/kernel", "label/embeddings", "to_14/kernel", "to_28/kernel"]
    assert sorted(v.path for v in build_generator(BASELINE).variables) == sorted(kernels + norms)


NORM = ("beta", "gamma", "moving_mean", "moving_variance")


def test_the_baseline_normalises_by_the_batch_while_it_trains_and_by_moving_averages_when_it_draws():
    generator = build_generator(BASELINE)
    latents, labels = inputs(16)
    first = generator([latents, labels], training=False).numpy()
    assert generator([latents[:2], labels[:2]], training=False).numpy() == pytest.approx(first[:2], abs=1e-5)
    mean = generator.get_layer("at_7_norm").moving_mean.numpy()
    trained = generator([latents, labels], training=True).numpy()
    assert abs(trained - first).max() > 0.01
    assert (generator.get_layer("at_7_norm").moving_mean.numpy() != mean).all()
    assert abs(generator([latents, labels], training=False).numpy() - first).max() > 1e-4


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_dropout_drops_what_the_noise_says_and_keeps_the_mean(precision):
    x = np.ones((4, 100, 100), np.float32)
    noise = np.random.default_rng(0).integers(0, 2**16, x.shape, np.uint16)
    layer = NoiseDropout(0.3, dtype=precision)
    kept = layer(x.astype(layer.compute_dtype), noise, training=True)
    assert kept.dtype == layer.compute_dtype
    kept = kept.numpy().astype(np.float32)
    assert ((kept == 0) == (noise < 0.3 * 2**16)).all()
    assert kept.mean() == pytest.approx(1, abs=0.01)
    assert np.array_equal(layer(x, noise, training=False), x)
    assert NoiseDropout.from_config(layer.get_config()).get_config() == layer.get_config()


def test_a_label_match_is_the_inner_product_with_the_labels_vector():
    layer = LabelMatch(7, keras.initializers.RandomNormal(seed=1))
    rng = np.random.default_rng(0)
    features, labels = rng.standard_normal((50, 12)).astype(np.float32), rng.integers(0, 7, 50, np.int32)
    products = layer(features, labels).numpy()
    vectors = layer.embeddings.numpy()
    assert vectors.shape == (7, 12)
    assert products == pytest.approx(np.sum(features * vectors[labels], axis=1, keepdims=True), abs=1e-5)
    again = LabelMatch.from_config(layer.get_config())
    again.build((None, 12), (None,))
    assert np.array_equal(again.embeddings, vectors)


def test_the_baselines_logit_depends_on_noise_only_while_it_trains():
    discriminator = build_discriminator(BASELINE_D)
    images, labels = pictures(), np.arange(6, dtype=np.int32)
    rng = np.random.default_rng(0)
    shapes = [(6, 14, 14, 4), (6, 7, 7, 8)]
    noises = [[rng.integers(0, 2**16, shape, np.uint16) for shape in shapes] for _ in range(2)]
    trained = [discriminator([images, labels, *noise], training=True).numpy() for noise in noises]
    assert (trained[0] != trained[1]).all()
    still = [discriminator([images, labels, *noise], training=False).numpy() for noise in noises]
    assert np.array_equal(*still)


def test_losses_are_softplus_of_the_gap_and_mirror_each_other():
    real, fake = np.float32([2.0, 0.0, -3.0]), np.float32([0.0, 0.0, 4.0])
    expected = np.log1p(np.exp(np.float64([-2.0, 0.0, 7.0])))
    discriminator_loss, generator_loss = LOSSES["relativistic"]
    assert discriminator_loss(real, fake).numpy() == pytest.approx(expected, rel=1e-6)
    assert generator_loss(fake, real).numpy() == pytest.approx(expected, rel=1e-6)


def test_the_baselines_losses_are_the_cross_entropy_of_real_and_fake():
    real, fake = np.float32([2.0, 0.0, -3.0]), np.float32([0.0, -1.0, 4.0])
    discriminator_loss, generator_loss = LOSSES["cross_entropy"]
    entropy = keras.losses.BinaryCrossentropy(from_logits=True, reduction=None)
    one, zero = np.ones((3, 1), np.float32), np.zeros((3, 1), np.float32)
    expected = entropy(one, real[:, None]) + entropy(zero, fake[:, None])
    assert discriminator_loss(real, fake).numpy() == pytest.approx(expected.numpy(), rel=1e-6)
    assert generator_loss(real, fake).numpy() == pytest.approx(entropy(one, fake[:, None]).numpy(), rel=1e-6)


def test_the_penalty_is_the_squared_norm_of_each_image_by_itself():
    gradient = np.zeros((2, 28, 28, 1), np.float32)
    gradient[0, 3, 4], gradient[0, 27, 0], gradient[1] = 3.0, 4.0, 0.5
    assert gradient_penalty(gradient).numpy().tolist() == [25.0, 0.25 * 784]


def test_the_peers_discriminator_is_the_baselines_with_stock_layers():
    from benchmarks.peers.tutorial_training import tutorial_discriminator

    ours, theirs = build_discriminator(BASELINE_D), tutorial_discriminator(BASELINE_D)
    by_shape = {variable.shape: variable.numpy() for variable in ours.variables}
    assert len(by_shape) == len(ours.variables) == len(theirs.trainable_variables)
    for variable in theirs.trainable_variables:
        variable.assign(by_shape[variable.shape])
    images, labels = pictures(), np.arange(6, dtype=np.int32)
    assert theirs([images, labels]).numpy() == pytest.approx(judge(ours, images, labels).numpy(), abs=1e-5)
