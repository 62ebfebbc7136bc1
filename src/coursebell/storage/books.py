"""Reading the books: events beside the deliveries that one webhook has of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

from sqlalchemy import Row, and_, case, select

from coursebell.domain.model import DeliveryKind, DeliveryStatus
from coursebell.storage.database import Transaction
from coursebell.storage.tables import deliveries, events


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """An event with the states of its deliveries to one webhook; tests are none."""

    event_id: str
    event: str
    position: int
    occurred_at: datetime
    registration_id: str | None
    statuses: Sequence[DeliveryStatus]
    delivery_id: str | None  # the newest
    body: bytes | None  # of an event without deliveries, unless retention removed it


def find_occurred_at(tx: Transaction, organization_id: str, position: int) -> datetime:
    query = select(events.c.occurred_at).where(
        events.c.organization_id == organization_id, events.c.position == position
    )
    moment: datetime = tx.execute(query).scalar_one()
    return moment


def list_told(
    tx: Transaction, organization_id: str, webhook_id: str, *, after: int, until: int
) -> Iterator[Told]:
    """Every event with a position from `after`, without it, to `until`, in order."""
    its = and_(
        deliveries.c.event_key == events.c.key,
        deliveries.c.webhook_id == webhook_id,
        deliveries.c.kind != DeliveryKind.TEST,
    )
    query = (
        select(
            events.c.id,
            events.c.name,
            events.c.position,
            events.c.occurred_at,
            events.c.registration_id,
            case((deliveries.c.key.is_(None), events.c.body)).label("body"),
            deliveries.c.id.label("delivery_id"),
            deliveries.c.status,
        )
        .join_from(events, deliveries, its, isouter=True)
        .where(
            events.c.organization_id == organization_id,
            events.c.position > after,
            events.c.position <= until,
        )
        .order_by(events.c.position, deliveries.c.key)
    )
    for _, rows in groupby(tx.execute(query), key=lambda row: row.position):
        yield _told(list(rows))


def _told(rows: Sequence[Row[Any]]) -> Told:
    last = rows[-1]
    return Told(
        event_id=last.id,
        event=last.name,
        position=last.position,
        occurred_at=last.occurred_at,
        registration_id=last.registration_id,
        statuses=[DeliveryStatus(row.status) for row in rows if row.status is not None],
        delivery_id=last.delivery_id,
        body=last.body,
    )
