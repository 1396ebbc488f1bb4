"""The directions in which a generator's hands differ most, by its first layer. No network is run but that layer.

Shape suffixes: N hands, H units of the first layer, Z latent, D directions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ganmodel.labels import parse_labels
from ganmodel.latents import BLOCK_ROWS, draw_block

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ganmodel.recipe import Recipe

SAMPLE_BLOCKS = 10


def principal_directions(recipe: Recipe, count: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return latent directions along the principal components of the first layer's activations.

    Activations are centred within each label: what differs from label to label is no affair of the hand.

    Args:
        recipe: the generator.
        count: D, at most Z.

    Returns:
        Unit vectors [D, Z] float32, the strongest component first, their signs such that the largest entry is
        positive; and [D] float32, the share of the activations' variance that each component has.

    Source:
        GANSpace: Härkönen et al. 2020, arXiv:2004.02546, sec. 2.2: components of the first layer's activations, and
        the latents regressed on them.
    """
    classes, latent_dim = len(recipe.embeddings), recipe.info.generator.latent_dim
    drawn = [draw_block(0, b, latent_dim, parse_labels("balanced", classes)) for b in range(SAMPLE_BLOCKS)]
    z_NZ = np.concatenate([z for z, _ in drawn])
    label_N = np.concatenate([labels for _, labels in drawn])
    first, leaky = recipe.operations[:2]
    h_NH = np.concatenate([z_NZ, recipe.embeddings[label_N]], axis=1) @ first.kernel + first.bias
    h_NH = np.where(h_NH < 0, leaky.slope * h_NH, h_NH)
    for label in range(classes):
        h_NH[label_N == label] -= h_NH[label_N == label].mean(axis=0)
    variance_H, component_HH = np.linalg.eigh(h_NH.T @ h_NH / (SAMPLE_BLOCKS * BLOCK_ROWS))
    strongest = np.argsort(variance_H)[::-1][:count]
    score_ND = h_NH @ component_HH[:, strongest]
    # Scores of different components are uncorrelated, so that each regression is one product, up to its length.
    direction_DZ = score_ND.T @ z_NZ
    direction_DZ /= np.linalg.norm(direction_DZ, axis=1, keepdims=True)
    largest = np.take_along_axis(direction_DZ, np.abs(direction_DZ).argmax(axis=1)[:, np.newaxis], axis=1)
    shares = variance_H[strongest] / variance_H.sum()
    return np.asarray(direction_DZ * np.sign(largest), np.float32), np.asarray(shares, np.float32)
