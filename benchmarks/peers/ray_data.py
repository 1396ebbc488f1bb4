"""What stock Ray Data makes of the same job: `range`, `map_batches` of the shipped model, one of its own writers.

    python benchmarks/peers/ray_data.py --rows 50000 --out FOLDER [--format parquet|tfrecord]

An actor a core; Pillow makes the PNGs; rows have the columns of gangen's. Prints JSON: rows, seconds and rows/s from
the moment the first actor has its model (the start of Ray and of TensorFlow is left out, as it is for the others).
"""

from __future__ import annotations

import argparse
import io
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import ray
import ray.data
from PIL import Image

from ganmodel.latents import BLOCK_ROWS


class Draw:
    """The generator as a class for `map_batches`: loads once, draws batch after batch."""

    def __init__(self, ready: str) -> None:
        from ganmodel.device import configure_tensorflow
        from ganmodel.model_dir import read_model
        from ganmodel.sampler import load_generator

        configure_tensorflow(threads=1, use_gpus=False)
        info = read_model("pretrained")
        self._latent_dim = info.generator.latent_dim
        self._network = load_generator("pretrained", info)
        self._draw(np.arange(BLOCK_ROWS))
        Path(ready, str(os.getpid())).write_text(str(time.time()))

    def _draw(self, index: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        noise = np.random.default_rng(int(index[0])).standard_normal(
            (len(index), self._latent_dim), np.float32
        )
        labels = (index % 10).astype(np.int32)
        return self._network.predict_on_batch([noise, labels]), labels

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, Any]:
        """Return the rows of a batch of row numbers."""
        images, labels = self._draw(batch["id"])
        encoded = []
        for image in np.asarray(images):
            file = io.BytesIO()
            Image.fromarray((image[..., 0] * 127.5 + 127.5).astype(np.uint8)).save(file, format="PNG")
            encoded.append(file.getvalue())
        return {"image": encoded, "label": labels.astype(np.int64), "index": batch["id"]}


def main() -> None:
    """Draw, encode, write, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--out", required=True)
    parser.add_argument("--format", choices=("parquet", "tfrecord"), default="parquet")
    options = parser.parse_args()
    cores = psutil.cpu_count() or 1
    # Ray Data's own tasks need a slot beside the actors that draw.
    ray.init("local", num_cpus=2 * cores, include_dashboard=False, log_to_driver=False)
    ray.data.DataContext.get_current().enable_progress_bars = False
    with tempfile.TemporaryDirectory() as ready:
        rows = ray.data.range(options.rows).map_batches(
            Draw,
            fn_constructor_args=(ready,),
            batch_size=BLOCK_ROWS,
            compute=ray.data.ActorPoolStrategy(size=cores),
            num_cpus=1,
        )
        if options.format == "parquet":
            rows.write_parquet(options.out)
        else:
            rows.write_tfrecords(options.out)
        ended = time.time()
        began = min(float(path.read_text()) for path in Path(ready).iterdir())
    seconds = ended - began
    print(json.dumps({"rows": options.rows, "seconds": seconds, "rows_per_s": options.rows / seconds}))


if __name__ == "__main__":
    main()
