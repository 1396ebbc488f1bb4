"""`ray up` of deploy/cluster-local.yaml on hosts with sshd, `gangen generate` there, `ray down`.

The file is used as it is but for addresses and the user. The hosts have no way out of their network, so the packages of
requirements.lock are there before: their environment sees the ones of this checkout, which are mounted read-only. The
launcher's own commands then find them satisfied and install the wheel.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from hosts import ASK, PROGRAMS, ROOT, START_S, TOKEN, Host, Network, wait_until
from scenes import FIGURES, ROWS, SHARD_ROWS, files_of

SSHD = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin")
pytestmark = pytest.mark.skipif(
    None in (SSHD, shutil.which("rsync")),
    reason="sshd or rsync is not installed (Debian: openssh-server, rsync)",
)
UP_S = 900.0
GONE_S = 180.0
LAUNCHER = {"RAY_AUTH_MODE": "token", "RAY_UP_enable_autoscaler_v2": "0"}
"""As the file's first lines say it."""


def checkout(folder: Path) -> Path:
    """Return a folder like this checkout after `pip wheel`: what the launcher sends to the machines."""
    source = folder / "source"
    for package in ("jobs", "ganmodel"):
        shutil.copytree(ROOT / package, source / package, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE", "requirements.lock"):
        shutil.copy(ROOT / name, source)
    pip = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        "dist",
        ".",
    ]
    subprocess.run(pip, cwd=source, check=True, capture_output=True, timeout=UP_S)
    return source


def write_cluster_file(source: Path, head: Host, workers: list[Host]) -> None:
    config = yaml.safe_load((ROOT / "deploy/cluster-local.yaml").read_text())
    config["provider"]["head_ip"] = head.address
    config["provider"]["worker_ips"] = [worker.address for worker in workers]
    config["auth"]["ssh_user"] = "root"
    (source / "deploy").mkdir()
    (source / "deploy/cluster-local.yaml").write_text(yaml.safe_dump(config))


def install_packages(host: Host) -> None:
    """Make the environment that the launcher's commands complete, with the packages of requirements.lock in it."""
    site, venv = sysconfig.get_path("purelib"), host.home / "gangen" / "venv"
    host.run("mount", "--bind", "-o", "ro", str(PROGRAMS.parent), str(PROGRAMS.parent), check=True)
    host.run("mount", "-o", "remount,bind,ro", str(PROGRAMS.parent), check=True)
    host.run(sys.executable, "-m", "venv", "--without-pip", str(venv), check=True)
    own = Path(
        host.run(
            str(venv / "bin/python"), "-c", "import site; print(site.getsitepackages()[0])"
        ).stdout.strip()
    )
    (own / "packages.pth").write_text(site + "\n")
    ray = venv / "bin" / "ray"
    ray.write_text(
        f"#!{venv}/bin/python\nimport sys\nfrom ray.scripts.scripts import main\nsys.exit(main())\n"
    )
    ray.chmod(0o755)


def start_sshd(host: Host, public_key: str) -> None:
    folder = host.home / ".ssh"
    folder.mkdir(mode=0o700, exist_ok=True)
    (folder / "authorized_keys").write_text(public_key)
    host.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(host.folder / "host_key"), check=True)
    host.run("mkdir", "-p", "/run/sshd", check=True)
    options = {"HostKey": host.folder / "host_key", "PidFile": "none", "UsePAM": "no", "StrictModes": "no"}
    words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    host.start(str(SSHD), "-D", "-e", "-f", "/dev/null", *words, log=host.folder / "sshd.log")


@pytest.fixture(scope="module")
def machines() -> Iterator[Network]:
    with Network() as network:
        client = network.add("client")
        machines = [network.add(name, token=None) for name in ("head", "worker-1", "worker-2")]
        key = client.home / ".ssh" / "id_ed25519"
        key.parent.mkdir(mode=0o700)
        client.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key), check=True)
        for machine in machines:
            install_packages(machine)
            start_sshd(machine, key.with_suffix(".pub").read_text())
        write_cluster_file(checkout(network.folder), machines[0], machines[1:])
        yield network


def ray(client: Host, source: Path, *arguments: str) -> float:
    """Run a command of Ray's launcher in the checkout; return the seconds it took."""
    began = time.monotonic()
    command = [str(PROGRAMS / "ray"), arguments[0], "deploy/cluster-local.yaml", *arguments[1:]]
    done = client.run("env", f"--chdir={source}", *command, timeout_s=UP_S, **LAUNCHER)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    assert TOKEN not in done.stdout + done.stderr
    return time.monotonic() - began


def test_machines_that_are_there_become_a_cluster_make_digits_and_are_given_back(machines, one_machine):
    client, head = machines.hosts["client"], machines.hosts["head"]
    nodes = [machines.hosts[name] for name in ("head", "worker-1", "worker-2")]
    source, address = machines.folder / "source", "http://127.0.0.1:8265"
    up_s = ray(client, source, "up", "--yes", "--no-config-cache")

    def alive() -> int:
        told = head.run(sys.executable, "-c", ASK, f"{address}/nodes?view=summary", TOKEN)
        found = json.loads(told.stdout)["data"]["summary"] if told.returncode == 0 else []
        return sum(node["raylet"]["state"] == "ALIVE" for node in found)

    began = time.monotonic()
    wait_until(lambda: alive() == len(nodes), UP_S, "every machine is a node", every_s=2)
    joined_s = time.monotonic() - began
    tunnel = [str(PROGRAMS / "ray"), "dashboard", "deploy/cluster-local.yaml"]
    client.start("env", f"--chdir={source}", *tunnel, log=machines.folder / "tunnel.log")
    open_port = ["bash", "-c", "echo >/dev/tcp/127.0.0.1/8265"]
    wait_until(lambda: client.run(*open_port).returncode == 0, START_S, "the tunnel")

    out = machines.folder / "digits"
    arguments = ["--count", str(ROWS), "--shard-rows", str(SHARD_ROWS), "--out", str(out), "--workers", "3"]
    made = client.gangen("generate", *arguments, "--address", address, "--json")
    assert made.returncode == 0, made.stderr
    assert "unencrypted" not in made.stderr
    assert json.loads(made.stdout)["rows_digest"] == one_machine["rows_digest"]
    assert files_of(out) == one_machine["files"]

    down_s = ray(client, source, "down", "--yes")
    # Ray stops the head; the others' raylets end by themselves when nobody has answered them for a while.
    began = time.monotonic()
    wait_until(lambda: not any(node.pids("raylet") for node in nodes), GONE_S, "Ray has ended everywhere")
    gone_s = time.monotonic() - began
    FIGURES.append(
        f"ray up: {up_s:.0f} s, every machine a node after {joined_s:.0f} s more; ray down: {down_s:.0f} s, "
        f"Ray gone everywhere after {gone_s:.0f} s more"
    )
