"""The blocks of docs/dataset.md that read a data set from a store, each run in its own process and then checked."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

DOCUMENT = Path(__file__).parents[2] / "docs/dataset.md"
BLOCKS: list[str] = re.findall(
    r"^```python store\n(.*?)^```$", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL
)
MOST_ROWS = 20_000
"""Rows that are decoded one by one."""

CHECKS = {
    "polars.scan_parquet": "assert dict(labels.rows()) == counts",
    "duckdb.sql": "assert dict(labels) == counts",
    "ray.data": "assert labels.count() == count",
    "load_dataset": """
assert len(first) == first_rows
assert digits.num_rows == count
assert isinstance(digits.features["image"], datasets.Image)
assert digits.features["label"].names == list("0123456789")
assert digits[count - 1]["index"] == count - 1
assert digits[0]["image"].size == (28, 28)
""",
    "webdataset.WebDataset": """
keys, images, _ = zip(*rows, strict=True)
assert [int(key) for key in keys] == list(range(count))
assert images[0].shape == (28, 28)
""",
    "tfds.load": """
assert len(rows) == count
assert next(iter(rows))["image"].shape == (28, 28, 1)
assert sum(len(batch["label"]) for batch in rows.take(most).batch(1000)) == min(most, count)
""",
    "from_generator": """
images, labels = next(iter(rows.batch(count if count < most else most)))
assert images.shape[1:] == (28, 28, 1) and len(labels) == min(most, count)
""",
}
"""What must hold after a block, by a word that it alone has."""


def run_example(word: str, place: str, name: str, count: int, first_rows: int, folder: Path) -> None:
    """Run a block on a data set of balanced labels and check what it read.

    Args:
        word: see `CHECKS`.
        place: URL of the data set.
        name: its name.
        count: its rows.
        first_rows: rows of its first shard.
        folder: where the block may write.
    """
    (block,) = [block for block in BLOCKS if word in block]
    block = block.replace("s3://bucket/digits", place).replace("gangen_mnist", name)
    facts = f"count, first_rows, most = {count}, {first_rows}, {MOST_ROWS}"
    known = f"{facts}\ncounts = {{label: count // 10 for label in range(10)}}"
    environ = {
        **os.environ,
        "AWS_ALLOW_HTTP": "true",
        "HF_HOME": str(folder / "huggingface"),
        "RAY_ADDRESS": "local",
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    done = subprocess.run(
        [sys.executable, "-c", f"{block}\n{known}\n{CHECKS[word]}"],
        cwd=folder, env=environ, capture_output=True, text=True, timeout=900, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{block}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
