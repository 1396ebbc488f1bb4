"""Data sets with splits that have been extended, opened whole by the real libraries, and drawn again by a model."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest

from ganmodel.sampler import Sampler
from jobs.dataset_commands import run_verify
from jobs.finish import finish
from jobs.manifest import read_records
from jobs.plan import Plan
from jobs.plan_files import write_plan
from jobs.requests_generate import generate_spec
from jobs.shards import DrawnBlocks, ShardMaker
from jobs.specs import Placement
from jobs.storage import open_storage
from tests.unit.fake_digits import make_dataset

pytestmark = pytest.mark.tf

COUNT = 5500
ROWS = {"train": [*range(2000), *range(3000, 5000)], "test": [*range(2000, 3000), *range(5000, 5500)]}


@pytest.fixture(scope="module", params=["png", "raw"])
def grown(request, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("grown")
    shape = {
        "splits": (("train", 700_000), ("test", 300_000)),
        "formats": ("idx", "parquet", "tfrecord", "webdataset"),
        "image_encoding": request.param,
        "shard_rows": 1000,
    }
    make_dataset(out, count=3000, **shape)
    make_dataset(out, count=COUNT, extended_at=(3000,), **shape)
    return out


def test_huggingface_sees_every_split_whole(grown, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    import datasets

    loaded = datasets.load_dataset(str(grown), cache_dir=str(tmp_path))
    assert {name: rows.num_rows for name, rows in loaded.items()} == {"train": 4000, "test": 1500}
    for name, rows in loaded.items():
        assert sorted(rows["index"]) == ROWS[name]
        assert rows.features["label"].names == list("0123456789")


def test_tfds_sees_every_split_whole(grown):
    import tensorflow_datasets as tfds

    builder = tfds.builder_from_directory(str(grown / "tfds/gangen_noise/1.0.0"))
    assert {name: split.num_examples for name, split in builder.info.splits.items()} == {
        "train": 4000,
        "test": 1500,
    }
    for name, expected in ROWS.items():
        rows = builder.as_dataset(split=name).as_numpy_iterator()
        assert sorted(int(row["index"]) for row in rows) == expected


def load_mnist(folder: Path, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Load IDX files as the loaders of MNIST do; `kind` is `train` or `t10k`."""
    with (folder / f"{kind}-labels-idx1-ubyte").open("rb") as file:
        magic, rows = struct.unpack(">II", file.read(8))
        labels = np.fromfile(file, dtype=np.uint8)
    assert (magic, rows) == (2049, len(labels))
    with (folder / f"{kind}-images-idx3-ubyte").open("rb") as file:
        magic, rows, height, width = struct.unpack(">IIII", file.read(16))
        images = np.fromfile(file, dtype=np.uint8).reshape(len(labels), height, width)
    assert (magic, rows) == (2051, len(labels))
    return images, labels


def test_a_plain_mnist_loader_reads_a_shards_folder(grown):
    import pyarrow.parquet as pq

    for kind, split in (("train", "train"), ("t10k", "test")):
        images, labels = load_mnist(grown / "idx/00000", kind)
        table = pq.read_table(grown / f"data/{split}-00000.parquet")
        assert images.shape == (1000, 28, 28)
        assert (labels == table["label"].to_numpy()).all()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
def test_webdataset_reads_every_row_of_a_split(grown):
    webdataset = pytest.importorskip("webdataset")
    urls = sorted(str(path) for path in (grown / "webdataset").glob("train-*.tar"))
    rows = webdataset.WebDataset(urls, shardshuffle=False).to_tuple("__key__", "cls")
    assert [int(key) for key, _ in rows] == ROWS["train"]


def test_a_real_model_draws_the_same_rows_again_byte_for_byte(tmp_path, capsys):
    job = generate_spec(
        count="2500", out=str(tmp_path), model="pretrained", formats="parquet", shard_rows="1000", labels="uniform",
        seed=3, truncation=0.9, precision="float32", image_encoding="png", splits="a=0.5,b=0.5", extend=False,
        repair=False, placement=Placement(),
    )  # fmt: skip
    storage, plan, sampler = open_storage(job.out), Plan(job.dataset), Sampler("pretrained")
    storage.prepare()
    write_plan(storage, plan)
    maker = ShardMaker(plan, storage, DrawnBlocks(job, sampler))
    for task in plan.tasks():
        maker.make(task)
    records = read_records(storage, plan)
    model = {
        "name": sampler.info.name,
        "latent_dim": sampler.info.generator.latent_dim,
        "training": {},
        "quality": {},
    }
    finish(storage, plan, [records[i] for i in range(plan.num_shards)], model=model)
    run_verify(str(tmp_path), full=True, fraction=1.0, model=None, as_json=True)
    facts = json.loads(capsys.readouterr().out)
    assert facts["status"] == "good"
    assert facts["regenerated"] == {"blocks": 3, "exact_blocks": 3, "levels": 0, "allowed_levels": 1}
