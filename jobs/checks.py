"""Checks of what was typed that several commands share; each failure is one line that names the option."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from ganmodel.errors import SpecError
from ganmodel.model_dir import PRETRAINED, read_model
from jobs.inputs import local_model
from jobs.object_access import SCHEMES, parse_object_url
from jobs.specs import Placement
from jobs.storage import open_storage

if TYPE_CHECKING:
    from collections.abc import Collection

    from ganmodel.model_dir import ModelInfo

_OWN_OPTIONS = {"CPU": "--cpus-per-worker", "GPU": "--gpus-per-worker"}


def absolute(path: str, option: str) -> str:
    """Return a path made absolute: the job may run in another folder.

    Raises:
        SpecError: it is a URL, or names no user's home.
    """
    if "://" in path:
        raise SpecError(f"{option}: this version takes folders that every node sees, got {path}")
    try:
        return str(Path(path).expanduser().absolute())
    except RuntimeError as err:
        raise SpecError(f"{option}: {path} names no user's home ({err})") from err


def absolute_place(place: str, option: str) -> str:
    """Return a data set's place in the one form that specs and job ids hold: an absolute path, or a URL's plain form.

    Raises:
        SpecError: it is no place that a data set can be in.
    """
    if "://" not in place:
        return absolute(place, option)
    try:
        return open_storage(place).url
    except SpecError as err:
        raise SpecError(str(err).replace("--out", option, 1)) from err


def absolute_input(place: str, option: str) -> str:
    """Return where a job reads something in the one form that specs hold: an absolute path, or a URL's plain form.

    Raises:
        SpecError: it is neither a path nor a URL of a store.
    """
    scheme, sign, _ = place.partition("://")
    if not sign:
        return absolute(place, option)
    if scheme not in SCHEMES:  # may hold a secret: not repeated
        stores = ", ".join(f"{known}://" for known in SCHEMES)
        raise SpecError(f"{option} {scheme}://...: must be a path or begin with {stores}")
    return str(parse_object_url(place, option))


def checked_model(model: str) -> tuple[str, ModelInfo]:
    """Return where a model is, as `absolute_input` does (or `pretrained`), and what its `model.json` says.

    Raises:
        SpecError: it is in no place that can be read.
        ModelError: it is missing or damaged.
    """
    place = model if model == PRETRAINED else absolute_input(model, "--model")
    return place, read_model(local_model(place))


def one_of(option: str, value: str, choices: Collection[str]) -> None:
    """Refuse a word that is none of `choices`.

    Raises:
        SpecError: it is none.
    """
    if value not in choices:
        raise SpecError(f"{option}: must be one of {', '.join(choices)}, got '{value}'")


def in_range(option: str, value: float | None, above: float, most: float) -> None:
    """Refuse a number that is not in (above, most]; None passes.

    Raises:
        SpecError: it is not.
    """
    if value is not None and not (math.isfinite(value) and above < value <= most):
        raise SpecError(f"{option}: must be above {above:g} and at most {most:g}, got {value:g}")


def resources(text: str) -> tuple[tuple[str, float], ...]:
    """Return (name, amount) of resources written as `NAME=AMOUNT,...`; nothing for nothing.

    Raises:
        SpecError: they cannot be read, or have an option of their own.
    """
    pairs = [part.strip().partition("=") for part in text.split(",")] if text.strip() else []
    found: dict[str, float] = {}
    for name, _, amount in pairs:
        if name in _OWN_OPTIONS:
            raise SpecError(f"--resources: {name} has an option of its own, {_OWN_OPTIONS[name]}")
        if not name or name in found or not _is_amount(amount):
            raise SpecError(
                f"--resources: cannot read '{text}'; write a name and an amount above 0, as in fast_disk=1,rack7=0.5"
            )
        found[name] = float(amount)
    return tuple(sorted(found.items()))


def _is_amount(text: str) -> bool:
    try:
        return 0 < float(text) < math.inf
    except ValueError:
        return False


def placement(workers: int | None, cpus: float | None, gpus: float | None, needs: str) -> Placement:
    """Return who does a job, from the options of its command.

    Raises:
        SpecError: it cannot be as asked.
    """
    in_range("--cpus-per-worker", cpus, 0, 1024)
    return Placement(workers=workers, cpus=cpus, gpus=gpus, resources=resources(needs))
