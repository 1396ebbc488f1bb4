"""What a user asks for, as frozen, validated values: the only thing that crosses the network.

Nothing here loads TensorFlow or Ray; a spec that exists can be run.
"""

from __future__ import annotations

import hashlib
import re
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from ganmodel.config import FrozenModel, Precision, TrainConfig
from ganmodel.data import NUM_CLASSES, stratified_subset
from ganmodel.errors import SpecError
from ganmodel.evaluation import MIN_SAMPLES
from ganmodel.presets import find_preset
from jobs.dataset_spec import MAX_COUNT, DatasetSpec
from jobs.inputs import load_training_set

if TYPE_CHECKING:
    from ganmodel.data import TrainingSet

MAX_STEPS = 100_000_000
DEFAULT_SAMPLES = 10_000
"""Digits an evaluation judges: as many as MNIST's test split has."""

MAX_SAMPLES = 1_000_000
"""More take hours of pairwise distances."""

_SUFFIXES = {"k": 10**3, "m": 10**6, "b": 10**9, "t": 10**12}


def parse_count(text: str, option: str = "--count", limit: int = MAX_COUNT) -> int:
    """Return the whole number that `text` stands for: `1000`, `1_000_000`, `1e6`, `1M`, `2.5k`.

    Raises:
        SpecError: it is no number, no whole number, or outside 1 to `limit`.
    """
    match = re.fullmatch(r"([0-9][0-9_]*(?:\.[0-9]+)?(?:e\+?[0-9]{1,3})?)([kmbt]?)", text.strip().lower())
    if match is None:
        raise SpecError(f"{option}: '{text}' is no number; write 1000, 1_000_000, 1e6 or 1M")
    value = Decimal(match[1].replace("_", "")) * _SUFFIXES.get(match[2], 1)
    if not 1 <= value <= limit or value != value.to_integral_value():
        raise SpecError(f"{option}: must be a whole number from 1 to {limit:,}, got {text}")
    return int(value)


def default_shard_rows(count: int) -> int:
    """Return rows a shard that give some 20 shards to small data sets and at most 10,000 to large ones."""
    ladder = ((200_000, 10_000), (10**6, 50_000), (10**9, 100_000), (10**10, 10**6), (10**11, 10**7))
    return next((rows for limit, rows in ladder if count <= limit), 10**8)


class Placement(FrozenModel):
    """Who does a job, and on what: no part of what comes out of it.

    Attributes:
        workers: how many; None takes what the cluster has room for, and follows it as nodes come and go.
        cpus: cores of a worker. None: one; for a generation on GPUs its share of the node's, which encode.
        gpus: GPUs of a worker, for a generation maybe a fraction. None takes GPUs where there are any.
        resources: (name, amount) of what else Ray must have for each worker on its node.
    """

    workers: Annotated[int, Field(ge=1, le=100_000)] | None = None
    cpus: Annotated[float, Field(gt=0, le=1024)] | None = None
    gpus: Annotated[float, Field(ge=0, le=64)] | None = None
    resources: tuple[tuple[str, float], ...] = ()


class GenerateSpec(FrozenModel):
    """A generation job: a data set, where it goes, and who makes it.

    Attributes:
        dataset: what is made.
        model: folder or URL of the model, or `pretrained`.
        out: folder of the data set, an absolute path, or its URL.
        placement: who makes it.
        labels_file: the file that `dataset.label_parts` were read from, an absolute path; None for a rule.
        repair: whether what is committed is read and checked in full first, and damaged shards made again.
    """

    dataset: DatasetSpec
    model: str
    out: str
    placement: Placement = Placement()
    labels_file: str | None = None
    repair: bool = False


class TrainSpec(FrozenModel):
    """A training job: what is trained, from which data, where it goes, and who does it.

    Attributes:
        source: of the training set, see `jobs.inputs.load_training_set`.
        model_dir: folder of the model, an absolute path.
        preset: a row of `ganmodel.presets`.
        limit: images to train on, see `ganmodel.data.stratified_subset`; None for all.
        steps: optimizer steps; None when `epochs` says how long.
        epochs: passes over the data, turned into steps where the data's size is known.
        batch_size: images per step over all replicas.
        learning_rate: Adam's.
        gamma: weight of the gradient penalties.
        seed: of weights, data order and latents, and of which images `limit` keeps.
        precision: Keras dtype policy; None lets the device decide.
        strategy: of `tf.distribute`; `auto` takes several workers, all local GPUs, or one device.
        placement: Ray workers, spread over the nodes; at least one, each with whole GPUs.
        resume: see `ganmodel.trainer.TrainOptions`.
        checkpoint_every_steps: see there.
        max_failures: how often a group that has lost a worker begins again at its last checkpoint; see
            `jobs.setbacks` for what counts.
    """

    source: str
    model_dir: str
    preset: str
    limit: Annotated[int, Field(ge=NUM_CLASSES)] | None = None
    steps: Annotated[int, Field(ge=1, le=MAX_STEPS)] | None = None
    epochs: Annotated[float, Field(gt=0, le=1e6)] | None = None
    batch_size: Annotated[int, Field(ge=1, le=65_536)]
    learning_rate: Annotated[float, Field(gt=0, le=1)]
    gamma: Annotated[float, Field(ge=0, le=1000)]
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    precision: Precision | None = None
    strategy: Literal["auto", "one-device", "mirrored", "multi-worker"] = "auto"
    placement: Placement = Placement(workers=1)
    resume: Literal["auto", "require", "fresh"] = "auto"
    checkpoint_every_steps: Annotated[int, Field(ge=1)] = 500
    max_failures: Annotated[int, Field(ge=0, le=1000)] = 3

    @property
    def workers(self) -> int:
        """How many workers train."""
        return self.placement.workers or 1

    def job_id(self) -> str:
        """Return the id of the Ray job that carries it out: equal specs make one."""
        return f"gangen-train-{hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:16]}"

    def training_set(self) -> TrainingSet:
        """Load what is trained on.

        Raises:
            DataError: see `jobs.inputs.load_training_set` and `stratified_subset`.
        """
        whole = load_training_set(self.source)
        return whole if self.limit is None else stratified_subset(whole, self.limit, self.seed)

    def planned_steps(self, num_images: int) -> int:
        """Return the optimizer steps for a training set of `num_images`."""
        if self.steps is not None:
            return self.steps
        epochs = self.epochs if self.epochs is not None else find_preset(self.preset).epochs
        steps = max(1, round(epochs * num_images / self.batch_size))
        if steps > MAX_STEPS:
            raise SpecError(f"--epochs {epochs:g}: gives {steps:,} steps, the limit is {MAX_STEPS:,}")
        return steps

    def resolved(self, training_set: TrainingSet, precision: Precision) -> TrainConfig:
        """Return the configuration once the data and the device are known."""
        preset = find_preset(self.preset)
        return TrainConfig(
            preset=self.preset,
            dataset=training_set.name,
            dataset_digest=training_set.digest(),
            steps=self.planned_steps(len(training_set.labels)),
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            gamma=self.gamma,
            seed=self.seed,
            precision=self.precision or precision,
            limit=self.limit,
            **preset.recipe(),
        )


class SubjectSpec(FrozenModel):
    """What an evaluation judges: a generator, or a finished data set.

    Attributes:
        kind: `model` or `data`.
        path: folder, absolute, or a URL, or `pretrained`.
        name: of the model, or TFDS' name of the data set.
        digest: of the model, or of the data set's rows; what is judged must still have it.
        model_digest: of the generator that draws or drew the digits.
        labels: the label rule the digits follow.
        seed: of latents and labels.
        truncation: psi in (0, 1].
        rows: of the data set; None for a model, which has as many as are asked for.
        trained_on: digest of the generator's training set; None where nobody wrote it down.
    """

    kind: Literal["model", "data"]
    path: str
    name: str
    digest: str
    model_digest: str
    labels: str = "0,1,2,3,4,5,6,7,8,9"
    seed: Annotated[int, Field(ge=0, lt=2**63)]
    truncation: Annotated[float, Field(gt=0, le=1)]
    rows: Annotated[int, Field(ge=1)] | None = None
    trained_on: str | None = None


class EvaluateSpec(FrozenModel):
    """An evaluation job.

    Attributes:
        subject: what is judged.
        source: of the real digits, see `jobs.inputs.load_training_set`.
        source_sha256: of their file, where there is one and it can be seen from where the job was asked for.
        samples: digits of the subject; None takes `DEFAULT_SAMPLES`, or fewer where there are fewer; and for CAS as
            many as there are real ones.
        metrics: groups of figures, see `ganmodel.evaluation.METRICS`.
    """

    subject: SubjectSpec
    source: str
    source_sha256: str | None = None
    samples: Annotated[int, Field(ge=MIN_SAMPLES, le=MAX_SAMPLES)] | None = None
    metrics: tuple[Literal["fid", "cas", "prdc", "label", "nn"], ...]

    def num_samples(self, train_rows: int) -> int:
        """Return how many digits of the subject are judged, CAS apart.

        Args:
            train_rows: images of the real training split. As many of them are put in the subject's place for the
                floor, so no more digits can be judged.

        Raises:
            SpecError: more were asked for than there are.
        """
        most = min(train_rows, self.subject.rows or train_rows)
        if self.metrics == ("cas",):
            return min(self.num_cas_samples(train_rows), most)
        if self.samples is not None and self.samples > most:
            whose = "the training split" if most == train_rows else f"--data {self.subject.path}"
            raise SpecError(f"--samples: at most the {most:,} of {whose}, got {self.samples:,}")
        return min(self.samples or DEFAULT_SAMPLES, most)

    def num_cas_samples(self, train_rows: int) -> int:
        """Return how many digits of the subject the CAS classifier is trained on.

        As many as there are real ones, so that only their quality differs; asked for alone, as many as `samples`.

        Args:
            train_rows: images of the real training split.

        Raises:
            SpecError: more were asked for than there are.
        """
        most = self.subject.rows or MAX_SAMPLES
        if self.metrics != ("cas",) or self.samples is None:
            return min(train_rows, most)
        if self.samples > most:
            raise SpecError(
                f"--samples: at most the {most:,} of --data {self.subject.path}, got {self.samples:,}"
            )
        return self.samples


class ExtractorsSpec(FrozenModel):
    """A job that trains the classifiers whose features an evaluation uses.

    Attributes:
        source: of the training set, see `jobs.inputs.load_training_set`.
        out: folder they are written to, an absolute path.
    """

    source: str
    out: str
