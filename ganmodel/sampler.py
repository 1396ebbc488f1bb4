"""From a model directory to blocks of digits. One model load, one compiled graph of one fixed shape."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ganmodel.device import configure_tensorflow, device_facts
from ganmodel.errors import ModelError
from ganmodel.inference import DRAWING, drawing_graph
from ganmodel.latents import BLOCK_ROWS, draw_block
from ganmodel.model_dir import WEIGHTS_FILE, read_model, resolve_model_dir
from ganmodel.weights import load_arrays

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ganmodel.config import DrawPrecision, Precision
    from ganmodel.labels import Labels
    from ganmodel.model_dir import ModelInfo


def load_generator(model: str, info: ModelInfo, precision: DrawPrecision = "float32") -> Any:
    """Return the Keras model of an exported generator, its weights in it.

    Args:
        model: a model directory, or `pretrained`.
        info: what `read_model` says of it.
        precision: what it computes in; its weights are kept in float32.

    Raises:
        ModelError: the weights do not fit the description.
    """
    from ganmodel.networks import build_generator

    arrays, _ = load_arrays(resolve_model_dir(model) / WEIGHTS_FILE)
    policy: Precision = "float32" if precision == "float32" else "mixed_bfloat16"
    network = build_generator(info.generator, precision=policy)
    weights = {variable.path: variable for variable in network.variables}
    if weights.keys() != arrays.keys():
        odd = sorted(weights.keys() ^ arrays.keys())[0]
        raise ModelError(f"--model {model}: weights do not fit the network (first at '{odd}')")
    for path, variable in weights.items():
        if tuple(variable.shape) != arrays[path].shape:
            raise ModelError(f"--model {model}: '{path}' has shape {list(arrays[path].shape)}")
        variable.assign(arrays[path])
    return network


class Sampler:
    """A generator that is loaded once and draws blocks.

    Args:
        model: a model directory, or `pretrained`.
        threads: cores one call may use. Pixels are computed the same way for each block, so this changes
            speed alone; a process a core with one thread each is the quickest.
        use_gpus: whether to compute on a GPU where there is one.
        precision: what pixels are computed in. bfloat16 is two to three times as fast on processors that have it; its
            pixels differ from those of float32, with the generator that ships by 0.1 grey levels on average and 12 at
            most.

    Raises:
        ModelError: the model is missing, damaged, or does not fit its own description.
    """

    def __init__(
        self,
        model: str,
        *,
        threads: int | None = 1,
        use_gpus: bool = True,
        precision: DrawPrecision = "float32",
    ) -> None:
        self.info = read_model(model)
        tf = configure_tensorflow(threads=threads, use_gpus=use_gpus)
        network = load_generator(model, self.info, precision)
        self._images = tf.function(
            drawing_graph(network, self.info.generator),
            input_signature=[
                tf.TensorSpec([BLOCK_ROWS, self.info.generator.latent_dim], tf.float32),
                tf.TensorSpec([BLOCK_ROWS], tf.int32),
            ],
        )

    def device_facts(self) -> dict[str, str]:
        """Return what the pixels depend on besides the model; recorded with every data set."""
        return {**device_facts(), "drawing": DRAWING}

    def draw(
        self, seed: int, block: int, labels: Labels, *, truncation: float = 1.0
    ) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
        """Return the digits of a block.

        Args:
            seed: the data set's.
            block: the block's number; it holds rows block * BLOCK_ROWS and on.
            labels: where they come from.
            truncation: psi in (0, 1]: latents are multiplied by it, towards the typical digit of a class.

        Returns:
            Images [BLOCK_ROWS, 28, 28] uint8 and labels [BLOCK_ROWS] int32.
        """
        latents, label_B = draw_block(seed, block, self.info.generator.latent_dim, labels)
        if truncation != 1.0:
            latents *= truncation
        return self._images(latents, label_B).numpy(), label_B
