"""The baseline: the networks of TensorFlow's DCGAN tutorial, made class-conditional. Keras layers and ops only.

Ours are measured against them; nothing ships from here. This is the one generator with batch normalisation: the
tutorial's needs it, and it is what ours does without: it makes an image depend on the others of its batch while it
trains, and on moving averages, more state to keep and to average, when it draws.

Shape suffixes: B batch, Z latent, H height, W width, C channels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
from keras import layers

from ganmodel.config import IMAGE_SIZE
from ganmodel.layers import LabelMatch, NoiseDropout

if TYPE_CHECKING:
    from ganmodel.config import Precision, TutorialDiscriminatorConfig, TutorialGeneratorConfig

LEAK = 0.3
"""Negative slope of LeakyReLU: Keras' default."""


def _kernel(seed: int, number: int) -> keras.initializers.Initializer:
    return keras.initializers.GlorotUniform(seed=seed * 1000 + number)


def build_tutorial_generator(
    config: TutorialGeneratorConfig, *, precision: Precision = "float32", seed: int = 0
) -> keras.Model:
    """Return the generator: (latents [B, Z] float32, labels [B] int32) -> images.

    The label enters as a learned vector beside the latents. Means and variances of batch normalisation are
    taken over all replicas, so that a step does not depend on their number.

    Args:
        config: the shape.
        precision: Keras dtype policy; the image comes out in float32 under each.
        seed: of the initial weights.

    Returns:
        A model whose output is [B, 28, 28, 1] float32 in [-1, 1].
    """
    first, at_7, at_14 = config.channels

    def normalised(name: str, x: Any) -> Any:
        x = layers.BatchNormalization(synchronized=True, dtype=precision, name=name)(x)
        return layers.LeakyReLU(negative_slope=LEAK, dtype=precision)(x)

    def transposed(channels: int, stride: int, name: str, number: int, x: Any) -> Any:
        return layers.Conv2DTranspose(
            channels,
            5,
            strides=stride,
            padding="same",
            use_bias=False,
            kernel_initializer=_kernel(seed, number),
            dtype=precision,
            name=name,
        )(x)

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
    x = layers.Dense(
        49 * first, use_bias=False, kernel_initializer=_kernel(seed, 1), dtype=precision, name="dense"
    )(x)
    x = normalised("dense_norm", x)
    x = layers.Reshape((7, 7, first), dtype=precision)(x)
    x = normalised("at_7_norm", transposed(at_7, 1, "at_7", 2, x))
    x = normalised("to_14_norm", transposed(at_14, 2, "to_14", 3, x))
    x = transposed(1, 2, "to_28", 4, x)
    image = layers.Activation("tanh", dtype="float32", name="image")(x)
    return keras.Model([z_BZ, label_B], image, name="generator")


def build_tutorial_discriminator(
    config: TutorialDiscriminatorConfig, *, precision: Precision = "float32", seed: int = 0
) -> keras.Model:
    """Return the discriminator: (images, labels [B] int32, noise, noise) -> logits.

    The label enters by projection, as in ours. Dropout takes its randomness as two more inputs.

    Args:
        config: the shape.
        precision: Keras dtype policy; logits come out in float32 under each.
        seed: of the initial weights.

    Returns:
        A model from [B, 28, 28, 1] float32 in [-1, 1], [B] int32, and uint16, all values alike, of the shapes of the
        activations at 14x14 and 7x7, to [B] float32 logits.
    """
    seed += 1
    image_BHWC = keras.Input((IMAGE_SIZE, IMAGE_SIZE, 1), name="images")
    label_B = keras.Input((), dtype="int32", name="labels")
    noises = []
    x = image_BHWC
    for number, (size, channels) in enumerate(zip((14, 7), config.channels, strict=True), start=1):
        x = layers.Conv2D(
            channels,
            5,
            strides=2,
            padding="same",
            kernel_initializer=_kernel(seed, number),
            dtype=precision,
            name=f"to_{size}",
        )(x)
        x = layers.LeakyReLU(negative_slope=LEAK, dtype=precision)(x)
        noises.append(keras.Input((size, size, channels), dtype="uint16", name=f"noise_{size}"))
        x = NoiseDropout(config.dropout, dtype=precision)(x, noises[-1])
    features = layers.Flatten(dtype=precision)(x)
    width = features.shape[1]
    match = LabelMatch(
        config.num_classes,
        keras.initializers.RandomNormal(stddev=width**-0.5, seed=seed * 1000 + 999),
        dtype="float32",
        name="label",
    )(features, label_B)
    score = layers.Dense(1, kernel_initializer=_kernel(seed, 3), dtype="float32", name="score")(features)
    logit = layers.Reshape((), dtype="float32", name="logit")(layers.Add(dtype="float32")([match, score]))
    return keras.Model([image_BHWC, label_B, *noises], logit, name="discriminator")
