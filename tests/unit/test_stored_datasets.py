"""Every command on data sets in an object store: a real S3 server, noise for digits, no Ray."""

from __future__ import annotations

import json
import shlex
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from s3_server import S3Server

from ganmodel.errors import CommitConflict, DamageFound, DataError
from ganmodel.labels import parse_labels
from jobs.art_requests import preview_spec
from jobs.cli_options import run_options
from jobs.dataset_commands import run_export, run_status, run_verify
from jobs.finish import finish
from jobs.manifest import Manifest, read_records
from jobs.plan import Plan
from jobs.plan_files import MANIFEST_FILE
from jobs.preview import draw_preview
from jobs.reading import open_dataset
from jobs.requests import evaluate_spec
from jobs.storage import PENDING, Storage, TargetError, open_storage
from jobs.verify import finished_manifest, verify
from tests.unit.fake_digits import (
    DIGEST,
    LATENT_DIM,
    QUALITY,
    FakeSampler,
    dataset_spec,
    make_dataset,
    make_shards,
    remake,
)

COUNT = 3000
SHAPE = {"count": COUNT, "shard_rows": 1000}
MODEL = {"name": "noise", "digest": DIGEST, "training": {}, "quality": QUALITY, "latent_dim": LATENT_DIM}
LOST, FLIPPED, EXTRA = "data/train-00000.parquet", "data/train-00001.parquet", "data/train-00009.parquet"


@pytest.fixture
def place(bucket: str) -> str:
    return f"{bucket}/a/set"


def contents(storage: Storage) -> dict[str, bytes | None]:
    """Return every file that neither a run's notes nor a repair's new records change."""
    names = (n for n in storage.sizes() if "/commits/" not in n and not n.endswith("run.json"))
    return {name: storage.read(name) for name in sorted(names)}


def shas(manifest: Manifest) -> dict[str, str]:
    return {file.name: file.sha256 for shard in manifest.shards for file in shard.files.values()}


def verified(place: str, capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    """Return what `gangen verify --full --json` prints, whatever it finds."""
    with suppress(DamageFound):
        run_verify(place, full=True, fraction=None, model=None, as_json=True)
    return dict(json.loads(capsys.readouterr().out))


def test_damage_is_found_named_and_repaired_there(
    place: str, s3_server: S3Server, capsys: pytest.CaptureFixture[str]
) -> None:
    make_dataset(place, **SHAPE)
    storage = open_storage(place)
    good = contents(storage)
    assert verified(place, capsys)["next"] == f"gangen preview --data {place}"
    run_status(place, run_options(None, False, False, True))
    assert json.loads(capsys.readouterr().out)["status"] == "finished"

    key = place.removeprefix("s3:/")
    s3_server.ask("DELETE", f"{key}/{LOST}")
    data = bytearray(good[FLIPPED] or b"")
    data[100_000] ^= 1
    storage.write_whole(FLIPPED, bytes(data))
    storage.write_whole(EXTRA, b"x")
    run_status(place, run_options(None, False, False, True))
    facts = json.loads(capsys.readouterr().out)
    assert (facts["status"], facts["shards_done"]) == ("damaged", 2)
    facts = verified(place, capsys)
    assert [(f["kind"], f["file"], f["shard"]) for f in facts["faults"]] == [
        ("extra", EXTRA, None), ("missing", LOST, 0), ("pixels", FLIPPED, 1),
    ]  # fmt: skip
    assert facts["next"].endswith(" --repair")
    assert f"--out {place} " in facts["next"]

    with pytest.raises(CommitConflict, match="nothing was replaced"):
        remake(place, FakeSampler(noise=1))
    assert len(verified(place, capsys)["faults"]) == 3
    remake(place)
    assert verified(place, capsys)["next"] == f"delete {shlex.quote(f'{place}/{EXTRA}')}"
    s3_server.ask("DELETE", f"{key}/{EXTRA}")
    assert contents(storage) == good

    storage.write_whole(MANIFEST_FILE, "{")
    run_status(place, run_options(None, False, False, True))
    facts = json.loads(capsys.readouterr().out)
    assert (facts["status"], facts["rows_done"], facts["next"]) == (
        "damaged", COUNT, f"restore {place}/{MANIFEST_FILE}",
    )  # fmt: skip


def test_a_data_set_there_grows_and_leaves_every_file_as_it_was(
    place: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    small = make_dataset(place, **SHAPE)
    storage = open_storage(place)
    big = {"count": 4500, "shard_rows": 1000, "extended_at": (COUNT,)}
    make_shards(dataset_spec(**big), place, skip=[4])
    run_status(place, run_options(None, False, False, True))
    facts = json.loads(capsys.readouterr().out)
    assert (facts["status"], facts["rows_done"], facts["next"].endswith(" --extend")) == (
        "unfinished",
        4000,
        True,
    )
    assert open_dataset(place).num_rows == COUNT
    large = make_dataset(place, **big)
    assert large.shards[: len(small.shards)] == small.shards
    assert not storage.sizes(PENDING)
    assert verified(place, capsys)["rows"] == 4500
    here = tmp_path / "out"
    make_dataset(here, **SHAPE)
    assert shas(make_dataset(here, **big)) == shas(large)


def test_exports_go_from_there_to_there_and_back(place: str, tmp_path: Path) -> None:
    first = make_dataset(place, formats=("parquet",), **SHAPE)
    steps = ((place, "idx", f"{place}-idx"), (f"{place}-idx", "parquet", f"{tmp_path}/back"))
    for source, formats, out in (*steps, (f"{tmp_path}/back", "parquet", f"{place}-again")):
        run_export(source, formats=formats, out=out, image_encoding=None, as_json=True)
    for made in (f"{tmp_path}/back", f"{place}-again"):
        storage = open_storage(made)
        assert shas(finished_manifest(storage)) == shas(first)
        assert verify(storage, finished_manifest(storage), full=True).faults == []


def test_previews_and_evaluations_read_from_there(place: str) -> None:
    make_dataset(place, **SHAPE)
    asked = dict.fromkeys(
        ("labels", "seeds", "seed", "truncation", "precision", "hands", "out", "columns", "scale")
    )
    spec = preview_spec(model="pretrained", rows="990:1010", data=f"{place}/", **asked)
    assert spec.data == place
    images, labels = draw_preview(spec)
    drawn = [FakeSampler().draw(0, block, parse_labels("balanced")) for block in (0, 1)]
    assert (images == np.concatenate([drawn[0][0][990:], drawn[1][0][:10]])).all()
    assert labels.tolist() == [*drawn[0][1][990:], *drawn[1][1][:10]]
    job = evaluate_spec(
        model=None, data=place, dataset="digits", samples="1000", metrics="fid", truncation=None, seed=None
    )
    assert (job.subject.path, job.subject.rows) == (place, COUNT)
    with pytest.raises(DataError, match=f"^--data {place}-gone: there is no "):
        open_dataset(f"{place}-gone")


def test_what_the_store_refuses_to_give_is_one_line(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setattr("jobs.object_access.RETRIES", {"max_retries": 0})
    with pytest.raises(DataError, match=f"^{place}: the store cannot be reached"):
        open_dataset(place)


def test_a_manifest_is_not_created_over_files_that_were_taken_away(
    place: str, s3_server: S3Server, tmp_path: Path
) -> None:
    """A late run of the plan that finds the data set finished clears what is pending, be it an extension's."""
    spec = dataset_spec(**SHAPE)
    for where in (place, str(tmp_path / "out")):
        make_shards(spec, where)
        storage, plan = open_storage(where), Plan(spec)
        records = [record for _, record in sorted(read_records(storage, plan).items())]
        if where == place:
            s3_server.ask("DELETE", f"{place.removeprefix('s3:/')}/{PENDING}/{LOST}")
        else:
            (tmp_path / "out" / PENDING / LOST).unlink()
        with pytest.raises(TargetError, match=rf"1 files were taken away .* \(first: {LOST}\)"):
            finish(storage, plan, records, model=MODEL)
        assert storage.read(MANIFEST_FILE) is None
        assert shas(make_dataset(where, **SHAPE)).keys() == shas(finished_manifest(storage)).keys()
        assert verify(storage, finished_manifest(storage), full=True).faults == []
