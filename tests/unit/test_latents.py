"""The block: what a row's latents and label depend on, and that they never change."""

import hashlib

import numpy as np
import pytest

from ganmodel.labels import parse_labels
from ganmodel.latents import BLOCK_ROWS, draw_block

BALANCED = parse_labels("balanced")


def test_a_block_never_changes():
    """Every data set ever described rests on these numbers: do not mend them, mend what changed."""
    latents, labels = draw_block(7, 3, 64, BALANCED)
    assert latents[0, :4].tolist() == [
        -1.4470674991607666,
        -0.9134206771850586,
        -0.5155606865882874,
        1.8603298664093018,
    ]
    assert latents[-1, -2:].tolist() == [0.8695549964904785, -1.5213673114776611]
    assert labels[:20].tolist() == [4, 8, 9, 1, 7, 6, 2, 0, 5, 3, 2, 0, 1, 7, 9, 4, 8, 5, 3, 6]
    digest = hashlib.sha256(labels.astype("<i4").tobytes()).hexdigest()
    assert digest == "c4aa049a98e0912d6ba3e9b16882b0fa758ee2bc9dcbc1dc764365705e6b5ccc"


@pytest.mark.parametrize(
    ("text", "first", "digest"),
    [
        (
            "uniform",
            [4, 1, 2, 2, 6, 4, 4, 9, 4, 2, 2, 8],
            "f79f79a7a1953592869b96f19c859a2f8f9c20e5ac39e68b54763e99a28b46aa",
        ),
        (
            "1,4,7",
            [4, 1, 7, 7, 1, 4, 4, 1, 7, 7, 4, 1],
            "16f66a5000a41d99da9127a84767b06ab92b188eca53e121b3f337d7e3dc0497",
        ),
        (
            "0=0.2,5=0.3,9=0.5",
            [9, 0, 9, 0, 5, 5, 9, 9, 5, 9, 0, 5],
            "76cb5214db211170e08f34f704c7804013085658b985585e687ecc29f5a2a055",
        ),
    ],
)
def test_no_rule_changes_either(text, first, digest):
    labels = draw_block(7, 3, 64, parse_labels(text))[1]
    assert labels[:12].tolist() == first
    assert hashlib.sha256(labels.astype("<i4").tobytes()).hexdigest() == digest


def test_latents_are_standard_normal_float32_of_the_length_asked_for():
    latents, labels = draw_block(0, 0, 64, BALANCED)
    assert latents.dtype == np.float32
    assert latents.shape == (BLOCK_ROWS, 64)
    assert labels.shape == (BLOCK_ROWS,)
    # 64,000 draws: five standard errors of the mean are 0.02, of the standard deviation 0.014.
    assert abs(latents.mean()) < 0.02
    assert abs(latents.std() - 1) < 0.014


@pytest.mark.parametrize("other", [(7, 4), (8, 3), (3, 7), (7, 3 + 2**32), (7 + 2**32, 3)])
def test_another_seed_or_block_shares_no_row(other):
    rows = {row.tobytes() for row in draw_block(7, 3, 8, BALANCED)[0]}
    assert len(rows) == BLOCK_ROWS
    assert not rows & {row.tobytes() for row in draw_block(*other, 8, BALANCED)[0]}


def test_labels_of_two_blocks_come_in_another_order():
    assert (draw_block(7, 3, 8, BALANCED)[1] != draw_block(7, 4, 8, BALANCED)[1]).any()


@pytest.mark.parametrize("text", ["uniform", "3", "0=0.5,7=0.5"])
def test_the_label_rule_leaves_the_latents_alone(text):
    assert np.array_equal(draw_block(7, 3, 64, parse_labels(text))[0], draw_block(7, 3, 64, BALANCED)[0])


def test_the_last_seed_and_the_farthest_block_can_be_drawn():
    latents, labels = draw_block(2**63 - 1, 2**53 - 1, 4, parse_labels("1,4,7"))
    assert np.isfinite(latents).all()
    assert set(labels) == {1, 4, 7}
