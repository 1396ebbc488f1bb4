"""What an evaluation found, on its way from the job to whoever asked: one marked line of the job's log.

So no folder need be seen from both sides. The line is base64 of deflated JSON, some 200 kB; `LogFilter` picks it out
of the log, so that nobody has to look at it.
"""

from __future__ import annotations

import base64
import binascii
import io
import json
import zlib
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import ValidationError

from ganmodel.errors import ClusterError
from ganmodel.evaluation import Evaluation, Neighbours, Pictures

if TYPE_CHECKING:
    from collections.abc import Callable

RESULT_MARK = "gangen-result: "
"""What begins the one line of a job's log that is for the client and not for people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """The result of an evaluation.

    Attributes:
        evaluation: the figures.
        pictures: what a report shows besides.
        curves: of the generator's training, (step, value) by name; empty where they are not known.
        losses: how often what was lost on the way, by cause, see `jobs.losses`.
    """

    evaluation: Evaluation
    pictures: Pictures
    curves: dict[str, list[tuple[int, float]]] = field(default_factory=dict)
    losses: dict[str, int] = field(default_factory=dict)


def to_line(findings: Findings) -> str:
    """Return the findings as one line of ASCII, without its newline."""
    arrays: dict[str, Any] = {"samples": findings.pictures.samples}
    if findings.pictures.confusion is not None:
        arrays["confusion"] = findings.pictures.confusion
    if findings.pictures.neighbours is not None:
        arrays |= {entry.name: getattr(findings.pictures.neighbours, entry.name) for entry in _NEIGHBOURS}
    packed = io.BytesIO()
    np.savez(packed, **arrays)
    # Not Pydantic's JSON, which would write null for a figure that is not a number.
    told = {"evaluation": findings.evaluation.model_dump(mode="json")}
    text = json.dumps(told | {"curves": findings.curves, "losses": findings.losses})
    body = len(text).to_bytes(8, "little") + text.encode("ascii") + packed.getvalue()
    return RESULT_MARK + base64.b64encode(zlib.compress(body, 9)).decode("ascii")


def from_line(line: str) -> Findings:
    """Return what `to_line` wrote.

    Raises:
        ClusterError: the line is cut or damaged.
    """
    try:
        body = zlib.decompress(base64.b64decode(line.removeprefix(RESULT_MARK), validate=True))
        end = 8 + int.from_bytes(body[:8], "little")
        facts = json.loads(body[8:end])
        with np.load(io.BytesIO(body[end:]), allow_pickle=False) as archive:
            arrays = dict(archive)
        evaluation = Evaluation.model_validate(facts["evaluation"])
        names = [entry.name for entry in _NEIGHBOURS]
        neighbours = Neighbours(**{name: arrays[name] for name in names}) if names[0] in arrays else None
        pictures = Pictures(
            samples=arrays["samples"], neighbours=neighbours, confusion=arrays.get("confusion")
        )
        losses = {str(cause): int(times) for cause, times in facts["losses"].items()}
        curves = {name: [(int(x), float(y)) for x, y in points] for name, points in facts["curves"].items()}
    except (binascii.Error, zlib.error, ValueError, KeyError, TypeError, OSError, ValidationError) as err:
        raise ClusterError(f"the job's result cannot be read from its log ({type(err).__name__})") from err
    return Findings(evaluation=evaluation, pictures=pictures, curves=curves, losses=losses)


_NEIGHBOURS = fields(Neighbours)


class LogFilter:
    """Takes a job's log as it comes, in pieces, and passes on all but the result.

    Args:
        write: called with whole lines, newline included.

    Attributes:
        result: the marked line, None before it came.
    """

    def __init__(self, write: Callable[[str], None]) -> None:
        self.result: str | None = None
        self._write = write
        self._rest = ""

    def __call__(self, text: str) -> None:
        """Take a piece of the log."""
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            self._take(line, "\n")

    def flush(self) -> None:
        """Pass on a last line without a newline."""
        if self._rest:
            self._take(self._rest, "")
            self._rest = ""

    def finish(self) -> Any:
        """Pass on a last line without a newline; return the findings.

        Raises:
            ClusterError: there were none, or they are damaged.
        """
        self.flush()
        if self.result is None:
            raise ClusterError("the job succeeded, but its log holds no result")
        return from_line(self.result)

    def _take(self, line: str, end: str) -> None:
        if line.startswith(RESULT_MARK):
            self.result = line
        else:
            self._write(line + end)
