"""The token of a Ray cluster: found where Ray finds it, put into a header, never shown.

Ray's own client sends a token only where `RAY_AUTH_MODE=token` is set, and ends the process where the file that
`RAY_AUTH_TOKEN_PATH` names cannot be read. We send a token wherever there is one and say in a line what is wrong.

Source:
    Ray 2.52 to 2.60, "Token authentication in Ray": the order is `RAY_AUTH_TOKEN`, the file that
    `RAY_AUTH_TOKEN_PATH` names, `~/.ray/auth_token`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ganmodel.errors import ClusterError

if TYPE_CHECKING:
    from collections.abc import Mapping

MODE_VARIABLE = "RAY_AUTH_MODE"
TOKEN_VARIABLE = "RAY_AUTH_TOKEN"
PATH_VARIABLE = "RAY_AUTH_TOKEN_PATH"


@dataclass(frozen=True, slots=True)
class Token:
    """A token and where it is from.

    Attributes:
        text: the token; not in the object's repr.
        source: the variable or file it was found in, for messages.
    """

    text: str = field(repr=False)
    source: str

    def headers(self) -> dict[str, str]:
        """Return the HTTP headers that carry the token."""
        return {"Authorization": f"Bearer {self.text}"}


def find_token(environ: Mapping[str, str]) -> Token | None:
    """Return the token Ray would use, or None where there is none or the user wants none sent.

    Args:
        environ: the environment; `HOME` says where `~` is.

    Raises:
        ClusterError: a token is asked for and cannot be read, or holds what no header can carry.
    """
    mode = environ.get(MODE_VARIABLE, "").lower()
    if mode == "disabled":
        return None
    token = _read_token(environ)
    if token is None and mode == "token":
        raise ClusterError(
            f"{MODE_VARIABLE}=token is set and no token was found: put it into ~/.ray/auth_token, "
            f"or the path of its file into {PATH_VARIABLE}"
        )
    # What a header cannot carry would come back, token and all, in the HTTP library's error.
    if token and not re.fullmatch("[!-~]+", token.text):
        raise ClusterError(
            f"the token from {token.source} holds spaces or characters no HTTP header can carry"
        )
    return token


def is_exposed(address: str) -> bool:
    """Tell whether what is sent to `address` crosses a network unencrypted."""
    url = urlsplit(address)
    host = url.hostname or ""
    try:
        is_loopback = ip_address(host).is_loopback
    except ValueError:
        is_loopback = host == "localhost" or host.endswith(".localhost")
    return url.scheme == "http" and not is_loopback


def _read_token(environ: Mapping[str, str]) -> Token | None:
    if text := environ.get(TOKEN_VARIABLE, "").strip():
        return Token(text, TOKEN_VARIABLE)
    if named := environ.get(PATH_VARIABLE):
        try:
            text = Path(named).read_text().strip()
        except (OSError, UnicodeDecodeError) as err:
            reason = getattr(err, "strerror", None) or "it is no text"
            raise ClusterError(f"{PATH_VARIABLE}: cannot read {named}: {reason}") from None
        if not text:
            raise ClusterError(f"{PATH_VARIABLE}: {named} is empty")
        return Token(text, f"{PATH_VARIABLE} ({named})")
    default = Path(environ.get("HOME", "/nonexistent")) / ".ray" / "auth_token"
    try:
        text = default.read_text().strip()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as err:
        reason = getattr(err, "strerror", None) or "it is no text"
        raise ClusterError(f"cannot read the Ray token in {default}: {reason}") from None
    return Token(text, str(default)) if text else None
