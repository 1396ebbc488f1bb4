"""The generator and the discriminator, in Keras layers and ops only.

Shape suffixes: B batch, Z latent, K classes, H height, W width, C channels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
from keras import layers

from ganmodel.config import IMAGE_SIZE, TutorialDiscriminatorConfig, TutorialGeneratorConfig
from ganmodel.layers import DepthToSpace, LabelMatch
from ganmodel.tutorial import build_tutorial_discriminator, build_tutorial_generator

if TYPE_CHECKING:
    from ganmodel.config import AnyDiscriminatorConfig, AnyGeneratorConfig, Precision

LEAK = 0.2
"""Negative slope of LeakyReLU; GELU and Swish hurt GANs of this kind (R3GAN, appendix)."""


class _Stack:
    """Builds layers of one dtype policy with names and initial weights that never change."""

    def __init__(self, dtype: str, seed: int) -> None:
        self._dtype = dtype
        self._seed = seed
        self._count = 0

    def _init(self) -> keras.initializers.Initializer:
        self._count += 1
        return keras.initializers.HeNormal(seed=self._seed * 1000 + self._count)

    def dense(self, units: int, name: str, x: Any, *, bias: bool = True) -> Any:
        return layers.Dense(
            units, use_bias=bias, kernel_initializer=self._init(), dtype=self._dtype, name=name
        )(x)

    def conv(self, channels: int, name: str, x: Any, *, size: int = 3, stride: int = 1) -> Any:
        return layers.Conv2D(
            channels,
            size,
            strides=stride,
            padding="same",
            kernel_initializer=self._init(),
            dtype=self._dtype,
            name=name,
        )(x)

    def leaky(self, x: Any) -> Any:
        return layers.LeakyReLU(negative_slope=LEAK, dtype=self._dtype)(x)

    def residual(self, channels: int, name: str, x: Any) -> Any:
        """Two 3x3 convolutions around a skip connection; no normalisation (R3GAN, sec. 3)."""
        y = self.leaky(self.conv(channels, f"{name}_a", x))
        y = self.conv(channels, f"{name}_b", y)
        return self.leaky(layers.Add(dtype=self._dtype)([x, y]))


def build_generator(
    config: AnyGeneratorConfig, *, precision: Precision = "float32", seed: int = 0
) -> keras.Model:
    """Return the generator: (latents [B, Z] float32, labels [B] int32) -> images.

    Work is spent at 7x7 and 14x14; the last step to 28x28 is one thin convolution and a
    rearrangement. The label enters as a learned vector beside the latents, which the first dense layer
    mixes with them (R3GAN, appendix: CIFAR-10 configuration).

    Args:
        config: the shape.
        precision: Keras dtype policy; the image comes out in float32 under each.
        seed: of the initial weights.

    Returns:
        A model whose output is [B, 28, 28, 1] float32 in [-1, 1].
    """
    if isinstance(config, TutorialGeneratorConfig):
        return build_tutorial_generator(config, precision=precision, seed=seed)
    stack = _Stack(precision, seed)
    z_BZ = keras.Input((config.latent_dim,), name="latents")
    label_B = keras.Input((), dtype="int32", name="labels")
    embedded = layers.Embedding(
        config.num_classes,
        config.label_dim,
        embeddings_initializer=keras.initializers.RandomNormal(stddev=1.0, seed=seed * 1000 + 999),
        dtype=precision,
        name="label",
    )(label_B)
    x = layers.Concatenate(dtype=precision)([z_BZ, embedded])
    x = stack.leaky(stack.dense(config.hidden_units, "dense_1", x))
    x = stack.leaky(stack.dense(49 * config.channels_7, "dense_2", x))
    x = layers.Reshape((7, 7, config.channels_7), dtype=precision)(x)
    for i in range(config.blocks_7):
        x = stack.residual(config.channels_7, f"block_7_{i}", x)
    x = stack.conv(4 * config.channels_14, "to_14", x)
    x = stack.leaky(DepthToSpace(dtype=precision)(x))
    for i in range(config.blocks_14):
        x = stack.residual(config.channels_14, f"block_14_{i}", x)
    x = DepthToSpace(dtype=precision)(stack.conv(4, "to_28", x))
    image = layers.Activation("tanh", dtype="float32", name="image")(x)
    return keras.Model([z_BZ, label_B], image, name="generator")


def build_discriminator(
    config: AnyDiscriminatorConfig, *, precision: Precision = "float32", seed: int = 0
) -> keras.Model:
    """Return the discriminator: (images, labels [B] int32) -> logits.

    The label enters by projection: the logit is linear(h) + <embedding(label), h>
    (Miyato and Koyama 2018, arXiv:1802.05637, eq. 3). No batch normalisation: a logit must depend
    on its own image alone, or the gradient penalties are not what they claim to be.

    Args:
        config: the shape.
        precision: Keras dtype policy; logits come out in float32 under each.
        seed: of the initial weights.

    Returns:
        A model from ([B, 28, 28, 1] float32 in [-1, 1], [B] int32) to [B] float32 logits. The baseline's takes
        noise for its dropout as further inputs.
    """
    if isinstance(config, TutorialDiscriminatorConfig):
        return build_tutorial_discriminator(config, precision=precision, seed=seed)
    stack = _Stack(precision, seed + 1)
    image_BHWC = keras.Input((IMAGE_SIZE, IMAGE_SIZE, 1), name="images")
    label_B = keras.Input((), dtype="int32", name="labels")
    at_14, at_7, at_4 = config.channels
    x = stack.leaky(stack.conv(at_14, "to_14", image_BHWC, size=5, stride=2))
    for i in range(config.blocks_14):
        x = stack.residual(at_14, f"block_14_{i}", x)
    x = stack.leaky(stack.conv(at_7, "to_7", x, stride=2))
    for i in range(config.blocks_7):
        x = stack.residual(at_7, f"block_7_{i}", x)
    x = stack.leaky(stack.conv(at_4, "to_4", x, stride=2))
    x = layers.Flatten(dtype=precision)(x)
    hidden = stack.leaky(stack.dense(config.hidden_units, "hidden", x))
    initial = keras.initializers.RandomNormal(stddev=config.hidden_units**-0.5, seed=(seed + 1) * 1000 + 999)
    match = LabelMatch(config.num_classes, initial, dtype="float32", name="label")(hidden, label_B)
    score = layers.Dense(
        1,
        use_bias=False,  # it would cancel in a loss of differences
        kernel_initializer=keras.initializers.GlorotUniform(seed=(seed + 1) * 1000 + 998),
        dtype="float32",
        name="score",
    )(hidden)
    logit = layers.Reshape((), dtype="float32", name="logit")(layers.Add(dtype="float32")([match, score]))
    return keras.Model([image_BHWC, label_B], logit, name="discriminator")


def label_embedding(generator: keras.Model) -> Any:
    """Return the learned vectors that stand for the labels, [K, E] float32."""
    return generator.get_layer("label").get_weights()[0]


def without_embedding(generator: keras.Model) -> keras.Model:
    """Return what follows a generator's label embedding: (latents [B, Z], vectors [B, E]) -> images.

    The two share their weights.
    """
    return keras.Model([generator.inputs[0], generator.get_layer("label").output], generator.outputs[0])
