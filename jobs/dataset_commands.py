"""Commands on data sets that are there: they need neither Ray nor, but for drawing again, TensorFlow."""

from __future__ import annotations

import re
import shlex
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

from ganmodel.errors import ClusterError, DamageFound, Interrupted, SpecError
from jobs.addresses import SURROUNDING, check_address, resolve_address
from jobs.checks import absolute_place, checked_model, in_range, one_of
from jobs.export import export, exported_spec
from jobs.inputs import local_model
from jobs.label_store import label_names, labels_of
from jobs.local import interrupt_on_sigterm
from jobs.manifest import UnreadableManifest
from jobs.progress import Reporter, say
from jobs.regenerate import Regenerator
from jobs.remedy import remedy
from jobs.remote import JobsClient
from jobs.render import to_json
from jobs.render_dataset import export_text, fault_count, status_text, verify_text
from jobs.requests_generate import parse_formats
from jobs.run_notes import read_notes
from jobs.status import in_words, job_id, model_folder, status
from jobs.storage import open_storage
from jobs.target import reading_errors
from jobs.verify import check_label_files, finished_manifest, unreadable, verify

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jobs.manifest import Manifest
    from jobs.storage import Storage
    from jobs.submit import RunOptions
    from jobs.verify import Report


def run_verify(dataset: str, *, full: bool, fraction: float | None, model: str | None, as_json: bool) -> None:
    """Carry out `gangen verify`.

    Raises:
        DamageFound: the data set is not what its manifest says; what was found has been printed.
    """
    in_range("--regenerate", fraction, 0, 1)
    if model is not None and fraction is None:
        raise SpecError("--model: is of use with --regenerate alone")
    with _place(dataset) as storage:
        try:
            manifest = finished_manifest(storage)
        except UnreadableManifest as err:
            report, then = unreadable(storage, err), in_words("restore", storage.url, [err.name])
        else:
            report = _check(storage, manifest, full=full, fraction=fraction, model=model)
            then = _next(storage, manifest, report)
    facts = report.facts() | {"next": then}
    typer.echo(to_json(facts) if as_json else verify_text(facts, report.faults, then))
    if report.faults:
        raise DamageFound(f"{report.url}: {fault_count(report.faults)} (first: {report.faults[0]})")


def _check(
    storage: Storage, manifest: Manifest, *, full: bool, fraction: float | None, model: str | None
) -> Report:
    folder = _model_of(storage, manifest, model) if fraction is not None else ""
    with Reporter("verifying", "rows", manifest.num_rows, 0) as reporter:
        ends = [shard.first_row + shard.num_rows for shard in manifest.shards]
        report = verify(storage, manifest, full=full, on_shard=lambda done: reporter.update(ends[done - 1]))
    if fraction is not None:
        _draw_again(storage, manifest, report, folder, fraction)
    return report


def _next(storage: Storage, manifest: Manifest, report: Report) -> str:
    if report.faults:
        return remedy(storage.url, manifest, read_notes(storage), report.faults)
    after = ["preview", "--data", storage.url] if report.is_full else ["verify", storage.url, "--full"]
    return shlex.join(["gangen", *after])


def run_status(dataset: str, options: RunOptions) -> None:
    """Carry out `gangen status`.

    Raises:
        ClusterError: --address was given, and the cluster cannot be asked.
    """
    as_json = options.as_json
    with _place(dataset) as storage:
        facts = status(storage)
        job = job_id(storage)
    address = resolve_address(options.address, options.environ)
    if job and address and address != SURROUNDING:
        facts["job"] = _job(address, job, options)
    typer.echo(to_json(facts) if as_json else status_text(facts))


def _job(address: str, job: str, options: RunOptions) -> dict[str, Any] | None:
    """Return what a cluster says of the last job that made a data set, None where it knows of none.

    What only the environment says is no demand: storage has the answer, and the cluster may be gone.
    """
    try:
        check_address(address)
        jobs = JobsClient(address, options.environ).jobs()
    except (ClusterError, SpecError) as err:
        if options.address is not None:
            raise
        say(f"note: the cluster of the environment was not asked ({err})")
        return None
    again = re.compile(rf"{re.escape(job)}(-repair)?(-\d+)?")
    found = [facts for facts in jobs if again.fullmatch(facts.job)]
    return found[-1].as_dict() if found else None


def run_export(dataset: str, *, formats: str, out: str, image_encoding: str | None, as_json: bool) -> None:
    """Carry out `gangen export`."""
    chosen = parse_formats(formats, "--to")
    if image_encoding is not None:
        one_of("--image-encoding", image_encoding, ("png", "raw"))
    began = time.monotonic()
    with _place(dataset) as storage:
        manifest = finished_manifest(storage)
    spec = exported_spec(manifest.spec, chosen, image_encoding)
    target = open_storage(absolute_place(out, "--out"))
    if target.url == storage.url:
        raise SpecError(f"--out {target.url}: is the data set itself; choose another folder")
    interrupt_on_sigterm()
    try:
        with Reporter("exporting", "rows", manifest.num_rows, 0) as reporter:
            ends = [shard.first_row + shard.num_rows for shard in manifest.shards]
            made, shards = export(storage, manifest, target, spec, lambda n: reporter.update(ends[n - 1]))
    except KeyboardInterrupt:
        raise Interrupted(
            f"interrupted: what is committed stays in {target.url}; the same command does the rest"
        ) from None
    facts = {
        "status": "committed",
        "out": target.url,
        "rows": made.num_rows,
        "shards": len(made.shards),
        "shards_made": shards or 0,
        "was_finished": shards is None,
        "size_bytes": made.size_bytes,
        "plan_digest": made.plan_digest,
        "rows_digest": made.rows_digest,
        "seconds": time.monotonic() - began,
    }
    typer.echo(to_json(facts) if as_json else export_text(facts))


@contextmanager
def _place(dataset: str) -> Iterator[Storage]:
    """Open a data set that is there; what storage or the system says of it is said in one line."""
    place = absolute_place(dataset, "DATASET")
    with reading_errors(place):
        yield open_storage(place)


def _model_of(storage: Storage, manifest: Manifest, model: str | None) -> str:
    """Return the folder of the model that drew a data set.

    Raises:
        SpecError: it is not known, or the one given is another.
    """
    if model is None:
        model = model_folder(manifest.spec, read_notes(storage))
        if model is None:
            raise SpecError(
                f"--regenerate: the model of digest {manifest.spec.model_digest[:12]} is not where it was; give --model"
            )
    model, info = checked_model(model)
    if info.digest != manifest.spec.model_digest:
        raise SpecError(
            f"--model {model}: has digest {info.digest[:12]}, the manifest names {manifest.spec.model_digest[:12]}; "
            "give the folder of the model that made the data set"
        )
    return model


def _draw_again(storage: Storage, manifest: Manifest, report: Report, model: str, fraction: float) -> None:
    from ganmodel.sampler import Sampler

    began = time.monotonic()
    if not report.is_full:  # else they have been checked
        report.faults += check_label_files(storage, manifest)
    labels = label_names(manifest.spec)
    if any(fault.file in labels for fault in report.faults):
        say("nothing is drawn again: the labels to draw by are lost or changed")
        return
    regenerator = Regenerator(
        manifest,
        labels_of(manifest.spec, storage),
        Sampler(local_model(model), precision=manifest.spec.precision),
        model,
    )
    report.faults += regenerator.check(storage, fraction)
    report.regenerated = regenerator.done
    report.seconds += time.monotonic() - began
