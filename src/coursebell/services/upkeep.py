"""What keeps the books in order without anybody asking: strays and retention."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime

from coursebell.domain.model import WebhookStatus
from coursebell.logs import logger
from coursebell.services.dispatching import LEASE_SECONDS
from coursebell.services.registrar import Registrar
from coursebell.storage import deliveries
from coursebell.storage.waking import list_connected_runs

_log = logger(__name__)

_STEP = 500  # events looked at in one transaction


def settle_strays(registrar: Registrar, now: datetime) -> int:
    """Give open deliveries the state their webhook calls for; how many webhooks had any.

    A completion that commits while a webhook is paused, resumed or deleted may leave a delivery
    in the state of the moment before.
    """
    with registrar.database.snapshot() as tx:
        strays = deliveries.list_strays(tx)
    for stray in strays:
        with registrar.database.transaction() as tx:
            if stray.status is None:
                deliveries.cancel_open(tx, stray.webhook_id, now)
            elif stray.status is WebhookStatus.ACTIVE:
                deliveries.release_held(tx, stray.webhook_id, now)
                tx.wake_dispatcher()
            else:
                deliveries.hold_pending(tx, stray.webhook_id)
    return len(strays)


def recover_lost_leases(
    registrar: Registrar, suspects: Collection[str], now: datetime
) -> frozenset[str]:
    """Make due what dispatchers had claimed that have died; the run ids to suspect next time.

    One is believed dead when it was not connected the last time either: one that only lost its
    connection is back by then. Were it alive all the same, its deliveries would be sent twice,
    with the same `webhook-id`. On SQLite the next dispatcher recovers everything at its start.
    """
    if not registrar.database.is_postgres:
        return frozenset()
    with registrar.database.snapshot() as tx:
        holders = deliveries.list_lease_holders(tx, LEASE_SECONDS, now)
        missing = frozenset(holders - list_connected_runs(tx))
    dead = missing.intersection(suspects)
    if dead:
        with registrar.database.transaction() as tx:
            recovered = deliveries.recover_leases_of(tx, dead, LEASE_SECONDS, now)
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
