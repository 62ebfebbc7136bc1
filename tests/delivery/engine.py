"""A dispatcher that runs beside a test, and receivers that do as the test says."""

from __future__ import annotations

import os
import resource
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from coursebell.delivery.client import Client, Progress
from coursebell.delivery.dispatcher import Dispatcher
from coursebell.domain.addresses import AddressRules
from coursebell.domain.events import EventName
from coursebell.domain.model import new_id
from coursebell.domain.samples import sample_event
from coursebell.services import deliveries
from coursebell.services.publishing import publish
from coursebell.services.registrar import Registrar
from coursebell.storage.database import Database
from coursebell.storage.waking import hang_bell
from delivery.hostile import Receiver
from factories import School

LOOPBACK = AddressRules.parse("127.0.0.0/8")
INTERNAL_ERROR = b"HTTP/1.1 500 Oh dear\r\nContent-Length: 0\r\n\r\n"


def wait_until(condition: Callable[[], Any], seconds: float = 30) -> None:
    """Until `condition()` is true; the patience is for a busy machine, not a measurement."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)


class CountingClient(Client):
    """A client that counts the turns of its dispatcher's loop."""

    turns = 0

    def advance(self, timeout_seconds: float, descriptors: Any = ()) -> Progress:
        self.turns += 1
        return super().advance(timeout_seconds, descriptors)


@dataclass(slots=True)
class Engine:
    """A running dispatcher."""

    client: CountingClient
    thread: threading.Thread
    stop_descriptor: int
    observed: list[str] = field(default_factory=list)

    def stop(self) -> None:
        """As SIGTERM does."""
        os.write(self.stop_descriptor, b"!")

    def join(self) -> None:
        self.stop()
        self.thread.join(30)
        assert not self.thread.is_alive()


@contextmanager
def running(url: str, secret_key: str, **options: Any) -> Iterator[Engine]:
    """A dispatcher in a thread, with a database object of its own as if in another process.

    Takes the fields of a registrar, the dispatcher's options, and `max_in_flight` of the client.
    """
    its = ("lease_seconds", "max_in_flight_per_host", "clock")
    only = {each: options.pop(each) for each in its if each in options}
    client = CountingClient(LOOPBACK, max_in_flight=options.pop("max_in_flight", 256))
    database = Database(url, secret_keys=[secret_key])
    bell = hang_bell(database)
    readable, writable = os.pipe()
    observed: list[str] = []
    fields = {"public_url": "https://bell.example"} | options
    dispatcher = Dispatcher(
        Registrar(database=database, address_rules=LOOPBACK, **fields),
        client,
        bell,
        readable,
        lambda outcome, _seconds: observed.append(outcome),
        **only,
    )
    thread = threading.Thread(target=dispatcher.run, name="dispatcher of a test")
    thread.start()
    engine = Engine(client, thread, writable, observed)
    try:
        yield engine
    finally:
        engine.join()
        client.close()
        bell.close()
        database.close()
        os.close(readable)
        os.close(writable)


@contextmanager
def no_descriptors() -> Iterator[None]:
    """This process can open no file nor socket."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = 1 + max(int(each.name) for each in Path("/proc/self/fd").iterdir())
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, before[1]))
    with ExitStack() as taken:
        taken.callback(resource.setrlimit, resource.RLIMIT_NOFILE, before)
        with suppress(OSError):
            while True:
                taken.enter_context(Path(os.devnull).open())
        yield


class Gate:
    """A behaviour: each request waits at the gate; `answer` is what it gets behind it."""

    def __init__(self, answer: bytes = b"HTTP/1.1 204 No Content\r\n\r\n") -> None:
        self.answer = answer
        self.opened = threading.Event()
        self.most_at_once = 0
        self._now = 0
        self._lock = threading.Lock()

    def __call__(self, receiver: Receiver, connection: socket.socket) -> None:
        while receiver.read_request(connection):
            self._count(1)
            while not self.opened.wait(0.05) and not receiver.closing.is_set():
                pass
            self._count(-1)
            connection.sendall(self.answer)

    def _count(self, change: int) -> None:
        with self._lock:
            self._now += change
            self.most_at_once = max(self.most_at_once, self._now)


def headers_of(request: bytes) -> dict[str, str]:
    """By lower-case name; each occurs once."""
    lines = request.partition(b"\r\n\r\n")[0].decode("ascii").split("\r\n")[1:]
    pairs = [line.partition(":")[::2] for line in lines]
    headers = {name.lower(): value.strip() for name, value in pairs}
    assert len(headers) == len(pairs)
    return headers


def body_of(request: bytes) -> bytes:
    return request.partition(b"\r\n\r\n")[2]


def people(school: School, number: int, now: datetime | None = None) -> None:
    """That many users come, as events have it, in one transaction."""
    now = now or datetime.now(UTC)
    come = [sample_event(EventName.USER_CREATED, new_id(), now) for _ in range(number)]
    with school.database.transaction() as tx:
        publish(tx, school.registrar, school.organization.id, come, now)


def attempts_of(school: School, delivery: Any) -> list[Any]:
    """Oldest first."""
    found = deliveries.get_delivery(school.registrar, school.admin, delivery.id)
    return list(reversed(found.attempts))


def statuses(school: School, webhook: Any) -> list[str]:
    return [each.status.value for each in school.deliveries(webhook)]
