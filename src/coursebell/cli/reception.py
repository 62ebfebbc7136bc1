"""A receiver of deliveries for trying things out: it verifies, answers as told, and reports."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

from coursebell.errors import ConfigurationError
from coursebell_receiver import Event, VerificationError, verify

MAX_BODY = 1_000_000  # bytes; a delivery has a few hundred
_REMEMBERED = 100_000  # events whose attempts are counted


@dataclass(frozen=True, slots=True, kw_only=True)
class Reception:
    """One request, as received."""

    method: str
    path: str
    event: Event | None  # None: not verified
    reason: str | None  # why not
    webhook_id: str | None
    kind: str | None  # the header coursebell-delivery
    attempt: int  # how often this webhook-id has come, this time included
    body: bytes

    @property
    def document(self) -> dict[str, object]:
        """The body as an object; empty when it is none."""
        try:
            parsed = json.loads(self.body)
        except ValueError:
            return {}
        return parsed if isinstance(parsed, dict) else {}


@dataclass(kw_only=True)
class Receiver:
    """An HTTP server on a thread of its own while the context is open.

    `answer` gives the status for a reception, on the thread of its connection; `report` is told
    of both, one at a time. Without secrets nothing is verified.
    """

    answer: Callable[[Reception], int]
    report: Callable[[Reception, int], None]
    secrets: Sequence[str] = ()
    host: str = "127.0.0.1"
    port: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)
    _attempts: dict[str, int] = field(default_factory=dict, init=False)

    def __enter__(self) -> Receiver:
        handler = type("Handler", (_Handler,), {"receiver": self})
        try:
            self._server = _Server((self.host, self.port), handler)
        except OSError as exc:
            raise ConfigurationError(
                f"Cannot listen on {self.host} port {self.port}: {exc.strerror}."
                " Choose others with --host and --port."
            ) from exc
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, name="receiver")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}/"

    def receive(self, method: str, path: str, headers: list[tuple[str, str]], body: bytes) -> int:
        """Verify, answer, report; the status to send."""
        event, reason = self._verified(headers, body)
        named = {name.lower(): value for name, value in headers}
        webhook_id = named.get("webhook-id")
        reception = Reception(
            method=method,
            path=path,
            event=event,
            reason=reason,
            webhook_id=webhook_id,
            kind=named.get("coursebell-delivery"),
            attempt=self._count(webhook_id or ""),
            body=body,
        )
        status = HTTPStatus.BAD_REQUEST if reason else self.answer(reception)
        with self._lock:
            self.report(reception, status)
        return status

    def _verified(
        self, headers: list[tuple[str, str]], body: bytes
    ) -> tuple[Event | None, str | None]:
        if not self.secrets:
            return None, None
        try:
            return verify(headers, body, self.secrets), None
        except VerificationError as exc:
            return None, str(exc)

    def _count(self, webhook_id: str) -> int:
        with self._lock:
            count = self._attempts.pop(webhook_id, 0) + 1
            self._attempts[webhook_id] = count
            if len(self._attempts) > _REMEMBERED:
                del self._attempts[next(iter(self._attempts))]
        return count


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 1024

    def handle_error(self, *_: object) -> None:
        """A sender that hangs up is no news; it will try again and be reported then."""


class _Handler(BaseHTTPRequestHandler):
    receiver: ClassVar[Receiver]
    protocol_version = "HTTP/1.1"
    timeout = 60  # seconds that a silent connection is kept
    server_version = "coursebell-listen"
    sys_version = ""

    def do_POST(self) -> None:
        length = self.headers.get("content-length", "")
        if not length.isascii() or not length.isdigit():
            return self._refuse(HTTPStatus.LENGTH_REQUIRED)
        if int(length) > MAX_BODY:
            return self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        body = self.rfile.read(int(length))
        return self._send(
            self.receiver.receive(self.command, self.path, self.headers.items(), body)
        )

    do_PUT = do_POST  # noqa: N815 http.server's naming

    def _refuse(self, status: HTTPStatus) -> None:
        self.close_connection = True  # the body was not read
        self._send(status)

    def _send(self, status: int) -> None:
        self.send_response(status)
        if status >= 200 and status not in (204, 304):
            self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Reports are for the caller to make."""


def after(seconds: float, status: int) -> int:
    """`status`, some time later."""
    time.sleep(seconds)
    return status
