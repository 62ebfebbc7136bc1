"""Callers of an API, cheap enough for hundreds on one core: raw sockets with epoll.

Each caller sends its next request when it has the answer to the one before.
"""

from __future__ import annotations

import select
import socket
import sys
import time
from collections import Counter

from bench.children.talk import hear, say


def call(port: int, requests: list[bytes], callers: int) -> Counter[int]:
    """Send all requests; how often which status was answered."""
    epoll = select.epoll()
    waiting = list(reversed(requests))
    connections: dict[int, socket.socket] = {}
    statuses: Counter[int] = Counter()
    for _ in range(min(callers, len(requests))):
        connection = socket.create_connection(("127.0.0.1", port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connections[connection.fileno()] = connection
        epoll.register(connection.fileno(), select.EPOLLIN)
        connection.sendall(waiting.pop())
    partial = dict.fromkeys(connections, b"")
    while sum(statuses.values()) < len(requests):
        for descriptor, _ in epoll.poll():
            connection = connections[descriptor]
            chunk = connection.recv(65_536)
            if not chunk:
                raise ConnectionError("the server closed a connection")
            answer = partial[descriptor] + chunk
            if not _is_whole(answer):
                partial[descriptor] = answer
                continue
            partial[descriptor] = b""
            statuses[int(answer[9:12])] += 1
            if waiting:
                connection.sendall(waiting.pop())
    for connection in connections.values():
        connection.close()
    epoll.close()
    return statuses


def _is_whole(answer: bytes) -> bool:
    head, blank, body = answer.partition(b"\r\n\r\n")
    if not blank:
        return False
    _, named, length = head.lower().partition(b"content-length: ")
    return not named or len(body) >= int(length.partition(b"\r\n")[0])


def post(path: str, token: str, body: str) -> bytes:
    content = body.encode()
    head = (
        f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {token}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


def main() -> int:
    say(hear())
    while (given := hear()) is not None:
        requests = [post(path, given["token"], given["body"]) for path in given["paths"]]
        start, cpu = time.perf_counter(), time.process_time()
        statuses = call(given["port"], requests, given["callers"])
        seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
        say({"seconds": seconds, "cpu": cpu, "statuses": statuses})
    return 0


if __name__ == "__main__":
    sys.exit(main())
