"""Which cluster a command means: `--address`, Ray's variables, and what can be seen of a URL without the network."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ganmodel.errors import SpecError

if TYPE_CHECKING:
    from collections.abc import Mapping

ADDRESS_VARIABLES = ("RAY_API_SERVER_ADDRESS", "RAY_ADDRESS")
"""Where Ray's own job commands look for an address, in this order."""

SURROUNDING = "auto"
"""Ray's own word for the cluster that this process is a part of: a job's entrypoint, a shell on a node."""


def resolve_address(option: str | None, environ: Mapping[str, str]) -> str | None:
    """Return the address of the cluster to submit to, or None for a local Ray.

    `local`, Ray's own word, asks for a local Ray in spite of the environment.

    Args:
        option: what `--address` says; it wins.
        environ: the environment, for `RAY_API_SERVER_ADDRESS` and then `RAY_ADDRESS`.
    """
    found = option or next((environ[name] for name in ADDRESS_VARIABLES if environ.get(name)), None)
    return None if found == "local" else found


def check_address(address: str) -> None:
    """Check what can be seen of an address without the network.

    Raises:
        SpecError: it is not the URL of a dashboard.
    """
    wanted = "--address: needs the URL of the cluster's dashboard, such as http://127.0.0.1:8265"
    try:
        url = urlsplit(address)
        host, port = url.hostname, url.port
    except ValueError:
        raise SpecError(f"{wanted}, got '{address}'") from None
    if "@" in url.netloc or url.query or url.fragment:  # may hold a secret: not repeated
        raise SpecError(f"{wanted}, without a user, password or query in it")
    if url.scheme == "ray":
        raise SpecError(f"{wanted}; '{address}' is for Ray Client, jobs go to the dashboard's port")
    if url.scheme not in ("http", "https") or not host or port == 0:
        raise SpecError(f"{wanted}, got '{address}'")
