"""The sample sheet and the collapse watch, with generators made of plain NumPy."""

import numpy as np
import pytest

from ganmodel.data import TrainingSet
from ganmodel.errors import TrainingFailed
from ganmodel.monitor import SHEET_COLUMNS, CollapseWatch, SampleSheet


def real_digits(training_set):
    """Return a 'generator' that shows the set's own digits of the labels asked for, each another one."""

    def generator(inputs, training):
        assert training is False
        _, labels = inputs
        seen = dict.fromkeys(range(10), 0)
        rows = []
        for label in labels:
            rows.append(np.flatnonzero(training_set.labels == label)[20 + seen[label]])
            seen[label] += 1
        return training_set.images[rows][..., None] / 127.5 - 1.0

    return generator


def one_picture_a_class(inputs, training):
    _, labels = inputs
    return np.broadcast_to(labels[:, None, None, None] / 10.0, (len(labels), 28, 28, 1))


@pytest.fixture(scope="module")
def sheet(tiny_config, digits):
    return SampleSheet(tiny_config(), digits)


def test_real_digits_are_about_as_diverse_as_real_digits(sheet, digits):
    assert 0.8 < sheet.diversity(real_digits(digits)) < 1.2


def test_one_picture_a_class_has_no_diversity(sheet):
    assert sheet.diversity(one_picture_a_class) == 0


def test_half_as_far_apart_is_half_as_diverse(sheet, digits):
    whole = sheet.diversity(real_digits(digits))
    faded = sheet.diversity(lambda inputs, training: real_digits(digits)(inputs, training) / 2)
    assert faded == pytest.approx(whole / 2, rel=0.02)


def test_a_sheet_has_a_row_a_class_and_a_column_a_latent(sheet, tiny_config):
    seen = []

    def generator(inputs, training):
        seen.append(inputs)
        return one_picture_a_class(inputs, training)

    picture = sheet.draw(generator)
    latents, labels = seen[0]
    assert picture.shape == (10 * 30 + 2, SHEET_COLUMNS * 30 + 2)
    assert picture.dtype == np.uint8
    assert picture[5 + 30 * 3, 5] == round(0.3 * 127.5 + 127.5)
    assert labels.tolist() == [k for k in range(10) for _ in range(SHEET_COLUMNS)]
    assert latents.shape == (100, tiny_config().generator.latent_dim)
    assert all(np.array_equal(latents[:10], latents[10 * k : 10 * k + 10]) for k in range(10))


def test_pixels_are_rounded_and_cut_to_the_range(sheet):
    levels = np.resize(np.array([-1.5, -1.0, -0.999, 0.0, 0.999, 1.0, 1.5]), 100)
    picture = sheet.draw(
        lambda inputs, training: np.broadcast_to(levels[:, None, None, None], (100, 28, 28, 1))
    )
    assert [int(picture[5, 5 + 30 * i]) for i in range(7)] == [0, 0, 0, 128, 255, 255, 255]


def test_a_set_of_one_picture_a_class_cannot_be_less_diverse(tiny_config):
    images = np.stack([np.full((28, 28), 20 * k, np.uint8) for k in range(10)])
    lonely = TrainingSet(name="lonely", images=images, labels=np.arange(10, dtype=np.int32))
    assert SampleSheet(tiny_config(), lonely).diversity(one_picture_a_class) == 1


def looks(*diversities, first=CollapseWatch.GRACE_STEPS):
    watch = CollapseWatch()
    for i, diversity in enumerate(diversities):
        watch.check(first + i, diversity)


def test_three_collapsed_looks_in_a_row_stop_the_run():
    with pytest.raises(
        TrainingFailed, match=r"^step 2002: the generator has collapsed: .* by 0\.05 of"
    ) as err:
        looks(0.05, 0.05, 0.05)
    assert err.value.exit_code == 5
    assert "\n" not in str(err.value)


def test_a_look_that_is_no_collapse_starts_the_count_anew():
    looks(0.05, 0.05, 0.5, 0.05, 0.05)
    looks(0.1, 0.1, 0.1, 0.1)


def test_early_looks_do_not_count():
    looks(0.0, 0.0, 0.0, 0.0, first=CollapseWatch.GRACE_STEPS - 4)
    looks(0.0, 0.0, 0.0, 0.0, first=CollapseWatch.GRACE_STEPS - 2)
    with pytest.raises(TrainingFailed):
        looks(0.0, 0.0, 0.0, 0.0, first=CollapseWatch.GRACE_STEPS - 1)
