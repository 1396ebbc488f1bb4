"""A cluster of this machine that was not started by us, with token authentication.

It is as unhelpful as a real one may be: its venv is not on its PATH, and the folder it was started in holds another
package called `jobs`.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from s3_server import CREDENTIALS

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    # A shell that puts pytest in the background has SIGINT ignored, and every child would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)

START_S = 240
TOKEN = "an-obvious-secret-0123456789"

STAND_IN = """
import base64, os, pathlib, sys
import jobs
kind, spec = sys.argv[1], base64.urlsafe_b64decode(sys.argv[2]).decode()
print("kind", kind, "spec", spec)
print("python", sys.executable)
print("driver runs", jobs.__file__)
print("quiet", os.environ["TF_CPP_MIN_LOG_LEVEL"])
with open(pathlib.Path(__file__).with_name("runs"), "a") as runs:
    runs.write(spec + "\\n")
if spec == "waits":
    import signal, time
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("keeping what is whole"))
    print("waiting", flush=True)
    time.sleep(600)
if spec == "fails":
    print("about to fail", flush=True)
    sys.exit(3)
import ray
@ray.remote(num_cpus=1)
def where():
    import jobs
    return jobs.__file__
ray.init(log_to_driver=False, logging_level="ERROR")
print("worker runs", ray.get(where.remote()))
"""


@dataclass(frozen=True)
class Cluster:
    """Attributes: its dashboard, its folder (with `code` on its Python path, `token`, `wrong`), its token."""

    address: str
    folder: Path
    token: str = TOKEN
    programs: Path = Path(sys.executable).parent

    @property
    def environ(self) -> dict[str, str]:
        """Return the environment of a client that has the token."""
        return {"HOME": str(self.folder / "nobody"), "RAY_AUTH_TOKEN_PATH": str(self.folder / "token")}

    def runs(self) -> list[str]:
        """Return the spec of every job `stand_in` has started."""
        return (self.folder / "code" / "runs").read_text().split()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def make_folder() -> Path:
    # Ray makes Unix sockets below it, whose paths may have 107 characters.
    folder = Path(tempfile.mkdtemp(prefix="gg", dir="/tmp"))
    (folder / "token").write_text(TOKEN + "\n")
    (folder / "wrong").write_text("some-other-secret-9876543210\n")
    (folder / "bin").mkdir()
    (folder / "code").mkdir()
    (folder / "code" / "stand_in.py").write_text(STAND_IN)
    (folder / "start" / "jobs").mkdir(parents=True)
    (folder / "start" / "jobs" / "__init__.py").write_text(
        "raise RuntimeError('not the package that travelled')"
    )
    return folder


def start_head(folder: Path, dashboard_port: int) -> subprocess.Popen[bytes]:
    ports = ("port", "ray-client-server-port", "dashboard-agent-listen-port", "dashboard-agent-grpc-port")
    ports += ("metrics-export-port", "runtime-env-agent-port")
    command = [
        str(Path(sys.executable).parent / "ray"),
        "start",
        "--head",
        "--block",
        "--num-cpus=1",
        f"--temp-dir={folder}",
    ]
    command += ["--dashboard-host=127.0.0.1", f"--dashboard-port={dashboard_port}"]
    command += ["--min-worker-port=0", "--max-worker-port=0", "--object-store-memory=80000000"]
    chosen = {name: free_port() for name in ports}
    (folder / "gcs-port").write_text(str(chosen["port"]))
    command += [f"--{name}={port}" for name, port in chosen.items()]
    environ = {
        "PATH": f"{folder / 'bin'}:/usr/bin:/bin",
        "HOME": str(folder),
        "PYTHONPATH": str(folder / "code"),
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(folder / "token"),
        "RAY_USAGE_STATS_ENABLED": "0",
        # Its nodes may open a store; where one is they learn from the job.
        **{name: CREDENTIALS[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")},
    }
    with (folder / "head.log").open("wb") as log:
        return subprocess.Popen(
            command, env=environ, cwd=folder / "start", stdout=log, stderr=log, start_new_session=True
        )


def wait_until_it_answers(head: subprocess.Popen[bytes], address: str, log: Path) -> None:
    give_up = time.monotonic() + START_S
    while time.monotonic() < give_up and head.poll() is None:
        try:
            urllib.request.urlopen(f"{address}/api/version", timeout=5).close()
        except urllib.error.HTTPError as err:
            err.close()
            return
        except OSError:
            time.sleep(0.5)
    pytest.fail(f"no cluster after {START_S} s: {log.read_text()[-2000:]}")


def end(head: subprocess.Popen[bytes]) -> None:
    # `ray start` ends what it started when it is told alone; a signal to the whole group leaves it waiting.
    head.terminate()
    with suppress(subprocess.TimeoutExpired):
        head.wait(timeout=15)
    with suppress(ProcessLookupError):
        os.killpg(head.pid, signal.SIGKILL)
    head.wait(timeout=15)


@pytest.fixture(scope="module")
def cluster():
    folder = make_folder()
    port = free_port()
    head = start_head(folder, port)
    try:
        wait_until_it_answers(head, f"http://127.0.0.1:{port}", folder / "head.log")
        yield Cluster(f"http://127.0.0.1:{port}", folder)
    finally:
        end(head)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def nobody():
    """Return an address nobody answers at."""
    return f"http://127.0.0.1:{free_port()}"
