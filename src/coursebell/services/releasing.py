"""Letting go what has been waiting for a webhook."""

from __future__ import annotations

from datetime import datetime

from coursebell.services.registrar import Registrar
from coursebell.storage import claims
from coursebell.storage.database import Transaction

_HURRY = 1_000  # deliveries made due in one transaction


def hurry(registrar: Registrar, webhook_id: str, now: datetime) -> None:
    """Make due what waits for its next attempt, in the order in which it happened.

    In small transactions, so that nobody waits for it long; cut off, the rest comes when it is due.
    """

    def step(tx: Transaction) -> int:
        hurried = claims.hurry(tx, webhook_id, _HURRY, now)
        if hurried:
            tx.wake_dispatcher()
        return hurried

    while registrar.database.run(step) == _HURRY:
        pass
