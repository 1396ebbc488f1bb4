"""From what was typed to pictures that can be drawn: every check that needs no TensorFlow, one line each."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

from pydantic import Field

from ganmodel.config import DrawPrecision, FrozenModel
from ganmodel.errors import SpecError
from ganmodel.labels import parse_labels
from ganmodel.model_dir import PRETRAINED
from ganmodel.rows import MAX_ROWS
from jobs.checks import absolute_place, checked_model
from jobs.hands_file import read_hands
from jobs.reading import open_dataset

if TYPE_CHECKING:
    from ganmodel.model_dir import ModelInfo

DEFAULT_SCALE = 3
MAX_DIGITS = 10_000
"""Digits of one picture."""

MAX_PIXELS = 100_000_000
"""Pixels of one picture, over all its frames."""

MAX_SEED = 2**63 - 1

Seed = Annotated[int, Field(ge=0, le=MAX_SEED)]
Row = Annotated[int, Field(ge=0, lt=MAX_ROWS)]
Truncation = Annotated[float, Field(gt=0, le=1)]


class PreviewSpec(FrozenModel):
    """A sheet of digits.

    Attributes:
        kind: `grid` of labels by seeds, `rows` of a data set that are computed, or of one on disk (`data`), or `hands`
            of a file.
        model: folder of the model, or `pretrained`.
        labels: `grid`: the labels, one a line of the sheet.
        seeds: `grid`: the seeds, one a column; the hand is that of row 0 of each.
        seed: `rows`: of the data set.
        rule: `rows`: its label rule.
        truncation: psi in (0, 1].
        precision: `rows`: what they are drawn in.
        hands: `hands`: a file that `gangen explore` gave.
        data: `data`: folder of the data set.
        first_row: `rows` and `data`: the first.
        end_row: and the one after the last.
        out: file for a PNG, None for none.
        columns: digits in a line of the sheet.
        scale: pixels of the PNG for one of the digit.
    """

    kind: Literal["grid", "rows", "data", "hands"]
    model: str = PRETRAINED
    labels: tuple[int, ...] = ()
    seeds: tuple[Seed, ...] = ()
    seed: Seed = 0
    rule: str = "balanced"
    truncation: Truncation = 1.0
    precision: DrawPrecision = "float32"
    hands: str | None = None
    data: str | None = None
    first_row: Row = 0
    end_row: int = 0
    out: str | None = None
    columns: int
    scale: int

    @property
    def num_digits(self) -> int:
        """Return how many digits a grid or rows show."""
        return len(self.labels) * len(self.seeds) if self.kind == "grid" else self.end_row - self.first_row


def parse_number(text: str, option: str, most: int) -> int:
    """Return the whole number from 0 that `text` stands for, as in `17`, `1_000_000`, `1e6` or `2M`.

    Raises:
        SpecError: it cannot be read, or is above `most`.
    """
    match = re.fullmatch(r"([0-9][0-9_]*)(?:e\+?([0-9]{1,2})|([km]))?", text.strip().lower())
    if match is None:
        raise SpecError(
            f"{option}: '{text.strip()}' is no whole number from 0; write 17, 1_000_000, 1e6 or 1M"
        )
    zeros = int(match[2] or {"k": 3, "m": 6}.get(match[3] or "", 0))
    value = int(match[1] + "0" * zeros)
    if value > most:
        raise SpecError(f"{option}: must be at most {most:,}, got {value:,}")
    return value


def parse_range(text: str, option: str, most: int) -> tuple[int, int]:
    """Return (A, B) for `A:B`, the numbers from A up to and without B; at most `MAX_DIGITS` of them.

    Raises:
        SpecError: it cannot be read, holds nothing or too much.
    """
    first, colon, end = text.partition(":")
    if not colon:
        raise SpecError(f"{option}: write A:B, from A up to and without B, got '{text}'")
    low, high = parse_number(first or "0", option, most), parse_number(end, option, most + 1)
    if not low < high:
        raise SpecError(f"{option}: {text} holds nothing; B must be above A")
    if high - low > MAX_DIGITS:
        raise SpecError(f"{option}: at most {MAX_DIGITS:,} at once, got {high - low:,}")
    return low, high


def parse_list(text: str, option: str, most: int) -> tuple[int, ...]:
    """Return the numbers of `1,5,9` or `A:B` or both mixed, in the order written.

    Raises:
        SpecError: it cannot be read, or holds too many.
    """
    found: list[int] = []
    for piece in text.split(","):
        if ":" in piece:
            found += range(*parse_range(piece, option, most))
        else:
            found.append(parse_number(piece, option, most))
    if len(found) > MAX_DIGITS:
        raise SpecError(f"{option}: at most {MAX_DIGITS:,} at once, got {len(found):,}")
    return tuple(found)


def parse_label_list(text: str, info: ModelInfo) -> tuple[int, ...]:
    """Return the labels of `3,8`, `0:10` or `balanced` (all), in the order written.

    Raises:
        SpecError: it cannot be read, or the model knows no such label.
    """
    classes = info.generator.num_classes
    if text.strip().lower() == "balanced":
        return tuple(range(classes))
    return parse_list(text, "--labels", classes - 1)


def preview_spec(
    *,
    model: str,
    labels: str | None,
    seeds: str | None,
    seed: int | None,
    rows: str | None,
    data: str | None,
    truncation: float | None,
    precision: str | None,
    hands: str | None,
    out: str | None,
    columns: int | None,
    scale: int | None,
) -> PreviewSpec:
    """Return the sheet that `gangen preview` was asked for; see its help for the arguments.

    Raises:
        SpecError: something cannot be done as asked.
        ModelError: the model is missing or damaged.
        DataError: the data set is missing or damaged.
    """
    target = check_file(out, (".png",))
    if target is None:
        _refuse({"--scale": scale}, "is for a PNG; give --out FILE")
    asked = None if rows is None else parse_range(rows, "--rows", MAX_ROWS - 1)
    common: dict[str, Any] = {"out": target, "scale": scale or DEFAULT_SCALE}
    drawn = {"--seed": seed, "--seeds": seeds, "--labels": labels, "--truncation": truncation}
    drawn["--precision"] = precision
    if hands is not None:
        _refuse({"--data": data, "--rows": rows} | drawn, "is for other digits than those of --hands")
    if data is not None:
        drawn["--model"] = None if model == PRETRAINED else model
        _refuse(drawn, "is of digits to be drawn; those of --data are there already")
        path = absolute_place(data, "--data")
        num_rows = open_dataset(path).num_rows
        first, end = asked or (0, min(100, num_rows))
        if end > num_rows:
            raise SpecError(f"--rows: {path} has {num_rows:,} rows, got {first:,}:{end:,}")
        sheet: dict[str, Any] = {"kind": "data", "data": path, "first_row": first, "end_row": end}
        return PreviewSpec(**common, **sheet, columns=columns or 10)
    check_truncation(truncation)
    path, info = checked_model(model)
    common |= {"model": path, "truncation": 1.0 if truncation is None else truncation}
    if hands is not None:
        file = absolute(hands, "--hands")
        num_kept = len(read_hands(file, info))
        return PreviewSpec(**common, kind="hands", hands=file, columns=columns or min(10, num_kept))
    if asked is not None:
        _refuse({"--seeds": seeds}, "is for a grid; the rows of --rows are those of one --seed")
        rule = str(parse_labels("balanced" if labels is None else labels, info.generator.num_classes))
        sheet = {"kind": "rows", "seed": seed or 0, "rule": rule, "first_row": asked[0], "end_row": asked[1]}
        return PreviewSpec(**common, **sheet, precision=_precision(precision), columns=columns or 10)
    _refuse({"--seed": seed}, "is for --rows; the seeds of a grid are --seeds, as in 0:10")
    _refuse({"--precision": precision}, "is for --rows; a grid is drawn in float32")
    chosen = parse_label_list("balanced" if labels is None else labels, info)
    chosen_seeds = parse_list("0:10" if seeds is None else seeds, "--seeds", MAX_SEED)
    if len(chosen) * len(chosen_seeds) > MAX_DIGITS:
        raise SpecError(
            f"--labels and --seeds: at most {MAX_DIGITS:,} digits, got {len(chosen) * len(chosen_seeds):,}"
        )
    return PreviewSpec(
        **common, kind="grid", labels=chosen, seeds=chosen_seeds, columns=columns or len(chosen_seeds)
    )


def _precision(text: str | None) -> DrawPrecision:
    if text is not None and text not in get_args(DrawPrecision):
        raise SpecError(f"--precision: must be one of {', '.join(get_args(DrawPrecision))}, got '{text}'")
    return "bfloat16" if text == "bfloat16" else "float32"


def _refuse(options: dict[str, Any], reason: str) -> None:
    given = [name for name, value in options.items() if value is not None]
    if given:
        raise SpecError(f"{given[0]}: {reason}")


def check_truncation(truncation: float | None) -> None:
    """Refuse a psi outside (0, 1].

    Raises:
        SpecError: it is.
    """
    if truncation is not None and not 0 < truncation <= 1:
        raise SpecError(f"--truncation: must be above 0 and at most 1, got {truncation:g}")


def absolute(path: str, option: str) -> str:
    """Return a local path, absolute, `~` expanded.

    Raises:
        SpecError: it is a URL, or names no user's home.
    """
    if "://" in path:
        raise SpecError(f"{option}: takes a path of this machine, got {path}")
    try:
        return str(Path(path).expanduser().absolute())
    except RuntimeError as err:
        raise SpecError(f"{option}: {path} names no user's home ({err})") from err


def check_file(out: str | None, suffixes: tuple[str, ...]) -> str | None:
    """Return the path of a file to write, absolute.

    Raises:
        SpecError: its name has none of the suffixes, or it cannot be in its folder.
    """
    if out is None:
        return None
    path = Path(absolute(out, "--out"))
    if path.suffix.lower() not in suffixes:
        raise SpecError(f"--out {out}: the name must end in {' or '.join(suffixes)}")
    if path.is_dir():
        raise SpecError(f"--out {out}: is a folder; name a file")
    parent = path.parent
    while not parent.exists():
        parent = parent.parent
    if not parent.is_dir():
        raise SpecError(f"--out {out}: cannot be written ({parent} is no folder)")
    return str(path)
