"""`drain-sqlite`, `drain-postgres`: a backlog is delivered, beside a loop that only sends."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from bench import machine
from bench.databases import POSTGRES, opened, settle, throw_away
from bench.machine import MEASURED_CORE, OTHER_CORE
from bench.processes import child
from bench.report import Figure, parts_table, spread, table
from bench.rounds import Round, engine
from bench.schools import IN_FLIGHT, PUBLIC_URL, School, open_school
from bench.sinks import receiver

WEBHOOKS = 16  # each of an organization of its own: an event, a delivery
BUDGETS = {"sqlite": 0.40, "postgres": 0.33}


def measure(kind: str, *, smoke: bool) -> list[Figure]:
    number, rounds = (320, 1) if smoke else (9_600, 5)
    postgres = kind == "postgres"
    print(*machine.describe(POSTGRES if postgres else None), sep="\n")
    with throw_away(kind) as url, receiver(WEBHOOKS) as sink:
        with opened(url) as database:
            schools = [open_school(database) for _ in range(WEBHOOKS)]
            for school, address in zip(schools, sink.urls, strict=True):
                school.connect(address)
            ours, bare = [], []
            for _ in range(rounds):
                _fill(schools, number, url)
                bare.append(_bare(url, number))
                ours.append(_dispatcher(url, number))
            _fill(schools, number, url)
            profiled = _dispatcher(url, number, parts=True)
        heard = sink.told()
    sent = sum(each.number for each in [*ours, *bare, profiled])
    if heard["received"] < sent:
        raise RuntimeError(f"{sent} were sent and {heard['received']} came")
    sink_us = heard["cpu"] / heard["received"] * 1e6
    ratio = median(a.rate / b.rate for a, b in zip(ours, bare, strict=True))
    by_cpu = median(b.cpu_us / a.cpu_us for a, b in zip(ours, bare, strict=True))
    print(_head(number, rounds, sink_us, postgres=postgres))
    head = ["", "deliveries/s", "rounds", "CPU us each", "ratio", "ratio by CPU"]
    rows = [
        ["bare loop", *_figures(bare), "1", "1"],
        ["dispatcher", *_figures(ours), f"{ratio:.2f}", f"{by_cpu:.2f}"],
    ]
    print(table(head, rows))
    title = f"part (a sampled round, {profiled.cpu_us:.0f} us)"
    print("\n" + parts_table(title, {"CPU us each": profiled.parts_us}))
    # who shares the machine spoils the one, who waits for the disk shows only in the other
    return [Figure(name="ratio", value=min(ratio, by_cpu), budget=BUDGETS[kind], at_least=True)]


def _head(number: int, rounds: int, sink_us: float, *, postgres: bool) -> str:
    server = "; PostgreSQL's processes beside the sink" if postgres else ""
    return (
        f"\n{rounds} rounds of {number} deliveries, interleaved; {WEBHOOKS} webhooks,"
        f" {WEBHOOKS * IN_FLIGHT} in flight\nsender on core {MEASURED_CORE}, sink (Python, epoll,"
        f" raw sockets; {sink_us:.0f} us CPU a request) on core {OTHER_CORE}{server}\n"
    )


def _figures(rounds: list[Round]) -> Iterator[str]:
    rates = [each.rate for each in rounds]
    yield f"{median(rates):,.0f}"
    yield spread(rates)
    yield f"{median(each.cpu_us for each in rounds):.0f}"


def _fill(schools: list[School], number: int, url: str) -> None:
    for school in schools:
        school.fill(number // len(schools))
    settle(url)


def _bare(url: str, number: int) -> Round:
    given = {"url": url, "public_url": PUBLIC_URL, "in_flight": WEBHOOKS * IN_FLIGHT}
    with child("bare", MEASURED_CORE, given) as bare:
        if bare.first != number:
            raise RuntimeError(f"{number} deliveries were made and {bare.first} are due")
        told = bare.ask("go")
    if told["good"] != number:
        raise RuntimeError(f"{number} were sent and {told['good']} answered")
    return Round(number=number, seconds=told["seconds"], cpu=told["cpu"])


def _dispatcher(url: str, number: int, *, parts: bool = False) -> Round:
    with engine(url) as dispatcher:
        return dispatcher.drain(number, parts=parts)
