"""The adversarial rule, per example: no means, no devices, no logging.

Shape suffixes: B per-replica batch. The caller sums and divides by the global batch, so that the
step does not change with the number of replicas.
"""

from __future__ import annotations

from typing import Any

from keras import ops


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
