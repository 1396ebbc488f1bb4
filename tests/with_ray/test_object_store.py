"""Digits in an object store, made by a Ray of our own and by a cluster: real servers, real clients."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.dataset as ds
import pytest
from s3_server import SECRET, S3Server

from ganmodel.model_dir import MODEL_FILE, PRETRAINED, WEIGHTS_FILE, read_model, resolve_model_dir
from jobs.storage import open_storage

pytestmark = [pytest.mark.ray_local, pytest.mark.tf]

GANGEN = str(Path(sys.executable).with_name("gangen"))
ARGUMENTS = ["generate", "--count", "2500", "--shard-rows", "1000", "--workers", "1", "--json"]
TIMEOUT_S = 400


def gangen(*arguments: str, environ: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [GANGEN, *arguments],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
        env={**os.environ, **(environ or {})},
    )


def test_a_store_holds_what_a_folder_would(bucket: str, tmp_path: Path) -> None:
    made = gangen(*ARGUMENTS, "--out", f"{bucket}/a/set/")
    assert made.returncode == 0, made.stderr
    facts = json.loads(made.stdout)
    assert facts["out"] == f"{bucket}/a/set"
    folder = tmp_path / "out"
    local = gangen(*ARGUMENTS, "--out", str(folder))
    assert local.returncode == 0, local.stderr
    assert json.loads(local.stdout)["rows_digest"] == facts["rows_digest"]
    here, there = open_storage(str(folder)), open_storage(f"{bucket}/a/set")
    plain = {name: size for name, size in here.sizes().items() if not name.startswith(".gangen/")}
    assert plain == {name: size for name, size in there.sizes().items() if not name.startswith(".gangen/")}
    assert all(here.read(name) == there.read(name) for name in plain)
    assert not there.sizes(".gangen/pending")

    table = ds.dataset(f"{bucket}/a/set/data").to_table(columns=["index", "label"]).sort_by("index")
    assert table["index"].to_pylist() == list(range(2500))
    again = gangen(*ARGUMENTS, "--out", f"{bucket}/a/set")
    assert json.loads(again.stdout)["shards_made"] == 0
    assert SECRET not in made.stderr + made.stdout + "".join(map(str, map(there.read, there.sizes())))


@pytest.mark.slow
def test_training_data_and_model_come_from_the_store_and_give_what_their_folders_do(
    bucket: str, s3_server: S3Server, tmp_path: Path
) -> None:
    def put(path: Path, name: str) -> str:
        s3_server.ask("PUT", f"{bucket.removeprefix('s3:/')}/{name}", path.read_bytes())
        return f"{bucket}/{name}"

    def succeed(*arguments: str) -> dict[str, Any]:
        done = gangen(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        assert SECRET not in done.stderr + done.stdout
        return dict(json.loads(done.stdout))

    labels = (np.arange(200) % 10).astype(np.uint8)
    images = np.random.default_rng(0).integers(0, 256, (200, 28, 28), np.uint8)
    np.savez(tmp_path / "tiny.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
    steps = ["--preset", "tiny", "--steps", "20", "--precision", "float32"]
    for name, dataset in (
        ("here", str(tmp_path / "tiny.npz")),
        ("there", put(tmp_path / "tiny.npz", "tiny.npz")),
    ):
        succeed("train", "--dataset", dataset, *steps, "--model-dir", str(tmp_path / name))
    here, there = (read_model(str(tmp_path / name)) for name in ("here", "there"))
    assert there.digest == here.digest
    for file in (MODEL_FILE, WEIGHTS_FILE):
        model = put(tmp_path / "there" / file, f"models/mine/{file}").rpartition("/")[0]
    made = {
        name: succeed(*ARGUMENTS[:-1], "--model", place, "--out", str(tmp_path / f"rows-{name}"))
        for name, place in (("here", str(tmp_path / "here")), ("there", model))
    }
    assert made["there"]["rows_digest"] == made["here"]["rows_digest"]
    # The model is found again where the run had it.
    checked = succeed("verify", str(tmp_path / "rows-there"), "--regenerate", "1")
    assert checked["status"] == "good"
    judged = succeed(
        "evaluate", "--model", model, "--dataset", f"{bucket}/tiny.npz", "--metrics", "nn", "--samples", "100"
    )
    assert judged["subject"]["digest"] == there.digest


@pytest.mark.slow
def test_a_cluster_writes_to_the_store_the_client_means_with_credentials_of_its_own(
    cluster, bucket: str, s3_server: S3Server
) -> None:
    for name in (MODEL_FILE, WEIGHTS_FILE):
        data = (resolve_model_dir(PRETRAINED) / name).read_bytes()
        s3_server.ask("PUT", f"{bucket.removeprefix('s3:/')}/m/{name}", data)
    places = ["--model", f"{bucket}/m", "--out", f"{bucket}/set"]
    made = gangen(*ARGUMENTS, *places, "--address", cluster.address, environ=cluster.environ)
    assert made.returncode == 0, made.stderr
    facts = json.loads(made.stdout)
    assert (facts["rows"], facts["shards"]) == (2500, 3)
    request = urllib.request.Request(
        f"{cluster.address}/api/jobs/", headers={"Authorization": f"Bearer {cluster.token}"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        jobs = answer.read().decode()
    assert os.environ["AWS_ENDPOINT_URL"] in jobs
    assert SECRET not in jobs + made.stderr
    assert SECRET not in "".join(
        path.read_text(errors="replace") for path in (cluster.folder).rglob("*.log") if path.is_file()
    )
