"""Rows a second of encoding and writing, on one core.

    python -m benchmarks.encode [--rows 50000] [--repeats 3] [--digits | --npz FILE] [--json FILE]

The images are soft rings (some 290 bytes as PNG), the same in every run; `--digits` takes the shipped generator's,
`--npz` real ones in Keras' layout. Each stage is timed alone; the best of `--repeats` counts, in CPU seconds of this
process, and a writer's time includes closing the file. Nothing else should run meanwhile.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from ganmodel.latents import BLOCK_ROWS
from jobs.writers import FORMATS
from jobs.writers.encode import ImageEncoding, encode_rows

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from jobs.writers import Format
    from jobs.writers.encode import EncodedRows

CLASS_NAMES = tuple("0123456789")


def draw_images(count: int) -> NDArray[np.uint8]:
    """Return [count, 28, 28] uint8: a soft ring each, which compresses about as well as MNIST."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0:28, 0:28].astype(np.float32)
    cx, cy, bend, flat, width = (
        rng.uniform(low, high, (count, 1, 1)).astype(np.float32)
        for low, high in ((11, 17), (11, 17), (4, 8), (0.6, 1), (0.7, 1.2))
    )
    distance = np.abs(np.hypot(x - cx, (y - cy) * flat) - bend)
    images: NDArray[np.uint8] = (np.clip(1.5 - distance / width, 0, 1) * 255).astype(np.uint8)
    return images


def digits(count: int) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Return the first `count` digits of the shipped generator and their labels; whole blocks."""
    from ganmodel.labels import parse_labels
    from ganmodel.sampler import Sampler

    sampler, labels = Sampler("pretrained", threads=None, use_gpus=False), parse_labels("balanced")
    blocks = [sampler.draw(0, block, labels) for block in range(count // BLOCK_ROWS)]
    return np.concatenate([x for x, _ in blocks]), np.concatenate([y for _, y in blocks])


def load_images(path: Path, count: int) -> NDArray[np.uint8]:
    """Return the first `count` training images of an .npz, starting over where it has fewer."""
    with np.load(path) as arrays:
        return np.resize(arrays["x_train"], (count, 28, 28))


def rates(rows: int, repeats: int, work: Callable[[], object]) -> list[int]:
    """Return the rows per CPU second of each of `repeats` calls."""
    found = []
    for _ in range(repeats):
        began = time.process_time()
        work()
        found.append(round(rows / (time.process_time() - began)))
    return found


def encode(
    images: NDArray[np.uint8], labels: NDArray[np.int32], encoding: ImageEncoding
) -> list[EncodedRows]:
    cuts = (slice(start, start + BLOCK_ROWS) for start in range(0, len(images), BLOCK_ROWS))
    return [encode_rows(images[cut], labels[cut], cut.start, encoding) for cut in cuts]


def write(kind: Format, paths: list[Path], blocks: list[EncodedRows], encoding: ImageEncoding) -> None:
    writer = kind.open(*paths, image_encoding=encoding, class_names=CLASS_NAMES)
    for block in blocks:
        writer.append(block)
    writer.close()


def measure(images: NDArray[np.uint8], repeats: int, folder: Path) -> list[dict[str, Any]]:
    """Return a line for each stage: what, image encoding, rows per second, bytes a row."""
    labels = (np.arange(len(images)) % 10).astype(np.int32)
    lines: list[dict[str, Any]] = []

    def add(stage: str, encoding: str, size_bytes: int, work: Callable[[], object]) -> None:
        found = rates(len(images), repeats, work)
        lines.append(
            {
                "stage": stage,
                "images": encoding,
                "rows_per_s": max(found),
                "all": found,
                "bytes_per_row": round(size_bytes / len(images), 1),
            }
        )

    for encoding in get_args(ImageEncoding):
        blocks = encode(images, labels, encoding)
        size_bytes = sum(len(block.data) for block in blocks)
        add("encode", encoding, size_bytes, partial(encode, images, labels, encoding))
        for name, kind in FORMATS.items():
            if kind.stored_as(encoding) != encoding:
                continue
            paths = [folder / f"{name}-{encoding}-{key}" for key in kind.keys]
            write(kind, paths, blocks, encoding)
            size_bytes = sum(path.stat().st_size for path in paths)
            add(f"write {name}", encoding, size_bytes, partial(write, kind, paths, blocks, encoding))
            add(f"count {name}", encoding, size_bytes, partial(kind.count_rows, *paths))
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--rows", type=int, default=50_000, help="rows of each measurement, whole blocks of 1,000"
    )
    parser.add_argument("--repeats", type=int, default=3, help="times each stage runs; the best counts")
    parser.add_argument("--digits", action="store_true", help="the shipped generator's digits")
    parser.add_argument("--npz", type=Path, help="real images, x_train of a file in Keras' layout")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    if args.digits:
        images = digits(args.rows)[0]
    else:
        images = load_images(args.npz, args.rows) if args.npz else draw_images(args.rows)
    with tempfile.TemporaryDirectory() as folder:
        lines = measure(images, args.repeats, Path(folder))
    print(f"{'stage':16} {'images':6} {'rows/s':>12} {'bytes/row':>10}")
    for line in lines:
        print(f"{line['stage']:16} {line['images']:6} {line['rows_per_s']:>12,} {line['bytes_per_row']:>10,}")
    if args.json:
        args.json.write_text(json.dumps({"rows": args.rows, "stages": lines}, indent=1) + "\n")


if __name__ == "__main__":
    main()
