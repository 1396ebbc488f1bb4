"""`gangen evaluate` and `gangen train-extractors`: a spec becomes work, and its result a table, a page, JSON."""

from __future__ import annotations

import hashlib
import os
import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganmodel.errors import ClusterError, SpecError
from ganmodel.model_dir import PRETRAINED, record_quality
from jobs import render_evaluation as render
from jobs.findings import LogFilter
from jobs.local import interrupt_on_sigterm
from jobs.measure import plan_parts
from jobs.progress import say
from jobs.remote import JobRequest
from jobs.report import PAGE_FILE, write_report
from jobs.submit import pass_on, print_result, submit_job
from jobs.upload import code_digest

if TYPE_CHECKING:
    from jobs.findings import Findings
    from jobs.specs import EvaluateSpec, ExtractorsSpec
    from jobs.submit import RunOptions


def run_evaluate(spec: EvaluateSpec, report: str | None, record: bool, options: RunOptions) -> None:
    """Carry out `gangen evaluate`.

    Args:
        spec: the job.
        report: folder of the page and the JSON, on this machine; None writes none.
        record: whether the figures are added to the model's `model.json`, from where cards take them.
        options: where it runs and what it prints.
    """
    address = options.cluster()
    if report is not None and options.no_wait:
        raise SpecError(
            "--report and --no-wait: the page is written when the job has ended; give one of them"
        )
    if record:
        _check_record(spec, options)
    if options.dry_run:
        facts = spec.model_dump(mode="json")
        print_result(facts, render.plan_text(facts, list(map(str, plan_parts(spec.metrics)))), options)
        return
    folder = None if report is None else _writable("--report", report)
    if address is None:
        _check_digits(spec)
        from jobs.evaluation import evaluate

        interrupt_on_sigterm()
        findings = evaluate(spec, options.ray())
    else:
        found = _on_cluster(address, spec, options)
        if found is None:
            return
        findings = found
    if record:
        quality = render.quality_figures(findings.evaluation)
        record_quality(Path(spec.subject.path), spec.subject.digest, quality)
    command = render.evaluate_command(spec)
    if folder is not None:
        write_report(folder, findings, command)
    page = None if folder is None else str(folder / PAGE_FILE)
    text = render.evaluation_text(findings, page, f"{command} --report reports/{spec.subject.name}")
    print_result(render.evaluation_facts(findings), text, options)


def _check_record(spec: EvaluateSpec, options: RunOptions) -> None:
    if options.no_wait:
        raise SpecError(
            "--record and --no-wait: figures are recorded when the job has ended; give one of them"
        )
    if spec.subject.kind != "model" or spec.subject.path == PRETRAINED or "://" in spec.subject.path:
        raise SpecError("--record: is for the folder of a model; give --model DIR")
    if spec.subject.truncation != 1:
        raise SpecError(
            f"--record: a model's figures are those of its digits at --truncation 1, got {spec.subject.truncation:g}"
        )
    _writable("--model", spec.subject.path)


def _on_cluster(address: str, spec: EvaluateSpec, options: RunOptions) -> Findings | None:
    """Return what a job found; None where it was not waited for.

    An evaluation is a function of its spec, which names its inputs by content, and of the code. So a job of
    the same id that has succeeded is the answer: `--no-wait` now, the same command later for the result. Its log may be
    gone by then, with the node it ran on: then the job is run again.
    """
    text = spec.model_dump_json()
    identity = hashlib.sha256(f"{text} {code_digest()}".encode()).hexdigest()[:16]
    request = JobRequest(kind="evaluate", spec_json=text, submission_id=f"gangen-evaluate-{identity}")
    log = LogFilter(pass_on)
    if not submit_job(address, request, options, log):
        return None
    log.flush()
    if log.result is None:
        say("the job has succeeded, but its log is gone, and the result with it: it is run again")
        submit_job(address, replace(request, attach_to_succeeded=False), options, log)
    found: Findings = log.finish()
    return found


def run_train_extractors(spec: ExtractorsSpec, options: RunOptions) -> None:
    """Carry out `gangen train-extractors`."""
    address = options.cluster()
    if options.dry_run:
        facts: dict[str, Any] = spec.model_dump(mode="json")
        text = f"would train two classifiers on {spec.source} and write them to {spec.out}"
        print_result(facts, f"{text}\nnext: the same command without --dry-run", options)
        return
    if address is None:
        _check_source(spec.source)
        _writable("--out", str(Path(spec.out).parent))
        from jobs.evaluation import train_extractors

        interrupt_on_sigterm()
        facts = train_extractors(spec, options.ray())
        print_result({**facts, "out": spec.out}, render.extractors_text(facts, spec), options)
        return
    text = spec.model_dump_json()
    job = f"gangen-extractors-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
    request = JobRequest(
        kind="train-extractors", spec_json=text, submission_id=job, attach_to_succeeded=False
    )
    if submit_job(address, request, options):
        from ganmodel.extractors import read_extractors

        if not Path(spec.out).is_dir():
            raise ClusterError(
                f"the job succeeded, but {spec.out} cannot be seen from here; look for it on the cluster's own disks"
            )
        facts = read_extractors(Path(spec.out)).model_dump(mode="json")
        print_result({**facts, "out": spec.out}, render.extractors_text(facts, spec), options)


def _check_digits(spec: EvaluateSpec) -> None:
    """Find what is wrong with the real digits before Ray and TensorFlow load."""
    num_images = _check_source(spec.source)
    if num_images is not None:
        spec.num_samples(num_images)


def _check_source(source: str) -> int | None:
    """Check both splits; return the size of the training split. What needs a download is the worker's to get."""
    from ganmodel.data import needs_download
    from jobs.inputs import load_test_set, load_training_set

    if needs_download(source):
        return None
    load_test_set(source)
    return len(load_training_set(source).labels)


def _writable(option: str, folder: str) -> Path:
    """Return a folder, made if need be, that can be written to: a long measurement must not end in a refusal."""
    try:
        path = Path(folder).expanduser().absolute()
        path.mkdir(parents=True, exist_ok=True)
        probe = path / f".probe-{os.getpid()}"
        probe.write_bytes(b"\0")
        probe.unlink()
    except (OSError, RuntimeError) as err:
        reason = getattr(err, "strerror", None) or err
        raise SpecError(
            f"{option} {shlex.quote(folder)}: cannot be written ({reason}); choose another folder"
        ) from err
    return path
