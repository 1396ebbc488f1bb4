"""What `gangen verify`, `status` and `export` print: the text twins of their JSON."""

from __future__ import annotations

import shlex
from typing import Any

from jobs.faults import Fault
from jobs.losses import losses_text
from jobs.render import size_text
from jobs.status import NOT_MADE

MAX_FAULTS = 20
"""Faults that are printed; `--json` has them all."""


def fault_count(faults: list[Fault]) -> str:
    """Return how many faults there are, as words."""
    return f"{len(faults):,} fault{'s' * (len(faults) > 1)}"


def verify_text(facts: dict[str, Any], faults: list[Fault], command: str) -> str:
    """Return the text of a check; `command` is what to run next."""
    size = f"{facts['rows']:,} rows in {facts['shards']:,} shards"
    is_read = facts["shards"] > 0
    lines = [f"good: {facts['dataset']} holds {size} as its manifest says"]
    if faults:
        lines = [
            f"damaged: {facts['dataset']} ({size if is_read else 'rows unknown'}) has {fault_count(faults)}"
        ]
        lines += [f"  {fault}" for fault in faults[:MAX_FAULTS]]
        if len(faults) > MAX_FAULTS:
            lines.append(f"  and {len(faults) - MAX_FAULTS:,} more; --json has them all")
    checked = (
        "every byte and row" if facts["full"] else "manifest, sizes and footers (--full reads every row)"
    )
    lines.append(f"  checked   {checked if is_read else 'the manifest alone'}, in {facts['seconds']:.1f} s")
    if any(fault.is_as_committed for fault in faults):
        lines.append(
            "  meaning   the files are those of the manifest, its model draws others: no repair helps"
        )
    if again := facts["regenerated"]:
        rest = again["blocks"] - again["exact_blocks"]
        text = f"{again['exact_blocks']:,} blocks byte for byte"
        if rest:
            within = f"within {again['allowed_levels']} grey levels (found {again['levels']})"
            text += f", {rest:,} of another device {within}"
        lines.append(f"  drawn     {text}")
    return "\n".join([*lines, f"next: {command}"])


def status_text(facts: dict[str, Any]) -> str:
    """Return the text twin of `jobs.status.status`."""
    lines = [
        f"{facts['status']}: {facts['dataset']}",
        f"  rows      {facts['rows_done']:,} of {facts['rows']:,}",
        f"  shards    {facts['shards_done']:,} of {facts['shards']:,}",
        f"  splits    {', '.join(f'{name} {rows:,}' for name, rows in facts['splits'].items())}",
        f"  size      {', '.join(f'{name} {size_text(size)}' for name, size in facts['size_bytes'].items())}",
    ]
    if facts["unreadable"]:
        lines.append(f"  manifest  {facts['unreadable']} cannot be read")
    if len(facts["segments"]) > 1:
        lines.append(f"  grown     {' then '.join(f'{end:,}' for end in facts['segments'])} rows")
    if facts["rows_per_core_s"]:
        lines.append(f"  rate      {facts['rows_per_core_s']:,.0f} rows/s a worker")
    lines += _run_lines(facts)
    lines += _missing_lines(facts)
    return "\n".join([*lines, f"next: {facts['next']}"])


def _missing_lines(facts: dict[str, Any]) -> list[str]:
    """Return a line for each shard that something befell, and one for those whose turn has not come."""
    befallen = [entry for entry in facts["missing"] if entry["why"] != NOT_MADE]
    lines = [
        f"  missing   shard {entry['shard']} (rows {entry['first_row']:,} and on): {entry['why']}"
        for entry in befallen
    ]
    rest = facts["missing_shards"] - len(befallen)
    if len(befallen) < len(facts["missing"]):
        first = facts["missing"][len(befallen)]
        lines.append(
            f"  missing   {rest:,} shards {NOT_MADE}, the first {first['shard']} (rows {first['first_row']:,} and on)"
        )
    elif rest:
        lines.append(f"  missing   and {rest:,} more")
    return lines


def _run_lines(facts: dict[str, Any]) -> list[str]:
    """Return what is told of the last run, and of the cluster's job."""
    lines = []
    if run := facts["last_run"]:
        total = sum(run["stage_seconds"].values()) or 1.0
        shares = ", ".join(f"{stage} {spent / total:.0%}" for stage, spent in run["stage_seconds"].items())
        lines.append(f"  last run  {run['rows']:,} rows at {run['rows_per_s']:,.0f} rows/s; {shares}")
        if text := losses_text(run["losses"]):
            lines.append(f"  lost      {text}")
    if job := facts.get("job"):
        lines.append(
            f"  job       {job['job']} is {job['status']}" + (f": {job['message']}" if job["message"] else "")
        )
    return lines


def export_text(facts: dict[str, Any]) -> str:
    """Return the text of an export; the last line says what to run next."""
    sizes = ", ".join(f"{name} {size_text(size)}" for name, size in facts["size_bytes"].items())
    lead = f"exported {facts['rows']:,} digits to {facts['out']}"
    if facts["was_finished"]:
        lead = f"nothing to do: all {facts['rows']:,} digits are in {facts['out']}"
    return "\n".join(
        [
            lead,
            f"  size      {sizes}",
            f"  identity  plan {facts['plan_digest'][:12]}, rows {facts['rows_digest'][:12]}",
            f"next: {shlex.join(['gangen', 'verify', facts['out'], '--full'])}",
        ]
    )
