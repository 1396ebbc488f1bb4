"""Data sets without a network: noise in the place of digits, everything else as in a real run."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np

from ganmodel.label_file import label_parts
from ganmodel.latents import draw_block
from jobs.begin import begin
from jobs.dataset_spec import DatasetSpec
from jobs.finish import finish
from jobs.label_store import labels_of, store_labels
from jobs.manifest import Manifest, read_manifest, read_records
from jobs.plan import Plan
from jobs.plan_files import check_plan
from jobs.repair import condemn, restore
from jobs.shards import DrawnBlocks, ShardMaker
from jobs.specs import GenerateSpec
from jobs.storage import open_storage

LATENT_DIM = 4
DEVICE = {"device": "CPU", "instruction_set": "none"}
DIGEST = "ab" * 32
QUALITY = {"FID": {"value": 0.1, "real": 0.05, "samples": 10_000, "reference": "noise"}}


@dataclass
class FakeSampler:
    """What `ganmodel.sampler.Sampler` offers; `noise` stands for the weights."""

    noise: int = 0
    digest: str = DIGEST
    levels: int = 0
    device: str = "CPU"

    @property
    def info(self) -> Any:
        return SimpleNamespace(digest=self.digest)

    def device_facts(self) -> dict[str, str]:
        return DEVICE | {"device": self.device}

    def draw(self, seed: int, block: int, labels: Any, *, truncation: float = 1.0) -> Any:
        _, drawn = draw_block(seed, block, LATENT_DIM, labels)
        rng = np.random.default_rng([seed, block, self.noise, round(truncation * 1e6)])
        images = np.zeros((1000, 28, 28), np.uint8)
        images[:, 4:8] = rng.integers(1, 240, (1000, 4, 28))
        return images + np.uint8(self.levels) * (images > 0).astype(np.uint8), drawn


def dataset_spec(**changes: Any) -> DatasetSpec:
    fields = {
        "name": "gangen_noise",
        "model_digest": DIGEST,
        "class_names": tuple("0123456789"),
        "seed": 0,
        "labels": "0,1,2,3,4,5,6,7,8,9",
        "truncation": 1.0,
        "count": 5000,
        "shard_rows": 2000,
        "formats": ("parquet", "tfrecord"),
        "image_encoding": "png",
    }
    return DatasetSpec.model_validate({**fields, **changes})


def with_labels(spec: DatasetSpec, path: Any) -> DatasetSpec:
    """Return the spec with its labels from a file."""
    parts = label_parts(str(path), len(spec.class_names), [end for _, end in spec.segments])
    return DatasetSpec.model_validate(spec.model_dump() | {"labels": "file", "label_parts": parts})


def make_shards(spec: DatasetSpec, out: Any, *, labels_file: Any = None, skip: Any = ()) -> None:
    """Make the shards of a data set that are not there, as a job would."""
    storage, plan = open_storage(str(out)), Plan(spec)
    check_plan(storage, plan)
    storage.prepare()
    begin(storage, plan)
    store_labels(spec, storage, labels_file and str(labels_file))
    job = GenerateSpec(dataset=spec, model="fake", out=str(out))
    maker = ShardMaker(plan, storage, DrawnBlocks(job, FakeSampler(digest=spec.model_digest)))
    for task in plan.tasks():
        if task.index not in skip:
            maker.make(task)


def make_dataset(
    out: Any, *, labels_file: Any = None, latent_dim: int | None = LATENT_DIM, **changes: Any
) -> Manifest:
    """Make a finished data set in a folder."""
    spec = dataset_spec(**changes)
    if labels_file:
        spec = with_labels(spec, labels_file)
    make_shards(spec, out, labels_file=labels_file)
    storage, plan = open_storage(str(out)), Plan(spec)
    records = read_records(storage, plan)
    model = {"name": "noise", "digest": DIGEST, "training": {}, "quality": QUALITY}
    if latent_dim is not None:
        model["latent_dim"] = latent_dim
    return finish(storage, plan, [records[i] for i in range(plan.num_shards)], model=model)


def remake(out: Any, sampler: FakeSampler | None = None) -> None:
    """Do what `gangen generate --repair` does, without Ray."""
    storage = open_storage(str(out))
    manifest = read_manifest(storage, check_files=False)
    assert manifest is not None
    plan = Plan(manifest.spec)
    storage.prepare()
    condemn(storage, plan, manifest)
    job = GenerateSpec(dataset=manifest.spec, model="fake", out=str(out))
    maker = ShardMaker(plan, storage, DrawnBlocks(job, sampler or FakeSampler()))
    done = read_records(storage, plan)
    for task in plan.tasks():
        if task.index not in done:
            maker.make(task)
    records = read_records(storage, plan)
    restore(storage, manifest, [records[i] for i in range(plan.num_shards)])


def labels_between(spec: DatasetSpec, out: Any, block: int) -> Any:
    """Return the labels that the plan gives a block, [1000] int32."""
    return draw_block(spec.seed, block, LATENT_DIM, labels_of(spec, open_storage(str(out))))[1]
