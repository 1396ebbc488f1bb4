"""A Ray of our own on this machine, started for one command and stopped with it."""

from __future__ import annotations

import logging
import math
import os
import signal
import socket
import sys
from contextlib import chdir, contextmanager, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganmodel.errors import ClusterError
from jobs.foreign import first_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from jobs.specs import Placement

OBJECT_STORE_BYTES = 100 * 2**20
"""Commit records pass through Ray's object store, and blocks on their way from a GPU to encoders."""

ENCODER_BYTES = 4 * 2**20
"""Of such blocks, for an encoder, of which there is one a core."""

START_ATTEMPTS = 3
"""Ray gives its raylet 30 s to appear (2.60, `node.py`), which a busy machine may miss once."""

REACH_S = 10.0
"""Seconds in which the head of the cluster around us must take a connection. Ray itself tries for over three minutes,
and then ends the process."""


def interrupt_on_sigterm() -> None:
    """Make SIGTERM do what Ctrl-C does, so that both leave a state that resumes."""

    def handler(_signal: int, _frame: Any) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, handler)


def local_ray(placement: Placement) -> Callable[[], AbstractContextManager[None]]:
    """Return what starts a local Ray with room for the workers and stops it again.

    It listens on the loopback address only, has no dashboard, and says nothing unless it fails.

    Args:
        placement: the workers there must be room for; where it does not say how many, there is room for as many as
            Ray counts cores.
    """
    cpus, gpus = _needs(placement)

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
                        num_cpus=cpus,
                        include_dashboard=False,
                        log_to_driver=False,
                        logging_level=logging.ERROR,
                        object_store_memory=max(OBJECT_STORE_BYTES, (os.cpu_count() or 1) * ENCODER_BYTES),
                    )
                break
            except Exception as err:  # Ray raises a bare Exception when a process is late
                ray.shutdown()
                from jobs.progress import say  # not above: a cluster may lack Rich

                reason = first_line(err)
                say(f"a local Ray did not start, attempt {attempt + 1} of {START_ATTEMPTS}: {reason}")
                if attempt + 1 == START_ATTEMPTS:
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


def _needs(placement: Placement) -> tuple[int | None, float]:
    """Return the cores a Ray must be told to have, None for those it counts itself, and the GPUs that are asked for."""
    gpus = (placement.workers or 1) * (placement.gpus or 0.0)
    if placement.workers is None and placement.cpus is None:
        return None, gpus
    cores = math.ceil((placement.workers or 1) * (placement.cpus or 1.0))
    # Without a number of workers, and with GPUs, there are as many as the machine has; more than that only if told so.
    if placement.workers is None or gpus:
        cores = max(cores, os.cpu_count() or 1)
    return cores, gpus


@contextmanager
def surrounding_ray() -> Iterator[None]:
    """Connect to the cluster this process is a job of, or whose node it runs on.

    Raises:
        ClusterError: there is none, or it refuses us.
    """
    import ray
    from ray.exceptions import AuthenticationError

    try:
        _reach_head()
        with _neutral_folder():
            ray.init(address="auto", logging_level=logging.ERROR, log_to_driver=False)
    except (OSError, ValueError, AuthenticationError) as err:
        reason = first_line(err)
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


def _reach_head() -> None:
    """See that somebody listens where Ray would look for the head.

    Raises:
        OSError: nobody does.
        ValueError: RAY_ADDRESS is no host and port.
    """
    from ray._private.services import canonicalize_bootstrap_address_or_die

    host, _, port = canonicalize_bootstrap_address_or_die("auto").rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=REACH_S).close()
    except OSError as err:
        raise ConnectionError(f"nothing answers at {host}:{port}, where its head was") from err


def _neutral_folder() -> AbstractContextManager[None]:
    """Return a way to be elsewhere for a while.

    Ray puts the driver's folder first on its workers' path, and that may hold another package called `jobs`.
    """
    return chdir("/")
