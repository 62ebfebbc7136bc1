"""What a webhook was told before, and what it could have been: for replay and backfill."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, exists, func, select, true

from coursebell.domain.events import EventName, NewEvent
from coursebell.domain.model import DeliveryStatus, Source
from coursebell.storage.chains import ORDERED_KINDS
from coursebell.storage.database import Transaction
from coursebell.storage.deliveries import is_shown_as
from coursebell.storage.failures import IS_LOST
from coursebell.storage.lists import equals
from coursebell.storage.tables import deliveries, events, webhooks


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """Which part of the past is meant: events from `since`, to before `until`."""

    since: datetime
    until: datetime | None = None
    event: str | None = None
    # of their deliveries, as it is shown; of failed ones those that nobody has sent again
    status: DeliveryStatus | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A delivery of an event that a webhook was told, or is still owed."""

    key: int
    event_key: int
    registration_id: str | None
    body: bytes | None
    has_bytes: bool  # False: removed by retention


def find_newest(tx: Transaction, webhook_id: str) -> int:
    """The key of the newest delivery of a webhook; 0 if there is none."""
    query = select(func.max(deliveries.c.key)).where(deliveries.c.webhook_id == webhook_id)
    return tx.execute(query).scalar_one() or 0


def list_told(
    tx: Transaction, webhook_id: str, past: Past, *, after: int, until: int, limit: int
) -> list[int]:
    """Keys of the first deliveries of events, in order; resent ones are none of them.

    From `after`, without it, to `until`.
    """
    query = (
        select(deliveries.c.key)
        .join(events, events.c.key == deliveries.c.event_key)
        .join(webhooks, webhooks.c.id == deliveries.c.webhook_id)
        .where(
            deliveries.c.webhook_id == webhook_id,
            deliveries.c.key > after,
            deliveries.c.key <= until,
            deliveries.c.kind.in_(sorted(ORDERED_KINDS)),
            IS_LOST if past.status is DeliveryStatus.FAILED else is_shown_as(past.status),
            _is_within(past),
        )
        .order_by(deliveries.c.key)
        .limit(limit)
    )
    return list(tx.execute(query).scalars())


def lock_told(tx: Transaction, keys: Collection[int]) -> list[Told]:
    """In order. Retention does not take their bytes before this transaction ends."""
    query = (
        select(
            deliveries.c.key,
            deliveries.c.event_key,
            deliveries.c.registration_id,
            deliveries.c.body,
            events.c.body.is_not(None).label("has_bytes"),
        )
        .join(events, events.c.key == deliveries.c.event_key)
        .where(deliveries.c.key.in_(keys))
        .order_by(deliveries.c.key)
        .with_for_update(read=True, key_share=True, of=events)
    )
    return [
        Told(
            key=row.key,
            event_key=row.event_key,
            registration_id=row.registration_id,
            body=row.body,
            has_bytes=bool(row.has_bytes),
        )
        for row in tx.execute(query)
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Untold:
    """An event that a webhook has no delivery of."""

    key: int
    position: int
    registration_id: str | None


def list_untold(
    tx: Transaction,
    organization_id: str,
    webhook_id: str,
    names: Collection[str],
    since: datetime,
    *,
    after: int,
    until: int,
    limit: int,
) -> list[Untold]:
    """With positions from `after`, without it, to `until`, in order."""
    query = (
        select(events.c.key, events.c.position, events.c.registration_id)
        .where(
            events.c.organization_id == organization_id,
            events.c.position > after,
            events.c.position <= until,
            events.c.occurred_at >= since,
            events.c.name.in_(names),
            ~_is_told(webhook_id),
        )
        .order_by(events.c.position)
        .limit(limit)
    )
    return [
        Untold(key=row.key, position=row.position, registration_id=row.registration_id)
        for row in tx.execute(query)
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recalled:
    """An event as it was about to be committed."""

    key: int
    event: NewEvent | None  # None: its content was removed by retention


def lock_untold(tx: Transaction, webhook_id: str, keys: Collection[int]) -> list[Recalled]:
    """The events of these that are still untold, in order. Retention leaves them alone."""
    query = (
        select(events)
        .where(events.c.key.in_(keys), ~_is_told(webhook_id))
        .order_by(events.c.position)
        .with_for_update(read=True, key_share=True, of=events)
    )
    return [
        Recalled(key=row.key, event=None if row.body is None else _recall(row))
        for row in tx.execute(query)
    ]


def _recall(row: Row[Any]) -> NewEvent:
    return NewEvent(
        id=row.id,
        name=EventName(row.name),
        source=None if row.source is None else Source(row.source),
        occurred_at=row.occurred_at,
        user_id=row.user_id,
        registration_id=row.registration_id,
        registration_seq=row.registration_seq,
        offering_id=row.offering_id,
        element_id=row.element_id,
        document=json.loads(row.body),
    )


def _is_told(webhook_id: str) -> ColumnElement[bool]:
    return exists().where(
        deliveries.c.event_key == events.c.key,
        deliveries.c.webhook_id == webhook_id,
        deliveries.c.kind.in_(sorted(ORDERED_KINDS)),
    )


def _is_within(past: Past) -> ColumnElement[bool]:
    return and_(
        events.c.occurred_at >= past.since,
        true() if past.until is None else events.c.occurred_at < past.until,
        equals(events.c.name, past.event),
    )
