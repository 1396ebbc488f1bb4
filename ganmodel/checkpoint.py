"""Training checkpoints: every variable and the place in the run, in one file that appears whole.

A checkpoint needs no state of a random generator and no cursor into the data: latents and batches are
functions of (seed, step), both of which it holds.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ganmodel.config import TrainConfig
from ganmodel.errors import ModelError, SpecError
from ganmodel.weights import load_arrays, replace_on_success, save_arrays

if TYPE_CHECKING:
    from ganmodel.steps import Networks

CONFIG_FILE = "train.json"
_NAME = re.compile(r"step-(\d{9})\.safetensors")


class CheckpointStore:
    """The checkpoints of one model directory, the last few kept."""

    def __init__(self, model_dir: Path, *, keep: int = 3) -> None:
        self._folder = model_dir / "checkpoints"
        self._config_path = model_dir / CONFIG_FILE
        self._keep = keep

    def steps(self) -> list[int]:
        """Return the steps there are checkpoints of, ascending."""
        if not self._folder.is_dir():
            return []
        matches = (_NAME.fullmatch(path.name) for path in self._folder.iterdir())
        return sorted(int(match[1]) for match in matches if match)

    def path(self, step: int) -> Path:
        """Return the file of a step's checkpoint."""
        return self._folder / f"step-{step:09d}.safetensors"

    def check_config(self, config: TrainConfig) -> None:
        """Refuse to continue another run.

        Raises:
            SpecError: the directory holds checkpoints of a run whose configuration differs.
        """
        if not self._config_path.is_file():
            if self.steps():
                raise ModelError(f"{self._config_path} is missing; start over with --fresh")
            return
        old = TrainConfig.model_validate_json(self._config_path.read_bytes())
        changed = old.differences(config)
        if changed and self.steps():
            raise SpecError(
                f"{self._folder.parent} holds a run of another configuration ({'; '.join(changed)}); give "
                "the old values to resume it, --fresh to start over, or another --model-dir"
            )

    def begin(self, config: TrainConfig) -> None:
        """Record the configuration that the checkpoints to come belong to."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with replace_on_success(self._config_path) as temporary:
            temporary.write_text(json.dumps(config.model_dump(mode="json"), indent=2) + "\n")

    def clear(self) -> None:
        """Delete every checkpoint."""
        for step in self.steps():
            self.path(step).unlink()

    def save(self, networks: Networks, step: int) -> Path:
        """Write the checkpoint of `step` (steps taken so far) and delete those beyond the last few."""
        arrays = {name: np.asarray(v.numpy()) for name, v in networks.variables().items()}
        save_arrays(self.path(step), arrays, note=json.dumps({"step": step}))
        for old in self.steps()[: -self._keep]:
            self.path(old).unlink(missing_ok=True)
        return self.path(step)

    def restore(self, networks: Networks, step: int) -> None:
        """Load the checkpoint of `step` into the networks.

        Raises:
            ModelError: it is damaged or of other networks.
        """
        arrays, _ = load_arrays(self.path(step))
        variables = networks.variables()
        if arrays.keys() != variables.keys():
            odd = sorted(arrays.keys() ^ variables.keys())[0]
            raise ModelError(f"{self.path(step)}: does not fit these networks (first at '{odd}')")
        for name, variable in variables.items():
            if tuple(variable.shape) != arrays[name].shape:
                raise ModelError(f"{self.path(step)}: '{name}' has shape {list(arrays[name].shape)}")
            variable.assign(np.asarray(arrays[name]))
