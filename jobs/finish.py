"""The end of a generation job: metadata beside the shards, the folders revealed, the manifest created once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ganmodel import __version__
from ganmodel.errors import CommitConflict
from jobs.card import CardFacts, render_card
from jobs.manifest import MANIFEST_FILE, build_manifest, to_json
from jobs.storage import PENDING, PREVIEW_FILE
from jobs.tfds_metadata import TfdsDataset, TfdsSplit, render_metadata
from jobs.writers import FORMATS, SPLIT
from jobs.writers.tfrecord import folder

if TYPE_CHECKING:
    from jobs.manifest import Manifest, ShardRecord
    from jobs.plan import Plan
    from jobs.storage import Storage

LICENSE = "apache-2.0"
"""Of the data: the package's own."""


def finish(storage: Storage, plan: Plan, records: list[ShardRecord], *, model: dict[str, Any]) -> Manifest:
    """Turn a folder whose every shard is committed into a data set; safe to repeat after a crash at any point.

    The order is what keeps half a data set from loading: metadata goes among the pending files, each
    format's folder appears with everything in it by one rename, then the card, and the manifest last.

    Args:
        storage: the data set's folder.
        plan: the data set.
        records: one a shard, in order.
        model: what is told of the generator.

    Raises:
        CommitConflict: another run has finished it at the same moment.
    """
    if not storage.has_lock and storage.read(MANIFEST_FILE) is not None:
        # Its files are in place: ours must not replace them while somebody reads.
        raise CommitConflict(
            f"--out {storage.url}: another run has finished it; the same command says what is there"
        )
    manifest = build_manifest(plan, records, model=model, gangen_version=__version__)
    if "tfrecord" in plan.spec.formats:
        _write_tfds_metadata(storage, manifest)
    for name in plan.spec.formats:
        storage.reveal(FORMATS[name].root)
    storage.write_whole("README.md", render_card(_card_facts(manifest)))
    storage.create_once(MANIFEST_FILE, to_json(manifest))
    storage.remove_pending()
    return manifest


def _write_tfds_metadata(storage: Storage, manifest: Manifest) -> None:
    """Write TFDS' files beside the pending shards, `dataset_info.json` last; nothing if they are revealed already."""
    where = folder(manifest.spec.name)
    if storage.read(f"{where}/dataset_info.json") is not None:
        return
    split = TfdsSplit(
        shard_rows=[record.num_rows for record in manifest.shards], size_bytes=manifest.size_bytes["tfrecord"]
    )
    dataset = TfdsDataset(
        name=manifest.spec.name,
        description=_summary(manifest),
        class_names=manifest.spec.class_names,
        image_encoding=manifest.spec.image_encoding,
        splits={SPLIT: split},
        license=LICENSE,
        provenance=_provenance(manifest),
    )
    for name, text in render_metadata(dataset).items():
        storage.write_whole(f"{PENDING}/{where}/{name}", text)


def _summary(manifest: Manifest) -> str:
    return (
        f"{manifest.num_rows:,} synthetic 28x28 grey images with labels, drawn by the class-conditional generator "
        f"'{manifest.model['name']}' of gangen."
    )


def _card_facts(manifest: Manifest) -> CardFacts:
    return CardFacts(
        name=manifest.spec.name,
        title=f"{manifest.num_rows:,} synthetic digits ({manifest.model['name']})",
        summary=_summary(manifest),
        class_names=manifest.spec.class_names,
        label_counts=manifest.label_counts,
        num_shards=len(manifest.shards),
        size_bytes=manifest.size_bytes,
        image_encoding=manifest.spec.image_encoding,
        provenance=_provenance(manifest),
        quality=manifest.model["quality"],
        preview=PREVIEW_FILE,
        license=LICENSE,
    )


def _provenance(manifest: Manifest) -> dict[str, Any]:
    """Return what it takes to make the rows again."""
    spec = manifest.spec
    facts: dict[str, Any] = {
        "gangen": manifest.gangen_version,
        "model digest": spec.model_digest,
        "seed": spec.seed,
        "label rule": spec.labels,
        "truncation": spec.truncation,
        "rows": spec.count,
        "rows of a shard": spec.shard_rows,
        "plan digest": manifest.plan_digest,
        "rows digest": manifest.rows_digest,
    }
    for device in manifest.devices:
        facts[f"made on ({device['shards']} shards)"] = ", ".join(
            f"{key} {value}" for key, value in device.items() if key != "shards"
        )
    return facts
