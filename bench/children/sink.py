"""A receiver that costs little: answers 204 to whatever comes, on raw sockets with epoll.

It reads a request only as far as it must to find its end, so that it stays well below the cost of
those who send. With `stamp`, it notes when the first byte of each request came.
"""

from __future__ import annotations

import select
import socket
import sys
import threading
import time

from bench.children.talk import hear, say

ANSWER = b"HTTP/1.1 204 No Content\r\n\r\n"
_LENGTH = b"content-length: "
_SUBJECT = b"ce-subject: "


class Sink:
    """One thread, any number of connections."""

    def __init__(self, *, stamp: bool) -> None:
        self._stamp = stamp
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self._listener.setblocking(False)
        self._epoll = select.epoll()
        self._epoll.register(self._listener.fileno(), select.EPOLLIN)
        self._connections: dict[int, socket.socket] = {}
        self._partial: dict[int, bytes] = {}
        self.received = 0
        self.stamps: dict[str, float] = {}  # monotonic, by the subject of the event

    @property
    def port(self) -> int:
        port: int = self._listener.getsockname()[1]
        return port

    def run(self) -> None:
        """Until the process ends."""
        while True:
            for descriptor, _ in self._epoll.poll():
                if descriptor == self._listener.fileno():
                    self._accept()
                else:
                    self._read(descriptor)

    def _accept(self) -> None:
        connection, _ = self._listener.accept()
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connections[connection.fileno()] = connection
        self._epoll.register(connection.fileno(), select.EPOLLIN)

    def _read(self, descriptor: int) -> None:
        connection = self._connections[descriptor]
        try:
            chunk = connection.recv(65_536)
        except ConnectionError:
            chunk = b""
        if not chunk:
            self._close(descriptor)
            return
        came = time.monotonic() if self._stamp else 0.0
        data = self._partial.pop(descriptor, b"") + chunk
        while data and (end := _end_of(data)):
            self.received += 1
            if self._stamp:
                self._note(data, came)
            connection.send(ANSWER)
            data = data[end:]
        if data:
            self._partial[descriptor] = data

    def _close(self, descriptor: int) -> None:
        self._epoll.unregister(descriptor)
        self._connections.pop(descriptor).close()
        self._partial.pop(descriptor, None)

    def _note(self, request: bytes, came: float) -> None:
        start = request.find(_SUBJECT) + len(_SUBJECT)
        self.stamps.setdefault(request[start : request.find(b"\r\n", start)].decode(), came)


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


def main() -> int:
    sink = Sink(stamp=hear()["stamp"])
    threading.Thread(target=sink.run, daemon=True).start()
    say(sink.port)
    while hear() is not None:
        say({"received": sink.received, "cpu": time.process_time(), "stamps": dict(sink.stamps)})
    return 0


if __name__ == "__main__":
    sys.exit(main())
