"""What is made of a classifier's judgement: score, agreement, histogram."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ganmodel.metrics.scores import classifier_score, confusion_counts, label_agreement, total_variation


def sure_of(labels):
    return np.where(np.eye(10)[labels] > 0, 50.0, -50.0).astype(np.float32)


@pytest.mark.parametrize("classes", [1, 2, 10])
def test_a_sure_classifier_scores_the_number_of_classes_it_sees(classes):
    assert classifier_score(sure_of(np.arange(1000) % classes)) == pytest.approx(classes)


def test_an_unsure_classifier_scores_one_whatever_the_logits_offset():
    assert classifier_score(np.full((20, 10), 3000.0)) == pytest.approx(1)


def test_the_score_is_the_mean_divergence_written_out():
    logits = np.random.default_rng(0).standard_normal((200, 10))
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    wanted = np.exp(np.mean([np.sum(row * np.log(row / p.mean(axis=0))) for row in p]))
    assert classifier_score(logits) == pytest.approx(wanted)


def test_a_weight_of_the_score_stands_for_as_many_copies():
    logits = np.random.default_rng(0).standard_normal((60, 10))
    weights = np.arange(60) % 3
    assert classifier_score(logits, weights) == pytest.approx(
        classifier_score(np.repeat(logits, weights, axis=0))
    )


def test_a_class_of_no_probability_is_no_trouble():
    logits = np.zeros((4, 10))
    logits[:, 3] = -np.float64(5000)
    assert classifier_score(logits) == pytest.approx(1)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1))
def test_confusion_counts_every_pair_once(pairs):
    asked, judged = np.array(pairs, np.int32).T
    counts = confusion_counts(asked, judged)
    assert counts.sum() == len(pairs)
    assert all(counts[a, b] == pairs.count((a, b)) for a, b in pairs)
    agreement, by_label = label_agreement(counts)
    assert agreement == pytest.approx((asked == judged).mean())
    for k in set(asked.tolist()):
        assert by_label[k] == pytest.approx((judged[asked == k] == k).mean())


def test_a_label_that_was_not_asked_for_agrees_with_nothing():
    agreement, by_label = label_agreement(confusion_counts(np.array([1, 1]), np.array([1, 0])))
    assert agreement == 0.5
    assert by_label == (0, 0.5, 0, 0, 0, 0, 0, 0, 0, 0)


def test_total_variation_is_the_share_that_would_have_to_move():
    even = np.full(10, 0.1)
    without_nine = np.array([0.1] * 8 + [0.2, 0.0])
    assert total_variation(even, even) == 0
    assert total_variation(without_nine, even) == pytest.approx(0.1)
    assert total_variation(np.eye(10)[0], np.eye(10)[1]) == 1
