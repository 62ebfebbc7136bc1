"""The gradebook of an offering: its registrations with the names of those registered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, exists, select, text, true

from coursebell.domain.elements import Element, ElementStatus
from coursebell.domain.lists import GradebookFilters, Page, Slice
from coursebell.domain.model import Registration, Status
from coursebell.storage.columns import belongs_to, is_exactly
from coursebell.storage.database import Transaction
from coursebell.storage.elements import read_element
from coursebell.storage.lists import equals, has_text, slice_of
from coursebell.storage.registrations import read_registration
from coursebell.storage.tables import elements, exemptions, registrations, users, work


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolled:
    """A registration and who is registered, also if they were deleted since."""

    key: int
    registration: Registration
    first_name: str
    last_name: str
    username: str
    email: str


def list_enrolled(
    tx: Transaction, organization_id: str, offering_id: str, filters: GradebookFilters, page: Page
) -> Slice[Enrolled]:
    """In the order in which they were registered."""
    query = _enrolled(organization_id, offering_id, filters).order_by(registrations.c.key)
    return slice_of(tx, query, page, _read)


def enrolled_after(
    tx: Transaction, organization_id: str, offering_id: str, key: int, limit: int
) -> Sequence[Enrolled]:
    """The next of them after this key, for reading all without a long transaction."""
    query = (
        _enrolled(organization_id, offering_id, GradebookFilters())
        .where(registrations.c.key > key)
        .order_by(registrations.c.key)
        .limit(limit)
    )
    return [_read(row) for row in tx.execute(query)]


def columns_of(tx: Transaction, organization_id: str, course_id: str) -> list[Element]:
    """The elements that a gradebook of this course may have something in, in order.

    The active ones, and those that were attempted or exempted before they became drafts.
    """
    query = (
        select(elements)
        .where(
            elements.c.organization_id == organization_id,
            elements.c.course_id == course_id,
            (elements.c.status == ElementStatus.ACTIVE)
            | exists().where(work.c.element_id == elements.c.id)
            | exists().where(exemptions.c.element_id == elements.c.id),
        )
        .order_by(elements.c.order_index, elements.c.key)
    )
    return [read_element(row) for row in tx.execute(query)]


def _enrolled(organization_id: str, offering_id: str, filters: GradebookFilters) -> Select[Any]:
    return (
        select(
            registrations,
            users.c.first_name,
            users.c.last_name,
            users.c.username,
            users.c.email,
        )
        .join(users, users.c.id == registrations.c.user_id)
        .where(
            belongs_to(registrations.c.organization_id, organization_id),
            registrations.c.offering_id == offering_id,
            equals(registrations.c.status, filters.status),
            has_text(users.c.first_name + " " + users.c.last_name, filters.name),
            _awaits(filters.awaiting),
        )
    )


def _awaits(wanted: bool | None) -> ColumnElement[bool]:  # noqa: FBT001 - a filter's value
    """Whether an active registration has an active element that a person must grade."""
    if wanted is None:
        return true()
    exempt = exists().where(
        exemptions.c.registration_id == work.c.registration_id,
        exemptions.c.element_id == work.c.element_id,
    )
    awaits = exists().where(
        work.c.registration_id == registrations.c.id,
        text("work.awaiting"),
        work.c.element_id == elements.c.id,
        is_exactly(elements.c.status, ElementStatus.ACTIVE),
        ~exempt,
    )
    found = is_exactly(registrations.c.status, Status.ACTIVE) & awaits
    return found if wanted else ~found


def _read(row: Row[Any]) -> Enrolled:
    return Enrolled(
        key=row.key,
        registration=read_registration(row),
        first_name=row.first_name,
        last_name=row.last_name,
        username=row.username,
        email=row.email,
    )
