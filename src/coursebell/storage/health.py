"""The health of webhooks: columns of their rows that only unhealthy ones ever write."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import BigInteger, Row, select, type_coerce, update

from coursebell.domain.health import HEALTHY, Health
from coursebell.storage.columns import Instant
from coursebell.storage.database import Transaction
from coursebell.storage.prepared import Prepared, among
from coursebell.storage.tables import webhooks


def list_failing(tx: Transaction, webhook_ids: Collection[str]) -> set[str]:
    """Those whose last attempt failed."""
    return {row.id for row in _FAILING.rows(tx, ids=webhook_ids)}


_FAILING = Prepared(
    select(webhooks.c.id).where(among(webhooks.c.id, "ids"), webhooks.c.failures > 0)
)


def lock_health(tx: Transaction, webhook_ids: Collection[str]) -> dict[str, Health]:
    query = (
        select(
            webhooks.c.id,
            webhooks.c.failures,
            webhooks.c.failing_since,
            webhooks.c.probe_at,
            webhooks.c.probes,
        )
        .where(webhooks.c.id.in_(webhook_ids))
        .order_by(webhooks.c.key)
        .with_for_update(key_share=True)
    )
    return {row.id: read_health(row) for row in tx.execute(query)}


def write_health(tx: Transaction, webhook_id: str, health: Health) -> None:
    tx.execute(update(webhooks).where(webhooks.c.id == webhook_id).values(health_columns(health)))


def reset_health(tx: Transaction, webhook_id: str) -> None:
    """Give a webhook another chance: somebody has repaired something."""
    write_health(tx, webhook_id, HEALTHY)


def shift_health(tx: Transaction, seconds: float) -> None:
    """After SQLite's clock was set by `seconds`: probes and failures stay as far away."""
    step = round(seconds * 1_000_000)
    shifted = {
        column: type_coerce(type_coerce(webhooks.c[column], BigInteger()) + step, Instant())
        for column in ("failing_since", "probe_at")
    }
    tx.execute(update(webhooks).where(webhooks.c.failures > 0).values(shifted))


def health_columns(health: Health) -> dict[str, Any]:
    return {
        "failures": health.failures,
        "failing_since": health.failing_since,
        "probe_at": health.probe_at,
        "probes": health.probes,
    }


def read_health(row: Row[Any]) -> Health:
    return Health(
        failures=row.failures,
        failing_since=row.failing_since,
        probe_at=row.probe_at,
        probes=row.probes,
    )
