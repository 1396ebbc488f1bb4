"""The data set card: README.md with the front matter that Hugging Face reads and the text that people read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml

from jobs.card_examples import examples
from jobs.writers import FORMATS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from jobs.writers.encode import ImageEncoding

_SIZE_CATEGORIES = (
    (10**3, "n<1K"),
    (10**4, "1K<n<10K"),
    (10**5, "10K<n<100K"),
    (10**6, "100K<n<1M"),
    (10**7, "1M<n<10M"),
    (10**8, "10M<n<100M"),
    (10**9, "100M<n<1B"),
    (10**10, "1B<n<10B"),
    (10**11, "10B<n<100B"),
    (10**12, "100B<n<1T"),
)
"""Hugging Face's names for numbers of rows below a limit."""


_PROVENANCE_TEXT = """\
Row `i` depends on the model, the seed, the label rule and `i` alone: not on the number of workers, the size of
the files or a retry. Labels and latents are equal on every machine; pixels are equal for equal devices and versions.
Checksums of every file are in `.gangen/manifest.json`."""

_USE_TEXT = """\
Augmentation, teaching, load and pipeline tests, and studies of the generator. The pictures are synthetic: no person
wrote them. A label is what the generator was asked to draw, so some pictures do not show their label; rows may
resemble training images. Do not report accuracy on these rows as accuracy on real handwriting."""


_QUALITY_TEXT = """\
Measured on digits of the generator at truncation 1, each figure beside what real digits give in their place."""

_QUALITY_HEAD = ("figure", "generator", "real digits", "digits", "against")


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitFacts:
    """What a card tells of a split.

    Attributes:
        num_rows: rows.
        shard_rows: rows of each shard, in order.
        size_bytes: of each format's files, by format name.
    """

    num_rows: int
    shard_rows: Sequence[int]
    size_bytes: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class CardFacts:
    """What a card tells; every figure is of files that were read back.

    Attributes:
        name: TFDS' name of the data set.
        title: what people call it.
        summary: one paragraph: what the data are and what made them.
        class_names: one name a label.
        label_counts: rows of each label; a label without rows may be missing.
        splits: by name, in order of rows.
        image_encoding: how images are stored.
        provenance: rows of the provenance table, in order.
        quality: the generator's figures, see `ganmodel.model_dir.ModelInfo`; no section without any.
        preview: path of a picture of samples within the data set, if there is one.
        license: Hugging Face's identifier of the data's licence.
    """

    name: str
    title: str
    summary: str
    class_names: Sequence[str]
    label_counts: Mapping[int, int]
    splits: Mapping[str, SplitFacts]
    image_encoding: ImageEncoding
    provenance: Mapping[str, object]
    quality: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    preview: str | None = "preview.png"
    license: str = "apache-2.0"

    @property
    def num_rows(self) -> int:
        """Rows in all."""
        return sum(self.label_counts.values())

    @property
    def num_shards(self) -> int:
        """Shards in all."""
        return sum(len(split.shard_rows) for split in self.splits.values())

    @property
    def size_bytes(self) -> dict[str, int]:
        """Bytes of each format's files, by format name."""
        total: dict[str, int] = {}
        for split in self.splits.values():
            for name, size in split.size_bytes.items():
                total[name] = total.get(name, 0) + size
        return total


def render_card(facts: CardFacts) -> str:
    """Return the text of README.md.

    Without Parquet there is no `configs` and no `dataset_info`: `datasets` could not load what they promise.
    """
    front = yaml.safe_dump(_front_matter(facts), sort_keys=False, allow_unicode=True, width=1000)
    sections = [
        f"# {facts.title}",
        facts.summary,
        *([f"![Samples]({facts.preview})"] if facts.preview else []),
        _contents(facts),
        "## Rows of each label",
        _table(("label", "class", "rows"), _count_rows(facts)),
        "## Loading",
        "`DIR` stands for the folder of this file.",
        *(
            f"{title}:\n\n```python\n{code}\n```"
            for title, code in examples(
                facts.name,
                facts.size_bytes,
                facts.image_encoding,
                {name: len(split.shard_rows) for name, split in facts.splits.items()},
            )
        ),
        "## How it was made",
        _PROVENANCE_TEXT,
        _table(("what", "value"), facts.provenance.items()),
        *(
            ["## Quality", _QUALITY_TEXT, _table(_QUALITY_HEAD, _quality_rows(facts))]
            if facts.quality
            else []
        ),
        "## Intended use",
        _USE_TEXT,
    ]
    return f"---\n{front}---\n\n" + "\n\n".join(sections) + "\n"


def _front_matter(facts: CardFacts) -> dict[str, Any]:
    front: dict[str, Any] = {
        "license": facts.license,
        "pretty_name": facts.title,
        "task_categories": ["image-classification"],
        "annotations_creators": ["machine-generated"],
        "size_categories": [_size_category(facts.num_rows)],
        "tags": ["synthetic", "gan", "gangen"],
    }
    if "parquet" in facts.size_bytes:
        size_bytes = facts.size_bytes["parquet"]
        names = {str(label): name for label, name in enumerate(facts.class_names)}
        front["configs"] = [
            {
                "config_name": "default",
                "data_files": [
                    {"split": name, "path": f"{FORMATS['parquet'].root}/{name}-*.parquet"}
                    for name in facts.splits
                ],
            }
        ]
        front["dataset_info"] = {
            "features": [
                {"name": "image", "dtype": "image"},
                {"name": "label", "dtype": {"class_label": {"names": names}}},
                {"name": "index", "dtype": "int64"},
            ],
            "splits": [
                {"name": name, "num_bytes": split.size_bytes["parquet"], "num_examples": split.num_rows}
                for name, split in facts.splits.items()
            ],
            "download_size": size_bytes,
            "dataset_size": size_bytes,
        }
    return front


def _size_category(num_rows: int) -> str:
    return next((name for limit, name in _SIZE_CATEGORIES if num_rows < limit), "n>1T")


def _contents(facts: CardFacts) -> str:
    """Return what the rows are and where."""
    kept = {
        "png": "PNG",
        "raw": "uncompressed: PGM files in Parquet and WebDataset, 784 bytes in TFRecord",
    }[facts.image_encoding]
    columns = [
        ("`image`", f"28 x 28 grey, 8 bits, {kept}; always 784 bytes in IDX"),
        ("`label`", f"the class, 0 to {len(facts.class_names) - 1}"),
        ("`index`", f"the row's number in the data set, 0 to {facts.num_rows - 1:,}"),
    ]
    files = [
        (f"`{FORMATS[name].root}/`", name, f"{facts.num_shards * len(FORMATS[name].keys):,}", f"{size:,}")
        for name, size in facts.size_bytes.items()
    ]
    splits = [
        (f"`{name}`", f"{split.num_rows:,}", f"{len(split.shard_rows):,}")
        for name, split in facts.splits.items()
    ]
    return "\n\n".join(
        [
            f"{facts.num_rows:,} rows. No row is in two splits.",
            _table(("split", "rows", "shards"), splits),
            _table(("column", "content"), columns),
            _table(("folder", "format", "files", "bytes"), files),
        ]
    )


def _count_rows(facts: CardFacts) -> Iterable[tuple[object, ...]]:
    return (
        (label, name, f"{facts.label_counts.get(label, 0):,}") for label, name in enumerate(facts.class_names)
    )


def _quality_rows(facts: CardFacts) -> Iterable[tuple[object, ...]]:
    return (
        (name, f"{entry['value']:.4g}", f"{entry['real']:.4g}", f"{entry['samples']:,}", entry["reference"])
        for name, entry in facts.quality.items()
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(_cell(value) for value in line) + " |" for line in lines)


def _cell(value: object) -> str:
    return " ".join(str(value).split()).replace("|", "\\|")
