"""A generator as an ONNX graph: latents and labels in, the sampler's pixels out.

Written from the recipe with the `onnx` package alone. tf2onnx, through Keras, could do it too; it is tested with
TensorFlow up to 2.15, has no maintainer, and transposes images before and after each convolution.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ganmodel import __version__
from ganmodel.config import IMAGE_SIZE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ganmodel.recipe import Operation, Recipe

OPSET = 17
IR_VERSION = 8
"""Of 2022, both: runtimes older than that are not expected, and newer ones read them."""


class _Graph:
    """Nodes one behind the other, each taking what the one before it gave."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.value = ""

    def constant(self, array: NDArray[np.generic]) -> str:
        from onnx import numpy_helper

        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def then(self, op: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        """Append a node that takes the current value and then `inputs`; return what it gives."""
        from onnx import helper

        before = [self.value] if self.value else []
        self.value = output or f"value_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, [*before, *inputs], [self.value], **attributes))
        return self.value


def build_onnx(recipe: Recipe) -> bytes:
    """Return a generator as an ONNX model.

    Args:
        recipe: how it draws.

    Returns:
        The serialised model: `latents` [n, Z] float32 and `labels` [n] int64 in, `images` [n, 28, 28] uint8 out; the
        model's name, its class names and its digest among the metadata.

    Raises:
        ImportError: the `onnx` package is not installed.
    """
    import onnx
    from onnx import TensorProto, helper

    info = recipe.info
    graph = _Graph()
    graph.then("Gather", graph.constant(recipe.embeddings), "labels")
    vector, graph.value = graph.value, "latents"
    graph.then("Concat", vector, axis=1)
    remembered = ""
    for operation in recipe.operations:
        if operation.kind == "remember":
            remembered = graph.value
        elif operation.kind == "add":
            graph.then("Add", remembered)
        else:
            _append(graph, operation)
    graph.then("Tanh")
    for op, array in (("Mul", np.float32(127.5)), ("Add", np.float32(127.5))):
        graph.then(op, graph.constant(np.asarray(array)))
    graph.then("Clip", graph.constant(np.asarray(np.float32(0))), graph.constant(np.asarray(np.float32(255))))
    graph.then("Round")
    graph.then("Cast", to=TensorProto.UINT8)
    graph.then("Reshape", graph.constant(np.array([-1, IMAGE_SIZE, IMAGE_SIZE])), output="images")
    made = helper.make_graph(
        graph.nodes,
        "generator",
        [
            helper.make_tensor_value_info("latents", TensorProto.FLOAT, ["n", info.generator.latent_dim]),
            helper.make_tensor_value_info("labels", TensorProto.INT64, ["n"]),
        ],
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["n", IMAGE_SIZE, IMAGE_SIZE])],
        graph.constants,
    )
    model = helper.make_model(
        made,
        producer_name="gangen",
        producer_version=__version__,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )
    facts = {"name": info.name, "digest": info.digest, "class_names": "\n".join(info.class_names)}
    helper.set_model_props(model, facts)
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


def _append(graph: _Graph, operation: Operation) -> None:
    """Append an operation; ONNX has channels first, so its kernels are turned."""
    kernel, bias = operation.kernel, operation.bias
    if operation.kind == "dense":
        graph.then("Gemm", graph.constant(kernel), graph.constant(bias))
    elif operation.kind == "image":
        graph.then("Reshape", graph.constant(np.array([0, 7, 7, -1])))
        graph.then("Transpose", perm=[0, 3, 1, 2])
    elif operation.kind == "conv":
        turned = graph.constant(kernel.transpose(3, 2, 0, 1))
        graph.then("Conv", turned, graph.constant(bias), pads=[kernel.shape[0] // 2] * 4)
    elif operation.kind == "transposed":
        before = (kernel.shape[0] - operation.stride) // 2
        after = kernel.shape[0] - operation.stride - before
        turned = graph.constant(kernel.transpose(3, 2, 0, 1))
        graph.then(
            "ConvTranspose",
            *(turned, graph.constant(bias)),
            strides=[operation.stride] * 2,
            pads=[before, before, after, after],
        )
    elif operation.kind == "leaky":
        graph.then("LeakyRelu", alpha=operation.slope)
    else:
        graph.then("DepthToSpace", blocksize=2, mode="DCR")
