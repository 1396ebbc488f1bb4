"""A page for the browser of this machine: one file, on the loopback address, to nobody else."""

from __future__ import annotations

from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

HOST = "127.0.0.1"


class PageServer(ThreadingHTTPServer):
    """Serves one page at `/`.

    Args:
        page: HTML, UTF-8.
        port: of the loopback address; 0 for one that is free.

    Raises:
        OSError: the port is taken, or may not be had.
    """

    daemon_threads = True

    def __init__(self, page: bytes, port: int) -> None:
        super().__init__((HOST, port), _Handler)
        self.page = page

    @property
    def url(self) -> str:
        """Return where the page is."""
        return f"http://{HOST}:{self.server_port}/"


class _Handler(BaseHTTPRequestHandler):
    server: PageServer
    server_version = "gangen"
    sys_version = ""

    def do_GET(self) -> None:
        # A name that a stranger's site has made resolve to this machine is not ours (DNS rebinding).
        port = self.server.server_port
        if self.headers.get("Host") not in (f"{HOST}:{port}", f"localhost:{port}"):
            self.send_error(HTTPStatus.FORBIDDEN)
        elif self.path.partition("?")[0] != "/":
            self.send_error(HTTPStatus.NOT_FOUND)
        else:
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(self.server.page)))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            self.wfile.write(self.server.page)

    def log_message(self, *_: object) -> None:
        """Say nothing: the terminal is the user's."""
