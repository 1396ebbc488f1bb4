"""Single digits for pictures: any hand, any label, and what lies between labels.

The sampler draws blocks of one fixed shape, whose bytes are a promise. A brush draws as few as are asked for; its
pixels equal the sampler's to within a grey level.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ganmodel.device import configure_tensorflow
from ganmodel.latents import BLOCK_ROWS
from ganmodel.model_dir import read_model
from ganmodel.sampler import load_generator

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


class Brush:
    """A generator that is entered after its label embedding.

    Args:
        model: a model directory, or `pretrained`.

    Raises:
        ModelError: the model is missing, damaged, or does not fit its own description.
    """

    def __init__(self, model: str) -> None:
        self.info = read_model(model)
        configure_tensorflow()
        from ganmodel.networks import label_embedding, without_embedding

        network = load_generator(model, self.info)
        self._vectors = np.asarray(label_embedding(network), np.float32)
        self._network = without_embedding(network)

    def mixes(self, labels: ArrayLike) -> NDArray[np.float32]:
        """Return the mixes that are pure labels, [N, K] float32, for labels [N]."""
        return np.eye(self.info.generator.num_classes, dtype=np.float32)[np.asarray(labels, np.int64)]

    def draw(self, hands: NDArray[np.float32], mixes: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Return digits.

        Args:
            hands: latents [N, Z] float32.
            mixes: [N, K] float32, the share of each label's vector in what stands for the label: one-hot for a label,
                between two for a morph.

        Returns:
            [N, 28, 28] uint8.
        """
        embedded = mixes @ self._vectors
        drawn = []
        for start in range(0, len(hands), BLOCK_ROWS):
            stop = start + BLOCK_ROWS
            pixels = self._network([hands[start:stop], embedded[start:stop]], training=False)
            drawn.append(np.asarray(pixels)[..., 0] * 127.5 + 127.5)
        return np.clip(np.round(np.concatenate(drawn)), 0, 255).astype(np.uint8)
