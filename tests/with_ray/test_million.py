"""A million rows in both formats, opened by every client: `make test-slow`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

pytestmark = [pytest.mark.slow, pytest.mark.ray_local, pytest.mark.tf]

COUNT = 1_000_000
GANGEN = str(Path(sys.executable).with_name("gangen"))


def generate(out: Path, *extra: str) -> dict[str, object]:
    command = [GANGEN, "generate", "--count", "1e6", "--out", str(out), "--json", *extra]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


@pytest.fixture(scope="module")
def million(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("million") / "out"
    facts = generate(out, "--workers", "2", "--shard-rows", "100000")
    assert facts["label_counts"] == {str(k): COUNT // 10 for k in range(10)}
    return out


@pytest.fixture(scope="module")
def pixels(million: Path) -> np.ndarray:
    """Return every image as TensorFlow decodes it from the TFRecord files, [1e6, 28, 28] uint8, by index."""
    import tensorflow_datasets as tfds

    builder = tfds.builder_from_directory(str(million / "tfds/gangen_mnist/1.0.0"))
    assert builder.info.splits["train"].num_examples == COUNT
    assert isinstance(builder.info.features["image"], tfds.features.Image)
    assert isinstance(builder.info.features["label"], tfds.features.ClassLabel)
    images, counts = np.zeros((COUNT, 28, 28), np.uint8), np.zeros(10, np.int64)
    seen = np.zeros(COUNT, bool)
    for batch in builder.as_dataset(split="train", batch_size=1000).as_numpy_iterator():
        images[batch["index"]] = batch["image"][..., 0]
        seen[batch["index"]] = True
        counts += np.bincount(batch["label"], minlength=10)
    assert seen.all()
    assert counts.tolist() == [COUNT // 10] * 10
    return images


@pytest.mark.filterwarnings("ignore")
def test_datasets_loads_the_same_pixels(million: Path, pixels: np.ndarray, tmp_path: Path) -> None:
    import datasets

    loaded = datasets.load_dataset(str(million), split="train", cache_dir=str(tmp_path))
    assert loaded.num_rows == COUNT
    assert isinstance(loaded.features["image"], datasets.Image)
    assert loaded.features["label"].names == [str(k) for k in range(10)]
    rows = np.random.default_rng(0).choice(COUNT, 2000, replace=False)
    for i in rows.tolist():
        row = loaded[i]
        assert row["index"] == i
        assert (np.asarray(row["image"]) == pixels[i]).all()


def test_every_png_of_the_parquet_files_is_that_of_the_tfrecord_files(million: Path) -> None:
    import tensorflow as tf

    features = {"image": tf.io.FixedLenFeature([], tf.string), "index": tf.io.FixedLenFeature([], tf.int64)}
    files = sorted(map(str, (million / "tfds/gangen_mnist/1.0.0").glob("*.tfrecord-*")))
    records = tf.data.TFRecordDataset(files).batch(10_000).map(lambda b: tf.io.parse_example(b, features))
    encoded = pa.concat_tables(pq.read_table(path) for path in sorted((million / "data").glob("*.parquet")))
    pngs = encoded["image"].combine_chunks().field("bytes")
    rows = 0
    for batch in records.as_numpy_iterator():
        stop = rows + len(batch["index"])
        assert batch["index"].tolist() == list(range(rows, stop))
        assert batch["image"].tolist() == pngs.slice(rows, stop - rows).to_pylist()
        rows = stop
    assert rows == COUNT


def test_tf_data_polars_and_duckdb_count_a_million(million: Path) -> None:
    import duckdb
    import polars
    import tensorflow as tf

    files = sorted(map(str, (million / "tfds/gangen_mnist/1.0.0").glob("*.tfrecord-*")))
    assert sum(1 for _ in tf.data.TFRecordDataset(files).batch(10_000)) == COUNT // 10_000
    table = polars.read_parquet(str(million / "data/*.parquet"), columns=["label", "index"])
    assert table["index"].to_list() == list(range(COUNT))
    query = f"select label, count(*) from '{million}/data/*.parquet' group by label order by label"
    assert duckdb.sql(query).fetchall() == [(k, COUNT // 10) for k in range(10)]


@pytest.mark.filterwarnings("ignore")
def test_ray_data_counts_a_million(million: Path) -> None:
    import ray

    ray.init(address="local", num_cpus=2, include_dashboard=False, logging_level="ERROR")
    try:
        assert ray.data.read_parquet(str(million / "data")).count() == COUNT
    finally:
        ray.shutdown()


def test_one_worker_and_shards_of_half_the_size_give_the_same_million(million: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    generate(out, "--workers", "1", "--shard-rows", "50000")
    ours = pa.concat_tables(pq.read_table(path) for path in sorted((out / "data").glob("*")))
    theirs = pa.concat_tables(pq.read_table(path) for path in sorted((million / "data").glob("*")))
    assert ours.equals(theirs)
