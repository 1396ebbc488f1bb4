"""A generator as the graph that draws: the same digits as the Keras model, sooner.

Three things are done to it, each measured in docs/performance.md: weights become constants, so that nothing is read or
cast at each call; the last convolution is folded onto the grid before it; and pixels are put into their places as
bytes, four at a time, after they were rounded.

Shape suffixes: B batch, C channels in, O channels out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ganmodel.config import GeneratorConfig

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from ganmodel.config import AnyGeneratorConfig


DRAWING = "2"
"""Recorded with every row; to be raised whenever what is below draws other pixels than before on the same machine."""


def fold_convolution(kernel: NDArray[Any], bias: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return a 3x3 convolution between two depth-to-space steps as one on the grid before both.

    Where four channels come out, as at the end of the generator, the original leaves three quarters of a vector
    register empty and waits for the rearrangement before it; folded, sixteen come out and the rearrangement is gone. It
    multiplies by zero three times of four and is still the quicker one.

    Args:
        kernel: [3, 3, C, 4], of the convolution on the doubled grid with zero padding.
        bias: [4].

    Returns:
        Kernel [3, 3, 4 C, 16] and bias [16]. Channel 4 y + x that comes out is pixel (y, x) of the 4x4 pixels that
        stand for a place of the coarse grid.
    """
    channels = kernel.shape[2]
    # Coarse offset (y, x), then which of the four fine places the input and the output stand for, then the pixel in it.
    folded = np.zeros((3, 3, 2, 2, channels, 2, 2, 2, 2), kernel.dtype)
    for row in (0, 1):
        for column in (0, 1):
            for dy in (-1, 0, 1):
                for dx in (-1, 0, 1):
                    above, from_row = divmod(row + dy, 2)
                    beside, from_column = divmod(column + dx, 2)
                    folded[above + 1, beside + 1, from_row, from_column, :, row, :, column, :] = kernel[
                        dy + 1, dx + 1
                    ].reshape(channels, 2, 2)
    tiled = np.broadcast_to(bias.reshape(1, 2, 1, 2), (2, 2, 2, 2))
    return folded.reshape(3, 3, 4 * channels, 16), tiled.reshape(16)


def drawing_graph(network: Any, config: AnyGeneratorConfig) -> Callable[[Any, Any], Any]:
    """Return (latents [B, Z] float32, labels [B] int32) -> images [B, 28, 28] uint8, to be traced once.

    Args:
        network: the generator, of the precision it is to compute in.
        config: its shape. Shapes without residual blocks at 14x14 are folded, others are drawn as they stand.
    """
    import tensorflow as tf

    def to_bytes(image: Any) -> Any:
        # tanh ends within [-1, 1], so nothing needs clipping.
        return tf.cast(tf.round(tf.cast(image, tf.float32) * 127.5 + 127.5), tf.uint8)

    if not isinstance(config, GeneratorConfig) or config.blocks_14:
        whole = _with_constants(network)
        return lambda z_BZ, label_B: to_bytes(whole([z_BZ, label_B])[..., 0])

    import keras

    from ganmodel.networks import LEAK

    before = _with_constants(keras.Model(network.inputs, network.get_layer("to_14").output))
    last = network.get_layer("to_28")
    kernel, bias = (tf.constant(a, last.compute_dtype) for a in fold_convolution(*last.get_weights()))

    def draw(z_BZ: Any, label_B: Any) -> Any:
        # A convolution and the leaky ReLU right behind it are one oneDNN call; the rearrangement may come later.
        x = tf.nn.leaky_relu(before([z_BZ, label_B]), LEAK)
        x = tf.nn.bias_add(tf.nn.conv2d(x, kernel, 1, "SAME"), bias)
        pixels = to_bytes(tf.tanh(tf.cast(x, tf.float32)))
        quads = tf.bitcast(tf.reshape(pixels, (-1, 7, 7, 4, 4)), tf.int32)
        return tf.reshape(tf.bitcast(tf.transpose(quads, (0, 1, 3, 2)), tf.uint8), (-1, 28, 28))

    return draw


def _with_constants(network: Any) -> Callable[[Any], Any]:
    """Return the network with its weights as constants of whatever graph it is traced in."""
    import tensorflow as tf

    weights = [variable.numpy() for variable in network.trainable_variables]
    others = [variable.numpy() for variable in network.non_trainable_variables]

    def call(inputs: Any) -> Any:
        outputs, _ = network.stateless_call(
            [tf.constant(w) for w in weights], [tf.constant(w) for w in others], inputs, training=False
        )
        return outputs

    return call
