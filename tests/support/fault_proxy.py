"""A proxy before an object store that goes wrong as real ones do, at the request it is told to."""

from __future__ import annotations

import http.client
import os
import re
import signal
import socket
import struct
import threading
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

Kind = Literal["error", "slow_down", "denied", "reset", "drop_reply", "stall", "kill", "drop_reply_and_kill"]

ANSWERS = {"error": (500, "InternalError"), "slow_down": (503, "SlowDown"), "denied": (403, "AccessDenied")}
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "upgrade", "proxy-connection"}


@dataclass
class Fault:
    """What goes wrong, and when.

    Attributes:
        kind: error (500), slow_down (503), denied (403), reset (the connection breaks in mid-upload, before the store
            sees anything), drop_reply (the store did it, nobody hears of it), stall (no answer, ever), kill (the client
            dies before the store sees anything), drop_reply_and_kill (it dies when the store did it).
        method: of the requests it befalls, None for any.
        path: regular expression found in their path and query.
        skip: requests of that kind that pass first.
        times: how many it befalls.
    """

    kind: Kind
    method: str | None = "PUT"
    path: str = ""
    skip: int = 0
    times: int = 1
    befallen: int = 0


class FaultProxy:
    """Listens on 127.0.0.1 and passes everything on to the store, but for the faults.

    Args:
        store_port: of the store, on 127.0.0.1.

    Attributes:
        faults: those to come; the first that fits a request befalls it.
        requests: (method, path and query) of every request, in order.
        victim: process id of the client that faults kill.
    """

    victim: int | None = None

    def __init__(self, store_port: int) -> None:
        self.faults: list[Fault] = []
        self.requests: list[tuple[str, str]] = []
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _handler(self, store_port))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> FaultProxy:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def next_fault(self, method: str, path: str) -> Kind | None:
        with self._lock:
            self.requests.append((method, path))
            for fault in self.faults:
                if fault.method not in (None, method) or not re.search(fault.path, path):
                    continue
                if fault.skip:
                    fault.skip -= 1
                    continue
                if fault.befallen < fault.times:
                    fault.befallen += 1
                    return fault.kind
        return None

    def kill(self) -> None:
        """Kill the client."""
        if self.victim is not None:
            with suppress(ProcessLookupError):
                os.kill(self.victim, signal.SIGKILL)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients that are killed break connections."""


def _handler(proxy: FaultProxy, store_port: int) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 120

        def _serve(self) -> None:
            kind = proxy.next_fault(self.command, self.path)
            length = int(self.headers.get("Content-Length") or 0)
            if kind == "reset":
                self.rfile.read(length // 2)
                self._break()
                return
            body = self.rfile.read(length)
            if kind == "kill":
                proxy.kill()
                self._break()
            elif kind == "stall":
                threading.Event().wait(60)
                self._break()
            elif kind in ANSWERS:
                status, code = ANSWERS[kind]
                text = f"<Error><Code>{code}</Code><Message>{self.headers.get('Authorization')}</Message></Error>"
                self._answer(status, [("Content-Type", "application/xml")], text.encode())
            else:
                status, headers, data = self._pass_on(body)
                if kind == "drop_reply_and_kill":
                    proxy.kill()
                if kind in ("drop_reply", "drop_reply_and_kill"):
                    self._break()
                else:
                    self._answer(status, headers, data)

        do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _serve  # noqa: N815

        def _pass_on(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
            connection = http.client.HTTPConnection("127.0.0.1", store_port, timeout=120)
            try:
                headers = {k: v for k, v in self.headers.items() if k.lower() not in HOP_BY_HOP}
                connection.request(self.command, self.path, body, headers)
                answer = connection.getresponse()
                return answer.status, answer.getheaders(), answer.read()
            finally:
                connection.close()

        def _answer(self, status: int, headers: list[tuple[str, str]], data: bytes) -> None:
            self.send_response_only(status)
            for name, value in headers:
                is_length = name.lower() == "content-length"
                if name.lower() not in HOP_BY_HOP and (not is_length or self.command == "HEAD"):
                    self.send_header(name, value)
            if self.command != "HEAD":
                self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

        def _break(self) -> None:
            # With a linger of no time, closing sends a reset.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            with suppress(OSError):
                self.connection.close()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Handler
