"""The adversarial rule, per example: no means, no devices, no logging.

Shape suffixes: B per-replica batch. The caller sums and divides by the global batch, so that the
step does not change with the number of replicas.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from keras import ops

if TYPE_CHECKING:
    from collections.abc import Callable

    from ganmodel.config import LossName


def discriminator_loss(real_logit_B: Any, fake_logit_B: Any) -> Any:
    """Return the relativistic pairing loss of the discriminator, [B] float32.

    softplus(-(D(x) - D(G(z)))) with x and G(z) of the same label.

    Source:
        R3GAN, arXiv:2501.05441, eq. 2 with f(t) = -log(1 + exp(-t)).
    """
    return ops.softplus(fake_logit_B - real_logit_B)


def generator_loss(real_logit_B: Any, fake_logit_B: Any) -> Any:
    """Return the relativistic pairing loss of the generator, [B] float32.

    softplus(-(D(G(z)) - D(x))) with x and G(z) of the same label.

    Source:
        R3GAN, arXiv:2501.05441, eq. 2, the generator's side in non-saturating form.
    """
    return ops.softplus(real_logit_B - fake_logit_B)


def cross_entropy_discriminator_loss(real_logit_B: Any, fake_logit_B: Any) -> Any:
    """Return the classic loss of the discriminator, [B] float32: -log D(x) - log(1 - D(G(z))).

    Source:
        Goodfellow et al. 2014, arXiv:1406.2661, eq. 1, in logits.
    """
    return ops.softplus(-real_logit_B) + ops.softplus(fake_logit_B)


def cross_entropy_generator_loss(real_logit_B: Any, fake_logit_B: Any) -> Any:
    """Return the classic loss of the generator in non-saturating form, [B] float32: -log D(G(z)).

    Source:
        Goodfellow et al. 2014, arXiv:1406.2661, sec. 3, last paragraph.
    """
    del real_logit_B
    return ops.softplus(-fake_logit_B)


LOSSES: dict[LossName, tuple[Callable[[Any, Any], Any], Callable[[Any, Any], Any]]] = {
    "relativistic": (discriminator_loss, generator_loss),
    "cross_entropy": (cross_entropy_discriminator_loss, cross_entropy_generator_loss),
}
"""The discriminator's and the generator's loss, by `TrainConfig.loss`."""


def gradient_penalty(gradient_BHWC: Any) -> Any:
    """Return the squared norm of each image's gradient, [B] float32.

    R1 when the gradient is taken at real images, R2 at generated ones. Summed over pixels, not
    averaged, and without a root, whose derivative is infinite at zero.

    Args:
        gradient_BHWC: gradient of the logits by the images, [B, 28, 28, 1] float32.

    Source:
        Mescheder et al. 2018, arXiv:1801.04406, eq. 9; R3GAN, arXiv:2501.05441, eq. 4.
    """
    return ops.sum(ops.square(gradient_BHWC), axis=(1, 2, 3))
