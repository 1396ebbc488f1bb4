"""PNG bytes and sheets, read back by Pillow."""

import hashlib
import io
import zlib
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from ganmodel.png import concatenated, decode_png_batch, encode_png, tile
from ganmodel.png_block import encode_png_block

GOLDEN_BLOCK = "32dd304978fb1c397f94e3620ee75cb2ade3716522a2180532cf20796a8e6d4f"

pictures = arrays(np.uint8, st.tuples(st.integers(0, 5), st.integers(1, 40), st.integers(1, 40)))


def encode_each(images):
    """Return the PNG of each picture of a block."""
    data, offsets = encode_png_block(images)
    return [data[a:b] for a, b in pairwise(offsets.tolist())]


def read(png):
    """Return a PNG's pixels, after checking the CRC of every chunk."""
    with Image.open(io.BytesIO(png)) as image:
        image.verify()
    with Image.open(io.BytesIO(png)) as image:
        assert image.format == "PNG"
        assert image.mode == "L"
        return np.asarray(image)


@given(images=pictures)
def test_every_picture_of_a_block_reads_back_pixel_for_pixel(images):
    encoded = encode_each(images)
    assert len(encoded) == len(images)
    for png, image in zip(encoded, images, strict=True):
        assert np.array_equal(read(png), image)
    if len(images):
        assert np.array_equal(decode_png_batch(encoded, *images.shape[1:]), images)


@given(images=pictures)
def test_a_picture_alone_reads_back_pixel_for_pixel(images):
    for image in images:
        assert np.array_equal(read(encode_png(image)), image)


@pytest.mark.parametrize("value", [0, 1, 143, 144, 255])
@pytest.mark.parametrize(
    "length", [1, 2, 3, 4, 7, 8, 9, 10, 11, 12, 257, 258, 259, 260, 261, 262, 516, 517, 518, 519, 520]
)
def test_runs_of_every_kind_of_length_read_back(value, length):
    """A run of deflate is 3 to 258 bytes; shorter rests are literals, and the picture may end anywhere in one."""
    line = np.full((1, 1, length), value, np.uint8)
    inside = np.full((1, 1, length + 20), 7, np.uint8)
    inside[..., 10:-10] = value
    for images in (line, inside):
        assert np.array_equal(read(encode_each(images)[0]), images[0])


def test_every_byte_and_every_run_has_its_code():
    """The longest code there is, nine bits, a thousand times over: a picture that is larger than its pixels."""
    noise = np.random.default_rng(0).integers(144, 256, (3, 28, 28)).astype(np.uint8)
    noise[0] = np.arange(144, 144 + 28)
    for image, png in zip(noise, encode_each(noise), strict=True):
        assert np.array_equal(read(png), image)
        assert len(png) > 784
    stairs = np.concatenate([np.full(run, run % 2 * 255) for run in range(1, 300)])
    images = np.resize(stairs, (1, 30, -(-len(stairs) // 30))).astype(np.uint8)
    assert np.array_equal(read(encode_each(images)[0]), images[0])


def test_a_block_has_the_bytes_it_always_had():
    """Shards are compared by their bytes, so these must not change with a library's version, nor with ours."""
    images = (
        (np.arange(2 * 28 * 28) % 97 * (np.arange(2 * 28 * 28) % 5 == 0)).astype(np.uint8).reshape(2, 28, 28)
    )
    data, offsets = encode_png_block(images)
    assert hashlib.sha256(data).hexdigest() == GOLDEN_BLOCK
    assert offsets[0] == 0
    assert offsets[-1] == len(data)


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
    assert np.array_equal(np.stack([read(png) for png in encode_each(images)]), images)


def test_files_are_at_most_15_percent_larger_than_zlibs_smallest(digits):
    """Enlarged by interpolation these digits are all greys, the worst there is for codes made for strokes on black."""
    lines = np.pad(digits.images[:500], ((0, 0), (0, 0), (1, 0)))
    smallest = sum(len(zlib.compress(line.tobytes(), 9)) + 57 for line in lines)
    assert len(encode_png_block(digits.images[:500])[0]) < 1.15 * smallest


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
