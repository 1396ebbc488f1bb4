"""From what was typed to a model that is exported or explored: every check that needs no TensorFlow, one line each."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import Field

from ganmodel.config import FrozenModel
from ganmodel.errors import SpecError
from jobs.art_requests import absolute, check_file
from jobs.checks import checked_model

ModelFormat = Literal["onnx", "savedmodel"]
PAGE_FILE = "index.html"
PAGE_MARK = b"<title>gangen: explore"


class ModelExportSpec(FrozenModel):
    """A generator in another format.

    Attributes:
        model: folder of the model, or `pretrained`.
        to: the format.
        out: file of an `onnx`, folder of a `savedmodel`.
    """

    model: str
    to: ModelFormat
    out: str


class ExploreSpec(FrozenModel):
    """The page of a generator.

    Attributes:
        model: folder of the model, or `pretrained`.
        typed_model: as it was typed, for the commands that the page shows.
        port: of the loopback address; 0 for one that is free.
        export: folder the page is written to instead, or None.
    """

    model: str
    typed_model: str
    port: Annotated[int, Field(ge=0, le=65535)]
    export: str | None


def model_export_spec(*, model: str, to: str, out: str) -> ModelExportSpec:
    """Return the export that `gangen model export` was asked for; see its help for the arguments.

    Raises:
        SpecError: something cannot be done as asked.
        ModelError: the model is missing or damaged.
    """
    if to not in get_args(ModelFormat):
        raise SpecError(f"--to: must be one of {', '.join(get_args(ModelFormat))}, got '{to}'")
    if to == "onnx":
        target = str(check_file(out, (".onnx",)))
        if find_spec("onnx") is None:
            raise SpecError("--to onnx: needs the onnx package, the extra gangen[onnx]: pip install onnx")
    else:
        target = check_folder(out, "--out")
        if Path(target).exists():
            raise SpecError(f"--out {out}: is there already; choose another name or remove it")
    return ModelExportSpec(
        model=checked_model(model)[0], to="onnx" if to == "onnx" else "savedmodel", out=target
    )


def explore_spec(*, model: str, port: int | None, export: str | None) -> ExploreSpec:
    """Return the page that `gangen explore` was asked for; see its help for the arguments.

    Raises:
        SpecError: something cannot be done as asked.
        ModelError: the model is missing or damaged.
    """
    folder = None
    if export is not None:
        if port is not None:
            raise SpecError("--port: is for a page that is served; leave it out with --export")
        folder = check_folder(export, "--export")
        page = Path(folder) / PAGE_FILE
        if page.exists() and not (page.is_file() and PAGE_MARK in page.read_bytes()):
            raise SpecError(f"--export {export}: its {PAGE_FILE} is no page of ours; choose another folder")
    return ExploreSpec(model=checked_model(model)[0], typed_model=model, port=port or 0, export=folder)


def check_folder(path: str, option: str) -> str:
    """Return the path of a folder to write, absolute.

    Raises:
        SpecError: it cannot be one.
    """
    folder = Path(absolute(path, option))
    parent = folder
    while not parent.exists():
        parent = parent.parent
    if not parent.is_dir():
        raise SpecError(f"{option} {path}: cannot be written ({parent} is no folder)")
    return str(folder)
