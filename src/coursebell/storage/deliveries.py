"""Deliveries: what people read of them, and the dispatcher's claim and record."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Float,
    Row,
    Select,
    String,
    and_,
    bindparam,
    case,
    delete,
    exists,
    func,
    insert,
    literal,
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
from coursebell.storage.columns import Instant, is_exactly
from coursebell.storage.database import Transaction
from coursebell.storage.lists import equals, in_range, slice_of
from coursebell.storage.tables import attempts, deliveries, events, webhooks
from coursebell.storage.waking import RUN_ID_LENGTH

_PENDING = is_exactly(deliveries.c.status, DeliveryStatus.PENDING)
_HELD = is_exactly(deliveries.c.status, DeliveryStatus.HELD)
_FAILED = is_exactly(deliveries.c.status, DeliveryStatus.FAILED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """A delivery this dispatcher may attempt until its lease ends."""

    key: int
    id: str
    lease: str
    webhook_id: str
    organization_id: str
    kind: DeliveryKind
    attempts: int  # made so far
    event_id: str
    event: str
    occurred_at: datetime
    user_id: str | None
    registration_id: str | None
    registration_seq: int | None
    element_id: str | None
    body: bytes | None  # None: removed by retention


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """What became of a claimed delivery in one attempt."""

    key: int
    lease: str
    status: DeliveryStatus
    delay_seconds: float  # until the next attempt, where the status is pending
    attempt: Attempt


def list_webhooks_with_work(tx: Transaction, now: datetime) -> list[str]:
    """Active webhooks that have a due delivery: one index probe each, however much is pending."""
    due = exists().where(
        deliveries.c.webhook_id == webhooks.c.id, _PENDING, deliveries.c.due_at <= tx.clock(now)
    )
    query = select(webhooks.c.id).where(_is_active(), due).order_by(webhooks.c.key)
    return list(tx.execute(query).scalars())


def seconds_until_due(
    tx: Transaction, now: datetime, *, besides: Collection[str] = ()
) -> float | None:
    """Until the next delivery of an active webhook is due, 0 if one is; None without any.

    Webhooks in `besides` are not asked.
    """
    first = (
        select(func.min(deliveries.c.due_at, type_=Instant()))
        .where(deliveries.c.webhook_id == webhooks.c.id, _PENDING)
        .scalar_subquery()
    )
    asked = and_(_is_active(), webhooks.c.id.not_in(besides))
    firsts = select(first.label("due_at")).where(asked).subquery()
    earliest = func.min(firsts.c.due_at, type_=Instant()).label("earliest")
    row = tx.execute(select(earliest, tx.clock(now).label("clock"))).one()
    if row.earliest is None:
        return None
    wait: timedelta = row.earliest - row.clock
    return max(0.0, wait.total_seconds())


def overdue_seconds(tx: Transaction, now: datetime) -> float:
    """How long the longest due delivery of an active webhook has been due; 0 without any."""
    query = (
        select(
            func.min(deliveries.c.due_at, type_=Instant()).label("earliest"),
            tx.clock(now).label("clock"),
        )
        .join(webhooks, webhooks.c.id == deliveries.c.webhook_id)
        .where(_PENDING, _is_active())
    )
    row = tx.execute(query).one()
    if row.earliest is None:
        return 0.0
    waited: timedelta = row.clock - row.earliest
    return max(0.0, waited.total_seconds())


def claim(
    tx: Transaction,
    rooms: Mapping[str, int],
    lease: str,
    lease_seconds: float,
    now: datetime,
) -> list[Claimed]:
    """Take up to `rooms[webhook]` due deliveries of each webhook, oldest first.

    Until the lease ends nobody else gets them; a lapsed lease makes them due by itself, because
    the lease's end is their new due time.
    """
    keys = [
        key for webhook_id, room in rooms.items() for key in _due_keys(tx, webhook_id, room, now)
    ]
    if not keys:
        return []
    leased = update(deliveries).where(deliveries.c.key.in_(keys))
    until = tx.later(now, literal(lease_seconds, Float()))
    tx.execute(leased.values(lease=lease, due_at=until))
    query = (
        select(
            deliveries.c.key,
            deliveries.c.id,
            deliveries.c.webhook_id,
            deliveries.c.organization_id,
            deliveries.c.kind,
            deliveries.c.attempts,
            events.c.id.label("event_id"),
            events.c.name,
            events.c.occurred_at,
            events.c.user_id,
            events.c.registration_id,
            events.c.registration_seq,
            events.c.element_id,
            func.coalesce(deliveries.c.body, events.c.body).label("bytes"),
        )
        .join(events, events.c.key == deliveries.c.event_key)
        .where(deliveries.c.key.in_(keys))
        .order_by(deliveries.c.key)
    )
    return [_claimed(row, lease) for row in tx.execute(query)]


def _due_keys(tx: Transaction, webhook_id: str, room: int, now: datetime) -> list[int]:
    query = (
        select(deliveries.c.key)
        .where(
            deliveries.c.webhook_id == webhook_id, _PENDING, deliveries.c.due_at <= tx.clock(now)
        )
        .order_by(deliveries.c.due_at, deliveries.c.key)
        .limit(room)
        .with_for_update(skip_locked=True)
    )
    return list(tx.execute(query).scalars())


def _claimed(row: Row[Any], lease: str) -> Claimed:
    return Claimed(
        key=row.key,
        id=row.id,
        lease=lease,
        webhook_id=row.webhook_id,
        organization_id=row.organization_id,
        kind=DeliveryKind(row.kind),
        attempts=row.attempts,
        event_id=row.event_id,
        event=row.name,
        occurred_at=row.occurred_at,
        user_id=row.user_id,
        registration_id=row.registration_id,
        registration_seq=row.registration_seq,
        element_id=row.element_id,
        body=None if row.bytes is None else bytes(row.bytes),
    )


def record(tx: Transaction, results: Sequence[Recorded], now: datetime) -> set[int]:
    """Record attempts whose lease still stands; the keys of those. The others leave no trace.

    A delivery that was held or cancelled meanwhile stays so, unless it was delivered.
    """
    owned = _owned(tx, results)
    rows = [result for result in results if result.key in owned]
    if not rows:
        return set()
    tx.execute(_RECORD.values(due_at=_due_after(tx, now)), [_outcome_row(r, now) for r in rows])
    tx.execute(insert(attempts), [_attempt_row(result) for result in rows])
    return {result.key for result in rows}


def _owned(tx: Transaction, results: Sequence[Recorded]) -> set[int]:
    leases = {result.key: result.lease for result in results}
    query = (
        select(deliveries.c.key, deliveries.c.lease)
        .where(deliveries.c.key.in_(leases))
        .order_by(deliveries.c.key)
        .with_for_update()
    )
    return {row.key for row in tx.execute(query) if row.lease == leases[row.key]}


_NEW_STATUS: BindParameter[str] = bindparam("new_status", type_=String())
_STAYS = and_(
    deliveries.c.status != DeliveryStatus.PENDING, _NEW_STATUS != DeliveryStatus.DELIVERED
)
_RECORD = (
    update(deliveries)
    .where(deliveries.c.key == bindparam("row_key"))
    .values(
        status=case((_STAYS, deliveries.c.status), else_=_NEW_STATUS),
        attempts=deliveries.c.attempts + 1,
        lease=None,
        finished_at=case(
            (_STAYS, deliveries.c.finished_at), else_=bindparam("finished", type_=Instant())
        ),
        last_outcome=bindparam("outcome"),
    )
)


def _due_after(tx: Transaction, now: datetime) -> ColumnElement[Any]:
    return tx.later(now, bindparam("delay", type_=Float()))


def _outcome_row(result: Recorded, now: datetime) -> dict[str, Any]:
    return {
        "row_key": result.key,
        "new_status": result.status,
        "delay": result.delay_seconds,
        "finished": None if result.status.is_open else now,
        "outcome": result.attempt.outcome,
    }


def _attempt_row(result: Recorded) -> dict[str, Any]:
    attempt = result.attempt
    return {
        "delivery_key": result.key,
        "number": attempt.number,
        "started_at": attempt.started_at,
        "duration_ms": attempt.duration_ms,
        "outcome": attempt.outcome,
        "status_code": attempt.status_code,
        "address": attempt.address,
        "response_headers": attempt.response_headers,
        "response_body": attempt.response_body,
        "truncated": attempt.truncated,
    }


def release(tx: Transaction, claimed: Mapping[int, str], now: datetime) -> None:
    """Give back claimed deliveries (key to lease) that were not attempted: due again at once."""
    rows = [{"row_key": key, "held_lease": lease} for key, lease in claimed.items()]
    statement = (
        update(deliveries)
        .where(
            deliveries.c.key == bindparam("row_key"), deliveries.c.lease == bindparam("held_lease")
        )
        .values(lease=None, due_at=tx.clock(now))
    )
    if rows:
        tx.execute(statement, rows)


def recover_leases(tx: Transaction, now: datetime) -> None:
    """Make everything claimed due at once: for the only dispatcher there is, at its start."""
    tx.execute(
        update(deliveries)
        .where(_PENDING, deliveries.c.lease.is_not(None))
        .values(lease=None, due_at=tx.clock(now))
    )


_RUN = func.substr(deliveries.c.lease, 1, RUN_ID_LENGTH)


def list_lease_holders(tx: Transaction, lease_seconds: float, now: datetime) -> set[str]:
    """The run ids of the dispatchers that have claimed something: a lease begins with one.

    Looks where leases of at most `lease_seconds` end: one index probe for each webhook.
    """
    query = select(_RUN).distinct().where(_is_leased(tx, lease_seconds, now))
    return set(tx.execute(query).scalars())


def recover_leases_of(
    tx: Transaction, run_ids: Collection[str], lease_seconds: float, now: datetime
) -> int:
    """Make due at once what these dispatchers had claimed; how many deliveries."""
    lost = (
        update(deliveries)
        .where(_is_leased(tx, lease_seconds, now), _RUN.in_(run_ids))
        .values(lease=None, due_at=tx.clock(now))
    )
    return tx.execute(lost).rowcount


def _is_leased(tx: Transaction, lease_seconds: float, now: datetime) -> ColumnElement[bool]:
    return and_(
        deliveries.c.webhook_id.in_(select(webhooks.c.id).where(_is_active())),
        _PENDING,
        deliveries.c.due_at > tx.clock(now),
        deliveries.c.due_at <= tx.later(now, literal(lease_seconds, Float())),
        deliveries.c.lease.is_not(None),
    )


def hold_pending(tx: Transaction, webhook_id: str) -> None:
    """What a paused or disabled webhook would have got waits for it."""
    tx.execute(
        update(deliveries)
        .where(deliveries.c.webhook_id == webhook_id, _PENDING)
        .values(status=DeliveryStatus.HELD)
    )


def release_held(tx: Transaction, webhook_id: str, now: datetime) -> None:
    """What waited for a webhook is due now, in the order in which it was held."""
    tx.execute(
        update(deliveries)
        .where(deliveries.c.webhook_id == webhook_id, _HELD)
        .values(status=DeliveryStatus.PENDING, due_at=tx.clock(now), lease=None)
    )


def cancel_open(tx: Transaction, webhook_id: str, now: datetime) -> None:
    tx.execute(
        update(deliveries)
        .where(
            deliveries.c.webhook_id == webhook_id,
            or_(_PENDING, _HELD),
        )
        .values(status=DeliveryStatus.CANCELLED, finished_at=now)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Stray:
    """A webhook with open deliveries in a state that is not its own.

    They come from a completion that was committing while the webhook was changed.
    """

    webhook_id: str
    organization_id: str
    status: WebhookStatus | None  # None: deleted


def list_strays(tx: Transaction) -> list[Stray]:
    held = exists().where(deliveries.c.webhook_id == webhooks.c.id, _HELD)
    pending = exists().where(deliveries.c.webhook_id == webhooks.c.id, _PENDING)
    deleted = webhooks.c.deleted_at.is_not(None)
    active = webhooks.c.status == WebhookStatus.ACTIVE
    query = select(
        webhooks.c.id, webhooks.c.organization_id, webhooks.c.status, deleted.label("is_deleted")
    ).where(
        or_(
            and_(deleted, or_(held, pending)),
            and_(~deleted, active, held),
            and_(~deleted, ~active, pending),
        )
    )
    return [
        Stray(
            webhook_id=row.id,
            organization_id=row.organization_id,
            status=None if row.is_deleted else WebhookStatus(row.status),
        )
        for row in tx.execute(query)
    ]


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
            equals(deliveries.c.status, filters.status),
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
    disabled_webhooks: int
    oldest_pending_seconds: float  # 0 without any


def measure_backlog(tx: Transaction, now: datetime) -> Backlog:
    pending, held, failed = (
        tx.execute(select(func.count()).select_from(deliveries).where(state)).scalar_one()
        for state in (_PENDING, _HELD, _FAILED)
    )
    disabled = select(func.count()).where(
        webhooks.c.status == WebhookStatus.DISABLED, webhooks.c.deleted_at.is_(None)
    )
    oldest = select(func.min(deliveries.c.created_at, type_=Instant())).where(_PENDING)
    first: datetime | None = tx.execute(oldest).scalar_one()
    return Backlog(
        pending=pending,
        held=held,
        failed=failed,
        disabled_webhooks=tx.execute(disabled).scalar_one(),
        oldest_pending_seconds=0.0 if first is None else max(0.0, (now - first).total_seconds()),
    )


def forget_history(tx: Transaction, before: datetime, after_key: int, limit: int) -> int | None:
    """One step of retention: drop bytes and attempts of events from `before` with nothing open.

    Looks at events above `after_key`; the last key it looked at, None when there are no more.
    """
    old = (
        select(events.c.key)
        .where(events.c.key > after_key, events.c.occurred_at < before)
        .order_by(events.c.key)
        .limit(limit)
        .with_for_update()  # waits for who is sending one of them again
    )
    keys = list(tx.execute(old).scalars())
    if not keys:
        return None
    still_open = select(deliveries.c.event_key).where(
        deliveries.c.event_key.in_(keys),
        or_(_PENDING, _HELD),
    )
    settled = set(keys) - set(tx.execute(still_open).scalars())
    of_settled = select(deliveries.c.key).where(deliveries.c.event_key.in_(settled))
    tx.execute(delete(attempts).where(attempts.c.delivery_key.in_(of_settled)))
    tx.execute(update(deliveries).where(deliveries.c.event_key.in_(settled)).values(body=None))
    tx.execute(update(events).where(events.c.key.in_(settled)).values(body=None))
    last: int = keys[-1]
    return last


def _is_active() -> ColumnElement[bool]:
    return and_(webhooks.c.status == WebhookStatus.ACTIVE, webhooks.c.deleted_at.is_(None))


def _shown() -> Select[Any]:
    return select(deliveries, events.c.id.label("event_id"), events.c.name).join(
        events, events.c.key == deliveries.c.event_key
    )


def _delivery(row: Row[Any]) -> Delivery:
    status = DeliveryStatus(row.status)
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
        finished_at=row.finished_at,
        last_outcome=row.last_outcome,
    )


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
