"""What Ray tells of a job, as values: its own `JobDetails` differ between versions."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

ENDED = frozenset({"SUCCEEDED", "FAILED", "STOPPED"})
"""States a job does not leave."""

ID_PREFIX, NAME_PREFIX = "gangen-", "gangen "
"""How the ids of our jobs begin, and the names in their metadata."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobOutcome:
    """How a job ended.

    Attributes:
        submission_id: of the job.
        status: `SUCCEEDED`, `FAILED` or `STOPPED`.
        message: what Ray says about it, one line.
        exit_code: of the entrypoint, None where it did not run to its end.
    """

    submission_id: str
    status: str
    message: str
    exit_code: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFacts:
    """A job as `gangen jobs` shows it.

    Attributes:
        job: its submission id.
        kind: `generate`, `train`, ...; for a job that is not ours its name, or nothing.
        status: `PENDING`, `RUNNING`, `SUCCEEDED`, `FAILED` or `STOPPED`.
        message: what Ray says about it, one line.
        exit_code: of the entrypoint, None where it has not run to its end.
        started: when it was submitted, ISO 8601 in UTC; None where Ray does not say.
        seconds: since then, until now or its end.
        is_ours: gangen submitted it.
    """

    job: str
    kind: str
    status: str
    message: str
    exit_code: int | None
    started: str | None
    seconds: float | None
    is_ours: bool

    @property
    def has_ended(self) -> bool:
        """Whether it will change no more."""
        return self.status in ENDED

    def as_dict(self) -> dict[str, Any]:
        """Return the attributes for JSON."""
        return asdict(self)


SPOT = {"ray.io/market-type": "spot"}
"""The label of a node that may be taken away at any time, where Ray's launcher or KubeRay has put it."""


def place_of_driver(nodes: list[dict[str, Any]]) -> dict[str, float]:
    """Return the resources that keep a job's driver off the head: a little of what only one other node has.

    The head keeps the cluster, and all of it is lost with it. A spot node is no better place: the driver cannot be
    replaced as a worker can. Where there is no other node, nothing is returned, and Ray takes the head.

    Args:
        nodes: each as Ray's `NodeState`.
    """
    fit = [
        node
        for node in nodes
        if node.get("state") == "ALIVE"
        and not node.get("is_head_node")
        and not SPOT.items() <= (node.get("labels") or {}).items()
    ]
    # Ray gives every node such a resource. What is taken of it also keeps the autoscaler from calling the node idle.
    named = [name for node in fit for name in node["resources_total"] if name == f"node:{node['node_ip']}"]
    return {min(named): 0.001} if named else {}


def status_of(details: Any) -> str:
    """Return the state of Ray's `JobDetails` as a plain word."""
    return str(getattr(details.status, "value", details.status))


def outcome_of(submission_id: str, details: Any) -> JobOutcome:
    """Return how a job ended."""
    return JobOutcome(
        submission_id=submission_id,
        status=status_of(details),
        message=_message(details),
        exit_code=getattr(details, "driver_exit_code", None),
    )


def facts_of(details: Any, now_s: float) -> JobFacts:
    """Return what is shown of a job.

    Args:
        details: Ray's `JobDetails`.
        now_s: the time, seconds since 1970.
    """
    job = str(details.submission_id or details.job_id or "")
    name = str((details.metadata or {}).get("job_name", ""))
    began, ended = details.start_time, details.end_time  # Milliseconds.
    end_s = ended / 1000 if ended else now_s
    return JobFacts(
        job=job,
        kind=name.removeprefix(NAME_PREFIX),
        status=status_of(details),
        message=_message(details),
        exit_code=getattr(details, "driver_exit_code", None),
        started=datetime.fromtimestamp(began / 1000, UTC).isoformat(timespec="seconds") if began else None,
        # The clocks of two machines: a job is never younger than nothing.
        seconds=round(max(0.0, end_s - began / 1000), 1) if began else None,
        is_ours=name.startswith(NAME_PREFIX) or job.startswith(ID_PREFIX),
    )


def _message(details: Any) -> str:
    """Return Ray's message as one line, without the end of the log that it repeats."""
    return re.sub(r",? last available logs.*", "", (details.message or "").strip().partition("\n")[0])
