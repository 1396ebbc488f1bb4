"""Does augmentation with synthetic digits help a classifier? Accuracy on real digits, arm by arm and size by size.

    python benchmarks/augmentation.py [--dataset mnist.npz] [--out runs/augmentation] [--sizes 10,50,...]
        [--seeds 0,1,2] [--arms real,affine,...] [--classifier-steps N] [--generator-steps 1000] [--preset fast]
        [--threads N] [--draw]

A run is one arm on N real digits with one seed. The seed chooses the digits (as `gangen train --limit N --seed
SEED` does), the classifier's first weights and the order. The arms of a size train the same network, the CAS
classifier, for the same steps of 128 digits: as many as the CAS takes for N digits, unless --classifier-steps says
otherwise. Synthetic digits are half of each batch where there are any, and none is seen twice. Affine is Keras'
random rotation (10 degrees), shift and zoom (a tenth), over the whole batch. The generator of an arm "own" is trained
by the product's own loop on those same N digits and no others; where they are all of MNIST it is the one that
ships, and "own" is "shipped".

OUT/results.jsonl gets a line a run, OUT/generators a folder a generator. The same command does only what is missing,
after a Ctrl-C too. It ends with a table and OUT/accuracy.svg of the runs it was asked for; --draw does that alone.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from augmentation_chart import draw_chart, draw_table

from ganmodel.cas import BATCH_SIZE, PEAK_LEARNING_RATE, cas_steps
from ganmodel.data import TrainingSet, load_test_set, load_training_set, stratified_subset
from ganmodel.device import choose_precision, configure_tensorflow, cpu_flags, device_facts
from ganmodel.labels import parse_labels
from ganmodel.latents import BLOCK_ROWS
from ganmodel.model_dir import PRETRAINED, read_model
from ganmodel.presets import find_preset
from ganmodel.weights import replace_on_success
from jobs.specs import TrainSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PARTS = ("generator", "drawing", "classifier")
"""What a run's CPU seconds are counted for, in this order; what was trained or drawn before is not counted again."""


@dataclass(frozen=True, slots=True)
class Arm:
    """What a batch is made of: the generator of its synthetic half, if any, and whether it is distorted."""

    generator: str | None
    affine: bool


ARMS = {
    "real": Arm(None, affine=False),
    "affine": Arm(None, affine=True),
    "own": Arm("own", affine=False),
    "own+affine": Arm("own", affine=True),
    "shipped": Arm("shipped", affine=False),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One training of the classifier; what its accuracy depends on."""

    dataset: str
    size: int
    arm: str
    seed: int
    classifier_steps: int
    generator_steps: int | None
    preset: str | None


class Results:
    """The runs that are done, a JSON line each."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lines: list[dict[str, Any]] = []
        if path.is_file():
            self._lines = [json.loads(line) for line in path.read_text().splitlines()]

    def find(self, run: Run) -> dict[str, Any] | None:
        """Return the line of a run; None where it is missing."""
        return next((line for line in self._lines if line["run"] == asdict(run)), None)

    def add(self, run: Run, **found: Any) -> None:
        """Write a run's line; a kill leaves the file as it was before."""
        self._lines.append({"run": asdict(run), **found})
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with replace_on_success(self._path) as temporary:
            temporary.write_text("".join(json.dumps(line) + "\n" for line in self._lines))


def planned_runs(options: argparse.Namespace) -> Iterator[Run]:
    """Return the runs in the order they are done: a seed after the other, sizes from small to large."""
    sizes = sorted({int(size) for size in options.sizes.split(",")})
    for seed in map(int, options.seeds.split(",")):
        for size in sizes:
            for arm in options.arms.split(","):
                own = ARMS[arm].generator == "own"
                yield Run(
                    dataset=Path(options.dataset).stem,
                    size=size,
                    arm=arm,
                    seed=seed,
                    classifier_steps=options.classifier_steps or cas_steps(size),
                    generator_steps=options.generator_steps if own else None,
                    preset=options.preset if own else None,
                )


def own_generator(run: Run, real: TrainingSet, options: argparse.Namespace) -> str:
    """Return the model trained on these digits alone, after training it where it is missing."""
    from ganmodel.trainer import TrainOptions, run_training

    if read_model(PRETRAINED).training["config"]["dataset_digest"] == real.digest():
        return PRETRAINED
    name = f"{run.dataset}-{run.preset}-{run.size}-seed-{run.seed}-steps-{run.generator_steps}"
    folder = options.out / "generators" / name
    if (folder / "model.json").is_file():
        return str(folder)
    preset = find_preset(options.preset)
    spec = TrainSpec(
        source=options.dataset,
        model_dir=str(folder),
        preset=options.preset,
        limit=run.size,
        steps=options.generator_steps,
        batch_size=preset.batch_size,
        learning_rate=preset.learning_rate,
        gamma=preset.gamma,
        seed=run.seed,
    )
    precision = choose_precision(has_gpu=False, flags=cpu_flags())
    train_options = TrainOptions(model_dir=folder, checkpoint_every_steps=250, use_gpus=False)
    run_training(spec.resolved(real, precision), real, train_options)
    return str(folder)


@lru_cache(maxsize=2)
def synthetic_set(model: str, seed: int, steps: int) -> TrainingSet:
    """Return the first digits of a model's data set of that seed, balanced, as many as half of each batch takes."""
    from ganmodel.sampler import Sampler

    sampler, rule = Sampler(model, use_gpus=False), parse_labels("balanced")
    blocks = [sampler.draw(seed, block, rule) for block in range(-(-steps * BATCH_SIZE // 2 // BLOCK_ROWS))]
    images, labels = (np.concatenate(part) for part in zip(*blocks, strict=True))
    return TrainingSet(name="synthetic", images=images, labels=labels)


def affine_layers(seed: int) -> Any:
    """Return Keras' random rotation, shift and zoom of images [B, 28, 28, 1] in [-1, 1], black around."""
    import keras

    around = {"fill_mode": "constant", "fill_value": -1.0, "dtype": "float32"}
    return keras.Sequential(
        [
            keras.layers.RandomRotation(10 / 360, seed=3 * seed, **around),
            keras.layers.RandomTranslation(0.1, 0.1, seed=3 * seed + 1, **around),
            keras.layers.RandomZoom(0.1, seed=3 * seed + 2, **around),
        ]
    )


def batches(
    real: TrainingSet, synthetic: TrainingSet | None, *, affine: bool, seed: int
) -> Callable[[Any], tuple[Any, Any]]:
    """Return an arm's batch as a function of the step: images [128, 28, 28, 1] in [-1, 1] and labels [128]."""
    import tensorflow as tf

    from ganmodel.data import BatchSource

    sets = [real] if synthetic is None else [real, synthetic]
    sources = [BatchSource(part, global_batch=BATCH_SIZE // len(sets), seed=seed) for part in sets]
    distort = affine_layers(seed) if affine else None

    def batch_of(step: Any) -> tuple[Any, Any]:
        parts = [source.slice(step, tf.constant(0), 1) for source in sources]
        image_BHWC, label_B = (tf.concat(part, axis=0) for part in zip(*parts, strict=True))
        return (distort(image_BHWC, training=True) if distort else image_BHWC), label_B

    return batch_of


def carry_out(run: Run, whole: TrainingSet, test: TrainingSet, options: argparse.Namespace) -> dict[str, Any]:
    """Train the classifier of a run and return its accuracy on the test split, with what it took."""
    from ganmodel.classifiers import build_cas_network, predict, train_on_batches

    arm, clock = ARMS[run.arm], [time.process_time()]
    real = stratified_subset(whole, run.size, run.seed)
    model = own_generator(run, real, options) if arm.generator == "own" else PRETRAINED
    clock.append(time.process_time())
    synthetic = synthetic_set(model, run.seed, run.classifier_steps) if arm.generator else None
    clock.append(time.process_time())
    network = build_cas_network(run.seed)
    batch_of = batches(real, synthetic, affine=arm.affine, seed=run.seed)
    train_on_batches(network, batch_of, steps=run.classifier_steps, peak=PEAK_LEARNING_RATE)
    clock.append(time.process_time())
    (logits,) = predict(network, test.images)
    return {
        "accuracy": float(np.mean(logits.argmax(axis=1) == test.labels)),
        **{f"{name}_cpu_s": round(clock[i + 1] - clock[i], 1) for i, name in enumerate(PARTS)},
        "generator": read_model(model).digest if arm.generator else None,
    }


def accuracies(lines: list[dict[str, Any]]) -> dict[str, dict[int, list[float]]]:
    """Return the accuracies over seeds, by arm and size."""
    found: dict[str, dict[int, list[float]]] = {arm: defaultdict(list) for arm in ARMS}
    for line in lines:
        found[line["run"]["arm"]][line["run"]["size"]].append(line["accuracy"])
    return found


def carry_out_missing(runs: list[Run], results: Results, options: argparse.Namespace) -> None:
    """Carry out the runs that have no line yet."""
    missing = [run for run in runs if results.find(run) is None]
    if not missing:
        return
    configure_tensorflow(threads=options.threads, use_gpus=False)
    whole, test = load_training_set(options.dataset), load_test_set(options.dataset)
    for number, run in enumerate(missing, 1):
        found = carry_out(run, whole, test, options)
        results.add(run, **found, device=device_facts())
        took = sum(found[f"{name}_cpu_s"] for name in PARTS)
        print(
            f"[{number}/{len(missing)}] {run.size:>6,} {run.arm:10} seed {run.seed}: {found['accuracy']:.4f}  "
            f"({took:.0f} s of CPU)",
            flush=True,
        )


def main() -> None:
    """Do what is missing, then print the table and draw the chart."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dataset", default="mnist")
    parser.add_argument("--out", type=Path, default=Path("runs/augmentation"))
    parser.add_argument("--sizes", default="10,50,100,500,1000,5000,60000")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--arms", default=",".join(ARMS))
    parser.add_argument("--classifier-steps", type=int)
    parser.add_argument("--generator-steps", type=int, default=1000)
    parser.add_argument("--preset", default="fast")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--draw", action="store_true")
    options = parser.parse_args()
    runs, results = list(planned_runs(options)), Results(options.out / "results.jsonl")
    if not options.draw:
        carry_out_missing(runs, results, options)
    done = accuracies([line for run in runs if (line := results.find(run))])
    print(draw_table(done))
    (options.out / "accuracy.svg").write_text(draw_chart(done))


if __name__ == "__main__":
    main()
