"""Where the driver of a submitted job runs: not on the head of a real cluster, unless that is all there is."""

from __future__ import annotations

import subprocess
import time

import pytest

from jobs.remote import JobRequest, JobsClient
from tests.with_ray.conftest import end, free_port

pytestmark = [pytest.mark.ray_local, pytest.mark.slow]


def run_and_find(client: JobsClient, spec: str) -> str:
    """Run a job to its end; return the id of the node its driver was on."""
    request = JobRequest(
        kind="generate", spec_json=spec, submission_id=f"gangen-{spec}", entrypoint_module="stand_in"
    )
    job = client.submit(request)
    assert client.follow(job, lambda _: None).status == "SUCCEEDED"
    return str(client._details(job).driver_node_id)


def start_node(cluster, ip: str, *options: str) -> subprocess.Popen[bytes]:
    ports = ("dashboard-agent-listen-port", "dashboard-agent-grpc-port", "metrics-export-port")
    ports += ("runtime-env-agent-port", "node-manager-port", "object-manager-port")
    command = [str(cluster.programs / "ray"), "start", "--block", "--num-cpus=1", f"--node-ip-address={ip}"]
    command += [f"--address={(cluster.folder / 'ray_current_cluster').read_text()}", *options]
    command += [f"--{name}={free_port()}" for name in ports]
    environ = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(cluster.folder),
        "PYTHONPATH": str(cluster.folder / "code"),
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(cluster.folder / "token"),
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    with (cluster.folder / f"node-{ip}.log").open("wb") as log:
        return subprocess.Popen(
            command, env=environ, cwd=cluster.folder, stdout=log, stderr=log, start_new_session=True
        )


def test_a_driver_keeps_off_the_head_and_off_spot_nodes_where_there_is_another(cluster):
    client = JobsClient(cluster.address, cluster.environ)
    head = client._dashboard.nodes()[0]
    assert head["is_head_node"]
    nodes = [start_node(cluster, "127.0.0.2", "--labels=ray.io/market-type=spot")]
    try:
        wait_for(client, cluster, 2)
        assert run_and_find(client, "head-is-all") == head["node_id"]
        nodes.append(start_node(cluster, "127.0.0.3"))
        wait_for(client, cluster, 3)
        plain = next(node for node in client._dashboard.nodes() if node["node_ip"] == "127.0.0.3")
        assert run_and_find(client, "elsewhere") == plain["node_id"]
    finally:
        for node in nodes:
            end(node)


def wait_for(client: JobsClient, cluster, num_nodes: int) -> None:
    give_up = time.monotonic() + 240
    while sum(node["state"] == "ALIVE" for node in client._dashboard.nodes()) < num_nodes:
        assert time.monotonic() < give_up, [
            log.read_text()[-800:] for log in cluster.folder.glob("node-*.log")
        ]
        time.sleep(1)
