"""Writing events and their deliveries, and reading events back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, and_, insert, select

from coursebell.domain.events import NewEvent, encode
from coursebell.domain.lists import EventFilters, Page, Slice
from coursebell.domain.model import DeliveryKind, DeliveryStatus, Event, Source, new_id
from coursebell.storage.database import Transaction
from coursebell.storage.lists import equals, in_range, slice_of
from coursebell.storage.tables import deliveries, events


@dataclass(frozen=True, slots=True, kw_only=True)
class NewDelivery:
    """A delivery about to be committed. `body` of None means: the event's own bytes."""

    event_key: int
    webhook_id: str
    registration_id: str | None
    kind: DeliveryKind
    status: DeliveryStatus
    body: bytes | None


def insert_events(
    tx: Transaction, organization_id: str, new: Sequence[NewEvent], *, is_test: bool = False
) -> list[int]:
    """The keys of the events, in the order given."""
    rows = [
        {
            "id": event.id,
            "organization_id": organization_id,
            "name": event.name,
            "source": event.source,
            "occurred_at": event.occurred_at,
            "user_id": event.user_id,
            "registration_id": event.registration_id,
            "registration_seq": event.registration_seq,
            "offering_id": event.offering_id,
            "is_test": is_test,
            "body": encode(event.document),
        }
        for event in new
    ]
    if not rows:
        return []
    statement = insert(events).returning(events.c.key, sort_by_parameter_order=True)
    return list(tx.execute(statement, rows).scalars())


def insert_deliveries(
    tx: Transaction, organization_id: str, new: Sequence[NewDelivery], now: datetime
) -> list[str]:
    """Their public ids, in the order given. They are due at once."""
    rows = [
        {
            "id": new_id(),
            "organization_id": organization_id,
            "webhook_id": delivery.webhook_id,
            "event_key": delivery.event_key,
            "registration_id": delivery.registration_id,
            "kind": delivery.kind,
            "status": delivery.status,
            "attempts": 0,
            "body": delivery.body,
            "created_at": now,
        }
        for delivery in new
    ]
    if rows:
        tx.execute(insert(deliveries).values(due_at=tx.clock(now)), rows)
    return [str(row["id"]) for row in rows]


def find_event(tx: Transaction, organization_id: str, event_id: str) -> Event | None:
    query = select(events).where(
        events.c.organization_id == organization_id,
        events.c.id == event_id,
        events.c.is_test.is_(False),
    )
    row = tx.execute(query).one_or_none()
    return None if row is None else read_event(row)


def list_events(
    tx: Transaction, organization_id: str, filters: EventFilters, page: Page
) -> Slice[Event]:
    """Newest first. Test events never happened, so they are not here."""
    query = (
        select(events)
        .where(
            and_(events.c.organization_id == organization_id, events.c.is_test.is_(False)),
            equals(events.c.name, filters.event),
            equals(events.c.registration_id, filters.registration_id),
            equals(events.c.user_id, filters.user_id),
            in_range(events.c.occurred_at, filters.created),
        )
        .order_by(events.c.key.desc())
    )
    return slice_of(tx, query, page, read_event)


def read_event(row: Row[Any]) -> Event:
    return Event(
        id=row.id,
        name=row.name,
        source=None if row.source is None else Source(row.source),
        occurred_at=row.occurred_at,
        user_id=row.user_id,
        registration_id=row.registration_id,
        registration_seq=row.registration_seq,
        offering_id=row.offering_id,
        body=row.body,
    )
