"""The HTTP connection to a Ray dashboard: the right address, the token, patience with limits, errors of one line."""

from __future__ import annotations

import logging
import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar

from ganmodel.errors import ClusterError
from jobs.addresses import ADDRESS_VARIABLES
from jobs.progress import say
from jobs.ray_token import MODE_VARIABLE, PATH_VARIABLE, Token, find_token, is_exposed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

T = TypeVar("T")

CONNECT_S, ANSWER_S = 10.0, 60.0
"""Patience with one request. Ray's client has no limit of its own and hangs on a lost packet."""


VERSION_ROUTE, METADATA_ROUTE = "/api/version", "/api/v0/cluster_metadata"
"""Where a dashboard tells the versions of its Ray, and of its Python too."""

NODES_ROUTE = "/api/v0/nodes?limit=10000&detail=true"
"""Where it tells the nodes, those that are gone among them (Ray 2.52 to 2.60)."""

NODES_S = 10.0
"""Patience with that question, which a head that has just started may not answer."""


class NoAnswer(ClusterError):
    """The cluster did not answer; it may the next time."""


class Dashboard:
    """Ray's client for the Jobs API, with errors a user can act on.

    Args:
        address: URL of the dashboard, checked.
        environ: where the token is looked for.

    Attributes:
        address: as given.
        client: a connected `ray.job_submission.JobSubmissionClient`; call it through `ask`.

    Raises:
        ClusterError: nothing answers there, it is no Ray, or it refuses us.
    """

    def __init__(self, address: str, environ: Mapping[str, str]) -> None:
        self.address = address
        self._mode = environ.get(MODE_VARIABLE, "")
        self._token = find_token(environ)
        if self._token and is_exposed(address):
            say(f"warning: the Ray token goes unencrypted to {address}; use https or a tunnel to 127.0.0.1")
        with self._one_line():
            try:
                self.client = _connect(address, self._token)
            except (ValueError, LookupError, TypeError, RuntimeError) as err:
                raise ClusterError(
                    f"what answers at {address} is no Ray dashboard: {_last_line(err)}"
                ) from err

    def ask(self, question: Callable[[], T]) -> T:
        """Return what a call of `client` returns.

        Raises:
            NoAnswer: nothing answered, or the server stumbled.
            ClusterError: it refused; the cause holds Ray's words.
        """
        with self._one_line():
            return question()

    def versions(self) -> dict[str, str]:
        """Return the versions the cluster was started with: of `ray`, and of `python` where it says so.

        Raises:
            NoAnswer: nothing answered.
            ClusterError: it refused.
        """
        found = {"ray": str(self._get(VERSION_ROUTE)["ray_version"])}
        # The route of the dashboard's own pages (Ray 2.52 to 2.60) is no promise: without it the job itself looks.
        with suppress(ValueError, KeyError, TypeError):
            found["python"] = str(self._get(METADATA_ROUTE)["data"]["pythonVersion"])
        return found

    def nodes(self) -> list[dict[str, Any]]:
        """Return what is known of each node, as Ray's `NodeState`; nothing where Ray does not tell, or not soon."""
        with suppress(ClusterError, ValueError, KeyError, TypeError):
            return list(self._get(NODES_ROUTE, NODES_S)["data"]["result"]["result"])
        return []

    def _get(self, route: str, answer_s: float = ANSWER_S) -> Any:
        timeout = (CONNECT_S, answer_s)
        return self.ask(lambda: self.client._do_request("GET", route, timeout=timeout)).json()

    @contextmanager
    def _one_line(self) -> Iterator[None]:
        from ray.exceptions import AuthenticationError

        try:
            yield
        except AuthenticationError as err:
            raise ClusterError(self._refusal()) from err
        except OSError as err:
            raise NoAnswer(
                f"no Ray cluster answers at {self.address}: is it up, is this its dashboard, and is the tunnel "
                "to it open (ray dashboard cluster.yaml)?"
            ) from err
        except RuntimeError as err:
            kind = NoAnswer if "status code 5" in str(err) else ClusterError
            raise kind(f"the Ray cluster at {self.address} refused: {_last_line(err)}") from err

    def _refusal(self) -> str:
        if self._token:
            return (
                f"the Ray cluster at {self.address} refused the token from {self._token.source}: put the one it was "
                f"started with (on its head: ray get-auth-token) into ~/.ray/auth_token or the file of {PATH_VARIABLE}"
            )
        reason = f"{MODE_VARIABLE}={self._mode} keeps us from sending one" if self._mode else "none was found"
        return (
            f"the Ray cluster at {self.address} asks for a token and {reason}: put it into ~/.ray/auth_token, "
            f"or the path of its file into {PATH_VARIABLE}"
        )


def _connect(address: str, token: Token | None) -> Any:
    from ray.job_submission import JobSubmissionClient

    for name in (
        "dashboard.modules.dashboard_sdk",
        "dashboard.modules.job.sdk",
        "_private.runtime_env.packaging",
    ):
        logging.getLogger(f"ray.{name}").setLevel(logging.WARNING)

    def request(self: Any, method: str, endpoint: str, **options: Any) -> Any:
        options.setdefault("timeout", (CONNECT_S, ANSWER_S))
        return JobSubmissionClient._do_request(self, method, endpoint, **options)

    patient_client: Any = type("PatientClient", (JobSubmissionClient,), {"_do_request": request})
    # Ray lets these variables override the argument; while it looks at them they say the same.
    before = {name: os.environ.get(name) for name in ADDRESS_VARIABLES}
    os.environ.update(dict.fromkeys(ADDRESS_VARIABLES, address))
    try:
        return patient_client(address, headers=token.headers() if token else {})
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _last_line(err: Exception) -> str:
    """Return the line that says it: Ray's errors carry the server's traceback."""
    return (str(err).strip().splitlines() or [type(err).__name__])[-1][:300]
