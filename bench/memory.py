"""`memory`: what `coursebell serve` holds while a million deliveries are pending and it is used."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import median

from bench import machine
from bench.databases import KINDS, POSTGRES, opened, settle, throw_away
from bench.machine import family, memory_mb, role_of
from bench.piles import pile_up
from bench.processes import COURSEBELL, environment_of, running
from bench.report import Figure, table
from bench.schools import GRADE, open_school
from bench.sinks import receiver
from bench.start import wait_until_answered

WEBHOOKS = 16
DELAY = 0.5  # seconds that each receiver takes, so that an hour does not empty the backlog
BUDGET = 300.0  # MB
GROWTH_BUDGET = 1.05
COMPLETIONS = 5  # by the API, each second
SECONDS = 60
_WARM_UP = 0.25  # share of the time in which memory may still grow


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What the processes held at one moment, in MB."""

    at: float  # seconds from the start
    held: Mapping[str, float]  # by each alone, and by several of them

    @property
    def total(self) -> float:
        return sum(self.held.values())


def measure(*, smoke: bool, seconds: int | None = None) -> list[Figure]:
    pending, duration = (2_000, 2) if smoke else (1_000_000, seconds or SECONDS)
    kinds = list(KINDS)[:1] if smoke else list(KINDS)
    print(*machine.describe(POSTGRES), sep="\n")
    with ExitStack() as stack:
        urls = stack.enter_context(receiver(WEBHOOKS, delay=DELAY)).urls
        servers = {kind: stack.enter_context(_Server(kind, urls, pending)) for kind in kinds}
        start = time.monotonic()
        while time.monotonic() < start + duration:
            turn = time.monotonic()
            for server in servers.values():
                server.use()
                server.look(time.monotonic() - start)
            time.sleep(max(0.0, turn + 1 - time.monotonic()))
        looks = {kind: server.looks for kind, server in servers.items()}
    print(
        f"\n`coursebell serve`, {pending:,} pending to {WEBHOOKS} receivers that answer after"
        f" {DELAY * 1_000:g} ms; for {duration} s,\n{COMPLETIONS} completions, a page of deliveries"
        f" and one of events, and /metrics each second\n"
    )
    print(table(["", "MB at the end", "most", "growth"], list(_rows(looks))))
    return [
        Figure(
            name="most",
            value=max(each.total for of_kind in looks.values() for each in of_kind),
            budget=BUDGET,
            unit="MB",
        ),
        Figure(name="growth", value=max(map(_growth, looks.values())), budget=GROWTH_BUDGET),
    ]


class _Server:
    """`coursebell serve` with a backlog, and somebody who uses its API."""

    def __init__(self, kind: str, urls: Sequence[str], pending: int) -> None:
        self._kind = kind
        self._urls = urls
        self._pending = pending
        self.looks: list[Look] = []

    def __enter__(self) -> _Server:
        with ExitStack() as stack:
            url = stack.enter_context(throw_away(self._kind))
            database = stack.enter_context(opened(url))
            self._school = open_school(database)
            self._webhooks = [self._school.connect(each) for each in self._urls]
            self._users = self._school.users(COMPLETIONS)
            self._token = self._school.token()
            pile_up(database, [self._school], WEBHOOKS, self._pending)
            settle(url)
            serve = [*COURSEBELL, "serve", "--port", "0"]
            self._process, log = stack.enter_context(
                running(serve, None, environment=environment_of(url))
            )
            port = wait_until_answered(self._process, log)
            self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            stack.callback(self._connection.close)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def use(self) -> None:
        self._ask("GET", "/metrics")
        self._ask("GET", f"/api/v5/webhooks/{self._webhooks[0]}/deliveries")
        self._ask("GET", "/api/v5/events")
        for each in self._school.registrations(self._users, COMPLETIONS):
            self._ask("POST", f"/api/v5/registrations/{each}/complete", {"grade": float(GRADE)})

    def look(self, at: float) -> None:
        pids = family(self._process.pid)
        found = {role_of(pid): memory_mb(pid) for pid in pids}
        held = {role: alone for role, (alone, _) in found.items()}
        held["shared"] = max(shared for _, shared in found.values())
        self.looks.append(Look(at=at, held=held))

    def _ask(self, method: str, path: str, body: object = None) -> None:
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        content = None if body is None else json.dumps(body)
        self._connection.request(method, path, content, headers)
        answer = self._connection.getresponse()
        answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path} was answered {answer.status}")


def _growth(looks: Sequence[Look]) -> float:
    """The last quarter of the time beside the first one after the warm-up."""
    warm = [each.total for each in looks if each.at >= looks[-1].at * _WARM_UP]
    quarter = max(1, len(warm) // 3)
    return median(warm[-quarter:]) / median(warm[:quarter])


def _rows(looks: Mapping[str, Sequence[Look]]) -> Iterator[list[str]]:
    for kind, of_kind in looks.items():
        for role, megabytes in of_kind[-1].held.items():
            yield [f"{kind}: {role}", f"{megabytes:.1f}", "", ""]
        totals = [each.total for each in of_kind]
        yield [
            f"{kind}: together",
            f"{totals[-1]:.1f}",
            f"{max(totals):.1f}",
            f"{_growth(of_kind):.3f}",
        ]
