"""The graph that draws gives what the Keras model gives."""

import keras
import numpy as np
import pytest

from ganmodel.config import GeneratorConfig
from ganmodel.inference import drawing_graph, fold_convolution
from ganmodel.layers import DepthToSpace
from ganmodel.networks import build_generator
from ganmodel.presets import find_preset

pytestmark = pytest.mark.tf


def test_a_folded_convolution_is_the_one_between_the_rearrangements():
    rng = np.random.default_rng(0)
    coarse = rng.standard_normal((2, 7, 7, 4 * 5)).astype(np.float32)
    kernel = rng.standard_normal((3, 3, 5, 4)).astype(np.float32)
    bias = rng.standard_normal(4).astype(np.float32)
    fine = keras.ops.conv(DepthToSpace()(coarse), kernel, padding="same") + bias
    expected = DepthToSpace()(fine).numpy()[..., 0]
    folded_kernel, folded_bias = fold_convolution(kernel, bias)
    folded = keras.ops.conv(coarse, folded_kernel, padding="same").numpy() + folded_bias
    pixels = folded.reshape(2, 7, 7, 4, 4).transpose(0, 1, 3, 2, 4).reshape(2, 28, 28)
    np.testing.assert_allclose(pixels, expected, atol=1e-5)


@pytest.mark.parametrize(
    "config",
    [
        find_preset("fast").generator,
        GeneratorConfig(hidden_units=16, channels_7=4, blocks_7=1, channels_14=3, blocks_14=1),
        find_preset("tutorial").generator,
    ],
    ids=["folded", "residual at 14x14", "tutorial"],
)
def test_every_shape_is_drawn_as_its_network_draws_it(config):
    network = build_generator(config, seed=3)
    rng = np.random.default_rng(1)
    for variable in network.variables:  # Biases are born as zeros, which would hide where they go.
        variable.assign_add(0.05 * rng.standard_normal(variable.shape).astype(np.float32))
    latents = rng.standard_normal((20, config.latent_dim)).astype(np.float32)
    labels = np.arange(20, dtype=np.int32) % 10
    exact = network([latents, labels]).numpy()[..., 0] * 127.5 + 127.5
    drawn = drawing_graph(network, config)(latents, labels).numpy()
    assert drawn.shape == (20, 28, 28)
    assert np.ptp(drawn) > 100
    assert np.abs(drawn - exact).max() < 0.51
