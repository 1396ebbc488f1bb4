"""WebDataset shards: the bytes that Python's `tarfile` writes, read by it, by tar and by webdataset itself."""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ganmodel.errors import GangenError
from jobs.writers import FORMATS
from jobs.writers.encode import PGM_HEADER, encode_rows, join_rows

WEBDATASET = FORMATS["webdataset"]


def some_rows(count, first_row=0, encoding="png"):
    rng = np.random.default_rng(first_row)
    images = rng.integers(0, 256, (count, 28, 28), np.uint8)
    images[::2, :, 3:] = 0  # Some PNGs take one record of 512 bytes, some two.
    labels = rng.integers(0, 10, count).astype(np.int32)
    return images, labels, encode_rows(images, labels, first_row, encoding)


def write(path, *appends, encoding="png"):
    writer = WEBDATASET.open(path, image_encoding=encoding, class_names=tuple("0123456789"))
    for rows in appends:
        writer.append(rows)
    writer.close()


def by_tarfile(path, members):
    """Write the archive that Python's standard library makes of (name, data)."""
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))


@settings(max_examples=30)
@given(
    images=st.lists(st.binary(max_size=1600), max_size=12),
    labels=st.lists(st.integers(0, 255), min_size=12, max_size=12),
    first_row=st.integers(0, 10**12 - 12),
    cut=st.integers(0, 12),
)
def test_archives_are_those_of_tarfile_bit_for_bit_however_rows_are_appended(
    tmp_path_factory, images, labels, first_row, cut
):
    folder = tmp_path_factory.mktemp("tar")
    labels = labels[: len(images)]
    write(
        folder / "ours",
        join_rows(images[:cut], labels[:cut], first_row),
        join_rows(images[cut:], labels[cut:], first_row + len(images[:cut])),
    )
    members = []
    for row, (image, label) in enumerate(zip(images, labels, strict=True), first_row):
        members += [(f"{row:012d}.png", image), (f"{row:012d}.cls", str(label).encode())]
    by_tarfile(folder / "theirs", members)
    assert (folder / "ours").read_bytes() == (folder / "theirs").read_bytes()
    assert WEBDATASET.count_rows(folder / "theirs") == len(images)


def test_a_raw_image_is_a_pgm_file_that_any_image_library_opens(tmp_path):
    images, _, rows = some_rows(3, encoding="raw")
    write(tmp_path / "shard", rows, encoding="raw")
    with tarfile.open(tmp_path / "shard") as archive:
        assert archive.getnames()[:2] == ["000000000000.pgm", "000000000000.cls"]
        data = archive.extractfile("000000000002.pgm").read()
    assert data == PGM_HEADER + images[2].tobytes()
    assert (np.asarray(Image.open(io.BytesIO(data))) == images[2]).all()


@pytest.mark.skipif(shutil.which("tar") is None, reason="no tar here")
def test_tar_lists_every_member_and_has_nothing_to_complain_of(tmp_path):
    write(tmp_path / "shard.tar", some_rows(7)[2])
    done = subprocess.run(
        ["tar", "-tvf", str(tmp_path / "shard.tar")], capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    assert len(done.stdout.splitlines()) == 14


# webdataset 1.0 leaves the archives for the garbage collector to close.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
@pytest.mark.parametrize("encoding", ["png", "raw"])
def test_webdataset_yields_every_row_with_its_key_image_and_label(tmp_path, encoding):
    webdataset = pytest.importorskip("webdataset")
    images, labels, rows = some_rows(2500, first_row=7000, encoding=encoding)
    for shard, part in enumerate(np.split(np.arange(2500), [1000, 2000])):
        cut = encode_rows(images[part], labels[part], 7000 + int(part[0]), encoding)
        write(tmp_path / f"train-{shard:05d}.tar", cut, encoding=encoding)
    urls = [str(tmp_path / f"train-{shard:05d}.tar") for shard in range(3)]
    extension = {"png": "png", "raw": "pgm"}[encoding]
    loaded = (
        webdataset.WebDataset(urls, shardshuffle=False).decode("l8").to_tuple("__key__", extension, "cls")
    )
    keys, pictures, classes = zip(*loaded, strict=True)
    assert [int(key) for key in keys] == list(range(7000, 9500))
    assert (np.stack(pictures) == images).all()
    assert list(classes) == labels.tolist()
    assert rows.num_rows == len(keys)


def damaged(change):
    def make(path):
        data = bytearray(path.read_bytes())
        change(data)
        path.write_bytes(data)

    return make


def remove_member(data):
    del data[512 * 2 : 512 * 4]  # The first row's label, when its image has one record.


def swap_rows(data):
    data[: 512 * 4], data[512 * 4 : 512 * 8] = data[512 * 4 : 512 * 8], data[: 512 * 4]


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda data: data.__setitem__(3, ord("7")), "damaged or cut at byte 0, row 0"),
        (lambda data: data.__setitem__(512 * 4 + 130, ord("7")), "damaged or cut at byte 2,048, row 1"),
        (remove_member, "lacks a member of row 0 at byte 0"),
        (swap_rows, "lacks a member of row 1"),
        (lambda data: data.__delitem__(slice(-512, None)), "ends too early"),
        (lambda data: data.__delitem__(slice(700, None)), "damaged or cut at byte 0"),
    ],
)
def test_a_damaged_archive_is_named_with_the_place(tmp_path, change, line):
    path = tmp_path / "shard"
    write(path, join_rows([b"image"] * 4, [1, 2, 3, 4], 0))
    damaged(change)(path)
    with pytest.raises(GangenError, match=line):
        WEBDATASET.count_rows(path)
