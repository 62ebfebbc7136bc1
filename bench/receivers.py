"""`receivers`: what receivers that take their time leave of the throughput."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from bench import machine
from bench.databases import KINDS, POSTGRES, opened, settle, throw_away
from bench.machine import MEASURED_CORE, OTHER_CORE
from bench.plots import Chart, keep
from bench.report import Figure, parts_table, table
from bench.rounds import COLUMNS, Engine, Round, engine, figures
from bench.schools import IN_FLIGHT, School, open_school
from bench.sinks import receiver

WEBHOOKS = 16
FULL = {1: 4_800, 50: 4_800, 500: 1_280}  # milliseconds to deliveries
SMOKE = {1: 160, 50: 160}


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Against receivers of one speed."""

    milliseconds: int
    plain: Round
    sampled: Round

    @property
    def most(self) -> float:
        """Deliveries a second that the webhooks' caps allow."""
        return WEBHOOKS * IN_FLIGHT * 1_000 / self.milliseconds


def measure(*, smoke: bool, save: bool = False) -> list[Figure]:
    numbers = SMOKE if smoke else FULL
    kinds = list(KINDS)[:1] if smoke else list(KINDS)
    print(*machine.describe(POSTGRES), sep="\n")
    print(
        f"\n{WEBHOOKS} webhooks, {IN_FLIGHT} in flight to each\n"
        f"dispatcher on core {MEASURED_CORE}, receivers and PostgreSQL's processes on core"
        f" {OTHER_CORE}"
    )
    found = {kind: _against(kind, numbers) for kind in kinds}
    for kind, of_kind in found.items():
        print(f"\n{_table(kind, of_kind)}\n")
        parts = {f"{each.milliseconds} ms": each.sampled.parts_us for each in of_kind}
        print(parts_table(f"part ({kind}, sampled rounds), us", parts))
    if save:
        keep("receivers", [_chart(found)])
    return [
        Figure(name=f"{kind}_{each.milliseconds}ms", value=each.plain.rate, unit="/s")
        for kind, of_kind in found.items()
        for each in of_kind
    ]


def _against(kind: str, numbers: dict[int, int]) -> list[Found]:
    with ExitStack() as stack:
        url = stack.enter_context(throw_away(kind))
        database = stack.enter_context(opened(url))
        sinks = {
            each: stack.enter_context(receiver(WEBHOOKS, delay=each / 1_000)) for each in numbers
        }
        sender = stack.enter_context(engine(url))
        found = []
        for milliseconds, number in numbers.items():
            school = open_school(database)
            for each in sinks[milliseconds].urls:
                school.connect(each)
            plain, sampled = (_drain(sender, school, url, number, parts=p) for p in (False, True))
            found.append(Found(milliseconds=milliseconds, plain=plain, sampled=sampled))
        return found


def _drain(sender: Engine, school: School, url: str, number: int, *, parts: bool) -> Round:
    school.fill(number // WEBHOOKS)
    settle(url)
    return sender.drain(number, parts=parts)


def _table(kind: str, found: Sequence[Found]) -> str:
    rows = [
        [
            f"{kind}: {each.milliseconds} ms",
            *figures([each.plain]),
            f"{each.most:,.0f}",
            f"{each.plain.rate / each.most:.0%}",
        ]
        for each in found
    ]
    return table(["receivers", *COLUMNS, "caps allow/s", "share"], rows)


def _chart(found: dict[str, list[Found]]) -> Chart:
    (first, *_) = found.values()
    return Chart(
        name="receivers",
        title=f"Deliveries a second to {WEBHOOKS} webhooks, {IN_FLIGHT} in flight to each",
        x="time until a receiver answers",
        places=[f"{each.milliseconds} ms" for each in first],
        lines={
            KINDS[kind]: [round(each.plain.rate) for each in of_kind]
            for kind, of_kind in found.items()
        },
    )
