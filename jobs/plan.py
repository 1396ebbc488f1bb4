"""Which shards a data set has: arithmetic, known before anything starts, in constant memory."""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ganmodel.config import json_digest
from ganmodel.errors import SpecError
from ganmodel.labels import parse_labels
from ganmodel.latents import draw_block
from jobs.dataset_spec import LABELS_FROM_FILE, MAX_SHARDS, SHARE_SCALE
from jobs.writers import FORMATS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jobs.dataset_spec import DatasetSpec


@dataclass(frozen=True, slots=True)
class ShardTask:
    """A shard to be made.

    Attributes:
        index: its number in the data set, which its commit record is named after.
        first_row: global index of its first row, the first of a block.
        num_rows: rows it holds.
        split: the split it belongs to.
        number: its number in the split, which its files are named after.
        segment: of the data set, 0 or the number of the extension that adds it.
    """

    index: int
    first_row: int
    num_rows: int
    split: str
    number: int
    segment: int

    @property
    def end_row(self) -> int:
        """The global index after its last row."""
        return self.first_row + self.num_rows


@dataclass(frozen=True, slots=True)
class Section:
    """Neighbouring rows of one split that were made at a time, cut into shards of their own.

    Attributes:
        segment: its number.
        split: its name.
        first_row: global index of the first row.
        num_rows: how many there are.
        first_index: number of its first shard in the data set.
        first_number: of its first shard in the split.
    """

    segment: int
    split: str
    first_row: int
    num_rows: int
    first_index: int
    first_number: int


class Plan:
    """The exact list of shards of a data set.

    Args:
        spec: what the data set is.

    Attributes:
        spec: what the data set is.
        generation: how often it has been extended.
        sections: every section, in order of rows and of shards.
        num_shards: how many there are.
        digest: the identity of the data set, SHA-256 in hex.

    Raises:
        SpecError: it would have more shards than names, or a split without rows.
    """

    def __init__(self, spec: DatasetSpec) -> None:
        self.spec = spec
        self.generation = len(spec.extended_at)
        self.digest = json_digest(spec.identity())
        self.sections: list[Section] = []
        self.num_shards = 0
        numbers = dict.fromkeys((name for name, _ in spec.splits), 0)
        for segment, (first, end) in enumerate(spec.segments):
            for split, start, rows in _cut(spec, first, end):
                section = Section(segment, split, start, rows, self.num_shards, numbers[split])
                shards = -(-rows // spec.shard_rows)
                self.sections.append(section)
                self.num_shards += shards
                numbers[split] += shards
        if self.num_shards > MAX_SHARDS:
            least = -(-spec.count // (MAX_SHARDS - len(self.sections) + 1))
            raise SpecError(
                f"--shard-rows {spec.shard_rows:,}: gives {self.num_shards:,} shards, the limit is {MAX_SHARDS:,}; "
                f"use at least {-(-least // spec.block_rows) * spec.block_rows:,}"
            )
        self._recipes = [_recipe_digest(spec, segment) for segment in range(self.generation + 1)]
        self._first_indices = [section.first_index for section in self.sections]

    def job_id(self, out: str) -> str:
        """Return the id of the job that makes the data set in a place: whoever asks for it twice asks for one job."""
        return f"gangen-generate-{hashlib.sha256(f'{self.digest} {out}'.encode()).hexdigest()[:16]}"

    def task(self, index: int) -> ShardTask:
        """Return shard `index`, in [0, num_shards)."""
        section = self.sections[bisect_right(self._first_indices, index) - 1]
        position = index - section.first_index
        done = position * self.spec.shard_rows
        return ShardTask(
            index=index,
            first_row=section.first_row + done,
            num_rows=min(self.spec.shard_rows, section.num_rows - done),
            split=section.split,
            number=section.first_number + position,
            segment=section.segment,
        )

    def tasks(self) -> Iterator[ShardTask]:
        """Yield every shard in order."""
        return map(self.task, range(self.num_shards))

    def file_names(self, task: ShardTask) -> dict[str, str]:
        """Return the paths of a shard's files within the data set, by their keys in its commit record."""
        names: dict[str, str] = {}
        for format_name in self.spec.formats:
            kind = FORMATS[format_name]
            names |= zip(kind.keys, kind.file_names(self.spec.name, task.split, task.number), strict=True)
        return names

    def recipe_digest(self, segment: int) -> str:
        """Return what the rows and files of a segment follow from, SHA-256 in hex; an extension does not change it."""
        return self._recipes[segment]

    def split_rows(self) -> dict[str, int]:
        """Return the rows of each split."""
        rows = dict.fromkeys((name for name, _ in self.spec.splits), 0)
        for section in self.sections:
            rows[section.split] += section.num_rows
        return rows

    def estimated_bytes(self) -> dict[str, int]:
        """Return the expected size of each format's files, in bytes."""
        encoding = self.spec.image_encoding
        return {f: self.spec.count * FORMATS[f].row_bytes[encoding] for f in self.spec.formats}

    def expected_counts(self, latent_dim: int | None = None) -> dict[int, int] | None:
        """Return the rows of each label where the rule fixes them, else None.

        Args:
            latent_dim: of the generator. With it, or where the rows are whole blocks, the counts are exact; without,
                those of the last block are right to within a row or so.
        """
        spec = self.spec
        if spec.labels == LABELS_FROM_FILE:
            counts = np.sum([part.counts for part in spec.label_parts], axis=0)
            return {label: int(rows) for label, rows in enumerate(counts) if rows}
        rule = parse_labels(spec.labels, len(spec.class_names))
        blocks, rest = divmod(spec.count, spec.block_rows)
        if not rest or latent_dim is None or not rule.is_exact:
            return rule.expected_counts(spec.count)
        expected = rule.expected_counts(blocks * spec.block_rows) or {}
        _, last = draw_block(spec.seed, blocks, latent_dim, rule)
        for label, rows in enumerate(np.bincount(last[:rest]).tolist()):
            if rows:
                expected[label] = expected.get(label, 0) + rows
        return dict(sorted(expected.items()))


def _recipe_digest(spec: DatasetSpec, segment: int) -> str:
    recipe = spec.identity()
    for field in ("count", "extended_at", "label_parts"):
        recipe.pop(field, None)
    if spec.label_parts:
        recipe["label_part"] = spec.label_parts[segment].sha256
    return json_digest(recipe)


def _cut(spec: DatasetSpec, first: int, end: int) -> Iterator[tuple[str, int, int]]:
    """Yield (split, first row, rows) of a segment, cut in whole blocks but for its end."""
    shares, start = 0, first
    for name, share in spec.splits:
        shares += share
        # Rounded to a whole block in whole-number arithmetic: the same on every machine.
        blocks = (2 * (end - first) * shares + SHARE_SCALE * spec.block_rows) // (
            2 * SHARE_SCALE * spec.block_rows
        )
        stop = end if shares == SHARE_SCALE else first + min(blocks * spec.block_rows, end - first)
        if stop <= start:
            raise SpecError(
                f"--splits: '{name}' would have no rows of {end - first:,}; splits are whole blocks of "
                f"{spec.block_rows:,}: give it a larger share or the data set more rows"
            )
        yield name, start, stop - start
        start = stop
