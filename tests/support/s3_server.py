"""A real S3 server: moto's, in a process of its own on the loopback address, in an environment of its own.

Moto's dependencies contradict some of ours, so it is installed apart, from `moto.lock`, once a checkout.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

if TYPE_CHECKING:
    from collections.abc import Iterator

LOCK = Path(__file__).with_name("moto.lock")
START_S = 60
SECRET = "an-obvious-secret-0123456789"
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "AKIAGANGENTESTS00000",
    "AWS_SECRET_ACCESS_KEY": SECRET,
    "AWS_REGION": "us-east-1",
}


class CannotInstall(Exception):
    """The package registry does not answer, or refuses."""


@dataclass(frozen=True)
class S3Server:
    """Attributes: the port it listens on at 127.0.0.1."""

    port: int

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(self, method: str, path: str, body: bytes = b"") -> bytes:
        """Send a request of the tests' own, past every proxy; return the answer's body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        scope = "Credential=AKIA/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"
        try:
            connection.request(method, path, body, {"Authorization": f"AWS4-HMAC-SHA256 {scope}"})
            answer = connection.getresponse()
            data = answer.read()
        finally:
            connection.close()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {data[:200]!r}")
        return data

    def make_bucket(self, name: str) -> None:
        self.ask("PUT", f"/{name}")


def server_program(folder: Path) -> Path:
    """Return moto's server, installed below `folder` if it is not there yet.

    Raises:
        CannotInstall: it could not be.
    """
    name = hashlib.sha256(LOCK.read_bytes() + sys.version.encode()).hexdigest()[:12]
    venv = folder / f"moto-{name}"
    program = venv / "bin" / "moto_server"
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / f"moto-{name}.lock"):
        if (venv / "is-whole").exists():
            return program
        uv = Path(sys.executable).with_name("uv")
        if uv.exists():
            make = [str(uv), "venv", "--quiet", "--allow-existing", "--python", sys.executable, str(venv)]
            install = [str(uv), "pip", "install", "--quiet", "--python", str(venv / "bin" / "python")]
        else:
            make = [sys.executable, "-m", "venv", str(venv)]
            install = [str(venv / "bin" / "python"), "-m", "pip", "install", "--quiet"]
        for command in (make, [*install, "--require-hashes", "-r", str(LOCK)]):
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
            if done.returncode:
                raise CannotInstall((done.stderr.strip().splitlines() or ["no reason given"])[-1])
        (venv / "is-whole").touch()
    return program


@contextmanager
def running_server(program: Path, log: Path) -> Iterator[S3Server]:
    """Run the server for as long as the block runs."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [str(program), "-H", "127.0.0.1", "-p", str(port)]
    # Its access keys are none of ours, and no proxy stands between.
    environ = {k: v for k, v in os.environ.items() if not k.startswith("AWS_") and k != "PYTHONPATH"}
    with log.open("wb") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=stream, env=environ)
    server = S3Server(port)
    try:
        _wait(server, process, log)
        yield server
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(timeout=10)


def _wait(server: S3Server, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(OSError):
            server.ask("GET", "/moto-api/")
            return
        time.sleep(0.1)
    raise RuntimeError(f"moto's server did not start: {log.read_text()[-1000:]}")
