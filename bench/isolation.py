"""`isolation`: what one webhook of twenty that hangs until its timeout takes from the others."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from statistics import median, quantiles

from bench import machine
from bench.databases import KINDS, POSTGRES, settle, throw_away
from bench.machine import MEASURED_CORE, OTHER_CORE
from bench.report import Figure, table
from bench.rounds import Engine, engine
from bench.schools import COMPLETED, School, open_school
from bench.sinks import Receiver, receiver
from bench.watching import WatchedDatabase
from coursebell.domain import samples
from coursebell.domain.model import new_id
from coursebell.services.publishing import publish

WEBHOOKS = 20
THROUGHPUT_BUDGET, P99_BUDGET = 0.9, 2.0
PER_SECOND = 200  # of all webhooks together
_HANGS = 60.0  # seconds; the dispatcher gives up after 5
_PATIENCE = 120.0
_POLL = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much a round does, and how many there are."""

    each: int  # deliveries of a webhook in a backlog
    seconds: float  # of steady work
    rounds: int


FULL = Size(each=250, seconds=15.0, rounds=3)
SMOKE = Size(each=5, seconds=0.5, rounds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Of the nineteen that are well: deliveries a second, and milliseconds from commit to byte."""

    rate: float
    p50: float
    p99: float


class Setting:
    """Twenty organizations with a webhook each, on a database of their own.

    The first nineteen have `well` for a receiver, the last one has `other`.
    """

    def __init__(
        self, url: str, database: WatchedDatabase, well: Receiver, other: Receiver
    ) -> None:
        self._url = url
        self._database = database
        self._well = well
        self._schools = [open_school(database) for _ in range(WEBHOOKS)]
        for school in self._schools:
            school.connect(other.urls[0] if school is self._schools[-1] else well.urls[0])

    def drain(self, dispatcher: Engine, each: int) -> float:
        """How many a second the nineteen get of a backlog that all have."""
        for school in self._schools:
            school.fill(each)
        settle(self._url)
        before, wanted = self._well.received, each * (WEBHOOKS - 1)
        start = time.monotonic()
        dispatcher.begin()
        _wait_until(self._well, before + wanted)
        seconds = time.monotonic() - start
        dispatcher.end()
        return wanted / seconds

    def work(self, dispatcher: Engine, seconds: float) -> list[float]:
        """Milliseconds from each commit to its first byte at one of the nineteen."""
        before = self._well.received
        dispatcher.begin()
        committed = self._complete_steadily(seconds)
        _wait_until(self._well, before + len(committed))
        dispatcher.end()
        stamps = self._well.told()["stamps"]
        return [(stamps[each] - at) * 1_000 for each, at in committed.items()]

    def _complete_steadily(self, seconds: float) -> dict[str, float]:
        committed = {}
        begin = time.monotonic()
        for number in range(round(seconds * PER_SECOND)):
            time.sleep(max(0.0, begin + number / PER_SECOND - time.monotonic()))
            school = self._schools[number % WEBHOOKS]
            registration_id = _complete(school)
            if school is not self._schools[-1]:
                committed[registration_id] = self._database.committed_at
        return committed


def measure(*, smoke: bool) -> list[Figure]:
    size = SMOKE if smoke else FULL
    print(*machine.describe(POSTGRES), sep="\n")
    print(
        f"\n{WEBHOOKS} webhooks; one answers like the others, or hangs until its timeout of 5 s\n"
        f"backlog: {size.each} deliveries for each; steady: {PER_SECOND} completions a second"
        f" together, for {size.seconds:g} s\n{size.rounds} rounds, interleaved; dispatcher on core"
        f" {MEASURED_CORE}, receivers and PostgreSQL's processes on core {OTHER_CORE}\n"
    )
    rows, rates, p99s = [], [], []
    for kind in KINDS:
        well, hanging = _compare(kind, size)
        rates.append(median(b.rate / a.rate for a, b in zip(well, hanging, strict=True)))
        p99s.append(median(b.p99 / a.p99 for a, b in zip(well, hanging, strict=True)))
        rows.append([f"{kind}, all well", *_figures(well), "1", "1"])
        ratios = [f"{rates[-1]:.2f}", f"{p99s[-1]:.2f}"]
        rows.append([f"{kind}, one hangs", *_figures(hanging), *ratios])
    head = ["the other nineteen", "deliveries/s", "p50 ms", "p99 ms", "throughput", "p99"]
    print(table(head, rows))
    return [
        Figure(name="throughput", value=min(rates), budget=THROUGHPUT_BUDGET, at_least=True),
        Figure(name="p99", value=max(p99s), budget=P99_BUDGET),
    ]


def _compare(kind: str, size: Size) -> tuple[list[Found], list[Found]]:
    """Rounds where all are well, and where one hangs."""
    with ExitStack() as stack:
        settings = [stack.enter_context(_setting(kind, delay)) for delay in (0.0, _HANGS)]
        rounds = [[_round(*each, size) for each in settings] for _ in range(size.rounds)]
    well, hanging = zip(*rounds, strict=True)
    return list(well), list(hanging)


@contextmanager
def _setting(kind: str, delay: float) -> Iterator[tuple[Setting, Engine]]:
    with (
        throw_away(kind) as url,
        receiver(stamp=True) as well,
        receiver(delay=delay) as other,
        engine(url) as dispatcher,
    ):
        database = WatchedDatabase(url)
        yield Setting(url, database, well, other), dispatcher
        database.close()


def _round(setting: Setting, dispatcher: Engine, size: Size) -> Found:
    rate = setting.drain(dispatcher, size.each)
    latencies = setting.work(dispatcher, size.seconds)
    shares = quantiles(latencies, n=100, method="inclusive")
    return Found(rate=rate, p50=median(latencies), p99=shares[98])


def _complete(school: School) -> str:
    """A completion is committed; the registration's id, of its own so that it can be followed."""
    now, registration_id = datetime.now(UTC), new_id()
    sample = samples.sample_event(COMPLETED, new_id(), now)
    event = replace(sample, registration_id=registration_id, registration_seq=1)
    with school.registrar.database.transaction() as tx:
        publish(tx, school.registrar, school.organization.id, [event], now)
    return registration_id


def _wait_until(sink: Receiver, received: int) -> None:
    deadline = time.monotonic() + _PATIENCE
    while sink.received < received:
        if time.monotonic() > deadline:
            raise RuntimeError("not everything was delivered")
        time.sleep(_POLL)


def _figures(rounds: Sequence[Found]) -> list[str]:
    rate, p50, p99 = (
        median(getattr(each, name) for each in rounds) for name in ("rate", "p50", "p99")
    )
    return [f"{rate:,.0f}", f"{p50:.1f}", f"{p99:.1f}"]
