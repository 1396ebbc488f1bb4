"""From what `gangen generate` was asked for to a spec: every check that needs neither TensorFlow nor Ray."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, cast, get_args

from ganmodel.config import DrawPrecision
from ganmodel.errors import CommitConflict, SpecError
from ganmodel.label_file import PREFIX, LabelPart, label_parts
from ganmodel.labels import parse_labels
from ganmodel.latents import BLOCK_ROWS
from jobs.capacity import check_file_sizes
from jobs.checks import absolute, absolute_place, checked_model, in_range, one_of
from jobs.dataset_spec import LABELS_FROM_FILE, SHARE_SCALE, WHOLE, DatasetSpec, FormatName
from jobs.plan import Plan
from jobs.plan_files import changed_fields, latest_spec
from jobs.specs import GenerateSpec, default_shard_rows, parse_count
from jobs.storage import open_storage

if TYPE_CHECKING:
    from ganmodel.model_dir import ModelInfo
    from jobs.specs import Placement

_SPLIT_NAME = re.compile(r"[a-zA-Z]\w{0,31}", re.ASCII)

_RESERVED_SPLITS = ("all", "t10k")
"""What loaders mean by every row, and IDX by the split `test`."""


def generate_spec(
    *,
    count: str,
    out: str | None,
    model: str,
    formats: str,
    shard_rows: str | None,
    labels: str,
    seed: int,
    truncation: float,
    precision: str,
    image_encoding: str,
    splits: str | None,
    extend: bool,
    repair: bool,
    placement: Placement,
) -> GenerateSpec:
    """Return the job that `gangen generate` was asked for; see its help for the arguments.

    Raises:
        SpecError: something cannot be done as asked.
        ModelError: the model is missing or damaged.
        CommitConflict: what is to be extended cannot be read.
    """
    rows = parse_count(count)
    in_range("--truncation", truncation, 0, 1)
    one_of("--precision", precision, get_args(DrawPrecision))
    one_of("--image-encoding", image_encoding, ("png", "raw"))
    model_place, info = checked_model(model)
    old = _extended_spec(out, rows) if extend else None
    file = absolute(labels[len(PREFIX) :], "--labels") if labels.startswith(PREFIX) else None
    extended_at = _extended_at(old, rows)
    dataset = DatasetSpec(
        name=f"gangen_{info.name}",
        model_digest=info.digest,
        class_names=info.class_names,
        seed=seed,
        labels=LABELS_FROM_FILE if file else str(parse_labels(labels, len(info.class_names))),
        truncation=truncation,
        count=rows,
        shard_rows=_shard_rows(shard_rows, rows, old),
        formats=parse_formats(formats, "--format"),
        precision=precision,  # type: ignore[arg-type]
        image_encoding=image_encoding,  # type: ignore[arg-type]
        splits=parse_splits(splits) if splits else WHOLE,
        extended_at=extended_at,
        label_parts=_label_parts(file, info, (*extended_at, rows)),
    )
    if old is not None:
        _check_extension(old, dataset, str(out))
    plan = Plan(dataset)
    place = absolute_place(out or f"data/{dataset.name}-{rows}-{plan.digest[:8]}", "--out")
    check_file_sizes(open_storage(place), plan, "--shard-rows")
    return GenerateSpec(
        dataset=dataset,
        model=model_place,
        out=place,
        placement=placement,
        labels_file=file,
        repair=repair,
    )


def parse_formats(text: str, option: str) -> tuple[FormatName, ...]:
    """Return the formats that are named with commas, in the order in which they are written.

    Raises:
        SpecError: one is unknown, or named twice.
    """
    chosen = [name.strip().lower() for name in text.split(",")]
    for name in chosen:
        one_of(option, name, get_args(FormatName))
    if len(set(chosen)) < len(chosen):
        raise SpecError(f"{option}: a format is named twice in '{text}'")
    return cast("tuple[FormatName, ...]", tuple(sorted(chosen)))


def parse_splits(text: str) -> tuple[tuple[str, int], ...]:
    """Return (name, share in millionths) of splits written as `train=0.9,test=0.1`; shares need not sum to one.

    Raises:
        SpecError: they cannot be read, or readers would mistake one for another.
    """
    pairs = [part.strip().partition("=") for part in text.split(",")]
    try:
        shares = [float(share) for _, _, share in pairs]
    except ValueError:
        raise SpecError(f"--splits: cannot read '{text}'; write shares as in train=0.9,test=0.1") from None
    names = [name.strip() for name, _, _ in pairs]
    odd = [name for name in names if not _SPLIT_NAME.fullmatch(name) or name in _RESERVED_SPLITS]
    if odd:
        raise SpecError(
            f"--splits: '{odd[0]}' is no name for a split; use letters, digits and underscores, and none of "
            f"{', '.join(_RESERVED_SPLITS)}"
        )
    for name in names:
        longer = [other for other in names if other.startswith(name)]
        if len(longer) > 1:
            # TFDS 4.9.10 would count the longer one's files as the shorter one's.
            raise SpecError(f"--splits: no name may begin with another, got '{longer[0]}' and '{longer[1]}'")
    total = sum(shares)
    if not all(0 < share < float("inf") for share in shares) or total <= 0:
        raise SpecError(f"--splits: shares must be positive, got '{text}'")
    ends = [round(sum(shares[: i + 1]) / total * SHARE_SCALE) for i in range(len(shares))]
    millionths = [end - start for start, end in zip([0, *ends], ends, strict=False)]
    if min(millionths) <= 0:
        raise SpecError(f"--splits: the smallest share is one in a million, got less in '{text}'")
    return tuple(zip(names, millionths, strict=True))


def _shard_rows(text: str | None, count: int, old: DatasetSpec | None) -> int:
    if text is None:
        return old.shard_rows if old else default_shard_rows(count)
    shard = parse_count(text, "--shard-rows")
    if shard % BLOCK_ROWS:
        raise SpecError(
            f"--shard-rows: must be whole blocks of {BLOCK_ROWS:,} rows, got {shard:,}; "
            f"use {max(1, round(shard / BLOCK_ROWS)) * BLOCK_ROWS:,}"
        )
    return shard


def _label_parts(file: str | None, info: ModelInfo, ends: tuple[int, ...]) -> tuple[LabelPart, ...]:
    return label_parts(file, len(info.class_names), ends) if file else ()


def _extended_spec(out: str | None, count: int) -> DatasetSpec:
    """Return what there is to extend.

    Raises:
        SpecError: nothing, or nothing that `count` rows would be an extension of.
    """
    if out is None:
        raise SpecError("--extend: needs --out, the folder of the data set that is to grow")
    place = absolute_place(out, "--out")
    old = latest_spec(open_storage(place))
    if old is None:
        raise SpecError(f"--extend: {place} holds no data set; leave --extend away to make one")
    if count < old.count:
        raise SpecError(f"--count: must be above the {old.count:,} rows of {place}, got {count:,}")
    if count > old.count and old.count % BLOCK_ROWS:
        raise SpecError(
            f"--extend: {place} has {old.count:,} rows; only a data set of whole blocks of {BLOCK_ROWS:,} can grow"
        )
    return old


def _extended_at(old: DatasetSpec | None, count: int) -> tuple[int, ...]:
    if old is None:
        return ()
    return old.extended_at if count == old.count else (*old.extended_at, old.count)


def _check_extension(old: DatasetSpec, dataset: DatasetSpec, out: str) -> None:
    """Refuse an extension by other rows, or of rows whose labels the file no longer gives."""
    generation = len(old.extended_at)
    changed = changed_fields(old, dataset.before_extension(generation))
    if changed:
        raise CommitConflict(
            f"--extend: the data set in {out} is another ({'; '.join(changed)}); give the command that made it, with "
            "a larger --count"
        )
