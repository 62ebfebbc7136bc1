"""The order of a registration's events at a webhook (domain rule 17).

Of a registration's live and backfilled deliveries at one webhook only the first open one is due.
Those after it wait: pending, without a due time. Whoever settles a delivery makes the next due in
the same transaction; `lock_open_pairs` says why nothing slips between.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, FromClause, and_, case, exists, or_, select, tuple_, update

from coursebell.domain.model import DeliveryKind, DeliveryStatus
from coursebell.storage.columns import is_exactly
from coursebell.storage.database import Transaction
from coursebell.storage.prepared import Prepared, among, clock
from coursebell.storage.tables import deliveries, events

PENDING = is_exactly(deliveries.c.status, DeliveryStatus.PENDING)
DUE = and_(PENDING, deliveries.c.due_at.is_not(None))  # at once or later
WAITING = and_(PENDING, deliveries.c.due_at.is_(None))

ORDERED_KINDS = frozenset({DeliveryKind.LIVE, DeliveryKind.BACKFILL})
_settled = deliveries.alias("settled")


def _is_open_link(link: FromClause) -> ColumnElement[bool]:
    kinds = (is_exactly(link.c.kind, kind) for kind in sorted(ORDERED_KINDS))
    return and_(is_exactly(link.c.status, DeliveryStatus.PENDING), or_(*kinds))


class Pair(NamedTuple):
    """A webhook and a registration: within one, deliveries keep their order."""

    webhook_id: str
    registration_id: str


def lock_open_pairs(tx: Transaction, registration_ids: Collection[str]) -> set[Pair]:
    """At which webhooks these registrations have an open delivery that later ones must await.

    On PostgreSQL those rows are locked until the end: a dispatcher that settles one at the same
    moment either comes first, and it is not open here, or waits, and then sees who awaits it.
    """
    if not registration_ids:
        return set()
    rows = _OPEN_PAIRS.rows(tx, registration_ids=registration_ids)
    return {Pair(row.webhook_id, row.registration_id) for row in rows}


_THEIRS = select(events.c.key).where(among(events.c.registration_id, "registration_ids"))
_OPEN_PAIRS = Prepared(
    select(deliveries.c.webhook_id, deliveries.c.registration_id)
    .where(deliveries.c.event_key.in_(_THEIRS), _is_open_link(deliveries))
    .order_by(deliveries.c.key)
    .with_for_update(key_share=True)
)


def release_successors(tx: Transaction, settled: Collection[int], now: datetime) -> int:
    """Make due what waited for deliveries with these keys, and for no other; how many."""
    if not settled:
        return 0
    return _RELEASE.run(tx, settled=settled, now=now)


def hold_back(tx: Transaction, webhook_id: str, registration_ids: Collection[str]) -> None:
    """Let wait what has got an earlier one before it, unless a dispatcher has it in hand.

    What that gives back, or fails to deliver, is `put_back`.
    """
    if not registration_ids:
        return
    theirs = select(events.c.key).where(events.c.registration_id.in_(registration_ids))
    held_back = update(deliveries).where(
        DUE,
        _is_open_link(deliveries),
        deliveries.c.webhook_id == webhook_id,
        deliveries.c.event_key.in_(theirs),
        deliveries.c.lease.is_(None),
        _is_blocked(),
    )
    tx.execute(held_back.values(due_at=None))


def put_back(tx: Transaction, keys: Collection[int]) -> None:
    """Let wait those that got an earlier one before them while they were claimed."""
    if keys:
        _PUT_BACK.run(tx, keys=keys)


class Waiting(NamedTuple):
    """A delivery that waits for another; in this order they are gone through."""

    webhook_id: str
    registration_id: str
    key: int


BEFORE_ALL = Waiting("", "", 0)


def list_waiting(tx: Transaction, after: Waiting, limit: int) -> list[Waiting]:
    """Those that come `after`, in order."""
    place = (deliveries.c.webhook_id, deliveries.c.registration_id, deliveries.c.key)
    query = select(*place).where(WAITING, tuple_(*place) > tuple(after)).order_by(*place)
    rows = tx.execute(query.limit(limit))
    return [Waiting(row.webhook_id, row.registration_id, row.key) for row in rows]


def list_stuck(tx: Transaction, keys: Collection[int]) -> list[int]:
    """The keys of those that wait for nothing."""
    query = select(deliveries.c.key).where(WAITING, deliveries.c.key.in_(keys), ~_is_blocked())
    return list(tx.execute(query).scalars())


def in_turn(tx: Transaction, now: datetime) -> ColumnElement[Any]:
    """Due now, and among all that is due in the order in which deliveries were made."""
    return _in_turn(tx.clock(now))


def _in_turn(moment: ColumnElement[datetime]) -> ColumnElement[datetime]:
    return case((deliveries.c.created_at < moment, deliveries.c.created_at), else_=moment)


def _is_blocked() -> ColumnElement[bool]:
    """Whether something before it is open. A registration has few events, so they are looked up.

    An index on open deliveries alone would be written anew at every claim on PostgreSQL.
    """
    earlier, theirs = deliveries.alias("earlier"), events.alias("earlier_events")
    return exists().where(
        theirs.c.registration_id == deliveries.c.registration_id,
        theirs.c.key < deliveries.c.event_key,
        earlier.c.event_key == theirs.c.key,
        earlier.c.webhook_id == deliveries.c.webhook_id,
        _is_open_link(earlier),
    )


_PUT_BACK = Prepared(
    update(deliveries)
    .where(
        among(deliveries.c.key, "keys"),
        DUE,
        _is_open_link(deliveries),
        deliveries.c.lease.is_(None),
        _is_blocked(),
    )
    .values(due_at=None)
)

_RELEASE = Prepared(
    update(deliveries)
    .where(
        WAITING,
        tuple_(deliveries.c.webhook_id, deliveries.c.registration_id).in_(
            select(_settled.c.webhook_id, _settled.c.registration_id).where(
                among(_settled.c.key, "settled")
            )
        ),
        ~_is_blocked(),
    )
    .values(due_at=_in_turn(clock()))
)
