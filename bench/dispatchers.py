"""`dispatchers`: two of them on PostgreSQL share the work of one, and nothing is sent twice."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from statistics import median

import psycopg

from bench import machine
from bench.databases import POSTGRES, backends, opened, settle, throw_away
from bench.machine import MEASURED_CORE, OTHER_CORE, cpu_seconds
from bench.report import Figure, table
from bench.rounds import COLUMNS, Engine, Round, engine, figures
from bench.schools import School, open_school
from bench.sinks import Receiver, receiver
from coursebell.services import webhooks

WEBHOOKS = 16
DELAY = 0.05  # seconds that each receiver takes
CAP = 4  # of each webhook with one dispatcher; below what a core can send
APART_BUDGET = 0.25
CPU_BUDGET = 1.15
_PATIENCE = 60.0  # seconds until everything has been received


def measure(*, smoke: bool) -> list[Figure]:
    number, rounds = (WEBHOOKS * 8, 1) if smoke else (WEBHOOKS * 200, 4)
    print(*machine.describe(POSTGRES), sep="\n")
    with ExitStack() as stack:
        url = stack.enter_context(throw_away("postgres"))
        sink = stack.enter_context(receiver(WEBHOOKS, delay=DELAY))
        pair = _Pair(stack, url, sink)
        one, two = [], []
        for _ in range(rounds):
            one.append(pair.drain(number, dispatchers=1))
            two.append(pair.drain(number, dispatchers=2))
        twice = sink.received - number * rounds * 2
    rate = median(b.rate / a.rate for a, b in zip(one, two, strict=True))
    cpu = median(b.all_us / a.all_us for a, b in zip(one, two, strict=True))
    print(
        f"\n{rounds} rounds of {number} deliveries, interleaved; {WEBHOOKS} webhooks whose"
        f" receivers answer after {DELAY * 1_000:g} ms; {WEBHOOKS * CAP} in flight in all\n"
        f"dispatchers on core {MEASURED_CORE}, receivers and PostgreSQL's processes on core"
        f" {OTHER_CORE}\n"
    )
    rows = [
        [f"one, at most {CAP} to a webhook", *figures(one), "1", "1"],
        [f"two, at most {CAP // 2} to a webhook", *figures(two), f"{rate:.2f}", f"{cpu:.2f}"],
    ]
    print(table(["dispatchers", *COLUMNS, "rate", "CPU"], rows))
    print(f"received more than once: {twice}")
    return [
        Figure(name="throughput_off", value=abs(rate - 1), budget=APART_BUDGET),
        Figure(name="cpu", value=cpu, budget=CPU_BUDGET),
        Figure(name="twice", value=twice, budget=0),
    ]


class _Pair:
    """Two dispatchers on a database, and a school whose webhooks they deliver to."""

    def __init__(self, stack: ExitStack, url: str, sink: Receiver) -> None:
        self._url = url
        self._sink = sink
        self._school = open_school(stack.enter_context(opened(url)))
        self._webhooks = [self._school.connect(each) for each in sink.urls]
        self._engines = [stack.enter_context(engine(url)) for _ in range(2)]

    def drain(self, number: int, *, dispatchers: int) -> Round:
        """Deliver so many to receivers that get as much at once, however many dispatchers."""
        _cap(self._school, self._webhooks, CAP // dispatchers)
        self._school.fill(number // WEBHOOKS)
        settle(self._url)
        server = cpu_seconds(backends(self._url))
        seconds, rounds = self._run(self._engines[:dispatchers], number)
        server = cpu_seconds(backends(self._url)) - server
        _check_all_were_delivered_once(self._url)
        return Round(
            number=number,
            seconds=seconds,
            cpu=sum(each.cpu for each in rounds),
            server_cpu=server,
        )

    def _run(self, engines: Sequence[Engine], number: int) -> tuple[float, list[Round]]:
        """Seconds until so many were received, and what each dispatcher took."""
        target, start = self._sink.received + number, time.monotonic()
        for each in engines:
            each.begin()
        while self._sink.received < target:
            if time.monotonic() - start > _PATIENCE:
                raise RuntimeError("not everything was delivered")
            time.sleep(0.01)
        seconds = time.monotonic() - start
        return seconds, [each.end() for each in engines]


def _cap(school: School, webhook_ids: Sequence[str], in_flight: int) -> None:
    changes = webhooks.WebhookChanges(max_in_flight=in_flight)
    for each in webhook_ids:
        webhooks.change_webhook(school.registrar, school.operator, each, changes, datetime.now(UTC))


def _check_all_were_delivered_once(url: str) -> None:
    query = "SELECT count(*) FROM deliveries WHERE status <> 'delivered' OR attempts <> 1"
    with psycopg.connect(url) as connection:
        found = connection.execute(query).fetchall()
    if found != [(0,)]:
        raise RuntimeError(f"{found[0][0]} deliveries were not delivered, or not by one attempt")
