"""What learners have done about elements: attempts, exemptions, and standings that decided."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Row,
    String,
    Text,
    bindparam,
    cast,
    delete,
    insert,
    null,
    select,
    update,
)

from coursebell.domain.elements import Exemption, Work
from coursebell.domain.grading import Standing
from coursebell.domain.model import Source
from coursebell.storage.columns import belongs_to
from coursebell.storage.database import Transaction
from coursebell.storage.prepared import Batch, Prepared, among, insertion
from coursebell.storage.standings import standing_from, standing_to
from coursebell.storage.tables import exemptions, registrations, standings, work

Pair = tuple[str, str]  # of registration and element


def insert_work(tx: Transaction, organization_id: str, new: Sequence[Work]) -> None:
    rows = (
        (
            each.registration_id,
            each.element_id,
            each.number,
            each.handed_in_at,
            each.source,
            each.response,
            *_graded(each),
        )
        for each in new
    )
    _INSERT_WORK.run(tx, rows, organization_id=organization_id)


_GRADED = ("grade", "passed", "awaiting", "graded_at", "grader_id", "grader_comment")

_INSERT_WORK = insertion(
    work,
    *("registration_id", "element_id", "number", "handed_in_at", "source", "response", *_GRADED),
    organization_id=bindparam("organization_id", type_=String()),
)


def update_work(tx: Transaction, graded: Sequence[Work]) -> None:
    """Write how attempts were graded, of registrations that are locked."""
    rows = ((each.registration_id, each.element_id, each.number, *_graded(each)) for each in graded)
    _UPDATE_WORK.run(tx, rows)


_UPDATE_WORK = Batch(
    {
        "of_registration": work.c.registration_id,
        "of_element": work.c.element_id,
        "of_number": work.c.number,
        **{name: work.c[name] for name in _GRADED},
    },
    lambda given: (
        update(work)
        .where(
            work.c.registration_id == given["of_registration"],
            work.c.element_id == given["of_element"],
            work.c.number == given["of_number"],
        )
        .values({name: given[name] for name in _GRADED})
    ),
)


def _graded(each: Work) -> tuple[object, ...]:
    """The values of `_GRADED`, in its order."""
    return (
        each.grade,
        each.passed,
        each.awaiting,
        each.graded_at,
        each.grader_id,
        each.grader_comment,
    )


def list_work(
    tx: Transaction,
    organization_id: str,
    registration_ids: set[str],
    *,
    with_responses: bool = True,
) -> list[Work]:
    """All attempts within these registrations, in order.

    A class's essays are many megabytes: without responses, every response is None.
    """
    statement = _WORK if with_responses else _WORK_WITHOUT_RESPONSES
    rows = statement.rows(tx, organization_id=organization_id, ids=registration_ids)
    return [_work(row) for row in rows]


def _work_of(response: ColumnElement[str | None]) -> Prepared:
    others = (each for each in work.c if each.name != "response")
    return Prepared(
        select(*others, response.label("response"))
        .where(
            belongs_to(work.c.organization_id, bindparam("organization_id")),
            among(work.c.registration_id, "ids"),
        )
        .order_by(work.c.registration_id, work.c.element_id, work.c.number)
    )


_WORK = _work_of(work.c.response)
_WORK_WITHOUT_RESPONSES = _work_of(cast(null(), Text()))


def insert_exemptions(tx: Transaction, organization_id: str, new: Sequence[Exemption]) -> None:
    rows = [
        {
            "organization_id": organization_id,
            "registration_id": each.registration_id,
            "element_id": each.element_id,
            "created_at": each.created_at,
            "grader_id": each.grader_id,
            "comment": each.comment,
        }
        for each in new
    ]
    if rows:
        tx.execute(insert(exemptions), rows)


def delete_exemptions(tx: Transaction, pairs: set[Pair]) -> None:
    _DELETE_EXEMPTIONS.run(tx, pairs)


_DELETE_EXEMPTIONS = Batch(
    {"registration_id": exemptions.c.registration_id, "element_id": exemptions.c.element_id},
    lambda given: delete(exemptions).where(
        exemptions.c.registration_id == given["registration_id"],
        exemptions.c.element_id == given["element_id"],
    ),
)


def list_exemptions(
    tx: Transaction, organization_id: str, registration_ids: set[str]
) -> list[Exemption]:
    rows = _EXEMPTIONS.rows(tx, organization_id=organization_id, ids=registration_ids)
    return [_exemption(row) for row in rows]


_EXEMPTIONS = Prepared(
    select(exemptions).where(
        belongs_to(exemptions.c.organization_id, bindparam("organization_id")),
        among(exemptions.c.registration_id, "ids"),
    )
)


def forget_words(tx: Transaction, organization_id: str, user_id: str) -> None:
    """What a user handed in, and what graders wrote about it, is gone; the grades stay."""
    own = select(registrations.c.id).where(
        belongs_to(registrations.c.organization_id, organization_id),
        registrations.c.user_id == user_id,
    )
    of_user = work.c.registration_id.in_(own)
    tx.execute(update(work).where(of_user).values(response=None, grader_comment=None))
    exempt = exemptions.c.registration_id.in_(own)
    tx.execute(update(exemptions).where(exempt).values(comment=None))


def insert_standings(tx: Transaction, organization_id: str, ended: Mapping[str, Standing]) -> None:
    """Keep, by registration, the standing with the elements that decided its end."""
    rows = [
        {
            "organization_id": organization_id,
            "registration_id": registration_id,
            "standing": standing_to(standing),
        }
        for registration_id, standing in ended.items()
    ]
    if rows:
        tx.execute(insert(standings), rows)


def delete_standings(tx: Transaction, registration_ids: set[str]) -> None:
    if registration_ids:
        tx.execute(delete(standings).where(standings.c.registration_id.in_(registration_ids)))


def list_standings(
    tx: Transaction, organization_id: str, registration_ids: set[str]
) -> Mapping[str, Standing]:
    """Of those that ended in a course with elements."""
    query = select(standings.c.registration_id, standings.c.standing).where(
        standings.c.organization_id == organization_id,
        standings.c.registration_id.in_(registration_ids),
    )
    return {row.registration_id: standing_from(row.standing) for row in tx.execute(query)}


def _work(row: Row[Any]) -> Work:
    return Work(
        registration_id=row.registration_id,
        element_id=row.element_id,
        number=row.number,
        handed_in_at=row.handed_in_at,
        source=Source(row.source),
        response=row.response,
        grade=row.grade,
        passed=row.passed,
        awaiting=row.awaiting,
        graded_at=row.graded_at,
        grader_id=row.grader_id,
        grader_comment=row.grader_comment,
    )


def _exemption(row: Row[Any]) -> Exemption:
    return Exemption(
        registration_id=row.registration_id,
        element_id=row.element_id,
        created_at=row.created_at,
        grader_id=row.grader_id,
        comment=row.comment,
    )
