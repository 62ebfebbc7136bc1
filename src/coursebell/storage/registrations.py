"""Registrations: reading, locking, writing batches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Row,
    Select,
    String,
    and_,
    bindparam,
    func,
    select,
    text,
    update,
)

from coursebell.domain.lists import Page, RegistrationFilters, Slice
from coursebell.domain.model import MoveOn, Policy, Registration, Source, Status
from coursebell.domain.transcripts import Taken
from coursebell.storage.columns import belongs_to, is_exactly
from coursebell.storage.database import Transaction
from coursebell.storage.lists import equals, in_range, is_listed, slice_of
from coursebell.storage.prepared import Batch, Given, Prepared, among, insertion
from coursebell.storage.tables import courses, offerings, registrations


def insert_registrations(
    tx: Transaction, organization_id: str, new: Sequence[Registration]
) -> None:
    """Raises `RaceError` when a user would have two active ones for an offering."""
    rows = [
        (
            registration.id,
            registration.user_id,
            registration.offering_id,
            registration.attempt,
            registration.created_at,
            *_changeable(registration),
        )
        for registration in new
    ]
    _INSERT.run(tx, rows, organization_id=organization_id)


def update_registrations(tx: Transaction, changed: Iterable[Registration]) -> None:
    """Write rows that `lock_registrations` gave.

    Ended ones first: at no moment has a user two active attempts at an offering.
    """
    in_order = list(changed)
    for active in (False, True):
        _UPDATE.run(
            tx,
            [
                (registration.id, *_changeable(registration))
                for registration in in_order
                if (registration.status is Status.ACTIVE) is active
            ],
        )


def lock_registrations(
    tx: Transaction, organization_id: str, ids: set[str]
) -> Mapping[str, Registration]:
    """Those that exist, locked in one order, so that batches cannot deadlock."""
    rows = _LOCK.rows(tx, organization_id=organization_id, ids=ids)
    return {row.id: read_registration(row) for row in rows}


_LOCK = Prepared(
    select(registrations)
    .where(
        belongs_to(registrations.c.organization_id, bindparam("organization_id")),
        among(registrations.c.id, "ids"),
    )
    .order_by(registrations.c.key)
    .with_for_update()
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TitledRegistration:
    """A registration as it is shown: with the title of its offering."""

    registration: Registration
    title: str


def find_registration(
    tx: Transaction, organization_id: str, registration_id: str
) -> TitledRegistration | None:
    query = _titled().where(
        registrations.c.organization_id == organization_id, registrations.c.id == registration_id
    )
    row = tx.execute(query).one_or_none()
    return None if row is None else _read_titled(row)


def _titled() -> Select[Any]:
    return select(registrations, offerings.c.title).join(
        offerings, offerings.c.id == registrations.c.offering_id
    )


def _read_titled(row: Row[Any]) -> TitledRegistration:
    return TitledRegistration(registration=read_registration(row), title=row.title)


def active_attempts(tx: Transaction, pairs: set[tuple[str, str]]) -> Mapping[tuple[str, str], str]:
    """The id of the active registration of each (user, offering) that has one."""
    return {(row.user_id, row.offering_id): row.id for row in _ACTIVE.returned(tx, pairs)}


def last_attempts(tx: Transaction, pairs: set[tuple[str, str]]) -> Mapping[tuple[str, str], int]:
    """The highest attempt number of each (user, offering) that has any."""
    return {(row.user_id, row.offering_id): row.attempt for row in _LAST.returned(tx, pairs)}


# one by one, because SQLite would read all that there is to look for a set of pairs
_PAIR = {"user_id": registrations.c.user_id, "offering_id": registrations.c.offering_id}


def _is_of_pair(given: Given) -> ColumnElement[bool]:
    its = registrations.c
    return and_(its.user_id == given["user_id"], its.offering_id == given["offering_id"])


_ACTIVE = Batch(
    _PAIR,
    lambda given: select(
        registrations.c.id, registrations.c.user_id, registrations.c.offering_id
    ).where(_is_of_pair(given), is_exactly(registrations.c.status, Status.ACTIVE)),
)
_LAST = Batch(
    _PAIR,
    lambda given: (
        select(
            registrations.c.user_id,
            registrations.c.offering_id,
            func.max(registrations.c.attempt).label("attempt"),
        )
        .where(_is_of_pair(given))
        .group_by(registrations.c.user_id, registrations.c.offering_id)
    ),
)


def _is_of_user(organization_id: str, user_id: str) -> ColumnElement[bool]:
    of_organization = belongs_to(registrations.c.organization_id, organization_id)
    return and_(of_organization, registrations.c.user_id == user_id)


def active_ids_of_user(tx: Transaction, organization_id: str, user_id: str) -> list[str]:
    query = select(registrations.c.id).where(
        _is_of_user(organization_id, user_id),
        is_exactly(registrations.c.status, Status.ACTIVE),
    )
    return list(tx.execute(query.order_by(registrations.c.key)).scalars())


def lock_ids_of_user(tx: Transaction, organization_id: str, user_id: str) -> list[str]:
    """All of a user's, oldest first; none of them changes before this transaction ends."""
    query = (
        select(registrations.c.id)
        .where(_is_of_user(organization_id, user_id))
        .order_by(registrations.c.key)
        .with_for_update()
    )
    return list(tx.execute(query).scalars())


def forget_comments(tx: Transaction, organization_id: str, user_id: str) -> None:
    """What graders wrote about a user is gone; the grades stay."""
    tx.execute(
        update(registrations)
        .where(_is_of_user(organization_id, user_id))
        .values(grader_comment=None)
    )


def list_of_user(tx: Transaction, organization_id: str, user_id: str) -> list[TitledRegistration]:
    """All of a user's, oldest first."""
    query = _titled().where(_is_of_user(organization_id, user_id)).order_by(registrations.c.key)
    return [_read_titled(row) for row in tx.execute(query)]


def list_taken(tx: Transaction, organization_id: str, user_id: str) -> list[Taken]:
    """All of a user's with the names of offerings and courses, oldest first."""
    query = (
        select(
            registrations,
            offerings.c.title,
            offerings.c.course_id,
            courses.c.title.label("course_title"),
        )
        .join(offerings, offerings.c.id == registrations.c.offering_id)
        .join(courses, courses.c.id == offerings.c.course_id)
        .where(_is_of_user(organization_id, user_id))
        .order_by(registrations.c.key)
    )
    return [
        Taken(
            registration=read_registration(row),
            course_id=row.course_id,
            offering_title=row.title,
            course_title=row.course_title,
        )
        for row in tx.execute(query)
    ]


def ids_to_halt(tx: Transaction, offering_id: str, limit: int) -> list[str]:
    query = select(registrations.c.id).where(
        registrations.c.offering_id == offering_id,
        is_exactly(registrations.c.status, Status.ACTIVE),
        text("NOT registrations.extended"),
    )
    return list(tx.execute(query.order_by(registrations.c.key).limit(limit)).scalars())


def list_registrations(
    tx: Transaction, organization_id: str, filters: RegistrationFilters, page: Page
) -> Slice[TitledRegistration]:
    query = (
        _titled()
        .where(
            is_listed(
                registrations.c.organization_id,
                organization_id,
                by=(filters.user_id, filters.offering_id),
            ),
            equals(registrations.c.status, filters.status),
            equals(registrations.c.user_id, filters.user_id),
            equals(registrations.c.offering_id, filters.offering_id),
            in_range(registrations.c.created_at, filters.created),
            in_range(registrations.c.begin_at, filters.begin),
            in_range(registrations.c.last_active_at, filters.last_active),
            in_range(registrations.c.end_at, filters.end),
        )
        .order_by(registrations.c.key)
    )
    return slice_of(tx, query, page, _read_titled)


_CHANGEABLE = (
    "status",
    "grade",
    "computed",
    "source",
    "grader_id",
    "grader_comment",
    "begin_at",
    "last_active_at",
    "end_at",
    "extended",
    "event_count",
    "policy_passing_grade",
    "policy_move_on",
    "policy_require_every",
)


_INSERT = insertion(
    registrations,
    *("id", "user_id", "offering_id", "attempt", "created_at", *_CHANGEABLE),
    organization_id=bindparam("organization_id", type_=String()),
)
_UPDATE = Batch(
    {"row_id": registrations.c.id, **{name: registrations.c[name] for name in _CHANGEABLE}},
    lambda given: (
        update(registrations)
        .where(registrations.c.id == given["row_id"])
        .values({name: given[name] for name in _CHANGEABLE})
    ),
)


def _changeable(registration: Registration) -> tuple[object, ...]:
    """The values of `_CHANGEABLE`, in its order."""
    policy = registration.policy
    return (
        registration.status,
        registration.grade,
        registration.computed,
        registration.source,
        registration.grader_id,
        registration.grader_comment,
        registration.begin_at,
        registration.last_active_at,
        registration.end_at,
        registration.extended,
        registration.event_count,
        None if policy is None else policy.passing_grade,
        None if policy is None else policy.move_on,
        None if policy is None else policy.require_every_element_passed,
    )


def read_registration(row: Row[Any]) -> Registration:
    return Registration(
        id=row.id,
        user_id=row.user_id,
        offering_id=row.offering_id,
        attempt=row.attempt,
        status=Status(row.status),
        grade=row.grade,
        computed=row.computed,
        source=None if row.source is None else Source(row.source),
        grader_id=row.grader_id,
        grader_comment=row.grader_comment,
        created_at=row.created_at,
        begin_at=row.begin_at,
        last_active_at=row.last_active_at,
        end_at=row.end_at,
        extended=row.extended,
        event_count=row.event_count,
        policy=None if row.policy_move_on is None else _policy(row),
    )


def _policy(row: Row[Any]) -> Policy:
    return Policy(
        passing_grade=row.policy_passing_grade,
        move_on=MoveOn(row.policy_move_on),
        require_every_element_passed=row.policy_require_every,
    )
