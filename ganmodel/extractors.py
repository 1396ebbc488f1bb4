"""The two classifiers whose features and judgement the figures rest on: what ships, and how it is made.

Two of different shape, because one network's features rank two generators otherwise than another's. Reading
and checking them needs neither Keras nor TensorFlow.

Shape suffixes: N images, K classes, F features.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field, ValidationError

from ganmodel.config import FrozenModel, first_problem, json_digest
from ganmodel.errors import ModelError
from ganmodel.metrics.scores import confusion_counts, label_agreement
from ganmodel.weights import file_sha256, load_arrays, replace_on_success, save_arrays

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from ganmodel.data import TrainingSet

SHIPPED = Path(__file__).parent / "extractors_mnist"
"""Those trained on MNIST's 60,000 training images, part of the package."""

EXTRACTORS_FILE = "extractors.json"
BATCH_SIZE = 128
MIN_STEPS = 300
"""So that a set of a thousand images is learnt too."""


@dataclass(frozen=True, slots=True)
class _Recipe:
    """How an extractor is made.

    Attributes:
        build: name of the function of `ganmodel.classifiers` that builds it from a seed.
        epochs: passes over the training split.
        peak: highest learning rate.
    """

    build: Literal["build_lenet", "build_convnet"]
    epochs: int
    peak: float


RECIPES = {
    "lenet": _Recipe("build_lenet", epochs=20, peak=4e-3),
    "convnet": _Recipe("build_convnet", epochs=6, peak=2e-3),
}


class ExtractorInfo(FrozenModel):
    """What is said of one extractor.

    Attributes:
        name: which of `RECIPES` it is.
        digest: SHA-256 of name and weights: figures of different digests do not compare.
        weights_sha256: of its file, NAME.safetensors.
        features: F, width of the layer before the logits.
        parameters: numbers it learnt.
        steps: optimizer steps of its training.
        test_accuracy: share of the real test split it labels right.
        test_per_class: the same, label by label.
    """

    name: str
    digest: str
    weights_sha256: str
    features: int
    parameters: int
    steps: int
    test_accuracy: float
    test_per_class: tuple[float, ...]


class ExtractorsInfo(FrozenModel):
    """What `extractors.json` says.

    Attributes:
        format_version: of this file.
        dataset: name of the training set.
        dataset_digest: SHA-256 of its training split.
        test_digest: SHA-256 of the test split the accuracies are of.
        train_rows: images learnt from.
        test_rows: images scored on.
        seed: of the training.
        extractors: one entry each.
        device: what they were trained on.
    """

    format_version: Literal[1] = 1
    dataset: str
    dataset_digest: str
    test_digest: str
    train_rows: int
    test_rows: int
    seed: int
    extractors: tuple[ExtractorInfo, ...] = Field(min_length=1)
    device: dict[str, str] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Extractor:
    """A trained classifier that tells what it makes of digits.

    Attributes:
        info: what is said of it.
        network: from [N, 28, 28, 1] float32 in [0, 1] to logits and features.
    """

    info: ExtractorInfo
    network: Any

    def apply(self, images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return logits [N, K] float32 and features [N, F] float32 of images [N, 28, 28] uint8."""
        from ganmodel.classifiers import predict

        logits_NK, features_NF = predict(self.network, images)
        return logits_NK, features_NF


def read_extractors(folder: Path) -> ExtractorsInfo:
    """Read extractors.json and check the weights against it, without loading TensorFlow.

    Raises:
        ModelError: something is missing, was not written by gangen, or was changed since.
    """
    path = folder / EXTRACTORS_FILE
    if not path.is_file():
        raise ModelError(f"{folder}: there is no {EXTRACTORS_FILE}; make one with `gangen train-extractors`")
    try:
        info = ExtractorsInfo.model_validate_json(path.read_bytes())
    except ValidationError as err:
        raise ModelError(f"{path}: does not describe extractors ({first_problem(err)})") from err
    except OSError as err:
        raise ModelError(f"{path}: cannot be read ({err.strerror})") from err
    for extractor in info.extractors:
        if extractor.name not in RECIPES:
            raise ModelError(f"{path}: unknown extractor '{extractor.name}'; known: {', '.join(RECIPES)}")
        weights = _weights_file(folder, extractor.name)
        if not weights.is_file():
            raise ModelError(f"{weights}: is missing; restore it or train the extractors again")
        if file_sha256(weights) != extractor.weights_sha256:
            raise ModelError(
                f"{weights}: does not match {EXTRACTORS_FILE}; it was changed or damaged: restore it or train "
                "the extractors again"
            )
    return info


def shipped_for(train_digest: str) -> Path | None:
    """Return the folder of the shipped extractors where they learnt from this very training split.

    Args:
        train_digest: `TrainingSet.digest` of the training split.
    """
    return SHIPPED if read_extractors(SHIPPED).dataset_digest == train_digest else None


def load_extractors(folder: Path) -> list[Extractor]:
    """Load the extractors of a folder, in the order of its file.

    Raises:
        ModelError: as in `read_extractors`, or weights do not fit their network.
    """
    from ganmodel import classifiers

    loaded = []
    for info in read_extractors(folder).extractors:
        network = getattr(classifiers, RECIPES[info.name].build)()
        arrays, _ = load_arrays(_weights_file(folder, info.name))
        weights = _weights(network)
        shapes = {name: tuple(array.shape) for name, array in arrays.items()}
        if shapes != {name: tuple(variable.shape) for name, variable in weights.items()}:
            raise ModelError(f"{_weights_file(folder, info.name)}: weights do not fit the network")
        for name, variable in weights.items():
            variable.assign(arrays[name])
        loaded.append(Extractor(info, network))
    return loaded


def train_extractors(
    folder: Path,
    train: TrainingSet,
    test: TrainingSet,
    *,
    seed: int = 0,
    on_progress: Callable[[str, float], None] = lambda text, share: None,
) -> ExtractorsInfo:
    """Train both extractors on the training split and write them; the description comes last.

    The test split is scored on once, after the training, and chooses nothing.

    Args:
        folder: where to; made if it is not there.
        train: the training split.
        test: the test split.
        seed: of weights, order and dropout.
        on_progress: called with a line to show and the share of all steps that is done, a few times a second.
    """
    from ganmodel.device import device_facts

    folder.mkdir(parents=True, exist_ok=True)
    info = ExtractorsInfo(
        dataset=train.name,
        dataset_digest=train.digest(),
        test_digest=test.digest(),
        train_rows=len(train.labels),
        test_rows=len(test.labels),
        seed=seed,
        extractors=tuple(
            _train_one(folder, name, train, test, seed=seed, on_step=told)
            for name, told in _tellers(train, on_progress)
        ),
        device=device_facts(),
    )
    with replace_on_success(folder / EXTRACTORS_FILE) as temporary:
        temporary.write_text(json.dumps(info.model_dump(mode="json"), indent=2) + "\n")
    return info


def _tellers(
    train: TrainingSet, on_progress: Callable[[str, float], None]
) -> Iterator[tuple[str, Callable[[int, float], None]]]:
    """Yield each extractor's name and what turns its steps into progress of all."""
    steps = {name: _steps(name, len(train.labels)) for name in RECIPES}
    before = 0
    for name, own in steps.items():

        def told(step: int, loss: float, name: str = name, own: int = own, before: int = before) -> None:
            text = f"{name}: step {step:,} of {own:,}, loss {loss:.4f}"
            on_progress(text, (before + step) / sum(steps.values()))

        yield name, told
        before += own


def _steps(name: str, train_rows: int) -> int:
    return max(MIN_STEPS, RECIPES[name].epochs * math.ceil(train_rows / BATCH_SIZE))


def _train_one(
    folder: Path,
    name: str,
    train: TrainingSet,
    test: TrainingSet,
    *,
    seed: int,
    on_step: Callable[[int, float], None],
) -> ExtractorInfo:
    from ganmodel import classifiers

    recipe = RECIPES[name]
    steps = _steps(name, len(train.labels))
    network = getattr(classifiers, recipe.build)(seed)
    classifiers.train_classifier(
        network,
        train,
        steps=steps,
        peak=recipe.peak,
        seed=seed,
        batch_size=BATCH_SIZE,
        on_step=on_step,
    )
    logits_NK, features_NF = classifiers.predict(network, test.images)
    accuracy, per_class = label_agreement(confusion_counts(test.labels, logits_NK.argmax(axis=1)))
    path = _weights_file(folder, name)
    save_arrays(path, {key: variable.numpy() for key, variable in _weights(network).items()})
    sha256 = file_sha256(path)
    return ExtractorInfo(
        name=name,
        digest=json_digest({"name": name, "weights_sha256": sha256}),
        weights_sha256=sha256,
        features=features_NF.shape[1],
        parameters=network.count_params(),
        steps=steps,
        test_accuracy=accuracy,
        test_per_class=per_class,
    )


def _weights_file(folder: Path, name: str) -> Path:
    return folder / f"{name}.safetensors"


def _weights(network: Any) -> dict[str, Any]:
    """Return what was learnt, under names that say nothing of the layers Keras has numbered before."""
    return {f"{i:02d}": variable for i, variable in enumerate(network.trainable_variables)}
