"""How a process that has used an object store or Ray ends."""

from __future__ import annotations

import atexit
import os
import sys
from typing import NoReturn


def leave(code: int) -> NoReturn:
    """End the process with an exit code, as `sys.exit` does; what was registered for the end is still done.

    Where a store was used the interpreter is not taken apart: obstore's threads call back into Python when a request
    is done, and one that comes back while that goes on aborts the process (PyO3 before Python 3.14). On a busy
    machine three of seventy runs that had succeeded ended so. Where Ray was interrupted as it started, one of its own
    threads does the like, and the process dies of SIGSEGV instead of ending with 130.
    """
    if not {"obstore", "ray"} & sys.modules.keys():
        sys.exit(code)
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)
