"""The block: the unit of randomness and of inference.

A data set is a function of the row index because nothing here depends on anything but the seed, the
label rule and the block's number. Changing a line of `draw_block` changes every data set ever described;
a golden test holds its values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ganmodel.labels import Labels

BLOCK_ROWS = 1000
"""Rows of a block. One block is one call of the generator, of one fixed shape."""


def draw_block(
    seed: int, block: int, latent_dim: int, labels: Labels
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Return the latents and labels of a block.

    The latents are drawn before the labels: two data sets of one seed that differ in their label rule
    alone show the same hands writing other digits.

    Args:
        seed: in [0, 2**63), the data set's.
        block: in [0, 2**53), so that rows fit an int64; holds rows block * BLOCK_ROWS and on.
        latent_dim: Z.
        labels: where they come from.

    Returns:
        Latents [BLOCK_ROWS, Z] float32, N(0, 1), and labels [BLOCK_ROWS] int32.

    Source:
        Philox, a counter-based generator: Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3".
    """
    rng = np.random.Generator(np.random.Philox(key=np.array([seed, block], np.uint64)))
    latents = rng.standard_normal((BLOCK_ROWS, latent_dim), dtype=np.float32)
    return latents, labels.draw(block * BLOCK_ROWS, BLOCK_ROWS, rng)
