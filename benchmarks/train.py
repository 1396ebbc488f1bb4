"""How fast networks are trained: our loop against one as TensorFlow's DCGAN tutorial writes it.

    python -m benchmarks.train [--presets tutorial,fast] [--steps 10] [--rounds 5] [--batch-size 128]
        [--dataset digits] [--json FILE]

Both loops train the networks of a preset by its losses and penalties, on the same batch size. The tutorial's loop
(benchmarks/peers/tutorial_training.py) is a `tf.data` pipeline of float32 images and one compiled step with a gradient
tape a network, in float32. Ours is `ganmodel.steps`, in float32 and in the precision `gangen train` would choose here.
Loops take turns within each round; figures are medians over rounds, ratios medians of each round's own. Machines drift,
so compare within one run.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganmodel.config import TrainConfig
from ganmodel.data import BatchSource, TrainingSet, load_training_set
from ganmodel.device import choose_precision, configure_tensorflow, cpu_flags, device_facts
from ganmodel.presets import find_preset

if TYPE_CHECKING:
    from collections.abc import Callable

TUTORIAL = "tutorial's loop, float32"
WARM_UP_STEPS = 3


def our_loop(config: TrainConfig, training_set: TrainingSet) -> Callable[[int], None]:
    """Return a function that takes so many steps of ours and waits for the last."""
    import tensorflow as tf

    from ganmodel.steps import TrainStep, build_networks

    strategy = tf.distribute.OneDeviceStrategy(
        "/gpu:0" if tf.config.list_logical_devices("GPU") else "/cpu:0"
    )
    with strategy.scope():
        networks = build_networks(config)
    batches = BatchSource(training_set, global_batch=config.batch_size, seed=config.seed)
    take_step = TrainStep(config, networks, batches, strategy)
    taken = 0

    def run(steps: int) -> None:
        nonlocal taken
        for _ in range(steps):
            metrics, _ = take_step(taken)
            taken += 1
        metrics.numpy()

    return run


def configuration(
    name: str, training_set: TrainingSet, batch_size: int | None, precision: str
) -> TrainConfig:
    """Return a run of a preset; its length is of no account here."""
    preset = find_preset(name)
    return TrainConfig(
        preset=name,
        dataset=training_set.name,
        dataset_digest=training_set.digest(),
        steps=10**6,
        batch_size=batch_size or preset.batch_size,
        learning_rate=preset.learning_rate,
        gamma=preset.gamma,
        seed=0,
        precision=precision,
        **preset.recipe(),
    )


def measure(loops: dict[str, Any], batch_size: int, steps: int, rounds: int) -> dict[str, Any]:
    """Return images/s of each loop, by turns, and how many times as fast as the tutorial's it is."""
    rates: dict[str, list[float]] = {name: [] for name in loops}
    for run in loops.values():
        run(WARM_UP_STEPS)
    for _ in range(rounds):
        for name, run in loops.items():
            began = time.perf_counter()
            run(steps)
            rates[name].append(steps * batch_size / (time.perf_counter() - began))
    found = {}
    for name, all_rates in rates.items():
        ratios = [mine / theirs for mine, theirs in zip(all_rates, rates[TUTORIAL], strict=True)]
        found[name] = {
            "images_per_s": statistics.median(all_rates),
            "times_the_tutorial": statistics.median(ratios),
            "all": all_rates,
        }
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--presets", default="tutorial,fast")
    parser.add_argument("--dataset", default="digits")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch-size", type=int, help="default: the preset's")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    tf = configure_tensorflow()
    from benchmarks.peers.tutorial_training import training_loop

    training_set = load_training_set(options.dataset)
    chosen = choose_precision(has_gpu=bool(tf.config.list_physical_devices("GPU")), flags=cpu_flags())
    report: dict[str, Any] = {"machine": device_facts(), "precision": chosen, "presets": {}}
    for name in options.presets.split(","):
        loops: dict[str, Any] = {}
        for precision in dict.fromkeys(["float32", chosen]):
            config = configuration(name, training_set, options.batch_size, precision)
            if not loops:
                loops[TUTORIAL] = training_loop(config, training_set)
            loops[f"ours, {precision}"] = our_loop(config, training_set)
        found = measure(loops, config.batch_size, options.steps, options.rounds)
        report["presets"][name] = {"batch_size": config.batch_size, "loops": found}
        for loop, figures in found.items():
            print(
                f"{name:10} {loop:26} {figures['images_per_s']:>8,.0f} images/s, "
                f"{figures['times_the_tutorial']:.2f} times the tutorial's"
            )
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
