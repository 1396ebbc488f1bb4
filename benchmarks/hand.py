"""Is it one hand? How far the digits of one latent vector agree in slant, stroke width and size, over the ten labels.

    python benchmarks/hand.py [--model pretrained] [--hands 500] [--seed 0] [--json FILE] [--picture FILE.png]

Each property is standardised within its label (a 1 is narrower than a 0 in any hand), then correlated between every
two labels over the hands: the mean of the 45 correlations is what one hand keeps from label to label, 0 for no hand at
all and 1 for the same value in all ten. Shuffled, each label's hands stand in an order of their own: what chance gives.
Told apart is how often a digit lies nearer to another label of its own hand than to the same label of another hand;
half is chance.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ganmodel.brush import Brush
from ganmodel.device import device_facts
from ganmodel.hands import row_hand
from ganmodel.ink import stroke_width
from ganmodel.png import encode_png, tile

if TYPE_CHECKING:
    from numpy.typing import NDArray

PROPERTIES = ("slant", "stroke width", "size", "ink")
PAIRS = 2000


def properties(image: NDArray[np.uint8]) -> tuple[float, ...]:
    """Return slant (columns a row, to the right going up), stroke width, size and ink of a digit [28, 28] uint8.

    By image moments: slant is -mu11 / mu02, size the square root of mu20 + mu02, in pixels; ink is the mean density.
    """
    density = image.astype(np.float64) / 255
    mass = max(density.sum(), 1e-9)
    y, x = np.mgrid[: image.shape[0], : image.shape[1]]
    x = x - (density * x).sum() / mass
    y = y - (density * y).sum() / mass
    mu11, mu20, mu02 = ((density * product).sum() / mass for product in (x * y, x * x, y * y))
    return -mu11 / max(mu02, 1e-9), stroke_width(image), float(np.sqrt(mu20 + mu02)), float(density.mean())


def agreement(scores: NDArray[np.float64]) -> float:
    """Return the mean correlation between two labels; scores is [hands, K], standardised within each label."""
    correlations = np.corrcoef(scores.T)
    return float(correlations[np.triu_indices(len(correlations), 1)].mean())


def told_apart(scores: NDArray[np.float64], rng: np.random.Generator) -> float:
    """Return how often a digit lies nearer to another label of its hand than to one of another hand.

    Args:
        scores: [hands, K, P], standardised within each label.
        rng: draws the threes.
    """
    hands, labels, _ = scores.shape
    a, b, k = rng.integers(0, hands, PAIRS), rng.integers(1, hands, PAIRS), np.arange(PAIRS) % labels
    m = (k + rng.integers(1, labels, PAIRS)) % labels
    here = np.abs(scores[a, k] - scores[a, m]).sum(axis=-1)
    there = np.abs(scores[a, k] - scores[(a + b) % hands, m]).sum(axis=-1)
    return float((here < there).mean() + (here == there).mean() / 2)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="pretrained")
    parser.add_argument("--hands", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--picture", type=Path, help="the first eight hands, one a line")
    options = parser.parse_args()
    brush = Brush(options.model)
    shape = brush.info.generator
    hands = np.stack([row_hand(options.seed, row, shape.latent_dim) for row in range(options.hands)])
    labels = np.tile(np.arange(shape.num_classes), options.hands)
    images = brush.draw(hands.repeat(shape.num_classes, axis=0), brush.mixes(labels))
    values = np.array([properties(image) for image in images]).reshape(options.hands, shape.num_classes, -1)
    scores = (values - values.mean(axis=0)) / values.std(axis=0)
    rng = np.random.default_rng(options.seed)
    shuffled = np.stack([rng.permutation(scores[:, k]) for k in range(shape.num_classes)], axis=1)
    report = {
        name: {
            "one_hand": agreement(scores[..., i]),
            "shuffled": agreement(shuffled[..., i]),
            "told_apart": told_apart(scores[..., [i]], rng),
        }
        for i, name in enumerate(PROPERTIES)
    }
    report["slant, width and size"] = {
        "one_hand": float(np.mean([report[name]["one_hand"] for name in PROPERTIES[:3]])),
        "shuffled": float(np.mean([report[name]["shuffled"] for name in PROPERTIES[:3]])),
        "told_apart": told_apart(scores[..., :3], rng),
    }
    print(f"{options.hands} hands of {options.model}, {shape.num_classes} labels")
    print(f"{'':24} {'one hand':>10} {'shuffled':>10} {'told apart':>11}")
    for name, row in report.items():
        print(f"{name:24} {row['one_hand']:>10.2f} {row['shuffled']:>10.2f} {row['told_apart']:>11.1%}")
    if options.picture:
        sheet = tile(images[: 8 * shape.num_classes], shape.num_classes).repeat(2, axis=0).repeat(2, axis=1)
        options.picture.write_bytes(encode_png(sheet))
    if options.json:
        facts = {"machine": device_facts(), "hands": options.hands, "digest": brush.info.digest}
        options.json.write_text(json.dumps({**facts, "properties": report}, indent=1) + "\n")


if __name__ == "__main__":
    main()
