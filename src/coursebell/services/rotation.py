"""A new secret for a webhook, while the old one goes on signing for a time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from coursebell.domain.model import Actor, Role
from coursebell.errors import InvalidInputError, NotFoundError
from coursebell.services import releasing
from coursebell.services.registrar import Registrar
from coursebell.storage import audit, health, webhooks
from coursebell.storage.audit import Change
from coursebell_receiver.signature import generate_secret

DEFAULT_OVERLAP_SECONDS = 86_400
MAX_OVERLAP_SECONDS = 30 * 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotated:
    """A new secret, shown only now."""

    secret: str
    old_secret_until: datetime | None  # None: the old one signs no more


def rotate_secret(
    registrar: Registrar, actor: Actor, webhook_id: str, overlap_seconds: int, now: datetime
) -> Rotated:
    """Both secrets sign, the new one first, until the overlap is over.

    A secret that was itself being replaced signs no more: two are the most there are. Nor does one
    that no key opens. Raises `NotFoundError`, `InvalidInputError`.
    """
    actor.require(Role.ADMIN)
    if not 0 <= overlap_seconds <= MAX_OVERLAP_SECONDS:
        rule = f"Must be from 0 to {MAX_OVERLAP_SECONDS}."
        raise InvalidInputError(field_errors={"overlapSeconds": rule})
    secret, seal = generate_secret(), registrar.database.seal
    change = Change(
        actor=actor,
        action="webhook.rotate",
        subject="webhook",
        subject_id=webhook_id,
        after={"overlap_seconds": overlap_seconds},
    )
    with registrar.database.transaction() as tx:
        organization_id = actor.organization_id
        before = webhooks.find_webhook(tx, organization_id, webhook_id, for_update=True)
        if before is None:
            raise NotFoundError
        until = None
        if overlap_seconds and webhooks.can_open_secret(tx, organization_id, webhook_id, seal):
            until = now + timedelta(seconds=overlap_seconds)
        webhooks.replace_secret(tx, organization_id, webhook_id, secret, seal, old_until=until)
        health.reset_health(tx, webhook_id)
        audit.insert_changes(tx, [change], now)
        tx.wake_dispatcher()  # what it has in hand is signed anew
    if before.backed_off_until is not None:
        releasing.hurry(registrar, webhook_id, now)
    return Rotated(secret=secret, old_secret_until=until)
