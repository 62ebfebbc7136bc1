"""Deliveries as people see them, and what is done with them outside the dispatcher."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Row,
    Select,
    and_,
    delete,
    func,
    or_,
    select,
    true,
    update,
)

from coursebell.domain.lists import DeliveryFilters, Page, Slice
from coursebell.domain.model import (
    Attempt,
    Delivery,
    DeliveryKind,
    DeliveryStatus,
    WebhookStatus,
)
from coursebell.storage.chains import DUE, PENDING, WAITING, release_successors
from coursebell.storage.columns import is_exactly
from coursebell.storage.database import Transaction
from coursebell.storage.failures import IS_LOST
from coursebell.storage.lists import equals, in_range, slice_of
from coursebell.storage.tables import attempts, deliveries, events, webhooks
from coursebell.storage.webhooks import IS_ACTIVE

_OF_DELETED = webhooks.c.deleted_at.is_not(None)


def find_delivery(tx: Transaction, organization_id: str, delivery_id: str) -> Delivery | None:
    query = _shown().where(
        deliveries.c.organization_id == organization_id, deliveries.c.id == delivery_id
    )
    row = tx.execute(query).one_or_none()
    return None if row is None else _delivery(row)


def list_deliveries(
    tx: Transaction,
    organization_id: str,
    webhook_id: str,
    filters: DeliveryFilters,
    page: Page,
) -> Slice[Delivery]:
    """Newest first."""
    query = (
        _shown()
        .where(
            deliveries.c.organization_id == organization_id,
            deliveries.c.webhook_id == webhook_id,
            is_shown_as(filters.status),
            equals(deliveries.c.registration_id, filters.registration_id),
            in_range(deliveries.c.created_at, filters.created),
            events.c.name == filters.event if filters.event else true(),
        )
        .order_by(deliveries.c.key.desc())
    )
    return slice_of(tx, query, page, _delivery)


def list_attempts(tx: Transaction, organization_id: str, delivery_id: str) -> list[Attempt]:
    """Newest first."""
    query = (
        select(attempts)
        .join(deliveries, deliveries.c.key == attempts.c.delivery_key)
        .where(deliveries.c.organization_id == organization_id, deliveries.c.id == delivery_id)
        .order_by(attempts.c.key.desc())
    )
    return [_attempt(row) for row in tx.execute(query)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Resendable:
    """What sending a delivery again needs."""

    event_key: int
    webhook_id: str
    registration_id: str | None
    body: bytes | None
    has_bytes: bool  # False: removed by retention


def find_resendable(tx: Transaction, organization_id: str, delivery_id: str) -> Resendable | None:
    query = (
        select(deliveries, events.c.body.label("event_body"))
        .join(events, events.c.key == deliveries.c.event_key)
        .where(deliveries.c.organization_id == organization_id, deliveries.c.id == delivery_id)
        # retention must not take the bytes before the new delivery is there to keep them
        .with_for_update(read=True, key_share=True, of=events)
    )
    row = tx.execute(query).one_or_none()
    if row is None:
        return None
    return Resendable(
        event_key=row.event_key,
        webhook_id=row.webhook_id,
        registration_id=row.registration_id,
        body=row.body,
        has_bytes=row.event_body is not None,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """How the deliveries of all organizations stand."""

    pending: int
    held: int
    failed: int
    backed_off_webhooks: int
    disabled_webhooks: int
    oldest_pending_seconds: float  # 0 without any
    overdue_seconds: float = 0.0  # how long one has been due that nobody took
    failing_webhooks: int = 0  # active, and the last attempt failed; those backed off among them


def measure_backlog(tx: Transaction, now: datetime) -> Backlog:
    """What is open is counted in an index: about a tenth of a second for each million.

    What failed is looked at one by one, whether it was sent again: a second for each million.
    """
    states = _webhook_states(tx)
    pending, held, oldest = 0, 0, None
    for webhook_id, number, first in [*_count_open(tx, DUE), *_count_open(tx, WAITING)]:
        match states.get(webhook_id):
            case None:  # deleted: as good as cancelled
                continue
            case WebhookStatus.ACTIVE:
                pending += number
                oldest = first if oldest is None else min(oldest, first)
            case _:
                held += number
    return Backlog(
        pending=pending,
        held=held,
        failed=_count_failed(tx),
        backed_off_webhooks=_count_active(tx, webhooks.c.probe_at.is_not(None)),
        disabled_webhooks=sum(each is WebhookStatus.DISABLED for each in states.values()),
        oldest_pending_seconds=_age(tx, oldest, now),
        failing_webhooks=_count_active(tx, webhooks.c.failing_since.is_not(None)),
    )


def _webhook_states(tx: Transaction) -> dict[str, WebhookStatus]:
    """Of all webhooks that are there."""
    query = select(webhooks.c.id, webhooks.c.status).where(~_OF_DELETED)
    return {row.id: WebhookStatus(row.status) for row in tx.execute(query)}


def _count_active(tx: Transaction, condition: ColumnElement[bool]) -> int:
    query = select(func.count()).where(IS_ACTIVE, condition)
    number: int = tx.execute(query).scalar_one()
    return number


def _count_open(tx: Transaction, state: ColumnElement[bool]) -> list[tuple[str, int, int]]:
    """For each webhook: its id, how many are in this state, and the key of the first."""
    number, first = func.count().label("number"), func.min(deliveries.c.key).label("first")
    query = select(deliveries.c.webhook_id, number, first).where(state)
    rows = tx.execute(query.group_by(deliveries.c.webhook_id))
    return [(row.webhook_id, row.number, row.first) for row in rows]


def _count_failed(tx: Transaction) -> int:
    """Of webhooks that are there: those of a deleted one nobody can send again."""
    query = (
        select(func.count())
        .select_from(deliveries)
        .where(IS_LOST, deliveries.c.webhook_id.in_(select(webhooks.c.id).where(~_OF_DELETED)))
    )
    number: int = tx.execute(query).scalar_one()
    return number


def _age(tx: Transaction, key: int | None, now: datetime) -> float:
    if key is None:
        return 0.0
    query = select(deliveries.c.created_at).where(deliveries.c.key == key)
    first: datetime = tx.execute(query).scalar_one()
    return max(0.0, (now - first).total_seconds())


def cancel_of_deleted(tx: Transaction, limit: int, now: datetime) -> int:
    """Write down, for up to `limit` deliveries of deleted webhooks, that they are cancelled.

    They have been shown so all along. What waited for them becomes due, and is found the next time.
    """
    found = (
        select(deliveries.c.key)
        .where(DUE, deliveries.c.webhook_id.in_(select(webhooks.c.id).where(_OF_DELETED)))
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    keys = list(tx.execute(found).scalars())
    deleted_at = select(webhooks.c.deleted_at).where(webhooks.c.id == deliveries.c.webhook_id)
    cancelled = update(deliveries).where(deliveries.c.key.in_(keys))
    if keys:
        finished_at = deleted_at.scalar_subquery()
        tx.execute(cancelled.values(status=DeliveryStatus.CANCELLED, finished_at=finished_at))
    release_successors(tx, keys, now)
    return len(keys)


def forget_history(tx: Transaction, before: datetime, after_key: int, limit: int) -> int | None:
    """One step of retention: drop bytes and attempts of events from `before` with nothing open.

    Looks at events above `after_key`; the last key it looked at, None when there are no more. What
    an earlier round has dropped is not written again.
    """
    old = select(events.c.key).where(events.c.key > after_key, events.c.occurred_at < before)
    keys = list(tx.execute(old.order_by(events.c.key).limit(limit)).scalars())
    if not keys:
        return None
    has_bytes = events.c.body.is_not(None)
    kept = select(events.c.key).where(events.c.key.in_(keys), has_bytes).order_by(events.c.key)
    tx.execute(kept.with_for_update())  # waits for who is sending one of them again
    still_open = select(deliveries.c.event_key).where(deliveries.c.event_key.in_(keys), PENDING)
    settled = set(keys) - set(tx.execute(still_open).scalars())
    of_settled = deliveries.c.event_key.in_(settled)
    its = select(deliveries.c.key).where(of_settled)
    tx.execute(delete(attempts).where(attempts.c.delivery_key.in_(its)))
    bytes_of_own = deliveries.c.body.is_not(None)
    tx.execute(update(deliveries).where(of_settled, bytes_of_own).values(body=None))
    tx.execute(update(events).where(events.c.key.in_(settled), has_bytes).values(body=None))
    last: int = keys[-1]
    return last


def is_shown_as(status: str | None) -> ColumnElement[bool]:
    """A filter for what `_shown_status` gives."""
    match status:
        case None | "":
            return true()
        case DeliveryStatus.PENDING:
            return and_(PENDING, IS_ACTIVE)
        case DeliveryStatus.HELD:
            return and_(PENDING, ~IS_ACTIVE, ~_OF_DELETED)
        case DeliveryStatus.CANCELLED:
            return or_(deliveries.c.status == status, and_(PENDING, _OF_DELETED))
        case _:
            return is_exactly(deliveries.c.status, DeliveryStatus(status))


def _shown() -> Select[Any]:
    return (
        select(
            deliveries,
            events.c.id.label("event_id"),
            events.c.name,
            webhooks.c.status.label("webhook_status"),
            webhooks.c.deleted_at.label("webhook_deleted_at"),
        )
        .join(events, events.c.key == deliveries.c.event_key)
        .join(webhooks, webhooks.c.id == deliveries.c.webhook_id)
    )


def _delivery(row: Row[Any]) -> Delivery:
    status = _shown_status(row)
    is_cancelled = status is DeliveryStatus.CANCELLED
    return Delivery(
        id=row.id,
        webhook_id=row.webhook_id,
        event_id=row.event_id,
        event=row.name,
        registration_id=row.registration_id,
        kind=DeliveryKind(row.kind),
        status=status,
        attempts=row.attempts,
        created_at=row.created_at,
        next_attempt_at=row.due_at if status is DeliveryStatus.PENDING else None,
        finished_at=row.finished_at or (row.webhook_deleted_at if is_cancelled else None),
        last_outcome=row.last_outcome,
    )


def _shown_status(row: Row[Any]) -> DeliveryStatus:
    """An open delivery is what its webhook makes of it, so that pausing changes one row only."""
    stored = DeliveryStatus(row.status)
    if stored is not DeliveryStatus.PENDING:
        return stored
    if row.webhook_deleted_at is not None:
        return DeliveryStatus.CANCELLED
    is_active = row.webhook_status == WebhookStatus.ACTIVE
    return DeliveryStatus.PENDING if is_active else DeliveryStatus.HELD


def _attempt(row: Row[Any]) -> Attempt:
    return Attempt(
        number=row.number,
        started_at=row.started_at,
        duration_ms=row.duration_ms,
        outcome=row.outcome,
        status_code=row.status_code,
        address=row.address,
        response_headers=row.response_headers,
        response_body=row.response_body,
        truncated=row.truncated,
    )
