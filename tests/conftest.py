"""What several test files share: TensorFlow set up once, real data sets, a subprocess that runs our code."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from fault_proxy import FaultProxy
from hypothesis import settings
from s3_server import CREDENTIALS, CannotInstall, S3Server, running_server, server_program

from ganmodel.config import TrainConfig
from ganmodel.data import TrainingSet, load_training_set
from ganmodel.device import configure_tensorflow
from ganmodel.presets import find_preset

# Draws take as long as the machine is busy: their time says nothing.
settings.register_profile("gangen", deadline=None)
settings.load_profile("gangen")

REPOSITORY = Path(__file__).resolve().parent.parent


def pytest_collection_finish(session):
    """Split the CPU in two before any test can start TensorFlow, which cannot be split afterwards."""
    if any(item.get_closest_marker("tf") for item in session.items):
        configure_tensorflow(logical_cpus=2)


@pytest.fixture(scope="session")
def digits() -> TrainingSet:
    """scikit-learn's real digits, the training split, [1500, 28, 28]."""
    return load_training_set("digits")


@pytest.fixture(scope="session")
def mnist_path() -> Path:
    """A real mnist.npz: $GANGEN_MNIST, or the one beside the repository."""
    path = Path(os.environ.get("GANGEN_MNIST", REPOSITORY.parent / "shared/data/mnist.npz"))
    if not path.is_file():
        pytest.skip(f"no mnist.npz at {path}; name one in GANGEN_MNIST")
    return path


@pytest.fixture(scope="session")
def tiny_config():
    """Return a function that makes the configuration of a tiny run on the digits."""
    preset = find_preset("tiny")

    def make(**changes) -> TrainConfig:
        values = {
            "preset": "tiny",
            "generator": preset.generator,
            "discriminator": preset.discriminator,
            "dataset": "digits",
            "dataset_digest": "0" * 64,
            "steps": 4,
            "batch_size": 8,
            "learning_rate": preset.learning_rate,
            "gamma": preset.gamma,
            "seed": 0,
            "precision": "float32",
        }
        return TrainConfig(**values | changes)

    return make


@pytest.fixture(scope="session")
def run_python():
    """Return a function that runs Python code in a process of its own and returns the finished process."""

    def run(code: str, *args: str, timeout: float = 120, **env: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [sys.executable, "-c", code, *args],
            capture_output=True,
            text=True,
            timeout=timeout,
            cwd=REPOSITORY,
            env=os.environ | env,
            check=False,
        )

    return run


@pytest.fixture
def save_npz(tmp_path):
    """Return a function that writes a training set which is sound but for the arrays given, and its path."""

    def save(*, without=(), **changes) -> str:
        labels = np.arange(40) % 10
        arrays = {"x_train": np.zeros((40, 28, 28), np.uint8), "y_train": labels.astype(np.uint8)} | changes
        path = tmp_path / "set.npz"
        np.savez(path, **{name: array for name, array in arrays.items() if name not in without})
        return str(path)

    return save


@pytest.fixture(scope="session")
def s3_server(request, tmp_path_factory) -> Iterator[S3Server]:
    """A real S3 server on the loopback address, for the whole session."""
    try:
        program = server_program(Path(request.config.cache.mkdir("moto")))
    except CannotInstall as err:
        pytest.skip(f"moto's server cannot be installed from tests/support/moto.lock: {err}")
    with running_server(program, tmp_path_factory.mktemp("moto") / "log") as server:
        yield server


@pytest.fixture
def s3_environ(s3_server, monkeypatch) -> dict[str, str]:
    """Credentials and endpoint in this process' environment, and what they are."""
    environ = CREDENTIALS | {"AWS_ENDPOINT_URL": s3_server.endpoint}
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    return environ


@pytest.fixture
def bucket(s3_server, s3_environ) -> str:
    """The URL of a bucket that is empty and can be written."""
    name = f"bucket-{uuid.uuid4().hex[:12]}"
    s3_server.make_bucket(name)
    return f"s3://{name}"


@pytest.fixture
def fault_proxy(s3_server, bucket, monkeypatch) -> Iterator[FaultProxy]:
    """A proxy before the server that clients of this process and its children are led to; put faults into it."""
    with FaultProxy(s3_server.port) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        yield proxy
