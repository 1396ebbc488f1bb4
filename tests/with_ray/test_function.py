"""The data set without the data is the one `gangen generate` writes, and Ray Data reads it too."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from chromium import chromium, find_chromium

from ganmodel import DigitFunction
from ganmodel.recipe import read_recipe
from jobs.art_requests import PreviewSpec
from jobs.explorer_page import render_explorer
from jobs.preview import draw_preview
from jobs.reading import open_dataset, read_rows

pytestmark = [pytest.mark.ray_local, pytest.mark.tf]

COUNT, SEED = 2300, 11


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A data set that `gangen generate` wrote."""
    path = str(tmp_path_factory.mktemp("written") / "out")
    gangen = str(Path(sys.executable).with_name("gangen"))
    options = ["--labels", "1,4,7", "--truncation", "0.9", "--seed", str(SEED), "--shard-rows", "1000"]
    command = [gangen, "generate", "--count", str(COUNT), "--out", path, *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stderr
    return path


def test_rows_are_those_that_generate_writes(written: str) -> None:
    images, labels = read_rows(written, open_dataset(written), COUNT)
    digits = DigitFunction.pretrained(seed=SEED, labels="1,4,7", truncation=0.9)
    np.testing.assert_array_equal(digits[:COUNT][0], images)
    np.testing.assert_array_equal(digits[:COUNT][1], labels)
    computed = PreviewSpec(
        kind="rows", seed=SEED, rule="1,4,7", truncation=0.9, first_row=990, end_row=1010, columns=10, scale=1
    )
    np.testing.assert_array_equal(draw_preview(computed)[0], images[990:1010])
    for first, end in ((0, 5), (995, 1005), (1000, 1001), (2000, COUNT)):
        shown, shown_labels = draw_preview(
            PreviewSpec(kind="data", data=written, first_row=first, end_row=end, columns=10, scale=1)
        )
        np.testing.assert_array_equal(shown, images[first:end])
        np.testing.assert_array_equal(shown_labels, labels[first:end])


def test_rows_in_a_browser_are_those_too_to_a_grey_level(written: str, tmp_path: Path) -> None:
    program = find_chromium()
    if program is None:
        pytest.skip("there is no Chromium; Debian's is `apt install chromium`")
    images, labels = read_rows(written, open_dataset(written), COUNT)
    page = tmp_path / "index.html"
    page.write_bytes(render_explorer(read_recipe("pretrained")))
    with chromium(program, tmp_path / "browser") as tab:
        tab.open(page.as_uri(), "typeof page === 'object'")
        tab.evaluate("page.explorer.change({truncation: 0.9})")
        for row in (0, 999, 1000, 2222):
            tab.evaluate(f"page.explorer.showRow({SEED}n, {row}n, {labels[row]})")
            found = np.reshape(tab.evaluate("[...page.explorer.pixels()]"), (28, 28))
            assert np.abs(found - images[row].astype(int)).max() <= 1


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Ray's own
@pytest.mark.filterwarnings("ignore::ResourceWarning")
# On one core the actor takes it, and what tells it the blocks' numbers must not wait for it.
@pytest.mark.parametrize(("cores", "actors"), [(2, 1), pytest.param(1, None, marks=pytest.mark.slow)])
def test_ray_data_gets_the_rows_and_their_numbers(cores: int, actors: int | None) -> None:
    import ray

    digits = DigitFunction.pretrained(seed=SEED)
    root = str(Path(__file__).parents[2])
    ray.init(
        "local",
        num_cpus=cores,
        include_dashboard=False,
        log_to_driver=False,
        logging_level="ERROR",
        runtime_env={"env_vars": {"PYTHONPATH": root, "TF_CPP_MIN_LOG_LEVEL": "3"}},
    )
    try:
        rows = digits.as_ray_dataset(1800, first_row=700, actors=actors)
        batches = list(rows.iter_batches(batch_size=None))
    finally:
        ray.shutdown()
    index = np.concatenate([batch["index"] for batch in batches])
    images = np.concatenate([batch["image"] for batch in batches])
    labels = np.concatenate([batch["label"] for batch in batches])
    order = np.argsort(index)
    assert np.array_equal(index[order], np.arange(700, 2500))
    assert images.dtype == np.uint8
    np.testing.assert_array_equal(images[order], digits[700:2500][0])
    np.testing.assert_array_equal(labels[order], digits[700:2500][1])


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize(("asked", "most"), [(None, 3), (2, 2)])
def test_ray_data_has_as_many_actors_as_there_are_cores_though_ray_was_not_there(
    monkeypatch, asked, most
) -> None:
    import ray

    own = partial(
        ray.init, "local", num_cpus=3, include_dashboard=False, log_to_driver=False, logging_level="ERROR"
    )
    monkeypatch.setattr(ray, "init", own)
    pools, pool = [], ray.data.ActorPoolStrategy
    monkeypatch.setattr(ray.data, "ActorPoolStrategy", lambda **sizes: pools.append(sizes) or pool(**sizes))
    try:
        DigitFunction.pretrained().as_ray_dataset(10_000, actors=asked)
    finally:
        ray.shutdown()
    assert [sizes["max_size"] for sizes in pools] == [most]


@pytest.mark.slow
def test_the_benchmark_has_a_rate_for_every_adapter_that_is_there(tmp_path: Path) -> None:
    root, report = Path(__file__).parents[2], tmp_path / "rates.json"
    command = [sys.executable, str(root / "benchmarks/function.py"), "--rows", "1000", "--rounds", "1"]
    done = subprocess.run(
        [*command, "--json", str(report)], capture_output=True, text=True, timeout=300, check=False, cwd=root
    )
    assert done.returncode == 0, done.stderr
    rates = json.loads(report.read_text())["rows_per_s"]
    assert {"as_tf_dataset(256)", "as_ray_dataset"} <= set(rates)
    assert ("as_torch_dataset(256)" in rates) != ("PyTorch is not installed" in done.stdout)
    assert all(rate > 0 for rate in rates.values())
