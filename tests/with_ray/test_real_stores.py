"""A million rows in a real S3, Ceph's, opened from there by real clients."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import polars
import pyarrow.dataset as ds
import pyarrow.fs
import pytest
from radosgw_server import make_bucket, running_radosgw, why_not
from store_examples import CHECKS, run_example

from jobs.storage import open_storage

pytestmark = [pytest.mark.slow, pytest.mark.ray_local, pytest.mark.tf]

GANGEN = str(Path(sys.executable).with_name("gangen"))
ROWS, SHARD_ROWS = 1_000_000, 50_000


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    if reason := why_not():
        pytest.skip(f"no Ceph here: {reason}")
    with running_radosgw(tmp_path_factory.mktemp("ceph")) as environ:
        make_bucket(environ, "digits")
        yield environ


@pytest.fixture
def place(gateway, monkeypatch):
    for name, value in gateway.items():
        monkeypatch.setenv(name, value)
    return "s3://digits/a-million"


def gangen(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [GANGEN, *arguments], capture_output=True, text=True, timeout=1500, check=False, env=dict(os.environ)
    )


def test_a_million_rows_are_made_checked_and_read_there(place, gateway, tmp_path):
    command = ["generate", "--count", str(ROWS), "--shard-rows", str(SHARD_ROWS), "--out", place]
    made = gangen(*command, "--json")
    assert made.returncode == 0, made.stderr
    checked = gangen("verify", place, "--json")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert json.loads(checked.stdout)["rows"] == ROWS
    assert not open_storage(place).sizes(".gangen/pending")
    again = json.loads(gangen(*command, "--json").stdout)
    assert again["shards_made"] == 0

    endpoint = gateway["AWS_ENDPOINT_URL"]
    store = pyarrow.fs.S3FileSystem(
        endpoint_override=endpoint.removeprefix("http://"), scheme="http", region=gateway["AWS_REGION"]
    )
    table = ds.dataset("digits/a-million/data", filesystem=store).to_table(columns=["index", "label"])
    assert sorted(table["index"].to_pylist()) == list(range(ROWS))
    options = {"aws_endpoint_url": endpoint, "aws_allow_http": "true", "aws_region": gateway["AWS_REGION"]}
    counts = (
        polars.scan_parquet(f"{place}/data/*.parquet", storage_options=options)
        .group_by("label")
        .len()
        .collect()
    )
    assert sorted(counts.rows()) == [(label, ROWS // 10) for label in range(10)]
    frame = pd.read_parquet("digits/a-million/data", filesystem=store, columns=["label"])
    assert len(frame) == ROWS

    for word in CHECKS:
        if word == "webdataset.WebDataset":  # a format that is not there
            continue
        (tmp_path / word).mkdir()
        run_example(word, place, "gangen_mnist", ROWS, SHARD_ROWS, tmp_path / word)

    lost = gangen(*command, "--seed", "1")
    assert (lost.returncode, lost.stderr.count("\n")) == (4, 1), lost.stderr
