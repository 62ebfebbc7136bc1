"""A receiver that costs little: answers 204 to whatever comes, on raw sockets with epoll.

It reads a request only as far as it must to find its end, so that it stays well below the cost of
those who send. With `stamp`, it notes when the first byte of each request came; with `delay`, it
answers so many seconds later.
"""

from __future__ import annotations

import heapq
import itertools
import select
import socket
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress

from bench.children.talk import hear, say

ANSWER = b"HTTP/1.1 204 No Content\r\n\r\n"
LOOPBACK = "127.0.0.1"
_LENGTH = b"content-length: "
_SUBJECT = b"ce-subject: "


class Sink:
    """One thread, any number of connections to any number of addresses."""

    def __init__(
        self, *, addresses: Sequence[str] = (LOOPBACK,), stamp: bool = False, delay: float = 0.0
    ) -> None:
        self._stamp = stamp
        self._delay = delay
        self._epoll = select.epoll()
        self._listeners = {each.fileno(): each for each in map(_listener, addresses)}
        for descriptor in self._listeners:
            self._epoll.register(descriptor, select.EPOLLIN)
        self._connections: dict[int, socket.socket] = {}
        self._partial: dict[int, bytes] = {}
        self._answers: list[tuple[float, int, socket.socket]] = []  # when, which first, to whom
        self._numbers = itertools.count()
        self.received = 0
        self.connected = 0  # connections so far
        self.stamps: dict[str, float] = {}  # monotonic, by the subject of the event

    @property
    def ports(self) -> list[int]:
        return [each.getsockname()[1] for each in self._listeners.values()]

    def seen(self) -> dict[str, object]:
        return {
            "received": self.received,
            "connected": self.connected,
            "cpu": time.process_time(),
            "stamps": dict(self.stamps),
        }

    def run(self) -> None:
        """Until the process ends."""
        while True:
            for descriptor, _ in self._epoll.poll(self._seconds_until_answer()):
                if descriptor in self._listeners:
                    self._accept(self._listeners[descriptor])
                else:
                    self._read(descriptor)
            self._answer_late()

    def _accept(self, listener: socket.socket) -> None:
        connection, _ = listener.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = self._opened(connection)
        connection.setblocking(False)
        self.connected += 1
        self._connections[connection.fileno()] = connection
        self._epoll.register(connection.fileno(), select.EPOLLIN)

    def _opened(self, connection: socket.socket) -> socket.socket:
        return connection

    def _received(self, connection: socket.socket) -> bytes | None:
        """What has come; empty at the end of it, None when there is nothing yet."""
        try:
            return connection.recv(65_536)
        except ConnectionError:
            return b""

    def _read(self, descriptor: int) -> None:
        connection = self._connections[descriptor]
        chunk = self._received(connection)
        if chunk is None:
            return
        if not chunk:
            self._close(descriptor)
            return
        came = time.monotonic() if self._stamp else 0.0
        data = self._partial.pop(descriptor, b"") + chunk
        while data and (end := _end_of(data)):
            self.received += 1
            if self._stamp:
                self._note(data, came)
            self._answer(connection)
            data = data[end:]
        if data:
            self._partial[descriptor] = data

    def _answer(self, connection: socket.socket) -> None:
        if self._delay:
            due = time.monotonic() + self._delay
            heapq.heappush(self._answers, (due, next(self._numbers), connection))
        else:
            connection.send(ANSWER)

    def _seconds_until_answer(self) -> float | None:
        return max(0.0, self._answers[0][0] - time.monotonic()) if self._answers else None

    def _answer_late(self) -> None:
        while self._answers and self._answers[0][0] <= time.monotonic():
            with suppress(OSError):  # who asked is gone
                heapq.heappop(self._answers)[2].send(ANSWER)

    def _close(self, descriptor: int) -> None:
        self._epoll.unregister(descriptor)
        self._connections.pop(descriptor).close()
        self._partial.pop(descriptor, None)

    def _note(self, request: bytes, came: float) -> None:
        start = request.find(_SUBJECT) + len(_SUBJECT)
        self.stamps.setdefault(request[start : request.find(b"\r\n", start)].decode(), came)


def _listener(address: str) -> socket.socket:
    listener = socket.create_server((address, 0), backlog=1024)
    listener.setblocking(False)
    return listener


def _end_of(data: bytes) -> int:
    """Where the first request ends; 0 when it has not come whole."""
    head = data.find(b"\r\n\r\n")
    if head < 0:
        return 0
    start = data[:head].lower().find(_LENGTH)
    if start < 0:
        return head + 4
    line_end = data.find(b"\r\n", start)
    end = head + 4 + int(data[start + len(_LENGTH) : line_end])
    return end if len(data) >= end else 0


def serve(sink: Sink) -> int:
    """Run it beside a conversation about what it has seen, until that ends."""
    threading.Thread(target=sink.run, daemon=True).start()
    say(sink.ports)
    while hear() is not None:
        say(sink.seen())
    return 0


def main() -> int:
    return serve(Sink(**hear()))


if __name__ == "__main__":
    sys.exit(main())
