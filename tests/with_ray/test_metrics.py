"""What Prometheus would read: the metrics of a generation and of a training, from the port of Ray's own."""

from __future__ import annotations

import re
import socket
import time
import urllib.request
from typing import Any

import pytest

from jobs import driver
from jobs.specs import GenerateSpec
from jobs.training import train
from tests.support.noise_workers import TRAINING_VARIABLE, ray_with, untrained_spec
from tests.unit.fake_digits import dataset_spec

pytestmark = pytest.mark.ray_local

TIMEOUT_S = 60
SAMPLE = re.compile(r"^ray_(gangen_\w+)\{(.*)\} (\S+)$", re.MULTILINE)


@pytest.fixture
def exporting():
    """Return options for `ray_with`: before its Ray ends, what is exported is read until it has what is expected."""

    def make(expected: dict[tuple[str, ...], float], found: dict[tuple[str, ...], float]) -> dict[str, Any]:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]

        def read() -> None:
            give_up = time.monotonic() + TIMEOUT_S
            while not expected.items() <= found.items():
                assert time.monotonic() < give_up, f"{expected} is not in {found}"
                time.sleep(0.5)  # As often as it is reported.
                page = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10).read().decode()
                for name, text, value in SAMPLE.findall(page):
                    labels = dict(re.findall(r'(\w+)="([^"]*)"', text))
                    kept = [labels[key] for key in ("job", "stage", "cause", "le") if key in labels]
                    found[name, *kept] = float(value)

        fast = {"metrics_report_interval_ms": 500}
        return {"on_end": read, "address": "local", "_metrics_export_port": port, "_system_config": fast}

    return make


def test_a_generation_counts_rows_seconds_by_stage_and_its_rate(exporting, tmp_path, monkeypatch):
    facts = {"name": "noise", "digest": "", "latent_dim": 4, "training": {}, "quality": {}}
    monkeypatch.setattr(driver, "_model_facts", lambda spec: facts | {"digest": spec.dataset.model_digest})
    spec = GenerateSpec(
        dataset=dataset_spec(count=2500, shard_rows=1000), model="noise", out=str(tmp_path / "o")
    )
    job = driver.Plan(spec.dataset).job_id(spec.out)
    expected = {("gangen_shard_seconds_count", job, stage): 3.0 for stage in ("sample", "encode", "write")}
    found: dict[tuple[str, ...], float] = {}
    options = exporting(expected | {("gangen_rows_total", job): 2500.0}, found)
    driver.generate(spec, ray_with("replace_sampler", {}, **options))
    assert found["gangen_rows_per_second", job] > 0


def test_a_training_tells_its_step_its_rate_and_what_it_lost(exporting, tmp_path):
    told = tmp_path / "told"
    told.mkdir()
    (told / "0").write_text("memory")
    spec = untrained_spec(tmp_path / "model")
    expected = {
        ("gangen_losses_total", spec.job_id(), "out of memory"): 1.0,
        ("gangen_train_step", spec.job_id()): 3.0,
        ("gangen_train_images_per_second", spec.job_id()): 12.5,
    }
    options = exporting(expected, {})
    assert train(spec, ray_with("replace_training", {TRAINING_VARIABLE: str(told)}, **options))["step"] == 3
