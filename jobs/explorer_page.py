"""The page of `gangen explore`: one HTML file that holds the generator and asks nobody for anything.

The forward pass is plain JavaScript. ONNX Runtime Web would draw one digit twice as fast and many at once twelve times,
for 14 MB of WebAssembly in the package; a digit takes some 3 ms without it, a map of 81 fills in a quarter of a second.
"""

from __future__ import annotations

import json
from base64 import b64encode
from hashlib import sha256
from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np

from ganmodel.directions import principal_directions
from ganmodel.errors import ModelError

if TYPE_CHECKING:
    from ganmodel.recipe import Operation, Recipe

NUM_DIRECTIONS = 8

SCRIPTS = (
    *("rows.js", "network.js", "hands.js", "pictures.js", "explorer.js", "stage.js"),
    *("directions.js", "strip.js", "sheet.js", "start.js"),
)
"""In the order in which they are joined."""


def render_explorer(recipe: Recipe, model_option: str = "") -> bytes:
    """Return the page, UTF-8.

    Weights go in as float16: half the size, and the pixels of the generator that ships stay within a grey level.

    Args:
        recipe: the generator.
        model_option: what the commands that the page shows say of the model, as in ` --model runs/first`.

    Raises:
        ModelError: a weight is too large for float16.
    """
    folder = files("jobs") / "explorer"
    directions, shares = principal_directions(recipe, min(NUM_DIRECTIONS, recipe.info.generator.latent_dim))
    facts = {
        "name": recipe.info.name,
        "digest": recipe.info.digest,
        "option": model_option,
        "classes": list(recipe.info.class_names),
        "latentDim": recipe.info.generator.latent_dim,
        "labelDim": recipe.embeddings.shape[1],
        "directions": directions.tolist(),
        "shares": shares.tolist(),
        "operations": [_operation_facts(operation) for operation in recipe.operations],
    }
    weights = _weights(recipe)
    script = "\n".join((folder / name).read_text(encoding="utf-8") for name in SCRIPTS)
    style = (folder / "page.css").read_text(encoding="utf-8")
    parts = {
        "name": escape(recipe.info.name),
        "size": f"{len(weights) / 1e6:.1f} MB",
        "style-hash": _csp_hash(style),
        "script-hash": _csp_hash(script),
        "model": json.dumps(facts).replace("</", "<\\/"),
        "weights": b64encode(weights).decode("ascii"),
        "style": style,
        "script": script,
    }
    page = (folder / "page.html").read_text(encoding="utf-8")
    for name, text in parts.items():
        page = page.replace(f"@{name}@", text)
    return page.encode("utf-8")


def _weights(recipe: Recipe) -> bytes:
    """Return embeddings, kernels and biases in order as float16, little-endian, kernels as `convolve` wants them."""
    arrays = [recipe.embeddings]
    for operation in recipe.operations:
        if operation.kernel.size:
            is_turned = operation.kind == "transposed"
            arrays += [operation.kernel.swapaxes(2, 3) if is_turned else operation.kernel, operation.bias]
    joined = np.concatenate([array.ravel() for array in arrays])
    if not np.abs(joined).max() <= np.finfo(np.float16).max:
        raise ModelError(
            "the explorer keeps weights as float16, and one of this model's is too large for that"
        )
    return joined.astype("<f2").tobytes()


def _operation_facts(operation: Operation) -> dict[str, Any]:
    facts: dict[str, Any] = {"kind": operation.kind}
    if operation.kernel.size:
        facts |= {"kernel": operation.kernel.shape, "outputs": operation.bias.size}
    if operation.kind == "transposed":
        facts["stride"] = operation.stride
    if operation.kind == "leaky":
        facts["slope"] = operation.slope
    return facts


def _csp_hash(text: str) -> str:
    """Return what a Content-Security-Policy says of an inline style or script to allow that one alone."""
    return f"sha256-{b64encode(sha256(text.encode('utf-8')).digest()).decode('ascii')}"
