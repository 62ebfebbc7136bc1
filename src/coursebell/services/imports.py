"""Imports: a CSV file becomes users, offerings or registrations, a transaction for each batch.

What was imported is committed with the place in the file that it reaches, so an import that was
killed goes on where it was; and since each line is known by its key, so does one that begins anew.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import BinaryIO, assert_never
from zoneinfo import ZoneInfo

from coursebell.domain.imports import Done, ImportKind, Layout, Line, Problem, Reader, lay_out
from coursebell.domain.model import Actor, Role
from coursebell.domain.spreadsheets import Row, Sheet
from coursebell.services.imported_offerings import OfferingImporter
from coursebell.services.imported_registrations import RegistrationImporter
from coursebell.services.imported_users import UserImporter
from coursebell.services.importing import Importer, Result, Work, carry_out
from coursebell.services.registrar import Registrar
from coursebell.storage import people
from coursebell.storage.database import Transaction

BATCH = 250  # lines; the write lock of SQLite is held for some 50 ms


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to be imported, and how."""

    kind: ImportKind
    mapping: Mapping[str, str] = field(default_factory=dict)  # header to column
    is_dry_run: bool = False  # everything is checked, nothing is kept
    sends_events: bool = False  # webhooks are told; else only a later backfill tells them


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One batch: what became of its lines, and the place in the file that it reaches."""

    counts: Mapping[Done, int]
    problems: Sequence[Problem]
    rejected: int  # lines; one can have several problems
    end: int  # bytes
    line: int

    @property
    def read(self) -> int:
        return sum(self.counts.values()) + self.rejected


REST = 0.25  # of the time a step took: on SQLite, others get to write meanwhile


class Import:
    """An import about to run. Raises `InvalidInputError` where the file has no fitting header."""

    def __init__(self, registrar: Registrar, actor: Actor, plan: Plan, stream: BinaryIO) -> None:
        actor.require(Role.ADMIN)
        self._registrar = registrar
        self._actor = actor
        self._plan = plan
        self._sheet = Sheet(stream)
        self.layout: Layout = lay_out(plan.kind, self._sheet.header, plan.mapping)
        with registrar.database.snapshot() as tx:
            zone = ZoneInfo(people.get_organization(tx, actor.organization_id).zone)
        self._reader = Reader(layout=self.layout, zone=zone)

    def steps(
        self,
        clock: Callable[[], datetime],
        *,
        end: int = 0,
        line: int = 0,
        record: Callable[[Transaction, Step], None] | None = None,
    ) -> Iterator[Step]:
        """Import batch after batch, from the place that an earlier step reached.

        `record` runs in the transaction of each step, and is kept also of a dry run.
        """
        rows = self._sheet.rows(end=end, line=line)
        while batch := list(islice(rows, BATCH)):
            yield self._step(batch, clock(), record)

    def _step(
        self,
        rows: Sequence[Row],
        now: datetime,
        record: Callable[[Transaction, Step], None] | None,
    ) -> Step:
        read = [self._read(row) for row in rows]
        lines = [each for each in read if isinstance(each, Line)]
        unread = [each for each in read if isinstance(each, list)]

        def work(tx: Transaction) -> Step:
            tx.widen_cache()
            results = [*unread, *self._carry_out(tx, lines, now)]
            step = _step_of(results, rows[-1])
            if self._plan.is_dry_run:
                raise _Undone(step)
            if record is not None:
                record(tx, step)
            return step

        try:
            return self._registrar.database.run(work)
        except _Undone as undone:
            if record is not None:
                with self._registrar.database.transaction() as tx:
                    record(tx, undone.step)
            return undone.step

    def _read(self, row: Row) -> Line | list[Problem]:
        if row.problem is not None:
            return [Problem(line=row.number, column=None, rule=row.problem)]
        return self._reader.read(row.number, row.cells)

    def _carry_out(self, tx: Transaction, lines: Sequence[Line], now: datetime) -> list[Result]:
        if not lines:
            return []
        work = Work(
            tx=tx,
            registrar=self._registrar,
            actor=self._actor,
            now=now,
            is_told=self._plan.sends_events,
        )
        return carry_out(work, _importer(self._plan.kind, work, lines), lines)


class _Undone(Exception):  # noqa: N818 - no error: a dry run ends so
    def __init__(self, step: Step) -> None:
        self.step = step


def _importer(kind: ImportKind, work: Work, lines: Sequence[Line]) -> Importer:
    match kind:
        case ImportKind.USERS:
            return UserImporter(work, lines)
        case ImportKind.OFFERINGS:
            return OfferingImporter(work, lines)
        case ImportKind.REGISTRATIONS:
            return RegistrationImporter(work, lines)
        case _:
            assert_never(kind)


def _step_of(results: Sequence[Result], last: Row) -> Step:
    rejected = [each for each in results if isinstance(each, list)]
    problems = [problem for each in rejected for problem in each]
    return Step(
        counts=Counter(each for each in results if isinstance(each, Done)),
        problems=sorted(problems, key=lambda problem: problem.line),
        rejected=len(rejected),
        end=last.end,
        line=last.last_line,
    )
