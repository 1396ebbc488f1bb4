"""The presets of `gangen train --preset`, one readable row each.

`fast` is the default: the quickest sampler that is good enough to ship. `best` spends about seven
times the work an image. `tiny` is for tests and first looks, not for data.
"""

from __future__ import annotations

from dataclasses import dataclass

from ganmodel.config import DiscriminatorConfig, GeneratorConfig
from ganmodel.errors import SpecError


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """Network shapes and the recipe that trains them.

    Attributes:
        summary: one line for the help text.
        generator: see `GeneratorConfig`.
        discriminator: see `DiscriminatorConfig`; as many parameters as the generator to within 5 %, or more: modes
            go missing when it is a quarter of it (PacGAN, arXiv:1712.04086, table 2).
        batch_size: images per step.
        learning_rate: Adam's.
        gamma: weight of R1 and R2.
        epochs: passes over the training set when neither --steps nor --epochs is given.
    """

    summary: str
    generator: GeneratorConfig
    discriminator: DiscriminatorConfig
    batch_size: int = 128
    learning_rate: float = 4e-4
    gamma: float = 1.0
    epochs: int = 20


PRESETS: dict[str, Preset] = {
    "fast": Preset(
        summary="2.3M multiply-adds an image; the default",
        generator=GeneratorConfig(),
        discriminator=DiscriminatorConfig(),
    ),
    "best": Preset(
        summary="16M multiply-adds an image; quality first",
        generator=GeneratorConfig(channels_7=64, blocks_7=2, channels_14=32, blocks_14=1),
        discriminator=DiscriminatorConfig(channels=(48, 96, 192), hidden_units=256),
    ),
    "tiny": Preset(
        summary="0.1M multiply-adds an image; for tests and first looks",
        generator=GeneratorConfig(
            latent_dim=16, label_dim=8, hidden_units=32, channels_7=8, blocks_7=0, channels_14=4
        ),
        discriminator=DiscriminatorConfig(channels=(8, 16, 32), blocks=0, hidden_units=32),
        batch_size=64,
        learning_rate=1e-3,
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
