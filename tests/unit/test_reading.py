"""Finished data sets are read back to the last pixel, and nothing else is read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ganmodel.errors import DataError
from ganmodel.weights import file_sha256
from jobs.dataset_spec import DatasetSpec
from jobs.manifest import FileRecord, ShardRecord, build_manifest, to_json
from jobs.plan import Plan
from jobs.plan_files import MANIFEST_FILE, PLAN_FILE
from jobs.reading import open_dataset, read_rows
from jobs.writers import FORMATS
from jobs.writers.encode import encode_rows

COUNT, SHARD = 2500, 1000
RNG = np.random.default_rng(5)
IMAGES = (RNG.integers(0, 256, (COUNT, 28, 28)) * (RNG.random((COUNT, 28, 28)) < 0.2)).astype(np.uint8)
LABELS = RNG.integers(0, 10, COUNT).astype(np.int32)


def write_dataset(folder: Path, formats: tuple[str, ...], image_encoding: str) -> None:
    spec = DatasetSpec(
        name="gangen_test", model_digest="0" * 64, class_names=tuple(map(str, range(10))), seed=0,
        labels="uniform", truncation=1.0, count=COUNT, shard_rows=SHARD, formats=formats, image_encoding=image_encoding,
    )  # fmt: skip
    plan, records = Plan(spec), []
    for task in plan.tasks():
        files = {}
        rows = slice(task.first_row, task.end_row)
        names = plan.file_names(task)
        for name in formats:
            kind, paths = FORMATS[name], [folder / names[key] for key in FORMATS[name].keys]
            for path in paths:
                path.parent.mkdir(parents=True, exist_ok=True)
            encoding = kind.stored_as(image_encoding)
            writer = kind.open(*paths, image_encoding=encoding, class_names=spec.class_names)
            writer.append(encode_rows(IMAGES[rows], LABELS[rows], task.first_row, encoding))
            writer.close()
            for key, path in zip(kind.keys, paths, strict=True):
                size = path.stat().st_size
                files[key] = FileRecord(name=names[key], size_bytes=size, sha256=file_sha256(path))
        record = ShardRecord(
            recipe_digest=plan.recipe_digest(0), index=task.index, first_row=task.first_row, num_rows=task.num_rows,
            files=files, rows_digest="0" * 64, label_counts={}, device={}, seconds={},
        )  # fmt: skip
        records.append(record)
    (folder / MANIFEST_FILE).parent.mkdir()
    manifest = build_manifest(plan, records, model={}, gangen_version="0")
    (folder / MANIFEST_FILE).write_text(to_json(manifest))


@pytest.mark.parametrize("image_encoding", ["png", "raw"])
@pytest.mark.parametrize("formats", [("parquet",), ("tfrecord",), ("webdataset",), ("idx", "parquet")])
@pytest.mark.parametrize("count", [COUNT, 1001, 1])
def test_rows_are_read_back_from_every_format(
    formats: tuple[str, ...], image_encoding: str, count: int, tmp_path: Path
) -> None:
    write_dataset(tmp_path, formats, image_encoding)
    images, labels = read_rows(str(tmp_path), open_dataset(str(tmp_path)), count)
    np.testing.assert_array_equal(images, IMAGES[:count])
    np.testing.assert_array_equal(labels, LABELS[:count])
    assert (images.dtype, labels.dtype) == (np.uint8, np.int32)


def test_a_folder_without_a_manifest_is_no_data_set(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"--data .*: there is no .gangen/manifest.json; give a folder"):
        open_dataset(str(tmp_path))


def test_a_data_set_that_is_not_finished_says_so(tmp_path: Path) -> None:
    (tmp_path / PLAN_FILE).parent.mkdir()
    (tmp_path / PLAN_FILE).write_text("{}")
    with pytest.raises(DataError, match=r"is not finished; `gangen status .*` names the command that"):
        open_dataset(str(tmp_path))


def test_missing_and_cut_files_are_found_before_anything_is_read(tmp_path: Path) -> None:
    write_dataset(tmp_path, ("parquet",), "png")
    (tmp_path / "data/train-00001.parquet").write_bytes(b"")
    with pytest.raises(
        DataError, match=r"1 of 3 files are missing or cut \(first: data/train-00001.parquet\)"
    ):
        open_dataset(str(tmp_path))


def test_a_changed_file_is_found_by_its_checksum(tmp_path: Path) -> None:
    write_dataset(tmp_path, ("parquet",), "png")
    file = tmp_path / "data/train-00002.parquet"
    data = bytearray(file.read_bytes())
    data[100] ^= 1
    file.write_bytes(data)
    manifest = open_dataset(str(tmp_path))
    read_rows(str(tmp_path), manifest, 2000)
    with pytest.raises(DataError, match=r"data/train-00002.parquet is not what was committed"):
        read_rows(str(tmp_path), manifest, 2001)


def test_a_damaged_manifest_is_one_line(tmp_path: Path) -> None:
    (tmp_path / MANIFEST_FILE).parent.mkdir()
    (tmp_path / MANIFEST_FILE).write_text("{}")
    with pytest.raises(DataError, match=r"manifest\.json is damaged"):
        open_dataset(str(tmp_path))
