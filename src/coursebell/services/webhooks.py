"""Webhooks: connecting receivers, changing, pausing, testing and removing them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from coursebell.domain import retry, samples
from coursebell.domain.changes import UNSET, Unset, changed, named
from coursebell.domain.events import EventName
from coursebell.domain.filters import check_filters
from coursebell.domain.lists import Page, Slice
from coursebell.domain.model import (
    Actor,
    DeliveryKind,
    Method,
    Payload,
    Role,
    Webhook,
    WebhookKind,
    WebhookStatus,
    new_id,
)
from coursebell.domain.targets import check_headers, check_url
from coursebell.errors import ConflictError, InvalidInputError, NotFoundError
from coursebell.services import releasing, trail
from coursebell.services.publishing import body_for
from coursebell.services.registrar import Registrar
from coursebell.storage import audit, health, outbox, webhooks
from coursebell.storage.database import Transaction
from coursebell_receiver.signature import generate_secret

DEFAULT_TIMEOUT_SECONDS = 5
DEFAULT_MAX_IN_FLIGHT = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class NewWebhook:
    url: str
    events: tuple[str, ...]
    name: str | None = None  # None: the URL
    method: Method = Method.POST
    filters: Mapping[str, object] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    payload: Payload = Payload.FULL
    timeout_seconds: int = DEFAULT_TIMEOUT_SECONDS
    retry_schedule: tuple[int, ...] = retry.DEFAULT_SCHEDULE
    max_in_flight: int = DEFAULT_MAX_IN_FLIGHT
    rate_per_second: int | None = None
    kind: WebhookKind = WebhookKind.WEBHOOK


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookChanges:
    name: str | Unset = UNSET
    url: str | Unset = UNSET
    method: Method | Unset = UNSET
    events: tuple[str, ...] | Unset = UNSET
    filters: Mapping[str, object] | Unset = UNSET
    headers: Mapping[str, str] | Unset = UNSET
    payload: Payload | Unset = UNSET
    timeout_seconds: int | Unset = UNSET
    retry_schedule: tuple[int, ...] | Unset = UNSET
    max_in_flight: int | Unset = UNSET
    rate_per_second: int | Unset | None = UNSET


_REPAIRS = frozenset({"url", "method", "headers", "timeout_seconds"})  # how it is called


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectedWebhook:
    """A webhook just made: the only time its secret is shown."""

    webhook: Webhook
    secret: str


def create_webhook(
    registrar: Registrar, actor: Actor, new: NewWebhook, now: datetime
) -> ConnectedWebhook:
    """Connect a receiver. It gets what is committed from now on."""
    actor.require(Role.ADMIN)
    headers = check_headers(new.headers)
    webhook = Webhook(
        id=new_id(),
        organization_id=actor.organization_id,
        kind=new.kind,
        name=new.name or new.url,
        url=new.url,
        method=new.method,
        events=new.events,
        filters=new.filters,
        header_names=tuple(headers),
        payload=new.payload,
        timeout_seconds=new.timeout_seconds,
        retry_schedule=new.retry_schedule,
        max_in_flight=new.max_in_flight,
        rate_per_second=new.rate_per_second,
        status=WebhookStatus.ACTIVE,
        disabled_reason=None,
        created_at=now,
    )
    webhook = _checked(registrar, webhook)
    secret = generate_secret()
    with registrar.database.transaction() as tx:
        webhooks.insert_webhook(tx, webhook, headers, secret, registrar.database.seal)
        audit.insert_changes(tx, [trail.change(actor, "webhook.create", None, webhook)], now)
    return ConnectedWebhook(webhook=webhook, secret=secret)


def change_webhook(
    registrar: Registrar, actor: Actor, webhook_id: str, changes: WebhookChanges, now: datetime
) -> Webhook:
    """Change what is named. `headers` replaces all of them.

    One that has backed off is tried again at once when how it is called was changed.
    """
    actor.require(Role.ADMIN)
    values = dict(named(changes))
    headers: dict[str, str] | None = None
    if changes.headers is not UNSET:
        headers = check_headers(changes.headers)
        del values["headers"]
        values["header_names"] = tuple(headers)
    repairs = bool(_REPAIRS & named(changes).keys())
    if repairs:
        values |= {"consecutive_failures": 0, "failing_since": None, "backed_off_until": None}
    with registrar.database.transaction() as tx:
        before = _found(tx, actor, webhook_id)
        after = _checked(registrar, changed(before, values))
        webhooks.update_webhook(tx, after, headers, registrar.database.seal)
        if repairs:
            health.reset_health(tx, webhook_id)
        audit.insert_changes(tx, [trail.change(actor, "webhook.update", before, after)], now)
        tx.wake_dispatcher()  # what it has in hand follows the change at once
    if repairs and before.backed_off_until is not None:
        releasing.hurry(registrar, webhook_id, now)
    return after


def delete_webhook(registrar: Registrar, actor: Actor, webhook_id: str, now: datetime) -> None:
    """Its open deliveries are cancelled; its history stays."""
    actor.require(Role.ADMIN)
    with registrar.database.transaction() as tx:
        remove_webhook(tx, actor, _found(tx, actor, webhook_id), now)


def remove_webhook(
    tx: Transaction, actor: Actor, webhook: Webhook, now: datetime, *, reason: str | None = None
) -> None:
    """Delete it inside another use case's transaction; its open deliveries are cancelled."""
    webhooks.mark_webhook_deleted(tx, actor.organization_id, webhook.id, now)
    entry = trail.change(actor, "webhook.delete", webhook, None, reason=reason)
    audit.insert_changes(tx, [entry], now)
    tx.wake_dispatcher()


def pause_webhook(registrar: Registrar, actor: Actor, webhook_id: str, now: datetime) -> None:
    """Hold what it would get until it is resumed. Pausing a paused one changes nothing."""
    actor.require(Role.ADMIN)
    with registrar.database.transaction() as tx:
        webhook = _found(tx, actor, webhook_id)
        if webhook.status is WebhookStatus.DISABLED:
            raise ConflictError(f"The webhook is disabled: {webhook.disabled_reason}.")
        _set_status(tx, actor, webhook, WebhookStatus.PAUSED, now)
        tx.wake_dispatcher()


def resume_webhook(registrar: Registrar, actor: Actor, webhook_id: str, now: datetime) -> None:
    """Deliver again, first what was held. Resuming an active one changes nothing."""
    actor.require(Role.ADMIN)
    with registrar.database.transaction() as tx:
        webhook = _found(tx, actor, webhook_id)
        _set_status(tx, actor, webhook, WebhookStatus.ACTIVE, now)
        health.reset_health(tx, webhook_id)
        tx.wake_dispatcher()
    releasing.hurry(registrar, webhook_id, now)


def test_webhook(registrar: Registrar, actor: Actor, webhook_id: str, now: datetime) -> str:
    """Send a sample of its first event, marked `test`; the id of the delivery.

    A test is never held: on a paused or disabled webhook it raises `ConflictError`.
    """
    actor.require(Role.ADMIN)
    with registrar.database.transaction() as tx:
        webhook = deliverable_webhook(tx, actor, webhook_id)
        event = samples.sample_event(EventName(webhook.events[0]), new_id(), now)
        (key,) = outbox.insert_events(tx, actor.organization_id, [event], is_test=True)
        delivery = outbox.NewDelivery(
            event_key=key,
            webhook_id=webhook_id,
            registration_id=None,
            kind=DeliveryKind.TEST,
            body=body_for(event, webhook.payload, registrar.public_url),
        )
        (delivery_id,) = outbox.insert_deliveries(tx, actor.organization_id, [delivery], now)
        change = audit.Change(
            actor=actor,
            action="webhook.test",
            subject="webhook",
            subject_id=webhook_id,
            after={"delivery_id": delivery_id},
        )
        audit.insert_changes(tx, [change], now)
        tx.wake_dispatcher()
    return delivery_id


def get_webhook(registrar: Registrar, actor: Actor, webhook_id: str) -> Webhook:
    actor.require(Role.ADMIN)
    with registrar.database.snapshot() as tx:
        webhook = webhooks.find_webhook(tx, actor.organization_id, webhook_id, counted=True)
    if webhook is None:
        raise NotFoundError
    return webhook


def list_webhooks(registrar: Registrar, actor: Actor, page: Page) -> Slice[Webhook]:
    actor.require(Role.ADMIN)
    with registrar.database.snapshot() as tx:
        return webhooks.list_webhooks(tx, actor.organization_id, page)


def _checked(registrar: Registrar, webhook: Webhook) -> Webhook:
    """With its URL as libcurl will get it. Raises `InvalidInputError`."""
    url = check_url(webhook.url, registrar.address_rules)
    _check_events(webhook.events)
    check_filters(webhook.filters)
    if webhook.payload is Payload.THIN and registrar.public_url is None:
        rule = "thin needs COURSEBELL_PUBLIC_URL, which is not set."
        raise InvalidInputError(field_errors={"payload": rule})
    return changed(webhook, {"url": url, "events": tuple(dict.fromkeys(webhook.events))})


def _check_events(names: tuple[str, ...]) -> None:
    if not names:
        raise InvalidInputError(field_errors={"events": "Must name at least one event."})
    known = {name.value for name in EventName}
    unknown = [name for name in names if name not in known]
    if unknown:
        rule = f"Unknown: {', '.join(unknown)}. Known are {', '.join(sorted(known))}."
        raise InvalidInputError(field_errors={"events": rule})


def _set_status(
    tx: Transaction, actor: Actor, before: Webhook, status: WebhookStatus, now: datetime
) -> None:
    after = changed(before, {"status": status, "disabled_reason": None})
    if after == before:
        return
    webhooks.set_webhook_status(tx, actor.organization_id, before.id, status, None)
    action = "webhook.pause" if status is WebhookStatus.PAUSED else "webhook.resume"
    audit.insert_changes(tx, [trail.change(actor, action, before, after)], now)


def _found(tx: Transaction, actor: Actor, webhook_id: str) -> Webhook:
    webhook = webhooks.find_webhook(tx, actor.organization_id, webhook_id, for_update=True)
    if webhook is None:
        raise NotFoundError
    return webhook


def deliverable_webhook(tx: Transaction, actor: Actor, webhook_id: str) -> Webhook:
    """The webhook, if something can be sent to it now; else `ConflictError`."""
    webhook = _found(tx, actor, webhook_id)
    if webhook.status is WebhookStatus.PAUSED:
        raise ConflictError("The webhook is paused; resume it first.")
    if webhook.status is WebhookStatus.DISABLED:
        raise ConflictError(f"The webhook is disabled: {webhook.disabled_reason}.")
    return webhook
