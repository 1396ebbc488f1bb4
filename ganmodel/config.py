"""What defines a model and a training run, as frozen, validated, digestible values.

Nothing here imports Keras or TensorFlow: the command line builds and checks these first.
"""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError

IMAGE_SIZE = 28
"""Height and width of every digit, in pixels (MNIST's)."""

Precision = Literal["float32", "mixed_bfloat16"]
DrawPrecision = Literal["float32", "bfloat16"]
"""What digits are drawn in. In bfloat16 weights and activations are rounded to it, sums and the image stay float32."""

LossName = Literal["relativistic", "cross_entropy"]

_OURS, _TUTORIAL = "<ours>", "<tutorial>"
"""Tags of the two kinds of network. They stand in the places of errors, but are no fields."""


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
    where = ".".join(str(part) for part in first["loc"] if part not in (_OURS, _TUTORIAL))
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
        blocks_14: residual pairs of 3x3 convolutions at 14x14.
        blocks_7: residual pairs of 3x3 convolutions at 7x7.
        hidden_units: width of the dense layer before the logit.
    """

    num_classes: Annotated[int, Field(ge=2, le=1000)] = 10
    channels: tuple[int, int, int] = (32, 64, 128)
    blocks_14: Annotated[int, Field(ge=0, le=16)] = 1
    blocks_7: Annotated[int, Field(ge=0, le=16)] = 1
    hidden_units: Annotated[int, Field(ge=1, le=4096)] = 128


class TutorialGeneratorConfig(FrozenModel):
    """The shape of the baseline's generator: dense -> 7x7 -> 14x14 -> 28x28 by transposed convolutions.

    Attributes:
        kind: tells this shape from `GeneratorConfig`, in JSON too.
        num_classes: labels the generator knows, 0 to num_classes - 1.
        latent_dim: length of a latent vector, drawn from N(0, 1).
        label_dim: length of the learned vector that stands for a label.
        channels: channels after the dense layer, at 7x7 and at 14x14.
    """

    kind: Literal["tutorial"]
    num_classes: Annotated[int, Field(ge=2, le=1000)] = 10
    latent_dim: Annotated[int, Field(ge=1, le=1024)] = 100
    label_dim: Annotated[int, Field(ge=1, le=256)] = 10
    channels: tuple[int, int, int] = (256, 128, 64)

    def multiply_adds(self) -> int:
        """Return the multiply-adds of one image; normalisation can be folded into the layer before it."""
        first, at_7, at_14 = self.channels
        dense = (self.latent_dim + self.label_dim) * 49 * first
        return dense + 49 * 25 * (first * at_7 + at_7 * at_14) + 196 * 25 * at_14


class TutorialDiscriminatorConfig(FrozenModel):
    """The shape of the baseline's discriminator: 28 -> 14 -> 7 by strided convolutions.

    Attributes:
        kind: tells this shape from `DiscriminatorConfig`, in JSON too.
        num_classes: labels it is conditioned on, by projection.
        channels: channels at 14x14 and 7x7.
        dropout: share of the activations that is dropped after each convolution.
    """

    kind: Literal["tutorial"]
    num_classes: Annotated[int, Field(ge=2, le=1000)] = 10
    channels: tuple[int, int] = (64, 128)
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.3


def _kind(value: Any) -> str:
    kind = value.get("kind") if isinstance(value, dict) else getattr(value, "kind", None)
    return _OURS if kind is None else _TUTORIAL


# Only the baseline's shapes name their kind: the digest of a model covers its shape, and ours came first.
AnyGeneratorConfig = Annotated[
    Annotated[GeneratorConfig, Tag(_OURS)] | Annotated[TutorialGeneratorConfig, Tag(_TUTORIAL)],
    Discriminator(_kind),
]
AnyDiscriminatorConfig = Annotated[
    Annotated[DiscriminatorConfig, Tag(_OURS)] | Annotated[TutorialDiscriminatorConfig, Tag(_TUTORIAL)],
    Discriminator(_kind),
]


class TrainConfig(FrozenModel):
    """Everything a training run's result depends on; a resumed run must have the very same.

    Attributes:
        preset: name of the row of `ganmodel.presets` the networks came from.
        generator: the generator's shape.
        discriminator: the discriminator's shape.
        dataset: name of the training set, as recorded in the model.
        dataset_digest: SHA-256 of the training images and labels, of those that were kept.
        limit: images of the data set that were kept, see `ganmodel.data.stratified_subset`; None for all.
        steps: optimizer steps of each network.
        batch_size: images per step over all replicas (the global batch).
        learning_rate: Adam's, constant until `decay_start`, then linear to 1/20 of it.
        decay_start: share of `steps` after which the learning rate decays.
        gamma: weight of the R1 and R2 gradient penalties (R3GAN, arXiv:2501.05441, eq. 4); at 0 they are not
            computed.
        ema_decay: decay of the generator's moving average, ramped up over the first steps; 0 exports the generator
            as it is.
        seed: of the initial weights, the order of the data, the latents, and of which images a limit keeps.
        precision: Keras dtype policy of both networks.
        loss: a row of `ganmodel.losses.LOSSES`.
        adam_betas: Adam's decay of the mean and of the square of the gradients. (0, 0.99) is R3GAN's, train.py,
            CIFAR-10 row; 0.999 is unstable with its loss (its appendix).
        joint: whether both networks move at once, judged by the same images; else the discriminator moves
            first, and the generator draws anew.
    """

    preset: str
    generator: AnyGeneratorConfig
    discriminator: AnyDiscriminatorConfig
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
    loss: LossName = "relativistic"
    adam_betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]] = (0.0, 0.99)
    joint: bool = False
    limit: Annotated[int, Field(ge=1)] | None = None

    def differences(self, other: TrainConfig) -> list[str]:
        """Return one phrase a differing field, `field: mine -> theirs`, nested fields dotted."""
        return _differences(self.model_dump(mode="json"), other.model_dump(mode="json"))


def _differences(mine: dict[str, Any], theirs: dict[str, Any], prefix: str = "") -> list[str]:
    found = []
    for name, old in mine.items():
        new = theirs[name]
        if isinstance(old, dict) and old.keys() != new.keys():
            found.append(f"{prefix}{name}: of another kind")
        elif isinstance(old, dict):
            found += _differences(old, new, f"{prefix}{name}.")
        elif old != new:
            found.append(f"{prefix}{name}: {old} -> {new}")
    return found
