"""What Zaps do: subscribe to events, make users, register them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from coursebell.domain.events import EventName
from coursebell.domain.model import Actor, Offering, Registration, Role, User, Webhook, WebhookKind
from coursebell.errors import CoursebellError, InvalidInputError, NotFoundError
from coursebell.services import enrolment, webhooks
from coursebell.services.enrolment import Enrolment
from coursebell.services.registrar import Registrar
from coursebell.services.webhooks import NewWebhook, remove_webhook
from coursebell.storage import offerings, people
from coursebell.storage import webhooks as stored_webhooks


class Trigger(StrEnum):
    """The events that the vendor lets Zaps be triggered by; the others are for webhooks."""

    USER_CREATED = EventName.USER_CREATED.value
    OFFERING_REGISTERED = EventName.OFFERING_REGISTERED.value
    OFFERING_COMPLETED = EventName.OFFERING_COMPLETED.value
    ELEMENT_COMPLETED = EventName.ELEMENT_COMPLETED.value

    @property
    def event(self) -> EventName:
        return EventName(self.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """A user whom a Zap registered, and for what."""

    registration: Registration
    user: User
    offering: Offering


def subscribe(
    registrar: Registrar,
    actor: Actor,
    trigger: Trigger,
    hook_url: str,
    filters: Mapping[str, object],
    now: datetime,
) -> Webhook:
    """Tell a Zap from now on. Two Zaps with one address are two subscriptions."""
    new = NewWebhook(
        url=hook_url,
        events=(trigger.event,),
        name=f"Zapier: {trigger}",
        filters=filters,
        kind=WebhookKind.ZAPIER,
    )
    return webhooks.create_webhook(registrar, actor, new, now).webhook


def unsubscribe(
    registrar: Registrar, actor: Actor, trigger: Trigger, webhook_id: str, now: datetime
) -> None:
    """Delete a subscription. Raises `NotFoundError`, also for every other webhook."""
    actor.require(Role.ADMIN)
    with registrar.database.transaction() as tx:
        webhook = stored_webhooks.find_webhook(
            tx, actor.organization_id, webhook_id, for_update=True
        )
        is_subscription = webhook is not None and webhook.kind is WebhookKind.ZAPIER
        if webhook is None or not is_subscription or trigger.event not in webhook.events:
            raise NotFoundError
        remove_webhook(tx, actor, webhook, now)


def list_open_offerings(
    registrar: Registrar, actor: Actor, now: datetime
) -> Sequence[offerings.Named]:
    """Offerings that are open for registration now, in the order in which they were created."""
    with registrar.database.snapshot() as tx:
        return offerings.list_open(tx, actor.organization_id, now)


def register_student(
    registrar: Registrar, actor: Actor, email: str, offering_id: str, now: datetime
) -> Registered:
    """Register the user with this e-mail address. Raises what `enrolment.register` answers."""
    actor.require(Role.INSTRUCTOR)
    with registrar.database.snapshot() as tx:
        user = people.find_user_by_email(tx, actor.organization_id, email)
        offering = offerings.find_offering(tx, actor.organization_id, offering_id)
    unknown = {}
    if user is None:
        unknown["email"] = "No user has this e-mail address."
    if offering is None:
        unknown["offeringId"] = "No offering exists with this id."
    if user is None or offering is None:
        raise InvalidInputError(field_errors=unknown)
    wanted = Enrolment(actor=actor, user_id=user.id, offering_id=offering.id)
    (result,) = enrolment.register(registrar, actor.organization_id, [wanted], now)
    if isinstance(result, CoursebellError):
        raise result
    return Registered(registration=result, user=user, offering=offering)
