"""What defines a model and a training run, as frozen, validated, digestible values.

Nothing here imports Keras or TensorFlow: the command line builds and checks these first.
"""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

IMAGE_SIZE = 28
"""Height and width of every digit, in pixels (MNIST's)."""

Precision = Literal["float32", "mixed_bfloat16"]


class FrozenModel(BaseModel):
    """A value that is checked once, never changed, and refuses fields it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def content_digest(self) -> str:
        """Return the SHA-256 (hex) of the value's canonical JSON."""
        return json_digest(self.model_dump(mode="json"))


def json_digest(value: Any) -> str:
    """Return the SHA-256 (hex) of `value` as JSON with sorted keys and no spaces."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def first_problem(err: ValidationError) -> str:
    """Return the first thing a validation found wrong, as one line: field, reason."""
    first = err.errors(include_url=False, include_context=False, include_input=False)[0]
    where = ".".join(map(str, first["loc"]))
    return f"{where}: {first['msg']}" if where else first["msg"]


class GeneratorConfig(FrozenModel):
    """The shape of a generator: dense -> 7x7 -> 14x14 -> 28x28 by depth-to-space.

    Attributes:
        num_classes: labels the generator knows, 0 to num_classes - 1.
        latent_dim: length of a latent vector, drawn from N(0, 1).
        label_dim: length of the learned vector that stands for a label.
        hidden_units: width of the first dense layer.
        channels_7: channels at 7x7.
        blocks_7: residual pairs of 3x3 convolutions at 7x7.
        channels_14: channels at 14x14.
        blocks_14: residual pairs of 3x3 convolutions at 14x14.
    """

    num_classes: Annotated[int, Field(ge=2, le=1000)] = 10
    latent_dim: Annotated[int, Field(ge=1, le=1024)] = 64
    label_dim: Annotated[int, Field(ge=1, le=256)] = 32
    hidden_units: Annotated[int, Field(ge=1, le=4096)] = 256
    channels_7: Annotated[int, Field(ge=1, le=1024)] = 32
    blocks_7: Annotated[int, Field(ge=0, le=16)] = 1
    channels_14: Annotated[int, Field(ge=1, le=1024)] = 16
    blocks_14: Annotated[int, Field(ge=0, le=16)] = 0

    def multiply_adds(self) -> int:
        """Return the multiply-adds of one image, the unit in which samplers are compared."""
        dense = (self.latent_dim + self.label_dim) * self.hidden_units
        dense += self.hidden_units * 49 * self.channels_7
        at_7 = self.blocks_7 * 2 * 9 * self.channels_7**2 + 9 * self.channels_7 * 4 * self.channels_14
        at_14 = self.blocks_14 * 2 * 9 * self.channels_14**2 + 9 * self.channels_14 * 4
        return dense + 49 * at_7 + 196 * at_14


class DiscriminatorConfig(FrozenModel):
    """The shape of a discriminator: 28 -> 14 -> 7 -> 4 by strided convolutions.

    Attributes:
        num_classes: labels it is conditioned on, by projection.
        channels: channels at 14x14, 7x7 and 4x4.
        blocks: residual pairs of 3x3 convolutions at 14x14 and again at 7x7.
        hidden_units: width of the dense layer before the logit.
    """

    num_classes: Annotated[int, Field(ge=2, le=1000)] = 10
    channels: tuple[int, int, int] = (32, 64, 128)
    blocks: Annotated[int, Field(ge=0, le=16)] = 1
    hidden_units: Annotated[int, Field(ge=1, le=4096)] = 128


class TrainConfig(FrozenModel):
    """Everything a training run's result depends on; a resumed run must have the very same.

    Attributes:
        preset: name of the row of `ganmodel.presets` the networks came from.
        generator: the generator's shape.
        discriminator: the discriminator's shape.
        dataset: name of the training set, as recorded in the model.
        dataset_digest: SHA-256 of the training images and labels.
        steps: optimizer steps of each network.
        batch_size: images per step over all replicas (the global batch).
        learning_rate: Adam's, constant until `decay_start`, then linear to 1/20 of it.
        decay_start: share of `steps` after which the learning rate decays.
        gamma: weight of the R1 and R2 gradient penalties (R3GAN, arXiv:2501.05441, eq. 4).
        ema_decay: decay of the generator's moving average, ramped up over the first steps.
        seed: of the initial weights, the order of the data and the latents.
        precision: Keras dtype policy of both networks.
    """

    preset: str
    generator: GeneratorConfig
    discriminator: DiscriminatorConfig
    dataset: str
    dataset_digest: str
    steps: Annotated[int, Field(ge=1, le=100_000_000)]
    batch_size: Annotated[int, Field(ge=1, le=65_536)]
    learning_rate: Annotated[float, Field(gt=0, le=1)]
    decay_start: Annotated[float, Field(ge=0, le=1)] = 0.4
    gamma: Annotated[float, Field(ge=0, le=1000)]
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = 0.999
    seed: Annotated[int, Field(ge=0, lt=2**31)]
    precision: Precision

    def differences(self, other: TrainConfig) -> list[str]:
        """Return one phrase a differing field, `field: mine -> theirs`, nested fields dotted."""
        return _differences(self.model_dump(mode="json"), other.model_dump(mode="json"))


def _differences(mine: dict[str, Any], theirs: dict[str, Any], prefix: str = "") -> list[str]:
    found = []
    for name, old in mine.items():
        new = theirs[name]
        if isinstance(old, dict):
            found += _differences(old, new, f"{prefix}{name}.")
        elif old != new:
            found.append(f"{prefix}{name}: {old} -> {new}")
    return found
