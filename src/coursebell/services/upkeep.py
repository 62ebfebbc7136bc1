"""What keeps the books in order without anybody asking."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime

from coursebell.logs import logger
from coursebell.services.dispatching import LEASE_SECONDS
from coursebell.services.registrar import Registrar
from coursebell.storage import chains, claims, deliveries
from coursebell.storage.waking import list_connected_runs

_log = logger(__name__)

_STEP = 500  # events or deliveries looked at in one transaction


def cancel_of_deleted(registrar: Registrar, now: datetime) -> Iterator[int]:
    """Write down that what was open of deleted webhooks is cancelled, as it is shown already.

    One small transaction per step; yields how many deliveries, so the caller can rest or stop.
    """
    while True:
        with registrar.database.transaction() as tx:
            cancelled = deliveries.cancel_of_deleted(tx, _STEP, now)
        if not cancelled:
            return
        yield cancelled


def mend_order(registrar: Registrar, now: datetime) -> Iterator[int]:
    """Make due what waits for an earlier event although none is open any more.

    Whoever settles a delivery does that, so there is nothing to do here, unless two of one
    registration were settled at the same instant on PostgreSQL, or one was settled at the instant
    at which a backfill put another behind it, or somebody wrote into the database. In steps;
    yields how many deliveries were made due in each.
    """
    reached = chains.BEFORE_ALL
    while True:
        with registrar.database.snapshot() as tx:
            waiting = chains.list_waiting(tx, reached, _STEP)
            stuck = chains.list_stuck(tx, [each.key for each in waiting])
        if not waiting:
            return
        yield _release(registrar, stuck, now) if stuck else 0
        reached = waiting[-1]


def _release(registrar: Registrar, stuck: Sequence[int], now: datetime) -> int:
    with registrar.database.transaction() as tx:
        released = chains.release_successors(tx, stuck, now)
        tx.wake_dispatcher()
    if released:
        _log.warning("deliveries.stuck", deliveries=released, first_key=stuck[0])
    return released


def recover_lost_leases(
    registrar: Registrar, suspects: Collection[str], now: datetime, *, own_run: str | None
) -> frozenset[str]:
    """Make due what dispatchers had claimed that have died; the run ids to suspect next time.

    One is believed dead when it was not connected the last time either: one that only lost its
    connection is back by then. Were it alive all the same, its deliveries would be sent twice,
    with the same `webhook-id`. The caller's `own_run` lives, connected or not. On SQLite the next
    dispatcher recovers everything at its start.
    """
    if not registrar.database.is_postgres:
        return frozenset()
    with registrar.database.snapshot() as tx:
        holders = claims.list_lease_holders(tx, LEASE_SECONDS, now)
        missing = frozenset(holders - list_connected_runs(tx) - {own_run})
    dead = missing.intersection(suspects)
    if dead:
        with registrar.database.transaction() as tx:
            recovered = claims.recover_leases_of(tx, dead, LEASE_SECONDS, now)
            tx.wake_dispatcher()
        _log.warning("dispatcher.lost", runs=sorted(dead), deliveries=recovered)
    return missing - dead


def forget_history(registrar: Registrar, before: datetime) -> Iterator[int]:
    """Drop bytes and attempts of events from `before` whose every delivery is settled.

    One small transaction per step; yields the key it has come to, so the caller can rest or stop.
    """
    reached = 0
    while True:
        with registrar.database.transaction() as tx:
            step = deliveries.forget_history(tx, before, reached, _STEP)
        if step is None:
            return
        reached = step
        yield reached
