"""A real S3 of another make: OpenStack Swift with its s3api middleware, all in processes on the loopback address.

Debian packages it (swift-proxy, swift-account, swift-container, swift-object, memcached). It reads /etc/swift, so its
processes get a mount namespace of their own, where that folder is one of ours; that takes root.
"""

from __future__ import annotations

import http.client
import os
import secrets
import shutil
import socket
import subprocess
import time
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SERVERS = ("object", "container", "account", "proxy")
START_S = 60
ACCESS_KEY = "test:tester"

PIPELINE = (
    "catch_errors healthcheck cache listing_formats bulk s3api tempauth copy slo dlo versioned_writes "
    "proxy-server"
)


def why_not() -> str | None:
    """Return what is missing to run it here, None where nothing is."""
    programs = [f"swift-{name}-server" for name in SERVERS] + ["swift-ring-builder", "memcached", "unshare"]
    missing = [name for name in programs if shutil.which(name) is None]
    if missing:
        return f"{missing[0]} is not installed"
    return None if os.geteuid() == 0 else "only root may mount"


def _ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def _configure(folder: Path, secret: str) -> dict[str, int]:
    """Write configuration and rings for one disk; return the ports."""
    etc, disks = folder / "etc", folder / "disks"
    (disks / "d1").mkdir(parents=True)
    etc.mkdir()
    names = (*SERVERS, "memcached")
    ports = dict(zip(names, _ports(len(names)), strict=True))
    common = "[DEFAULT]\nbind_ip = 127.0.0.1\nbind_port = {port}\nuser = root\nswift_dir = /etc/swift\nworkers = 0\n"
    for name in SERVERS[:3]:
        builder = str(etc / f"{name}.builder")
        for words in (
            ("create", "4", "1", "1"),
            ("add", f"r1z1-127.0.0.1:{ports[name]}/d1", "1"),
            ("rebalance",),
        ):
            subprocess.run(["swift-ring-builder", builder, *words], check=True, capture_output=True)
        text = common.format(port=ports[name]) + f"devices = {disks}\nmount_check = false\n"
        text += f"[pipeline:main]\npipeline = {name}-server\n[app:{name}-server]\nuse = egg:swift#{name}\n"
        (etc / f"{name}-server.conf").write_text(text)
    filters = f"[filter:cache]\nuse = egg:swift#memcache\nmemcache_servers = 127.0.0.1:{ports['memcached']}\n"
    filters += "".join(
        f"[filter:{name}]\nuse = egg:swift#{name}\n"
        for name in PIPELINE.split()[:-1]
        if name not in ("tempauth", "s3api", "cache")
    )
    (etc / "proxy-server.conf").write_text(
        common.format(port=ports["proxy"])
        + f"[pipeline:main]\npipeline = {PIPELINE}\n[app:proxy-server]\nuse = egg:swift#proxy\n"
        "allow_account_management = true\naccount_autocreate = true\n"
        f"[filter:tempauth]\nuse = egg:swift#tempauth\nuser_test_tester = {secret} .admin\n"
        "[filter:s3api]\nuse = egg:swift#s3api\nlocation = us-east-1\ncors_preflight_allow_origin =\n"
        + filters
    )
    prefix = secrets.token_hex(8)
    (etc / "swift.conf").write_text(
        f"[swift-hash]\nswift_hash_path_suffix = {prefix}\nswift_hash_path_prefix = {prefix}\n"
        "[storage-policy:0]\nname = Policy-0\ndefault = yes\n"
    )
    return ports


@contextmanager
def running_swift(folder: Path) -> Iterator[dict[str, str]]:
    """Run Swift below `folder` for as long as the block runs; yield what the environment of a client must hold."""
    secret = secrets.token_hex(12)
    ports = _configure(folder, secret)
    cache = ["memcached", "-u", "root", "-l", "127.0.0.1", "-p", str(ports["memcached"])]
    commands = {"memcached": cache}
    for name in SERVERS:
        serve = f"mount --bind {folder}/etc /etc/swift && exec swift-{name}-server /etc/swift/{name}-server.conf -v"
        commands[name] = ["unshare", "--mount", "sh", "-c", serve]
    processes = []
    try:
        for name, command in commands.items():
            with (folder / f"{name}.log").open("wb") as log:
                processes.append(subprocess.Popen(command, stdout=log, stderr=log))
        _wait(ports["proxy"], processes, folder)
        yield {
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": secret,
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{ports['proxy']}",
        }
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=10)
            process.kill()
            process.wait(timeout=10)


def _wait(port: int, processes: list[subprocess.Popen[bytes]], folder: Path) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and all(process.poll() is None for process in processes):
        with (
            suppress(OSError, http.client.HTTPException),
            closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5)) as connection,
        ):
            connection.request("GET", "/healthcheck")
            if connection.getresponse().status == 200:
                return
        time.sleep(0.2)
    tails = [f"{name}: {(folder / f'{name}.log').read_text()[-400:]}" for name in SERVERS]
    raise RuntimeError(f"Swift did not start: {' '.join(tails)}")


def make_bucket(environ: dict[str, str], name: str) -> None:
    """Make a bucket, by Swift's own interface."""
    connection = http.client.HTTPConnection(environ["AWS_ENDPOINT_URL"].removeprefix("http://"), timeout=30)
    key = {"X-Auth-User": ACCESS_KEY, "X-Auth-Key": environ["AWS_SECRET_ACCESS_KEY"]}
    token = ""
    for method, path in (("GET", "/auth/v1.0"), ("PUT", f"/v1/AUTH_test/{name}")):
        connection.request(method, path, headers={"X-Auth-Token": token} if token else key)
        answer = connection.getresponse()
        answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status}")
        token = answer.headers.get("X-Auth-Token", token)
    connection.close()
