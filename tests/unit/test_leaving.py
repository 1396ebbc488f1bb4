"""How processes end."""

import subprocess
import sys

import pytest

ENDING = """
import atexit, sys
sys.modules.update({modules})
from jobs.leaving import leave
atexit.register(lambda: print("registered"))
class AtTheVeryEnd:
    def __del__(self): print("taken apart")
kept = AtTheVeryEnd()
print("buffered", end=" ")
leave({code})
"""


@pytest.mark.parametrize("code", [0, 3, 130])
@pytest.mark.parametrize(
    ("modules", "said"),
    [
        ({}, "buffered registered\ntaken apart\n"),
        ({"obstore": None}, "buffered registered\n"),
        ({"ray": None}, "buffered registered\n"),
    ],
)
def test_a_process_ends_with_its_code_and_what_was_registered_is_done(modules, said, code):
    ended = subprocess.run(
        [sys.executable, "-c", ENDING.format(modules=modules, code=code)],
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (code, said)
