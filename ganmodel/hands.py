"""Hands: a latent vector is the hand a digit is written in. Which one a row has, and the ways between them.

Hand 0 of a seed is the hand of row 0 of that seed's data set, whatever the label rule: latents are drawn first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ganmodel.latents import BLOCK_ROWS

if TYPE_CHECKING:
    from numpy.typing import NDArray


def row_hand(seed: int, row: int, latent_dim: int) -> NDArray[np.float32]:
    """Return the latent vector of a row, [Z] float32.

    Args:
        seed: of the data set.
        row: in it.
        latent_dim: Z.
    """
    rng = np.random.Generator(np.random.Philox(key=np.array([seed, row // BLOCK_ROWS], np.uint64)))
    latents = rng.standard_normal((row % BLOCK_ROWS + 1, latent_dim), dtype=np.float32)
    return np.array(latents[-1])


def between(a: NDArray[np.float32], b: NDArray[np.float32], share: float) -> NDArray[np.float32]:
    """Return the hand that lies `share` of the way from a to b, [Z] float32.

    Spherical in direction, linear in length: the straight line would pass through hands that are too typical,
    for latents of many dimensions all have about the same length (White 2016, arXiv:1609.04468, sec. 2).

    Args:
        a: [Z] float32.
        b: [Z] float32.
        share: in [0, 1].
    """
    length_a, length_b = float(np.linalg.norm(a)), float(np.linalg.norm(b))
    if length_a == 0 or length_b == 0:
        return np.asarray((1 - share) * a + share * b, np.float32)
    cosine = np.clip(np.dot(a, b) / (length_a * length_b), -1.0, 1.0)
    angle = float(np.arccos(cosine))
    if np.sin(angle) < 1e-6:
        return np.asarray((1 - share) * a + share * b, np.float32)
    direction = (np.sin((1 - share) * angle) * a / length_a + np.sin(share * angle) * b / length_b) / np.sin(
        angle
    )
    return np.asarray(direction * ((1 - share) * length_a + share * length_b), np.float32)


def walk(
    hands: NDArray[np.float32], mixes: NDArray[np.float32], frames: int, *, loop: bool
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the stations of a walk from stop to stop.

    Args:
        hands: of the stops, [S, Z] float32.
        mixes: of labels at the stops, [S, K] float32, see `ganmodel.brush`.
        frames: stations from each stop to the next, the first stop included and the next not.
        loop: whether the walk goes on from the last stop to the first, so that it can be repeated without a jump;
            else it ends at the last stop.

    Returns:
        Hands [N, Z] and mixes [N, K], float32; N is S * frames for a loop, else (S - 1) * frames + 1.
    """
    count = len(hands)
    found_hands, found_mixes = [], []
    for leg in range(count if loop else count - 1):
        here, there = leg, (leg + 1) % count
        for step in range(frames):
            share = step / frames
            found_hands.append(between(hands[here], hands[there], share))
            found_mixes.append((1 - share) * mixes[here] + share * mixes[there])
    if not loop:
        found_hands.append(hands[-1])
        found_mixes.append(mixes[-1])
    return np.asarray(found_hands, np.float32), np.asarray(found_mixes, np.float32)
