"""What TensorFlow Datasets wants beside the TFRecord files, written without TensorFlow.

`dataset_info.json` and `features.json` are parsed as protocol buffers: a key TFDS does not know is an
error, so whatever is ours goes to `metadata.json`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ganmodel.config import IMAGE_SIZE
from jobs.writers.tfrecord import FILE_TEMPLATE, VERSION

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jobs.writers.encode import ImageEncoding

_FEATURES = "tensorflow_datasets.core.features"


@dataclass(frozen=True, slots=True, kw_only=True)
class TfdsSplit:
    """The files of a split.

    Attributes:
        shard_rows: rows of each file, in order; TFDS holds every reader to them.
        size_bytes: of all files.
    """

    shard_rows: Sequence[int]
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TfdsDataset:
    """What the metadata tells.

    Attributes:
        name: TFDS' name, which file names begin with; a letter, then letters, digits and underscores.
        description: one paragraph for people.
        class_names: one name a label; none may be empty or hold a line break.
        image_encoding: `png` loads as TFDS' Image, `raw` as a Tensor; both as [28, 28, 1] uint8.
        splits: by name; none may begin with another's name (TFDS would count its files twice).
        license: SPDX identifier of the data set.
        provenance: how the data came to be, any JSON.
    """

    name: str
    description: str
    class_names: Sequence[str]
    image_encoding: ImageEncoding
    splits: Mapping[str, TfdsSplit]
    license: str
    provenance: Mapping[str, Any] = field(default_factory=dict)


def render_metadata(dataset: TfdsDataset) -> dict[str, str]:
    """Return the text of each metadata file by its name, all for the folder of the TFRecord files.

    The caller writes `dataset_info.json` last: without it TFDS refuses the folder.
    """
    return {
        "features.json": _to_json(_features(dataset)),
        "label.labels.txt": "".join(f"{name}\n" for name in dataset.class_names),
        "metadata.json": _to_json(dataset.provenance),
        "dataset_info.json": _to_json(_dataset_info(dataset)),
    }


def _to_json(value: object) -> str:
    return json.dumps(value, indent=1) + "\n"


def _dataset_info(dataset: TfdsDataset) -> dict[str, Any]:
    """Return a DatasetInfo message; its 64-bit numbers are strings, as protobuf's JSON has them."""
    return {
        "name": dataset.name,
        "version": VERSION,
        "description": dataset.description,
        "releaseNotes": {VERSION: "As generated."},
        "redistributionInfo": {"license": dataset.license},
        "fileFormat": "tfrecord",
        "supervisedKeys": {"tuple": {"items": [{"featureKey": "image"}, {"featureKey": "label"}]}},
        "splits": [
            {
                "name": name,
                "shardLengths": [str(rows) for rows in split.shard_rows],
                "numBytes": str(split.size_bytes),
                "filepathTemplate": FILE_TEMPLATE,
            }
            for name, split in dataset.splits.items()
        ],
    }


def _features(dataset: TfdsDataset) -> dict[str, Any]:
    """Return a Feature message: the columns' types."""
    shape = {"dimensions": [str(IMAGE_SIZE), str(IMAGE_SIZE), "1"]}
    if dataset.image_encoding == "png":
        image = {
            "pythonClassName": f"{_FEATURES}.image_feature.Image",
            "image": {"shape": shape, "dtype": "uint8", "encodingFormat": "png"},
        }
    else:
        image = {
            "pythonClassName": f"{_FEATURES}.tensor_feature.Tensor",
            "tensor": {"shape": shape, "dtype": "uint8", "encoding": "bytes"},
        }
    label = {
        "pythonClassName": f"{_FEATURES}.class_label_feature.ClassLabel",
        "classLabel": {"numClasses": str(len(dataset.class_names))},
    }
    index = {
        "pythonClassName": f"{_FEATURES}.scalar.Scalar",
        "tensor": {"shape": {}, "dtype": "int64", "encoding": "none"},
    }
    return {
        "pythonClassName": f"{_FEATURES}.features_dict.FeaturesDict",
        "featuresDict": {"features": {"image": image, "label": label, "index": index}},
    }
