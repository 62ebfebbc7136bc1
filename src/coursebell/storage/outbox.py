"""Writing events and their deliveries, and reading events back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Boolean, Row, String, and_, bindparam, literal, select

from coursebell.domain.events import NewEvent, encode
from coursebell.domain.lists import EventFilters, Page, Slice
from coursebell.domain.model import DeliveryKind, DeliveryStatus, Event, Source, new_id
from coursebell.storage.columns import Instant
from coursebell.storage.database import Transaction
from coursebell.storage.lists import equals, in_range, slice_of
from coursebell.storage.prepared import clock, insertion
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
    rows = [_event_row(event) for event in new]
    shared = {"organization_id": organization_id, "is_test": is_test}
    keys = {row.id: row.key for row in _INSERT_EVENTS.returned(tx, rows, **shared)}
    return [keys[event.id] for event in new]


_INSERT_EVENTS = insertion(
    events,
    "id",
    "name",
    "source",
    "occurred_at",
    "user_id",
    "registration_id",
    "registration_seq",
    "offering_id",
    "body",
    organization_id=bindparam("organization_id", type_=String()),
    is_test=bindparam("is_test", type_=Boolean()),
    returning=("id", "key"),
)


def _event_row(event: NewEvent) -> tuple[object, ...]:
    return (
        event.id,
        event.name,
        event.source,
        event.occurred_at,
        event.user_id,
        event.registration_id,
        event.registration_seq,
        event.offering_id,
        encode(event.document),
    )


def insert_deliveries(
    tx: Transaction, organization_id: str, new: Sequence[NewDelivery], now: datetime
) -> list[str]:
    """Their public ids, in the order given. They are due at once."""
    rows = [_delivery_row(delivery) for delivery in new]
    shared = {"organization_id": organization_id, "created_at": now, "now": now}
    _INSERT_DELIVERIES.run(tx, rows, **shared)
    return [str(row[0]) for row in rows]


_INSERT_DELIVERIES = insertion(
    deliveries,
    "id",
    "webhook_id",
    "event_key",
    "registration_id",
    "kind",
    "status",
    "body",
    organization_id=bindparam("organization_id", type_=String()),
    attempts=literal(0),
    due_at=clock(),
    created_at=bindparam("created_at", type_=Instant()),
)


def _delivery_row(delivery: NewDelivery) -> tuple[object, ...]:
    return (
        new_id(),
        delivery.webhook_id,
        delivery.event_key,
        delivery.registration_id,
        delivery.kind,
        delivery.status,
        delivery.body,
    )


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
