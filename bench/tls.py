"""`tls`: many hosts over TLS, where a connection that can be kept decides what a delivery costs."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from bench import machine
from bench.databases import opened, settle, throw_away
from bench.machine import MEASURED_CORE, OTHER_CORE
from bench.plots import Chart, keep
from bench.report import Figure, parts_table, table
from bench.rounds import Engine, Round, engine
from bench.schools import School, open_school
from bench.sinks import Receiver, receiver, secure_receiver

HOSTS = (1, 10, 100, 600)
NUMBER = 3_600  # deliveries of a round, at most
SMOKE_HOSTS, SMOKE_NUMBER = (4,), 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """With so many hosts, each of which has one webhook and has been sent to before."""

    hosts: int
    plain: Round  # as many hosts, without TLS
    secure: Round
    sampled: Round
    connections: float  # opened for each delivery, over TLS
    resumed: float  # share of those that went on with a session of before


def measure(*, smoke: bool, save: bool = False) -> list[Figure]:
    hosts, number = (SMOKE_HOSTS, SMOKE_NUMBER) if smoke else (HOSTS, NUMBER)
    print(*machine.describe(), sep="\n")
    print(
        f"\nrounds of {number} deliveries at most, on SQLite; a webhook for each host; certificates"
        " (ECDSA P-256) are checked\n"
        f"dispatcher on core {MEASURED_CORE}, receivers on core {OTHER_CORE}\n"
    )
    found = [_with(each, number) for each in hosts]
    print(_table(found) + "\n")
    parts = {f"{each.hosts} hosts": each.sampled.parts_us for each in found}
    print(parts_table("part (sampled rounds), us", parts))
    if save:
        keep("tls", [_chart(found)])
    return [
        Figure(name=f"hosts_{each.hosts}", value=each.secure.cpu_us, unit="us") for each in found
    ]


def _with(hosts: int, number: int) -> Found:
    with ExitStack() as stack:
        url = stack.enter_context(throw_away("sqlite"))
        database = stack.enter_context(opened(url))
        plain = stack.enter_context(receiver(hosts))
        secure, authority = stack.enter_context(secure_receiver(hosts))
        trusting = {"COURSEBELL_CA_FILE": str(authority)}
        sender = stack.enter_context(engine(url, environment=trusting))
        events = max(1, number // hosts)
        schools = [_connected(open_school(database), each) for each in (plain, secure)]
        rounds = [_warm_round(sender, school, url, events, hosts) for school in schools]
        before = secure.told()
        schools[1].fill(events)
        settle(url)
        sampled = sender.drain(events * hosts, parts=True)
        after = secure.told()
    opened_now = after["connected"] - before["connected"]
    return Found(
        hosts=hosts,
        plain=rounds[0],
        secure=rounds[1],
        sampled=sampled,
        connections=opened_now / sampled.number,
        resumed=(after["resumed"] - before["resumed"]) / max(1, opened_now),
    )


def _connected(school: School, there: Receiver) -> School:
    for each in there.urls:
        school.connect(each)
    return school


def _warm_round(sender: Engine, school: School, url: str, events: int, hosts: int) -> Round:
    """A round after every host has been sent to once."""
    school.fill(1)
    sender.drain(hosts)
    school.fill(events)
    settle(url)
    return sender.drain(events * hosts)


def _table(found: Sequence[Found]) -> str:
    head = ["hosts", "deliveries/s", "CPU us", "us without TLS", "connections each", "resumed"]
    rows = [
        [
            str(each.hosts),
            f"{each.secure.rate:,.0f}",
            f"{each.secure.cpu_us:.0f}",
            f"{each.plain.cpu_us:.0f}",
            f"{each.connections:.2f}",
            f"{each.resumed:.0%}",
        ]
        for each in found
    ]
    return table(head, rows)


def _chart(found: Sequence[Found]) -> Chart:
    return Chart(
        name="tls",
        title="CPU of the dispatcher for each delivery, us",
        x="hosts, a webhook each",
        places=[f"{each.hosts:,}" for each in found],
        lines={
            "over TLS": [round(each.secure.cpu_us) for each in found],
            "without": [round(each.plain.cpu_us) for each in found],
        },
    )
