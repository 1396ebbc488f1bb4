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
class LabelMatch(keras.layers.Layer):  # type: ignore[misc]
    """The inner product of each example's features [B, F] with the learned vector of its label, [B, 1].

    All labels' products are one matrix product, of which one column an example is taken: with few labels that is
    quicker than an embedding and a product an example, and so are its gradients.

    Args:
        num_classes: labels there are, 0 to num_classes - 1.
        initializer: of the vectors, `embeddings` [num_classes, F].
    """

    def __init__(self, num_classes: int, initializer: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._num_classes = num_classes
        self._initializer = keras.initializers.get(initializer)

    def build(self, features_shape: tuple[int | None, ...], labels_shape: tuple[int | None, ...]) -> None:
        """Make the vectors, as long as the features."""
        del labels_shape
        shape = (self._num_classes, features_shape[-1])
        self.embeddings = self.add_weight(shape=shape, initializer=self._initializer, name="embeddings")

    def call(self, features: Any, labels: Any) -> Any:
        """Return the inner products."""
        products_BK = ops.matmul(features, ops.transpose(self.embeddings))
        chosen_BK = ops.one_hot(labels, self._num_classes, dtype=products_BK.dtype)
        return ops.sum(products_BK * chosen_BK, axis=-1, keepdims=True)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments, as Keras wants of a layer."""
        initializer = keras.initializers.serialize(self._initializer)
        return {**super().get_config(), "num_classes": self._num_classes, "initializer": initializer}


@keras.saving.register_keras_serializable("gangen")
class NoiseDropout(keras.layers.Layer):  # type: ignore[misc]
    """Dropout whose randomness is an input, so that a step is a function of its seed alone.

    Keras' own keeps a counter in a variable, named by how many layers the process has made, which replicas may not
    change and which gives each of them the same mask.

    Args:
        rate: share of the activations that is dropped, in [0, 1), to 1 in 65,536.
    """

    def __init__(self, rate: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._rate = rate
        self._least = round(rate * 2**16)

    def call(self, inputs: Any, noise: Any, training: bool = False) -> Any:
        """Return the inputs with those dropped whose noise, uint16 of all values alike, is below the rate's share."""
        if not training:
            return inputs
        kept = ops.cast(noise >= ops.cast(self._least, noise.dtype), self.compute_dtype)
        return inputs * (kept * (1.0 / (1.0 - self._least / 2**16)))

    def get_config(self) -> dict[str, Any]:
        """Return the arguments, as Keras wants of a layer."""
        return {**super().get_config(), "rate": self._rate}
