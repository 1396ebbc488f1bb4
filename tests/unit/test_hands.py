"""Hands and the ways between them."""

from __future__ import annotations

import numpy as np
import pytest

from ganmodel.hands import between, row_hand, walk
from ganmodel.labels import parse_labels
from ganmodel.latents import draw_block


@pytest.mark.parametrize("row", [0, 1, 999, 1000, 2345])
def test_the_hand_of_a_row_is_its_latent(row: int) -> None:
    latents, _ = draw_block(7, row // 1000, 64, parse_labels("uniform"))
    np.testing.assert_array_equal(row_hand(7, row, 64), latents[row % 1000])


def test_between_two_hands_lies_neither_nearer_to_the_centre_nor_farther() -> None:
    a, b = row_hand(0, 0, 64), row_hand(1, 0, 64)
    np.testing.assert_allclose(between(a, b, 0), a, atol=1e-5)
    np.testing.assert_allclose(between(a, b, 1), b, atol=1e-5)
    lengths = [np.linalg.norm(between(a, b, share)) for share in np.linspace(0, 1, 11)]
    np.testing.assert_allclose(lengths, np.linspace(np.linalg.norm(a), np.linalg.norm(b), 11), rtol=1e-5)
    assert np.linalg.norm((a + b) / 2) < 0.8 * lengths[5]
    angles = [np.arccos(np.dot(between(a, b, s), a) / np.linalg.norm(between(a, b, s)) / np.linalg.norm(a))
              for s in (0.25, 0.5, 1)]  # fmt: skip
    assert angles[0] * 2 == pytest.approx(angles[1], rel=1e-3)
    assert angles[1] * 2 == pytest.approx(angles[2], rel=1e-3)


def test_hands_that_lie_on_one_line_have_a_way_between_them() -> None:
    a = row_hand(0, 0, 64)
    np.testing.assert_allclose(between(a, a, 0.3), a, atol=1e-6)
    for b in (-a, np.zeros_like(a), 2 * a):
        assert np.isfinite(between(a, b, 0.5)).all()
        np.testing.assert_allclose(between(a, b, 1), b, atol=1e-5)


def test_a_loop_ends_one_step_before_it_began_and_an_open_walk_at_its_last_stop() -> None:
    hands = np.stack([row_hand(seed, 0, 8) for seed in range(3)])
    mixes = np.eye(10, dtype=np.float32)[[3, 8, 3]]
    loop_hands, loop_mixes = walk(hands, mixes, 4, loop=True)
    open_hands, open_mixes = walk(hands, mixes, 4, loop=False)
    assert (loop_hands.shape, loop_mixes.shape) == ((12, 8), (12, 10))
    assert (open_hands.shape, open_mixes.shape) == ((9, 8), (9, 10))
    np.testing.assert_allclose(loop_hands[::4], hands, atol=1e-6)
    np.testing.assert_allclose(open_hands[-1], hands[-1], atol=1e-6)
    steps = np.linalg.norm(np.diff(np.vstack([loop_hands, loop_hands[:1]]), axis=0), axis=1)
    assert steps.max() < 2.5 * steps.min()
    np.testing.assert_allclose(loop_mixes.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(loop_mixes[1, [3, 8]], [0.75, 0.25])
