"""`gangen jobs` and the look at versions, on a real cluster with token authentication (conftest.py)."""

from __future__ import annotations

import json
import os
import platform
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest
import ray

from jobs.remote import JobRequest, JobsClient

pytestmark = [
    pytest.mark.ray_local,
    # Ray's log stream hands aiohttp the ssl=None that aiohttp 3.14 deprecates.
    pytest.mark.filterwarnings("ignore:ssl=None is deprecated:DeprecationWarning"),
]

GANGEN = str(Path(sys.executable).with_name("gangen"))


@pytest.fixture(scope="module")
def client(cluster):
    return JobsClient(cluster.address, cluster.environ)


def submit(client: JobsClient, spec: str, **options: object) -> str:
    return client.submit(
        JobRequest(
            kind="generate",
            spec_json=spec,
            submission_id=f"gangen-{spec}",
            entrypoint_module="stand_in",
            **options,
        )
    )


def gangen_jobs(cluster, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, **cluster.environ, "RAY_ADDRESS": cluster.address, **variables}
    command = [GANGEN, "jobs", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environ, timeout=300, check=False)


def wait_for_log(client: JobsClient, job: str, words: str) -> None:
    give_up = time.monotonic() + 120
    while words not in client.log(job):
        assert time.monotonic() < give_up, client.facts(job)
        time.sleep(0.5)


@pytest.fixture(scope="module")
def stopped(cluster, client):
    """A job that ran, was seen running, and was stopped by the command."""
    job = submit(client, "waits")
    wait_for_log(client, job, "waiting")
    running = json.loads(gangen_jobs(cluster, "status", job, "--json").stdout)
    stopped = gangen_jobs(cluster, "stop", job, "--json")
    assert stopped.returncode == 0, stopped.stderr
    return running, json.loads(stopped.stdout), stopped


def test_stop_waits_until_the_job_has_ended_and_the_job_may_keep_what_is_whole(cluster, client, stopped):
    running, facts, _ = stopped
    assert (running["status"], running["kind"], running["is_ours"]) == ("RUNNING", "generate", True)
    assert (facts["status"], facts["had_ended"]) == ("STOPPED", False)
    assert "keeping what is whole" in gangen_jobs(cluster, "logs", "gangen-waits").stdout
    again = gangen_jobs(cluster, "stop", "gangen-waits")
    assert again.returncode == 0
    assert again.stdout.startswith("nothing to do: gangen-waits is STOPPED")


def test_the_list_shows_gangens_jobs_and_all_with_all(cluster, client, stopped):
    foreign = client._client.submit_job(entrypoint="true")
    facts = json.loads(gangen_jobs(cluster, "list", "--json").stdout)
    assert facts["address"] == cluster.address
    assert "gangen-waits" in [job["job"] for job in facts["jobs"]]
    assert foreign not in [job["job"] for job in facts["jobs"]]
    everybodys = json.loads(gangen_jobs(cluster, "list", "--all", "--json").stdout)
    assert foreign in [job["job"] for job in everybodys["jobs"]]
    table = gangen_jobs(cluster, "list")
    assert table.stderr == f"cluster: {cluster.address}\n"
    assert table.stdout.splitlines()[0].split()[:2] == ["job", "status"]
    assert cluster.token not in table.stdout + stopped[2].stderr


def test_logs_that_are_followed_end_with_the_jobs_exit_code(cluster, client):
    job = submit(client, "fails")
    followed = gangen_jobs(cluster, "logs", job, "--follow")
    assert followed.returncode == 3
    assert "about to fail\n" in followed.stdout
    assert followed.stderr.splitlines()[-1] == (
        "error: job gangen-fails ended as FAILED (Job entrypoint command failed with exit code 3)"
    )
    told = gangen_jobs(cluster, "status", job)
    assert told.returncode == 0
    assert "gangen-fails is FAILED, exit code 3" in told.stdout
    next_command = shlex.split(told.stdout.splitlines()[-1].removeprefix("next: "))
    assert next_command[:4] == ["gangen", "jobs", "logs", job]
    assert "about to fail\n" in gangen_jobs(cluster, *next_command[2:]).stdout


@pytest.mark.parametrize("verb", ["status", "logs", "stop"])
def test_a_job_nobody_knows_is_one_line(cluster, verb):
    done = gangen_jobs(cluster, verb, "gangen-nobody")
    assert (done.returncode, done.stdout) == (6, "")
    assert done.stderr.splitlines()[1:] == [
        f"error: no job gangen-nobody on the Ray cluster at {cluster.address}; was it restarted?"
    ]


def test_a_wrong_and_a_missing_token_are_one_line(cluster):
    wrong = gangen_jobs(cluster, "list", RAY_AUTH_TOKEN_PATH=str(cluster.folder / "wrong"))
    assert wrong.returncode == 6
    assert "refused the token from RAY_AUTH_TOKEN_PATH" in wrong.stderr.splitlines()[-1]
    lines = {"": "asks for a token and none was found", "token": "is set and no token was found"}
    for mode, line in lines.items():
        missing = gangen_jobs(cluster, "list", RAY_AUTH_TOKEN_PATH="", RAY_AUTH_MODE=mode)
        assert missing.returncode == 6
        assert line in missing.stderr.splitlines()[-1]


def test_the_versions_of_a_cluster_are_known_before_anything_is_submitted(client, monkeypatch, capsys):
    assert client._dashboard.versions() == {"ray": ray.__version__, "python": platform.python_version()}
    client.check_versions()
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(
        "jobs.preflight.versions_here", lambda: {"python": "3.10.2", "ray": "2.59.0", "gangen": "0"}
    )
    client.check_versions()
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"warning: the Ray cluster at {client.address} runs Python ")
    assert f"Ray {ray.__version__}, this machine Python 3.10.2 and Ray 2.59.0" in line


def test_the_gangen_of_the_image_runs_where_it_is_asked_for(cluster, client):
    lacks = JobRequest(kind="generate", spec_json="{}", submission_id="gangen-lacks", image_has_gangen=True)
    without = client.follow(client.submit(lacks), print)
    assert (without.status, without.exit_code) == ("FAILED", 6)
    assert "the python3 of this cluster has no gangen" in client.log("gangen-lacks")

    python3 = cluster.folder / "bin" / "python3"
    python3.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n')
    python3.chmod(0o755)
    outcome = client.follow(submit(client, "image", image_has_gangen=True), print)
    text = client.log("gangen-image")
    assert (outcome.status, outcome.exit_code) == ("SUCCEEDED", 0), text
    places = [line.split(" runs ")[1] for line in text.splitlines() if " runs " in line]
    assert len(places) == 2
    assert not any("py_modules_files" in place for place in places)
