"""A spec becomes work: on a local Ray when there is no address, as a Ray job when there is one."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import typer

from ganmodel.errors import ClusterError, SpecError
from jobs import render
from jobs.entrypoint import interrupt_on_sigterm
from jobs.local import local_ray
from jobs.manifest import check_plan, read_manifest
from jobs.plan import Plan
from jobs.progress import say
from jobs.remote import JobRequest, JobsClient, check_address, resolve_address
from jobs.storage import open_storage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jobs.specs import GenerateSpec, TrainSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """Where a command runs and what it prints.

    Attributes:
        address: --address.
        environ: environment variables, for Ray's own.
        no_wait: return when the job is submitted.
        dry_run: print the plan alone.
        as_json: print JSON to stdout.
    """

    address: str | None
    environ: Mapping[str, str]
    no_wait: bool
    dry_run: bool
    as_json: bool

    def cluster(self) -> str | None:
        """Return the cluster's address, None for a local Ray.

        Raises:
            SpecError: it is malformed, or --no-wait has nothing to submit to.
        """
        address = resolve_address(self.address, self.environ)
        if address is not None:
            check_address(address)
        elif self.no_wait:
            raise SpecError("--no-wait: needs a cluster to submit to; give --address or set RAY_ADDRESS")
        return address


def run_generate(spec: GenerateSpec, options: RunOptions) -> None:
    """Carry out `gangen generate`."""
    plan = Plan(spec.dataset)
    address = options.cluster()
    storage = open_storage(spec.out)
    if options.dry_run:
        facts = render.plan_facts(spec, plan)
        _print(facts, render.plan_text(facts), options)
        return
    check_plan(storage, plan)
    if address is None:
        from jobs.driver import generate

        interrupt_on_sigterm()
        workers = spec.workers or min(os.cpu_count() or 1, plan.num_shards)
        facts = render.dataset_facts(
            generate(spec.model_copy(update={"workers": workers}), local_ray(workers)), spec.out
        )
        _print(facts, render.dataset_text(facts), options)
        return
    identity = hashlib.sha256(f"{plan.digest} {spec.out}".encode()).hexdigest()[:16]
    if not _submit(address, "generate", spec.model_dump_json(), f"gangen-generate-{identity}", options):
        return
    manifest = read_manifest(storage)
    if manifest is None:
        raise ClusterError(
            f"the job succeeded, but {spec.out} cannot be seen from here; look for it on the cluster's own disks"
        )
    result = {"manifest": manifest, "rows_made": 0, "shards_made": 0, "seconds": 0.0, "making_seconds": 0.0}
    facts = render.dataset_facts(result, spec.out)
    _print(
        facts,
        f"committed {facts['rows']:,} digits to {spec.out}\nnext: {render.next_command(facts)}",
        options,
    )


def run_train(spec: TrainSpec, options: RunOptions) -> None:
    """Carry out `gangen train`."""
    address = options.cluster()
    if options.dry_run:
        facts = spec.model_dump(mode="json")
        text = "\n".join(f"  {name:22} {value}" for name, value in facts.items())
        _print(facts, f"would train\n{text}\nnext: the same command without --dry-run", options)
        return
    if address is None:
        _check_training(spec)
        from jobs.training import train

        interrupt_on_sigterm()
        result = train(spec, local_ray(spec.workers))
        facts = {**result, "model_dir": spec.model_dir}
        _print(facts, render.training_text(facts), options)
        return
    identity = hashlib.sha256(spec.model_dump_json().encode()).hexdigest()[:16]
    if _submit(address, "train", spec.model_dump_json(), f"gangen-train-{identity}", options):
        facts = {"model_dir": spec.model_dir}
        _print(
            facts,
            f"trained {spec.model_dir}\nnext: gangen generate --model {spec.model_dir} --count 1e5",
            options,
        )


def _check_training(spec: TrainSpec) -> None:
    """Find what is wrong with the data, the folder or the configuration before Ray and TensorFlow load."""
    from ganmodel.data import load_training_set, needs_download

    folder = Path(spec.model_dir)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".probe-{os.getpid()}"
        probe.write_bytes(b"\0")
        probe.unlink()
    except OSError as err:
        raise SpecError(
            f"--model-dir {folder}: cannot be written ({err.strerror}); choose another folder"
        ) from err
    training_set = load_training_set(spec.source)
    from ganmodel.checkpoint import CheckpointStore

    store = CheckpointStore(folder)
    old = store.config()
    # Which precision the device prefers is the worker's to say; it compares the whole configuration again.
    store.check(spec.resolved(training_set, old.precision if old else "float32"), spec.resume)
    if not needs_download(spec.source):
        say(f"data: {len(training_set.labels):,} images of {training_set.name}")


def _submit(
    address: str, kind: Literal["generate", "train"], spec_json: str, submission_id: str, options: RunOptions
) -> bool:
    """Submit a job and follow it; return whether it was waited for. Anything but success raises."""
    say(f"cluster: {address}")
    client = JobsClient(address)
    job = client.submit(JobRequest(kind=kind, spec_json=spec_json, submission_id=submission_id))
    follow = [f"ray job {verb} --address {address} {job}" for verb in ("status", "logs --follow", "stop")]
    if options.no_wait:
        facts: dict[str, Any] = {"status": "submitted", "job": job, "address": address, "follow": follow}
        _print(facts, f"submitted {job}\n" + "\n".join(f"next: {line}" for line in follow), options)
        return False
    say(f"job: {job}")
    try:
        outcome = client.follow(job, say)
    except KeyboardInterrupt:
        say(f"the job goes on; to stop it: {follow[2]}")
        raise
    if outcome.status != "SUCCEEDED":
        raise ClusterError(
            f"job {job} ended as {outcome.status}: {outcome.message or 'see its log above'}; {follow[1]}"
        )
    return True


def _print(facts: dict[str, Any], text: str, options: RunOptions) -> None:
    typer.echo(render.to_json(facts) if options.as_json else text)
