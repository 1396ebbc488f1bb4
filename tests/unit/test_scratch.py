"""Scratch files are nobody else's, and those of the dead are cleared away."""

from __future__ import annotations

import errno
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from jobs import scratch
from jobs.scratch import scratch_file
from jobs.target import TargetError


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(scratch, "_held", {})
    return tmp_path


def test_folders_of_killed_processes_are_removed_and_those_of_the_living_kept(folder: Path) -> None:
    code = (
        "import os, signal, sys, tempfile\ntempfile.tempdir = sys.argv[1]\n"
        "from jobs.scratch import scratch_file\n"
        "with scratch_file('data/x.bin') as path:\n"
        "    path.write_bytes(b'half')\n    print(path, flush=True)\n    sys.stdin.read()\n"
    )
    children = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    left, kept = (Path(child.stdout.readline().strip()) for child in children if child.stdout)
    children[0].kill()
    children[0].communicate()
    with scratch_file("data/y.bin") as mine:
        assert not left.parent.exists()
        assert kept.read_bytes() == b"half"
        assert mine.parent not in (left.parent, kept.parent)
    children[1].communicate("")
    assert not kept.exists()


def test_a_process_that_ends_takes_its_folder_along(folder: Path) -> None:
    code = (
        "import os, sys, tempfile\ntempfile.tempdir = sys.argv[1]\n"
        "from jobs.scratch import scratch_folder\n"
        "(scratch_folder() / 'model').write_bytes(b'fetched')\n"
        "if os.fork() == 0: sys.exit()\n"
        "os.wait()\nassert (scratch_folder() / 'model').is_file()\n"
    )
    subprocess.run([sys.executable, "-c", code, str(folder)], check=True)
    assert list(folder.iterdir()) == []


def test_a_full_scratch_disk_is_named_as_such(folder: Path) -> None:
    with pytest.raises(TargetError, match=f"TMPDIR {folder}: no space left; committed"), scratch_file("x"):
        raise OSError(errno.ENOSPC, "No space left on device")
