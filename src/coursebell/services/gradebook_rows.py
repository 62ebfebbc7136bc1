"""The gradebook of an offering, row by row: who is registered, and how they stand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from coursebell.domain.elements import Element
from coursebell.domain.grading import Standing
from coursebell.domain.lists import GradebookFilters, Page, Slice
from coursebell.domain.model import Actor, Offering, Role
from coursebell.errors import NotFoundError
from coursebell.services.records import standings_of
from coursebell.services.registrar import Registrar
from coursebell.storage import gradebook, offerings
from coursebell.storage.database import Transaction
from coursebell.storage.gradebook import Enrolled
from coursebell.storage.offerings import RuledOffering

BATCH = 500  # rows read in one transaction while all are written out


@dataclass(frozen=True, slots=True, kw_only=True)
class GradebookRow:
    """A registration with its learner, and its standing: now, or when it ended."""

    enrolled: Enrolled
    standing: Standing


@dataclass(frozen=True, slots=True, kw_only=True)
class Gradebook:
    """All of an offering's gradebook, to be read once and in order."""

    offering: Offering
    elements: Sequence[Element]  # its columns
    rows: Iterator[GradebookRow]


def list_rows(
    registrar: Registrar, actor: Actor, offering_id: str, filters: GradebookFilters, page: Page
) -> Slice[GradebookRow]:
    """One page, in the order in which they were registered."""
    actor.require(Role.INSTRUCTOR)
    with registrar.database.snapshot() as tx:
        ruled = _ruled(tx, actor, offering_id)
        found = gradebook.list_enrolled(tx, actor.organization_id, offering_id, filters, page)
        return Slice(_rows(tx, actor, found.items, ruled), more=found.more)


def open_gradebook(registrar: Registrar, actor: Actor, offering_id: str) -> Gradebook:
    """The whole of it. Rows are read as they are asked for, in short transactions of 500 rows."""
    actor.require(Role.INSTRUCTOR)
    with registrar.database.snapshot() as tx:
        ruled = _ruled(tx, actor, offering_id)
        course_id = ruled.offering.course_id
        columns = gradebook.columns_of(tx, actor.organization_id, course_id)
    return Gradebook(
        offering=ruled.offering, elements=columns, rows=_all_rows(registrar, actor, offering_id)
    )


def _all_rows(registrar: Registrar, actor: Actor, offering_id: str) -> Iterator[GradebookRow]:
    last = 0
    while True:
        with registrar.database.snapshot() as tx:
            found = gradebook.enrolled_after(tx, actor.organization_id, offering_id, last, BATCH)
            if not found:
                return
            rows = _rows(tx, actor, found, _ruled(tx, actor, offering_id))
        yield from rows
        last = found[-1].key


def _ruled(tx: Transaction, actor: Actor, offering_id: str) -> RuledOffering:
    ruled = offerings.ruled_offerings(tx, actor.organization_id, {offering_id}).get(offering_id)
    if ruled is None:
        raise NotFoundError
    return ruled


def _rows(
    tx: Transaction, actor: Actor, found: Sequence[Enrolled], ruled: RuledOffering
) -> list[GradebookRow]:
    standings = standings_of(
        tx,
        actor.organization_id,
        [each.registration for each in found],
        {ruled.offering.id: ruled},
    )
    return [GradebookRow(enrolled=each, standing=standings[each.registration.id]) for each in found]
