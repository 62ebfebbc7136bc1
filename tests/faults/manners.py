"""The ways in which a receiver is trouble, for a `Ledger` that has read the request."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http import HTTPStatus

from acceptance.receivers import Manner, Request
from delivery import hostile
from faults.ledgers import Treat, Treatment

_OK = b"HTTP/1.1 200 OK\r\n"
_REDIRECT = b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:%d/\r\nContent-Length: 0\r\n\r\n"
_TRAP_PORT = 1  # nobody is there; who follows a redirect meets a refused connection


class Mood:
    """How a receiver is until `end`: what still hangs then comes to an end."""

    def __init__(self) -> None:
        self.closing = threading.Event()

    def read_request(self, _: socket.socket) -> bytes:
        """The ledger has it already."""
        return b""

    def end(self) -> None:
        self.closing.set()

    def treats(self, behave: Callable[..., None], *, accepted: bool = False) -> Treat:
        """As one of the hostile receivers does."""

        def manner(connection: socket.socket) -> None:
            behave(self, connection)

        return lambda _: Treatment(manner, accepted)

    def waits(self, seconds: float) -> Treat:
        """Answers well, so long after it was asked."""

        def treat(_: Request) -> Treatment:
            self.closing.wait(seconds)
            return Treatment(HTTPStatus.NO_CONTENT, accepted=True)

        return treat


def says(text: bytes) -> Manner:
    return lambda connection: connection.sendall(text)


def _too_many(retry_after: Callable[[], str]) -> Treat:
    head = "HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\nRetry-After: {}\r\n\r\n"
    return lambda _: Treatment(says(head.format(retry_after()).encode()), accepted=False)


def _in_two_seconds() -> str:
    return format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)


def closes(mood: Mood) -> Treat:
    """Answers well and keeps the connection, as it seems; but closes it at once."""
    return mood.treats(hostile.answers_and_closes(hostile.NO_CONTENT), accepted=True)


OUTCOMES: Mapping[str, tuple[str, Callable[[Mood], Treat]]] = {
    "reset before the answer": ("bad_response", lambda m: m.treats(hostile.resets_after(b""))),
    "reset within the answer": ("bad_response", lambda m: m.treats(hostile.resets_after(_OK))),
    "hangs before the headers": ("timeout", lambda m: m.treats(hostile.hangs_after(b""))),
    "hangs within the headers": ("timeout", lambda m: m.treats(hostile.hangs_after(_OK))),
    "a byte at a time": ("timeout", lambda m: m.treats(hostile.drips(_OK + b"X: " + b"y" * 4096))),
    "endless headers": ("bad_response", lambda m: m.treats(hostile.floods(_OK, b"X: y\r\n" * 100))),
    "endless body": (
        "delivered",
        lambda m: m.treats(hostile.floods(_OK + b"\r\n", b"x" * 65_536), accepted=True),
    ),
    "body of 100 MB": (
        "delivered",
        lambda m: m.treats(
            hostile.floods(_OK + b"Content-Length: 104857600\r\n\r\n", b"x" * 65_536), accepted=True
        ),
    ),
    "body shorter than announced": (
        "bad_response",
        lambda m: m.treats(hostile.answers_and_closes(_OK + b"Content-Length: 100\r\n\r\nshort")),
    ),
    "length that is no number": (
        "bad_response",
        lambda m: m.treats(hostile.answers_and_closes(_OK + b"Content-Length: ten\r\n\r\n")),
    ),
    "no HTTP": ("bad_response", lambda m: m.treats(hostile.answers_and_closes(b"hello\r\n\r\n"))),
    "redirect to loopback": (
        "redirect",
        lambda _: lambda _: Treatment(says(_REDIRECT % _TRAP_PORT), accepted=False),
    ),
    "429 with seconds": ("http_429", lambda _: _too_many(lambda: "2")),
    "429 with a date": ("http_429", lambda _: _too_many(_in_two_seconds)),
    "500": ("http_500", lambda _: lambda _: Treatment(500, accepted=False)),
    "HTTP/1.0": (
        "delivered",
        lambda m: m.treats(
            hostile.answers_and_closes(b"HTTP/1.0 204 No Content\r\n\r\n"), accepted=True
        ),
    ),
    "closes what is reused": ("delivered", closes),
    "slow, inside the timeout": ("delivered", lambda m: m.waits(0.3)),
}
"""By name: the outcome that each attempt must have, and how to treat requests in a mood."""


def late(mood: Mood, timeout: float) -> Treat:
    """Answers well, but when nobody waits any more: no success for the sender."""

    def treat(_: Request) -> Treatment:
        too_soon = mood.closing.wait(timeout + 0.5)
        return Treatment(says(b"") if too_soon else HTTPStatus.NO_CONTENT, accepted=False)

    return treat
