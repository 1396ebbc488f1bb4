"""Both commands on a cluster that is not ours, over HTTP, with a token."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from jobs.journal import EVENTS
from jobs.plan_files import MANIFEST_FILE, commit_name
from jobs.remote import JobsClient

pytestmark = [pytest.mark.ray_local, pytest.mark.tf]

ROOT = Path(__file__).parents[2]
GANGEN = str(Path(sys.executable).with_name("gangen"))


def gangen(cluster, *arguments: str, token: str = "token") -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, **cluster.environ, "RAY_AUTH_TOKEN_PATH": str(cluster.folder / token)}
    command = [GANGEN, *arguments, "--address", cluster.address]
    return subprocess.run(command, capture_output=True, text=True, env=environ, timeout=400, check=False)


def test_a_model_is_trained_and_digits_are_made_on_the_cluster(cluster, tmp_path: Path) -> None:
    model, out = tmp_path / "model", tmp_path / "digits"
    training = (
        "train",
        "--dataset",
        "digits",
        "--preset",
        "tiny",
        "--steps",
        "20",
        "--model-dir",
        str(model),
    )
    trained = gangen(cluster, *training, "--json")
    assert trained.returncode == 0, trained.stderr
    assert "training on 1 worker(s), CPU only" in trained.stderr
    assert (model / "model.json").is_file()
    arguments = (
        "generate",
        "--count",
        "2500",
        "--model",
        str(model),
        "--out",
        str(out),
        "--shard-rows",
        "1000",
    )
    made = gangen(cluster, *arguments, "--json")
    assert made.returncode == 0, made.stderr
    facts = json.loads(made.stdout)
    assert (facts["rows"], facts["rows_made"], facts["shards"]) == (2500, 2500, 3)
    assert f"cluster: {cluster.address}" in made.stderr
    again = gangen(cluster, *arguments)
    assert "nothing to do" in again.stdout
    (out / MANIFEST_FILE).unlink()
    (out / commit_name(2)).unlink()
    resumed = json.loads(gangen(cluster, *arguments, "--json").stdout)
    assert (resumed["rows"], resumed["rows_made"], resumed["shards_made"]) == (2500, 500, 1)
    assert resumed["rows_digest"] == facts["rows_digest"]
    assert cluster.token not in trained.stderr + made.stderr + (out / MANIFEST_FILE).read_text()

    other = gangen(cluster, *arguments, "--seed", "1")
    assert other.returncode == 4
    assert "seed: 0 there, 1 asked" in other.stderr


def test_no_wait_prints_the_job_and_what_follows_it(cluster, tmp_path: Path) -> None:
    out = tmp_path / "digits"
    submitted = gangen(cluster, "generate", "--count", "1000", "--out", str(out), "--no-wait", "--json")
    assert submitted.returncode == 0, submitted.stderr
    facts = json.loads(submitted.stdout)
    assert facts["job"].startswith("gangen-generate-")
    assert set(facts["follow"]) == {"status", "logs", "stop"}
    done = gangen(
        cluster, "generate", "--count", "1000", "--out", str(out), "--json"
    )  # Attaches to that job.
    assert done.returncode == 0, done.stderr
    assert f"job: {facts['job']}\n" in done.stderr
    assert json.loads(done.stdout)["rows"] == 1000
    both = json.loads(gangen(cluster, "status", str(out), "--json").stdout)
    assert (both["status"], both["last_run"]["rows"]) == ("finished", 1000)
    assert both["job"]["job"].startswith(facts["job"])
    assert both["job"]["status"] == "SUCCEEDED"


def test_a_job_that_fails_ends_with_its_own_exit_code(cluster, tmp_path: Path) -> None:
    model = tmp_path / "model"
    failed = gangen(
        cluster,
        "train",
        "--dataset",
        str(tmp_path / "gone.npz"),
        "--preset",
        "tiny",
        "--model-dir",
        str(model),
    )
    assert failed.returncode == 2, failed.stderr
    assert "gone.npz: no such file" in failed.stderr
    assert "Traceback" not in failed.stderr


def test_a_wrong_token_is_refused_with_one_line(cluster, tmp_path: Path) -> None:
    refused = gangen(cluster, "generate", "--count", "1000", "--out", str(tmp_path / "x"), token="wrong")
    assert refused.returncode == 6
    assert refused.stderr.splitlines()[-1].startswith("error: ")
    assert len(refused.stderr.splitlines()) == 2  # The address, then the error.
    assert not (tmp_path / "x").exists()


def test_a_package_too_large_to_travel_is_refused_with_one_line(cluster, tmp_path: Path) -> None:
    for package in ("jobs", "ganmodel"):
        shutil.copytree(ROOT / package, tmp_path / package)
    with (tmp_path / "jobs" / "weights").open("wb") as file:
        file.truncate(101 * 2**20)  # More than Ray's dashboard takes, which would answer 500 or hang up.
    environ = {**os.environ, **cluster.environ, "PYTHONPATH": str(tmp_path)}
    command = [
        GANGEN,
        "generate",
        "--count",
        "1000",
        "--out",
        str(tmp_path / "x"),
        "--address",
        cluster.address,
    ]
    refused = subprocess.run(command, capture_output=True, text=True, env=environ, timeout=400, check=False)
    assert (refused.returncode, refused.stdout) == (6, ""), refused.stderr
    assert len(refused.stderr.splitlines()) == 2  # The address, then the error.
    assert refused.stderr.splitlines()[-1].startswith(f"error: the package in {tmp_path}/jobs and ")
    assert "at most 32.0 MiB travel with a job" in refused.stderr


def test_the_cluster_example_of_the_readme_runs(cluster, tmp_path: Path) -> None:
    readme = (ROOT / "README.md").read_text()
    example = readme.partition("```sh cluster\n")[2].partition("```")[0]
    assert "http://127.0.0.1:8265" in example
    environ = {**os.environ, **cluster.environ, "PATH": f"{Path(GANGEN).parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-euc", example.replace("http://127.0.0.1:8265", cluster.address)],
        cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=400, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "committed 5,000 digits" in done.stdout


def test_a_command_inside_a_job_works_on_the_cluster_around_it(cluster, tmp_path: Path) -> None:
    """What the files in deploy/ do: the job's command is gangen's own, with --address auto."""
    out = tmp_path / "digits"
    command = shlex.join(
        [GANGEN, "generate", "--count", "1000", "--out", str(out), "--address", "auto", "--json"]
    )
    client = JobsClient(cluster.address, cluster.environ)
    environment = {"env_vars": {"PYTHONPATH": str(ROOT)}}
    job = client._client.submit_job(entrypoint=command, runtime_env=environment)
    followed = gangen(cluster, "jobs", "logs", job, "--follow")
    assert followed.returncode == 0, followed.stdout + followed.stderr
    assert json.loads((out / MANIFEST_FILE).read_text())["num_rows"] == 1000
    assert client.facts(job).is_ours is False
    told = [json.loads(line) for part in (out / EVENTS).iterdir() for line in part.read_text().splitlines()]
    assert {event["job"] for event in told} == {job}, "events and metrics are of the job that jobs shows"
