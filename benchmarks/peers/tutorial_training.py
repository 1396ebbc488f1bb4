"""The training a reader of TensorFlow's DCGAN tutorial would write: stock layers, tf.data, one compiled step, float32.

What `ganmodel.steps` is compared with, by benchmarks/train.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
import tensorflow as tf
from keras import layers

from ganmodel.config import TutorialDiscriminatorConfig
from ganmodel.networks import build_discriminator, build_generator

if TYPE_CHECKING:
    from collections.abc import Callable

    from ganmodel.config import TrainConfig
    from ganmodel.data import TrainingSet


def tutorial_discriminator(config: TutorialDiscriminatorConfig) -> keras.Model:
    """Return the tutorial's discriminator, conditioned by projection as ours is; Keras' own dropout and embedding."""
    images, labels = keras.Input((28, 28, 1)), keras.Input((), dtype="int32")
    x = images
    for channels in config.channels:
        x = layers.LeakyReLU()(layers.Conv2D(channels, 5, strides=2, padding="same")(x))
        x = layers.Dropout(config.dropout)(x)
    features = layers.Flatten()(x)
    match = layers.Dot(axes=1)([features, layers.Embedding(config.num_classes, features.shape[1])(labels)])
    logit = layers.Reshape(())(layers.Add()([match, layers.Dense(1)(features)]))
    return keras.Model([images, labels], logit)


def losses(config: TrainConfig) -> tuple[Callable[[Any, Any], Any], Callable[[Any, Any], Any]]:
    """Return the losses of discriminator and generator, each of (real logits, fake logits)."""
    entropy = keras.losses.BinaryCrossentropy(from_logits=True)

    def discriminator(real: Any, fake: Any) -> Any:
        if config.loss == "cross_entropy":
            return entropy(tf.ones_like(real), real) + entropy(tf.zeros_like(fake), fake)
        return tf.reduce_mean(tf.nn.softplus(fake - real))

    def generator(real: Any, fake: Any) -> Any:
        if config.loss == "cross_entropy":
            return entropy(tf.ones_like(fake), fake)
        return tf.reduce_mean(tf.nn.softplus(real - fake))

    return discriminator, generator


def training_step(config: TrainConfig) -> Callable[[Any, Any], Any]:
    """Return the tutorial's step: one set of fake images, a tape and an optimizer a network."""
    generator = build_generator(config.generator)
    if isinstance(config.discriminator, TutorialDiscriminatorConfig):
        judge = tutorial_discriminator(config.discriminator)
    else:
        judge = build_discriminator(config.discriminator)
    optimizers = [keras.optimizers.Adam(config.learning_rate, *config.adam_betas) for _ in range(2)]
    d_loss_of, g_loss_of = losses(config)

    def logits_and_penalty(images: Any, labels: Any) -> Any:
        if not config.gamma:
            return judge([images, labels], training=True), 0.0
        with tf.GradientTape() as tape:
            tape.watch(images)
            logits = judge([images, labels], training=True)
        slopes = tape.gradient(logits, images)
        return logits, tf.reduce_mean(tf.reduce_sum(slopes**2, axis=[1, 2, 3]))

    @tf.function
    def step(images: Any, labels: Any) -> Any:
        latents = tf.random.normal([config.batch_size, config.generator.latent_dim])
        with tf.GradientTape() as g_tape, tf.GradientTape() as d_tape:
            fakes = generator([latents, labels], training=True)
            real, r1 = logits_and_penalty(images, labels)
            fake, r2 = logits_and_penalty(fakes, labels)
            g_loss = g_loss_of(real, fake)
            d_loss = d_loss_of(real, fake) + 0.5 * config.gamma * (r1 + r2)
        parts = ((g_tape, g_loss, generator), (d_tape, d_loss, judge))
        for (tape, loss, network), optimizer in zip(parts, optimizers, strict=True):
            weights = network.trainable_variables
            optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
        return d_loss

    return step


def training_loop(config: TrainConfig, training_set: TrainingSet) -> Callable[[int], None]:
    """Return a function that takes so many steps of the tutorial's and waits for the last."""
    images = (training_set.images[..., None].astype("float32") - 127.5) / 127.5
    data = tf.data.Dataset.from_tensor_slices((images, training_set.labels))
    data = data.shuffle(len(images)).repeat().batch(config.batch_size, drop_remainder=True)
    batches, step = iter(data), training_step(config)

    def run(steps: int) -> None:
        for _ in range(steps):
            loss = step(*next(batches))
        loss.numpy()

    return run
