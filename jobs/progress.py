"""What a person sees while work goes on: a bar on a terminal, a line now and then in a log. Always stderr."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

if TYPE_CHECKING:
    from types import TracebackType

LINE_EVERY_S = 10.0
"""Seconds between lines where there is no terminal."""


class Note(NamedTuple):
    """How far a part of a job is.

    Attributes:
        text: a few words; empty where there is nothing to say.
        share: of the part that is done, in [0, 1].
    """

    text: str = ""
    share: float = 0.0


class _Rate(ProgressColumn):
    """Units a second, from the work done in this run."""

    def render(self, task: Any) -> Text:
        """Return the rate, or nothing before there is one."""
        rate = task.fields.get("rate") or task.speed
        if not rate:
            return Text("")
        return Text(
            f"{rate:,.0f} {task.fields['unit']}/s" if rate >= 10 else f"{rate:.1f} {task.fields['unit']}/s"
        )


class Reporter:
    """A progress bar by units (rows, steps) with rate and time left.

    Args:
        verb: what is going on, as in `generating`.
        unit: what is counted, as in `rows`.
        total: units in all.
        done: units done by an earlier run; they do not count for the rate.
    """

    def __init__(self, verb: str, unit: str, total: int, done: int = 0) -> None:
        self._unit, self._verb, self._total = unit, verb, total
        self._first, self._done = done, done
        self._began = time.monotonic()
        self._last_line: float | None = None
        self._console = Console(stderr=True, highlight=False)
        self._bar: Progress | None = None
        if self._console.is_terminal:
            self._bar = Progress(
                SpinnerColumn(),
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.completed:,}/{task.total:,} " + unit),
                _Rate(),
                TimeElapsedColumn(),
                TextColumn("left"),
                TimeRemainingColumn(),
                TextColumn("{task.fields[note]}"),
                console=self._console,
            )
            self._task = self._bar.add_task(verb, total=total, completed=done, unit=unit, note="", rate=0.0)

    def __enter__(self) -> Reporter:
        """Show the bar."""
        if self._bar:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the bar as it stands."""
        if self._bar:
            self._bar.stop()

    def update(self, done: int, *, note: str = "", rate: float = 0.0) -> None:
        """Show how far the work is.

        Args:
            done: units done in all.
            note: a few words behind the bar.
            rate: units a second; 0 to have it worked out.
        """
        self._done = done
        if self._bar:
            self._bar.update(self._task, completed=done, note=note, rate=rate)
        elif self._is_line_due(note):
            self._last_line = time.monotonic()
            self._print_line(note, rate)

    def _is_line_due(self, note: str) -> bool:
        """Tell whether a log gets a line: the first that has something to say, one every `LINE_EVERY_S`, the last."""
        if self._done == self._total or (note and self._last_line is None):
            return True
        return time.monotonic() - (self._last_line or self._began) >= LINE_EVERY_S

    def _print_line(self, note: str, rate: float) -> None:
        seconds = time.monotonic() - self._began
        rate = rate or (self._done - self._first) / max(seconds, 1e-9)
        left = (self._total - self._done) / rate if rate else 0.0
        speed = f"{rate:,.0f}" if rate >= 10 else f"{rate:.1f}"
        line = f"{self._verb}: {self._done:,}/{self._total:,} {self._unit}"
        if rate >= 0.05:
            line += f", {speed}/s"
        if rate:
            line += f", {left:,.0f} s left"
        print(f"{line}  {note}".rstrip(), file=sys.stderr, flush=True)  # noqa: T201


def say(text: str) -> None:
    """Write one line to stderr."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201
