"""PNG bytes and sheets, read back by Pillow."""

import io
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from ganmodel.png import concatenated, encode_png, encode_png_batch, tile

pictures = arrays(np.uint8, st.tuples(st.integers(0, 5), st.integers(1, 40), st.integers(1, 40)))


def read(png):
    """Return a PNG's pixels, after checking the CRC of every chunk."""
    with Image.open(io.BytesIO(png)) as image:
        image.verify()
    with Image.open(io.BytesIO(png)) as image:
        assert image.format == "PNG"
        assert image.mode == "L"
        return np.asarray(image)


@given(images=pictures)
def test_every_picture_reads_back_pixel_for_pixel(images):
    encoded = encode_png_batch(images)
    assert len(encoded) == len(images)
    for png, image in zip(encoded, images, strict=True):
        assert np.array_equal(read(png), image)


@given(images=pictures)
def test_a_picture_has_the_same_bytes_alone_and_in_a_batch(images):
    assert [encode_png(image) for image in images] == encode_png_batch(images)


def test_pillow_finds_no_fault_in_the_whole_file():
    png = encode_png(np.arange(784, dtype=np.uint8).reshape(28, 28))
    with Image.open(io.BytesIO(png)) as image:
        image.verify()
    damaged = png[:60] + bytes([png[60] ^ 1]) + png[61:]
    with pytest.raises(SyntaxError), Image.open(io.BytesIO(damaged)) as image:
        image.verify()


def test_pictures_that_do_not_lie_in_one_piece_of_memory_read_back_too():
    images = np.arange(4 * 28 * 28, dtype=np.uint8).reshape(4, 28, 28)[::2, ::-1, :].transpose(0, 2, 1)
    assert not images.flags.c_contiguous
    assert np.array_equal(np.stack([read(png) for png in encode_png_batch(images)]), images)


def test_real_digits_are_smaller_than_their_pixels(digits):
    sizes = [len(png) for png in encode_png_batch(digits.images[:200])]
    assert max(sizes) < 784


@given(images=pictures, columns=st.integers(1, 7), gap=st.integers(0, 3))
def test_a_sheet_holds_each_picture_in_reading_order_on_black(images, columns, gap):
    count, height, width = images.shape
    sheet = tile(images, columns, gap=gap)
    lines = -(-count // columns)
    assert sheet.shape == (lines * (height + gap) + gap, columns * (width + gap) + gap)
    for i, image in enumerate(images):
        top, left = gap + i // columns * (height + gap), gap + i % columns * (width + gap)
        assert np.array_equal(sheet[top : top + height, left : left + width], image)
        sheet[top : top + height, left : left + width] = 0
    assert not sheet.any()


@given(pieces=st.lists(st.binary(max_size=50)))
def test_joined_pieces_are_cut_apart_again_by_their_offsets(pieces):
    joined, offsets = concatenated(pieces)
    assert offsets.dtype == np.int64
    assert len(offsets) == len(pieces) + 1
    assert [joined[a:b] for a, b in pairwise(offsets)] == pieces
    assert offsets[-1] == len(joined)
