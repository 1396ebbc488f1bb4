"""The script a Keras user would write: `predict`, Pillow, pandas, one Parquet file. What gangen is compared with.

    python benchmarks/peers/keras_script.py --rows 20000 --out FILE.parquet [--preset tutorial] [--batch-size 256]

The generator is that of a preset with the weights it is born with: drawing takes the same time as with trained ones.
Prints JSON: rows, seconds and rows/s without imports, model and first batch; `predict_rows_per_s` is the model alone.
"""

from __future__ import annotations

import argparse
import io
import json
import time

import numpy as np
import pandas as pd
from PIL import Image

from ganmodel.networks import build_generator
from ganmodel.presets import find_preset


def main() -> None:
    """Draw, encode, write, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--out", required=True)
    parser.add_argument("--preset", default="tutorial")
    parser.add_argument("--batch-size", type=int, default=256)
    options = parser.parse_args()
    config = find_preset(options.preset).generator
    generator = build_generator(config)
    rng = np.random.default_rng(0)

    def latents(count: int) -> tuple[np.ndarray, np.ndarray]:
        return rng.standard_normal((count, config.latent_dim), np.float32), np.arange(
            count, dtype=np.int32
        ) % 10

    generator.predict(latents(options.batch_size), batch_size=options.batch_size, verbose=0)
    began = time.perf_counter()
    noise, labels = latents(options.rows)
    images = generator.predict([noise, labels], batch_size=options.batch_size, verbose=0)
    predicted = time.perf_counter()
    rows = []
    for image, label in zip(images, labels, strict=True):
        file = io.BytesIO()
        Image.fromarray((image[..., 0] * 127.5 + 127.5).astype(np.uint8)).save(file, format="PNG")
        rows.append({"image": {"bytes": file.getvalue(), "path": None}, "label": int(label)})
    pd.DataFrame(rows).to_parquet(options.out)
    seconds = time.perf_counter() - began
    facts = {
        "rows": options.rows,
        "seconds": seconds,
        "rows_per_s": options.rows / seconds,
        "predict_rows_per_s": options.rows / (predicted - began),
    }
    print(json.dumps(facts))


if __name__ == "__main__":
    main()
