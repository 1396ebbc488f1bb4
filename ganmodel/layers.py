"""The layers Keras does not have. Keras ops only, so the networks run on any Keras backend.

Shape suffixes: B batch, H height, W width, C channels.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable("gangen")
class DepthToSpace(keras.layers.Layer):  # type: ignore[misc]
    """Rearrange [B, H, W, 4 C] into [B, 2 H, 2 W, C] (sub-pixel convolution, arXiv:1609.05158).

    Written as reshape and transpose because `keras.ops.depth_to_space` is younger than the oldest
    Keras we accept, and is no faster on a CPU.
    """

    def call(self, inputs: Any) -> Any:
        """Return the rearranged tensor."""
        height, width, depth = inputs.shape[1:]
        channels = depth // 4
        x = ops.reshape(inputs, (-1, height, width, 2, 2, channels))
        x = ops.transpose(x, (0, 1, 3, 2, 4, 5))
        return ops.reshape(x, (-1, 2 * height, 2 * width, channels))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the shape of the output for one of the input."""
        batch, height, width, depth = input_shape
        if height is None or width is None or depth is None:
            raise ValueError(f"height, width and channels must be known, got {input_shape}")
        return batch, 2 * height, 2 * width, depth // 4


@keras.saving.register_keras_serializable("gangen")
class NoiseDropout(keras.layers.Layer):  # type: ignore[misc]
    """Dropout whose randomness is an input, so that a step is a function of its seed alone.

    Keras' own keeps a counter in a variable, named by how many layers the process has made, which replicas may not
    change and which gives each of them the same mask.

    Args:
        rate: share of the activations that is dropped, in [0, 1).
    """

    def __init__(self, rate: float, **kwargs: Any) -> None:
        super().__init__(autocast=False, **kwargs)  # noise in bfloat16 would be below the rate too often
        self._rate = rate

    def call(self, inputs: Any, noise: Any, training: bool = False) -> Any:
        """Return the inputs with those dropped whose noise, from U(0, 1), is below the rate."""
        if not training:
            return inputs
        return ops.where(noise >= self._rate, inputs / (1.0 - self._rate), 0.0)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments, as Keras wants of a layer."""
        return {**super().get_config(), "rate": self._rate}
