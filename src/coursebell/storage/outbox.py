"""Writing events and their deliveries, and reading events back."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import repeat
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    ColumnElement,
    Row,
    String,
    and_,
    bindparam,
    case,
    literal,
    null,
    select,
    update,
)

from coursebell.domain.events import NewEvent, encode
from coursebell.domain.lists import EventFilters, Page, Slice
from coursebell.domain.model import DeliveryKind, DeliveryStatus, Event, Source, new_id
from coursebell.storage.chains import ORDERED_KINDS, Pair
from coursebell.storage.columns import Instant
from coursebell.storage.database import Transaction
from coursebell.storage.lists import equals, in_range, slice_of
from coursebell.storage.prepared import Prepared, clock, insertion
from coursebell.storage.tables import deliveries, event_counters, events


@dataclass(frozen=True, slots=True, kw_only=True)
class NewDelivery:
    """A delivery about to be committed. `body` of None means: the event's own bytes."""

    event_key: int
    webhook_id: str
    registration_id: str | None
    kind: DeliveryKind
    body: bytes | None

    @property
    def pair(self) -> Pair | None:
        """Where it has its place in an order; None for what is sent regardless."""
        if self.registration_id is None or self.kind not in ORDERED_KINDS:
            return None
        return Pair(self.webhook_id, self.registration_id)


def take_positions(tx: Transaction, organization_id: str, number: int) -> range:
    """The next `number` positions of the organization.

    Until this transaction ends, the next ones are out of everybody's reach: so positions are in
    the order of commits, and those that are rolled back are given again.
    """
    (row,) = _TAKE_POSITIONS.rows(tx, organization_id=organization_id, number=number)
    return range(row.last - number + 1, row.last + 1)


_TAKE_POSITIONS = Prepared(
    update(event_counters)
    .where(event_counters.c.organization_id == bindparam("organization_id"))
    .values(last=event_counters.c.last + bindparam("number", type_=BigInteger()))
    .returning(event_counters.c.last)
)


def insert_events(
    tx: Transaction, organization_id: str, new: Sequence[NewEvent], *, is_test: bool = False
) -> list[int]:
    """The keys of the events, in the order given, which is also that of their positions.

    Their positions are taken now and nobody else can take the next ones before this commits, so
    this belongs at the end of a transaction. Test events have none.
    """
    if not new:
        return []
    positions = repeat(None) if is_test else take_positions(tx, organization_id, len(new))
    rows = [_event_row(*each) for each in zip(new, positions, strict=False)]
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
    "element_id",
    "position",
    "body",
    organization_id=bindparam("organization_id", type_=String()),
    is_test=bindparam("is_test", type_=Boolean()),
    returning=("id", "key"),
)


def _event_row(event: NewEvent, position: int | None) -> tuple[object, ...]:
    return (
        event.id,
        event.name,
        event.source,
        event.occurred_at,
        event.user_id,
        event.registration_id,
        event.registration_seq,
        event.offering_id,
        event.element_id,
        position,
        encode(event.document),
    )


def insert_deliveries(
    tx: Transaction,
    organization_id: str,
    new: Sequence[NewDelivery],
    now: datetime,
    *,
    open_pairs: Collection[Pair] = (),
) -> list[str]:
    """Their public ids, in the order given, which is that of their events.

    They are due at once, except those that have to wait for an earlier one of the same
    registration at the same webhook: one before them in `new`, or what is open already
    (`chains.lock_open_pairs`).
    """
    rows = [
        _delivery_row(delivery, waits=waits)
        for delivery, waits in zip(new, _waits(new, set(open_pairs)), strict=True)
    ]
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
    "body",
    waits=Boolean(),
    organization_id=bindparam("organization_id", type_=String()),
    status=literal(DeliveryStatus.PENDING.value),
    attempts=literal(0),
    due_at=lambda given: case((given["waits"], null()), else_=clock()),
    created_at=bindparam("created_at", type_=Instant()),
)


def _delivery_row(delivery: NewDelivery, *, waits: bool) -> tuple[object, ...]:
    return (
        new_id(),
        delivery.webhook_id,
        delivery.event_key,
        delivery.registration_id,
        delivery.kind,
        delivery.body,
        waits,
    )


def _waits(new: Sequence[NewDelivery], taken: set[Pair]) -> Iterator[bool]:
    for pair in (each.pair for each in new):
        yield pair in taken
        if pair is not None:
            taken.add(pair)


def find_event(tx: Transaction, organization_id: str, event_id: str) -> Event | None:
    query = select(events).where(
        events.c.organization_id == organization_id,
        events.c.id == event_id,
        events.c.is_test.is_(False),
    )
    row = tx.execute(query).one_or_none()
    return None if row is None else read_event(row)


def event_of(tx: Transaction, delivery_id: str) -> Event:
    """What a delivery is of; that of a test never happened."""
    query = (
        select(events)
        .join(deliveries, deliveries.c.event_key == events.c.key)
        .where(deliveries.c.id == delivery_id)
    )
    return read_event(tx.execute(query).one())


def list_events(
    tx: Transaction, organization_id: str, filters: EventFilters, page: Page
) -> Slice[Event]:
    """Newest first. Test events never happened, so they are not here."""
    query = (
        select(events)
        .where(
            events.c.organization_id == organization_id,
            events.c.position.is_not(None),
            passes(filters),
        )
        .order_by(events.c.position.desc())
    )
    return slice_of(tx, query, page, read_event)


def passes(filters: EventFilters) -> ColumnElement[bool]:
    return and_(
        equals(events.c.name, filters.event),
        equals(events.c.registration_id, filters.registration_id),
        equals(events.c.user_id, filters.user_id),
        in_range(events.c.occurred_at, filters.created),
    )


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
        element_id=row.element_id,
        position=row.position,
        body=row.body,
    )
