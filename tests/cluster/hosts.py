"""Several hosts on this machine: Linux namespaces joined by a bridge, Ray on each, faults on demand.

Each host has its own address, process table, /dev/shm, /tmp/ray and home; the rest of the disk is everybody's, as a
shared file system would be. Nothing has a name outside: the bridge lives in a network namespace of its own, and the
kernel removes every namespace, link and process with the process that holds it. That one dies with us, however we end.

    python tests/cluster/hosts.py --workers 3      # a cluster to try things on, until Ctrl-C

Needs root, iproute2 and util-linux; see `why_not`.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

SUBNET = "10.77.0"
GATEWAY = f"{SUBNET}.1"
"""Leads nowhere. Without a way out Ray, asked for a host's own address, finds 127.0.0.1."""

PROGRAMS = Path(sys.executable).parent
ROOT = Path(__file__).parents[2]
TOKEN = "a-token-of-hosts-that-live-for-minutes"
OURS = {"PYTHONPATH": str(ROOT)}
"""Makes the installed `gangen` run this checkout's code."""

STORE_BYTES = 80_000_000
"""Object store of a host; only commit records and packages pass through it."""

START_S = 600.0
"""Seconds a Ray node may take to appear on a busy machine; about 20 on a quiet one."""

# A shell stays as the first process of the host: one has to collect the children whose parents die.
INIT = """
set -e
mount -t tmpfs -o size=1g shm /dev/shm
mkdir -p /tmp/ray
mount --bind "$1" /tmp/ray
mount --bind "$2" /etc/passwd
mount -t tmpfs run /run
ip link set lo up
echo ready
set +e
while :; do sleep 3600 & wait $!; done
"""

ASK = """
import sys, urllib.request
request = urllib.request.Request(sys.argv[1], headers={"Authorization": "Bearer " + sys.argv[2]})
print(urllib.request.urlopen(request, timeout=20).read().decode())
"""


def why_not() -> str | None:
    """Return what keeps this machine from holding several hosts, None where nothing does."""
    if sys.platform != "linux":
        return "network namespaces are Linux'"
    if os.geteuid() != 0:
        return "only root may make network namespaces"
    missing = [name for name in ("ip", "unshare", "nsenter", "setpriv") if shutil.which(name) is None]
    if missing:
        return f"{missing[0]} is not installed (Debian: iproute2, util-linux)"
    tried = subprocess.run(
        ["unshare", "--net", "--mount", "--pid", "--fork", "true"],
        capture_output=True,
        text=True,
        check=False,
    )
    return None if tried.returncode == 0 else f"namespaces are refused here ({tried.stderr.strip()})"


def wait_until(holds: Callable[[], Any], timeout_s: float, what: str, every_s: float = 0.5) -> Any:
    """Return the first true answer of `holds`; raise TimeoutError that says `what` after `timeout_s`."""
    give_up = time.monotonic() + timeout_s
    while True:
        if answer := holds():
            return answer
        if time.monotonic() > give_up:
            raise TimeoutError(f"{what}: not within {timeout_s:g} s")
        time.sleep(every_s)


def _held(command: list[str], **options: Any) -> subprocess.Popen[str]:
    """Start a process that says `ready` and dies with us, even if we are killed."""
    process = subprocess.Popen(
        ["setpriv", "--pdeathsig", "KILL", *command], stdout=subprocess.PIPE, text=True, **options
    )
    assert process.stdout is not None
    if process.stdout.readline() != "ready\n":
        process.kill()
        process.wait()
        raise RuntimeError(f"could not set up: {shlex.join(command)}")
    return process


def _end(process: subprocess.Popen[Any]) -> None:
    process.kill()
    process.wait()
    if process.stdout:
        process.stdout.close()


class Host:
    """One host. Made by `Network.add`, which boots it.

    Attributes:
        name, address: of the host.
        home: the home of its root, with `.ray/auth_token` where the network has a token.
        node: the `ray start --block` on it, if any.
    """

    def __init__(self, network: Network, name: str, number: int) -> None:
        self.name, self.address = name, f"{SUBNET}.{10 + number}"
        self.folder = network.folder / name
        self.home = self.folder / "home"
        self.node: subprocess.Popen[Any] | None = None
        self._network, self._number, self._link = network, number, f"v{number}"
        self._init: subprocess.Popen[str] | None = None
        self._started: list[subprocess.Popen[Any]] = []
        self._num_boots = self._pid = 0

    def boot(self) -> Host:
        """Start the host, with an empty /tmp/ray and the home it had."""
        self._num_boots += 1
        ray, passwd = self.folder / f"ray-{self._num_boots}", self.folder / "passwd"
        ray.mkdir(parents=True)
        self.home.mkdir(exist_ok=True)
        entries = Path("/etc/passwd").read_text().splitlines()
        entries = [line for line in entries if not line.startswith("root:")]
        passwd.write_text("\n".join([f"root:x:0:0:root:{self.home}:/bin/bash", *entries]) + "\n")
        apart = ["unshare", "--pid", "--mount", "--net", "--fork", "--mount-proc", "--kill-child"]
        self._init = _held([*apart, "bash", "-c", INIT, "init", str(ray), str(passwd)])
        children = Path(f"/proc/{self._init.pid}/task/{self._init.pid}/children")
        self._pid = int(children.read_text().split()[0])
        switch = self._network.switch
        # The same after every boot, as a machine's is: the others remember it.
        mac = f"02:00:00:00:00:{self._number:02x}"
        switch(f"link add {self._link} type veth peer name eth0 address {mac} netns {self._pid}")
        switch(f"link set {self._link} master br0 up")
        self.run("ip", "address", "add", f"{self.address}/24", "dev", "eth0", check=True)
        self.run("ip", "link", "set", "eth0", "up", check=True)
        self.run("ip", "route", "add", "default", "via", GATEWAY, check=True)
        return self

    def kill(self) -> None:
        """Kill the whole host at once, as a power cut does."""
        if self._init:
            self._network.switch(f"link delete {self._link}")
            _end(self._init)
            self._init = None
        for process in self._started:  # On the host: they have ended.
            process.wait()
        self._started, self.node = [], None

    def reboot(self) -> None:
        """Kill the host and boot it."""
        self.kill()
        self.boot()

    def cut_off(self) -> None:
        """Take the host off the network; its processes and its disk stay."""
        self._network.switch(f"link set {self._link} down")

    def bring_back(self) -> None:
        """Undo `cut_off`."""
        self._network.switch(f"link set {self._link} up")

    def environ(self, **variables: str) -> dict[str, str]:
        """Return the environment of a shell on the host."""
        return {
            "PATH": f"{PROGRAMS}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": str(self.home),
            "LANG": "C.UTF-8",
            "RAY_USAGE_STATS_ENABLED": "0",
            **variables,
        }

    def run(
        self, *command: str, timeout_s: float = 60, check: bool = False, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command on the host to its end."""
        return subprocess.run(
            [*self.enter(), *command],
            env=self.environ(**variables),
            cwd=self.home,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=check,
            stdin=subprocess.DEVNULL,
        )

    def start(self, *command: str, log: Path, **variables: str) -> subprocess.Popen[Any]:
        """Start a command on the host; it ends with the host at the latest."""
        with log.open("ab") as file:
            process = subprocess.Popen(
                [*self.enter(), *command],
                env=self.environ(**variables),
                cwd=self.home,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
            )
        self._started.append(process)
        return process

    def gangen(
        self, *arguments: str, timeout_s: float = 900, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run this checkout's gangen on the host."""
        return self.run(str(PROGRAMS / "gangen"), *arguments, timeout_s=timeout_s, **OURS | variables)

    def start_gangen(self, *arguments: str, log: Path, **variables: str) -> subprocess.Popen[Any]:
        """Start this checkout's gangen on the host."""
        return self.start(str(PROGRAMS / "gangen"), *arguments, log=log, **OURS | variables)

    def pids(self, words: str) -> list[int]:
        """Return the numbers, as the host counts, of its processes whose command line holds `words`."""
        return [int(pid) for pid in self.run("pgrep", "--full", "--", words).stdout.split()]

    def kill_process(self, pid: int) -> None:
        """Kill one process of the host."""
        self.run("kill", "-KILL", str(pid), check=True)

    def start_ray(self, head: Host | None = None, num_cpus: int = 1) -> None:
        """Start a Ray node: a head, or one that joins `head`."""
        command = [str(PROGRAMS / "ray"), "start", "--block", f"--node-ip-address={self.address}"]
        command += [f"--num-cpus={num_cpus}", f"--object-store-memory={STORE_BYTES}"]
        if head is None:
            command += ["--head", "--port=6379", f"--dashboard-host={self.address}"]
        else:
            command.append(f"--address={head.address}:6379")
        self.node = self.start(*command, log=self.folder / "node.log", RAY_AUTH_MODE="token")

    @property
    def has_ray(self) -> bool:
        """Whether the Ray node that was started on the host still runs."""
        return self.node is not None and self.node.poll() is None

    def enter(self) -> list[str]:
        """Return the command that runs the words after it on the host."""
        return ["nsenter", "--target", str(self._pid), "--pid", "--mount", "--net"]


class Network:
    """A bridge and the hosts on it; a context manager that leaves nothing behind.

    Attributes:
        folder: what every host sees: their homes and logs, and whatever a test shares.
        hosts: by name.
    """

    def __init__(self) -> None:
        self.hosts: dict[str, Host] = {}

    def __enter__(self) -> Network:
        self.folder = Path(
            tempfile.mkdtemp(prefix="gg", dir="/tmp")
        )  # Short: Ray puts Unix sockets below it.
        commands = [
            "ip link add br0 type bridge",
            f"ip address add {GATEWAY}/24 dev br0",
            "ip link set br0 up",
        ]
        commands += ["echo ready", "exec sleep infinity"]
        self._switch = _held(["unshare", "--net", "sh", "-c", " && ".join(commands)])
        return self

    def __exit__(self, *_: object) -> None:
        for host in self.hosts.values():
            host.kill()
        _end(self._switch)
        shutil.rmtree(self.folder, ignore_errors=True)

    def add(self, name: str, token: str | None = TOKEN) -> Host:
        """Add a host and boot it."""
        host = self.hosts[name] = Host(self, name, len(self.hosts) + 1)
        if token is not None:
            file = host.home / ".ray" / "auth_token"
            file.parent.mkdir(parents=True)
            file.write_text(token + "\n")
            file.chmod(0o600)
        return host.boot()

    def switch(self, words: str) -> None:
        """Run an `ip` command on the bridge's side."""
        command = ["nsenter", "--target", str(self._switch.pid), "--net", "ip", *words.split()]
        subprocess.run(command, check=True, capture_output=True, text=True)


class RayHosts(Network):
    """A head and some workers, one core each, and a client that is no part of the cluster.

    The head has no cores: what runs there is Ray's own, and drivers.

    Attributes:
        head, client: hosts.
        workers: hosts.
        address: the dashboard's URL.
    """

    def __init__(self, num_workers: int) -> None:
        super().__init__()
        self._num_workers = num_workers

    def __enter__(self) -> RayHosts:
        super().__enter__()
        try:
            self.head, self.client = self.add("head"), self.add("client")
            self.address = f"http://{self.head.address}:8265"
            self.workers = [self.add(f"worker-{i + 1}") for i in range(self._num_workers)]
            self.mend()
        except BaseException:
            self.__exit__()
            raise
        return self

    def add_worker(self) -> Host:
        """Add a worker; it joins in its own time."""
        host = self.add(f"worker-{len(self.workers) + 1}")
        self.workers.append(host)
        host.start_ray(self.head)
        return host

    def mend(self) -> None:
        """Boot what is dead, start Ray where it is gone, and wait until the cluster is whole."""
        everybody = {host.address for host in (self.head, *self.workers)}
        if self.head.has_ray:
            for host in self.workers:
                if host.address not in self.alive():
                    host.kill()

        def is_whole() -> bool:
            # Again and again: a node that is not up within Ray's own limit, on a busy machine, gives up.
            if not self.head.has_ray:
                for host in self.workers:
                    host.kill()
                self.head.reboot()
                self.head.start_ray(num_cpus=0)
            alive = self.alive()
            for host in self.workers:
                if alive and not host.has_ray:
                    host.reboot()
                    host.start_ray(self.head)
            return alive == everybody

        wait_until(is_whole, START_S, f"{len(everybody)} nodes (see {self.folder}/*/node.log)")

    def alive(self) -> set[str]:
        """Return the addresses of the nodes the head believes alive; none where it does not answer."""
        url = f"{self.address}/nodes?view=summary"
        told = self.client.run(sys.executable, "-c", ASK, url, TOKEN)
        if told.returncode:
            return set()
        nodes = json.loads(told.stdout)["data"]["summary"]
        return {node["raylet"]["nodeManagerAddress"] for node in nodes if node["raylet"]["state"] == "ALIVE"}


def main() -> None:
    """Make a cluster and keep it until Ctrl-C."""
    parser = argparse.ArgumentParser(
        description="A Ray cluster of several hosts on this machine, until Ctrl-C."
    )
    parser.add_argument("--workers", type=int, default=3, help="Worker hosts, one core each.")
    num_workers = parser.parse_args().workers
    if reason := why_not():
        sys.exit(f"error: {reason}")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with RayHosts(num_workers) as hosts:
        print(f"cluster: {hosts.address}, logs and shared files in {hosts.folder}")
        print(f"a shell on its client: HOME={hosts.client.home} {shlex.join(hosts.client.enter())} bash")
        try:
            signal.pause()
        except KeyboardInterrupt:
            print("every host ends")


if __name__ == "__main__":
    main()
