"""Events on their way out: stored, and one delivery for each webhook that wants them.

Runs inside the transaction of the use case that made the events, so that there is never a change
without its event, nor an event without its change.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from coursebell.domain.events import NewEvent, encode, in_profile, matches
from coursebell.domain.model import DeliveryKind, Payload, WebhookStatus
from coursebell.services.registrar import Registrar
from coursebell.storage import chains, outbox, webhooks
from coursebell.storage.database import Transaction
from coursebell.storage.webhooks import Subscription


def publish(
    tx: Transaction,
    registrar: Registrar,
    organization_id: str,
    events: Sequence[NewEvent],
    now: datetime,
    *,
    is_told: bool = True,
) -> None:
    """Store `events` and what they owe to webhooks, and wake the dispatcher when this commits.

    With `is_told` False they are stored alone: an import tells nobody, and a backfill can later.
    The last thing that a use case does: from here to the commit, others of the organization that
    publish have to wait (see `outbox.take_positions`).
    """
    if not events:
        return
    subscriptions = webhooks.list_subscriptions(tx, organization_id) if is_told else []
    open_pairs = chains.lock_open_pairs(tx, _with_a_past(events)) if subscriptions else set()
    keys = outbox.insert_events(tx, organization_id, events)
    owed = [
        _delivery(key, event, subscription, registrar.public_url)
        for key, event in zip(keys, events, strict=True)
        for subscription in subscriptions
        if event.name in subscription.events and matches(event.document, subscription.filters)
    ]
    outbox.insert_deliveries(tx, organization_id, owed, now, open_pairs=open_pairs)
    active = {each.webhook_id for each in subscriptions if each.status is WebhookStatus.ACTIVE}
    if any(delivery.webhook_id in active for delivery in owed):
        tx.wake_dispatcher()


def _with_a_past(events: Sequence[NewEvent]) -> set[str]:
    """Ids of the registrations of which these are not the first events."""
    return {
        event.registration_id
        for event in events
        if event.registration_id is not None and (event.registration_seq or 0) > 1
    }


def body_for(event: NewEvent, payload: Payload, public_url: str | None) -> bytes | None:
    """The bytes of a reduced profile; None for the full one, which the event itself has."""
    if payload is Payload.FULL:
        return None
    return encode(in_profile(event, payload, public_url))


def _delivery(
    event_key: int, event: NewEvent, subscription: Subscription, public_url: str | None
) -> outbox.NewDelivery:
    return outbox.NewDelivery(
        event_key=event_key,
        webhook_id=subscription.webhook_id,
        registration_id=event.registration_id,
        kind=DeliveryKind.LIVE,
        body=body_for(event, subscription.payload, public_url),
    )
