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
def exported():
    """Return options for `ray_with`, and what was exported when its Ray ended, by name and label values."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    found: dict[tuple[str, ...], float] = {}

    def read() -> None:
        give_up, before = time.monotonic() + TIMEOUT_S, None
        while not found or found != before:
            assert time.monotonic() < give_up, "nothing of ours is exported"
            before = dict(found)
            time.sleep(1.5)  # What is counted now is reported twice a second.
            page = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10).read().decode()
            for name, text, value in SAMPLE.findall(page):
                labels = dict(re.findall(r'(\w+)="([^"]*)"', text))
                kept = [labels[key] for key in ("job", "stage", "cause", "le") if key in labels]
                found[name, *kept] = float(value)

    options: dict[str, Any] = {
        "on_end": read,
        "_metrics_export_port": port,
        "_system_config": {"metrics_report_interval_ms": 500},
    }
    return options, found


def test_a_generation_counts_rows_seconds_by_stage_and_its_rate(exported, tmp_path, monkeypatch):
    options, found = exported
    facts = {"name": "noise", "digest": "", "latent_dim": 4, "training": {}, "quality": {}}
    monkeypatch.setattr(driver, "_model_facts", lambda spec: facts | {"digest": spec.dataset.model_digest})
    spec = GenerateSpec(
        dataset=dataset_spec(count=2500, shard_rows=1000), model="noise", out=str(tmp_path / "o")
    )
    driver.generate(spec, ray_with("replace_sampler", {}, **options))
    job = driver.Plan(spec.dataset).job_id(spec.out)
    assert found["gangen_rows_total", job] == 2500
    assert found["gangen_rows_per_second", job] > 0
    stages = {key[2] for key in found if key[0] == "gangen_shard_seconds_count"}
    assert {"sample", "encode", "write"} <= stages
    assert all(found["gangen_shard_seconds_count", job, stage] == 3 for stage in stages)


def test_a_training_tells_its_step_its_rate_and_what_it_lost(exported, tmp_path):
    options, found = exported
    told = tmp_path / "told"
    told.mkdir()
    (told / "0").write_text("memory")
    spec = untrained_spec(tmp_path / "model")
    train(spec, ray_with("replace_training", {TRAINING_VARIABLE: str(told)}, **options))
    job = spec.job_id()
    assert found["gangen_losses_total", job, "out of memory"] == 1
    assert found["gangen_train_step", job] == 2
    assert found["gangen_train_images_per_second", job] == 12.5
