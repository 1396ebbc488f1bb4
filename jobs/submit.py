"""A spec becomes work: on a local Ray when there is no address, as a Ray job when there is one."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from ganmodel.errors import ClusterError, SpecError
from ganmodel.model_dir import read_model
from jobs import render
from jobs.addresses import SURROUNDING, check_address, resolve_address
from jobs.inputs import local_model
from jobs.local import interrupt_on_sigterm, local_ray, surrounding_ray
from jobs.manifest import read_manifest, read_records
from jobs.plan import Plan
from jobs.plan_files import check_plan
from jobs.progress import say
from jobs.remote import JobRequest, JobsClient
from jobs.run_notes import read_notes
from jobs.specs import Placement
from jobs.storage import open_storage, target_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager

    from jobs.manifest import ShardRecord
    from jobs.specs import GenerateSpec, TrainSpec


MAX_WORKERS_A_CORE = 4
"""More local workers than this only take memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """Where a command runs and what it prints.

    Attributes:
        address: --address.
        environ: environment variables, for Ray's own.
        no_wait: return when the job is submitted.
        dry_run: print the plan alone.
        as_json: print JSON to stdout.
        image_has_gangen: the cluster has the package; nothing travels with a job.
    """

    address: str | None
    environ: Mapping[str, str]
    no_wait: bool
    dry_run: bool
    as_json: bool
    image_has_gangen: bool = False

    def cluster(self) -> str | None:
        """Return the address of the cluster to submit to, None to work from here; see `ray`.

        Raises:
            SpecError: it is malformed, or --no-wait or --image-has-gangen have nothing to submit to.
        """
        address = resolve_address(self.address, self.environ)
        if address is not None and address != SURROUNDING:
            try:
                check_address(address)
            except SpecError as err:
                if self.address is not None:
                    raise
                raise SpecError(
                    f"{err} (it is from the environment; --address local ignores it, --address auto works on the "
                    "cluster around this process)"
                ) from None
            return address
        for option, is_set in (("--no-wait", self.no_wait), ("--image-has-gangen", self.image_has_gangen)):
            if is_set:
                raise SpecError(f"{option}: needs a cluster to submit to; give --address or set RAY_ADDRESS")
        return None

    def is_surrounded(self) -> bool:
        """Tell whether the work is for the Ray cluster that this process is a part of, as a job's entrypoint is."""
        return resolve_address(self.address, self.environ) == SURROUNDING

    def ray(self, placement: Placement = Placement()) -> Callable[[], AbstractContextManager[None]]:  # noqa: B008
        """Return the way to the Ray to work on from here: the one around us, or one of our own; see `local_ray`.

        Raises:
            SpecError: a Ray of our own would lack what is asked for.
        """
        if self.is_surrounded():
            return surrounding_ray
        if placement.resources:
            name, amount = placement.resources[0]
            raise SpecError(
                f"--resources: a Ray of our own has no {name}, {amount:g} asked for; give the --address of a cluster "
                "that has it"
            )
        return local_ray(placement)


def run_generate(spec: GenerateSpec, options: RunOptions) -> None:
    """Carry out `gangen generate`."""
    plan = Plan(spec.dataset)
    address = options.cluster()
    storage = open_storage(spec.out)
    with target_errors(spec.out):
        check_plan(storage, plan)
    if options.dry_run:
        facts = render.plan_facts(spec, plan, read_model(local_model(spec.model)).generator.latent_dim)
        print_result(facts, render.plan_text(facts), options)
        return
    if address is None:
        from jobs.driver import generate

        interrupt_on_sigterm()
        if not options.is_surrounded():
            _check_workers(spec.placement)
        result = generate(spec, options.ray(spec.placement))
    else:
        was_finished = read_manifest(storage, plan, check_files=not spec.repair) is not None
        # A job of this id that has ended is no answer: its data may be gone. A new one finds what is there at once.
        request = JobRequest(
            kind="generate",
            spec_json=spec.model_dump_json(),
            # A plain job that runs does not look for damage.
            submission_id=plan.job_id(spec.out) + ("-repair" if spec.repair else ""),
            attach_to_succeeded=False,
        )
        before = read_records(storage, plan)
        if (spec.repair or not was_finished) and not submit_job(address, request, options):
            return
        result = _seen_from_here(spec, before) | {"was_finished": was_finished}
    facts = render.dataset_facts(result, spec.out)
    print_result(facts, render.dataset_text(facts), options)


def _check_workers(placement: Placement) -> None:
    most = MAX_WORKERS_A_CORE * (os.cpu_count() or 1)
    if placement.workers is not None and placement.workers > most:
        raise SpecError(
            f"--workers: at most {most} on this machine ({MAX_WORKERS_A_CORE} a core; each takes about 1 GB), got "
            f"{placement.workers:,}"
        )


def _seen_from_here(spec: GenerateSpec, before: dict[int, ShardRecord]) -> dict[str, Any]:
    """Return what a job made; not what it said of itself, but the manifest and the records it left.

    Args:
        spec: the job.
        before: the records that lay there before the job. One of a shard that was made again tells of other seconds.
    """
    storage, plan = open_storage(spec.out), Plan(spec.dataset)
    manifest, notes = read_manifest(storage, plan), read_notes(storage)
    if manifest is None:
        raise ClusterError(
            f"the job succeeded, but {spec.out} cannot be seen from here; look for it on the cluster's own disks"
        )
    made = [record for index, record in read_records(storage, plan).items() if record != before.get(index)]
    return {
        "manifest": manifest,
        "rows_made": sum(record.num_rows for record in made),
        "shards_made": len(made),
        "seconds": None,
        "making_seconds": None,
        "losses": notes.losses if notes else {},
    }


def run_train(spec: TrainSpec, options: RunOptions) -> None:
    """Carry out `gangen train`."""
    address = options.cluster()
    if options.dry_run:
        facts = spec.model_dump(mode="json")
        text = "\n".join(f"  {name:22} {value}" for name, value in facts.items())
        print_result(facts, f"would train\n{text}\nnext: the same command without --dry-run", options)
        return
    if address is None:
        _check_training(spec)
        from jobs.training import train

        interrupt_on_sigterm()
        result = train(spec, options.ray(spec.placement))
        facts = {**result, "model_dir": spec.model_dir}
        print_result(facts, render.training_text(facts), options)
        return
    request = JobRequest(
        kind="train", spec_json=spec.model_dump_json(), submission_id=spec.job_id(), attach_to_succeeded=False
    )
    if submit_job(address, request, options):
        facts = {"model_dir": spec.model_dir}
        print_result(
            facts,
            f"trained {spec.model_dir}\nnext: gangen generate --model {spec.model_dir} --count 1e5",
            options,
        )


def _check_training(spec: TrainSpec) -> None:
    """Find what is wrong with the data, the folder or the configuration before Ray and TensorFlow load."""
    from ganmodel.data import needs_download

    training_set = spec.training_set()
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
    from ganmodel.checkpoint import CheckpointStore

    store = CheckpointStore(folder)
    old = store.config() if spec.resume != "fresh" else None
    # Which precision the device prefers is the worker's to say; it compares the whole configuration again.
    config = spec.resolved(training_set, old.precision if old else "float32")
    store.check(config, spec.resume)
    if not needs_download(spec.source):
        say(f"data: {len(training_set.labels):,} images of {training_set.name}; {config.steps:,} steps")


def submit_job(
    address: str, request: JobRequest, options: RunOptions, write: Callable[[str], None] | None = None
) -> bool:
    """Submit a job and follow it; return whether it was waited for. Anything but success raises.

    Args:
        address: of the cluster.
        request: the job.
        options: whether to wait, and what to print where not.
        write: called with the job's log as it comes; None passes it on to stderr.
    """
    say(f"cluster: {address}")
    client = JobsClient(address, options.environ)
    client.check_versions()
    job = client.submit(replace(request, image_has_gangen=options.image_has_gangen))
    follow = client.commands(job)
    if options.no_wait:
        facts: dict[str, Any] = {"status": "submitted", "job": job, "address": address, "follow": follow}
        lines = [f"submitted {job} to {address}", *(f"  {verb:9} {line}" for verb, line in follow.items())]
        print_result(facts, "\n".join([*lines, f"next: {follow['logs']}"]), options)
        return False
    say(f"job: {job}")
    try:
        outcome = client.follow(job, write or pass_on)
    except KeyboardInterrupt:
        say(f"the job goes on; to stop it: {follow['stop']}")
        raise
    if outcome.status != "SUCCEEDED":
        error = ClusterError(
            f"job {job} ended as {outcome.status} ({outcome.message}); its log: {follow['logs']}"
        )
        # The job ended with the code this command would have ended with.
        error.exit_code = outcome.exit_code or error.exit_code
        raise error
    return True


def pass_on(text: str) -> None:
    """Write a piece of a job's log to stderr."""
    sys.stderr.write(text)
    sys.stderr.flush()


def print_result(facts: dict[str, Any], text: str, options: RunOptions) -> None:
    """Write a result to stdout, as JSON where that was asked for."""
    typer.echo(render.to_json(facts) if options.as_json else text)
