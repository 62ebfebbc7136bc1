"""Events and deliveries as people see them, and sending one again."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from coursebell.domain.lists import DeliveryFilters, EventFilters, Page, Slice
from coursebell.domain.model import (
    Actor,
    Attempt,
    Delivery,
    DeliveryKind,
    Event,
    Role,
)
from coursebell.errors import ConflictError, NotFoundError
from coursebell.services.dispatching import LEASE_SECONDS
from coursebell.services.headers import (
    MASK,
    Headers,
    attempt_headers,
    delivery_headers,
    masked_headers,
    webhook_headers,
)
from coursebell.services.registrar import Registrar
from coursebell.services.webhooks import deliverable_webhook
from coursebell.storage import audit, claims, deliveries, outbox, webhooks
from coursebell.storage.audit import Change
from coursebell.storage.database import Transaction
from coursebell.storage.deliveries import Backlog


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryWithAttempts:
    delivery: Delivery
    attempts: list[Attempt]  # newest first
    headers: Headers  # of its requests, without those of an attempt; custom ones are masked

    def request_headers(self, attempt: Attempt) -> Headers:
        """What an attempt sent or would have: rebuilt, with the custom headers of today."""
        timestamp = int(attempt.started_at.timestamp())
        return (*self.headers, *attempt_headers(timestamp, f"v1,{MASK}"))


def get_event(registrar: Registrar, actor: Actor, event_id: str) -> Event:
    actor.require(Role.ADMIN)
    with registrar.database.snapshot() as tx:
        found = outbox.find_event(tx, actor.organization_id, event_id)
    if found is None:
        raise NotFoundError
    return found


def list_events(
    registrar: Registrar, actor: Actor, filters: EventFilters, page: Page
) -> Slice[Event]:
    """Newest first."""
    actor.require(Role.ADMIN)
    with registrar.database.snapshot() as tx:
        return outbox.list_events(tx, actor.organization_id, filters, page)


def get_delivery(registrar: Registrar, actor: Actor, delivery_id: str) -> DeliveryWithAttempts:
    actor.require(Role.ADMIN)
    with registrar.database.snapshot() as tx:
        delivery = deliveries.find_delivery(tx, actor.organization_id, delivery_id)
        if delivery is None:
            raise NotFoundError
        found = deliveries.list_attempts(tx, actor.organization_id, delivery_id)
        headers = _headers(tx, registrar, actor, delivery)
    return DeliveryWithAttempts(delivery=delivery, attempts=found, headers=headers)


def _headers(tx: Transaction, registrar: Registrar, actor: Actor, delivery: Delivery) -> Headers:
    event = outbox.event_of(tx, delivery.id)
    return (
        *webhook_headers(actor.organization_id, registrar.public_url),
        *masked_headers(webhooks.list_header_names(tx, delivery.webhook_id)),
        *delivery_headers(
            event_id=event.id,
            event=event.name,
            occurred_at=event.occurred_at,
            kind=delivery.kind,
            registration_id=event.registration_id,
            registration_seq=event.registration_seq,
            element_id=event.element_id,
            user_id=event.user_id,
        ),
    )


def list_deliveries(
    registrar: Registrar, actor: Actor, webhook_id: str, filters: DeliveryFilters, page: Page
) -> Slice[Delivery]:
    """Of one webhook, newest first. Raises `NotFoundError` for an unknown webhook."""
    actor.require(Role.ADMIN)
    with registrar.database.snapshot() as tx:
        if webhooks.find_webhook(tx, actor.organization_id, webhook_id) is None:
            raise NotFoundError
        return deliveries.list_deliveries(tx, actor.organization_id, webhook_id, filters, page)


def resend(registrar: Registrar, actor: Actor, delivery_id: str, now: datetime) -> str:
    """Send the same event to the same webhook once more, now; the id of the new delivery.

    Raises `ConflictError` when the webhook cannot be delivered to, or the bytes are gone.
    """
    actor.require(Role.ADMIN)
    with registrar.database.transaction() as tx:
        found = deliveries.find_resendable(tx, actor.organization_id, delivery_id)
        if found is None:
            raise NotFoundError
        deliverable_webhook(tx, actor, found.webhook_id)
        if not found.has_bytes:
            raise ConflictError("The event's content was removed by retention.")
        again = outbox.NewDelivery(
            event_key=found.event_key,
            webhook_id=found.webhook_id,
            registration_id=found.registration_id,
            kind=DeliveryKind.RESEND,
            body=found.body,
        )
        (new_delivery_id,) = outbox.insert_deliveries(tx, actor.organization_id, [again], now)
        change = Change(
            actor=actor,
            action="delivery.resend",
            subject="delivery",
            subject_id=delivery_id,
            after={"delivery_id": new_delivery_id},
        )
        audit.insert_changes(tx, [change], now)
        tx.wake_dispatcher()
    return new_delivery_id


def measure_backlog(registrar: Registrar, now: datetime) -> Backlog:
    """How the deliveries of the whole installation stand, for its operator."""
    with registrar.database.snapshot() as tx:
        backlog = deliveries.measure_backlog(tx, now)
        return replace(backlog, overdue_seconds=claims.overdue_seconds(tx, LEASE_SECONDS, now))
