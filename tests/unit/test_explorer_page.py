"""The page of `gangen explore` as text, its server, and its directions. No browser, no TensorFlow."""

from __future__ import annotations

import base64
import http.client
import re
import signal
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path

import numpy as np
import pytest

from ganmodel.directions import principal_directions
from ganmodel.errors import ModelError
from ganmodel.labels import parse_labels
from ganmodel.latents import draw_block
from ganmodel.recipe import Operation, Recipe, read_recipe
from jobs.explorer_page import SCRIPTS, render_explorer
from jobs.page_server import PageServer


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    return read_recipe("pretrained")


@pytest.fixture(scope="module")
def page(recipe) -> str:
    return render_explorer(recipe).decode()


def test_the_page_is_one_file_below_three_megabytes_that_may_ask_nobody(page) -> None:
    assert len(page) < 3_000_000
    assert len(re.sub(r'id="weights">[^<]*', "", page)) < 100_000
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy is not None
    assert policy[1].startswith("default-src 'none'; img-src data: blob:; style-src 'sha256-")
    assert "http:" not in page.replace("http-equiv", "")
    assert "https:" not in page
    assert re.findall(r"@[a-z-]+@", page) == []


def test_every_script_of_the_folder_is_in_the_page() -> None:
    folder = Path(__file__).parents[2] / "jobs/explorer"
    assert {path.name for path in folder.glob("*.js")} == set(SCRIPTS)
    assert all(len(path.read_text().splitlines()) <= 150 for path in folder.iterdir())


def test_the_page_is_the_same_each_time_and_names_its_model(page, recipe) -> None:
    assert render_explorer(recipe).decode() == page
    assert recipe.info.digest in page
    weights = re.search(r'id="weights">([^<]*)', page)
    assert weights is not None
    halves = np.frombuffer(base64.b64decode(weights[1]), "<f2")
    np.testing.assert_array_equal(halves[:320], recipe.embeddings.ravel().astype(np.float16))
    np.testing.assert_array_equal(halves[-4:], recipe.operations[-2].bias.astype(np.float16))


def test_what_a_model_calls_its_classes_cannot_leave_its_place(recipe) -> None:
    names = ("</script><b>", *recipe.info.class_names[1:])
    odd = Recipe(recipe.info.model_copy(update={"class_names": names}), recipe.embeddings, recipe.operations)
    assert "</script><b>" not in render_explorer(odd).decode()


def test_weights_too_large_for_float16_are_refused(recipe) -> None:
    first, *others = recipe.operations
    huge = Recipe(
        recipe.info,
        recipe.embeddings,
        (Operation("dense", first.kernel * np.float32(1e6), first.bias), *others),
    )
    with pytest.raises(ModelError, match="too large"):
        render_explorer(huge)


def test_directions_are_unit_vectors_of_falling_strength(recipe) -> None:
    directions, shares = principal_directions(recipe, 8)
    assert (directions.shape, directions.dtype) == ((8, 64), np.float32)
    np.testing.assert_allclose(np.linalg.norm(directions, axis=1), 1, atol=1e-5)
    assert (np.diff(shares) <= 0).all()
    assert 0.3 < shares.sum() < 1


def test_the_first_direction_moves_the_first_layer_more_than_a_random_one(recipe) -> None:
    first, leaky = recipe.operations[:2]
    hands, labels = draw_block(7, 0, 64, parse_labels("balanced"))

    def activations(z):
        h = np.concatenate([z, recipe.embeddings[labels]], axis=1) @ first.kernel + first.bias
        return np.where(h < 0, leaky.slope * h, h)

    directions, _ = principal_directions(recipe, 8)
    change = [np.linalg.norm(activations(hands + d) - activations(hands), axis=1).mean() for d in directions]
    rng = np.random.default_rng(0)
    random = rng.standard_normal((20, 64)).astype(np.float32)
    random /= np.linalg.norm(random, axis=1, keepdims=True)
    others = [np.linalg.norm(activations(hands + d) - activations(hands), axis=1).mean() for d in random]
    assert change[0] > 1.5 * np.mean(others)
    assert change[0] > change[3] > change[7]


def test_the_server_gives_the_page_alone_and_to_this_machine_alone() -> None:
    with PageServer(b"a page", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            assert server.socket.getsockname()[0] == "127.0.0.1"
            assert urllib.request.urlopen(server.url).read() == b"a page"
            answers = {}
            for path, host in (("/etc/passwd", None), ("/", "attacker.example"), ("/?x", "localhost")):
                client = http.client.HTTPConnection("127.0.0.1", server.server_port)
                client.request("GET", path, headers={"Host": f"{host or '127.0.0.1'}:{server.server_port}"})
                answers[path] = client.getresponse().status
                client.close()
            assert answers == {"/etc/passwd": 404, "/": 403, "/?x": 200}
        finally:
            server.shutdown()
            thread.join()


def test_the_command_serves_until_it_is_told_to_stop() -> None:
    command = [str(Path(sys.executable).with_name("gangen")), "explore", "--no-browser"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        line = process.stdout.readline()
        url = re.search(r"http://127\.0\.0\.1:\d+/", line)
        assert url is not None, line
        assert process.stdout.readline() == "next: Ctrl-C stops it\n"
        assert b"gangen: explore" in urllib.request.urlopen(url[0]).read()
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0
        assert process.stderr.read() == ""
