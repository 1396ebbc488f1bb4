"""The few lines that load a data set in each library, as its card shows them; a test runs every one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobs.writers import parquet, tfrecord

if TYPE_CHECKING:
    from collections.abc import Container

    from jobs.writers.encode import ImageEncoding

_PARQUET = {
    "Hugging Face `datasets`": """\
from datasets import load_dataset

rows = load_dataset("DIR", split="train")
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
rows = builder.as_dataset(split="train", as_supervised=True)  # (image [28, 28, 1] uint8, label int64)""",
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


files = tf.data.Dataset.list_files("DIR/{folder}/*.tfrecord-*", shuffle=False)
rows = tf.data.TFRecordDataset(files).map(parse)  # (image [28, 28, 1] uint8, label int64)""",
}

_DECODE = {
    "png": 'tf.io.decode_png(row["image"], channels=1)',
    "raw": 'tf.reshape(tf.io.decode_raw(row["image"], tf.uint8), [28, 28, 1])',
}


def examples(
    dataset_name: str, formats: Container[str], image_encoding: ImageEncoding
) -> list[tuple[str, str]]:
    """Return (library, Python code) for every library that reads one of the formats; `DIR` is the data set's folder."""
    chosen = (_PARQUET if "parquet" in formats else {}) | (_TFRECORD if "tfrecord" in formats else {})
    words = {
        "root": parquet.ROOT,
        "folder": tfrecord.folder(dataset_name),
        "decode": _DECODE[image_encoding],
    }
    return [(title, code.format_map(words)) for title, code in chosen.items()]
