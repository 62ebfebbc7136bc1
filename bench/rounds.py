"""Rounds of sending: what they took, and the product's dispatcher in a process of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median

from bench.machine import MEASURED_CORE, OTHER_CORE
from bench.processes import Child, child, environment_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What sending `number` requests took."""

    number: int
    seconds: float
    cpu: float  # seconds; of who sends
    server_cpu: float = 0.0  # of PostgreSQL's processes that work for it, where they can be seen
    parts: Mapping[str, float] = field(default_factory=dict)  # CPU seconds, of a sampled round

    @property
    def rate(self) -> float:
        return self.number / self.seconds

    @property
    def cpu_us(self) -> float:
        return self.cpu / self.number * 1e6

    @property
    def server_us(self) -> float:
        return self.server_cpu / self.number * 1e6

    @property
    def all_us(self) -> float:
        """CPU for each request, of who sends and of the database's server."""
        return self.cpu_us + self.server_us

    @property
    def parts_us(self) -> dict[str, float]:
        """Its parts, as microseconds of CPU for each request."""
        total = sum(self.parts.values()) or 1.0
        shares = {name: seconds / total for name, seconds in self.parts.items()}
        return {name: share * self.cpu_us for name, share in shares.items()}


def typical(rounds: Sequence[Round]) -> dict[str, float]:
    """The medians of the rounds."""
    return {
        name: median(getattr(each, name) for each in rounds)
        for name in ("rate", "cpu_us", "server_us", "all_us")
    }


COLUMNS = ("deliveries/s", "CPU us each", "PostgreSQL us")


def figures(rounds: Sequence[Round]) -> list[str]:
    """What stands in a table below `COLUMNS`."""
    found = typical(rounds)
    return [f"{found['rate']:,.0f}", f"{found['cpu_us']:.0f}", f"{found['server_us']:.0f}"]


class Engine:
    """A dispatcher that sends what is due when it is told to."""

    def __init__(self, process: Child) -> None:
        self._process = process

    def drain(self, number: int, *, parts: bool = False) -> Round:
        """Send until `number` are sent; a few more may have been in flight."""
        return Round(**self._process.ask({"number": number, "parts": parts}))

    def begin(self) -> None:
        """Send until `end`."""
        self._process.tell({"number": None, "parts": False})

    def end(self) -> Round:
        return Round(**self._process.ask("enough"))


@contextmanager
def engine(url: str, *, environment: Mapping[str, str] | None = None) -> Iterator[Engine]:
    """A dispatcher of this database on the measured core; PostgreSQL's processes on the other."""
    given = {"url": url, "beside": OTHER_CORE}
    settings = {**environment_of(url), **(environment or {})}
    with child("dispatcher", MEASURED_CORE, given, environment=settings) as process:
        yield Engine(process)
