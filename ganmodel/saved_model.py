"""A generator as a TensorFlow SavedModel: latents and labels in, the sampler's pixels out."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Any

from ganmodel.device import configure_tensorflow
from ganmodel.inference import drawing_graph
from ganmodel.model_dir import read_model
from ganmodel.sampler import load_generator

if TYPE_CHECKING:
    from pathlib import Path


def export_saved_model(model: str, folder: Path) -> None:
    """Write a SavedModel, whole or not at all.

    Its endpoint `serve`, which is its default signature, takes `latents` [n, Z] float32 and `labels` [n] int64 and
    returns `images` [n, 28, 28] uint8. It needs TensorFlow, and nothing of ours, to be loaded.

    Args:
        model: a model directory, or `pretrained`.
        folder: must not exist.

    Raises:
        ModelError: the model is missing, damaged, or does not fit its own description.
        OSError: the folder cannot be written.
    """
    info = read_model(model)
    tf = configure_tensorflow(use_gpus=False)
    draw = drawing_graph(load_generator(model, info), info.generator)

    def serve(latents: Any, labels: Any) -> dict[str, Any]:
        return {"images": draw(latents, labels)}

    signature = [
        tf.TensorSpec([None, info.generator.latent_dim], tf.float32, name="latents"),
        tf.TensorSpec([None], tf.int64, name="labels"),
    ]
    module = tf.Module()
    module.serve = tf.function(serve, input_signature=signature)
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    try:
        tf.saved_model.save(module, str(temporary), signatures=module.serve)
        temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
