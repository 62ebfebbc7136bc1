"""More requests than a server can take, from one thread."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from http import HTTPStatus

from faults.scenes import MAX_REQUESTS, Scene

Request = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

_HANGS = 30.0  # seconds after which an answer is called missing


class Flood:
    """Clients of a scene, five times as many as it takes on, who ask again once they are answered.

    One in ten makes users, the others list registrations. `answers` counts statuses (0: the
    connection broke), `hinted` the 503s with `Retry-After`; `made` are the emails of the users that
    a 201 promised. `name` is the last name of all.
    """

    def __init__(self, scene: Scene) -> None:
        host, token = scene.server.host, scene.installation.token
        self.answers: Counter[int] = Counter()
        self.hinted = 0
        self.made: list[str] = []
        self.slowest = 0.0  # seconds until an answer came
        self._host, _, port = host.partition(":")
        self._port = int(port)
        self._connections = 5 * MAX_REQUESTS * len(scene.server.children()["api"])
        self._headers = (
            f"Host: {host}\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n"
        )
        self.name = f"Flood {time.time_ns():x}"
        self._asked = 0

    def run(self, seconds: float) -> None:
        asyncio.run(self._run(seconds))

    async def _run(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        clients = (self._client(end, makes=not number % 10) for number in range(self._connections))
        await asyncio.gather(*clients)

    async def _client(self, end: float, *, makes: bool) -> None:
        while time.monotonic() < end:
            try:
                await self._over_one_connection(end, self._make if makes else self._list)
            except (OSError, EOFError, TimeoutError):
                self.answers[0] += 1
                await asyncio.sleep(0.1)

    async def _over_one_connection(self, end: float, request: Request) -> None:
        reader, writer = await asyncio.open_connection(self._host, self._port)
        try:
            while time.monotonic() < end:
                await asyncio.wait_for(request(reader, writer), _HANGS)
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def _list(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(self._request("GET", "registrations?limit=20", b""))
        await self._answer(reader)

    async def _make(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._asked += 1
        email = f"{self._asked}@{self.name[6:]}.example"
        body = {"firstName": "Mei", "lastName": self.name, "email": email}
        writer.write(self._request("POST", "users", json.dumps(body).encode()))
        if await self._answer(reader) == HTTPStatus.CREATED:
            self.made.append(email)

    def _request(self, method: str, resource: str, body: bytes) -> bytes:
        head = f"{method} /api/v5/{resource} HTTP/1.1\r\n{self._headers}"
        return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body

    async def _answer(self, reader: asyncio.StreamReader) -> int:
        start = time.monotonic()
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        await reader.readexactly(int(head.partition(b"content-length: ")[2].split(b"\r\n")[0]))
        status = int(head.split()[1])
        self.answers[status] += 1
        self.hinted += status == HTTPStatus.SERVICE_UNAVAILABLE and b"\r\nretry-after: " in head
        self.slowest = max(self.slowest, time.monotonic() - start)
        if status == HTTPStatus.SERVICE_UNAVAILABLE:
            await asyncio.sleep(0.02)  # a client that is told to wait, and hardly does
        return status
