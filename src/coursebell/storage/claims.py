"""The dispatcher's side of deliveries: finding work, claiming, recording, giving back."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Float,
    Row,
    ScalarSelect,
    String,
    Update,
    and_,
    bindparam,
    case,
    exists,
    func,
    literal,
    not_,
    or_,
    select,
    text,
    type_coerce,
    update,
)

from coursebell.domain.model import Attempt, DeliveryKind, DeliveryStatus
from coursebell.storage.chains import (
    DUE,
    ORDERED_KINDS,
    PENDING,
    in_turn,
    put_back,
    release_successors,
)
from coursebell.storage.columns import Instant
from coursebell.storage.database import Transaction
from coursebell.storage.prepared import Batch, Given, Prepared, among, clock, insertion, later
from coursebell.storage.tables import attempts, deliveries, events, webhooks
from coursebell.storage.waking import RUN_ID_LENGTH
from coursebell.storage.webhooks import IS_ACTIVE

_ASKED = and_(  # as its index says it
    deliveries.c.finished_at.is_(None), text("deliveries.kind IN ('resend', 'test')")
)


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
    is_probe: bool = False  # asks whether a backed-off receiver is back

    @property
    def goes_anyway(self) -> bool:
        """Whether it is sent also to a backed-off webhook."""
        return self.is_probe or self.kind.is_asked_for


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """What became of a claimed delivery in one attempt."""

    key: int
    lease: str
    status: DeliveryStatus
    delay_seconds: float  # until the next attempt, where the status is pending
    attempt: Attempt
    is_probe: bool = False
    asked_seconds: float = 0.0  # that the receiver wants to be left alone

    def without_answer(self) -> Recorded:
        """The same, but nothing of what the receiver said."""
        attempt = replace(self.attempt, response_headers=None, response_body=None)
        return replace(self, attempt=attempt)


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """A webhook that something can be claimed for."""

    webhook_id: str
    max_in_flight: int
    is_backed_off: bool  # then only a probe, or what a person asked for


def list_work(tx: Transaction, now: datetime) -> list[Work]:
    """Active webhooks with something due that may be sent: one index probe each.

    Of backed-off ones those whose probe is due, or that have what a person asked for.
    """
    return [
        Work(
            webhook_id=row.id,
            max_in_flight=row.max_in_flight,
            is_backed_off=bool(row.is_backed_off),
        )
        for row in _WORK.rows(tx, now=now)
    ]


def _has(*conditions: ColumnElement[bool]) -> ColumnElement[bool]:
    return exists().where(
        deliveries.c.webhook_id == webhooks.c.id, *conditions, deliveries.c.due_at <= clock()
    )


_WORK = Prepared(
    select(
        webhooks.c.id,
        webhooks.c.max_in_flight,
        webhooks.c.probe_at.is_not(None).label("is_backed_off"),
    )
    .where(IS_ACTIVE, case((webhooks.c.probe_at > clock(), _has(_ASKED)), else_=_has(DUE)))
    .order_by(webhooks.c.key)
)


def seconds_until_due(
    tx: Transaction, now: datetime, *, besides: Collection[str] = ()
) -> float | None:
    """Until the next delivery that may be sent is due, 0 if one is; None without any.

    Webhooks in `besides` are not asked.
    """
    (row,) = _EARLIEST.rows(tx, besides=besides, now=now)
    moments = [moment for moment in (row.due, row.asked) if moment is not None]
    if not moments:
        return None
    wait: timedelta = min(moments) - row.clock
    return max(0.0, wait.total_seconds())


def _first(state: ColumnElement[bool]) -> ScalarSelect[Any]:
    first = func.min(deliveries.c.due_at, type_=Instant())
    return select(first).where(deliveries.c.webhook_id == webhooks.c.id, state).scalar_subquery()


_firsts = (
    select(
        webhooks.c.probe_at,
        _first(DUE).label("due_at"),
        case((webhooks.c.probe_at.is_not(None), _first(_ASKED))).label("asked_at"),
    )
    .where(IS_ACTIVE, not_(among(webhooks.c.id, "besides")))
    .subquery()
)
_sendable_at = case(
    (_firsts.c.probe_at > _firsts.c.due_at, _firsts.c.probe_at), else_=_firsts.c.due_at
)
_EARLIEST = Prepared(
    select(
        func.min(_sendable_at, type_=Instant()).label("due"),
        func.min(_firsts.c.asked_at, type_=Instant()).label("asked"),
        clock().label("clock"),
    )
)


def overdue_seconds(tx: Transaction, lease_seconds: float, now: datetime) -> float:
    """How long the longest due delivery has been due that nobody takes; 0 while others are sent.

    Of active webhooks that are not backed off.
    """
    if list_lease_holders(tx, lease_seconds, now):
        return 0.0
    query = (
        select(
            func.min(deliveries.c.due_at, type_=Instant()).label("earliest"),
            tx.clock(now).label("clock"),
        )
        .join(webhooks, webhooks.c.id == deliveries.c.webhook_id)
        .where(DUE, IS_ACTIVE, webhooks.c.probe_at.is_(None))
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
    *,
    backed_off: Mapping[str, int] = MappingProxyType({}),
) -> list[Claimed]:
    """Take up to `rooms[webhook]` due deliveries of each webhook, oldest first.

    Of webhooks in `backed_off` only what a person asked for, up to that room, and a probe where
    it is due, which nobody else takes then. Until the lease ends nobody else gets what is taken;
    a lapsed lease makes it due by itself, because the lease's end is its new due time.
    """
    keys = {
        row.key
        for webhook_id, room in rooms.items()
        for row in _DUE_KEYS.rows(tx, webhook_id=webhook_id, room=room, now=now)
    }
    probes = set[int]()
    for webhook_id, room in backed_off.items():
        asked = _ASKED_KEYS.rows(tx, webhook_id=webhook_id, room=room, now=now)
        keys.update(row.key for row in asked)
        if _TAKE_PROBE.run(tx, webhook_id=webhook_id, lease_seconds=lease_seconds, now=now):
            oldest = _DUE_KEYS.rows(tx, webhook_id=webhook_id, room=1, now=now)
            probes.update(row.key for row in oldest)
    keys |= probes
    if not keys:
        return []
    _LEASE.run(tx, keys=keys, lease=lease, lease_seconds=lease_seconds, now=now)
    rows = _READ_CLAIMED.rows(tx, keys=keys)
    return [_claimed(row, lease, is_probe=row.key in probes) for row in rows]


def _due_keys(state: ColumnElement[bool]) -> Prepared:
    return Prepared(
        select(deliveries.c.key)
        .where(
            deliveries.c.webhook_id == bindparam("webhook_id"),
            state,
            deliveries.c.due_at <= clock(),
        )
        .order_by(deliveries.c.due_at, deliveries.c.key)
        .limit(bindparam("room", type_=BigInteger()))
        .with_for_update(skip_locked=True)
    )


_DUE_KEYS = _due_keys(DUE)
_ASKED_KEYS = _due_keys(_ASKED)

# Should the probe be lost with its dispatcher, there is another when its lease has lapsed.
_TAKE_PROBE = Prepared(
    update(webhooks)
    .where(webhooks.c.id == bindparam("webhook_id"), webhooks.c.probe_at <= clock())
    .values(probe_at=later(bindparam("lease_seconds", type_=Float())))
)
_LEASE = Prepared(
    update(deliveries)
    .where(among(deliveries.c.key, "keys"))
    .values(
        lease=bindparam("lease", type_=String()),
        due_at=later(bindparam("lease_seconds", type_=Float())),
    )
)
_READ_CLAIMED = Prepared(
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
    .where(among(deliveries.c.key, "keys"))
    .order_by(deliveries.c.key)
)


def _claimed(row: Row[Any], lease: str, *, is_probe: bool) -> Claimed:
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
        is_probe=is_probe,
    )


def list_cancelled(tx: Transaction, keys: Collection[int]) -> set[int]:
    """Which of these, which are claimed, were cancelled since."""
    return {row.key for row in _CANCELLED.rows(tx, keys=keys)}


_CANCELLED = Prepared(
    select(deliveries.c.key).where(among(deliveries.c.key, "keys"), not_(PENDING))
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Owned:
    """A claimed delivery whose lease still stands; locked until the transaction ends."""

    webhook_id: str
    kind: DeliveryKind
    webhook_is_active: bool
    is_open: bool  # False: cancelled since it was claimed, perhaps because a person was erased


def lock_owned(tx: Transaction, results: Sequence[Recorded]) -> dict[int, Owned]:
    """By key. The results of all others must leave no trace."""
    leases = {result.key: result.lease for result in results}
    return {
        row.key: Owned(
            webhook_id=row.webhook_id,
            kind=DeliveryKind(row.kind),
            webhook_is_active=bool(row.is_active),
            is_open=row.status == DeliveryStatus.PENDING,
        )
        for row in _LOCK_LEASED.rows(tx, keys=leases)
        if row.lease == leases[row.key]
    }


_LOCK_LEASED = Prepared(
    select(
        deliveries.c.key,
        deliveries.c.lease,
        deliveries.c.status,
        deliveries.c.kind,
        deliveries.c.webhook_id,
        IS_ACTIVE.label("is_active"),
    )
    .join(webhooks, webhooks.c.id == deliveries.c.webhook_id)
    .where(among(deliveries.c.key, "keys"))
    .order_by(deliveries.c.key)
    .with_for_update(of=deliveries)
)


def record(
    tx: Transaction, results: Sequence[Recorded], owned: Mapping[int, Owned], now: datetime
) -> int:
    """Record attempts of deliveries that are `owned`; how many others are due now because of it.

    A delivery that was cancelled meanwhile stays so unless it was delivered.
    """
    if not results:
        return 0
    _RECORD.run(tx, [_outcome_row(result, now) for result in results], now=now)
    _INSERT_ATTEMPTS.run(tx, map(_attempt_row, results))
    put_back(tx, [result.key for result in results if result.status.is_open])
    settled = [
        result.key
        for result in results
        if not result.status.is_open and owned[result.key].kind in ORDERED_KINDS
    ]
    return release_successors(tx, settled, now)


def _recorded(given: Given) -> Update:
    stays = and_(
        deliveries.c.status != DeliveryStatus.PENDING, given["status"] != DeliveryStatus.DELIVERED
    )
    return (
        update(deliveries)
        .where(deliveries.c.key == given["row_key"])
        .values(
            status=case((stays, deliveries.c.status), else_=given["status"]),
            attempts=deliveries.c.attempts + 1,
            lease=None,
            due_at=later(given["delay"]),
            finished_at=case((stays, deliveries.c.finished_at), else_=given["finished_at"]),
            last_outcome=given["outcome"],
        )
    )


_RECORD = Batch(
    {
        "row_key": deliveries.c.key,
        "status": deliveries.c.status,
        "delay": Float(),
        "finished_at": deliveries.c.finished_at,
        "outcome": deliveries.c.last_outcome,
    },
    _recorded,
)


def _outcome_row(result: Recorded, now: datetime) -> tuple[object, ...]:
    finished_at = None if result.status.is_open else now
    return (
        result.key,
        result.status,
        result.delay_seconds,
        finished_at,
        result.attempt.outcome,
    )


_INSERT_ATTEMPTS = insertion(
    attempts,
    "delivery_key",
    "number",
    "started_at",
    "duration_ms",
    "outcome",
    "status_code",
    "address",
    "response_headers",
    "response_body",
    "truncated",
)


def _attempt_row(result: Recorded) -> tuple[object, ...]:
    attempt = result.attempt
    return (
        result.key,
        attempt.number,
        attempt.started_at,
        attempt.duration_ms,
        attempt.outcome,
        attempt.status_code,
        attempt.address,
        attempt.response_headers,
        attempt.response_body,
        attempt.truncated,
    )


def release(tx: Transaction, claimed: Mapping[int, str], now: datetime) -> None:
    """Give back claimed deliveries (key to lease) that were not attempted: due again at once."""
    rows = [{"row_key": key, "held_lease": lease} for key, lease in claimed.items()]
    statement = (
        update(deliveries)
        .where(
            deliveries.c.key == bindparam("row_key"), deliveries.c.lease == bindparam("held_lease")
        )
        .values(lease=None, due_at=in_turn(tx, now))
    )
    if rows:
        tx.execute(statement, rows)
        put_back(tx, list(claimed))


def recover_leases(tx: Transaction, now: datetime) -> None:
    """Make everything claimed due at once: for the only dispatcher there is, at its start."""
    _recover(tx, and_(DUE, deliveries.c.lease.is_not(None)), now)


def _recover(tx: Transaction, lost: ColumnElement[bool], now: datetime) -> int:
    recovered = update(deliveries).where(lost).values(lease=None, due_at=in_turn(tx, now))
    keys = list(tx.execute(recovered.returning(deliveries.c.key)).scalars())
    put_back(tx, keys)
    return len(keys)


def shift_due_times(tx: Transaction, seconds: float, now: datetime) -> int:
    """After SQLite's clock was set by `seconds`, to `now`: leave what is yet due as far away.

    What was new meanwhile is due by the new clock and stays. How many were moved.
    """
    its = deliveries.c
    if seconds < 0:
        old = its.due_at > literal(now, Instant())
    else:  # a first attempt is due at once by either clock, and only retries and leases wait
        old = and_(
            its.due_at > literal(now - timedelta(seconds=seconds), Instant()),
            or_(its.attempts > 0, its.lease.is_not(None)),
        )
    moved = type_coerce(its.due_at, BigInteger()) + round(seconds * 1_000_000)
    shift = update(deliveries).where(PENDING, old).values(due_at=type_coerce(moved, Instant()))
    return tx.execute(shift).rowcount


def call_stragglers(tx: Transaction, now: datetime) -> None:
    """Make due at `now` what was never attempted and is due later: by a clock that ran ahead."""
    its, due_at = deliveries.c, literal(now, Instant())
    ahead = and_(PENDING, its.due_at > due_at, its.attempts == 0, its.lease.is_(None))
    tx.execute(update(deliveries).where(ahead).values(due_at=due_at))


def hurry(tx: Transaction, webhook_id: str, limit: int, now: datetime) -> int:
    """Make due up to `limit` deliveries that wait for their next attempt; how many."""
    later = (
        select(deliveries.c.key)
        .where(
            deliveries.c.webhook_id == webhook_id,
            DUE,
            deliveries.c.due_at > tx.clock(now),
            deliveries.c.lease.is_(None),
        )
        .order_by(deliveries.c.due_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    keys = list(tx.execute(later).scalars())
    if keys:
        hurried = update(deliveries).where(deliveries.c.key.in_(keys))
        tx.execute(hurried.values(due_at=in_turn(tx, now)))
    return len(keys)


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
    return _recover(tx, and_(_is_leased(tx, lease_seconds, now), _RUN.in_(run_ids)), now)


def recover_lease(tx: Transaction, lease: str, lease_seconds: float, now: datetime) -> int:
    """Make due at once what was claimed under this lease; how many deliveries."""
    return _recover(tx, and_(_is_leased(tx, lease_seconds, now), deliveries.c.lease == lease), now)


def _is_leased(tx: Transaction, lease_seconds: float, now: datetime) -> ColumnElement[bool]:
    return and_(
        deliveries.c.webhook_id.in_(select(webhooks.c.id).where(IS_ACTIVE)),
        DUE,
        deliveries.c.due_at > tx.clock(now),
        deliveries.c.due_at <= tx.later(now, literal(lease_seconds, Float())),
        deliveries.c.lease.is_not(None),
    )
