"""A Ray of our own on this machine, started for one command and stopped with it."""

from __future__ import annotations

import logging
import os
import signal
import sys
from contextlib import chdir, contextmanager, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganmodel.errors import ClusterError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

OBJECT_STORE_BYTES = 100 * 2**20
"""Only commit records pass through Ray's object store."""

START_ATTEMPTS = 3
"""Ray gives its raylet 30 s to appear (2.60, `node.py`), which a busy machine may miss once."""


def interrupt_on_sigterm() -> None:
    """Make SIGTERM do what Ctrl-C does, so that both leave a state that resumes."""

    def handler(_signal: int, _frame: Any) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, handler)


def local_ray(
    num_workers: int | None = None, gpus: float = 0.0
) -> Callable[[], AbstractContextManager[None]]:
    """Return what starts a local Ray with room for `num_workers` one-core workers and stops it again.

    It listens on the loopback address only, has no dashboard, and says nothing unless it fails.

    Args:
        num_workers: workers there must be room for; None leaves the number to the cores that Ray counts.
        gpus: GPUs they ask for in all.
    """

    @contextmanager
    def connect() -> Iterator[None]:
        # Ray's own switch, meant for macOS and Windows, for a node that binds 127.0.0.1 and nothing else.
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
        import ray

        for attempt in range(START_ATTEMPTS):
            try:
                with _neutral_folder():
                    ray.init(
                        address="local",
                        num_cpus=num_workers,
                        include_dashboard=False,
                        log_to_driver=False,
                        logging_level=logging.ERROR,
                        object_store_memory=OBJECT_STORE_BYTES,
                    )
                break
            except Exception as err:  # Ray raises a bare Exception when a process is late
                ray.shutdown()
                if attempt + 1 == START_ATTEMPTS:
                    reason = (str(err).splitlines() or [type(err).__name__])[0]
                    raise ClusterError(
                        f"a local Ray could not be started in {START_ATTEMPTS} attempts ({reason}); is the machine "
                        "overloaded, or /tmp full?"
                    ) from err
        # Ray prints there when a process dies, some of it as it is shut down. What there is to say we say ourselves.
        with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
            try:
                # Ray's init puts a handler of its own there, which ends the process with a stack trace.
                interrupt_on_sigterm()
                have = ray.cluster_resources().get("GPU", 0.0)
                if gpus > have:
                    raise ClusterError(
                        f"--gpus-per-worker: {gpus:g} GPUs are asked for in all, this machine has {have:g}; ask for "
                        "fewer, or give the --address of a cluster that has them"
                    )
                yield
            finally:
                ray.shutdown()
                # Ray's shutdown puts the system's own behaviour back, which ends a process unsaid.
                interrupt_on_sigterm()

    return connect


@contextmanager
def surrounding_ray() -> Iterator[None]:
    """Connect to the cluster this process is a job of, or whose node it runs on.

    Raises:
        ClusterError: there is none, or it refuses us.
    """
    import ray
    from ray.exceptions import AuthenticationError

    try:
        with _neutral_folder():
            ray.init(address="auto", logging_level=logging.ERROR, log_to_driver=False)
    except (ConnectionError, AuthenticationError) as err:
        reason = (str(err).strip().splitlines() or [type(err).__name__])[0]
        raise ClusterError(
            f"--address auto: no Ray cluster around this process lets us in ({reason}); give the URL of a "
            "dashboard, or local for a Ray of our own"
        ) from err
    with redirect_stdout(sys.stderr):  # Stdout is for results.
        try:
            interrupt_on_sigterm()
            yield
        finally:
            ray.shutdown()
            interrupt_on_sigterm()


def _neutral_folder() -> AbstractContextManager[None]:
    """Return a way to be elsewhere for a while.

    Ray puts the driver's folder first on its workers' path, and that may hold another package called `jobs`.
    """
    return chdir("/")
