"""What a benchmark prints: the machine, a table, and one line that says how it stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A measured value beside its budget, where it has one; `unit` is empty for a ratio."""

    name: str
    value: float
    budget: float | None = None
    unit: str = ""
    at_least: bool = False  # else at most

    @property
    def is_met(self) -> bool:
        if self.budget is None:
            return True
        return self.value >= self.budget if self.at_least else self.value <= self.budget

    def __str__(self) -> str:
        digits = ".0f" if self.value >= 1_000 else ".3g"
        measured = f"{self.name}={self.value:{digits}}{self.unit}"
        return measured if self.budget is None else f"{measured} budget={self.budget:g}{self.unit}"


def verdict(name: str, figures: Sequence[Figure]) -> str:
    """The last line of a benchmark; says `ok` or `short` where there is a budget."""
    words = [name, *map(str, figures)]
    if any(figure.budget is not None for figure in figures):
        words.append("ok" if all(figure.is_met for figure in figures) else "short")
    return " ".join(words)


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


def parts_table(title: str, columns: Mapping[str, Mapping[str, float]]) -> str:
    """What each part takes in each of the `columns`, the largest of the first column on top."""
    found = {name for column in columns.values() for name in column}
    first, *_ = columns.values()
    names = sorted(found, key=lambda name: (-first.get(name, 0.0), name))
    rows = [[name, *(f"{each.get(name, 0.0):.1f}" for each in columns.values())] for name in names]
    return table([title, *columns], rows)
