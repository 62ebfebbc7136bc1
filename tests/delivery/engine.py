"""A dispatcher that runs beside a test, and receivers that do as the test says."""

from __future__ import annotations

import os
import resource
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import make_url

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


class LossyWay:
    """A way to PostgreSQL that breaks off once: where a statement that has `text` is committed.

    The server has committed by then, and the client does not know.
    """

    def __init__(self, url: str, text: str) -> None:
        target = make_url(url)
        self._target = (target.host or "127.0.0.1", target.port or 5432)
        self._text = text.encode()
        self._listener = socket.create_server(("127.0.0.1", 0))
        own = target.set(host="127.0.0.1", port=self._listener.getsockname()[1])
        self.url = own.update_query_dict({"sslmode": "disable"}).render_as_string(False)
        self.lost = 0
        self._open: list[socket.socket] = [self._listener]
        self._threads = [threading.Thread(target=self._accept)]

    def __enter__(self) -> LossyWay:
        self._threads[0].start()
        return self

    def __exit__(self, *_error: object) -> None:
        for each in self._open:
            _shut(each)
        for thread in self._threads:
            thread.join()
        for each in self._open:
            each.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._target)
                self._open += [client, server]
                thread = threading.Thread(target=self._carry, args=(client, server))
                self._threads.append(thread)
                thread.start()

    def _carry(self, client: socket.socket, server: socket.socket) -> None:
        is_doomed = False
        with suppress(OSError):
            while True:
                readable, _, _ = select.select([client, server], [], [])
                for source in readable:
                    data = source.recv(65_536)
                    is_doomed = is_doomed or (source is client and self._text in data)
                    has_committed = source is server and b"COMMIT\0" in data
                    if not data or (is_doomed and has_committed and not self.lost):
                        self.lost += bool(data)
                        raise ConnectionResetError
                    (server if source is client else client).sendall(data)
        _shut(client)
        _shut(server)


def _shut(each: socket.socket) -> None:
    with suppress(OSError):
        each.shutdown(socket.SHUT_RDWR)


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
