"""A customer's receiver on loopback that keeps every request and answers as it is told."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request, as it came."""

    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        """The value of the only header of this name."""
        values = [value for key, value in self.headers if key.lower() == name]
        assert len(values) <= 1, f"{name} stands {len(values)} times"
        return values[0] if values else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """A request and what was answered."""

    request: Request
    status: int


Manner = Callable[[socket.socket], None]
"""Treats a connection after a request, in place of an answer; then the connection is closed."""


def accept(_: Request) -> int:
    return HTTPStatus.NO_CONTENT


def reserve_port() -> socket.socket:
    """A socket bound to a port of loopback that refuses connections as long as nobody listens."""
    bound = socket.socket()
    bound.bind(("127.0.0.1", 0))
    return bound


class Receiver:
    """Serves on threads of its own while the context is open; `answer` runs on those threads.

    It listens on the socket `bound`, by default on any free port.
    """

    def __init__(
        self, answer: Callable[[Request], int] = accept, bound: socket.socket | None = None
    ) -> None:
        self.answer = answer
        self._lock = threading.Lock()
        self._books: list[Received] = []
        handler = type("Handler", (_Handler,), {"receiver": self})
        self._server = _Server(bound or reserve_port(), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, name="receiver")

    def __enter__(self) -> Receiver:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/hook"

    @property
    def books(self) -> list[Received]:
        """All that was answered, in order."""
        with self._lock:
            return list(self._books)

    def take(self, request: Request) -> int | Manner:
        """The status to answer, or what to do instead."""
        status = self.answer(request)
        with self._lock:
            self._books.append(Received(request=request, status=status))
        return status


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 1024

    def __init__(self, bound: socket.socket, handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(bound.getsockname(), handler, bind_and_activate=False)
        self.socket.close()
        self.socket = bound
        self.server_port: int = self.server_address[1]
        self.server_activate()

    def handle_error(self, *_: object) -> None:
        """A killed sender is what some tests are about."""


class _Handler(BaseHTTPRequestHandler):
    receiver: ClassVar[Receiver]
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        request = Request(
            method=self.command, path=self.path, headers=tuple(self.headers.items()), body=body
        )
        status = self.receiver.take(request)
        if not isinstance(status, int):
            status(self.connection)
            self.close_connection = True
            return
        self.send_response(status)
        if status != HTTPStatus.NO_CONTENT:
            self.send_header("content-length", "0")
        self.end_headers()

    do_PUT = do_POST  # noqa: N815 - http.server's naming

    def log_message(self, *_: object) -> None:
        """The books are enough."""
