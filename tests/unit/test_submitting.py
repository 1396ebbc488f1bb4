"""Under which id a job is submitted, and what is done where its answer is lost: a cluster that is a dictionary."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from ganmodel.errors import ClusterError
from jobs.dataset_commands import _job
from jobs.findings import from_line, to_line
from jobs.job_facts import JobOutcome, facts_of
from jobs.journal import job_around
from jobs.plan import Plan
from jobs.remote import JobRequest, JobsClient
from jobs.specs import EvaluateSpec, GenerateSpec, SubjectSpec
from jobs.submit import RunOptions, run_generate
from jobs.submit_evaluate import _on_cluster
from tests.unit.fake_digits import dataset_spec, make_dataset

ADDRESS = "http://127.0.0.1:8265"


class FakeCluster(JobsClient):
    """Jobs that succeed at once; `logs` is what is left of what they printed, by id."""

    def __init__(self, log: str = "", **states: str) -> None:
        self.address = ADDRESS
        self.states = {f"job{name.removeprefix('job').replace('_', '-')}": s for name, s in states.items()}
        self.logs: dict[str, str] = {}
        self.log_of_new = log

    def check_versions(self) -> None:
        pass

    def follow(self, submission_id: str, write: Any) -> JobOutcome:
        write(self.logs.get(submission_id, ""))
        return JobOutcome(submission_id=submission_id, status="SUCCEEDED", message="")

    def _find(self, submission_id: str) -> Any | None:
        state = self.states.get(submission_id)
        return state and SimpleNamespace(status=state)

    def _submit(self, request: JobRequest, submission_id: str) -> bool:
        self.states[submission_id] = "SUCCEEDED"
        self.logs[submission_id] = self.log_of_new
        return True


@pytest.mark.parametrize(
    ("states", "attached", "expected"),
    [
        ({}, True, "job"),
        ({"job": "RUNNING"}, False, "job"),
        ({"job": "SUCCEEDED"}, True, "job"),
        ({"job": "SUCCEEDED"}, False, "job-2"),
        ({"job": "FAILED", "job_2": "PENDING"}, True, "job-2"),
        ({"job": "FAILED", "job_2": "STOPPED"}, True, "job-3"),
        ({"job": "SUCCEEDED", "job_2": "SUCCEEDED"}, True, "job-2"),
        ({"job": "SUCCEEDED", "job_2": "FAILED"}, True, "job-3"),
    ],
)
def test_the_last_job_of_an_id_is_the_one_that_counts(states, attached, expected):
    request = JobRequest(kind="train", spec_json="{}", submission_id="job", attach_to_succeeded=attached)
    assert FakeCluster(**states).submit(request) == expected


@pytest.fixture
def spec() -> EvaluateSpec:
    subject = SubjectSpec(
        kind="model", path="pretrained", name="x", digest="", model_digest="", seed=0, truncation=1
    )
    return EvaluateSpec(subject=subject, source="digits", metrics=("fid",))


OPTIONS = RunOptions(address=ADDRESS, environ={}, no_wait=False, dry_run=False, as_json=True)


def test_an_evaluation_whose_log_is_gone_is_run_again_and_its_answer_found_from_then_on(
    spec, findings, monkeypatch, capsys
):
    cluster = FakeCluster(f"{to_line(findings)}\n")
    monkeypatch.setattr("jobs.submit.JobsClient", lambda *_: cluster)
    expected = from_line(to_line(findings)).evaluation
    assert _on_cluster(ADDRESS, spec, OPTIONS).evaluation == expected
    (first,) = cluster.states
    assert "run again" not in capsys.readouterr().err
    cluster.logs.clear()
    assert _on_cluster(ADDRESS, spec, OPTIONS).evaluation == expected
    assert "its log is gone, and the result with it: it is run again" in capsys.readouterr().err
    assert _on_cluster(ADDRESS, spec, OPTIONS).evaluation == expected
    assert list(cluster.states) == [first, f"{first}-2"]


def test_an_evaluation_that_says_nothing_though_it_was_run_again_is_one_line(spec, monkeypatch):
    cluster = FakeCluster()
    monkeypatch.setattr("jobs.submit.JobsClient", lambda *_: cluster)
    with pytest.raises(ClusterError, match="its log holds no result"):
        _on_cluster(ADDRESS, spec, OPTIONS)
    assert len(cluster.states) == 2


def test_a_repair_is_a_job_of_its_own_and_status_finds_it(tmp_path, monkeypatch):
    make_dataset(tmp_path, count=2000)
    spec = GenerateSpec(dataset=dataset_spec(count=2000), model="noise", out=str(tmp_path), repair=True)
    plain = Plan(spec.dataset).job_id(spec.out)
    cluster = FakeCluster()
    cluster.states[plain] = "RUNNING"
    monkeypatch.setattr("jobs.submit.JobsClient", lambda *_: cluster)
    run_generate(spec, OPTIONS)
    assert list(cluster.states) == [plain, f"{plain}-repair"]

    def last(*ids: str) -> str | None:
        found = [facts_of(SimpleNamespace(**FACTS, submission_id=job), 0.0) for job in ids]
        monkeypatch.setattr(
            "jobs.dataset_commands.JobsClient", lambda *_: SimpleNamespace(jobs=lambda: found)
        )
        told = _job(ADDRESS, plain, OPTIONS)
        return told and told["job"]

    assert last("other", f"{plain}-x") is None
    assert last(plain, f"{plain}-2", "other") == f"{plain}-2"
    assert last(plain, f"{plain}-repair", f"{plain}-repair-2") == f"{plain}-repair-2"


FACTS: dict[str, Any] = {"job_id": None, "metadata": {}, "status": "RUNNING", "message": ""}
FACTS |= {"start_time": None, "end_time": None}


def test_a_job_knows_its_id_from_ray(monkeypatch):
    name = "RAY_JOB_CONFIG_JSON_ENV_VAR"
    monkeypatch.setenv(name, '{"runtime_env": {}, "metadata": {"job_submission_id": "gangen-generate-1-2"}}')
    assert job_around() == "gangen-generate-1-2"
    for other in ("", "{}", "[]", '{"metadata": {}}'):
        monkeypatch.setenv(name, other)
        assert job_around() is None
    monkeypatch.delenv(name)
    assert job_around() is None
