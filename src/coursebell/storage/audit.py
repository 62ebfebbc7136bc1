"""The audit trail: who changed what, when, from what to what, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, bindparam, select

from coursebell.domain.lists import AuditFilters, Page, Slice
from coursebell.domain.model import Actor, ActorKind, new_id
from coursebell.storage.columns import Instant, belongs_to
from coursebell.storage.database import Transaction
from coursebell.storage.lists import equals, in_range, is_listed, slice_of
from coursebell.storage.prepared import insertion
from coursebell.storage.tables import audit


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One entry. `before` and `after` hold what changed, without secrets."""

    actor: Actor
    action: str  # `registration.end`, `user.create`, ...
    subject: str
    subject_id: str
    before: Mapping[str, object] | None = None
    after: Mapping[str, object] | None = None
    reason: str | None = None


def insert_changes(tx: Transaction, changes: Sequence[Change], now: datetime) -> None:
    _INSERT.run(tx, map(_row, changes), at=now)


_INSERT = insertion(
    audit,
    "id",
    "organization_id",
    "actor",
    "user_id",
    "token_id",
    "action",
    "subject",
    "subject_id",
    "before",
    "after",
    "reason",
    at=bindparam("at", type_=Instant()),
)


def _row(change: Change) -> tuple[object, ...]:
    actor = change.actor
    return (
        new_id(),
        actor.organization_id,
        actor.kind,
        actor.user_id,
        actor.token_id,
        change.action,
        change.subject,
        change.subject_id,
        change.before,
        change.after,
        change.reason,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A change as the trail keeps it."""

    id: str
    at: datetime
    actor: ActorKind
    user_id: str | None  # who did it; None: the command line, the schedule
    token_id: str | None
    action: str
    subject: str
    subject_id: str
    before: Mapping[str, object] | None
    after: Mapping[str, object] | None
    reason: str | None


def list_changes_of(tx: Transaction, organization_id: str, subject_id: str) -> list[Entry]:
    """Everything that was done to one subject, oldest first."""
    query = (
        select(audit)
        .where(
            belongs_to(audit.c.organization_id, organization_id), audit.c.subject_id == subject_id
        )
        .order_by(audit.c.key)
    )
    return [read_entry(row) for row in tx.execute(query)]


def list_changes(
    tx: Transaction, organization_id: str, filters: AuditFilters, page: Page
) -> Slice[Entry]:
    """Newest first."""
    query = (
        select(audit)
        .where(
            is_listed(audit.c.organization_id, organization_id, by=(filters.subject_id,)),
            equals(audit.c.actor, filters.actor),
            equals(audit.c.user_id, filters.user_id),
            equals(audit.c.action, filters.action),
            equals(audit.c.subject, filters.subject),
            equals(audit.c.subject_id, filters.subject_id),
            in_range(audit.c.at, filters.created),
        )
        .order_by(audit.c.key.desc())
    )
    return slice_of(tx, query, page, read_entry)


def find_change(tx: Transaction, organization_id: str, entry_id: str) -> Entry | None:
    query = select(audit).where(audit.c.organization_id == organization_id, audit.c.id == entry_id)
    row = tx.execute(query).one_or_none()
    return None if row is None else read_entry(row)


def read_entry(row: Row[Any]) -> Entry:
    return Entry(
        id=row.id,
        at=row.at,
        actor=ActorKind(row.actor),
        user_id=row.user_id,
        token_id=row.token_id,
        action=row.action,
        subject=row.subject,
        subject_id=row.subject_id,
        before=row.before,
        after=row.after,
        reason=row.reason,
    )
