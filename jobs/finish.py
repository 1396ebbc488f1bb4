"""The end of a generation job: metadata beside the shards, the folders revealed, the manifest created once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ganmodel import __version__
from ganmodel.errors import CommitConflict
from jobs.card import CardFacts, SplitFacts, render_card
from jobs.manifest import build_manifest, lost_files, to_json
from jobs.plan import Plan
from jobs.plan_files import manifest_name
from jobs.storage import PENDING, PREVIEW_FILE, TargetError
from jobs.tfds_metadata import TfdsDataset, TfdsSplit, render_metadata
from jobs.writers import FORMATS, format_of
from jobs.writers.tfrecord import folder

if TYPE_CHECKING:
    from jobs.manifest import Manifest, ShardRecord
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
    name = manifest_name(plan.generation)
    if not storage.has_lock and storage.read(name) is not None:
        # Its files are in place: ours must not replace them while somebody reads.
        storage.remove_pending()
        raise CommitConflict(
            f"--out {storage.url}: another run has finished it; the same command says what is there"
        )
    manifest = build_manifest(plan, records, model=model, gangen_version=__version__)
    show(storage, manifest)
    try:
        storage.create_once(name, to_json(manifest))
    except CommitConflict:
        if not storage.has_lock:
            storage.remove_pending()  # The other run's data set is whole; what ours made besides is nobody's.
        raise
    storage.remove_pending()
    return manifest


def show(storage: Storage, manifest: Manifest) -> None:
    """Put everything but the manifest itself where readers look, and see that it is there; safe to repeat.

    Of a data set that is extended, TFDS sees the old rows until its metadata has changed, which is after the shards are
    in place, and Hugging Face's `datasets` refuses the folder until the card fits them, which is right after.

    Raises:
        TargetError: files have been taken away in the meantime.
    """
    if "tfrecord" in manifest.spec.formats:
        _write_tfds_metadata(storage, manifest)
    for name in manifest.spec.formats:
        storage.reveal(FORMATS[name].root)
    storage.write_whole("README.md", render_card(_card_facts(manifest)))
    if lost := lost_files(storage, manifest):
        raise TargetError(
            f"--out {storage.url}: {len(lost):,} files were taken away as they were put in place (first: {lost[0]}); "
            "see what else deletes there, then run the same command again"
        )


def split_facts(manifest: Manifest) -> dict[str, SplitFacts]:
    """Return what there is of each split, in order of rows."""
    plan = Plan(manifest.spec)
    shard_rows: dict[str, list[int]] = {name: [] for name, _ in manifest.spec.splits}
    sizes: dict[str, dict[str, int]] = {
        name: dict.fromkeys(map(str, manifest.spec.formats), 0) for name in shard_rows
    }
    for record in manifest.shards:
        split = plan.task(record.index).split
        shard_rows[split].append(record.num_rows)
        for key, file in record.files.items():
            sizes[split][format_of(key)] += file.size_bytes
    return {
        name: SplitFacts(num_rows=sum(rows), shard_rows=rows, size_bytes=dict(sizes[name]))
        for name, rows in shard_rows.items()
    }


def _write_tfds_metadata(storage: Storage, manifest: Manifest) -> None:
    """Write TFDS' files beside the pending shards, `dataset_info.json` last; what is as it is to be stays."""
    where = folder(manifest.spec.name)
    dataset = TfdsDataset(
        name=manifest.spec.name,
        description=_summary(manifest),
        class_names=manifest.spec.class_names,
        image_encoding=manifest.spec.image_encoding,
        splits={
            name: TfdsSplit(shard_rows=split.shard_rows, size_bytes=split.size_bytes["tfrecord"])
            for name, split in split_facts(manifest).items()
        },
        license=LICENSE,
        provenance=_provenance(manifest),
    )
    for name, text in render_metadata(dataset).items():
        if storage.read(f"{where}/{name}") != text.encode():
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
        splits=split_facts(manifest),
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
        "computed in": spec.precision,
        "rows": spec.count,
        "rows of a shard": spec.shard_rows,
        **({"extended at": ", ".join(f"{n:,}" for n in spec.extended_at)} if spec.extended_at else {}),
        "plan digest": manifest.plan_digest,
        "rows digest": manifest.rows_digest,
    }
    for device in manifest.devices:
        facts[f"made on ({device['shards']} shards)"] = ", ".join(
            f"{key} {value}" for key, value in device.items() if key != "shards"
        )
    return facts
