"""A scene: an installation whose processes can be hurt, receivers, load, and the books."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import TypeVar

from acceptance.installations import UNANSWERED, Answer, Client, Installation, Server, wait_until
from coursebell.errors import UnavailableError
from coursebell.storage.database import Database
from faults import books
from faults.books import FedEvent, Findings
from faults.clusters import Cluster
from faults.disks import Disk
from faults.ledgers import Ledger
from faults.stories import EVENTS, StoryTellers

T = TypeVar("T")

SECRET_KEY = "a-key-that-only-the-fault-kit-uses"
_PAGE = 1000
TWO_OF_EACH = ("--api-workers", "2", "--dispatchers", "2")  # options that PostgreSQL allows
MAX_REQUESTS = 64  # that an API process takes on, so that a flood need not be large
SETTLED = 240.0  # seconds in which everything is in a final state once nothing is hurt any more


@dataclass(frozen=True, slots=True, kw_only=True)
class Connected:
    """A webhook and its receiver."""

    webhook_id: str
    ledger: Ledger


class Scene:
    """A database called `name` with everything around it; `cluster` or `disk` is its seat.

    `options` are given to `serve`.
    """

    def __init__(
        self,
        *,
        cluster: Cluster | None = None,
        disk: Disk | None = None,
        name: str = "bell",
        directory: Path | None = None,
        settings: Mapping[str, str] | None = None,
        options: Sequence[str] = (),
    ) -> None:
        self.cluster, self.disk = cluster, disk
        self._stack = ExitStack()
        self.directory = directory or Path(tempfile.mkdtemp(prefix="coursebell-faults-"))
        seat = disk.path if disk is not None else self.directory
        database_url = f"sqlite:///{seat}/{name}.db" if cluster is None else cluster.create(name)
        self.installation = Installation(
            database_url,
            SECRET_KEY,
            self.directory,
            settings=settings,
            through=() if disk is None else disk.through,
            options=options,
        )
        self._stack.callback(self.installation.close)
        self._database = Database(database_url, secret_keys=[SECRET_KEY], pool_size=2)
        self._stack.callback(self._look, self._database.close)
        self.server: Server = self.installation.serve()
        self.webhooks: list[Connected] = []
        self._feed = f"events?after=&limit={_PAGE}"  # where to read on
        self._fed: list[FedEvent] = []  # the last that was read, if any

    def client(self, token: str | None = None) -> Client:
        """The administrator, at the server of this moment."""
        return self.server.client(token)

    @contextmanager
    def connected(self, ledger: Ledger, **fields: object) -> Iterator[Connected]:
        """A webhook for the events of stories, and its receiver; deleted at the end."""
        with ledger:
            with self.client() as admin:
                url = fields.pop("url", ledger.url)
                webhook_id, ledger.secret = admin.connect(str(url), *EVENTS, **fields)
            connected = Connected(webhook_id=webhook_id, ledger=ledger)
            self.webhooks.append(connected)
            try:
                yield connected
            finally:
                self.webhooks.remove(connected)
                self.insist("DELETE", f"webhooks/{webhook_id}")

    def dump(self) -> bytes:
        """Every byte of the database, as somebody finds it who steals it."""
        if self.cluster is not None:
            return self.cluster.dump(self.installation.environment["COURSEBELL_DATABASE_URL"])
        # by another process: closing a file takes away all locks that this one has on it, and
        # whoever is then the last to close the database removes a log that others still use
        through = () if self.disk is None else self.disk.through
        files = [str(each) for each in self._look(self._files)]
        return subprocess.run([*through, "cat", *files], check=True, capture_output=True).stdout

    def _files(self) -> list[Path]:
        path = self._database.path
        assert path is not None
        return [each for each in path.parent.glob(f"{path.name}*") if each.is_file()]

    def new_offering(self) -> str:
        with self.client() as admin:
            course_id = admin.create("courses", title="Safety at Sea")
            return admin.create("offerings", title="Safety at Sea", courseId=course_id)

    def tellers(self, *, number: int = 8, rate: float | None = None) -> StoryTellers:
        """Load on a new offering."""
        return StoryTellers(self, self.new_offering(), number=number, rate=rate)

    def restart(self) -> None:
        """Another `serve` in place of one that has ended."""
        self.server.close()
        self.server = self.installation.serve()

    def hold_write_lock(self, meanwhile: Callable[[], None]) -> None:
        """As another program does that writes to the SQLite file."""

        def hold() -> None:
            with self._database.transaction():
                meanwhile()

        self._look(hold)

    def make_read_only(self) -> None:
        """The disk; nobody has the database open for writing, the kit included."""
        assert self.disk is not None
        self._look(self._database.close)
        wait_until(self._is_read_only, "the killed have closed their files")

    def _is_read_only(self) -> bool:
        assert self.disk is not None
        try:
            self.disk.make_read_only()
        except subprocess.CalledProcessError:
            return False
        return True

    def settle(self, patience: float | None = None) -> float:
        """Wait until all deliveries are in a final state; the seconds it took."""
        start = time.monotonic()
        wait_until(self._is_quiet, "every delivery is in a final state", patience or SETTLED)
        return time.monotonic() - start

    def audit(
        self, tellers: StoryTellers, *, troubled: Collection[str] = (), kills: int = 0
    ) -> Findings:
        """The books of a load that has ended and settled. Receivers turn a page over."""
        found = books.audit(
            tellers.stories,
            self._look(lambda: books.read(self._database, tellers.offering_id)),
            {each.webhook_id: each.ledger.turn_over() for each in self.webhooks},
            self._read_feed(),
            troubled=troubled,
            kills=kills,
        )
        found.problems += tellers.problems
        found.problems += self._reconcile(tellers.began)
        found.problems += [text for each in self.webhooks for text in each.ledger.wrong]
        return found

    def insist(self, method: str, resource: str, body: object = None) -> Answer:
        """Ask until it is done, also while connections to the database are found to be broken."""
        answers: list[Answer] = []

        def is_done() -> bool:
            with suppress(*UNANSWERED), self.client() as admin:
                answers.append(admin.ask(method, resource, body))
                return answers[-1].status < HTTPStatus.BAD_REQUEST
            return False

        wait_until(is_done, f"{method} {resource} is done")
        return answers[-1]

    def close(self) -> None:
        self._stack.close()

    def _read_feed(self) -> list[FedEvent]:
        """What the feed tells since the last time, after the last that it told then."""
        more = True
        while more:
            page = self.insist("GET", self._feed).document
            self._fed += [
                FedEvent(id=each["id"], position=each["position"]) for each in page["results"]
            ]
            self._feed, more = page["next"].removeprefix("/api/v5/"), page["more"]
        told, self._fed = self._fed, self._fed[-1:]
        return told

    def _reconcile(self, began: datetime) -> Iterator[str]:
        """What an operator's own check finds, from the first whole second of a load."""
        span = (began + timedelta(seconds=1), began + timedelta(days=1))
        since, until = (each.isoformat(timespec="seconds") for each in span)
        for each in self.webhooks:
            arguments = ("--webhook", each.webhook_id, "--since", since, "--until", until)
            done = self.installation.run("reconcile", *arguments)
            if done.returncode != 0:
                yield f"reconcile {each.webhook_id}: {done.stdout}{done.stderr}"

    def _look(self, work: Callable[[], T]) -> T:
        """Look into the database, from where its file is seen."""
        return work() if self.disk is None else self.disk.inside(work)

    def _is_quiet(self) -> bool:
        try:
            return self._look(lambda: books.count_open(self._database)) == 0
        except UnavailableError:
            return False


def answers_again(scene: Scene) -> Callable[[], bool]:
    """Whether the server is ready, as a question that never fails."""

    def ask() -> bool:
        with suppress(*UNANSWERED):
            return scene.server.is_ready()
        return False

    return ask


def refuses_to_write(scene: Scene) -> Callable[[], bool]:
    """Whether whoever changes something is told to come again."""

    def ask() -> bool:
        with suppress(*UNANSWERED), scene.client() as client:
            answer = client.ask("POST", "courses", {"title": "Safety at Sea"})
            return answer.status == HTTPStatus.SERVICE_UNAVAILABLE
        return False

    return ask
