"""Evaluations as a user runs them: a model and data sets, every figure, the table, the JSON and the page."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from ganmodel.model_dir import read_model
from jobs.evaluation import METRIC_ORDER
from jobs.findings import RESULT_MARK
from jobs.report import JSON_FILE, PAGE_FILE

pytestmark = [pytest.mark.ray_local, pytest.mark.tf]

GANGEN = str(Path(sys.executable).with_name("gangen"))
TIMEOUT_S = 900


def gangen(*arguments: str, environ: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [GANGEN, *arguments],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
        env={**os.environ, **(environ or {})},
    )


def succeed(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    done = gangen(*arguments, **options)
    assert done.returncode == 0, done.stderr
    return done


def figures(facts: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for figure in facts["figures"]:
        found.setdefault(figure["metric"], []).append(figure)
    return found


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = str(tmp_path_factory.mktemp("model") / "tiny")
    succeed(
        "train", "--dataset", "digits", "--preset", "tiny", "--precision", "float32", "--steps", "300",
        "--model-dir", folder,
    )  # fmt: skip
    return folder


def test_a_model_is_measured_in_every_way_and_the_page_and_the_json_tell_the_same(
    model: str, tmp_path: Path
) -> None:
    report = tmp_path / "new" / "report"
    done = succeed(
        "evaluate", "--model", model, "--dataset", "digits", "--report", str(report), "--record", "--json"
    )
    facts = json.loads(done.stdout)
    assert json.loads((report / JSON_FILE).read_text()) == facts
    assert {path.name for path in report.iterdir()} == {PAGE_FILE, JSON_FILE}

    found = figures(facts)
    assert tuple(found) == METRIC_ORDER
    names = [extractor["name"] for extractor in facts["extractors"]]
    assert len(names) == 2
    assert all(len(extractor["digest"]) == 64 for extractor in facts["extractors"])
    for metric, each in found.items():
        alone = metric in ("cas", "nn_ratio", "nn_p1")
        assert [figure["extractor"] for figure in each] == ([None] if alone else names), metric
        assert all(figure["real"] is not None and figure["samples"] > 0 for figure in each), metric
        assert all("split" in figure["reference"] for figure in each), metric
    assert (facts["samples"], facts["dataset"]["train_rows"], facts["dataset"]["test_rows"]) == (
        1500,
        1500,
        297,
    )
    quality = read_model(model).quality
    assert quality["FID, lenet"].value == found["fid"][0]["value"]
    assert quality["CAS"].reference == "digits, test split, 297"

    # 300 steps of a tiny generator: worse than real digits by every measure that should tell.
    assert all(figure["value"] > 1.5 * figure["real"] for figure in found["fid"])
    assert found["cas"][0]["value"] < found["cas"][0]["real"]
    assert all(figure["value"] < figure["real"] for figure in found["coverage"])

    page = (report / PAGE_FILE).read_text()
    assert "http:" not in page
    assert "https:" not in page
    assert page.count("data:image/png;base64,") == 10 + 30
    assert "<figcaption>d_loss</figcaption>" in page
    assert "extractors: none ships for this training split of digits" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("formats", "encoding"),
    [
        ("parquet", "png"),
        pytest.param("tfrecord", "raw", marks=pytest.mark.slow),
        pytest.param("parquet,tfrecord", "raw", marks=pytest.mark.slow),
    ],
)
def test_a_data_set_of_each_format_is_measured_like_the_model_that_made_it(
    formats: str, encoding: str, model: str, tmp_path: Path
) -> None:
    data = str(tmp_path / "data")
    succeed(
        "generate", "--model", model, "--count", "1200", "--shard-rows", "1000", "--seed", "3", "--out", data,
        "--format", formats, "--image-encoding", encoding,
    )  # fmt: skip
    common = ("--dataset", "digits", "--metrics", "nn", "--json")
    from_data = json.loads(succeed("evaluate", "--data", data, *common).stdout)
    from_model = json.loads(
        succeed("evaluate", "--model", model, "--seed", "3", "--samples", "1200", *common).stdout
    )
    assert from_data["samples"] == 1200
    assert from_data["subject"]["kind"] == "data"
    assert from_data["figures"] == from_model["figures"]
    assert list(figures(from_data)) == ["nn_ratio", "nn_p1"]


def test_the_table_ends_with_the_command_that_shows_more(model: str) -> None:
    done = succeed("evaluate", "--model", model, "--dataset", "digits", "--metrics", "nn", "--samples", "500")
    lines = done.stdout.splitlines()
    assert lines[0].startswith("evaluated model digits (")
    assert any("nearest neighbour, ratio" in line for line in lines)
    assert lines[-1].startswith(f"next: gangen evaluate --model {model} --dataset digits --samples 500")
    assert "--report " in lines[-1]


def test_a_killed_worker_costs_its_part_alone(model: str) -> None:
    command = [GANGEN, "evaluate", "--model", model, "--dataset", "digits", "--metrics", "cas", "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + TIMEOUT_S
    workers: list[psutil.Process] = []
    while not workers:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.2)
        children = psutil.Process(process.pid).children(recursive=True)
        workers = [p for p in children if (p.cmdline() or [""])[0].startswith("ray::EvaluateWorker")]
    workers[0].send_signal(signal.SIGKILL)
    output, errors = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0, errors
    assert "a worker was lost (worker lost: " in errors
    facts = json.loads(output)
    assert [figure["metric"] for figure in facts["figures"]] == ["cas"]
    assert facts["losses"] == {"worker lost": 1}


def test_an_interrupt_ends_it_in_one_line(model: str) -> None:
    command = [GANGEN, "evaluate", "--model", model, "--dataset", "digits", "--metrics", "cas"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    while not (line := process.stderr.readline()).startswith("data: "):
        assert line, "it ended before it began"
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=TIMEOUT_S)
    assert (process.returncode, output) == (130, "")
    assert errors.splitlines()[-1] == "error: interrupted: nothing is kept; the same command starts over"
    assert "Traceback" not in errors


def test_extractors_are_trained_and_written(tmp_path: Path) -> None:
    out = tmp_path / "extractors"
    done = succeed("train-extractors", "--dataset", "digits", "--out", str(out), "--json")
    facts = json.loads(done.stdout)
    assert (facts["train_rows"], facts["test_rows"], len(facts["extractors"])) == (1500, 297, 2)
    assert all(extractor["test_accuracy"] > 0.8 for extractor in facts["extractors"])
    assert (out / "extractors.json").is_file()


def test_on_a_cluster_the_result_comes_back_through_the_log(cluster, model: str, tmp_path: Path) -> None:
    report = tmp_path / "report"
    command = [
        "evaluate", "--model", model, "--dataset", "digits", "--metrics", "nn", "--address", cluster.address,
    ]  # fmt: skip
    submitted = json.loads(succeed(*command, "--no-wait", "--json", environ=cluster.environ).stdout)
    assert submitted["job"].startswith("gangen-evaluate-")
    done = succeed(*command, "--report", str(report), "--json", environ=cluster.environ)
    assert f"job: {submitted['job']}\n" in done.stderr, "the same command is the same job"
    assert RESULT_MARK not in done.stderr
    assert cluster.token not in done.stderr
    facts = json.loads(done.stdout)
    assert json.loads((report / JSON_FILE).read_text()) == facts
    assert list(figures(facts)) == ["nn_ratio", "nn_p1"]
    again = succeed(*command, "--json", environ=cluster.environ)
    assert json.loads(again.stdout) == facts, "a job that has ended gives its result again"

    lost = gangen(*command[:-2], "--samples", "1501", *command[-2:], environ=cluster.environ)
    assert lost.returncode == 2
    assert "--samples: at most the 1,500 of the training split, got 1,501" in lost.stderr
