"""A generator in other formats draws the sampler's digits."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from ganmodel.config import GeneratorConfig, TutorialGeneratorConfig
from ganmodel.labels import parse_labels
from ganmodel.latents import BLOCK_ROWS, draw_block
from ganmodel.model_dir import export_model, read_model
from ganmodel.recipe import LEAK, TUTORIAL_LEAK, read_recipe
from ganmodel.sampler import Sampler
from jobs import cli

pytestmark = pytest.mark.tf

SHAPES = {
    "ours": GeneratorConfig(
        latent_dim=16, label_dim=8, hidden_units=24, channels_7=6, blocks_7=2, channels_14=3, blocks_14=1
    ),
    "tutorial": TutorialGeneratorConfig(kind="tutorial", latent_dim=12, channels=(10, 7, 5)),
}


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> dict[str, str]:
    """The model that ships, and one of each kind of network, its biases not zero."""
    from ganmodel.networks import build_generator

    found = {"pretrained": "pretrained"}
    for name, shape in SHAPES.items():
        rng = np.random.default_rng(1)
        network = build_generator(shape, seed=3)
        arrays = {
            v.path: np.asarray(v) + rng.uniform(0, 0.2, v.shape).astype(np.float32) for v in network.variables
        }
        found[name] = str(tmp_path_factory.mktemp(name))
        names = tuple("0123456789")
        export_model(
            Path(found[name]), name="x", generator=shape, class_names=names, arrays=arrays, training={}
        )
    return found


@pytest.fixture
def export(monkeypatch, capsys):
    """Return a function that runs `gangen model export` and returns its facts."""

    def run(*arguments: str) -> dict:
        monkeypatch.setattr(sys, "argv", ["gangen", "model", "export", *arguments, "--json"])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        output = capsys.readouterr()
        assert (stop.value.code, output.err) == (0, "")
        return json.loads(output.out)

    return run


def drawn(model: str):
    """Return latents, labels and the sampler's images of a block."""
    rule, latent_dim = parse_labels("balanced"), read_model(model).generator.latent_dim
    images, labels = Sampler(model, threads=None).draw(2, 5, rule)
    return draw_block(2, 5, latent_dim, rule)[0], labels.astype(np.int64), images


def test_the_slopes_are_those_of_the_networks() -> None:
    from ganmodel import networks, tutorial

    assert (LEAK, TUTORIAL_LEAK) == (networks.LEAK, tutorial.LEAK)


@pytest.mark.parametrize("name", ["pretrained", *SHAPES])
def test_onnx_draws_the_samplers_digits(name, models, export, tmp_path) -> None:
    pytest.importorskip("onnx", reason="onnx is not installed")
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    out = tmp_path / "generator.onnx"
    facts = export("--to", "onnx", "--model", models[name], "--out", str(out))
    assert facts["bytes"] == out.stat().st_size
    session = runtime.InferenceSession(str(out))
    latents, labels, images = drawn(models[name])
    (found,) = session.run(None, {"latents": latents, "labels": labels})
    assert (found.dtype, found.shape) == (np.uint8, (BLOCK_ROWS, 28, 28))
    assert np.abs(found.astype(int) - images).max() <= 1
    assert images.std() > 10
    (one,) = session.run(None, {"latents": latents[7:8], "labels": labels[7:8]})
    assert np.abs(one.astype(int) - images[7:8]).max() <= 1
    metadata = session.get_modelmeta().custom_metadata_map
    info = read_model(models[name])
    assert metadata == {"name": info.name, "digest": info.digest, "class_names": "\n".join(info.class_names)}


def test_onnx_needs_neither_tensorflow_nor_keras(run_python, tmp_path) -> None:
    pytest.importorskip("onnx", reason="onnx is not installed")
    code = (
        "import sys\nfrom ganmodel.onnx_graph import build_onnx\nfrom ganmodel.recipe import read_recipe\n"
        "build_onnx(read_recipe('pretrained'))\nprint({'tensorflow', 'keras', 'ray'} & set(sys.modules))"
    )
    assert run_python(code).stdout.strip() == "set()"


def test_a_saved_model_draws_the_samplers_digits(export, tmp_path) -> None:
    import tensorflow as tf

    out = tmp_path / "saved"
    assert export("--to", "savedmodel", "--out", str(out))["bytes"] < 1.1 * 3_494_496
    assert [path.name for path in tmp_path.iterdir()] == ["saved"]
    latents, labels, images = drawn("pretrained")
    model = tf.saved_model.load(str(out))
    found = model.serve(latents, labels)["images"].numpy()
    assert (found.dtype, found.shape) == (np.uint8, (BLOCK_ROWS, 28, 28))
    assert np.abs(found.astype(int) - images).max() <= 1
    few = {"latents": tf.constant(latents[:3]), "labels": tf.constant(labels[:3])}
    named = model.signatures["serving_default"](**few)["images"].numpy()
    assert np.abs(named.astype(int) - images[:3]).max() <= 1


def test_weights_that_do_not_fit_are_one_line(models, tmp_path) -> None:
    from ganmodel.errors import ModelError
    from ganmodel.weights import load_arrays

    arrays, _ = load_arrays(Path(models["ours"]) / "generator.safetensors")
    del arrays["to_14/bias"]
    names = tuple("0123456789")
    export_model(
        tmp_path / "m", name="x", generator=SHAPES["ours"], class_names=names, arrays=arrays, training={}
    )
    with pytest.raises(ModelError, match=r"weights do not fit the network \(first at 'to_14/bias'\)"):
        read_recipe(str(tmp_path / "m"))
