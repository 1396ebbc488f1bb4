"""The presets of `gangen train --preset`, one readable row each.

`fast` is the default: the quickest sampler that is good enough to ship. `best` spends about seven
times the work an image. `tiny` is for tests and first looks, not for data. `tutorial` is the baseline ours are
measured against: networks, loss and optimizer of TensorFlow's DCGAN tutorial, made class-conditional.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ganmodel.config import (
    AnyDiscriminatorConfig,
    AnyGeneratorConfig,
    DiscriminatorConfig,
    GeneratorConfig,
    LossName,
    TutorialDiscriminatorConfig,
    TutorialGeneratorConfig,
)
from ganmodel.errors import SpecError


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """Network shapes and the recipe that trains them.

    Attributes:
        summary: one line for the help text.
        generator: see `GeneratorConfig`.
        discriminator: see `DiscriminatorConfig`; as many parameters as the generator to within 5 %, or more: modes
            go missing when it is a quarter of it (PacGAN, arXiv:1712.04086, table 2). The baseline's is smaller.
        batch_size: images per step.
        learning_rate: Adam's.
        gamma: weight of R1 and R2.
        epochs: passes over the training set when neither --steps nor --epochs is given.
        decay_start: this and what follows: see `TrainConfig`.
        ema_decay: see there.
        loss: see there.
        adam_betas: see there.
        joint: see there.
    """

    summary: str
    generator: AnyGeneratorConfig
    discriminator: AnyDiscriminatorConfig
    batch_size: int = 128
    learning_rate: float = 4e-4
    gamma: float = 1.0
    epochs: int = 20
    decay_start: float = 0.4
    ema_decay: float = 0.999
    loss: LossName = "relativistic"
    adam_betas: tuple[float, float] = (0.0, 0.99)
    joint: bool = False

    def recipe(self) -> dict[str, Any]:
        """Return the fields of a `TrainConfig` that the preset alone decides."""
        names = ("generator", "discriminator", "decay_start", "ema_decay", "loss", "adam_betas", "joint")
        return {name: getattr(self, name) for name in names}


PRESETS: dict[str, Preset] = {
    "fast": Preset(
        summary="1.9M multiply-adds an image; the default",
        generator=GeneratorConfig(hidden_units=512, channels_7=32, blocks_7=0, channels_14=16),
        discriminator=DiscriminatorConfig(channels=(48, 96, 192), blocks_14=0, blocks_7=0, hidden_units=256),
        learning_rate=1e-3,
        gamma=0.3,
        epochs=52,
    ),
    "best": Preset(
        summary="9M multiply-adds an image; quality first",
        generator=GeneratorConfig(hidden_units=512, channels_7=64, blocks_7=1, channels_14=32, blocks_14=0),
        discriminator=DiscriminatorConfig(channels=(64, 128, 256), blocks_14=0, blocks_7=0, hidden_units=384),
        learning_rate=1e-3,
        gamma=0.3,
        epochs=52,
    ),
    "tiny": Preset(
        summary="0.1M multiply-adds an image; for tests and first looks",
        generator=GeneratorConfig(
            latent_dim=16, label_dim=8, hidden_units=32, channels_7=8, blocks_7=0, channels_14=4
        ),
        discriminator=DiscriminatorConfig(channels=(8, 16, 32), blocks_14=0, blocks_7=0, hidden_units=32),
        batch_size=64,
        learning_rate=1e-3,
    ),
    "tutorial": Preset(
        summary="52M multiply-adds an image; the DCGAN tutorial's recipe, the baseline",
        generator=TutorialGeneratorConfig(kind="tutorial"),
        discriminator=TutorialDiscriminatorConfig(kind="tutorial"),
        batch_size=256,
        learning_rate=1e-4,
        gamma=0.0,
        epochs=50,
        decay_start=1.0,
        ema_decay=0.0,
        loss="cross_entropy",
        adam_betas=(0.9, 0.999),
        joint=True,
    ),
}


def find_preset(name: str) -> Preset:
    """Return the preset of that name.

    Raises:
        SpecError: there is none; the message lists those there are.
    """
    try:
        return PRESETS[name]
    except KeyError:
        raise SpecError(f"--preset: there is no '{name}'; choose {', '.join(PRESETS)}") from None
