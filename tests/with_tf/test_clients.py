"""Small data sets in every format and encoding, opened by the real libraries that people use."""

from __future__ import annotations

import io
import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jobs.card import CardFacts, SplitFacts, render_card
from jobs.tfds_metadata import TfdsDataset, TfdsSplit, render_metadata
from jobs.writers import FORMATS
from jobs.writers.encode import EncodedRows, encode_rows
from jobs.writers.tfrecord import folder

pytestmark = pytest.mark.tf

# Ray 2.60 sets settings of its own that it deprecates.
ignore_rays_own_warning = pytest.mark.filterwarnings("ignore::DeprecationWarning:ray.data.context")

NAME = "gangen_random"
CLASSES = tuple("0123456789")
SHARD_ROWS = (1000, 1000, 500)


@dataclass(frozen=True)
class Dataset:
    root: Path
    encoding: str
    images: np.ndarray
    labels: np.ndarray

    @property
    def tfds_folder(self):
        return self.root / folder(NAME)

    def check(self, images, labels, index):
        """See that what a library gave is what was written, to the pixel and in order."""
        assert np.asarray(index).tolist() == list(range(len(self.labels)))
        assert np.asarray(labels).tolist() == self.labels.tolist()
        images = np.asarray(images)
        assert images.dtype == np.uint8
        assert (images == self.images).all()

    def decoded(self, data):
        return np.stack([np.asarray(Image.open(io.BytesIO(one))) for one in data])


@pytest.fixture(scope="module", params=["png", "raw"])
def dataset(request, tmp_path_factory):
    """Three shards in both formats, with card and metadata, laid out as a job lays them out."""
    root, encoding = tmp_path_factory.mktemp(request.param), request.param
    rng = np.random.default_rng(0)
    count = sum(SHARD_ROWS)
    images = rng.integers(0, 256, (count, 28, 28), np.uint8)
    labels = rng.integers(0, 10, count).astype(np.int32)
    size_bytes = {}
    for kind in FORMATS.values():
        first, size_bytes[kind.name] = 0, 0
        for shard, rows in enumerate(SHARD_ROWS):
            paths = [root / name for name in kind.file_names(NAME, "train", shard)]
            paths[0].parent.mkdir(parents=True, exist_ok=True)
            stored = kind.stored_as(encoding)
            writer = kind.open(*paths, image_encoding=stored, class_names=CLASSES)
            cut = slice(first, first + rows)
            writer.append(encode_rows(images[cut], labels[cut], first, stored))
            writer.close()
            first += rows
            size_bytes[kind.name] += sum(path.stat().st_size for path in paths)
    split = TfdsSplit(shard_rows=SHARD_ROWS, size_bytes=size_bytes["tfrecord"])
    metadata = TfdsDataset(
        name=NAME,
        description="Noise.",
        class_names=CLASSES,
        image_encoding=encoding,
        splits={"train": split},
        license="apache-2.0",
        provenance={"seed": 0, "device": {"cpu": "any"}},
    )
    for name, text in render_metadata(metadata).items():
        (root / folder(NAME) / name).write_text(text)
    card = CardFacts(
        name=NAME,
        title="Noise",
        summary="Noise.",
        class_names=CLASSES,
        label_counts={label: int((labels == label).sum()) for label in range(10)},
        splits={"train": SplitFacts(num_rows=count, shard_rows=SHARD_ROWS, size_bytes=size_bytes)},
        image_encoding=encoding,
        provenance={"seed": 0},
    )
    (root / "README.md").write_text(render_card(card))
    Image.fromarray(images[0]).save(root / "preview.png")
    (root / ".gangen").mkdir()
    (root / ".gangen/manifest.json").write_text("{}")
    return Dataset(root, encoding, images, labels)


@pytest.fixture(scope="module")
def hf(tmp_path_factory):
    """Hugging Face's datasets, offline and with a cache of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HOME", str(tmp_path_factory.mktemp("huggingface")))
        patch.setenv("HF_HUB_OFFLINE", "1")
        patch.setenv("HF_DATASETS_OFFLINE", "1")
        import datasets

        yield datasets


@pytest.fixture(scope="module")
def tfds():
    import tensorflow_datasets

    return tensorflow_datasets


# --- Parquet


def check_huggingface(hf, rows, dataset):
    assert rows.features == hf.Features(
        {"image": hf.Image(), "label": hf.ClassLabel(names=list(CLASSES)), "index": hf.Value("int64")}
    )
    table = rows.with_format("numpy")[:]
    dataset.check(table["image"], table["label"], table["index"])
    assert rows[0]["image"].size == (28, 28)
    assert rows[0]["image"].mode == "L"


def test_huggingface_loads_the_folder_with_image_and_class_label(hf, dataset):
    loaded = hf.load_dataset(str(dataset.root))
    assert list(loaded) == ["train"]
    check_huggingface(hf, loaded["train"], dataset)


def test_huggingface_takes_the_types_from_the_files_where_there_is_no_card(hf, dataset):
    files = str(dataset.root / "data/train-*.parquet")
    check_huggingface(hf, hf.load_dataset("parquet", data_files={"train": files}, split="train"), dataset)


def test_huggingface_refuses_a_folder_that_lacks_a_shard(hf, dataset, tmp_path):
    root = shutil.copytree(dataset.root, tmp_path / "short")
    (root / FORMATS["parquet"].file_names(NAME, "train", 1)[0]).unlink()
    with pytest.raises(hf.exceptions.NonMatchingSplitsSizesError):
        hf.load_dataset(str(root))


def test_huggingface_finds_nothing_to_load_without_parquet(hf, dataset, tmp_path):
    root = shutil.copytree(
        dataset.root, tmp_path / "tfrecord-only", ignore=shutil.ignore_patterns("data", "webdataset")
    )
    (root / "README.md").write_text("---\nlicense: apache-2.0\n---\n")
    with pytest.raises(hf.exceptions.DataFilesNotFoundError):
        hf.load_dataset(str(root))


def test_polars_reads_every_row(dataset):
    import polars

    rows = polars.read_parquet(str(dataset.root / "data/*.parquet"))
    assert rows.schema == {
        "image": polars.Struct({"bytes": polars.Binary, "path": polars.String}),
        "label": polars.Int64,
        "index": polars.Int64,
    }
    images = dataset.decoded(rows["image"].struct.field("bytes"))
    dataset.check(images, rows["label"].to_numpy(), rows["index"].to_numpy())


def test_duckdb_reads_every_row(dataset):
    import duckdb

    query = "SELECT image.bytes, label, index FROM read_parquet(?) ORDER BY index"
    with duckdb.connect() as connection:
        data, labels, index = zip(
            *connection.execute(query, [str(dataset.root / "data/*.parquet")]).fetchall(), strict=True
        )
    dataset.check(dataset.decoded(data), labels, index)


# --- TFRecord


def test_tfds_reads_the_folder_with_image_and_class_label(tfds, dataset):
    builder = tfds.builder_from_directory(str(dataset.tfds_folder))
    image = {
        "png": tfds.features.Image(shape=(28, 28, 1), dtype=np.uint8, encoding_format="png"),
        "raw": tfds.features.Tensor(shape=(28, 28, 1), dtype=np.uint8, encoding="bytes"),
    }[dataset.encoding]
    label = tfds.features.ClassLabel(names=list(CLASSES))
    asked = tfds.features.FeaturesDict(
        {"image": image, "label": label, "index": tfds.features.Scalar(np.int64)}
    )
    assert builder.info.features.to_json() == asked.to_json()
    assert builder.info.features["label"].names == list(CLASSES)
    assert builder.info.splits["train"].shard_lengths == list(SHARD_ROWS)
    assert [path.name for path in builder.info.splits["train"].filepaths] == [
        f"{NAME}-train.tfrecord-{shard:05d}" for shard in range(len(SHARD_ROWS))
    ]
    assert builder.info.metadata == {"seed": 0, "device": {"cpu": "any"}}
    in_order = tfds.ReadConfig(interleave_cycle_length=1)
    rows = list(builder.as_dataset(split="train", read_config=in_order).as_numpy_iterator())
    images = np.stack([row["image"] for row in rows])
    assert images.shape == (len(dataset.labels), 28, 28, 1)
    dataset.check(images[..., 0], [row["label"] for row in rows], [row["index"] for row in rows])


def test_tfds_load_finds_the_name_and_slices_splits(tfds, dataset):
    rows = tfds.load(NAME, data_dir=dataset.root / "tfds", split="train[40%:60%]", as_supervised=True)
    assert [int(label) for _, label in rows] == dataset.labels[1000:1500].tolist()


def changed(dataset, tmp_path, name, change):
    """Return a copy of the TFDS folder in which a file is replaced by what `change` makes of it, None deleting it."""
    copy = shutil.copytree(dataset.tfds_folder, tmp_path / NAME / "1.0.0")
    text = change((copy / name).read_bytes())
    if text is None:
        (copy / name).unlink()
    else:
        (copy / name).write_bytes(text)
    return str(copy)


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("dataset_info.json", "Could not read dataset info from"),
        ("features.json", "Cannot restore gangen_random/1.0.0"),
    ],
)
def test_tfds_refuses_a_folder_without_its_metadata(tfds, dataset, tmp_path, name, line):
    with pytest.raises((tfds.core.dataset_info.DatasetInfoFileError, ValueError), match=line):
        tfds.builder_from_directory(changed(dataset, tmp_path, name, lambda _: None))


def test_tfds_refuses_a_key_that_it_does_not_know(tfds, dataset, tmp_path):
    def add_key(text):
        return json.dumps(json.loads(text) | {"seed": 0}).encode()

    with pytest.raises(Exception, match="seed"):
        tfds.builder_from_directory(changed(dataset, tmp_path, "dataset_info.json", add_key))


def test_tfds_notices_a_shard_that_lacks_a_row(tfds, dataset, tmp_path):
    import tensorflow as tf

    def drop_last(data):
        return data[: -(len(data) // SHARD_ROWS[2])] if dataset.encoding == "raw" else b""

    folder = changed(dataset, tmp_path, f"{NAME}-train.tfrecord-00002", drop_last)
    rows = tfds.builder_from_directory(folder).as_dataset(split="train")
    with pytest.raises(tf.errors.OpError):
        list(rows)


def test_tf_data_reads_every_record_and_checks_its_checksums(dataset):
    import tensorflow as tf

    files = tf.data.Dataset.list_files(str(dataset.tfds_folder / "*.tfrecord-*"), shuffle=False)
    examples = [
        tf.train.Example.FromString(record.numpy()).features.feature
        for record in tf.data.TFRecordDataset(files)
    ]
    data = [example["image"].bytes_list.value[0] for example in examples]
    if dataset.encoding == "png":
        images = np.stack([tf.io.decode_png(one).numpy()[..., 0] for one in data])
    else:
        images = np.frombuffer(b"".join(data), np.uint8).reshape(-1, 28, 28)
    columns = [[example[name].int64_list.value[0] for example in examples] for name in ("label", "index")]
    dataset.check(images, *columns)


def test_records_are_those_of_tensorflow_bit_for_bit(tmp_path):
    import tensorflow as tf

    edges = {0, 10**12, *(128**power + step for power in range(1, 6) for step in (-2, -1, 0, 1))}
    labels = np.array([*range(10), 127, 128, 300, 10**6])
    sizes = [0, 1, 99, 100, 127, 128, 250, 784, 16_383, 16_384, 70, 71, 72, 73]
    data = np.random.default_rng(0).bytes(sum(sizes))
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    writer = FORMATS["tfrecord"].open(tmp_path / "ours", image_encoding="png", class_names=CLASSES)
    with tf.io.TFRecordWriter(str(tmp_path / "theirs")) as theirs:
        for first_row in sorted(edges):
            rows = EncodedRows(data=data, offsets=offsets, labels=labels, first_row=first_row)
            writer.append(rows)
            for i, label in enumerate(labels):
                feature = {
                    "image": tf.train.Feature(
                        bytes_list=tf.train.BytesList(value=[data[offsets[i] : offsets[i + 1]]])
                    ),
                    "label": tf.train.Feature(int64_list=tf.train.Int64List(value=[label])),
                    "index": tf.train.Feature(int64_list=tf.train.Int64List(value=[first_row + i])),
                }
                example = tf.train.Example(features=tf.train.Features(feature=feature))
                theirs.write(example.SerializeToString(deterministic=True))
    writer.close()
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()
    assert FORMATS["tfrecord"].count_rows(tmp_path / "theirs") == len(edges) * len(labels)


# --- the card's own examples


def run_example(dataset, word):
    """Run the code block of the card that holds `word`, and return its names."""
    blocks = re.findall(r"```python\n(.*?)```", (dataset.root / "README.md").read_text(), re.DOTALL)
    (code,) = [block for block in blocks if word in block]
    names = {}
    exec(code.replace("DIR", str(dataset.root)), names)
    return names


def test_the_cards_huggingface_example_runs(hf, dataset):
    names = run_example(dataset, "load_dataset")
    assert (np.asarray(names["image"]) == dataset.images[0]).all()
    assert names["label"] == dataset.labels[0]


def test_the_cards_polars_and_duckdb_examples_run(dataset):
    assert (np.asarray(run_example(dataset, "polars")["image"]) == dataset.images[0]).all()
    counts = run_example(dataset, "duckdb")["counts"].fetchall()
    assert counts == list(enumerate(np.bincount(dataset.labels)))


@pytest.mark.parametrize("word", ["builder_from_directory", "TFRecordDataset"])
def test_the_cards_tensorflow_examples_run(tfds, dataset, word):
    rows = run_example(dataset, word)["rows"]
    images, labels = zip(*rows.as_numpy_iterator(), strict=True)
    assert images[0].shape == (28, 28, 1)
    # TFDS interleaves the files; noise is unlike any other noise, so sorting restores one order.
    given = sorted(zip((image.tobytes() for image in images), labels, strict=True))
    assert given == sorted(zip((image.tobytes() for image in dataset.images), dataset.labels, strict=True))


def test_the_cards_idx_example_runs(dataset):
    names = run_example(dataset, "idx3-ubyte")
    assert (names["images"] == dataset.images[: SHARD_ROWS[0]]).all()
    assert (names["labels"] == dataset.labels[: SHARD_ROWS[0]]).all()


# webdataset 1.0 leaves the archives for the garbage collector to close.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
def test_the_cards_webdataset_example_runs_and_has_every_row_in_order(dataset):
    pytest.importorskip("webdataset")
    names = run_example(dataset, "webdataset.WebDataset")
    assert (names["image"] == dataset.images[0]).all()
    images, labels = zip(*names["rows"], strict=True)
    dataset.check(np.stack(images), labels, range(len(labels)))


@pytest.mark.ray_local
@ignore_rays_own_warning
@pytest.mark.usefixtures("local_ray")
def test_the_cards_ray_example_runs_and_has_every_row(dataset):
    names = run_example(dataset, "ray.data")
    assert len(names["labels"]) == 1000
    rows = sorted(names["rows"].take_all(), key=lambda row: row["index"])
    images = dataset.decoded([row["image"]["bytes"] for row in rows])
    dataset.check(images, [row["label"] for row in rows], [row["index"] for row in rows])


@pytest.fixture(scope="module")
def local_ray():
    import ray

    ray.init(address="local", num_cpus=1, include_dashboard=False)
    yield
    ray.shutdown()
