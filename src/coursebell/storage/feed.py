"""Reading events in the order of commits."""

from __future__ import annotations

from sqlalchemy import select

from coursebell.domain.lists import EventFilters
from coursebell.domain.model import Event
from coursebell.storage.database import Transaction
from coursebell.storage.outbox import passes, read_event
from coursebell.storage.tables import event_counters, events


def find_head(tx: Transaction, organization_id: str) -> int:
    """The position of the newest event; 0 if there is none.

    Everything up to it has been committed, so whoever reads on from here misses nothing.
    """
    query = select(event_counters.c.last).where(event_counters.c.organization_id == organization_id)
    head: int = tx.execute(query).scalar_one()
    return head


def find_id_at(tx: Transaction, organization_id: str, position: int) -> str | None:
    query = select(events.c.id).where(
        events.c.organization_id == organization_id, events.c.position == position
    )
    found: str | None = tx.execute(query).scalar_one_or_none()
    return found


def list_between(
    tx: Transaction,
    organization_id: str,
    filters: EventFilters,
    *,
    after: int,
    until: int,
    limit: int,
) -> list[Event]:
    """At most `limit` events with positions from `after`, without it, to `until`; oldest first."""
    query = (
        select(events)
        .where(
            events.c.organization_id == organization_id,
            events.c.position > after,
            events.c.position <= until,
            passes(filters),
        )
        .order_by(events.c.position)
        .limit(limit)
    )
    return [read_event(row) for row in tx.execute(query)]
