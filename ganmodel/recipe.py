"""A generator as a list of plain operations, for whoever draws without Keras: ONNX, and a page in a browser.

Batch normalisation is folded into the layer before it, so that nine kinds are all there is. Images are rows, columns,
channels, as in Keras.

Shape suffixes: I channels in, O channels out, N side of a kernel.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

from ganmodel.config import TutorialGeneratorConfig
from ganmodel.errors import ModelError
from ganmodel.model_dir import WEIGHTS_FILE, read_model, resolve_model_dir
from ganmodel.weights import load_arrays

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from ganmodel.config import GeneratorConfig
    from ganmodel.model_dir import ModelInfo

Kind = Literal["dense", "image", "conv", "transposed", "leaky", "depth_to_space", "remember", "add"]

LEAK = 0.2
"""As in `ganmodel.networks`, which cannot be imported without Keras; a test compares the pixels."""

TUTORIAL_LEAK = 0.3
"""As in `ganmodel.tutorial`."""

_NORM_EPSILON = 1e-3
"""What Keras' BatchNormalization adds to the variance."""


@dataclass(frozen=True)
class Operation:
    """One step of a generator.

    Attributes:
        kind: `dense` (kernel [I, O]), `image` (a vector becomes 7 x 7 x I), `conv` (kernel [N, N, I, O], as large out
            as in), `transposed` (kernel [N, N, O, I], `stride` times as large out as in, padded as the gradient of a
            strided convolution with padding `same`), `leaky` (values below 0 times `slope`), `depth_to_space`
            (4 O channels become 2 x 2 pixels of O), `remember` (keep a copy), `add` (the copy).
        kernel: see `kind`; float32.
        bias: [O] float32; with each kernel.
        stride: of `transposed`.
        slope: of `leaky`.
    """

    kind: Kind
    kernel: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))
    bias: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))
    stride: int = 1
    slope: float = 1.0


@dataclass(frozen=True)
class Recipe:
    """How a generator draws: latents and the label's vector, one behind the other, go through the operations.

    What comes out, [28, 28, 1], goes through tanh and from [-1, 1] to [0, 255].

    Attributes:
        info: what `model.json` says.
        embeddings: the labels' vectors, [K, E] float32.
        operations: in order; the first is `dense`.
    """

    info: ModelInfo
    embeddings: NDArray[np.float32]
    operations: tuple[Operation, ...]


def read_recipe(model: str) -> Recipe:
    """Return how the generator of a model directory (or `pretrained`) draws. Loads neither Keras nor TensorFlow.

    Raises:
        ModelError: the model is missing, damaged, or does not fit its own description.
    """
    info = read_model(model)
    loaded, _ = load_arrays(resolve_model_dir(model) / WEIGHTS_FILE)
    arrays = {name: np.asarray(array, np.float32) for name, array in loaded.items()}
    try:
        if isinstance(info.generator, TutorialGeneratorConfig):
            operations = _tutorial(info.generator, arrays)
        else:
            operations = _ours(info.generator, arrays)
        return Recipe(info, arrays["label/embeddings"], tuple(operations))
    except KeyError as err:
        raise ModelError(f"--model {model}: weights do not fit the network (first at {err})") from err


def _ours(config: GeneratorConfig, arrays: Mapping[str, NDArray[np.float32]]) -> list[Operation]:
    def layer(kind: Kind, name: str) -> Operation:
        return Operation(kind, arrays[f"{name}/kernel"], arrays[f"{name}/bias"])

    def residual(name: str) -> list[Operation]:
        first, second = layer("conv", f"{name}_a"), layer("conv", f"{name}_b")
        return [Operation("remember"), first, leaky, second, Operation("add"), leaky]

    leaky, spread = Operation("leaky", slope=LEAK), Operation("depth_to_space")
    found = [layer("dense", "dense_1"), leaky, layer("dense", "dense_2"), leaky, Operation("image")]
    for number in range(config.blocks_7):
        found += residual(f"block_7_{number}")
    found += [layer("conv", "to_14"), spread, leaky]
    for number in range(config.blocks_14):
        found += residual(f"block_14_{number}")
    return [*found, layer("conv", "to_28"), spread]


def _tutorial(config: TutorialGeneratorConfig, arrays: Mapping[str, NDArray[np.float32]]) -> list[Operation]:
    def norm(name: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the factor and the term that a batch normalisation comes to, [O] each."""
        scale = arrays[f"{name}/gamma"] / np.sqrt(arrays[f"{name}/moving_variance"] + _NORM_EPSILON)
        return scale, arrays[f"{name}/beta"] - arrays[f"{name}/moving_mean"] * scale

    def transposed(name: str, stride: int) -> Operation:
        scale, bias = norm(f"{name}_norm")
        return Operation("transposed", arrays[f"{name}/kernel"] * scale[:, np.newaxis], bias, stride)

    leaky = Operation("leaky", slope=TUTORIAL_LEAK)
    scale, bias = norm("dense_norm")
    last = Operation("transposed", arrays["to_28/kernel"], np.zeros(1, np.float32), stride=2)
    return [
        *(Operation("dense", arrays["dense/kernel"] * scale, bias), leaky, Operation("image")),
        *(transposed("at_7", 1), leaky, transposed("to_14", 2), leaky, last),
    ]
