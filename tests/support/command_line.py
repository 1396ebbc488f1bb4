"""The command line as tests of refusals call it: in this process, and in one that must stay light."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from jobs import cli

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

HEAVY = ("PIL", "keras", "ray", "tensorflow")

_SCRIPT = f"""
import contextlib, io, json, sys
from jobs import cli
for arguments in json.loads(sys.argv[1]):
    sys.argv[1:] = arguments
    try:
        with contextlib.redirect_stderr(io.StringIO()): cli.main()
    except SystemExit as stop: assert stop.code == 2, arguments
print(sorted({set(HEAVY)} & set(sys.modules)))
"""


def refuse(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> tuple[int, str]:
    """Run a command that prints nothing but what is wrong; return its exit code and that."""
    monkeypatch.setattr(sys, "argv", ["gangen", *arguments])
    for name in ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(SystemExit) as stop:
        cli.main()
    output = capsys.readouterr()
    assert output.out == ""
    return int(stop.value.code or 0), output.err


def assert_refused_without_loading(commands: Sequence[list[str]], folder: Path) -> None:
    """Run commands, all bad, in one new process, which must not have loaded anything heavy by then."""
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT, json.dumps(commands)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"
