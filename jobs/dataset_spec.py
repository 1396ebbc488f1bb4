"""What a data set is, as a value: its rows, its files and their cut into segments and splits.

A segment is what was made at a time: a data set has one, and one more for each time it was extended. Each segment is
cut into the splits anew, in whole blocks, so that what is there stays where it is.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from ganmodel.config import DrawPrecision, FrozenModel
from ganmodel.label_file import LabelPart
from ganmodel.labels import parse_labels
from ganmodel.latents import BLOCK_ROWS

MAX_COUNT = 10**12

MAX_SHARDS = 99_999
"""Shard names carry five digits, as TFDS and Hugging Face write them."""

SPLIT = "train"
"""The split of a data set that was not asked to be split."""

SHARE_SCALE = 10**6
"""Shares of splits are kept as whole millionths."""

LABELS_FROM_FILE = "file"
"""What stands for the rule where labels were read from a file; `label_parts` says which."""

FormatName = Literal["idx", "parquet", "tfrecord", "webdataset"]

WHOLE: tuple[tuple[str, int], ...] = ((SPLIT, SHARE_SCALE),)
"""The splits of a data set that was not asked to be split."""


class DatasetSpec(FrozenModel):
    """What a data set is. Two specs that are equal describe the same rows in the same files.

    Attributes:
        format_version: of the directory's private files.
        name: TFDS' name of the data set, as in `gangen_mnist`.
        model_digest: of the generator.
        class_names: one name a label.
        seed: of the latents and labels.
        labels: the label rule in canonical form (`ganmodel.labels`), or `file`.
        truncation: psi in (0, 1].
        count: rows.
        shard_rows: rows of a shard, whole blocks; the last shard of a section may be shorter.
        formats: in the order they are written.
        image_encoding: `png`, or `raw` for 784 bytes a row.
        block_rows: rows of a block; a constant that is recorded.
        precision: of the generator's arithmetic.
        splits: (name, share in millionths) in the order of their rows; the shares sum to 1,000,000.
        extended_at: rows the data set had before each extension, ascending whole blocks.
        label_parts: what the labels of each segment are, where they come from a file.
    """

    format_version: Literal[1] = 1
    name: Annotated[str, Field(pattern=r"^[a-zA-Z]\w*$")]
    model_digest: str
    class_names: tuple[str, ...]
    seed: Annotated[int, Field(ge=0, lt=2**63)]
    labels: str
    truncation: Annotated[float, Field(gt=0, le=1)]
    count: Annotated[int, Field(ge=1, le=MAX_COUNT)]
    shard_rows: Annotated[int, Field(ge=BLOCK_ROWS, multiple_of=BLOCK_ROWS)]
    formats: tuple[FormatName, ...]
    image_encoding: Literal["png", "raw"]
    block_rows: Literal[1000] = 1000
    precision: DrawPrecision = "float32"
    splits: Annotated[tuple[tuple[str, int], ...], Field(min_length=1)] = WHOLE
    extended_at: tuple[Annotated[int, Field(ge=BLOCK_ROWS, multiple_of=BLOCK_ROWS)], ...] = ()
    label_parts: tuple[LabelPart, ...] = ()

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        ends = (0, *self.extended_at, self.count)
        if any(first >= end for first, end in pairwise(ends)):
            raise ValueError(f"segments end at {ends[1:]}, which do not ascend")
        if sum(share for _, share in self.splits) != SHARE_SCALE:
            raise ValueError(f"shares of splits do not sum to {SHARE_SCALE}")
        if self.labels == LABELS_FROM_FILE:
            if len(self.label_parts) != len(ends) - 1:
                raise ValueError(f"{len(self.label_parts)} label_parts for {len(ends) - 1} segments")
        elif self.label_parts or str(parse_labels(self.labels, len(self.class_names))) != self.labels:
            raise ValueError(f"labels not in canonical form: {self.labels}")
        return self

    @property
    def segments(self) -> tuple[tuple[int, int], ...]:
        """The (first row, row after the last) of what was made at a time: one, and one more for each extension."""
        return tuple(pairwise((0, *self.extended_at, self.count)))

    def identity(self) -> dict[str, Any]:
        """Return the spec as JSON values, without what a data set in one piece and one split need not say."""
        values = self.model_dump(mode="json")
        optional = {"splits": [list(pair) for pair in WHOLE], "extended_at": [], "label_parts": []}
        return {key: value for key, value in values.items() if value != optional.get(key, ...)}

    def before_extension(self, generation: int) -> DatasetSpec:
        """Return what the data set was when it had been extended `generation` times."""
        if generation == len(self.extended_at):
            return self
        return self.model_copy(
            update={
                "count": self.extended_at[generation],
                "extended_at": self.extended_at[:generation],
                "label_parts": self.label_parts[: generation + 1],
            }
        )
