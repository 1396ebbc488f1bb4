"""One optimizer step of each network under any `tf.distribute` strategy. No logging, no files.

Everything a step draws (which images, which latents) is a function of (seed, step), so a step can
be taken again after a crash and does the same.

Shape suffixes: B per-replica batch, G global batch, Z latent, H height, W width, C channels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import keras
import tensorflow as tf

from ganmodel.losses import discriminator_loss, generator_loss, gradient_penalty
from ganmodel.networks import build_discriminator, build_generator

if TYPE_CHECKING:
    from ganmodel.config import TrainConfig
    from ganmodel.data import BatchSource

METRIC_NAMES = ("d_loss", "g_loss", "r1", "r2", "logit_gap")


class HoldThenDecay(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
    """A constant learning rate, then a straight line down to a twentieth of it."""

    def __init__(self, peak: float, hold_steps: int, total_steps: int) -> None:
        self._peak = peak
        self._hold = hold_steps
        self._total = total_steps

    def __call__(self, step: Any) -> Any:
        """Return the learning rate of a step, float32."""
        gone = (tf.cast(step, tf.float32) - self._hold) / max(1, self._total - self._hold)
        return self._peak * (1.0 - 0.95 * tf.clip_by_value(gone, 0.0, 1.0))

    def get_config(self) -> dict[str, Any]:
        """Return the arguments, as Keras wants of a schedule."""
        return {"peak": self._peak, "hold_steps": self._hold, "total_steps": self._total}


@dataclass(slots=True)
class Networks:
    """The networks and optimizers of a run: everything a checkpoint holds."""

    generator: keras.Model
    ema: keras.Model
    discriminator: keras.Model
    generator_optimizer: keras.optimizers.Optimizer
    discriminator_optimizer: keras.optimizers.Optimizer

    def variables(self) -> dict[str, Any]:
        """Return every variable under a name that is stable over runs and Keras' own counters.

        Raises:
            RuntimeError: two variables have one name.
        """
        named: dict[str, Any] = {}
        for part in ("generator", "ema", "discriminator"):
            for variable in getattr(self, part).variables:
                named[f"{part}/{variable.path}"] = variable
        for part in ("generator_optimizer", "discriminator_optimizer"):
            for i, variable in enumerate(getattr(self, part).variables):
                named[f"{part}/{i:03d}/{variable.name}"] = variable
        expected = sum(len(getattr(self, part).variables) for part in self.__dataclass_fields__)
        if len(named) != expected:
            raise RuntimeError(f"{expected} variables share {len(named)} names")
        return named


def build_networks(config: TrainConfig) -> Networks:
    """Return freshly initialised networks and optimizers; call it within the strategy's scope."""
    seed = config.seed % 2**20
    generator = build_generator(config.generator, precision=config.precision, seed=seed)
    ema = build_generator(config.generator, precision=config.precision, seed=seed)
    discriminator = build_discriminator(config.discriminator, precision=config.precision, seed=seed)
    hold = int(config.decay_start * config.steps)
    optimizers = []
    for network in (generator, discriminator):
        # beta_1 = 0, beta_2 = 0.99: R3GAN, train.py, CIFAR-10 row; 0.999 is unstable (its appendix).
        optimizer = keras.optimizers.Adam(
            HoldThenDecay(config.learning_rate, hold, config.steps), beta_1=0.0, beta_2=0.99, epsilon=1e-8
        )
        optimizer.build(network.trainable_variables)
        optimizers.append(optimizer)
    return Networks(generator, ema, discriminator, optimizers[0], optimizers[1])


class TrainStep:
    """A compiled step: `step(number) -> metrics`, the same update for any number of replicas.

    Losses are summed over the replica's examples and divided by the global batch; gradients are
    summed over replicas, by Keras' `apply` (an all-reduce of our own would sum them twice). A mean within the
    replica would double the update on two replicas.
    """

    def __init__(
        self, config: TrainConfig, networks: Networks, batches: BatchSource, strategy: tf.distribute.Strategy
    ) -> None:
        self._config = config
        self._nets = networks
        self._batches = batches
        self._strategy = strategy
        self._replicas = strategy.num_replicas_in_sync
        self._compiled = tf.function(self._distributed)

    def __call__(self, step: int, *, stop: bool = False) -> tuple[Any, Any]:
        """Take optimizer step `step` (from 0).

        Args:
            step: its number.
            stop: whether this worker was asked to stop. The votes travel with the metrics, so that all
                workers of a group stop after the same step.

        Returns:
            Metrics in the order of `METRIC_NAMES`, [5] float32, and the number of replicas that voted to
            stop, scalar float32. Both are left on the device: reading them waits for the step.
        """
        metrics, votes = self._compiled(tf.constant(step, tf.int64), tf.constant(float(stop)))
        return metrics, votes

    def _distributed(self, step: Any, stop: Any) -> Any:
        metrics = self._strategy.run(self._replica_step, args=(step,))
        self._update_average(step)
        votes = self._strategy.run(lambda: tf.identity(stop))
        total = tf.distribute.ReduceOp.SUM
        return (
            self._strategy.reduce(total, metrics, axis=None),
            self._strategy.reduce(total, votes, axis=None),
        )

    def _replica_step(self, step: Any) -> Any:
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        replica = tf.convert_to_tensor(replica, tf.int32)
        image_BHWC, label_B = self._batches.slice(step, replica, self._replicas)
        d_loss, r1, r2 = self._discriminator_step(step, replica, image_BHWC, label_B)
        g_loss, gap = self._generator_step(step, replica, image_BHWC, label_B)
        return tf.stack([d_loss, g_loss, r1, r2, gap])

    def _latents(self, step: Any, replica: Any, network: int) -> Any:
        """Return this replica's rows of the step's latents, [B, Z] float32, N(0, 1)."""
        count = self._config.batch_size
        share = count // self._replicas
        seed = tf.stack([tf.constant(self._config.seed, tf.int64), 2 * step + network])
        z_GZ = tf.random.stateless_normal([count, self._config.generator.latent_dim], seed)
        return tf.reshape(z_GZ[replica * share : (replica + 1) * share], [share, -1])

    def _discriminator_step(self, step: Any, replica: Any, real_BHWC: Any, label_B: Any) -> Any:
        config, nets = self._config, self._nets
        fake_BHWC = nets.generator([self._latents(step, replica, 0), label_B], training=True)
        both = tf.concat([real_BHWC, tf.stop_gradient(fake_BHWC)], axis=0)
        labels = tf.concat([label_B, label_B], axis=0)
        weights = nets.discriminator.trainable_variables
        with tf.GradientTape() as outer:
            with tf.GradientTape(watch_accessed_variables=False) as inner:
                inner.watch(both)
                logits = nets.discriminator([both, labels], training=True)
            penalty = gradient_penalty(inner.gradient(logits, both))
            real_logit, fake_logit = tf.split(logits, 2)
            r1, r2 = (tf.reduce_sum(half) / config.batch_size for half in tf.split(penalty, 2))
            adversarial = tf.reduce_sum(discriminator_loss(real_logit, fake_logit)) / config.batch_size
            loss = adversarial + 0.5 * config.gamma * (r1 + r2)
        nets.discriminator_optimizer.apply(outer.gradient(loss, weights), weights)
        return adversarial, r1, r2

    def _generator_step(self, step: Any, replica: Any, real_BHWC: Any, label_B: Any) -> Any:
        config, nets = self._config, self._nets
        weights = nets.generator.trainable_variables
        real_logit = nets.discriminator([real_BHWC, label_B], training=True)
        with tf.GradientTape() as tape:
            fake_BHWC = nets.generator([self._latents(step, replica, 1), label_B], training=True)
            fake_logit = nets.discriminator([fake_BHWC, label_B], training=True)
            loss = tf.reduce_sum(generator_loss(real_logit, fake_logit)) / config.batch_size
        nets.generator_optimizer.apply(tape.gradient(loss, weights), weights)
        gap = tf.reduce_sum(real_logit - fake_logit) / config.batch_size
        return loss, gap

    def _update_average(self, step: Any) -> None:
        """Move the average towards the generator; the decay ramps up, or the first weights would linger.

        Source:
            The ramp min(decay, (1 + t) / (10 + t)) is `tf.train.ExponentialMovingAverage`'s `num_updates`.
        """
        t = tf.cast(step, tf.float32)
        share = 1.0 - tf.minimum(self._config.ema_decay, (1.0 + t) / (10.0 + t))

        def blend(average: Any, weight: Any) -> Any:
            return average.assign_add(share * (weight - average))

        extended = self._strategy.extended
        pairs = zip(self._nets.ema.weights, self._nets.generator.weights, strict=True)
        for average, weight in pairs:
            extended.update(average.value, blend, args=(weight.value,))
