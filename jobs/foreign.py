"""What libraries raise in a worker, on its way to a driver that may lack the library, and with it the error's class."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from ganmodel.errors import GangenError

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
R = TypeVar("R")


class ForeignError(Exception):
    """An error of a library's, or of our own code: kind and text."""


def in_words(method: Callable[P, R]) -> Callable[P, R]:
    """Have a worker's method raise what any driver can read: `ForeignError` for what is neither ours nor Ray's.

    Ray would hand on an error whose class the driver cannot import as one of its own, like those of a lost worker. The
    worker's log and Ray's own error keep the traceback.
    """

    @wraps(method)
    def wrapped(*arguments: P.args, **options: P.kwargs) -> R:
        from ray.exceptions import RayError

        try:
            return method(*arguments, **options)
        except (GangenError, ForeignError, RayError, MemoryError):
            raise
        except Exception as err:
            raise ForeignError(error_text(err)) from err

    return wrapped


def error_text(err: BaseException) -> str:
    """Return an error for people: what is worded for them as it is, another with its kind before it."""
    return str(err) if isinstance(err, (GangenError, ForeignError)) else f"{type(err).__name__}: {err}"


def first_line(err: BaseException) -> str:
    """Return the first line of what an error says, or else its kind."""
    return (str(err).strip().splitlines() or [type(err).__name__])[0]
