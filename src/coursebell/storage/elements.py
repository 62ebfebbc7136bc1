"""The elements of courses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, bindparam, delete, exists, insert, select, update

from coursebell.domain.elements import AttemptsPolicy, Element, ElementStatus, ElementType
from coursebell.domain.lists import ElementFilters, Page, Slice
from coursebell.storage.columns import belongs_to, is_exactly
from coursebell.storage.database import Transaction
from coursebell.storage.lists import equals, has_text, slice_of
from coursebell.storage.prepared import Prepared, among
from coursebell.storage.tables import elements, exemptions, work


def insert_element(tx: Transaction, organization_id: str, element: Element) -> None:
    tx.execute(
        insert(elements).values(
            id=element.id,
            organization_id=organization_id,
            course_id=element.course_id,
            order_index=element.order_index,
            created_at=element.created_at,
            **_values(element),
        )
    )


def update_element(tx: Transaction, organization_id: str, element: Element) -> None:
    """Everything but its place, which `place_elements` gives."""
    statement = update(elements).where(_is(organization_id, element.course_id, element.id))
    tx.execute(statement.values(_values(element)))


def place_elements(tx: Transaction, places: Mapping[str, int]) -> None:
    """Give the elements of these ids their places."""
    statement = (
        update(elements)
        .where(elements.c.id == bindparam("row_id"))
        .values(order_index=bindparam("place"))
    )
    rows = [{"row_id": element_id, "place": place} for element_id, place in places.items()]
    if rows:
        tx.execute(statement, rows)


def delete_element(tx: Transaction, organization_id: str, element: Element) -> None:
    tx.execute(delete(elements).where(_is(organization_id, element.course_id, element.id)))


def element_has_progress(tx: Transaction, element_id: str) -> bool:
    """Whether anybody has attempted it or is exempt from it."""
    query = select(
        exists().where(work.c.element_id == element_id)
        | exists().where(exemptions.c.element_id == element_id)
    )
    return bool(tx.execute(query).scalar_one())


def course_has_progress(tx: Transaction, organization_id: str, course_id: str) -> bool:
    """The same of any element of the course."""
    query = select(
        exists().where(
            elements.c.organization_id == organization_id,
            elements.c.course_id == course_id,
            exists().where(work.c.element_id == elements.c.id)
            | exists().where(exemptions.c.element_id == elements.c.id),
        )
    )
    return bool(tx.execute(query).scalar_one())


def find_element(
    tx: Transaction, organization_id: str, course_id: str, element_id: str
) -> Element | None:
    query = select(elements).where(_is(organization_id, course_id, element_id))
    row = tx.execute(query).one_or_none()
    return None if row is None else read_element(row)


def element_places(tx: Transaction, organization_id: str, course_id: str) -> dict[str, int]:
    """The place of each element of a course, drafts too, by id and in order."""
    query = (
        select(elements.c.id, elements.c.order_index)
        .where(elements.c.organization_id == organization_id, elements.c.course_id == course_id)
        .order_by(elements.c.order_index, elements.c.key)
    )
    return {row.id: row.order_index for row in tx.execute(query)}


def list_elements(
    tx: Transaction, organization_id: str, course_id: str, filters: ElementFilters, page: Page
) -> Slice[Element]:
    query = (
        select(elements)
        .where(
            elements.c.organization_id == organization_id,
            elements.c.course_id == course_id,
            equals(elements.c.type, filters.type),
            equals(elements.c.status, filters.status),
            has_text(elements.c.title, filters.title),
        )
        .order_by(elements.c.order_index, elements.c.key)
    )
    return slice_of(tx, query, page, read_element)


def active_elements(
    tx: Transaction, organization_id: str, course_ids: set[str]
) -> Mapping[str, Sequence[Element]]:
    """The active elements of each course that has any, in order."""
    found: dict[str, list[Element]] = {}
    for row in _ACTIVE.rows(tx, organization_id=organization_id, ids=course_ids):
        found.setdefault(row.course_id, []).append(read_element(row))
    return found


_ACTIVE = Prepared(
    select(elements)
    .where(
        belongs_to(elements.c.organization_id, bindparam("organization_id")),
        among(elements.c.course_id, "ids"),
        is_exactly(elements.c.status, ElementStatus.ACTIVE),
    )
    .order_by(elements.c.order_index, elements.c.key)
)


def questions_of(tx: Transaction, organization_id: str, element_ids: set[str]) -> Mapping[str, str]:
    """What those of them ask that ask something."""
    query = select(elements.c.id, elements.c.question).where(
        belongs_to(elements.c.organization_id, organization_id),
        elements.c.id.in_(element_ids),
        elements.c.question.is_not(None),
    )
    return {row.id: row.question for row in tx.execute(query)}


def _is(organization_id: str, course_id: str, element_id: str) -> ColumnElement[bool]:
    return and_(
        elements.c.organization_id == organization_id,
        elements.c.course_id == course_id,
        elements.c.id == element_id,
    )


def _values(element: Element) -> dict[str, Any]:
    return {
        "type": element.type,
        "title": element.title,
        "question": element.question,
        "weight": element.weight,
        "required": element.required,
        "attempts_policy": element.attempts_policy,
        "max_attempts": element.max_attempts,
        "passing_grade": element.passing_grade,
        "status": element.status,
    }


def read_element(row: Row[Any]) -> Element:
    return Element(
        id=row.id,
        course_id=row.course_id,
        type=ElementType(row.type),
        title=row.title,
        question=row.question,
        weight=row.weight,
        required=row.required,
        attempts_policy=AttemptsPolicy(row.attempts_policy),
        max_attempts=row.max_attempts,
        passing_grade=row.passing_grade,
        status=ElementStatus(row.status),
        order_index=row.order_index,
        created_at=row.created_at,
    )
