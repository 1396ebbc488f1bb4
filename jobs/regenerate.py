"""A sample of a data set's blocks, drawn again by its model and compared with what lies there."""

from __future__ import annotations

import math
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from ganmodel.errors import ModelError
from ganmodel.weights import file_sha256
from jobs.faults import Fault, shard_fault
from jobs.writers import FORMATS
from jobs.writers.encode import READ_ROWS, DamagedFile, decode_rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from ganmodel.config import DrawPrecision
    from ganmodel.labels import Labels
    from ganmodel.sampler import Sampler
    from jobs.manifest import Manifest, ShardRecord
    from jobs.storage import Storage

OTHER_DEVICE_LEVELS: dict[DrawPrecision, int] = {"float32": 1, "bfloat16": 8}
"""Grey levels a pixel may differ by where it was computed with another device kind, instruction set or library.

Measured on 20,000 digits of the generator that ships, between AMX, AVX-512 with bfloat16 and AVX-512 without: 4 in
bfloat16, where what is rounded to 8 bits in one place may be rounded the other way in another.
"""


@dataclass(slots=True)
class Regenerated:
    """What came of drawing blocks again.

    Attributes:
        blocks: how many were compared.
        exact_blocks: those made with the same device facts as ours, which were compared byte for byte.
        levels: largest difference of a pixel that was let pass, in grey levels.
        allowed_levels: the largest that is let pass on another device.
    """

    blocks: int = 0
    exact_blocks: int = 0
    levels: int = 0
    allowed_levels: int = 0


class Regenerator:
    """Draws blocks of a data set again.

    Args:
        manifest: of the data set.
        labels: where its labels come from.
        sampler: the loaded generator.
        model: folder of the generator, for messages.

    Attributes:
        done: what has been compared so far.

    Raises:
        ModelError: the generator is not the one that the manifest names.
    """

    def __init__(self, manifest: Manifest, labels: Labels, sampler: Sampler, model: str) -> None:
        spec = manifest.spec
        if sampler.info.digest != spec.model_digest:
            raise ModelError(
                f"--model {model}: has digest {sampler.info.digest[:12]}, the manifest names {spec.model_digest[:12]}; "
                "give the folder of the model that made the data set"
            )
        self.done = Regenerated(allowed_levels=OTHER_DEVICE_LEVELS[spec.precision])
        self._manifest = manifest
        self._labels = labels
        self._sampler = sampler

    def check(self, storage: Storage, fraction: float) -> Iterator[Fault]:
        """Compare a share of the blocks, in (0, 1], at least one; the same ones each time."""
        spec = self._manifest.spec
        blocks = chosen_blocks(-(-spec.count // spec.block_rows), fraction, self._manifest.rows_digest)
        starts = np.asarray([shard.first_row for shard in self._manifest.shards])
        places = np.searchsorted(starts, blocks * spec.block_rows, side="right") - 1
        pairs = zip(places.tolist(), blocks.tolist(), strict=True)
        for place, group in groupby(pairs, key=lambda pair: pair[0]):
            yield from self._check_shard(storage, self._manifest.shards[place], {block for _, block in group})

    def _check_shard(self, storage: Storage, record: ShardRecord, blocks: set[int]) -> Iterator[Fault]:
        """Compare the chosen blocks of a shard in its first format; its own reader tells damage."""
        spec = self._manifest.spec
        kind = FORMATS[spec.formats[0]]
        encoding = kind.stored_as(spec.image_encoding)
        name = record.files[kind.keys[0]].name
        faults: list[Fault] = []
        try:
            with ExitStack() as lent:
                paths = [lent.enter_context(storage.local_copy(record.files[key].name)) for key in kind.keys]
                for rows in kind.read(*paths, image_encoding=encoding, first_row=record.first_row):
                    block = rows.first_row // READ_ROWS
                    if block in blocks:
                        found = decode_rows(rows, encoding), rows.labels
                        faults += self._check_block(record, name, block, *found)
                files = zip(paths, (record.files[key] for key in kind.keys), strict=True)
                if faults and all(file_sha256(path) == file.sha256 for path, file in files):
                    faults = [replace(fault, is_as_committed=True) for fault in faults]
        except (FileNotFoundError, DamagedFile, ValueError) as err:
            faults.append(shard_fault(record, "changed", f"cannot be compared with its model: {err}", name))
        yield from faults

    def _check_block(
        self, record: ShardRecord, name: str, block: int, images: NDArray[np.uint8], labels: NDArray[np.int64]
    ) -> Iterator[Fault]:
        spec = self._manifest.spec
        drawn, drawn_labels = self._sampler.draw(spec.seed, block, self._labels, truncation=spec.truncation)
        drawn, drawn_labels = drawn[: len(labels)], drawn_labels[: len(labels)]
        is_same = (
            self._sampler.device_facts().items() <= record.device.items()
        )  # which names the writers' too
        self.done.blocks += 1
        self.done.exact_blocks += is_same
        first = block * spec.block_rows
        odd = np.flatnonzero(labels != drawn_labels)
        if len(odd):
            row = int(odd[0])
            text = f"the label is {labels[row]}, the model was asked for {drawn_labels[row]}"
            yield shard_fault(record, "label", text, name, first + row)
        distance = np.abs(images.astype(np.int16) - drawn).max(axis=(1, 2))
        allowed = 0 if is_same else self.done.allowed_levels
        self.done.levels = max(
            self.done.levels, int(np.where(distance > allowed, 0, distance).max(initial=0))
        )
        odd = np.flatnonzero(distance > allowed)
        if len(odd):
            row = int(odd[0])
            yield shard_fault(
                record,
                "pixels",
                f"the model draws other pixels, by up to {distance.max()} grey levels ({allowed} allowed), in "
                f"{len(odd):,} of {len(labels):,} rows of this block",
                name,
                first + row,
            )


def chosen_blocks(num_blocks: int, fraction: float, rows_digest: str) -> NDArray[np.int64]:
    """Return the blocks to draw again, ascending, [N] int64: a draw without replacement that follows from the data."""
    count = max(1, math.ceil(fraction * num_blocks))
    rng = np.random.Generator(np.random.Philox(key=int(rows_digest[:32], 16)))
    return np.sort(rng.choice(num_blocks, min(count, num_blocks), replace=False)).astype(np.int64)
