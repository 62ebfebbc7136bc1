"""Offerings, and the rules that decide registrations in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Row,
    and_,
    bindparam,
    delete,
    exists,
    insert,
    or_,
    select,
    text,
    true,
    update,
)

from coursebell.domain.elements import ElementStatus
from coursebell.domain.lists import OfferingFilters, Page, Slice
from coursebell.domain.model import MoveOn, Offering, Policy, Status
from coursebell.storage.columns import belongs_to, contains_word, is_exactly
from coursebell.storage.database import Transaction
from coursebell.storage.lists import has_text, in_range, slice_of
from coursebell.storage.prepared import Prepared, among
from coursebell.storage.tables import courses, elements, offerings, registrations, users


@dataclass(frozen=True, slots=True, kw_only=True)
class RuledOffering:
    """An offering with the policy in force: its own where it has one, else its course's."""

    offering: Offering
    policy: Policy
    has_elements: bool  # whether its course has any that are active


def insert_offering(tx: Transaction, organization_id: str, offering: Offering) -> None:
    tx.execute(
        insert(offerings).values(
            id=offering.id,
            organization_id=organization_id,
            created_at=offering.created_at,
            **_values(offering),
        )
    )


def update_offering(tx: Transaction, organization_id: str, offering: Offering) -> None:
    tx.execute(update(offerings).where(_is(organization_id, offering.id)).values(_values(offering)))


def delete_offering(tx: Transaction, organization_id: str, offering_id: str) -> None:
    tx.execute(delete(offerings).where(_is(organization_id, offering_id)))


def offering_has_registrations(tx: Transaction, offering_id: str) -> bool:
    query = select(exists().where(registrations.c.offering_id == offering_id))
    return bool(tx.execute(query).scalar_one())


def find_offering(
    tx: Transaction, organization_id: str, offering_id: str, *, for_update: bool = False
) -> Offering | None:
    query = select(offerings).where(_is(organization_id, offering_id))
    row = tx.execute(query.with_for_update() if for_update else query).one_or_none()
    return None if row is None else _offering(row)


def ruled_offerings(
    tx: Transaction, organization_id: str, offering_ids: set[str]
) -> Mapping[str, RuledOffering]:
    rows = _RULED.rows(tx, organization_id=organization_id, ids=offering_ids)
    return {row.id: _ruled(row) for row in rows}


_RULED = Prepared(
    select(
        offerings,
        courses.c.passing_grade.label("course_passing_grade"),
        courses.c.move_on.label("course_move_on"),
        courses.c.require_every_element_passed.label("course_require_every"),
        exists()
        .where(
            elements.c.course_id == courses.c.id,
            is_exactly(elements.c.status, ElementStatus.ACTIVE),
        )
        .label("has_elements"),
    )
    .join(courses, courses.c.id == offerings.c.course_id)
    .where(
        belongs_to(offerings.c.organization_id, bindparam("organization_id")),
        among(offerings.c.id, "ids"),
    )
)


def ids_by_title(
    tx: Transaction, organization_id: str, titles: set[str]
) -> Mapping[str, list[str]]:
    """The offerings of each title that has any, oldest first."""
    found: dict[str, list[str]] = {}
    for row in _BY_TITLE.rows(tx, organization_id=organization_id, titles=titles):
        found.setdefault(row.title, []).append(row.id)
    return found


_BY_TITLE = Prepared(
    select(offerings.c.title, offerings.c.id)
    .where(
        offerings.c.organization_id == bindparam("organization_id"),
        among(offerings.c.title, "titles"),
    )
    .order_by(offerings.c.key)
)


def list_offerings(
    tx: Transaction, organization_id: str, filters: OfferingFilters, page: Page, now: datetime
) -> Slice[Offering]:
    query = (
        select(offerings)
        .where(
            offerings.c.organization_id == organization_id,
            in_range(offerings.c.created_at, filters.created),
            has_text(offerings.c.title, filters.title),
            *(contains_word(offerings.c.tags, tag) for tag in filters.tags),
            contains_word(offerings.c.category_ids, filters.category_id)
            if filters.category_id
            else true(),
            _available_to(filters.available_to, now) if filters.available_to else true(),
        )
        .order_by(offerings.c.key)
    )
    return slice_of(tx, query, page, _offering)


@dataclass(frozen=True, slots=True)
class Named:
    """An offering's id and title."""

    id: str
    title: str


def list_open(tx: Transaction, organization_id: str, now: datetime) -> list[Named]:
    """Those that are open for registration now."""
    query = (
        select(offerings.c.id, offerings.c.title)
        .where(offerings.c.organization_id == organization_id, _is_open(now))
        .order_by(offerings.c.key)
    )
    return [Named(row.id, row.title) for row in tx.execute(query)]


def list_offerings_to_halt(tx: Transaction, now: datetime, limit: int) -> list[tuple[str, str]]:
    """Organization and id of offerings past their end that still have registrations to halt."""
    waiting = exists().where(
        registrations.c.offering_id == offerings.c.id,
        is_exactly(registrations.c.status, Status.ACTIVE),
        text("NOT registrations.extended"),
    )
    query = (
        select(offerings.c.organization_id, offerings.c.id)
        .where(offerings.c.end_at <= now, waiting)
        .order_by(offerings.c.end_at)
        .limit(limit)
    )
    return [(row.organization_id, row.id) for row in tx.execute(query)]


def _available_to(user_id: str, now: datetime) -> ColumnElement[bool]:
    taken = exists().where(
        registrations.c.offering_id == offerings.c.id, registrations.c.user_id == user_id
    )
    active = exists().where(
        registrations.c.offering_id == offerings.c.id,
        registrations.c.user_id == user_id,
        is_exactly(registrations.c.status, Status.ACTIVE),
    )
    living = exists().where(
        users.c.id == user_id,
        users.c.organization_id == offerings.c.organization_id,
        users.c.deleted_at.is_(None),
    )
    return and_(living, _is_open(now), ~active, or_(offerings.c.retakes.is_(True), ~taken))


def _is_open(now: datetime) -> ColumnElement[bool]:
    begins, ends = offerings.c.registration_begin_at, offerings.c.registration_end_at
    return and_(
        or_(begins.is_(None), begins <= now),
        or_(ends.is_(None), ends > now),
        or_(offerings.c.end_at.is_(None), offerings.c.end_at > now),
    )


def _is(organization_id: str, offering_id: str) -> ColumnElement[bool]:
    return and_(offerings.c.organization_id == organization_id, offerings.c.id == offering_id)


def _values(offering: Offering) -> dict[str, Any]:
    return {
        "course_id": offering.course_id,
        "title": offering.title,
        "begin_at": offering.begin_at,
        "end_at": offering.end_at,
        "registration_begin_at": offering.registration_begin_at,
        "registration_end_at": offering.registration_end_at,
        "catalog_description": offering.catalog_description,
        "dashboard_description": offering.dashboard_description,
        "delivery_description": offering.delivery_description,
        "price": offering.price,
        "category_ids": offering.category_ids,
        "tags": offering.tags,
        "order_index": offering.order_index,
        "passing_grade": offering.passing_grade,
        "move_on": offering.move_on,
        "require_every_element_passed": offering.require_every_element_passed,
        "retakes": offering.retakes,
    }


def _offering(row: Row[Any]) -> Offering:
    return Offering(
        id=row.id,
        course_id=row.course_id,
        title=row.title,
        created_at=row.created_at,
        begin_at=row.begin_at,
        end_at=row.end_at,
        registration_begin_at=row.registration_begin_at,
        registration_end_at=row.registration_end_at,
        catalog_description=row.catalog_description,
        dashboard_description=row.dashboard_description,
        delivery_description=row.delivery_description,
        price=row.price,
        category_ids=row.category_ids,
        tags=row.tags,
        order_index=row.order_index,
        passing_grade=row.passing_grade,
        move_on=None if row.move_on is None else MoveOn(row.move_on),
        require_every_element_passed=row.require_every_element_passed,
        retakes=row.retakes,
    )


def _ruled(row: Row[Any]) -> RuledOffering:
    offering = _offering(row)
    own_grade, own_move_on = offering.passing_grade, offering.move_on
    own_every = offering.require_every_element_passed
    return RuledOffering(
        offering=offering,
        policy=Policy(
            passing_grade=row.course_passing_grade if own_grade is None else own_grade,
            move_on=own_move_on or MoveOn(row.course_move_on),
            require_every_element_passed=(
                row.course_require_every if own_every is None else own_every
            ),
        ),
        has_elements=row.has_elements,
    )
