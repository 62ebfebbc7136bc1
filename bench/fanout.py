"""`fanout`: what it costs to tell one webhook, ten or a hundred of the same event."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from bench import machine
from bench.databases import KINDS, POSTGRES, backends, opened, settle, throw_away
from bench.machine import MEASURED_CORE, OTHER_CORE, cpu_seconds
from bench.plots import Chart, keep
from bench.report import Figure, parts_table, table
from bench.rounds import COLUMNS, Round, engine, figures
from bench.schools import School, open_school
from bench.sinks import Receiver, receiver

WEBHOOKS = (1, 10, 100)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """With so many webhooks."""

    webhooks: int
    written_us: float  # CPU to write a delivery and its share of the event, PostgreSQL's included
    plain: Round
    sampled: Round

    @property
    def event_us(self) -> float:
        """CPU of all that one event causes."""
        return self.webhooks * (self.written_us + self.plain.all_us)


def measure(*, smoke: bool, save: bool = False) -> list[Figure]:
    number, kinds = (200, list(KINDS)[:1]) if smoke else (4_800, list(KINDS))
    print(*machine.describe(POSTGRES), sep="\n")
    print(
        f"\n{number} deliveries of events written in batches of at most 500\n"
        f"dispatcher on core {MEASURED_CORE}, receivers and PostgreSQL's processes on core"
        f" {OTHER_CORE}"
    )
    with receiver(max(WEBHOOKS)) as sink:
        found = {kind: _of(kind, sink, number) for kind in kinds}
    for kind, of_kind in found.items():
        print(f"\n{_table(kind, of_kind)}\n")
        parts = {f"{each.webhooks} webhooks": each.sampled.parts_us for each in of_kind}
        print(parts_table(f"part ({kind}, sampled rounds), us", parts))
    if save:
        keep("fanout", [_chart(found)])
    return [
        Figure(name=f"{kind}_{each.webhooks}", value=each.plain.rate, unit="/s")
        for kind, of_kind in found.items()
        for each in of_kind
    ]


def _of(kind: str, sink: Receiver, number: int) -> list[Found]:
    with ExitStack() as stack:
        url = stack.enter_context(throw_away(kind))
        database = stack.enter_context(opened(url))
        sender = stack.enter_context(engine(url))
        found = []
        for webhooks in WEBHOOKS:
            school = open_school(database)
            for each in sink.urls[:webhooks]:
                school.connect(each)
            written = _fill(school, url, number // webhooks)
            plain = sender.drain(number)
            _fill(school, url, number // webhooks)
            sampled = sender.drain(number, parts=True)
            found.append(
                Found(
                    webhooks=webhooks,
                    written_us=written / number * 1e6,
                    plain=plain,
                    sampled=sampled,
                )
            )
        return found


def _fill(school: School, url: str, events: int) -> float:
    """Seconds of CPU to write so many events and their deliveries."""
    ours, server = time.process_time(), cpu_seconds(backends(url))
    school.fill(events)
    used = time.process_time() - ours + cpu_seconds(backends(url)) - server
    settle(url)
    return used


def _table(kind: str, found: Sequence[Found]) -> str:
    rows = [
        [
            f"{kind}: {each.webhooks}",
            *figures([each.plain]),
            f"{each.written_us:.0f}",
            f"{each.event_us:,.0f}",
        ]
        for each in found
    ]
    return table(["webhooks", *COLUMNS, "written, us each", "us for each event"], rows)


def _chart(found: Mapping[str, Sequence[Found]]) -> Chart:
    return Chart(
        name="fanout",
        title="CPU for each delivery, us, written and sent",
        x="webhooks that are told of an event",
        places=[str(each) for each in WEBHOOKS],
        lines={
            KINDS[kind]: [round(each.written_us + each.plain.all_us) for each in of_kind]
            for kind, of_kind in found.items()
        },
    )
