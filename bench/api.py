"""`api`: completions by 64 callers, each committed durably, beside a route that answers at once."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import median

from bench import machine
from bench.databases import POSTGRES, move_backends, opened, settle, throw_away
from bench.machine import MEASURED_CORE, OTHER_CORE
from bench.processes import Child, child, environment_of
from bench.report import Figure, spread, table
from bench.schools import GRADE, open_school

CALLERS = 64
BUDGET = 0.5
_KINDS = ("sqlite", "postgres")
_NOWHERE = "http://127.0.0.1:9/"  # no dispatcher runs: the delivery is written and stays


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What one round of requests took; CPU is the server's."""

    rate: float
    cpu_us: float


def measure(*, smoke: bool) -> list[Figure]:
    number, rounds = (100, 1) if smoke else (2_000, 5)
    print(*machine.describe(POSTGRES), sep="\n")
    found: dict[str, list[Round]] = {name: [] for name in ("constant", *_KINDS)}
    with ExitStack() as stack:
        callers = stack.enter_context(child("callers", OTHER_CORE))
        constant = stack.enter_context(child("constant", MEASURED_CORE))
        subjects = {kind: stack.enter_context(_Subject(kind, number)) for kind in _KINDS}
        for _ in range(rounds):
            for kind, subject in subjects.items():
                ids, token = subject.prepare()
                found["constant"].append(_round(callers, constant, ids, token))
                found[kind].append(_round(callers, subject.server, ids, token))
    print(
        f"\n{rounds} rounds of {number} completions, interleaved; {CALLERS} callers, one webhook\n"
        f"API on core {MEASURED_CORE}, callers (Python, epoll, raw sockets) and PostgreSQL's"
        f" processes, where they can be moved, on core {OTHER_CORE}\n"
    )
    references = dict(zip(_KINDS, (found["constant"][0::2], found["constant"][1::2]), strict=True))
    ratios = {kind: _ratio(found[kind], references[kind]) for kind in _KINDS}
    rows = [["FastAPI route answering a constant", *_figures(found["constant"]), "1"]]
    rows += [
        [f"completion, {kind}", *_figures(found[kind]), f"{ratios[kind]:.2f}"] for kind in _KINDS
    ]
    print(table(["", "requests/s", "rounds", "CPU us each", "ratio"], rows))
    return [Figure(name="ratio", value=min(ratios.values()), budget=BUDGET, at_least=True)]


class _Subject:
    """The product's API on a database of its own, with registrations to complete."""

    def __init__(self, kind: str, number: int) -> None:
        self._kind = kind
        self._number = number

    def __enter__(self) -> _Subject:
        self._stack = ExitStack()
        self._url = self._stack.enter_context(throw_away(self._kind))
        database = self._stack.enter_context(opened(self._url))
        self._school = open_school(database)
        self._school.connect(_NOWHERE)
        self._token = self._school.token()
        self._users = self._school.users(min(self._number, 500))
        self.server = self._stack.enter_context(
            child(
                "served",
                MEASURED_CORE,
                {"url": self._url},
                environment=environment_of(self._url),
            )
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def prepare(self) -> tuple[list[str], str]:
        """New registrations, and the token that completes them."""
        ids = self._school.registrations(self._users, self._number)
        settle(self._url)
        if self._kind == "postgres":
            move_backends(self._url, OTHER_CORE)
        return ids, self._token


def _round(callers: Child, server: Child, ids: Sequence[str], token: str) -> Round:
    before = server.ask("how much")["cpu"]
    told = callers.ask(
        {
            "port": server.first,
            "token": token,
            "body": f'{{"grade": {GRADE}}}',
            "paths": [f"/api/v5/registrations/{each}/complete" for each in ids],
            "callers": CALLERS,
        }
    )
    if told["statuses"] != {"204": len(ids)}:
        raise RuntimeError(f"not all were completed: {told['statuses']}")
    cpu = server.ask("how much")["cpu"] - before
    return Round(rate=len(ids) / told["seconds"], cpu_us=cpu / len(ids) * 1e6)


def _ratio(rounds: Sequence[Round], references: Sequence[Round]) -> float:
    return median(a.rate / b.rate for a, b in zip(rounds, references, strict=True))


def _figures(rounds: Sequence[Round]) -> list[str]:
    rates = [each.rate for each in rounds]
    cpu = median(each.cpu_us for each in rounds)
    return [f"{median(rates):,.0f}", spread(rates), f"{cpu:.0f}"]
