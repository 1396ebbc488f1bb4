"""The hosts themselves: they reach each other until they are cut off or killed, and leave nothing behind."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from hosts import Host, Network, wait_until

CLOSED_PORT = 9


def reaches(host: Host, other: Host) -> bool:
    """Tell whether `other` answers `host`, if only that nobody listens."""
    knock = f"echo >/dev/tcp/{other.address}/{CLOSED_PORT}"
    return "refused" in host.run("timeout", "1", "bash", "-c", knock).stderr


def test_hosts_are_machines_of_their_own_that_can_be_cut_off_and_killed():
    with Network() as network:
        one, two = network.add("one"), network.add("two")
        assert reaches(one, two)
        two.cut_off()
        assert not reaches(one, two)
        two.bring_back()
        assert reaches(one, two)
        for name in ("/dev/shm", "/tmp/ray"):
            (mark,) = one.run("bash", "-c", f"touch {name}/mark; ls {name}").stdout.split()
            assert mark not in two.run("ls", name).stdout
        assert one.run("bash", "-c", "cd; pwd").stdout == f"{one.home}\n"
        assert str(os.getpid()) not in one.run("ps", "-e", "-o", "pid").stdout.split()
        one.start("sleep", "1000", log=one.folder / "log")
        (pid,) = one.pids("sleep 1000")
        assert two.pids("sleep 1000") == []
        one.kill_process(pid)
        assert one.pids("sleep 1000") == []
        two.reboot()
        assert reaches(one, two)


HOLD = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # A shell ignores it for what it puts in the background.
from hosts import Network
with Network() as network:
    host = network.add("one")
    host.start("sleep", "1000", log=host.folder / "log")
    print(network.folder, flush=True)
    sys.stdin.readline()
    {then}
"""


@pytest.mark.parametrize(
    ("then", "send"),
    [
        ("pass", None),
        ("raise RuntimeError", None),
        ("time.sleep(1000)", signal.SIGINT),
        ("time.sleep(1000)", signal.SIGKILL),
    ],
    ids=["at the end", "after a failure", "after Ctrl-C", "killed"],
)
def test_nothing_is_left(then, send):
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    with subprocess.Popen(
        [sys.executable, "-c", HOLD.format(then=then)],
        env=environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as holder:
        folder = Path(holder.stdout.readline().strip())
        family = psutil.Process(holder.pid).children(recursive=True)
        spaces = {network_of(process.pid) for process in family}
        assert len(spaces) >= 2, "the bridge and the host have no network of their own"
        holder.stdin.write("\n")
        holder.stdin.flush()
        if send:
            holder.send_signal(send)
        try:
            holder.wait(timeout=60)
        finally:
            holder.kill()
    _, alive = psutil.wait_procs(family, timeout=10)
    assert not alive
    wait_until(lambda: not (spaces & networks()), 10, "the networks are gone")
    # What nothing can run after is left to whoever cleans /tmp: a folder.
    assert folder.exists() == (send == signal.SIGKILL)
    if folder.exists():
        shutil.rmtree(folder)


def networks() -> set[str]:
    """Return the network namespaces that any process is in."""
    found = set()
    for pid in psutil.pids():
        with suppress(OSError):  # It may have ended meanwhile.
            found.add(network_of(pid))
    return found


def network_of(pid: int) -> str:
    """Return the network namespace of a process."""
    return str(Path(f"/proc/{pid}/ns/net").readlink())
