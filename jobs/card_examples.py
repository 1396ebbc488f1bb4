"""The few lines that load a data set in each library, as its card shows them; a test runs every one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobs.writers import idx, parquet, tfrecord, webdataset

if TYPE_CHECKING:
    from collections.abc import Container, Mapping

    from jobs.writers.encode import ImageEncoding

_PARQUET = {
    "Hugging Face `datasets`": """\
from datasets import load_dataset

rows = load_dataset("DIR", split="{split}")
image, label = rows[0]["image"], rows[0]["label"]  # a PIL image, an int""",
    "Polars": """\
import io

import polars
from PIL import Image

rows = polars.read_parquet("DIR/{root}/*.parquet")
image = Image.open(io.BytesIO(rows["image"][0]["bytes"]))""",
    "DuckDB": """\
import duckdb

counts = duckdb.sql("SELECT label, count(*) AS num_rows FROM 'DIR/{root}/*.parquet' GROUP BY label ORDER BY label")""",
    "Ray Data": """\
import ray

rows = ray.data.read_parquet("DIR/{root}")
labels = rows.select_columns(["label"]).take_batch(1000)["label"]""",
}

_TFRECORD = {
    "TensorFlow Datasets": """\
import tensorflow_datasets as tfds

builder = tfds.builder_from_directory("DIR/{folder}")
# Files are read in turns: `index` tells a row's place.
rows = builder.as_dataset(split="{split}", as_supervised=True)  # (image [28, 28, 1] uint8, label int64)""",
    "`tf.data`": """\
import tensorflow as tf

columns = {{
    "image": tf.io.FixedLenFeature([], tf.string),
    "label": tf.io.FixedLenFeature([], tf.int64),
    "index": tf.io.FixedLenFeature([], tf.int64),
}}


def parse(record):
    row = tf.io.parse_single_example(record, columns)
    return {decode}, row["label"]


files = tf.data.Dataset.list_files("DIR/{folder}/*-{split}.tfrecord-*", shuffle=False)
rows = tf.data.TFRecordDataset(files).map(parse)  # (image [28, 28, 1] uint8, label int64)""",
}

_WEBDATASET = {
    "WebDataset": """\
import webdataset

urls = "DIR/{tar_root}/{split}-{{00000..{last_shard}}}.tar"
rows = webdataset.WebDataset(urls, shardshuffle=False).decode("l8").to_tuple("{extension}", "cls")
image, label = next(iter(rows))  # [28, 28] uint8, an int""",
}

_IDX = {
    "NumPy, as any MNIST loader": """\
import numpy as np

folder = "DIR/{idx_folder}"  # one shard: the files that MNIST has
images = np.fromfile(folder + "/{idx_images}", np.uint8)[16:].reshape(-1, 28, 28)
labels = np.fromfile(folder + "/{idx_labels}", np.uint8)[8:]""",
}

_DECODE = {
    "png": 'tf.io.decode_png(row["image"], channels=1)',
    "raw": 'tf.reshape(tf.io.decode_raw(row["image"], tf.uint8), [28, 28, 1])',
}


_CODE = {"parquet": _PARQUET, "tfrecord": _TFRECORD, "webdataset": _WEBDATASET, "idx": _IDX}


def examples(
    dataset_name: str,
    formats: Container[str],
    image_encoding: ImageEncoding,
    splits: Mapping[str, int],
) -> list[tuple[str, str]]:
    """Return (library, Python code) for every library that reads one of the formats; `DIR` is the data set's folder.

    Args:
        dataset_name: TFDS' name of the data set.
        formats: that it has.
        image_encoding: of its images.
        splits: shards of each split; the first is shown.
    """
    split, shards = next(iter(splits.items()))
    images, labels = idx.file_names(dataset_name, split, 0)
    words = {
        "split": split,
        "last_shard": f"{shards - 1:05d}",
        "root": parquet.ROOT,
        "folder": tfrecord.folder(dataset_name),
        "decode": _DECODE[image_encoding],
        "tar_root": webdataset.ROOT,
        "extension": {"png": "png", "raw": "pgm"}[image_encoding],
        "idx_folder": images.rpartition("/")[0],
        "idx_images": images.rpartition("/")[2],
        "idx_labels": labels.rpartition("/")[2],
    }
    chosen = {
        title: code for name, table in _CODE.items() if name in formats for title, code in table.items()
    }
    return [(title, code.format_map(words)) for title, code in chosen.items()]
