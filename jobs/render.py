"""What the commands print to stdout: text for people, and the same facts as JSON for machines."""

from __future__ import annotations

import json
import shlex
import sys
from typing import TYPE_CHECKING, Any

from jobs.losses import lost_lines
from jobs.plan import Plan
from jobs.writers import FORMATS
from jobs.writers.tfrecord import folder

if TYPE_CHECKING:
    from jobs.specs import GenerateSpec


def size_text(size_bytes: float) -> str:
    """Return a size for people, as in `1.2 GB`."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if size_bytes < 1000 or unit == "TB":
            return f"{size_bytes:,.0f} {unit}" if unit == "B" else f"{size_bytes:,.1f} {unit}"
        size_bytes /= 1000
    raise AssertionError  # pragma: no cover - the loop always returns


def plan_facts(spec: GenerateSpec, plan: Plan, latent_dim: int) -> dict[str, Any]:
    """Return what `--dry-run` tells of a generation job; `latent_dim` is the generator's."""
    dataset = spec.dataset
    first, last = plan.task(0), plan.task(plan.num_shards - 1)
    return {
        "out": spec.out,
        "plan_digest": plan.digest,
        "model_digest": dataset.model_digest,
        "rows": dataset.count,
        "shards": plan.num_shards,
        "shard_rows": dataset.shard_rows,
        "last_shard_rows": last.num_rows,
        "labels": dataset.labels,
        "label_counts": plan.expected_counts(latent_dim),
        "estimated_bytes": plan.estimated_bytes(),
        "splits": plan.split_rows(),
        "first_files": list(plan.file_names(first).values()),
        "last_files": list(plan.file_names(last).values()),
    }


def plan_text(facts: dict[str, Any]) -> str:
    """Return the text twin of `plan_facts`."""
    sizes = ", ".join(f"{name} {size_text(size)}" for name, size in facts["estimated_bytes"].items())
    lines = [
        f"would write {facts['rows']:,} digits to {facts['out']}",
        f"  shards    {facts['shards']:,} of {facts['shard_rows']:,} rows, the last of {facts['last_shard_rows']:,}",
        f"  files     {' and '.join(facts['first_files'])} to {' and '.join(facts['last_files'])}",
        f"  splits    {', '.join(f'{name} {rows:,}' for name, rows in facts['splits'].items())}",
        f"  size      about {sizes}",
        f"  labels    {_labels_text(facts['label_counts'], facts['labels'])}",
        f"  plan      {facts['plan_digest'][:12]} of model {facts['model_digest'][:12]}",
        "next: the same command without --dry-run",
    ]
    return "\n".join(lines)


def _labels_text(counts: dict[int, int] | None, rule: str) -> str:
    if not counts:
        return f"drawn by the rule {rule}"
    low, high = min(counts.values()), max(counts.values())
    if high - low > 1:
        return ", ".join(f"{rows:,} of {label}" for label, rows in counts.items())
    each = f"{low:,}" if low == high else f"{low:,} to {high:,}"
    return f"{each} of each of {', '.join(map(str, counts))}"


def dataset_facts(result: dict[str, Any], out: str) -> dict[str, Any]:
    """Return what a finished generation job tells; see `jobs.driver.generate`."""
    manifest = result["manifest"]
    making, rows = result["making_seconds"], result["rows_made"]
    return {
        "status": "committed",
        "out": out,
        "rows": manifest.num_rows,
        "rows_made": rows,
        "shards": len(manifest.shards),
        "shards_made": result["shards_made"],
        "was_finished": result["was_finished"],
        "splits": Plan(manifest.spec).split_rows(),
        "size_bytes": manifest.size_bytes,
        "label_counts": manifest.label_counts,
        "plan_digest": manifest.plan_digest,
        "rows_digest": manifest.rows_digest,
        "model_digest": manifest.spec.model_digest,
        "name": manifest.spec.name,
        "seconds": result["seconds"],
        "making_seconds": making,
        "rows_per_s": rows / making if making else None,
        "losses": result["losses"],
    }


def dataset_text(facts: dict[str, Any]) -> str:
    """Return the text twin of `dataset_facts`; the last line says what to run next."""
    out = facts["out"]
    if facts["shards_made"] or not facts["was_finished"]:
        lines = [f"committed {facts['rows']:,} digits to {out}"]
        if facts["rows_per_s"]:
            speed = f"{facts['rows_per_s']:,.0f} rows/s once the workers were up"
            lines.append(f"  made      {facts['rows_made']:,} rows in {facts['seconds']:,.1f} s; {speed}")
    else:
        lines = [f"nothing to do: {out} holds all {facts['rows']:,} digits"]
    for name, size in facts["size_bytes"].items():
        files = facts["shards"] * len(FORMATS[name].keys)
        lines.append(f"  {name:9} {files:,} files, {size_text(size)}  ({out}/{FORMATS[name].root})")
    counts = facts["label_counts"]
    if len(facts["splits"]) > 1:
        lines.append(f"  splits    {', '.join(f'{name} {rows:,}' for name, rows in facts['splits'].items())}")
    lines.append(f"  labels    {_labels_text(counts, '')}")
    lines += lost_lines(facts["losses"], "their shards were made again")
    lines.append(f"  identity  plan {facts['plan_digest'][:12]}, rows {facts['rows_digest'][:12]}")
    lines.append(f"next: {next_command(facts)}")
    return "\n".join(lines)


def next_command(facts: dict[str, Any]) -> str:
    """Return a command that opens the finished data set."""
    scheme = facts["out"].partition("://")[0] if "://" in facts["out"] else "file"
    if "parquet" in facts["size_bytes"] and scheme in ("file", "s3", "gs"):  # those that pyarrow reads by URL
        where = f"{facts['out']}/{FORMATS['parquet'].root}"
        code = f'import pyarrow.dataset as d; print(d.dataset({json.dumps(where)}).head(5, columns=["index", "label"]))'
    elif "tfrecord" in facts["size_bytes"] and scheme == "file":
        where = f"{facts['out']}/{folder(facts['name'])}/*.tfrecord-*"
        code = f"import glob, tensorflow as tf; print(tf.data.TFRecordDataset(sorted(glob.glob({json.dumps(where)}))))"
    else:
        return shlex.join(["gangen", "verify", facts["out"]])
    return shlex.join([sys.executable, "-c", code])


def training_text(facts: dict[str, Any]) -> str:
    """Return what a finished training tells; the last line says what to run next."""
    metrics = facts["metrics"]
    losses = f"; losses d {metrics['d_loss']:.3f}, g {metrics['g_loss']:.3f}" if metrics else ""
    return "\n".join(
        [
            f"trained {facts['model_dir']} to step {facts['step']:,}{losses}",
            f"  model     {facts['model_digest'][:12]}",
            f"  samples   {facts['model_dir']}/samples",
            *lost_lines(facts["losses"], "gone on from the last checkpoint"),
            f"next: gangen generate --model {facts['model_dir']} --count 1e5",
        ]
    )


def to_json(facts: dict[str, Any]) -> str:
    """Return the facts as one line of JSON."""
    return json.dumps(facts)
