"""`backlog`: a delivery costs the same whatever is pending, held up or past."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from bench import machine
from bench.databases import KINDS, POSTGRES
from bench.grounds import HOSTS, OBSTACLES, SCHOOLS, WEBHOOKS, Ground
from bench.machine import MEASURED_CORE, OTHER_CORE
from bench.report import Figure, parts_table, table
from bench.rounds import COLUMNS, Round, figures
from bench.sinks import receiver

BUDGET = 1.25
FEW = 10_000  # pending, of the reference
HEAD = ["", *COLUMNS, "ratio"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Rounds on a small database and on another one, interleaved."""

    few: Sequence[Round]
    many: Sequence[Round]

    @property
    def ratio(self) -> float:
        """How much more CPU a delivery takes, of dispatcher and database together."""
        return median(a.all_us / b.all_us for a, b in zip(self.many, self.few, strict=True))


def measure(*, smoke: bool) -> list[Figure]:
    few, pending, past = (400, 800, 800) if smoke else (FEW, 1_000_000, 2_000_000)
    number, rounds = (120, 1) if smoke else (2_400, 4)
    kinds = ["postgres"] if smoke else list(KINDS)
    print(*machine.describe(POSTGRES), sep="\n")
    print(head(number, rounds))
    ratios = []
    with receiver(HOSTS) as sink:
        for kind in kinds:
            with (
                Ground(kind, sink.urls) as reference,
                Ground(kind, sink.urls, obstacles=OBSTACLES) as subject,
            ):
                subject.add_history(past)
                subject.add_pending(pending)
                found = compare(reference, subject, few, number, rounds)
                parts = _parts(reference, subject, few, number)
                megabytes = subject.size_mb()
            ratios.append(found.ratio)
            in_front = f"{SCHOOLS * len(OBSTACLES)} webhooks in front: {', '.join(OBSTACLES)}"
            size = f"{kind}: {pending:,} pending, {past:,} past"
            rows = [
                [f"{kind}: {few:,} pending, none past", *figures(found.few), "1"],
                [size, *figures(found.many), f"{found.ratio:.2f}"],
            ]
            print(f"\n{table(HEAD, rows)}\n{megabytes:,.0f} MB; {in_front}\n\n{parts}")
    return [Figure(name="ratio", value=max(ratios), budget=BUDGET)]


def head(number: int, rounds: int) -> str:
    return (
        f"\n{rounds} rounds of {number} deliveries, interleaved; {SCHOOLS * WEBHOOKS} webhooks;"
        " half of what is pending waits for an earlier event of its registration\n"
        f"dispatcher on core {MEASURED_CORE}, sink and PostgreSQL's processes on core {OTHER_CORE}"
    )


def compare(reference: Ground, subject: Ground, few: int, number: int, rounds: int) -> Comparison:
    few_rounds, many_rounds = [], []
    for _ in range(rounds):
        reference.renew_pending(few)
        few_rounds.append(reference.drain(number))
        many_rounds.append(subject.drain(number))
    return Comparison(few=few_rounds, many=many_rounds)


def _parts(reference: Ground, subject: Ground, few: int, number: int) -> str:
    reference.renew_pending(few)
    columns = {
        "small": reference.drain(number, parts=True).parts_us,
        "large": subject.drain(number, parts=True).parts_us,
    }
    return parts_table("part (a sampled round), us", columns)
