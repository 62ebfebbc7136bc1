"""The valve: more requests than fit are refused at once, before they cost memory.

Without one, each request that comes while the database is behind waits with all that it holds,
until the process is killed for its size and takes with it what others were promised.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from coursebell.errors import CoursebellError
from coursebell.logs import logger
from coursebell.web.errors import OverloadedError, response_to

_log = logger("web")

MAX_BYTES = 32 * 1024 * 1024  # of all bodies at hand; parsed, one takes some ten times as much
_LARGEST_BODY = 8 * 1024 * 1024  # no route takes more into memory
_STREAMED = 2 * 1024 * 1024  # set aside for what is larger: it is written to disk as it comes
_OPERATORS = frozenset({"/healthz", "/readyz", "/metrics"})
_RESERVE = 16  # requests of operators that fit when nobody else's does
_QUIET_SECONDS = 10.0  # between two lines in the log


class Valve:
    """Lets `requests` at a time through to `app`, with `MAX_BYTES` of bodies between them.

    The others are answered 503 with `Retry-After` and their bodies are never read; `refused` is
    called for each. Belongs to one event loop.
    """

    def __init__(self, app: ASGIApp, *, requests: int, refused: Callable[[], None]) -> None:
        self._app = app
        self._requests = requests
        self._refused = refused
        self._at_hand = 0
        self._bytes = 0
        self._quiet_until = 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = _announced_length(scope)
        if not self._has_room(scope["path"], announced or 0):
            await response_to(self._refusal())(scope, receive, send)
            return
        body = _Body(self, receive, announced or 0)
        self._at_hand += 1
        self._bytes += body.size
        try:
            await self._app(scope, body.receive if announced is None else receive, send)
        finally:
            self._at_hand -= 1
            self._bytes -= body.size

    def take_in(self, size: int) -> None:
        """Set aside room for so many more bytes. Raises OverloadedError where there is none."""
        if self._bytes + size > MAX_BYTES:
            raise self._refusal()
        self._bytes += size

    def _has_room(self, path: str, size: int) -> bool:
        limit = self._requests + (_RESERVE if path in _OPERATORS else 0)
        return self._at_hand < limit and self._bytes + size <= MAX_BYTES

    def _refusal(self) -> CoursebellError:
        self._refused()
        now = time.monotonic()
        if now >= self._quiet_until:
            self._quiet_until = now + _QUIET_SECONDS
            _log.warning("web.overloaded", requests=self._at_hand, body_bytes=self._bytes)
        return OverloadedError()


class _Body:
    """What a request without an announced length has brought so far."""

    def __init__(self, valve: Valve, receive: Receive, size: int) -> None:
        self._valve = valve
        self._receive = receive
        self.size = size

    async def receive(self) -> Message:
        message = await self._receive()
        more = len(message.get("body", b""))
        self._valve.take_in(more)
        self.size += more
        return message


def _announced_length(scope: Scope) -> int | None:
    """What of the length that is announced will be in memory; None: only the end will tell."""
    length: int | None = 0
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            size = int(value[:20])
            return size if size <= _LARGEST_BODY else _STREAMED
        if name == b"transfer-encoding":
            length = None
    return length
