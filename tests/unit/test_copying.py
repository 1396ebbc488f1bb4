"""The search for memorised digits, on real ones."""

import numpy as np
import pytest

from ganmodel.copying import memorisation
from ganmodel.data import load_test_set
from ganmodel.figures import Subject


@pytest.fixture(scope="module")
def held_out():
    return load_test_set("digits")


def subject_of(images, labels):
    return Subject(images=images, labels=labels)


def by_name(figures):
    return {figure.metric: figure for figure in figures}


def noisy(images, seed=0):
    noise = np.random.default_rng(seed).normal(0, 25, images.shape)
    return np.clip(images + noise, 0, 255).astype(np.uint8)


def test_a_copier_is_caught_by_both_figures(digits, held_out):
    rows = np.random.default_rng(5).permutation(1500)[:400]
    figures, found = memorisation(subject_of(digits.images[rows], digits.labels[rows]), digits, held_out)
    caught = by_name(figures)
    assert caught["nn_p1"].value == 0 < 1 < caught["nn_p1"].real
    assert caught["nn_ratio"].value < caught["nn_ratio"].real - 0.1
    assert caught["nn_ratio"].samples == 400
    assert np.array_equal(found.closest[:, 0], found.closest[:, 1])
    assert not np.array_equal(found.closest[:, 0], found.closest[:, 2])


def test_a_copier_that_makes_copies_paler_is_caught_too(digits, held_out):
    rows = np.random.default_rng(5).permutation(1500)[:400]
    images = (digits.images[rows] * 0.95).astype(np.uint8)
    caught = by_name(memorisation(subject_of(images, digits.labels[rows]), digits, held_out)[0])
    assert caught["nn_p1"].value < 0.5 * caught["nn_p1"].real


def test_one_copy_among_a_hundred_stands_first_among_the_pairs_of_its_label(digits, held_out):
    images = noisy(held_out.images[:200])
    images[150] = digits.images[77]
    _, found = memorisation(subject_of(images, held_out.labels[:200]), digits, held_out, pairs=3)
    assert found.closest.shape == (30, 3, 28, 28)
    first = 3 * held_out.labels[150]
    assert np.array_equal(found.closest[first, 0], digits.images[77])
    assert np.array_equal(found.closest[first, 1], digits.images[77])
    assert not np.array_equal(found.closest[first + 1, 0], found.closest[first + 1, 1])


def test_digits_as_far_from_either_set_have_a_ratio_near_one(held_out):
    """Two sets of one distribution: the training split's own halves."""
    from ganmodel.data import TrainingSet, load_training_set

    whole = load_training_set("digits")
    order = np.random.default_rng(0).permutation(1500)
    train, test, other = (
        TrainingSet(name="part", images=whole.images[rows], labels=whole.labels[rows])
        for rows in np.split(order, 3)
    )
    figures, found = memorisation(subject_of(other.images, other.labels), train, test)
    ratio = by_name(figures)["nn_ratio"]
    assert ratio.value == pytest.approx(1, abs=0.04)
    assert ratio.real == pytest.approx(1, abs=0.06)
    p1 = by_name(figures)["nn_p1"]
    assert p1.value == pytest.approx(p1.real, rel=0.3)
    assert len(found.nn_train) == len(found.nn_held_out) == 500
    assert len(found.real_nn_train) == len(found.real_nn_held_out) == 250


def test_distances_are_in_white_pixels_and_the_pairs_show_the_nearest(digits, held_out):
    images = noisy(held_out.images[:50])
    figures, found = memorisation(subject_of(images, held_out.labels[:50]), digits, held_out, pairs=50)
    gaps = np.linalg.norm(
        (images[:, None] / 255 - digits.images[None].astype(np.float32) / 255).reshape(50, 1500, 784), axis=2
    )
    assert by_name(figures)["nn_p1"].value == pytest.approx(np.percentile(gaps.min(axis=1), 1), rel=1e-4)
    nearest_first = np.lexsort((gaps.min(axis=1), held_out.labels[:50]))
    assert np.array_equal(found.closest[:, 0], images[nearest_first])
    assert np.array_equal(found.closest[:, 1], digits.images[gaps.argmin(axis=1)[nearest_first]])


def test_the_sets_searched_do_not_depend_on_the_subject(digits, held_out):
    first, second = (
        memorisation(subject_of(noisy(held_out.images[:n]), held_out.labels[:n]), digits, held_out)[0]
        for n in (120, 297)
    )
    assert by_name(first)["nn_p1"].real == by_name(second)["nn_p1"].real


def test_one_label_copied_shows_in_that_label_alone(digits, held_out):
    images, labels = noisy(held_out.images), held_out.labels.copy()
    rows = np.flatnonzero(digits.labels == 3)[:40]
    images[labels == 3] = digits.images[rows[: (labels == 3).sum()]]
    figures = by_name(memorisation(subject_of(images, labels), digits, held_out)[0])
    assert figures["nn_p1"].per_class[3] == 0
    assert min(p1 for k, p1 in enumerate(figures["nn_p1"].per_class) if k != 3) > 0.5
    ratio = figures["nn_ratio"].per_class
    assert ratio[3] == min(ratio)
