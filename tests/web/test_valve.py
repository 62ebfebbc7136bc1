"""The valve: what is beyond is refused at once, unread, and room that is made is used again."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field

import pytest
from structlog.testing import capture_logs

from coursebell.errors import CoursebellError
from coursebell.web.errors import OverloadedError
from coursebell.web.valve import MAX_BYTES, Valve

MEGABYTE = 1024 * 1024
BUSY = {"errors": ["The server has as many requests as it can take; try again in a moment."]}


@dataclass
class Asked:
    """A request to the application behind the valve, and what it was answered."""

    path: str = "/api/v5/users"
    headers: tuple[tuple[bytes, bytes], ...] = ()
    chunks: tuple[bytes, ...] = (b"",)
    read: int = 0
    sent: list = field(default_factory=list)

    @property
    def status(self) -> int:
        return self.sent[0]["status"]

    async def receive(self):
        chunk = self.chunks[self.read]
        self.read += 1
        return {"type": "http.request", "body": chunk, "more_body": self.read < len(self.chunks)}

    async def send(self, message):
        self.sent.append(message)


class Crowded:
    """A valve before an application that reads every body and then waits to be told."""

    def __init__(self, requests: int) -> None:
        self.refused = 0
        self.told = asyncio.Event()
        self.valve = Valve(self.app, requests=requests, refused=self.count)
        self.tasks = []

    def count(self) -> None:
        self.refused += 1

    async def app(self, scope, receive, send):
        try:
            while (await receive())["more_body"]:
                pass
        except CoursebellError:
            await send({"type": "http.response.start", "status": 503})
            return
        await self.told.wait()
        await send({"type": "http.response.start", "status": 204})

    async def ask(self, **what) -> Asked:
        """A request that has come as far as it comes by itself."""
        asked = Asked(**what)
        scope = {"type": "http", "method": "POST", "path": asked.path, "headers": asked.headers}
        self.tasks.append(asyncio.create_task(self.valve(scope, asked.receive, asked.send)))
        for _ in range(len(asked.chunks) + 2):
            await asyncio.sleep(0)
        return asked

    async def let_go(self) -> None:
        self.told.set()
        await asyncio.gather(*self.tasks)
        self.told.clear()


def announcing(size: int) -> tuple[tuple[bytes, bytes], ...]:
    return ((b"content-length", str(size).encode()),)


CHUNKED = ((b"transfer-encoding", b"chunked"),)


def test_what_is_beyond_is_told_to_come_again_and_gets_in_when_there_is_room():
    async def story():
        crowded = Crowded(requests=2)
        inside = [await crowded.ask(), await crowded.ask()]
        beyond = await crowded.ask()
        await crowded.let_go()
        later = await crowded.ask()
        await crowded.let_go()
        return crowded, inside, beyond, later

    with capture_logs() as logs:
        crowded, inside, beyond, later = asyncio.run(story())

    assert [each.status for each in (*inside, later)] == [204] * 3
    assert beyond.status == 503
    assert (b"retry-after", b"1") in beyond.sent[0]["headers"]
    assert json.loads(beyond.sent[1]["body"]) == BUSY
    assert beyond.read == 0
    assert crowded.refused == 1
    assert [each["event"] for each in logs] == ["web.overloaded"]


def test_a_thousand_refusals_are_one_line_of_the_log():
    async def story():
        crowded = Crowded(requests=1)
        await crowded.ask()
        for _ in range(1000):
            await crowded.ask()
        await crowded.let_go()
        return crowded

    with capture_logs() as logs:
        crowded = asyncio.run(story())

    assert crowded.refused == 1000
    assert len(logs) == 1


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_operators_get_in_when_nobody_else_does_and_even_they_are_counted(path):
    async def story():
        crowded = Crowded(requests=1)
        await crowded.ask()
        asked = [await crowded.ask(path=path) for _ in range(20)]
        await crowded.let_go()
        return asked

    statuses = [each.status for each in asyncio.run(story())]

    assert statuses == [204] * 16 + [503] * 4


def test_large_bodies_are_refused_before_they_are_read_while_small_ones_get_in():
    async def story():
        crowded = Crowded(requests=100)
        large = [await crowded.ask(headers=announcing(8 * MEGABYTE)) for _ in range(5)]
        small = await crowded.ask()
        await crowded.let_go()
        again = await crowded.ask(headers=announcing(8 * MEGABYTE))
        await crowded.let_go()
        return large, small, again

    large, small, again = asyncio.run(story())

    assert [each.status for each in large] == [204] * 4 + [503]
    assert large[-1].read == 0
    assert (small.status, again.status) == (204, 204)


def test_tables_that_are_uploaded_slowly_leave_room_for_everybody_else():
    async def story():
        crowded = Crowded(requests=100)
        tables = [await crowded.ask(headers=announcing(100 * MEGABYTE)) for _ in range(10)]
        others = [await crowded.ask(headers=announcing(8 * MEGABYTE)), await crowded.ask()]
        await crowded.let_go()
        return [*tables, *others]

    assert [each.status for each in asyncio.run(story())] == [204] * 12


def test_an_absurd_length_takes_no_more_room_than_what_would_be_read_of_it():
    async def story():
        crowded = Crowded(requests=100)
        absurd = [await crowded.ask(headers=announcing(10**30)) for _ in range(4)]
        await crowded.let_go()
        return absurd

    assert [each.status for each in asyncio.run(story())] == [204] * 4


def test_bodies_of_unknown_length_are_counted_as_they_come_and_forgotten_when_they_go():
    async def story():
        crowded = Crowded(requests=100)
        size = MAX_BYTES // 2
        endless = [await crowded.ask(headers=CHUNKED, chunks=(b"x" * size, b"x")) for _ in range(2)]
        await crowded.let_go()
        after = await crowded.ask(headers=CHUNKED, chunks=(b"x" * size, b"x" * size))
        await crowded.let_go()
        return endless, after

    endless, after = asyncio.run(story())

    assert [each.status for each in endless] == [204, 503]
    assert after.status == 204


def test_an_application_that_fails_leaves_its_room():
    async def failing(_scope, _receive, _send):
        raise RuntimeError

    async def story():
        valve = Valve(failing, requests=1, refused=lambda: None)
        for _ in range(3):
            asked = Asked(headers=announcing(8 * MEGABYTE))
            scope = {"type": "http", "path": "/", "headers": asked.headers}
            with pytest.raises(RuntimeError):
                await valve(scope, asked.receive, asked.send)

    asyncio.run(story())


def test_what_is_no_request_passes():
    seen = []

    async def app(scope, _receive, _send):
        seen.append(scope["type"])

    asyncio.run(Valve(app, requests=1, refused=lambda: None)({"type": "lifespan"}, None, None))

    assert seen == ["lifespan"]


def test_the_error_says_to_try_again():
    assert BUSY["errors"] == [OverloadedError().message]
