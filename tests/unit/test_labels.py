"""The label rules: their balance, their arithmetic far out, and how they are written."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ganmodel.errors import SpecError
from ganmodel.labels import WEIGHT_SCALE, LabelRule, parse_labels
from ganmodel.latents import BLOCK_ROWS

FAR_BLOCK = 10**12 // BLOCK_ROWS
"""The block that holds row 1e12, the largest count a data set may have."""

SMALL_BLOCK = 100
"""Rows of a block here: the rules take any, and edges come ten times as often."""


def draw(rule, first_block, num_blocks, *, rows=SMALL_BLOCK, seed=0):
    """Return the labels of neighbouring blocks, each drawn by a generator of its own."""
    return np.concatenate(
        [
            rule.draw(block * rows, rows, np.random.default_rng([seed, block]))
            for block in range(first_block, first_block + num_blocks)
        ]
    )


def prefix_counts(labels, classes):
    """Return how often each class occurs in each prefix, [rows, classes]."""
    return np.cumsum(labels[:, None] == np.asarray(classes), axis=0)


subsets = st.sets(st.integers(0, 9), min_size=1).map(sorted)


@given(classes=subsets, seed=st.integers(0, 2**31))
def test_every_prefix_of_a_balanced_rule_is_balanced_to_within_one(classes, seed):
    rule = parse_labels(",".join(map(str, classes)))
    counts = prefix_counts(draw(rule, 0, 5, seed=seed), classes)
    assert (counts.sum(axis=1) == np.arange(1, 5 * SMALL_BLOCK + 1)).all()
    assert (counts.max(axis=1) - counts.min(axis=1) <= 1).all()


@pytest.mark.parametrize("text", ["balanced", "1,4,7", "0,1,2,3,4,5,6", "5"])
@pytest.mark.parametrize("first_block", [0, FAR_BLOCK])
def test_balance_holds_in_whole_blocks_whose_groups_cross_the_edges(text, first_block):
    # The far blocks begin in the middle of a group of 3 or 7: three rows of neighbours complete it.
    rule = parse_labels(text)
    labels = draw(rule, first_block, 3, rows=BLOCK_ROWS)
    size = len(rule.classes)
    lead = -first_block * BLOCK_ROWS % size
    groups = labels[lead : lead + (len(labels) - lead) // size * size].reshape(-1, size)
    assert (np.sort(groups, axis=1) == rule.classes).all()


def test_a_thousand_times_a_thousand_rows_hold_exactly_a_tenth_of_each_label():
    labels = draw(parse_labels("balanced"), 0, 1000, rows=BLOCK_ROWS)
    assert np.bincount(labels).tolist() == [100_000] * 10


@given(text=st.sampled_from(["balanced", "0,1,2", "uniform", "2=1,3=2"]), block=st.integers(0, FAR_BLOCK))
def test_labels_of_a_block_come_shuffled_and_as_int32(text, block):
    rule = parse_labels(text)
    labels = rule.draw(block * BLOCK_ROWS, BLOCK_ROWS, np.random.default_rng(block))
    assert labels.dtype == np.int32
    assert labels.shape == (BLOCK_ROWS,)
    assert set(labels) <= set(rule.classes)
    assert (labels[:-1] > labels[1:]).any()


def test_uniform_draws_each_class_about_equally_but_not_exactly():
    counts = np.bincount(draw(parse_labels("uniform"), 0, 100, rows=BLOCK_ROWS))
    assert len(counts) == 10
    assert abs(counts - 10_000).max() < 500  # five standard deviations are 474
    assert set(counts) != {10_000}


weightings = st.dictionaries(st.integers(0, 9), st.integers(1, 1000), min_size=1, max_size=10)


@given(shares=weightings, seed=st.integers(0, 2**31))
def test_weighted_blocks_have_their_shares_to_within_two_rows_at_every_block_end(shares, seed):
    rule = parse_labels(",".join(f"{k}={share}" for k, share in shares.items()))
    counts = prefix_counts(draw(rule, 0, 6, seed=seed), rule.classes)[SMALL_BLOCK - 1 :: SMALL_BLOCK]
    rows = SMALL_BLOCK * np.arange(1, 7)[:, None]
    assert abs(counts - rows * np.asarray(rule.weights) / WEIGHT_SCALE).max() <= 2


def occurrences_before(rule, row):
    """Return the class of every row before `row`, by exact arithmetic on the due times (2 j + 1) / (2 w)."""
    due = [
        ((2 * j + 1) * WEIGHT_SCALE * 10**9 // (2 * w), i)
        for i, w in enumerate(rule.weights)
        for j in range(row * w // WEIGHT_SCALE + 2)
    ]
    return [rule.classes[i] for _, i in sorted(due)[:row]]


@pytest.mark.parametrize("text", ["0=0.5,7=0.5", "0=1,1=2,2=4", "3=0.999999,4=0.000001", "1=0.3,2=0.3,9=0.4"])
def test_weighted_blocks_hold_what_one_exact_sequence_over_all_rows_gives_them(text):
    rule = parse_labels(text)
    expected = np.asarray(occurrences_before(rule, 5 * SMALL_BLOCK)).reshape(5, -1)
    drawn = draw(rule, 0, 5).reshape(5, -1)
    assert (np.sort(drawn, axis=1) == np.sort(expected, axis=1)).all()


@given(shares=weightings, back=st.integers(0, 10**6))
def test_far_out_every_occurrence_is_given_once_whatever_the_size_of_the_blocks(shares, back):
    rule = parse_labels(",".join(f"{k}={share}" for k, share in shares.items()))
    first = 10**12 - back
    rng = np.random.default_rng(0)
    whole = rule.draw(first, 700, rng)
    pieces = np.concatenate([rule.draw(first + start, 100, rng) for start in range(0, 700, 100)])
    assert sorted(whole) == sorted(pieces)
    counts = prefix_counts(whole, rule.classes)[-1]
    # Either end may be two rows off its share.
    assert abs(counts - 700 * np.asarray(rule.weights) / WEIGHT_SCALE).max() <= 4


def test_shares_add_up_over_a_million_rows_to_the_row():
    labels = draw(parse_labels("0=0.2,1=0.3,7=0.5"), 0, 1000, rows=BLOCK_ROWS)
    counts = np.bincount(labels)
    assert counts[[0, 1, 7]].tolist() == [200_000, 300_000, 500_000]


@given(shares=weightings)
def test_weights_are_whole_millionths_that_sum_to_a_million(shares):
    rule = parse_labels(",".join(f"{k}={share}" for k, share in shares.items()))
    assert sum(rule.weights) == WEIGHT_SCALE
    assert rule.classes == tuple(sorted(shares))


rules = (
    st.sampled_from(["balanced", "uniform"])
    | subsets.map(lambda classes: ",".join(map(str, classes)))
    | weightings.map(lambda shares: ",".join(f"{k}={share}" for k, share in shares.items()))
)


@given(text=rules)
def test_the_canonical_form_reads_back_as_the_same_rule(text):
    rule = parse_labels(text)
    assert parse_labels(str(rule)) == rule


@pytest.mark.parametrize(
    ("typed", "canonical"),
    [
        ("balanced", "0,1,2,3,4,5,6,7,8,9"),
        (" Balanced ", "0,1,2,3,4,5,6,7,8,9"),
        ("UNIFORM", "uniform"),
        ("3", "3"),
        ("1, 0", "0,1"),
        ("7=0.5,0=0.5", "0=0.500000,7=0.500000"),
        ("0=1,1=1,2=1", "0=0.333334,1=0.333333,2=0.333333"),
        ("0=2e0,1=6", "0=0.250000,1=0.750000"),
    ],
)
def test_one_rule_has_one_canonical_form_however_it_is_typed(typed, canonical):
    assert str(parse_labels(typed)) == canonical


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "cannot read ''"),
        (",", "cannot read ','"),
        ("even", "cannot read 'even'"),
        ("0;1", "cannot read '0;1'"),
        ("0.5", "cannot read"),
        ("0=", "cannot read"),
        ("=0.5", "cannot read"),
        ("0=half", "cannot read"),
        ("0=1/2", "cannot read"),
        ("0=nan,1=1", "cannot read"),
        ("0=inf,1=1", "cannot read"),
        ("0=1e999999999,1=1", "cannot read"),
        ("10", "labels are 0 to 9, got 10"),
        ("-1", "labels are 0 to 9, got -1"),
        ("3,3", "named twice in '3,3'"),
        ("0=1,1", "every label a share or none"),
        ("0=0,1=1", "must be positive"),
        ("0=-1,1=2", "must be positive"),
        ("0=1e-999999999,1=1", "must be positive"),
        ("0=1,1=1e7", "one in a million"),
    ],
)
def test_a_rule_that_cannot_be_followed_is_refused_in_one_line(text, reason):
    with pytest.raises(SpecError, match=r"^--labels: ") as err:
        parse_labels(text)
    assert reason in str(err.value)
    assert "\n" not in str(err.value)


def test_labels_may_reach_as_far_as_the_classes_of_the_model():
    assert parse_labels("11", num_classes=12).classes == (11,)
    with pytest.raises(SpecError, match="labels are 0 to 4, got 5"):
        parse_labels("5", num_classes=5)


@given(classes=subsets, num_rows=st.integers(0, 5 * SMALL_BLOCK))
def test_expected_counts_are_right_to_within_one_and_sum_to_the_rows(classes, num_rows):
    rule = parse_labels(",".join(map(str, classes)))
    counts = rule.expected_counts(num_rows)
    drawn = draw(rule, 0, 5)[:num_rows]
    assert sum(counts.values()) == num_rows
    assert all(abs(count - np.count_nonzero(drawn == k)) <= 1 for k, count in counts.items())


def test_a_rule_that_draws_each_row_for_itself_expects_no_exact_counts():
    rule = parse_labels("uniform")
    assert not rule.is_exact
    assert rule.expected_counts(1000) is None


@given(shares=weightings, blocks=st.integers(0, 5))
def test_shares_are_expected_to_the_row_where_a_block_ends(shares, blocks):
    rule = parse_labels(",".join(f"{k}={share}" for k, share in shares.items()))
    drawn = draw(rule, 0, blocks) if blocks else np.zeros(0, int)
    assert rule.is_exact
    expected = rule.expected_counts(len(drawn))
    assert expected == {k: int(np.count_nonzero(drawn == k)) for k in rule.classes}


def test_a_rule_is_a_value():
    assert parse_labels("0,1") == LabelRule(kind="cycle", classes=(0, 1))
    assert hash(parse_labels("0,1")) == hash(parse_labels("1,0"))
