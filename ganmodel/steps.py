"""One optimizer step of each network under any `tf.distribute` strategy. No logging, no files.

Everything a step draws (which images, which latents) is a function of (seed, step), so a step can
be taken again after a crash and does the same.

Shape suffixes: B per-replica batch, G global batch, Z latent, H height, W width, C channels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import keras
import tensorflow as tf

from ganmodel.losses import LOSSES, gradient_penalty
from ganmodel.networks import build_discriminator, build_generator

if TYPE_CHECKING:
    from ganmodel.config import TrainConfig
    from ganmodel.data import BatchSource

METRIC_NAMES = ("d_loss", "g_loss", "r1", "r2", "logit_gap")
LEAST_SLOPE = 1e-25
"""Of the discriminator's loss at a fake logit: never zero, for it is divided by, and too small to move a weight."""


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
        schedule = HoldThenDecay(config.learning_rate, hold, config.steps)
        beta_1, beta_2 = config.adam_betas
        optimizer = keras.optimizers.Adam(schedule, beta_1=beta_1, beta_2=beta_2, epsilon=1e-8)
        optimizer.build(network.trainable_variables)
        optimizers.append(optimizer)
    return Networks(generator, ema, discriminator, optimizers[0], optimizers[1])


def _dense(gradients: list[Any]) -> list[Any]:
    """Return the gradients as whole tensors: an embedding's come as `tf.IndexedSlices`, row by row.

    Keras 3.15 does not merge rows of one label before Adam squares them, so that a label's vector would be moved by the
    examples' squared gradients added up, not by the square of their sum.
    """
    return [tf.convert_to_tensor(gradient) for gradient in gradients]


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
        self._d_loss, self._g_loss = LOSSES[config.loss]
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
        if self._config.joint:
            return tf.stack(self._joint_step(step, replica, image_BHWC, label_B))
        d_loss, r1, r2 = self._discriminator_step(step, replica, image_BHWC, label_B)
        g_loss, gap = self._generator_step(step, replica, image_BHWC, label_B)
        return tf.stack([d_loss, g_loss, r1, r2, gap])

    def _latents(self, step: Any, replica: Any, network: int) -> Any:
        """Return this replica's rows of the step's latents, [B, Z] float32, N(0, 1)."""
        shape = [self._config.batch_size, self._config.generator.latent_dim]
        z_GZ = tf.random.stateless_normal(shape, self._seed(step, network))
        return self._share(z_GZ, replica)

    def _noise(self, step: Any, replica: Any, network: int, use: int) -> list[Any]:
        """Return this replica's rows of what dropout draws from, uint16; nothing where there is no dropout.

        `use` tells apart the calls of the discriminator for one network.
        """
        noises = []
        for i, wanted in enumerate(self._nets.discriminator.inputs[2:]):
            seed = tf.random.experimental.stateless_fold_in(self._seed(step, network), 10 * use + i)
            size = math.prod(wanted.shape[1:])
            # Bits cost what they are many: half of what floats would.
            bits_G = tf.random.stateless_uniform(
                [self._config.batch_size, -(-size // 2)], seed, minval=None, maxval=None, dtype=tf.uint32
            )
            mine = tf.reshape(tf.bitcast(self._share(bits_G, replica), tf.uint16), [-1, 2 * -(-size // 2)])
            noises.append(tf.reshape(mine[:, :size], [-1, *wanted.shape[1:]]))
        return noises

    def _seed(self, step: Any, network: int) -> Any:
        return tf.stack([tf.constant(self._config.seed, tf.int64), 2 * step + network])

    def _share(self, drawn_G: Any, replica: Any) -> Any:
        share = self._config.batch_size // self._replicas
        mine = drawn_G[replica * share : (replica + 1) * share]
        return tf.reshape(mine, [share, *drawn_G.shape[1:]])

    def _judge_both(
        self, step: Any, replica: Any, real_BHWC: Any, fake_BHWC: Any, label_B: Any
    ) -> tuple[Any, Any, Any, Any, Any]:
        """Return the logits of real and fake images, [B] each, R1, R2, and the fake ones' gradient by their images.

        Where gamma is zero so are R1 and R2, and the gradient is None.
        """
        real = [real_BHWC, label_B, *self._noise(step, replica, 0, 0)]
        fake = [fake_BHWC, label_B, *self._noise(step, replica, 0, 1)]
        judge = self._nets.discriminator
        if self._config.gamma == 0:
            return judge(real, training=True), judge(fake, training=True), tf.zeros([]), tf.zeros([]), None
        both, *others = (tf.concat(pair, axis=0) for pair in zip(real, fake, strict=True))
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(both)
            logits = judge([both, *others], training=True)
        slopes = tape.gradient(logits, both)
        r1, r2 = (self._mean(half) for half in tf.split(gradient_penalty(slopes), 2))
        return *tf.split(logits, 2), r1, r2, tf.split(slopes, 2)[1]

    def _mean(self, values_B: Any) -> Any:
        """Return this replica's share of a mean over the global batch."""
        return tf.reduce_sum(values_B) / self._config.batch_size

    def _discriminator_step(self, step: Any, replica: Any, real_BHWC: Any, label_B: Any) -> Any:
        config, nets = self._config, self._nets
        fake_BHWC = nets.generator([self._latents(step, replica, 0), label_B], training=True)
        weights = nets.discriminator.trainable_variables
        with tf.GradientTape() as tape:
            real_logit, fake_logit, r1, r2, _ = self._judge_both(step, replica, real_BHWC, fake_BHWC, label_B)
            adversarial = self._mean(self._d_loss(real_logit, fake_logit))
            loss = adversarial + 0.5 * config.gamma * (r1 + r2)
        nets.discriminator_optimizer.apply(_dense(tape.gradient(loss, weights)), weights)
        return adversarial, r1, r2

    def _generator_step(self, step: Any, replica: Any, real_BHWC: Any, label_B: Any) -> Any:
        nets = self._nets
        weights = nets.generator.trainable_variables
        noises = [self._noise(step, replica, 1, use) for use in (0, 1)]
        real_logit = nets.discriminator([real_BHWC, label_B, *noises[0]], training=True)
        with tf.GradientTape() as tape:
            fake_BHWC = nets.generator([self._latents(step, replica, 1), label_B], training=True)
            fake_logit = nets.discriminator([fake_BHWC, label_B, *noises[1]], training=True)
            loss = self._mean(self._g_loss(real_logit, fake_logit))
        nets.generator_optimizer.apply(_dense(tape.gradient(loss, weights)), weights)
        return loss, self._mean(real_logit - fake_logit)

    def _joint_step(self, step: Any, replica: Any, real_BHWC: Any, label_B: Any) -> Any:
        """Move both networks from one set of images; return the metrics in their order.

        A logit depends on its own image alone, so a loss' gradient by an image is a number, the loss' slope at the
        logit, times the logit's gradient. One pass back through the discriminator thus serves both losses.
        """
        config, nets = self._config, self._nets
        d_weights, g_weights = nets.discriminator.trainable_variables, nets.generator.trainable_variables
        with tf.GradientTape() as g_tape:
            fake_BHWC = nets.generator([self._latents(step, replica, 0), label_B], training=True)
        with tf.GradientTape() as d_tape:
            d_tape.watch(fake_BHWC)
            real_logit, fake_logit, r1, r2, slope_BHWC = self._judge_both(
                step, replica, real_BHWC, fake_BHWC, label_B
            )
            penalty = 0.5 * config.gamma * (r1 + r2)
        with tf.GradientTape(persistent=True) as tape:
            tape.watch([real_logit, fake_logit])
            adversarial = self._mean(self._d_loss(real_logit, fake_logit))
            g_loss = self._mean(self._g_loss(real_logit, fake_logit))
        d_real, d_fake = tape.gradient(adversarial, [real_logit, fake_logit])
        d_fake = tf.maximum(d_fake, LEAST_SLOPE)
        *d_gradients, weighted = d_tape.gradient(
            [real_logit, fake_logit, penalty],
            [*d_weights, fake_BHWC],
            output_gradients=[d_real, d_fake, tf.ones([])],
        )
        if slope_BHWC is None:
            slope_BHWC = weighted / d_fake[:, None, None, None]
        wanted_BHWC = tape.gradient(g_loss, fake_logit)[:, None, None, None] * slope_BHWC
        g_gradients = g_tape.gradient(fake_BHWC, g_weights, output_gradients=wanted_BHWC)
        nets.discriminator_optimizer.apply(_dense(d_gradients), d_weights)
        nets.generator_optimizer.apply(_dense(g_gradients), g_weights)
        return [adversarial, g_loss, r1, r2, self._mean(real_logit - fake_logit)]

    def _update_average(self, step: Any) -> None:
        """Move the average towards the generator; the decay ramps up, or the first weights would linger.

        The moving statistics of the baseline's normalisation are averaged like weights.

        Source:
            The ramp min(decay, (1 + t) / (10 + t)) is `tf.train.ExponentialMovingAverage`'s `num_updates`.
        """
        t = tf.cast(step, tf.float32)
        share = 1.0 - tf.minimum(self._config.ema_decay, (1.0 + t) / (10.0 + t))

        def blend(average: Any, weight: Any) -> Any:
            if self._config.ema_decay == 0:
                return average.assign(weight)
            return average.assign_add(share * (weight - average))

        extended = self._strategy.extended
        pairs = zip(self._nets.ema.weights, self._nets.generator.weights, strict=True)
        for average, weight in pairs:
            extended.update(average.value, blend, args=(weight.value,))
