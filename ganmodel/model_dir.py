"""The exported model: a folder of `model.json` and `generator.safetensors`, and nothing that runs.

Reading `model.json` needs neither Keras nor TensorFlow, so that a plan can name its model cheaply.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from ganmodel.config import AnyGeneratorConfig, FrozenModel, first_problem, json_digest
from ganmodel.errors import ModelError
from ganmodel.weights import file_sha256, replace_on_success, save_arrays

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

MODEL_FILE = "model.json"
WEIGHTS_FILE = "generator.safetensors"
PRETRAINED = "pretrained"
"""The word that stands for the generator that ships with the package."""


class QualityFigure(FrozenModel):
    """One measured figure, see `ganmodel.figures.Figure`.

    Attributes:
        value: of the model's digits.
        real: the same measurement on real digits.
        samples: digits it rests on.
        reference: what they were measured against, in words.
    """

    value: float
    real: float
    samples: int
    reference: str


class ModelInfo(FrozenModel):
    """What `model.json` says.

    Attributes:
        format_version: of this file.
        name: names the data sets made from the model, as in `gangen_mnist`, and so files.
        digest: SHA-256 of shape and weights: two models of one digest draw the same digits.
        generator: the generator's shape.
        class_names: one name a label.
        weights_sha256: of the weights file.
        training: provenance: configuration, images seen, versions.
        quality: measured figures by name, if any; see `record_quality`.
    """

    format_version: Literal[1] = 1
    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=100)]
    digest: str
    generator: AnyGeneratorConfig
    class_names: tuple[str, ...]
    weights_sha256: str
    training: dict[str, Any] = Field(default_factory=dict)
    quality: dict[str, QualityFigure] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _check_class_names(self) -> Self:
        if len(self.class_names) != self.generator.num_classes:
            raise ValueError(f"{len(self.class_names)} class_names for {self.generator.num_classes} classes")
        return self

    def expected_digest(self) -> str:
        """Return what `digest` must be: provenance and quality are not part of it."""
        return json_digest(
            {
                "format_version": self.format_version,
                "generator": self.generator.model_dump(mode="json"),
                "weights_sha256": self.weights_sha256,
            }
        )


def resolve_model_dir(model: str) -> Path:
    """Return the folder of a model: the shipped one for `pretrained`, else the path itself."""
    if model == PRETRAINED:
        return Path(__file__).parent / PRETRAINED
    return Path(model)


def read_model(model: str) -> ModelInfo:
    """Read and check a model directory, weights included, without loading TensorFlow.

    Args:
        model: a folder, or `pretrained`.

    Raises:
        ModelError: it is missing, was not written by gangen, or does not match its own digest.
    """
    folder = resolve_model_dir(model)
    path = folder / MODEL_FILE
    if not path.is_file():
        raise ModelError(
            f"--model {model}: there is no {MODEL_FILE} in {folder}; give a folder that `gangen train` "
            f"exported, or '{PRETRAINED}'"
        )
    try:
        info = ModelInfo.model_validate_json(path.read_bytes())
    except ValidationError as err:
        raise ModelError(f"--model {model}: {path} is not a gangen model ({first_problem(err)})") from err
    except OSError as err:
        raise ModelError(f"--model {model}: {path} cannot be read ({err})") from err
    weights = folder / WEIGHTS_FILE
    if not weights.is_file():
        raise ModelError(f"--model {model}: {weights} is missing; restore it or train again")
    try:
        found = file_sha256(weights)
    except OSError as err:
        raise ModelError(f"--model {model}: {weights} cannot be read ({err.strerror})") from err
    if found != info.weights_sha256:
        raise ModelError(
            f"--model {model}: {weights} does not match {MODEL_FILE} (expected sha256 "
            f"{info.weights_sha256[:12]}, got {found[:12]}); it was changed or damaged: restore it or export "
            "again"
        )
    if info.digest != info.expected_digest():
        raise ModelError(
            f"--model {model}: {path} does not match its own digest (says {info.digest[:12]}, is "
            f"{info.expected_digest()[:12]}); it was edited: restore it or export again"
        )
    return info


def export_model(
    folder: Path,
    *,
    name: str,
    generator: AnyGeneratorConfig,
    class_names: tuple[str, ...],
    arrays: Mapping[str, NDArray[np.generic]],
    training: dict[str, Any],
) -> ModelInfo:
    """Write a model directory: weights first, `model.json` last, each whole or not at all.

    A `model.json` of the very same model stays as it is: a finished run that is run again has no
    metrics to report, and knows nothing of a quality measured since.
    """
    folder.mkdir(parents=True, exist_ok=True)
    save_arrays(folder / WEIGHTS_FILE, arrays)
    info = ModelInfo(
        name=name,
        digest="",
        generator=generator,
        class_names=class_names,
        weights_sha256=file_sha256(folder / WEIGHTS_FILE),
        training=training,
    )
    info = info.model_copy(update={"digest": info.expected_digest()})
    with contextlib.suppress(FileNotFoundError, ValidationError):
        known = ModelInfo.model_validate_json((folder / MODEL_FILE).read_bytes())
        if known.digest == info.digest:
            return known
    _write_info(folder, info)
    return info


def record_quality(folder: Path, digest: str, quality: Mapping[str, QualityFigure]) -> None:
    """Add measured figures to a model's `model.json`; one of the same name replaces what stood there.

    Args:
        folder: the model.
        digest: of the model that was measured.
        quality: figures by name.

    Raises:
        ModelError: the folder holds another model by now, none, or cannot be written.
    """
    info = read_model(str(folder))
    if info.digest != digest:
        raise ModelError(
            f"--model {folder}: is {info.digest[:12]} now, {digest[:12]} was measured; nothing is recorded: "
            "measure again"
        )
    try:
        _write_info(folder, info.model_copy(update={"quality": {**info.quality, **quality}}))
    except OSError as err:
        raise ModelError(f"--model {folder}: {MODEL_FILE} cannot be written ({err.strerror})") from err


def _write_info(folder: Path, info: ModelInfo) -> None:
    with replace_on_success(folder / MODEL_FILE) as temporary:
        temporary.write_text(json.dumps(info.model_dump(mode="json"), indent=2) + "\n")
