"""Training checkpoints: every variable and the place in the run, in one file that appears whole.

A checkpoint needs no state of a random generator and no cursor into the data: latents and batches are
functions of (seed, step), both of which it holds.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import ValidationError

from ganmodel.config import TrainConfig, first_problem
from ganmodel.errors import ModelError, SpecError, TrainingFailed
from ganmodel.weights import load_arrays, replace_on_success, save_arrays

if TYPE_CHECKING:
    from ganmodel.steps import Networks

Resume = Literal["auto", "require", "fresh"]
"""`auto` continues if there is something to continue, `require` insists on it, `fresh` starts over."""

CONFIG_FILE = "train.json"
_NAME = re.compile(r"step-(\d{9})\.safetensors")


class CheckpointStore:
    """The checkpoints of one model directory, the last few kept."""

    def __init__(self, model_dir: Path, *, keep: int = 3) -> None:
        self._folder = model_dir / "checkpoints"
        self._config_path = model_dir / CONFIG_FILE
        self._keep = keep
        self._config_digest = ""

    def steps(self) -> list[int]:
        """Return the steps there are checkpoints of, ascending."""
        if not self._folder.is_dir():
            return []
        matches = (_NAME.fullmatch(path.name) for path in self._folder.iterdir())
        return sorted(int(match[1]) for match in matches if match)

    def path(self, step: int) -> Path:
        """Return the file of a step's checkpoint."""
        return self._folder / f"step-{step:09d}.safetensors"

    def config(self) -> TrainConfig | None:
        """Return the configuration the checkpoints belong to; None where there is none.

        Raises:
            ModelError: its file is damaged.
        """
        if not self._config_path.is_file():
            return None
        try:
            return TrainConfig.model_validate_json(self._config_path.read_bytes())
        except ValidationError as err:
            raise ModelError(
                f"{self._config_path} cannot be read ({first_problem(err)}); restore it, or start over with "
                "--fresh"
            ) from err

    def check(self, config: TrainConfig, resume: Resume) -> int:
        """Return the step to continue at, 0 for a new run; what is saved and restored from here on is of `config`.

        Raises:
            SpecError: the directory holds a run of another configuration, or nothing where `resume` insists.
            ModelError: it holds checkpoints and no configuration.
        """
        self._config_digest = config.content_digest()
        if resume == "fresh":
            return 0
        steps, old = self.steps(), self.config()
        folder = self._folder.parent
        if not steps:
            if resume == "require":
                raise SpecError(f"--resume: {folder} holds no checkpoint; leave --resume out to start anew")
            return 0
        if old is None:
            raise ModelError(f"{self._config_path} is missing; restore it, or start over with --fresh")
        changed = old.differences(config)
        if changed:
            raise SpecError(
                f"{folder} holds a run of another configuration ({'; '.join(changed)}); give the old values to "
                "resume it, --fresh to start over, or another --model-dir"
            )
        return steps[-1]

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
        """Write the checkpoint of `step` (steps taken so far) and delete those beyond the last few.

        Raises:
            TrainingFailed: a variable holds a NaN or an infinity, which losses show a step late or never.
            GangenError: the disk is full or refuses.
        """
        arrays = {name: np.asarray(v.numpy()) for name, v in networks.variables().items()}
        bad = [name for name, array in arrays.items() if not np.isfinite(array).all()]
        if bad:
            raise TrainingFailed(
                f"step {step}: {bad[0]} is no longer a number; the last good checkpoint is step "
                f"{max(self.steps(), default=0)}; try a lower --learning-rate or a higher --gamma with --fresh"
            )
        save_arrays(
            self.path(step), arrays, note=json.dumps({"step": step, "config_digest": self._config_digest})
        )
        for old in self.steps()[: -self._keep]:
            self.path(old).unlink(missing_ok=True)
        return self.path(step)

    def restore(self, networks: Networks, step: int) -> None:
        """Load the checkpoint of `step` into the networks.

        Raises:
            SpecError: it was written by a run of another configuration.
            ModelError: it is not there, damaged or of other networks.
        """
        if not self.path(step).is_file():
            raise ModelError(
                f"{self.path(step)}: is not to be seen here; --model-dir must be a folder that every worker sees"
            )
        try:
            arrays, note = load_arrays(self.path(step))
        except ModelError as err:
            older = [s for s in self.steps() if s < step]
            remedy = f"delete it to continue from step {older[-1]}" if older else "start over with --fresh"
            raise ModelError(f"{self.path(step)}: the checkpoint is damaged; {remedy}") from err
        self._check_origin(step, note)
        variables = networks.variables()
        if arrays.keys() != variables.keys():
            odd = sorted(arrays.keys() ^ variables.keys())[0]
            raise ModelError(f"{self.path(step)}: does not fit these networks (first at '{odd}')")
        for name, variable in variables.items():
            if tuple(variable.shape) != arrays[name].shape:
                raise ModelError(f"{self.path(step)}: '{name}' has shape {list(arrays[name].shape)}")
            variable.assign(np.asarray(arrays[name]))

    def _check_origin(self, step: int, note: str) -> None:
        """Refuse a checkpoint that says it is of another configuration; those of old versions say nothing."""
        try:
            origin = str(json.loads(note or "{}").get("config_digest", ""))
        except (ValueError, AttributeError):
            origin = ""
        if origin and self._config_digest and origin != self._config_digest:
            raise SpecError(
                f"{self.path(step)}: is of configuration {origin[:12]}, the run has {self._config_digest[:12]}; give "
                "the options it was trained with, --fresh to start over, or another --model-dir"
            )
