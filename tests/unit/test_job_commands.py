"""What is shown of jobs, and what `gangen jobs` refuses, without a cluster."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from ganmodel.errors import ClusterError, SpecError
from jobs.job_commands import JobOptions, run_list, run_logs, run_status, run_stop
from jobs.job_facts import facts_of


def details(**changes):
    """Return what Ray's client returns of a job."""
    values = {
        "submission_id": "gangen-train-1",
        "job_id": None,
        "metadata": {"job_name": "gangen train"},
        "status": SimpleNamespace(value="FAILED"),
        "message": "Job entrypoint command failed with exit code 3, last available logs (truncated):\nsecret",
        "start_time": 1_700_000_000_000,
        "end_time": 1_700_000_012_340,
        "driver_exit_code": 3,
    }
    return SimpleNamespace(**values | changes)


def test_a_job_becomes_plain_values():
    assert facts_of(details(), now_s=0).as_dict() == {
        "job": "gangen-train-1",
        "kind": "train",
        "status": "FAILED",
        "message": "Job entrypoint command failed with exit code 3",
        "exit_code": 3,
        "started": "2023-11-14T22:13:20+00:00",
        "seconds": 12.3,
        "is_ours": True,
    }


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"end_time": None}, {"seconds": 5.0}),
        ({"end_time": None, "start_time": 1_700_000_009_000}, {"seconds": 0.0}),
        ({"start_time": None}, {"seconds": None, "started": None}),
        ({"metadata": None}, {"kind": "", "is_ours": True}),
        ({"metadata": {}, "submission_id": "raysubmit_x"}, {"is_ours": False}),
        ({"submission_id": "other"}, {"is_ours": True}),
        ({"submission_id": None, "job_id": "02000000"}, {"job": "02000000"}),
        ({"status": "RUNNING", "message": None}, {"status": "RUNNING", "message": ""}),
    ],
)
def test_what_ray_leaves_out_is_no_error(changes, expected):
    facts = facts_of(details(**changes), now_s=1_700_000_005.0).as_dict()
    assert {name: facts[name] for name in expected} == expected


class FakeClient:
    """The jobs of a cluster that does what it is told."""

    address = "http://127.0.0.1:8265"

    def __init__(self, *jobs):
        self.found = {job.submission_id: facts_of(job, 1_700_000_020.0) for job in jobs}
        self.stopped = []

    def jobs(self):
        return list(self.found.values())

    def facts(self, job):
        return self.found[job]

    def log(self, job):
        return f"log of {job}\n"

    def stop(self, job):
        self.stopped.append(job)
        self.found[job] = facts_of(details(submission_id=job, status="STOPPED", message="stopped"), 0)
        return self.found[job]

    def commands(self, job):
        return {"logs": f"gangen jobs logs {job} --follow"}


@pytest.fixture
def client(monkeypatch):
    jobs = [
        details(),
        details(submission_id="gangen-generate-2", status="RUNNING", metadata={"job_name": "gangen generate"},
                end_time=None, driver_exit_code=None, message="is running"),
        details(submission_id="raysubmit_3", metadata={}),
    ]  # fmt: skip
    fake = FakeClient(*jobs)
    monkeypatch.setattr(JobOptions, "client", lambda self: fake)
    return fake


def options(**changes):
    return JobOptions(**{"address": None, "environ": {}, "as_json": False} | changes)


def test_the_list_shows_our_jobs_and_everybodys_when_asked(client, capsys):
    run_list(False, options())
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines[1:3]] == [
        ["gangen-train-1", "FAILED"],
        ["gangen-generate-2", "RUNNING"],
    ]
    assert lines[3] == "next: gangen jobs logs gangen-generate-2 --follow"
    run_list(True, options())
    assert "raysubmit_3" in capsys.readouterr().out


def test_an_empty_list_says_whose_jobs_there_are(client, capsys):
    client.found = {"raysubmit_3": client.found["raysubmit_3"]}
    run_list(False, options())
    assert (
        capsys.readouterr().out == f"no job of gangen's at {client.address}; 1 of others, --all shows them\n"
    )


def test_status_is_a_line_and_what_comes_next(client, capsys):
    run_status("gangen-train-1", options())
    assert capsys.readouterr().out.splitlines() == [
        "gangen-train-1 is FAILED, exit code 3, 12 s: Job entrypoint command failed with exit code 3",
        "next: gangen jobs logs gangen-train-1 --address http://127.0.0.1:8265",
    ]


def test_stop_stops_what_runs_and_leaves_what_has_ended(client, capsys):
    run_stop("gangen-generate-2", options())
    assert client.stopped == ["gangen-generate-2"]
    assert "gangen-generate-2 is STOPPED" in capsys.readouterr().out
    run_stop("gangen-train-1", options())
    assert client.stopped == ["gangen-generate-2"]
    assert capsys.readouterr().out.startswith("nothing to do: gangen-train-1 is FAILED")


def test_a_log_that_goes_on_is_no_json(client):
    with pytest.raises(SpecError, match="--follow and --json"):
        run_logs("gangen-train-1", True, options(as_json=True))


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"address": "local"},
        {"address": "auto"},
        {"environ": {"RAY_ADDRESS": "10.0.0.1:6379"}},
        {"address": "ray://head:10001"},
    ],
)
def test_without_a_dashboard_there_are_no_jobs_to_see(given):
    with pytest.raises(SpecError, match=r"--address: needs the URL .*http://127\.0\.0\.1:8265") as caught:
        options(**given).client()
    assert "\n" not in str(caught.value)


def test_a_job_that_does_not_end_is_an_error_not_a_wait_for_ever(monkeypatch):
    from jobs import remote

    client = remote.JobsClient.__new__(remote.JobsClient)
    client._dashboard = SimpleNamespace(ask=lambda question: question())
    told = []
    client._client = SimpleNamespace(
        stop_job=told.append, get_job_info=lambda _: details(status="RUNNING", message="runs")
    )
    monkeypatch.setattr(remote, "STOP_TIMEOUT_S", 0.0)
    with pytest.raises(ClusterError, match="job x was told to stop and is still RUNNING after 0 s"):
        client.stop("x")
    assert told == ["x"]
