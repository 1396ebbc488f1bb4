"""What jobs read by path or by URL: models and training data. From a store they are fetched once a process.

Credentials come from the environment of whoever fetches. What counts is the content, never the place: a model has its
digest, a training set its own.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from ganmodel import data
from ganmodel.errors import DataError, GangenError, ModelError
from ganmodel.model_dir import MODEL_FILE, WEIGHTS_FILE, read_model
from jobs.object_storage import ObjectStorage
from jobs.scratch import scratch_folder
from jobs.target import Throttled, target_errors

if TYPE_CHECKING:
    from collections.abc import Callable

    from ganmodel.data import TrainingSet


def local_model(model: str) -> str:
    """Return a model as `ganmodel` takes it: the argument itself, or for a URL the folder it was fetched to.

    Raises:
        ModelError: it cannot be fetched, or is no model that is whole.
        Throttled: the store asks for patience for too long; another try may go better.
    """
    if "://" not in model:
        return model
    try:
        folder = str(_fetched(model, (MODEL_FILE, WEIGHTS_FILE), "--model"))
    except FileNotFoundError as err:
        raise ModelError(
            f"--model {model}: there is no {err} there; give the URL that {MODEL_FILE} and {WEIGHTS_FILE} of a folder "
            "that `gangen train` exported were copied to"
        ) from None
    except Throttled:
        raise
    except GangenError as err:
        raise ModelError(str(err)) from err
    try:
        read_model(folder)
    except ModelError as err:
        raise ModelError(str(err).replace(folder, model)) from err
    return folder


def local_file(source: str) -> str:
    """Return the path of training data: the argument itself, or for a URL the file it was fetched to.

    Raises:
        DataError: it cannot be fetched.
        Throttled: the store asks for patience for too long; another try may go better.
    """
    if "://" not in source:
        return source
    place, _, name = source.rpartition("/")
    try:
        return str(_fetched(place, (name,), "--dataset") / name)
    except FileNotFoundError:
        raise DataError(
            f"--dataset {source}: there is no such object; give the URL of an .npz in Keras' layout"
        ) from None
    except Throttled:
        raise
    except GangenError as err:
        raise DataError(str(err)) from err


def load_training_set(source: str) -> TrainingSet:
    """Load and check a training set, see `ganmodel.data.load_training_set`; an .npz may be given by its URL.

    Raises:
        DataError: as there, or it cannot be fetched.
        Throttled: the store asks for patience for too long; another try may go better.
    """
    return _load(source, data.load_training_set)


def load_test_set(source: str) -> TrainingSet:
    """Load and check the test split that belongs to a training set, as `load_training_set` does.

    Raises:
        DataError: as there, or there is no test split.
        Throttled: as `load_training_set`.
    """
    return _load(source, data.load_test_set)


def _load(source: str, load: Callable[[str], TrainingSet]) -> TrainingSet:
    path = local_file(source)
    try:
        return load(path)
    except DataError as err:
        raise DataError(str(err).replace(path, source)) from err


def _fetched(place: str, names: tuple[str, ...], option: str) -> Path:
    """Return a folder with copies of objects below a URL, all of them, fetched the first time.

    Raises:
        FileNotFoundError: one is not there; its text is the name.
        GangenError: the store refuses, or the scratch disk is full.
    """
    folder = scratch_folder() / hashlib.sha256("/".join((place, *names)).encode()).hexdigest()[:16]
    if folder.is_dir():
        return folder
    storage = ObjectStorage(place, option=option)
    arriving = folder.with_suffix(".arriving")
    with target_errors(folder.parent, "TMPDIR"):
        arriving.mkdir(exist_ok=True)
        for name in names:
            try:
                with storage.local_copy(name) as path:
                    path.replace(arriving / name)
            except FileNotFoundError:
                raise FileNotFoundError(name) from None
        return arriving.rename(folder)
