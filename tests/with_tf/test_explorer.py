"""The page of `gangen explore` in a real browser: it draws what the sampler draws, and asks nobody for anything."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from chromium import Tab, chromium, find_chromium
from PIL import Image

from ganmodel import DigitFunction
from ganmodel.config import GeneratorConfig, TutorialGeneratorConfig
from ganmodel.hands import between, row_hand
from ganmodel.labels import parse_labels
from ganmodel.latents import draw_block
from ganmodel.model_dir import export_model
from ganmodel.recipe import read_recipe
from ganmodel.rows import MAX_ROWS
from jobs import cli
from jobs.explorer_page import render_explorer
from jobs.page_server import PageServer

pytestmark = pytest.mark.tf

READY = "typeof page === 'object' && page.queue.isIdle"
SEED = 11


@pytest.fixture(scope="module")
def browser(tmp_path_factory) -> Iterator[Tab]:
    program = find_chromium()
    if program is None:
        pytest.skip("there is no Chromium; Debian's is `apt install chromium`")
    with chromium(program, tmp_path_factory.mktemp("chromium")) as found:
        yield found


@pytest.fixture(scope="module")
def server() -> Iterator[PageServer]:
    with PageServer(render_explorer(read_recipe("pretrained")), 0) as found:
        thread = threading.Thread(target=found.serve_forever)
        thread.start()
        yield found
        found.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def loaded(browser, server) -> Tab:
    browser.open(server.url, READY)
    return browser


@pytest.fixture
def tab(loaded) -> Iterator[Tab]:
    """The page with row 0 of seed 0; at the end there must have been no problem and no request but for the page."""
    loaded.evaluate(
        "page.explorer.change({truncation: 1}); page.explorer.showRow(0n, 0n); document.activeElement.blur()"
    )
    yield loaded
    assert loaded.problems == []
    assert [
        url for url in loaded.requests if not url.startswith(("blob:http://127.0.0.1", "data:"))
    ] == loaded.requests[:1]


PIXELS = """(() => {
  const copy = newDigit().getContext("2d", {willReadFrequently: true});
  copy.drawImage(byId("digit"), 0, 0);
  return [...copy.getImageData(0, 0, 28, 28).data].filter((_, i) => i % 4 === 0);
})()"""


def shown(tab: Tab) -> np.ndarray:
    """Return the grey levels of the canvas, [28, 28]."""
    return np.array(tab.evaluate(PIXELS)).reshape(28, 28)


def assert_equal(found, expected) -> None:
    assert np.abs(np.asarray(found, int) - np.asarray(expected, int)).max() <= 1


def test_rows_are_those_of_the_data_set(tab) -> None:
    rows = [0, 1, 17, 999, 1000, 123_456_789, 10**12 + 1, MAX_ROWS - 1]
    for seed in (0, 2**63 - 1):
        images, labels = DigitFunction.pretrained(seed=seed)[np.array(rows)]
        for row, image, label in zip(rows, images, labels, strict=True):
            tab.evaluate(f"page.explorer.showRow({seed}n, {row}n)")
            assert_equal(shown(tab), image)
            assert tab.evaluate("pureLabel(page.explorer.state.mix)") == label


def test_many_digits_stay_within_a_grey_level(tab) -> None:
    images, _ = DigitFunction.pretrained(seed=3)[2000:2400]
    found = tab.evaluate(
        "Array.from({length: 400}, (_, i) => {"
        "  const {base, mix} = page.explorer.rowOf(3n, BigInt(2000 + i));"
        "  return [...page.explorer.draw(base.hand, mix)]; })"
    )
    assert_equal(np.array(found).reshape(400, 28, 28), images)
    assert images.std() > 50


# Block 21 has a proposal that float64 would take, block 118 one that lies on the edge of its layer.
@pytest.mark.parametrize(
    ("seed", "block", "classes"),
    [(0, 0, 10), (0, 21, 10), (0, 118, 10), (2**63 - 1, 2**53 - 1, 10), (5, 123, 7)],
)
def test_latents_and_labels_are_numpys_to_the_bit(tab, seed, block, classes) -> None:
    latents, labels = draw_block(seed, block, 64, parse_labels("balanced", classes))
    tab.evaluate(f"reader = rowReader(64, {classes}); 0")
    found = tab.evaluate(
        f"Array.from({{length: 1000}}, (_, i) => reader({seed}n, {1000 * block}n + BigInt(i)).label)"
    )
    assert found == labels.tolist()
    rows = tab.evaluate(
        f"Array.from({{length: 1000}}, (_, i) => [...reader({seed}n, {1000 * block}n + BigInt(i)).hand])"
    )
    found_latents, tail = np.array(rows, np.float32), np.abs(latents) > 3.654
    np.testing.assert_array_equal(found_latents[~tail], latents[~tail])
    np.testing.assert_array_max_ulp(found_latents[tail], latents[tail], maxulp=1)  # log1pf is the C library's


def test_the_command_it_shows_draws_the_same_digit(tab, tmp_path, monkeypatch, capsys) -> None:
    tab.evaluate("page.explorer.showRow(4n, 1234n, 8); page.explorer.change({truncation: 0.7})")
    command = tab.evaluate("byId('command').textContent")
    assert command == "gangen preview --seed 4 --rows 1234:1235 --labels 8 --truncation 0.7 --out digit.png"
    run(command.split()[1:], tmp_path, monkeypatch, capsys)
    assert_equal(shown(tab), np.asarray(Image.open(tmp_path / "digit.png"))[::3, ::3][2:30, 2:30])


def run(arguments: list[str], folder: Path, monkeypatch, capsys) -> str:
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["gangen", *arguments])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    output = capsys.readouterr()
    assert (stop.value.code, output.err) == (0, "")
    return output.out


def downloaded(tab: Tab, button: str, path: Path) -> Path:
    """Press a button that downloads and wait for the file."""
    tab.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(path.parent))
    tab.evaluate(f"byId('{button}').click()")
    deadline = time.monotonic() + 60
    while not path.is_file():
        assert time.monotonic() < deadline, f"{path} does not come"
        time.sleep(0.05)
    return path


def assert_same_file(found: Path, ours: Path, digit: np.ndarray) -> None:
    """Compare a download with what `gangen` wrote, or a single digit with its grey levels."""
    if found.suffix == ".json":
        assert found.read_bytes() == ours.read_bytes()
    elif ours.exists():
        assert_equal(np.asarray(Image.open(found).convert("L")), np.asarray(Image.open(ours)))
    else:
        assert_equal(np.asarray(Image.open(found).convert("L")), digit.repeat(10, axis=0).repeat(10, axis=1))


def test_what_is_kept_is_drawn_again_from_its_hands(tab, tmp_path, monkeypatch, capsys) -> None:
    tab.evaluate(
        "byId('sheet-clear').click(); page.explorer.change({shifts: page.explorer.state.shifts.with(0, 1.5)})"
    )
    moved = shown(tab)
    tab.press("k", 75)
    tab.evaluate("byId('share').value = 0.4; byId('share').dispatchEvent(new Event('input'))")
    middle = shown(tab)
    assert "labels" in tab.evaluate("byId('caption').textContent")
    tab.press("k", 75)
    assert tab.evaluate("byId('sheet').children.length") == 2
    (tmp_path / "hands.json").write_text(tab.evaluate("page.sheet.handsFile()"))
    command = tab.evaluate("byId('hands-command').textContent")
    assert command == "gangen preview --hands hands.json --out sheet.png"
    run(command.split()[1:], tmp_path, monkeypatch, capsys)
    sheet = np.asarray(Image.open(tmp_path / "sheet.png"))[::3, ::3]
    assert_equal(sheet[2:30, 2:30], moved)
    assert_equal(sheet[2:30, 32:60], middle)
    for button, name in (("sheet-save", "sheet.png"), ("save", "digit.png"), ("sheet-hands", "hands.json")):
        assert_same_file(downloaded(tab, button, tmp_path / "down" / name), tmp_path / name, middle)
    digits = json.loads((tmp_path / "hands.json").read_text())["digits"]
    labels = DigitFunction.pretrained()[0:2][1]
    assert_equal(np.nonzero(digits[1]["mix"])[0], sorted(labels))
    expected = between(row_hand(0, 0, 64), row_hand(0, 1, 64), 0.4)
    np.testing.assert_allclose(digits[1]["hand"], expected, atol=1e-5)


def test_it_can_be_used_from_the_keyboard(tab) -> None:
    before = shown(tab)
    tab.press("ArrowRight", 39)
    assert tab.evaluate("byId('row').value") == "1"
    tab.press("7", 55)
    assert tab.evaluate("document.querySelector('[aria-pressed=true]').textContent") == "7"
    tab.press("ArrowLeft", 37)
    np.testing.assert_array_equal(shown(tab), before)
    tab.evaluate("byId('map').focus()")
    tab.press("ArrowUp", 38)
    tab.press("ArrowRight", 39)
    assert tab.evaluate("page.explorer.state.shifts.slice(0, 3)") == [0.25, 0.25, 0]
    assert tab.evaluate("byId('row').value") == "0"
    tab.press("r", 82)
    assert tab.evaluate("byId('row').value") != "0"


def test_it_can_be_used_by_dragging(tab) -> None:
    def middle(name: str) -> tuple[float, float, float, float]:
        tab.evaluate(f"byId('{name}').scrollIntoView({{block: 'center'}})")
        box = tab.evaluate(
            f"(({{x, y, width, height}}) => [x, y, width, height])(byId('{name}').getBoundingClientRect())"
        )
        return tuple(box)

    x, y, width, height = middle("map-canvas")
    tab.drag([(x + width / 2, y + height / 2), (x + 0.75 * width, y + 0.5 * height)])
    assert tab.evaluate("page.explorer.state.shifts.slice(0, 2)") == pytest.approx([1.69, 0], abs=0.03)
    x, y, width, height = middle("strip-canvas")
    tab.drag([(x + 5, y + 5), (x + width / 2, y + 5)])
    assert tab.evaluate("Number(byId('share').value)") == pytest.approx(0.5, abs=0.02)
    assert tab.evaluate("page.explorer.state.base.row === undefined")


def test_an_address_leads_to_its_digit_and_a_wrong_one_to_a_digit(tab) -> None:
    tab.evaluate("page.explorer.showRow(5n, 77n, 2); page.explorer.change({truncation: 0.5})")
    tab.evaluate("page.explorer.change({shifts: page.explorer.state.shifts.with(2, -1.2)})")
    tab.wait_for("location.hash.includes('seed=5') && location.hash.includes('shifts')")
    before, address = shown(tab), tab.evaluate("location.hash")
    assert address == "#seed=5&row=77&label=2&truncation=0.5&shifts=0%2C0%2C-1.2%2C0%2C0%2C0%2C0%2C0"
    tab.evaluate("showHash(page.explorer, '#row=-1&seed=99999999999999999999&label=x&truncation=7&shifts=a')")
    assert tab.evaluate("byId('caption').textContent").startswith("row 0 of seed 0, label ")
    tab.evaluate(f"showHash(page.explorer, '{address}')")
    np.testing.assert_array_equal(shown(tab), before)
    tab.evaluate("byId('row').value = 'many'; byId('row').onchange()")
    assert tab.evaluate("byId('row').getAttribute('aria-invalid')") == "true"


@pytest.mark.parametrize("width", [360, 1280])
def test_the_page_fits_the_width(tab, width) -> None:
    tab.call(
        "Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=width < 500
    )
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    assert tab.evaluate("byId('digit').getBoundingClientRect().width") > 100
    tab.call("Emulation.clearDeviceMetricsOverride")


@pytest.mark.parametrize(
    "shape",
    [
        GeneratorConfig(
            latent_dim=16, label_dim=8, hidden_units=26, channels_7=6, blocks_7=1, channels_14=3, blocks_14=1
        ),
        TutorialGeneratorConfig(kind="tutorial", latent_dim=12, channels=(10, 7, 5)),
    ],
    ids=["residual", "tutorial"],
)
def test_an_exported_page_of_any_network_needs_no_server(
    browser, shape, tmp_path, monkeypatch, capsys
) -> None:
    from ganmodel.networks import build_generator

    network = build_generator(shape, seed=3)
    arrays = {v.path: np.asarray(v).astype(np.float16).astype(np.float32) for v in network.variables}
    export_model(
        tmp_path / "m", name="x", generator=shape, class_names=tuple("0123456789"), arrays=arrays, training={}
    )
    facts = json.loads(
        run(["explore", "--model", "m", "--export", "site", "--json"], tmp_path, monkeypatch, capsys)
    )
    assert [path.name for path in (tmp_path / "site").iterdir()] == ["index.html"]
    assert str(tmp_path).encode() not in (tmp_path / "site/index.html").read_bytes()
    browser.problems.clear()
    browser.requests.clear()
    browser.open(Path(facts["page"]).as_uri() + "#seed=2&row=1005", READY)
    image, _ = DigitFunction(str(tmp_path / "m"), seed=2)[1005]
    assert_equal(shown(browser), image)
    assert "--model DIR" in browser.evaluate("byId('command').textContent")
    assert browser.problems == []
    assert [url.partition("#")[0] for url in browser.requests] == [Path(facts["page"]).as_uri()]
