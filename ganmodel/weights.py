"""Arrays on disk: safetensors, which holds numbers and names and can run nothing on load."""

from __future__ import annotations

import hashlib
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from ganmodel.errors import GangenError, ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray


@contextmanager
def replace_on_success(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it there when the block ends well, else delete it.

    A reader sees the old file or the whole new one, also after a power cut: the file is flushed to the
    disk before the rename, the folder after it.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
        flush_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def flush_folder(path: Path) -> None:
    """See that the names in a folder outlive a power cut."""
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def save_arrays(path: Path, arrays: Mapping[str, NDArray[np.generic]], note: str = "") -> None:
    """Write arrays, whole or not at all.

    Args:
        path: where to; replaced if it exists.
        arrays: name to array.
        note: text kept beside them (one value: the format does not order several).

    Raises:
        GangenError: the disk is full or refuses; what was there before stays.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    # safetensors writes the memory behind an array as it lies, whatever the array's strides say.
    contiguous = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    try:
        with replace_on_success(path) as temporary:
            save_file(contiguous, temporary, metadata={"note": note} if note else None)
            temporary.chmod(0o644)  # safetensors creates it for the owner alone
    except (OSError, SafetensorError) as err:
        raise GangenError(f"{path}: cannot be written ({err}); what was there before is kept") from err


def load_arrays(path: Path) -> tuple[dict[str, NDArray[np.generic]], str]:
    """Return the arrays of a file and the note beside them.

    Raises:
        ModelError: the file is missing or damaged.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return arrays, (file.metadata() or {}).get("note", "")
    except (OSError, SafetensorError) as err:
        raise ModelError(f"{path}: cannot be read ({err}); restore it from a copy") from err


def file_sha256(path: Path) -> str:
    """Return the SHA-256 (hex) of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
