"""What an operator wants to know about an installation: `coursebell doctor` asks."""

from __future__ import annotations

from datetime import datetime

from coursebell.services.dispatching import LEASE_SECONDS
from coursebell.services.registrar import Registrar
from coursebell.storage import claims, durability


def clock_skew_seconds(registrar: Registrar, now: datetime) -> float:
    """How far the database's clock is ahead of ours; 0 on SQLite, which has none."""
    with registrar.database.snapshot() as tx:
        return (tx.read_clock(now) - now).total_seconds()


def list_lax_settings(registrar: Registrar) -> list[str]:
    """The database's settings that are off although a crash then loses what was committed."""
    with registrar.database.snapshot() as tx:
        return durability.list_lax_settings(tx)


def overdue_seconds(registrar: Registrar, now: datetime) -> float:
    """How long a delivery has been due that nobody took; 0 when a dispatcher keeps up."""
    with registrar.database.snapshot() as tx:
        return claims.overdue_seconds(tx, LEASE_SECONDS, now)
