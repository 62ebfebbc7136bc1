"""`growth`: what a delivery costs while the backlog grows, and then the history."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from bench import machine
from bench.backlog import FEW, HEAD, Comparison, compare, head
from bench.databases import KINDS, POSTGRES
from bench.grounds import HOSTS, Ground
from bench.plots import Chart, keep
from bench.report import Figure, table
from bench.rounds import figures, typical
from bench.sinks import receiver

BACKLOGS = (10_000, 100_000, 300_000, 1_000_000)  # pending
HISTORIES = (0, 500_000, 1_000_000, 2_000_000)  # delivered, on top of the largest backlog


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    pending: int
    past: int
    found: Comparison
    megabytes: float

    @property
    def name(self) -> str:
        return f"{self.pending:,} pending, {self.past:,} past"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    backlogs: Sequence[int] = BACKLOGS
    histories: Sequence[int] = HISTORIES
    few: int = FEW
    number: int = 2_400
    rounds: int = 3
    kinds: Sequence[str] = field(default_factory=lambda: tuple(KINDS))


SMOKE = Sizes(
    backlogs=(400, 800), histories=(0, 400), few=400, number=120, rounds=1, kinds=("sqlite",)
)


def measure(*, smoke: bool, save: bool = False) -> list[Figure]:
    sizes = SMOKE if smoke else Sizes()
    print(*machine.describe(POSTGRES), sep="\n")
    print(head(sizes.number, sizes.rounds))
    steps = {}
    with receiver(HOSTS) as sink:
        for kind in sizes.kinds:
            steps[kind] = list(_grow(kind, sink.urls, sizes))
            rows = [
                [f"{kind}: {step.name}", *figures(step.found.many), f"{step.found.ratio:.2f}"]
                for step in steps[kind]
            ]
            print(f"\n{table(HEAD, rows)}")
            print(f"{steps[kind][-1].megabytes:,.0f} MB at the end")
    if save:
        keep("growth", _charts(steps, sizes))
    last = {kind: of_kind[-1].found.ratio for kind, of_kind in steps.items()}
    return [Figure(name=kind, value=ratio) for kind, ratio in last.items()]


def _grow(kind: str, urls: Sequence[str], sizes: Sizes) -> Iterator[Step]:
    """The steps of one database: as much as nothing at first, all of it in the end."""
    pending = past = 0
    with Ground(kind, urls) as reference, Ground(kind, urls) as subject:
        for target_pending, target_past in _targets(sizes):
            if target_pending > pending:
                subject.add_pending(target_pending - pending)
            if target_past > past:
                subject.add_history(target_past - past)
            pending, past = target_pending, target_past
            found = compare(reference, subject, sizes.few, sizes.number, sizes.rounds)
            yield Step(pending=pending, past=past, found=found, megabytes=subject.size_mb())


def _targets(sizes: Sizes) -> Iterator[tuple[int, int]]:
    """Pending and past deliveries of each step."""
    for pending in sizes.backlogs:
        yield pending, 0
    for past in sizes.histories[1:]:
        yield sizes.backlogs[-1], past


def _charts(steps: Mapping[str, Sequence[Step]], sizes: Sizes) -> list[Chart]:
    backlogs = len(sizes.backlogs)
    return [
        Chart(
            name="growth-backlog",
            title="CPU for each delivery, us, while the backlog grows",
            x="pending deliveries, none past",
            places=[_short(each) for each in sizes.backlogs],
            lines={KINDS[kind]: _cpu(of_kind[:backlogs]) for kind, of_kind in steps.items()},
        ),
        Chart(
            name="growth-history",
            title="CPU for each delivery, us, while the history grows",
            x=f"past deliveries, {_short(sizes.backlogs[-1])} pending",
            places=[_short(each) for each in sizes.histories],
            lines={KINDS[kind]: _cpu(of_kind[backlogs - 1 :]) for kind, of_kind in steps.items()},
        ),
    ]


def _cpu(steps: Sequence[Step]) -> list[float]:
    return [round(typical(step.found.many)["all_us"]) for step in steps]


def _short(number: int) -> str:
    if number >= 1_000_000:
        return f"{number / 1e6:g} M"
    return f"{number / 1e3:g} k" if number else "0"
