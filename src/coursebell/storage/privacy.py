"""What is stored about a person outside their own row: found, and made to say nothing of them.

`tests/storage/test_privacy.py` lists every table with what becomes of it, so that a new one is
not forgotten.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, bindparam, or_, select, update

from coursebell.domain.events import without_personal_data
from coursebell.domain.model import DeliveryKind, DeliveryStatus, Event, Token
from coursebell.storage.accounts import read_token
from coursebell.storage.audit import Entry, read_entry
from coursebell.storage.chains import PENDING, release_successors
from coursebell.storage.columns import belongs_to, is_exactly
from coursebell.storage.database import Transaction
from coursebell.storage.outbox import read_event
from coursebell.storage.tables import (
    attempts,
    audit,
    deliveries,
    events,
    registrations,
    tokens,
    webhooks,
)

_STEP = 500  # rows named in one statement


def list_event_keys(tx: Transaction, organization_id: str, user_id: str) -> list[int]:
    """Of all events about a person, oldest first."""
    query = select(events.c.key).where(_is_about(organization_id, user_id)).order_by(events.c.key)
    return list(tx.execute(query).scalars())


def _is_about(organization_id: str, user_id: str) -> ColumnElement[bool]:
    own = select(registrations.c.id).where(registrations.c.user_id == user_id)
    return and_(
        belongs_to(events.c.organization_id, organization_id),
        or_(
            events.c.registration_id.in_(own),
            and_(events.c.user_id == user_id, events.c.registration_id.is_(None)),
        ),
    )


def cancel_open_deliveries(tx: Transaction, event_keys: Sequence[int], now: datetime) -> None:
    """Whatever of these events waits to be sent, or is held, never is."""
    for step in _steps(event_keys):
        cancelled = (
            update(deliveries)
            .where(deliveries.c.event_key.in_(step), PENDING)
            .values(status=DeliveryStatus.CANCELLED, finished_at=now)
            .returning(deliveries.c.key)
        )
        release_successors(tx, list(tx.execute(cancelled).scalars()), now)


def reduce_events(tx: Transaction, event_keys: Sequence[int]) -> None:
    """Leave ids in the events' bodies, and nothing of what receivers of them answered."""
    rewrite = update(events).where(events.c.key == bindparam("row_key")).values(body=bindparam("b"))
    for step in _steps(event_keys):
        kept = select(events.c.key, events.c.body).where(
            events.c.key.in_(step), events.c.body.is_not(None)
        )
        rows = [
            {"row_key": row.key, "b": without_personal_data(bytes(row.body))}
            for row in tx.execute(kept)
        ]
        if rows:
            tx.execute(rewrite, rows)
        of_events = select(deliveries.c.key).where(deliveries.c.event_key.in_(step))
        tx.execute(
            update(attempts)
            .where(attempts.c.delivery_key.in_(of_events))
            .values(response_headers=None, response_body=None)
        )
        tx.execute(update(deliveries).where(deliveries.c.event_key.in_(step)).values(body=None))


def list_token_subjects(tx: Transaction, organization_id: str, user_id: str) -> set[str]:
    """The ids of all tokens that a person ever had, revoked ones too."""
    query = select(audit.c.subject_id, audit.c.before, audit.c.after).where(
        audit.c.organization_id == organization_id, is_exactly(audit.c.subject, "token")
    )
    return {
        row.subject_id
        for row in tx.execute(query)
        if (row.after or row.before or {}).get("user_id") == user_id
    }


def scrub_audit(tx: Transaction, organization_id: str, subject_ids: Collection[str]) -> None:
    """What was done to these, when and by whom stays; the values and the reasons go."""
    for step in _steps(sorted(subject_ids)):
        tx.execute(
            update(audit)
            .where(_is_of_one(organization_id, step))
            .values(before=None, after=None, reason=None)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Disclosure:
    """A delivery about a person that was attempted, so that somebody may know of them."""

    delivery_id: str
    webhook_id: str
    webhook_name: str
    url: str
    event_id: str
    event: str
    kind: DeliveryKind
    status: DeliveryStatus
    attempts: int
    first_attempt_at: datetime | None  # None, as below: removed by retention
    last_attempt_at: datetime | None
    created_at: datetime


def list_disclosures(
    tx: Transaction, organization_id: str, event_keys: Sequence[int]
) -> list[Disclosure]:
    """Oldest first."""
    return [
        found for step in _steps(event_keys) for found in _disclosures(tx, organization_id, step)
    ]


def _disclosures(
    tx: Transaction, organization_id: str, event_keys: Sequence[int]
) -> Iterator[Disclosure]:
    query: Select[Any] = (
        select(
            deliveries.c.key,
            deliveries.c.id,
            deliveries.c.webhook_id,
            webhooks.c.name.label("webhook_name"),
            webhooks.c.url,
            events.c.id.label("event_id"),
            events.c.name,
            deliveries.c.kind,
            deliveries.c.status,
            deliveries.c.attempts,
            deliveries.c.created_at,
        )
        .join(webhooks, webhooks.c.id == deliveries.c.webhook_id)
        .join(events, events.c.key == deliveries.c.event_key)
        .where(
            deliveries.c.organization_id == organization_id,
            deliveries.c.event_key.in_(event_keys),
            deliveries.c.attempts > 0,
        )
        .order_by(deliveries.c.key)
    )
    rows = tx.execute(query).all()
    times = _attempt_times(tx, [row.key for row in rows])
    for row in rows:
        started = times.get(row.key, [])
        yield Disclosure(
            delivery_id=row.id,
            webhook_id=row.webhook_id,
            webhook_name=row.webhook_name,
            url=row.url,
            event_id=row.event_id,
            event=row.name,
            kind=DeliveryKind(row.kind),
            status=DeliveryStatus(row.status),
            attempts=row.attempts,
            first_attempt_at=min(started, default=None),
            last_attempt_at=max(started, default=None),
            created_at=row.created_at,
        )


def _attempt_times(tx: Transaction, delivery_keys: Sequence[int]) -> dict[int, list[datetime]]:
    times: dict[int, list[datetime]] = {}
    for step in _steps(delivery_keys):
        query = select(attempts.c.delivery_key, attempts.c.started_at).where(
            attempts.c.delivery_key.in_(step)
        )
        for row in tx.execute(query):
            times.setdefault(row.delivery_key, []).append(row.started_at)
    return times


def list_events(tx: Transaction, event_keys: Sequence[int]) -> list[Event]:
    """In the order of the keys."""
    return [
        read_event(row)
        for step in _steps(event_keys)
        for row in tx.execute(select(events).where(events.c.key.in_(step)).order_by(events.c.key))
    ]


def list_tokens(tx: Transaction, organization_id: str, user_id: str) -> list[Token]:
    query = select(tokens).where(
        tokens.c.organization_id == organization_id, tokens.c.user_id == user_id
    )
    return [read_token(row) for row in tx.execute(query.order_by(tokens.c.key))]


def list_changes(
    tx: Transaction, organization_id: str, subject_ids: Collection[str]
) -> list[Entry]:
    """All that was done to these, oldest first."""
    rows = [
        row
        for step in _steps(sorted(subject_ids))
        for row in tx.execute(select(audit).where(_is_of_one(organization_id, step)))
    ]
    return [read_entry(row) for row in sorted(rows, key=lambda row: row.key)]


def _is_of_one(organization_id: str, subject_ids: Sequence[str]) -> ColumnElement[bool]:
    of_organization = belongs_to(audit.c.organization_id, organization_id)
    return and_(of_organization, audit.c.subject_id.in_(subject_ids))


def _steps(keys: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(keys), _STEP):
        yield keys[start : start + _STEP]
