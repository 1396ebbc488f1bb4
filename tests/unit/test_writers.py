"""The formats, without TensorFlow: what is in the files, and that a file that is not whole is noticed."""

from __future__ import annotations

import errno
import gc
import io
import json
import resource
import tempfile
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ganmodel.errors import GangenError
from ganmodel.png import decode_png_batch, encode_png
from jobs.card import CardFacts, SplitFacts, render_card
from jobs.tfds_metadata import TfdsDataset, TfdsSplit, render_metadata
from jobs.writers import FORMATS, format_of, warm_up
from jobs.writers.encode import PGM_HEADER, DamagedFile, EncodedRows, decode_rows, encode_rows
from jobs.writers.parquet import ROW_GROUP_ROWS

GOLDEN_RECORD = (
    "36000000000000004f578cef0a340a110a05696d61676512080a060a04504e47210a0f0a05696e64"
    "657812061a040a02ac020a0e0a056c6162656c12051a030a01077751ec0b"
)
"""Image b"PNG!", index 300, label 7, as TensorFlow 2.21 writes them."""

CLASSES = tuple("0123456789")
ENCODINGS = ("png", "raw")


def random_rows(count, first_row=0, seed=0):
    rng = np.random.default_rng([seed, first_row])
    images = rng.integers(0, 256, (count, 28, 28), np.uint8)
    images[:, :, 4:] = 0  # so that the sizes of the PNGs differ and compression has something to do
    return images, rng.integers(0, 10, count).astype(np.int32)


def write(path, format_name, encoding, counts, first_row=0):
    """Write appends of `counts` rows; return all images and labels."""
    images, labels = random_rows(sum(counts), first_row)
    writer = FORMATS[format_name].open(
        *files(path, format_name), image_encoding=encoding, class_names=CLASSES
    )
    start = 0
    for count in counts:
        cut = slice(start, start + count)
        writer.append(encode_rows(images[cut], labels[cut], first_row + start, encoding))
        start += count
    writer.close()
    return images, labels


def files(path, format_name):
    """Return the paths of a shard's files: `path` itself, or one a part beside it."""
    return [path.with_name(path.name + key.removeprefix(format_name)) for key in FORMATS[format_name].keys]


def count_rows(path, format_name):
    return FORMATS[format_name].count_rows(*files(path, format_name))


def decoded(data):
    return np.asarray(Image.open(io.BytesIO(data)))


KINDS = [(f.name, e) for f in FORMATS.values() for e in ENCODINGS if f.stored_as(e) == e]


@pytest.fixture(params=KINDS, ids="-".join)
def kind(request):
    """A format's name and an image encoding that it can store."""
    return request.param


# --- rows as bytes


def test_png_rows_decode_to_the_images():
    images, labels = random_rows(5)
    rows = encode_rows(images, labels, 7, "png")
    assert rows.first_row == 7
    assert (rows.labels == labels).all()
    assert rows.labels.dtype == rows.offsets.dtype == np.int64
    for i, image in enumerate(images):
        assert (decoded(rows.data[rows.offsets[i] : rows.offsets[i + 1]]) == image).all()


def test_raw_rows_are_784_bytes_each_even_from_a_strided_view():
    images, labels = random_rows(6)
    rows = encode_rows(images[::2], labels[::2], 0, "raw")
    assert rows.offsets.tolist() == [0, 784, 1568, 2352]
    assert rows.data == np.ascontiguousarray(images[::2]).tobytes()


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize(
    "images",
    [np.zeros((3, 28, 27), np.uint8), np.zeros((2, 28, 28), np.uint8), np.zeros((3, 28, 28), np.int32)],
)
def test_images_of_another_shape_or_dtype_are_refused(images, encoding):
    with pytest.raises(ValueError, match=r"images must be \[3, 28, 28\] uint8, got"):
        encode_rows(images, np.zeros(3, np.int32), 0, encoding)


# --- both formats


def test_files_are_named_for_a_dataset_that_can_grow():
    assert FORMATS["parquet"].file_names("gangen_mnist", "train", 42) == ("data/train-00042.parquet",)
    (name,) = FORMATS["tfrecord"].file_names("gangen_mnist", "train", 42)
    assert name == "tfds/gangen_mnist/1.0.0/gangen_mnist-train.tfrecord-00042"
    assert FORMATS["webdataset"].file_names("gangen_mnist", "test", 42) == ("webdataset/test-00042.tar",)


def test_idx_files_have_the_names_that_mnist_loaders_look_for_in_a_folder():
    idx = FORMATS["idx"]
    assert idx.file_names("d", "train", 42) == (
        "idx/00042/train-images-idx3-ubyte",
        "idx/00042/train-labels-idx1-ubyte",
    )
    assert idx.file_names("d", "test", 42) == (
        "idx/00042/t10k-images-idx3-ubyte",
        "idx/00042/t10k-labels-idx1-ubyte",
    )


def test_every_format_is_found_by_its_name_and_keeps_to_its_folder():
    for name, kind in FORMATS.items():
        assert kind.name == name == format_of(kind.keys[-1])
        names = [*kind.file_names("d", "train", 0), *kind.file_names("d", "test", 0)]
        assert len(set(names)) == 2 * len(kind.keys)
        assert all(file.startswith(f"{kind.root}/") for file in names)
    assert list(FORMATS) == sorted(FORMATS)


def test_equal_rows_give_equal_bytes(tmp_path, kind):
    for name, counts in (("a", [1000, 1000, 500]), ("b", [1000, 1000, 500])):
        write(tmp_path / name, *kind, counts)
    for one, other in zip(files(tmp_path / "a", kind[0]), files(tmp_path / "b", kind[0]), strict=True):
        assert one.read_bytes() == other.read_bytes()


def test_a_writer_replaces_what_an_earlier_attempt_left(tmp_path, kind):
    for path in files(tmp_path / "shard", kind[0]):
        path.write_bytes(bytes(10**6))
    write(tmp_path / "shard", *kind, [10])
    assert count_rows(tmp_path / "shard", kind[0]) == 10


@pytest.mark.parametrize("counts", [[], [0], [1], [3, 0, 4]])
def test_rows_are_counted_from_the_file(tmp_path, kind, counts):
    write(tmp_path / "shard", *kind, counts)
    assert count_rows(tmp_path / "shard", kind[0]) == sum(counts)


@pytest.mark.parametrize("format_name", FORMATS)
def test_a_file_that_ends_too_early_is_noticed_wherever_it_ends(tmp_path, format_name):
    shard = tmp_path / "shard"
    write(shard, format_name, FORMATS[format_name].stored_as("png"), [4])
    for path in files(shard, format_name):
        whole = path.read_bytes()
        for size in range(len(whole)):
            path.write_bytes(whole[:size])
            try:
                assert count_rows(shard, format_name) < 4
            except GangenError as err:
                assert str(path) in str(err)  # noqa: PT017 - a cut between two records raises nothing
        path.write_bytes(whole)


@pytest.mark.parametrize("first_row", [0, 10**6, 10**12 - 2500])
def test_every_format_reads_back_what_was_written(tmp_path, kind, first_row):
    format_name, encoding = kind
    images, labels = write(tmp_path / "shard", *kind, [1000, 1000, 500], first_row)
    read = FORMATS[format_name].read(
        *files(tmp_path / "shard", format_name), image_encoding=encoding, first_row=first_row
    )
    blocks = list(read)
    assert [rows.num_rows for rows in blocks] == [1000, 1000, 500]
    assert [rows.first_row for rows in blocks] == [first_row, first_row + 1000, first_row + 2000]
    assert (np.concatenate([rows.labels for rows in blocks]) == labels).all()
    assert (np.concatenate([decode_rows(rows, encoding) for rows in blocks]) == images).all()
    for rows in blocks:
        again = encode_rows(decode_rows(rows, encoding), rows.labels, rows.first_row, encoding)
        assert (again.data, again.offsets.tolist()) == (rows.data, rows.offsets.tolist())


@pytest.mark.parametrize("kind", [k for k in KINDS if k[0] != "idx"], ids="-".join)
def test_rows_of_another_place_are_noticed_where_the_file_tells_its_own(tmp_path, kind):
    write(tmp_path / "shard", *kind, [10], first_row=1000)
    with pytest.raises(GangenError, match="expected row"):
        list(FORMATS[kind[0]].read(tmp_path / "shard", image_encoding=kind[1], first_row=0))


@pytest.mark.parametrize("at", [-30, 300])
def test_a_flipped_bit_in_a_record_is_noticed_on_reading(tmp_path, at):
    path = tmp_path / "shard"
    write(path, "tfrecord", "raw", [3])
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)
    with pytest.raises(GangenError, match="wrong checksum"):
        list(FORMATS["tfrecord"].read(path, image_encoding="raw", first_row=0))


@given(data=st.data())
def test_any_flipped_bit_of_a_png_is_noticed_or_changes_no_pixel(data):
    images, labels = random_rows(1)
    rows = encode_rows(images, labels, 0, "png")
    damaged = bytearray(rows.data)
    damaged[data.draw(st.integers(0, len(damaged) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(ValueError, match="image 0 is damaged"):
        decode_rows(replace(rows, data=bytes(damaged)), "png")


def test_a_png_of_other_software_is_refused_and_not_misread():
    buffer = io.BytesIO()
    Image.fromarray(np.arange(784, dtype=np.uint8).reshape(28, 28)).save(buffer, "png")
    with pytest.raises(ValueError, match="image 1 is"):
        decode_png_batch([encode_png(np.zeros((28, 28), np.uint8)), buffer.getvalue()], 28, 28)


def test_a_dropped_parquet_writer_reads_well_and_lacks_rows(tmp_path):
    writer = FORMATS["parquet"].open(tmp_path / "shard", image_encoding="png", class_names=CLASSES)
    writer.append(encode_rows(*random_rows(12_000), 0, "png"))
    del writer
    gc.collect()
    assert FORMATS["parquet"].count_rows(tmp_path / "shard") == ROW_GROUP_ROWS


@pytest.mark.parametrize(
    ("limit", "appends"), [(0, 1), (10_000, 1), (10_000, 3)], ids=["open", "close", "append"]
)
def test_a_disk_that_refuses_is_the_systems_own_error_and_raised_once(tmp_path, kind, limit, appends):
    format_name, encoding = kind
    rows = encode_rows(*random_rows(5_000), 0, encoding)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        with pytest.raises(OSError) as caught:
            fill(tmp_path / "shard", format_name, encoding, [rows] * appends)
        assert caught.value.errno == errno.EFBIG
        del caught
        gc.collect()  # a finaliser that fails again would be an unraisable error, and so a failure here
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def fill(path, format_name, encoding, appends):
    writer = FORMATS[format_name].open(
        *files(path, format_name), image_encoding=encoding, class_names=CLASSES
    )
    for rows in appends:
        writer.append(rows)
    writer.close()


# --- Parquet


@settings(max_examples=20, deadline=None)
@given(counts=st.lists(st.integers(0, 15_000), max_size=4), encoding=st.sampled_from(ENCODINGS))
def test_any_cut_into_appends_gives_the_rows_in_row_groups_of_ten_thousand(
    tmp_path_factory, counts, encoding
):
    path = tmp_path_factory.mktemp("cut") / "shard"
    images, labels = write(path, "parquet", encoding, counts, first_row=10**12 - 1)
    with pq.ParquetFile(path) as file:
        groups = [file.metadata.row_group(i).num_rows for i in range(file.metadata.num_row_groups)]
        table = file.read()
    full, rest = divmod(len(labels), ROW_GROUP_ROWS)
    assert groups == [ROW_GROUP_ROWS] * full + [rest] * bool(rest)
    assert (table["label"].to_numpy() == labels).all()
    assert (table["index"].to_numpy() == np.arange(len(labels)) + 10**12 - 1).all()
    data = table["image"].combine_chunks().field("bytes").to_pylist()
    for i in range(0, len(labels), 997):
        assert (decoded(data[i]) == images[i]).all()


def test_parquet_memory_is_flat_in_the_number_of_rows(tmp_path):
    rows = encode_rows(*random_rows(1000), 0, "png")
    writer = FORMATS["parquet"].open(tmp_path / "shard", image_encoding="png", class_names=CLASSES)
    before, held = pa.total_allocated_bytes(), []
    for block in range(60):
        writer.append(rows)
        if block % 20 == 19:
            held.append(pa.total_allocated_bytes() - before)
    writer.close()
    assert held[2] <= held[0] + 100_000


def test_a_bit_flipped_anywhere_in_a_parquet_footer_is_harmless_or_told(tmp_path):
    path, kind = tmp_path / "shard", FORMATS["parquet"]

    def read(path):
        return list(kind.read(path, image_encoding="png", first_row=0))

    write(path, "parquet", "png", [20])
    whole = path.read_bytes()
    start = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")
    told = 0
    for place in range(start, len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << place % 8]) + whole[place + 1 :])
        for look in (kind.count_rows, read):
            with suppress(DamagedFile):
                look(path)
                continue
            told += 1
    assert told > 100


def test_parquet_carries_huggingface_types_in_every_shard_alike(tmp_path):
    for shard, counts in enumerate([[1000], [10]]):
        write(tmp_path / f"{shard}", "parquet", "png", counts, first_row=1000 * shard)
    schemas = [pq.read_schema(tmp_path / f"{shard}") for shard in range(2)]
    assert schemas[0].equals(schemas[1], check_metadata=True)
    assert str(schemas[0].field("image").type) == "struct<bytes: binary, path: string>"
    assert [schemas[0].field(name).type for name in ("label", "index")] == [pa.int64(), pa.int64()]
    features = json.loads(schemas[0].metadata[b"huggingface"])["info"]["features"]
    assert features["image"] == {"_type": "Image"}
    assert features["label"] == {"names": list(CLASSES), "_type": "ClassLabel"}
    assert features["index"] == {"dtype": "int64", "_type": "Value"}


@pytest.mark.parametrize(("encoding", "codec"), [("png", "UNCOMPRESSED"), ("raw", "ZSTD")])
def test_parquet_images_are_plain_and_compressed_only_when_raw(tmp_path, encoding, codec):
    write(tmp_path / "shard", "parquet", encoding, [1000])
    group = pq.read_metadata(tmp_path / "shard").row_group(0)
    columns = {group.column(i).path_in_schema: group.column(i) for i in range(group.num_columns)}
    assert columns["image.bytes"].compression == codec
    assert not columns["image.bytes"].has_dictionary_page
    assert columns["image.path"].statistics is None
    assert columns["index"].statistics.min == 0
    assert columns["index"].statistics.max == 999
    assert columns["index"].total_compressed_size < 200
    assert columns["label"].has_column_index
    assert columns["label"].has_offset_index


def test_a_raw_image_is_a_pgm_header_and_the_pixels(tmp_path):
    images, _ = write(tmp_path / "shard", "parquet", "raw", [3])
    data = pq.read_table(tmp_path / "shard")["image"].combine_chunks().field("bytes").to_pylist()
    assert data == [PGM_HEADER + image.tobytes() for image in images]


def test_more_bytes_than_arrow_offsets_hold_are_refused(tmp_path):
    rows = EncodedRows(
        data=b"", offsets=np.array([0, 2**31], np.int64), labels=np.zeros(1, np.int64), first_row=0
    )
    writer = FORMATS["parquet"].open(tmp_path / "shard", image_encoding="png", class_names=CLASSES)
    with pytest.raises(ValueError, match="at most 2,147,483,647 bytes"):
        writer.append(rows)
    writer.close()


# --- TFRecord


def test_a_tfrecord_row_has_the_bytes_it_always_had(tmp_path):
    rows = EncodedRows(data=b"PNG!", offsets=np.array([0, 4]), labels=np.array([7], np.int64), first_row=300)
    writer = FORMATS["tfrecord"].open(tmp_path / "shard", image_encoding="png", class_names=CLASSES)
    writer.append(rows)
    writer.close()
    assert (tmp_path / "shard").read_bytes().hex() == GOLDEN_RECORD


def test_a_damaged_length_is_noticed(tmp_path):
    path = tmp_path / "shard"
    write(path, "tfrecord", "raw", [3])
    data = bytearray(path.read_bytes())
    for at in (0, 3, 8, 11, 854, 854 * 2 + 7):
        damaged = data.copy()
        damaged[at] ^= 1
        path.write_bytes(damaged)
        with pytest.raises(GangenError, match=f"damaged length in record {at // 854}"):
            FORMATS["tfrecord"].count_rows(path)


def test_a_cut_record_is_named(tmp_path):
    path = tmp_path / "shard"
    write(path, "tfrecord", "raw", [3])
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(GangenError, match=f"ends within record 2 at byte {854 * 2:,}"):
        FORMATS["tfrecord"].count_rows(path)


# --- metadata


def test_tfds_metadata_has_every_shard_and_nothing_that_tfds_does_not_know():
    texts = render_metadata(
        TfdsDataset(
            name="gangen_mnist",
            description="Digits.",
            class_names=CLASSES,
            image_encoding="png",
            splits={"train": TfdsSplit(shard_rows=[1000, 500], size_bytes=5)},
            license="apache-2.0",
            provenance={"seed": 3},
        )
    )
    info = json.loads(texts["dataset_info.json"])
    assert list(texts)[-1] == "dataset_info.json"
    assert info["splits"][0]["shardLengths"] == ["1000", "500"]
    assert info["splits"][0]["numBytes"] == "5"
    assert json.loads(texts["metadata.json"]) == {"seed": 3}
    assert texts["label.labels.txt"].split() == list(CLASSES)


def splits(size_bytes, shard_rows=(1000, 500)):
    return {"train": SplitFacts(num_rows=sum(shard_rows), shard_rows=shard_rows, size_bytes=size_bytes)}


def card_facts(**changes):
    values = {
        "name": "gangen_mnist",
        "title": "Digits: 1,500 of them",
        "summary": "Synthetic digits.",
        "class_names": CLASSES,
        "label_counts": {3: 500, 7: 1000},
        "splits": splits({"parquet": 123_456, "tfrecord": 234_567}),
        "image_encoding": "png",
        "provenance": {"seed": 3, "label rule": "3|7"},
    }
    return CardFacts(**values | changes)


def front_matter(card):
    return yaml.safe_load(card.split("---\n")[1])


def test_card_names_counts_provenance_and_every_library():
    card = render_card(card_facts())
    front = front_matter(card)
    assert front["configs"][0]["data_files"] == [{"split": "train", "path": "data/train-*.parquet"}]
    assert front["dataset_info"]["splits"] == [{"name": "train", "num_bytes": 123_456, "num_examples": 1500}]
    assert front["pretty_name"] == "Digits: 1,500 of them"
    assert front["size_categories"] == ["1K<n<10K"]
    for line in (
        "| 7 | 7 | 1,000 |",
        "| 0 | 0 | 0 |",
        "| seed | 3 |",
        "| label rule | 3\\|7 |",
        "![Samples](preview.png)",
    ):
        assert line in card
    for library in (
        "load_dataset",
        "tfds.builder_from_directory",
        "TFRecordDataset",
        "polars",
        "duckdb",
        "ray.data",
    ):
        assert library in card
    assert "## Quality" not in card


def test_card_without_parquet_promises_nothing_to_huggingface():
    quality = {"FID": {"value": 1.51234, "real": 1, "samples": 10_000, "reference": "mnist, test split"}}
    card = render_card(card_facts(splits=splits({"tfrecord": 1}), preview=None, quality=quality))
    assert not {"configs", "dataset_info"} & set(front_matter(card))
    assert "parquet/" not in card
    assert "load_dataset" not in card
    assert "preview" not in card
    assert "| FID | 1.512 | 1 | 10,000 | mnist, test split |" in card


def test_card_without_tfrecord_does_not_mention_it():
    card = render_card(card_facts(splits=splits({"parquet": 1})))
    assert "tfds" not in card
    assert "TFRecordDataset" not in card


@pytest.mark.parametrize(
    ("rows", "category"),
    [
        (1, "n<1K"),
        (999, "n<1K"),
        (1000, "1K<n<10K"),
        (10**6, "1M<n<10M"),
        (10**12 - 1, "100B<n<1T"),
        (10**12, "n>1T"),
    ],
)
def test_card_size_category(rows, category):
    assert front_matter(render_card(card_facts(label_counts={0: rows})))["size_categories"] == [category]


@pytest.mark.parametrize("encoding", ["png", "raw"])
def test_writers_of_all_formats_warm_up_and_leave_nothing_behind(tmp_path, monkeypatch, encoding):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    counted = []
    for name, kind in FORMATS.items():
        count = kind.count_rows
        spied = replace(kind, count_rows=lambda *paths, count=count: counted.append(count(*paths)))
        monkeypatch.setitem(FORMATS, name, spied)
    warm_up(FORMATS, encoding)
    assert counted == [2] * len(FORMATS)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("encoding", ["png", "raw"])
def test_blocks_from_an_object_store_need_no_other_loops_than_those_warmed_up(run_python, encoding):
    done = run_python(f"""
import sys
import tempfile
from pathlib import Path
import numpy as np
from jobs.writers import FORMATS, encode_rows, warm_up

warm_up(FORMATS, "{encoding}")
from ganmodel import compiled, png_block
from jobs.writers import tfrecord_block

def compilations():
    loops = [loop for module in (compiled, png_block, tfrecord_block) for loop in vars(module).values()]
    return sum(len(loop.signatures) for loop in loops if hasattr(loop, "signatures"))

before = compilations()
images, labels = np.zeros((3, 28, 28), np.uint8), np.zeros(3, np.int32)
for may_be_written in (True, False):
    images.flags.writeable = labels.flags.writeable = may_be_written
    with tempfile.TemporaryDirectory() as folder:
        for kind in FORMATS.values():
            encoding = kind.stored_as("{encoding}")
            paths = [Path(folder, key) for key in kind.keys]
            writer = kind.open(*paths, image_encoding=encoding, class_names=("0",))
            writer.append(encode_rows(images, labels, 0, encoding))
            writer.close()
sys.exit(f"{{before}} -> {{compilations()}}" if not before or compilations() != before else 0)
""")
    assert done.returncode == 0, done.stderr


def test_writers_card_and_metadata_load_nothing_heavy(run_python):
    result = run_python(
        "import sys, jobs.writers, jobs.card, jobs.tfds_metadata; "
        "sys.exit(','.join({'tensorflow', 'keras', 'ray', 'numba', 'datasets'} & set(sys.modules)) or 0)"
    )
    assert result.returncode == 0, result.stderr
