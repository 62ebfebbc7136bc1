"""What a benchmark prints: the machine, a table, and one line that says how it stands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A measured value beside its budget; `unit` is empty for a ratio."""

    name: str
    value: float
    budget: float
    unit: str = ""
    at_least: bool = False  # else at most

    @property
    def is_met(self) -> bool:
        return self.value >= self.budget if self.at_least else self.value <= self.budget

    def __str__(self) -> str:
        return f"{self.name}={self.value:.3g}{self.unit} budget={self.budget:g}{self.unit}"


def verdict(name: str, figures: Sequence[Figure]) -> str:
    state = "ok" if all(figure.is_met for figure in figures) else "short"
    return " ".join([name, *map(str, figures), state])


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns wide enough; the first to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    return "\n".join(_line(row, widths) for row in [head, ["-" * w for w in widths], *rows])


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = zip(row, widths, strict=True)
    cells = [first[0].ljust(first[1]), *(text.rjust(width) for text, width in others)]
    return "  ".join(cells).rstrip()


def spread(values: Sequence[float], digits: int = 0) -> str:
    """The least and the most of the rounds."""
    return f"{min(values):,.{digits}f}-{max(values):,.{digits}f}"
