"""A real browser, headless, driven through its DevTools protocol; what goes wrong in it is remembered."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import aiohttp

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
START_S, ANSWER_S = 30, 60


def find_chromium() -> str | None:
    """Return the path of a Chromium, None where there is none."""
    return next(filter(None, map(shutil.which, PROGRAMS)), None)


class Tab:
    """A tab of the browser.

    Attributes:
        problems: what its console said of errors and warnings, and exceptions nobody caught.
        requests: the URLs it has asked for.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.problems: list[str] = []
        self.requests: list[str] = []
        self._loop, self._socket, self._number = loop, socket, 0

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Return what the browser answers to a command of the protocol."""
        return self._loop.run_until_complete(asyncio.wait_for(self._call(method, params), ANSWER_S))

    async def _call(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        self._number += 1
        await self._socket.send_json({"id": self._number, "method": method, "params": params})
        while True:
            message = json.loads(await self._socket.receive_str())
            if message.get("id") == self._number:
                assert "error" not in message, (method, message["error"])
                return message["result"]
            self._note(message)

    def _note(self, event: dict[str, Any]) -> None:
        method, params = event.get("method"), event.get("params", {})
        if method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            self.problems.append(str(params["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            self.problems.append(str(params["args"]))
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.problems.append(f"{params['entry']['text']} {params['entry'].get('url', '')}")

    def evaluate(self, expression: str) -> Any:
        """Return the value of JavaScript, awaited."""
        found = self.call(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True, userGesture=True
        )
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def wait_for(self, expression: str) -> None:
        """Wait until JavaScript is true."""
        deadline = time.monotonic() + ANSWER_S
        while not self.evaluate(expression):
            assert time.monotonic() < deadline, f"never true: {expression}"
            time.sleep(0.05)

    def open(self, url: str, is_ready: str) -> None:
        """Load a page and wait until it is ready."""
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        self.call("Page.navigate", url=url)
        self.wait_for(f"document.readyState === 'complete' && ({is_ready})")

    def press(self, key: str, code: int) -> None:
        """Press a key, where the focus is."""
        text = key if len(key) == 1 else ""
        common = {"key": key, "windowsVirtualKeyCode": code}
        self.call("Input.dispatchKeyEvent", type="keyDown", text=text, **common)
        self.call("Input.dispatchKeyEvent", type="keyUp", **common)

    def drag(self, stations: list[tuple[float, float]]) -> None:
        """Press the mouse's button at the first place, move it over the others and let go at the last."""
        kinds = ["mousePressed", *["mouseMoved"] * (len(stations) - 1), "mouseReleased"]
        for kind, (x, y) in zip(kinds, [*stations, stations[-1]], strict=True):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", buttons=1, clickCount=1)


@contextmanager
def chromium(program: str, folder: Path) -> Iterator[Tab]:
    """Start a browser that keeps its files in `folder` and yield its tab; stop it afterwards."""
    command = [
        *(program, "--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0"),
        *(f"--user-data-dir={folder}", "--no-first-run", "--disable-background-networking", "about:blank"),
    ]
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    loop = asyncio.new_event_loop()
    try:
        port = _port(folder, process)
        session = loop.run_until_complete(_session(port))
        try:
            socket = loop.run_until_complete(_tab_socket(session))
            yield Tab(loop, socket)
            loop.run_until_complete(socket.close())
        finally:
            loop.run_until_complete(session.close())
    finally:
        loop.close()
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _port(folder: Path, process: subprocess.Popen[bytes]) -> int:
    deadline = time.monotonic() + START_S
    file = folder / "DevToolsActivePort"
    while not (file.is_file() and file.read_text()):
        assert process.poll() is None, f"the browser ended with {process.returncode}"
        assert time.monotonic() < deadline, "the browser does not start"
        time.sleep(0.05)
    return int(file.read_text().split()[0])


async def _session(port: int) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(f"http://127.0.0.1:{port}")


async def _tab_socket(session: aiohttp.ClientSession) -> aiohttp.ClientWebSocketResponse:
    async with session.get("/json/list") as answer:
        targets = await answer.json(content_type=None)
    (tab,) = [target for target in targets if target["type"] == "page"]
    return await session.ws_connect(tab["webSocketDebuggerUrl"], max_msg_size=0)
