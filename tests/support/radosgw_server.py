"""A real S3 in front of a real object store: Ceph's gateway over one monitor and one storage daemon in memory.

Debian packages it (ceph-mon, ceph-osd, radosgw, ceph-common). Everything listens on the loopback address.
"""

from __future__ import annotations

import datetime
import hashlib
import hmac
import http.client
import secrets
import shutil
import socket
import subprocess
import time
import uuid
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROGRAMS = ("ceph", "ceph-authtool", "ceph-mon", "ceph-osd", "monmaptool", "radosgw", "radosgw-admin")
START_S = 120
ACCESS_KEY = "AKIAGANGENTESTS00000"
REGION = "us-east-1"
STORE_BYTES = 4 * 2**30

CONFIG = """\
[global]
fsid = {fsid}
mon host = v2:127.0.0.1:{mon}
keyring = {folder}/keyring
auth allow insecure global id reclaim = false
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 8
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
run dir = {folder}/run
admin socket = {folder}/run/$name.$pid.sock
log file = {folder}/log/$name.log
mon data = {folder}/mon
osd data = {folder}/osd
osd objectstore = memstore
memstore device bytes = {bytes}
ms bind ipv6 = false
public addr = 127.0.0.1
cluster addr = 127.0.0.1
"""


def why_not() -> str | None:
    """Return what is missing to run it here, None where nothing is."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    return f"{missing[0]} is not installed" if missing else None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class _Cluster:
    """The processes, and the commands that talk to them."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.config = folder, folder / "ceph.conf"
        self.processes: list[subprocess.Popen[bytes]] = []
        self.port = _free_port()
        self.secret = secrets.token_hex(20)
        for name in ("mon", "osd", "run", "log"):
            (folder / name).mkdir(parents=True)

    def run(self, program: str, *words: str) -> str:
        command = [program, "-c", str(self.config), *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=START_S, check=False)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr[-500:]}")
        return done.stdout

    def serve(self, program: str, *words: str) -> None:
        with (self.folder / "log" / f"{program}.out").open("wb") as log:
            command = [program, "-c", str(self.config), *words, "-f"]
            self.processes.append(subprocess.Popen(command, stdout=log, stderr=log))

    def start(self) -> None:
        fsid, disk, mon_port = str(uuid.uuid4()), str(uuid.uuid4()), _free_port()
        self.config.write_text(CONFIG.format(fsid=fsid, mon=mon_port, folder=self.folder, bytes=STORE_BYTES))
        keyring, monmap = str(self.folder / "keyring"), str(self.folder / "monmap")
        everything = ["--cap", "mon", "allow *", "--cap", "osd", "allow *", "--cap", "mgr", "allow *"]
        self.run("ceph-authtool", "-C", keyring, "--gen-key", "-n", "mon.", "--cap", "mon", "allow *")
        self.run("ceph-authtool", keyring, "--gen-key", "-n", "client.admin", *everything)
        self.run(
            "monmaptool", "--create", "--fsid", fsid, "--addv", "a", f"[v2:127.0.0.1:{mon_port}]", monmap
        )
        self.run("ceph-mon", "--mkfs", "-i", "a", "--monmap", monmap, "--keyring", keyring)
        self.serve("ceph-mon", "-i", "a")
        self.run("ceph", "--connect-timeout", str(START_S), "osd", "new", disk)
        osd = ["--cap", "mon", "allow profile osd", "--cap", "osd", "allow *"]
        self.run("ceph-authtool", keyring, "--gen-key", "-n", "osd.0", *osd)
        self.run("ceph", "auth", "import", "-i", keyring)
        self.run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", disk)
        self.serve("ceph-osd", "-i", "0")
        self.serve("radosgw", "-n", "client.admin", f"--rgw-frontends=beast endpoint=127.0.0.1:{self.port}")
        self._wait()
        user = ["--uid=tester", "--display-name=tester", f"--access-key={ACCESS_KEY}"]
        self.run("radosgw-admin", "user", "create", *user, f"--secret-key={self.secret}")

    def _wait(self) -> None:
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline and all(process.poll() is None for process in self.processes):
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=5):
                return
            time.sleep(0.2)
        raise RuntimeError(f"Ceph's gateway did not start; see {self.folder}/log")

    def stop(self) -> None:
        for process in reversed(self.processes):
            process.terminate()
        for process in self.processes:
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=15)
            process.kill()
            process.wait(timeout=10)


@contextmanager
def running_radosgw(folder: Path) -> Iterator[dict[str, str]]:
    """Run Ceph below `folder` for as long as the block runs; yield what the environment of a client must hold."""
    cluster = _Cluster(folder)
    try:
        cluster.start()
        yield {
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": cluster.secret,
            "AWS_REGION": REGION,
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{cluster.port}",
        }
    finally:
        cluster.stop()


def make_bucket(environ: dict[str, str], name: str) -> None:
    """Make a bucket: one request, signed as Amazon's documentation of Signature Version 4 says."""
    host = environ["AWS_ENDPOINT_URL"].removeprefix("http://")
    now = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%SZ")
    empty = hashlib.sha256(b"").hexdigest()
    signed = {"host": host, "x-amz-content-sha256": empty, "x-amz-date": now}
    lines = [f"{key}:{value}" for key, value in signed.items()]
    request = "\n".join(["PUT", f"/{name}", "", *lines, "", ";".join(signed), empty])
    scope = f"{now[:8]}/{REGION}/s3/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", now, scope, hashlib.sha256(request.encode()).hexdigest()])
    key = f"AWS4{environ['AWS_SECRET_ACCESS_KEY']}".encode()
    for word in scope.split("/"):
        key = hmac.digest(key, word.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    credential = f"Credential={environ['AWS_ACCESS_KEY_ID']}/{scope}, SignedHeaders={';'.join(signed)}"
    headers = {**signed, "Authorization": f"AWS4-HMAC-SHA256 {credential}, Signature={signature}"}
    with closing(http.client.HTTPConnection(host, timeout=60)) as connection:
        connection.request("PUT", f"/{name}", headers=headers)
        answer = connection.getresponse()
        if answer.status != 200:
            raise RuntimeError(f"PUT /{name}: {answer.status} {answer.read()[:200]!r}")
