"""What an operator wants to know about an installation: `coursebell doctor` asks."""

from __future__ import annotations

from datetime import datetime

from coursebell.errors import SealError
from coursebell.services.registrar import Registrar
from coursebell.storage import claims, webhooks


def clock_skew_seconds(registrar: Registrar, now: datetime) -> float:
    """How far the database's clock is ahead of ours; 0 on SQLite, which has none."""
    with registrar.database.snapshot() as tx:
        return (tx.read_clock(now) - now).total_seconds()


def list_unreadable_webhooks(registrar: Registrar) -> list[str]:
    """Ids of webhooks whose secret no key opens: nothing can be signed for them."""
    with registrar.database.snapshot() as tx:
        sealed = webhooks.list_sealed_secrets(tx)
    return [webhook_id for webhook_id, secret in sealed if not _opens(registrar, secret)]


def overdue_seconds(registrar: Registrar, now: datetime) -> float:
    """How long a delivery has been due that nobody took; 0 when a dispatcher keeps up."""
    with registrar.database.snapshot() as tx:
        return claims.overdue_seconds(tx, now)


def _opens(registrar: Registrar, secret: bytes) -> bool:
    try:
        registrar.database.seal.open(secret)
    except SealError:
        return False
    return True
