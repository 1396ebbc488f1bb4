"""Jobs on a real cluster of this machine, with token authentication, that was not started by us (conftest.py)."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from ganmodel.errors import ClusterError
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


def request(spec: str, **options: object) -> JobRequest:
    return JobRequest(
        kind="generate",
        spec_json=spec,
        submission_id=f"gangen-{spec}",
        entrypoint_module="stand_in",
        **options,
    )


@pytest.fixture(scope="module")
def finished(client):
    pieces: list[str] = []
    outcome = client.follow(client.submit(request("works")), pieces.append)
    return outcome, "".join(pieces)


def refusal(address: str, environ: dict[str, str]) -> str:
    with pytest.raises(ClusterError) as caught:
        JobsClient(address, environ)
    told = "".join(traceback.format_exception(caught.value))
    assert "an-obvious-secret" not in told
    assert "some-other-secret" not in told
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_a_job_succeeds_and_its_output_comes_back_without_rays_preamble(finished):
    outcome, text = finished
    assert (outcome.status, outcome.exit_code, outcome.submission_id) == ("SUCCEEDED", 0, "gangen-works")
    assert text.startswith("kind generate spec works\n")
    assert "quiet 3\n" in text
    assert text.count("worker runs") == 1


def test_a_job_runs_with_the_clusters_python_though_it_is_not_on_its_path(finished):
    assert f"python {sys.executable}\n" in finished[1]


def test_driver_and_workers_run_the_package_that_travelled_not_the_one_where_ray_was_started(finished):
    places = [line.split(" runs ")[1] for line in finished[1].splitlines() if " runs " in line]
    assert len(places) == 2
    assert all("py_modules_files" in place and place.endswith("/jobs/__init__.py") for place in places)


def test_the_same_submission_id_runs_once(client, cluster, finished):
    assert client.submit(request("works")) == "gangen-works"
    assert client.status("gangen-works") == "SUCCEEDED"
    assert cluster.runs().count("works") == 1


def test_the_commands_for_a_job_work_as_they_are_printed_wherever_ray_address_points(
    client, cluster, finished
):
    environ = cluster.environ | {
        "PATH": f"{cluster.programs}:/usr/bin:/bin",
        "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
        "RAY_ADDRESS": "http://127.0.0.1:1",
    }
    commands = client.commands("gangen-works")
    told = {
        "status": "is SUCCEEDED",
        "logs": "kind generate spec works",
        "stop": "nothing to do: gangen-works",
    }
    for verb, words in told.items():
        answer = subprocess.run(
            commands[verb], shell=True, env=environ, capture_output=True, text=True, timeout=60
        )
        assert answer.returncode == 0, answer.stderr
        assert words in answer.stdout


def test_a_failed_job_says_so_and_is_run_again_under_the_next_id(client, cluster):
    first, pieces = client.submit(request("fails")), []
    outcome = client.follow(first, pieces.append)
    assert (outcome.status, outcome.exit_code) == ("FAILED", 3)
    assert outcome.message == "Job entrypoint command failed with exit code 3"
    assert "about to fail" in "".join(pieces)
    with cut_streams(cluster.address) as proxy:
        second, pieces = JobsClient(proxy, cluster.environ), []
        again = second.submit(request("fails"))
        outcome = second.follow(again, pieces.append)
    assert (first, again) == ("gangen-fails", "gangen-fails-2")
    assert (outcome.status, outcome.exit_code) == ("FAILED", 3), "a broken stream hid how the job ended"
    assert "".join(pieces).count("about to fail") == 1, "a broken stream lost or doubled the text"
    assert cluster.runs().count("fails") == 2


def test_a_wrong_token_is_refused_in_one_line_that_names_its_source(cluster):
    environ = cluster.environ | {"RAY_AUTH_TOKEN_PATH": str(cluster.folder / "wrong")}
    assert f"refused the token from RAY_AUTH_TOKEN_PATH ({cluster.folder}/wrong)" in refusal(
        cluster.address, environ
    )


def test_a_missing_token_is_refused_in_one_line_that_says_where_it_belongs(cluster):
    message = refusal(cluster.address, {"HOME": str(cluster.folder / "nobody")})
    assert "asks for a token and none was found" in message
    assert "~/.ray/auth_token" in message


def test_a_token_the_user_switched_off_is_not_sent_and_the_line_says_why(cluster):
    message = refusal(cluster.address, cluster.environ | {"RAY_AUTH_MODE": "disabled"})
    assert "RAY_AUTH_MODE=disabled keeps us from sending one" in message


def test_the_default_token_file_is_found(cluster):
    home = cluster.folder / "somebody"
    (home / ".ray").mkdir(parents=True)
    (home / ".ray" / "auth_token").write_text(cluster.token)
    JobsClient(cluster.address + "/", {"HOME": str(home)})


def test_an_address_nobody_answers_at_is_one_line(cluster, nobody):
    message = refusal(nobody, cluster.environ)
    assert message.startswith(f"no Ray cluster answers at {nobody}: ")


def test_a_server_that_is_no_ray_is_one_line(nobody, tmp_path):
    port = nobody.rpartition(":")[2]
    command = [sys.executable, "-m", "http.server", port, "--bind", "127.0.0.1", "--directory", str(tmp_path)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", int(port))) == 0:
                    break
            time.sleep(0.1)
        assert "is no Ray dashboard" in refusal(nobody, {})
    finally:
        server.kill()
        server.wait()


class OldDashboard(BaseHTTPRequestHandler):
    """Answers as the dashboard of a Ray that gangen does not run on, and notes what it is asked."""

    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(f"GET {self.path}")
        found = {
            "/api/version": {"version": "4", "ray_version": "2.40.0", "ray_commit": "0"},
            "/api/v0/cluster_metadata": {"data": {"pythonVersion": "3.9.1"}},
        }
        self.send_response(200 if self.path in found else 404)
        self.end_headers()
        self.wfile.write(json.dumps(found.get(self.path)).encode())

    def do_POST(self) -> None:
        self.asked.append(f"POST {self.path}")
        self.send_error(500)

    def do_PUT(self) -> None:
        self.do_POST()

    def log_message(self, *_: object) -> None:
        pass


def test_a_cluster_of_versions_gangen_cannot_run_on_is_one_line_and_nothing_is_sent_there(tmp_path):
    with ThreadingHTTPServer(("127.0.0.1", 0), OldDashboard) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_address[1]}"
        command = [GANGEN, "generate", "--count", "1000", "--out", str(tmp_path / "x"), "--address", address]
        refused = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        server.shutdown()
    assert (refused.returncode, refused.stdout) == (6, "")
    *_, last = refused.stderr.splitlines()
    assert last.startswith(f"error: the Ray cluster at {address} runs Ray 2.40.0 and Python 3.9.1, gangen ")
    assert "Traceback" not in refused.stderr
    assert OldDashboard.asked
    assert all(question.startswith("GET ") for question in OldDashboard.asked)


def test_the_address_that_was_given_wins_over_rays_variables(cluster, nobody, monkeypatch):
    monkeypatch.setenv("RAY_API_SERVER_ADDRESS", nobody)
    monkeypatch.setenv("RAY_ADDRESS", nobody)
    assert JobsClient(cluster.address, cluster.environ).address == cluster.address
    assert os.environ["RAY_API_SERVER_ADDRESS"] == os.environ["RAY_ADDRESS"] == nobody


def test_a_job_nobody_knows_is_one_line(client):
    with pytest.raises(ClusterError, match="no job gangen-nobody on the Ray cluster"):
        client.follow("gangen-nobody", print)


class Vanishing(BaseHTTPRequestHandler):
    """A head that runs a job and tells of it, until the job's log has been asked for: then it swallows every byte."""

    is_gone = threading.Event()
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.is_gone.is_set():
            time.sleep(5)
        elif self.path.endswith("/logs/tail"):
            self._begin_stream(b"the first line\n")
            self.is_gone.set()
            time.sleep(5)
        else:
            self._answer(VERSIONS if self.path == "/api/version" else JOB)

    def _answer(self, facts: dict[str, object]) -> None:
        body = json.dumps(facts).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(body)

    def _begin_stream(self, text: bytes) -> None:
        key = self.headers["Sec-WebSocket-Key"].encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", base64.b64encode(hashlib.sha1(key).digest()).decode())
        self.end_headers()
        self.wfile.write(bytes([0x81, len(text)]) + text)
        self.wfile.flush()

    def log_message(self, *_: object) -> None:
        pass


VERSIONS = {"version": "4", "ray_version": "2.60.0", "ray_commit": ""}
JOB = {
    "type": "SUBMISSION",
    "submission_id": "gangen-lost",
    "status": "RUNNING",
    "entrypoint": "",
    "message": "running",
}


def test_a_head_that_falls_silent_under_an_open_stream_is_given_up(monkeypatch):
    monkeypatch.setattr("jobs.remote.POLL_S", 0.1)
    monkeypatch.setattr("jobs.remote.LOST_AFTER_S", 1.0)
    monkeypatch.setattr("jobs.dashboard.ANSWER_S", 0.3)
    pieces: list[str] = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Vanishing) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        client = JobsClient(f"http://127.0.0.1:{server.server_address[1]}", {"HOME": "/nonexistent"})
        ends: list[BaseException] = []

        def follow() -> None:
            try:
                client.follow("gangen-lost", pieces.append)
            except ClusterError as err:
                ends.append(err)

        following = threading.Thread(target=follow, daemon=True)
        following.start()
        following.join(20)
        server.shutdown()
        assert not following.is_alive(), "the client waits for ever"
    assert pieces == ["the first line\n"]
    assert str(ends[0]).endswith("the job gangen-lost may still be running")


class cut_streams:  # noqa: N801 - used as a function
    """A way to the cluster that passes every request on, but hangs up on log streams."""

    def __init__(self, address: str) -> None:
        self._target = ("127.0.0.1", int(address.rsplit(":", 1)[1]))
        self._listener = socket.create_server(("127.0.0.1", 0))

    def __enter__(self) -> str:
        threading.Thread(target=self._accept, daemon=True).start()
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(near,), daemon=True).start()

    def _serve(self, near: socket.socket) -> None:
        with near:
            first = near.recv(65536)
            if b"/logs/tail" in first.partition(b"\r\n")[0]:
                return
            with socket.create_connection(self._target) as far:
                far.sendall(first)
                back = threading.Thread(target=copy, args=(far, near), daemon=True)
                back.start()
                copy(near, far)
                back.join()


def copy(source: socket.socket, target: socket.socket) -> None:
    try:
        while piece := source.recv(65536):
            target.sendall(piece)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass
