"""Rows a second of reading our files and the same rows as the readers' own libraries write them, by turns.

    python -m benchmarks.reading [--rows 50000] [--rounds 3] [--json FILE]

Images are decoded in each case. `datasets` reads Parquet as NumPy batches, Ray Data reads Parquet and decodes with
Pillow, `tf.data` reads TFRecord. The libraries write with their own defaults: `datasets.Dataset.to_parquet`, Ray Data's
`write_parquet`, `tf.io.TFRecordWriter` with one `tf.train.Example` a row.
"""

from __future__ import annotations

import argparse
import io
import json
import logging
import statistics
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.encode import digits
from ganmodel.latents import BLOCK_ROWS
from jobs.local import local_ray
from jobs.specs import Placement
from jobs.writers import FORMATS
from jobs.writers.encode import encode_rows

if TYPE_CHECKING:
    from collections.abc import Callable

CLASS_NAMES = tuple("0123456789")


def write_ours(images: np.ndarray, labels: np.ndarray, folder: Path) -> dict[str, Path]:
    """Return the files of both formats, as a shard of gangen has them."""
    paths = {}
    for name in ("parquet", "tfrecord"):
        paths[name] = folder / f"ours.{name}"
        writer = FORMATS[name].open(paths[name], image_encoding="png", class_names=CLASS_NAMES)
        for start in range(0, len(images), BLOCK_ROWS):
            cut = slice(start, start + BLOCK_ROWS)
            writer.append(encode_rows(images[cut], labels[cut], start, "png"))
        writer.close()
    return paths


def write_theirs(images: np.ndarray, labels: np.ndarray, folder: Path) -> dict[str, Path]:
    """Return files of the same rows, as `datasets`, Ray Data and TensorFlow write them."""
    import datasets
    import ray.data
    import tensorflow as tf
    from PIL import Image

    pngs = []
    for image in images:
        file = io.BytesIO()
        Image.fromarray(image).save(file, format="PNG")
        pngs.append(file.getvalue())
    features = datasets.Features(
        image=datasets.Image(),
        label=datasets.ClassLabel(names=list(CLASS_NAMES)),
        index=datasets.Value("int64"),
    )
    columns = {
        "image": [{"bytes": png, "path": None} for png in pngs],
        "label": labels.tolist(),
        "index": list(range(len(labels))),
    }
    paths = {name: folder / f"theirs.{name}" for name in ("datasets", "ray", "tfrecord")}
    datasets.Dataset.from_dict(columns, features=features).to_parquet(str(paths["datasets"]))
    ray.data.from_items(
        [
            {"image": png, "label": int(y), "index": i}
            for i, (png, y) in enumerate(zip(pngs, labels, strict=True))
        ]
    ).repartition(1).write_parquet(str(paths["ray"]))
    with tf.io.TFRecordWriter(str(paths["tfrecord"])) as writer:
        for index, (png, label) in enumerate(zip(pngs, labels, strict=True)):
            example = tf.train.Example()
            example.features.feature["image"].bytes_list.value.append(png)
            example.features.feature["label"].int64_list.value.append(int(label))
            example.features.feature["index"].int64_list.value.append(index)
            writer.write(example.SerializeToString())
    return paths


def by_datasets(path: Path, folder: Path) -> int:
    """Return how many rows `datasets` read, decoded."""
    import datasets

    found = datasets.load_dataset(
        "parquet", data_files=str(path), split="train", cache_dir=str(folder / f"cache-{time.time_ns()}")
    )
    return sum(len(batch["image"]) for batch in found.with_format("numpy").iter(BLOCK_ROWS))


def by_ray(path: Path) -> int:
    """Return how many rows Ray Data read, decoded."""
    import ray.data

    def decode(batch: dict[str, Any]) -> dict[str, Any]:
        from PIL import Image

        pngs = [image["bytes"] if isinstance(image, dict) else image for image in batch["image"]]
        return {**batch, "image": np.stack([np.asarray(Image.open(io.BytesIO(png))) for png in pngs])}

    rows = ray.data.read_parquet(str(path)).map_batches(decode, batch_size=BLOCK_ROWS)
    return sum(len(batch["label"]) for batch in rows.iter_batches(batch_size=BLOCK_ROWS))


def by_tf_data(path: Path) -> int:
    """Return how many rows `tf.data` read, decoded."""
    import tensorflow as tf

    columns = {
        "image": tf.io.FixedLenFeature([], tf.string),
        "label": tf.io.FixedLenFeature([], tf.int64),
        "index": tf.io.FixedLenFeature([], tf.int64),
    }

    def parse(record: Any) -> Any:
        row = tf.io.parse_single_example(record, columns)
        return tf.io.decode_png(row["image"], 1), row["label"]

    rows = tf.data.TFRecordDataset(str(path)).map(parse, num_parallel_calls=tf.data.AUTOTUNE)
    return sum(len(labels) for _, labels in rows.batch(BLOCK_ROWS).prefetch(2))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    images, labels = digits(options.rows)

    import datasets

    datasets.disable_progress_bars()
    with tempfile.TemporaryDirectory() as name, local_ray(Placement())():
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        folder = Path(name)
        ours, theirs = write_ours(images, labels, folder), write_theirs(images, labels, folder)
        reads: dict[str, Callable[[], int]] = {
            "datasets, ours": partial(by_datasets, ours["parquet"], folder),
            "datasets, its own": partial(by_datasets, theirs["datasets"], folder),
            "Ray Data, ours": partial(by_ray, ours["parquet"]),
            "Ray Data, its own": partial(by_ray, theirs["ray"]),
            "tf.data, ours": partial(by_tf_data, ours["tfrecord"]),
            "tf.data, its own": partial(by_tf_data, theirs["tfrecord"]),
        }
        rates: dict[str, list[float]] = {name: [] for name in reads}
        for _ in range(options.rounds):
            for name, read in reads.items():
                began = time.perf_counter()
                if read() != options.rows:
                    raise SystemExit(f"{name}: did not read {options.rows:,} rows")
                rates[name].append(options.rows / (time.perf_counter() - began))
    medians = {name: statistics.median(values) for name, values in rates.items()}
    for name, rate in medians.items():
        print(f"{name:20} {rate:>10,.0f} rows/s")
    if options.json:
        options.json.write_text(json.dumps({"rows_per_s": medians, "all": rates}, indent=1) + "\n")


if __name__ == "__main__":
    main()
