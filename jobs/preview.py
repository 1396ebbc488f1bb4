"""`gangen preview`: a spec becomes digits, and these a picture in the terminal, a PNG, facts."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ganmodel.errors import SpecError
from ganmodel.hands import row_hand
from ganmodel.model_dir import PRETRAINED
from ganmodel.png import encode_png, tile
from ganmodel.weights import replace_on_success
from jobs.hands_file import read_hands
from jobs.inputs import local_model
from jobs.reading import open_dataset, read_rows
from jobs.terminal import show

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jobs.art_requests import PreviewSpec
    from jobs.terminal import Look


def draw_preview(spec: PreviewSpec) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return the digits of a sheet, images [N, 28, 28] uint8 and labels [N] int64.

    Raises:
        DataError: a file of the data set is not what was committed.
    """
    if spec.kind == "data":
        return _from_disk(str(spec.data), spec.first_row, spec.end_row)
    if spec.kind == "rows":
        from ganmodel.function import DigitFunction

        digits = DigitFunction(
            local_model(spec.model),
            seed=spec.seed,
            labels=spec.rule,
            truncation=spec.truncation,
            precision=spec.precision,
        )
        return digits.read(spec.first_row, spec.end_row)
    from ganmodel.brush import Brush

    brush = Brush(local_model(spec.model))
    if spec.kind == "hands":
        kept = read_hands(str(spec.hands), brush.info)
        mixes = np.asarray([digit.mix for digit in kept], np.float32)
        images = brush.draw(np.asarray([digit.hand for digit in kept], np.float32), mixes)
        return images, mixes.argmax(axis=1)
    latent_dim = brush.info.generator.latent_dim
    hands = np.stack([row_hand(seed, 0, latent_dim) for seed in spec.seeds]) * np.float32(spec.truncation)
    labels = np.repeat(np.asarray(spec.labels, np.int64), len(hands))
    return brush.draw(np.tile(hands, (len(spec.labels), 1)), brush.mixes(labels)), labels


def _from_disk(path: str, first: int, end: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return rows [first, end) of a data set; shards that hold none of them are not opened."""
    manifest = open_dataset(path)
    needed = [s for s in manifest.shards if s.first_row < end and s.first_row + s.num_rows > first]
    skipped = first - needed[0].first_row
    images, labels = read_rows(path, manifest.model_copy(update={"shards": needed}), skipped + end - first)
    return images[skipped:], labels[skipped:].astype(np.int64)


def write_picture(path: str, data: bytes, option: str = "--out") -> int:
    """Write a file, which `option` named, whole or not at all and return its size in bytes.

    Raises:
        SpecError: it cannot be written.
    """
    target = Path(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with replace_on_success(target) as temporary:
            temporary.write_bytes(data)
    except OSError as err:
        raise SpecError(f"{option} {path}: cannot be written ({err.strerror}); choose another place") from err
    return len(data)


def run_preview(spec: PreviewSpec, look: Look, width: int) -> tuple[dict[str, Any], str]:
    """Draw a sheet, write its PNG where one was asked for, and return its facts and its text.

    Args:
        spec: the sheet.
        look: how it is shown in the terminal.
        width: columns of the terminal.
    """
    images, labels = draw_preview(spec)
    facts: dict[str, Any] = {
        **spec.model_dump(mode="json"),
        "digits": len(images),
        "drawn_labels": labels.tolist(),
    }
    lines = [text] if (text := show(images, spec.columns, look, width)) else []
    lines.append(describe(spec))
    if spec.out is not None:
        sheet = tile(images, spec.columns).repeat(spec.scale, axis=0).repeat(spec.scale, axis=1)
        facts |= {
            "bytes": write_picture(spec.out, encode_png(sheet)),
            "pixels": [sheet.shape[1], sheet.shape[0]],
        }
        lines.append(
            f"wrote {spec.out}, {sheet.shape[1]} x {sheet.shape[0]} pixels, {facts['bytes']:,} bytes"
        )
    lines.append(f"next: {next_command(spec)}")
    return facts, "\n".join(lines)


def describe(spec: PreviewSpec) -> str:
    """Return one line that says what a sheet shows."""
    if spec.kind == "grid":
        down, across = ", ".join(map(str, spec.labels)), ", ".join(map(str, spec.seeds))
        return f"{spec.num_digits:,} digits: labels {_short(down)} down, seeds {_short(across)} across"
    if spec.kind == "hands":
        return f"the hands of {spec.hands}"
    where = f"of {spec.data}" if spec.kind == "data" else f"of seed {spec.seed}, computed"
    return f"rows {spec.first_row:,} to {spec.end_row - 1:,} {where}"


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:56]} ..."


def next_command(spec: PreviewSpec) -> str:
    """Return a command that goes on from a sheet."""
    model = [] if spec.model == PRETRAINED else ["--model", spec.model]
    if spec.kind == "data":
        return shlex.join(["gangen", "evaluate", "--data", str(spec.data)])
    if spec.kind == "hands":
        return shlex.join(["gangen", "explore", *model])
    if spec.kind == "rows":
        row = str(spec.first_row)
        return shlex.join(
            [
                "gangen",
                "poster",
                "2026",
                *model,
                "--seed",
                str(spec.seed),
                "--style-of",
                row,
                "--out",
                "poster.png",
            ]
        )
    stops = ",".join(map(str, spec.labels[:10])) if len(spec.labels) > 1 else "3,8"
    hand = str(spec.seeds[0])
    return shlex.join(["gangen", "walk", *model, "--labels", stops, "--seeds", hand, "--out", "walk.gif"])
