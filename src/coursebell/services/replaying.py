"""Sending the past: again (replay), or to a webhook that was not there yet (backfill).

In small transactions, so that nobody waits for them long. Cut off, what was done stays: a backfill
is simply repeated, and adds only what is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from coursebell.domain.events import matches
from coursebell.domain.model import Actor, DeliveryKind, Role, Webhook
from coursebell.errors import InvalidInputError, NotFoundError
from coursebell.services.publishing import body_for
from coursebell.services.registrar import Registrar
from coursebell.storage import audit, chains, feed, history, outbox, registrations, webhooks
from coursebell.storage.audit import Change
from coursebell.storage.database import Transaction
from coursebell.storage.history import Past

__all__ = ["Past", "Sent", "backfill", "replay"]

_STEP = 500  # deliveries made in one transaction

Progress = Callable[[int], None]  # is told, now and then, how many deliveries were made


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What a replay or backfill has put on its way."""

    deliveries: int
    gone: int  # events whose content retention has removed


def replay(
    registrar: Registrar,
    actor: Actor,
    webhook_id: str,
    past: Past,
    now: datetime,
    progress: Progress = lambda _: None,
) -> Sent:
    """Send again what the webhook was told, or is owed; each event once, in order, marked `replay`.

    Raises `NotFoundError`, and `InvalidInputError` when the past is none.
    """
    actor.require(Role.ADMIN)
    _check(past, now)
    _found(registrar, actor, webhook_id)
    with registrar.database.snapshot() as tx:
        newest = history.find_newest(tx, webhook_id)  # what happens meanwhile is not the past
    sent, gone, after = 0, 0, 0
    while True:
        with registrar.database.snapshot() as tx:
            keys = history.list_told(tx, webhook_id, past, after=after, until=newest, limit=_STEP)
        if not keys:
            break
        after = keys[-1]
        made, without = registrar.database.run(
            lambda tx, keys=keys: _replay(tx, actor, webhook_id, keys, now)  # type: ignore[misc]
        )
        sent, gone = sent + made, gone + without
        progress(sent)
    _note(registrar, actor, "webhook.replay", webhook_id, sent, now)
    return Sent(deliveries=sent, gone=gone)


def _replay(
    tx: Transaction, actor: Actor, webhook_id: str, keys: Sequence[int], now: datetime
) -> tuple[int, int]:
    told = history.lock_told(tx, keys)
    new = [
        outbox.NewDelivery(
            event_key=each.event_key,
            webhook_id=webhook_id,
            registration_id=each.registration_id,
            kind=DeliveryKind.REPLAY,
            body=each.body,
        )
        for each in told
        if each.has_bytes
    ]
    outbox.insert_deliveries(tx, actor.organization_id, new, now)
    tx.wake_dispatcher()
    return len(new), len(told) - len(new)


def backfill(
    registrar: Registrar,
    actor: Actor,
    webhook_id: str,
    since: datetime,
    now: datetime,
    progress: Progress = lambda _: None,
) -> Sent:
    """Send events from `since` that the webhook wants and was never told, marked `backfill`.

    They keep their order, also with what is on its way. Doing it twice adds nothing. Raises
    `NotFoundError`, and `InvalidInputError` when `since` has not come.
    """
    actor.require(Role.ADMIN)
    _check(Past(since=since), now)
    webhook = _found(registrar, actor, webhook_id)
    with registrar.database.snapshot() as tx:
        head = feed.find_head(tx, actor.organization_id)
    sent, gone, after = 0, 0, 0
    while True:
        with registrar.database.snapshot() as tx:
            untold = history.list_untold(
                tx,
                actor.organization_id,
                webhook_id,
                webhook.events,
                since,
                after=after,
                until=head,
                limit=_STEP,
            )
        if not untold:
            break
        after = untold[-1].position
        concerned = {each.registration_id for each in untold if each.registration_id is not None}
        keys = [each.key for each in untold]
        made, without = registrar.database.run(
            lambda tx, keys=keys, concerned=concerned: _backfill(  # type: ignore[misc]
                tx, registrar, webhook, keys, concerned, now
            )
        )
        sent, gone = sent + made, gone + without
        progress(sent)
    _note(registrar, actor, "webhook.backfill", webhook_id, sent, now)
    return Sent(deliveries=sent, gone=gone)


def _backfill(
    tx: Transaction,
    registrar: Registrar,
    webhook: Webhook,
    keys: Sequence[int],
    registration_ids: set[str],
    now: datetime,
) -> tuple[int, int]:
    # nobody completes these, gives back what is open of them, or fills the same webhook, meanwhile
    registrations.lock_registrations(tx, webhook.organization_id, registration_ids)
    chains.lock_open_pairs(tx, registration_ids)
    webhooks.find_webhook(tx, webhook.organization_id, webhook.id, for_update=True)
    untold = history.lock_untold(tx, webhook.id, keys)
    new = [
        outbox.NewDelivery(
            event_key=each.key,
            webhook_id=webhook.id,
            registration_id=each.event.registration_id,
            kind=DeliveryKind.BACKFILL,
            body=body_for(each.event, webhook.payload, registrar.public_url),
        )
        for each in untold
        if each.event is not None and matches(each.event.document, webhook.filters)
    ]
    outbox.insert_deliveries(tx, webhook.organization_id, new, now)
    chains.hold_back(tx, webhook.id, registration_ids)
    tx.wake_dispatcher()
    return len(new), sum(each.event is None for each in untold)


def _check(past: Past, now: datetime) -> None:
    if past.since > now:
        raise InvalidInputError(field_errors={"since": "Must not lie in the future."})
    if past.until is not None and past.until <= past.since:
        raise InvalidInputError(field_errors={"until": "Must be later than since."})


def _found(registrar: Registrar, actor: Actor, webhook_id: str) -> Webhook:
    with registrar.database.snapshot() as tx:
        webhook = webhooks.find_webhook(tx, actor.organization_id, webhook_id)
    if webhook is None:
        raise NotFoundError
    return webhook


def _note(
    registrar: Registrar, actor: Actor, action: str, webhook_id: str, sent: int, now: datetime
) -> None:
    change = Change(
        actor=actor,
        action=action,
        subject="webhook",
        subject_id=webhook_id,
        after={"deliveries": sent},
    )
    with registrar.database.transaction() as tx:
        audit.insert_changes(tx, [change], now)
