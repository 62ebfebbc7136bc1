"""`backlog`, `growth`: what a delivery costs, whatever is pending, held up or past."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from bench import machine
from bench.databases import KINDS, POSTGRES
from bench.grounds import HOSTS, OBSTACLES, SCHOOLS, WEBHOOKS, Ground
from bench.machine import MEASURED_CORE, OTHER_CORE
from bench.plots import Chart, keep
from bench.report import Figure, parts_table, table
from bench.rounds import COLUMNS, Round, figures
from bench.sinks import receiver

BUDGET = 1.25
Size = tuple[int, int]  # pending and past deliveries
STEPS: Mapping[str, Sequence[Size]] = {
    "backlog": [(1_000_000, 2_000_000)],
    "growth": [
        (30_000, 0),
        (200_000, 0),
        (1_000_000, 0),
        (1_000_000, 1_000_000),
        (1_000_000, 2_000_000),  # that of `backlog`
    ],
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How much is measured."""

    steps: Sequence[Size]
    kinds: Sequence[str] = tuple(KINDS)
    few: int = 10_000  # pending, of the reference
    number: int = 1_600  # deliveries of a round
    rounds: int = 3


# each step has enough that is due: a round sends also what is in flight at its end
SMOKE = {
    "backlog": Scale(steps=[(1_600, 800)], kinds=["postgres"], few=800, number=120, rounds=1),
    "growth": Scale(
        steps=[(1_600, 0), (2_400, 0), (2_400, 400)],
        kinds=["sqlite"],
        few=800,
        number=120,
        rounds=1,
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Rounds on a database of this size and on the reference, in turns."""

    pending: int
    past: int
    few: Sequence[Round]
    many: Sequence[Round]

    @property
    def ratio(self) -> float:
        """How much more CPU a delivery takes, of dispatcher and database together."""
        return median(a.all_us / b.all_us for a, b in zip(self.many, self.few, strict=True))

    @property
    def row(self) -> list[str]:
        name = f"{self.pending:,} pending, {self.past:,} past"
        return [name, *figures(self.many), f"{self.ratio:.2f}"]


def measure(name: str, *, smoke: bool, save: bool = False) -> list[Figure]:
    scale = SMOKE[name] if smoke else Scale(steps=STEPS[name])
    print(*machine.describe(POSTGRES), sep="\n")
    print(_head(scale))
    with receiver(HOSTS) as sink:
        steps = {kind: _grow(kind, sink.urls, scale) for kind in scale.kinds}
    if save:
        keep("growth", _charts(steps))
    ratio = max(of_kind[-1].ratio for of_kind in steps.values())
    return [Figure(name="ratio", value=ratio, budget=BUDGET)]


def _grow(kind: str, urls: Sequence[str], scale: Scale) -> list[Step]:
    """The steps of one database, each larger than the one before."""
    with (
        Ground(kind, urls) as reference,
        Ground(kind, urls, obstacles=OBSTACLES) as subject,
    ):
        steps = []
        pending = past = 0
        for more_pending, more_past in scale.steps:
            subject.add_history(more_past - past)
            subject.add_pending(more_pending - pending)
            pending, past = more_pending, more_past
            few, many = _rounds(reference, subject, scale)
            steps.append(Step(pending=pending, past=past, few=few, many=many))
        reference.renew_pending(scale.few)
        parts = {
            "small": reference.drain(scale.number, parts=True).parts_us,
            "large": subject.drain(scale.number, parts=True).parts_us,
        }
        everything = [each for step in steps for each in step.few]
        small = [f"{scale.few:,} pending, none past", *figures(everything), "1"]
        print(f"\n{table([kind, *COLUMNS, 'ratio'], [small, *(step.row for step in steps)])}")
        print(f"{subject.size_mb():,.0f} MB at the end\n")
        print(parts_table(f"part ({kind}, sampled rounds), us", parts))
        return steps


def _rounds(reference: Ground, subject: Ground, scale: Scale) -> tuple[list[Round], list[Round]]:
    few, many = [], []
    for _ in range(scale.rounds):
        reference.renew_pending(scale.few)
        few.append(reference.drain(scale.number))
        many.append(subject.drain(scale.number))
    return few, many


def _head(scale: Scale) -> str:
    return (
        f"\n{scale.rounds} rounds of {scale.number} deliveries, interleaved; {SCHOOLS * WEBHOOKS}"
        " webhooks; half of what is pending waits for an earlier event of its registration\n"
        f"in front of them, not in the smallest database, {SCHOOLS * len(OBSTACLES)} others that"
        f" are {', '.join(OBSTACLES)}, with as much pending each\n"
        f"dispatcher on core {MEASURED_CORE}, receiver and PostgreSQL's processes on core"
        f" {OTHER_CORE}"
    )


def _charts(steps: Mapping[str, Sequence[Step]]) -> Iterator[Chart]:
    """CPU over the backlog as long as nothing is past, and from there on over the history."""
    (some, *_) = steps.values()
    backlogs = sum(step.past == 0 for step in some)
    growing, full = slice(0, backlogs), slice(backlogs - 1, None)
    yield Chart(
        name="growth-backlog",
        title="CPU for each delivery beside that of a small database, while the backlog grows",
        x="pending deliveries, none past",
        places=[_short(step.pending) for step in some[growing]],
        lines={KINDS[kind]: _ratios(of_kind[growing]) for kind, of_kind in steps.items()},
    )
    yield Chart(
        name="growth-history",
        title="CPU for each delivery beside that of a small database, while the history grows",
        x=f"past deliveries, {_short(some[-1].pending)} pending",
        places=[_short(step.past) for step in some[full]],
        lines={KINDS[kind]: _ratios(of_kind[full]) for kind, of_kind in steps.items()},
    )


def _ratios(steps: Sequence[Step]) -> list[float]:
    return [round(step.ratio, 2) for step in steps]


def _short(number: int) -> str:
    if number >= 1_000_000:
        return f"{number / 1e6:g} M"
    return f"{number / 1e3:g} k" if number else "0"
