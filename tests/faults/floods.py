"""More requests than a server can take, from one thread."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from contextlib import suppress

_HANGS = 30.0  # seconds after which an answer is called missing


class Flood:
    """`connections` clients of `host` that ask again as soon as they are answered.

    `answers` counts statuses (0: the connection broke), `hinted` the 503s with `Retry-After`.
    """

    def __init__(self, host: str, token: str, resource: str, connections: int) -> None:
        self.answers: Counter[int] = Counter()
        self.hinted = 0
        self.slowest = 0.0  # seconds until an answer came
        self._host, _, port = host.partition(":")
        self._port = int(port)
        self._connections = connections
        self._request = (
            f"GET /api/v5/{resource} HTTP/1.1\r\nHost: {host}\r\n"
            f"Authorization: Bearer {token}\r\n\r\n"
        ).encode()

    def run(self, seconds: float) -> None:
        asyncio.run(self._run(seconds))

    async def _run(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        await asyncio.gather(*(self._client(end) for _ in range(self._connections)))

    async def _client(self, end: float) -> None:
        while time.monotonic() < end:
            try:
                await self._over_one_connection(end)
            except (OSError, EOFError, TimeoutError):
                self.answers[0] += 1
                await asyncio.sleep(0.1)

    async def _over_one_connection(self, end: float) -> None:
        reader, writer = await asyncio.open_connection(self._host, self._port)
        try:
            while time.monotonic() < end:
                await asyncio.wait_for(self._ask(reader, writer), _HANGS)
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        start = time.monotonic()
        writer.write(self._request)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        await reader.readexactly(int(head.partition(b"content-length: ")[2].split(b"\r\n")[0]))
        status = int(head.split()[1])
        self.answers[status] += 1
        self.hinted += status == 503 and b"\r\nretry-after: " in head
        self.slowest = max(self.slowest, time.monotonic() - start)
        if status == 503:
            await asyncio.sleep(0.02)  # a client that is told to wait, and hardly does
