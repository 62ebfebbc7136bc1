"""What attempts mean for their webhooks: backing off, recovering, being disabled."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from coursebell.domain import health
from coursebell.domain.health import Attempted, Health
from coursebell.domain.model import (
    Actor,
    ActorKind,
    DeliveryStatus,
    Role,
    Webhook,
    WebhookKind,
    WebhookStatus,
)
from coursebell.logs import logger
from coursebell.services.webhooks import remove_webhook
from coursebell.storage import audit, webhooks
from coursebell.storage import health as stored_health
from coursebell.storage.audit import Change
from coursebell.storage.claims import Owned, Recorded
from coursebell.storage.database import Transaction
from coursebell.storage.webhooks import Target

_log = logger(__name__)

GONE = "the receiver answered 410 Gone"
HOPELESS = "nothing was received for 72 hours; repair the receiver, then resume the webhook"


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """How the health of a webhook went on in a batch of attempts."""

    webhook_id: str
    before: Health
    after: Health
    moment: datetime

    @property
    def has_recovered(self) -> bool:
        return self.before.is_backed_off and not self.after.is_backed_off

    @property
    def has_backed_off(self) -> bool:
        return self.after.is_backed_off and not self.before.is_backed_off

    @property
    def seconds_until_probe(self) -> float:
        """0 while it is not backed off."""
        probe_at = self.after.probe_at
        return 0.0 if probe_at is None else (probe_at - self.moment).total_seconds()

    @property
    def is_hopeless(self) -> bool:
        return self.after.is_hopeless(self.moment)


def judge(
    tx: Transaction, results: Sequence[Recorded], owned: Mapping[int, Owned], now: datetime
) -> dict[str, Course]:
    """Write down how the webhooks of these results fare, by id; those that are well are missing.

    Of webhooks that were and stay healthy nothing is written.
    """
    attempts: dict[str, list[Attempted]] = {}
    for result in results:
        attempts.setdefault(owned[result.key].webhook_id, []).append(_attempted(result))
    failing = {each for each, made in attempts.items() if not all(one.delivered for one in made)}
    failing |= stored_health.list_failing(tx, attempts.keys() - failing)
    if not failing:
        return {}
    moment = tx.read_clock(now)
    courses = {
        each: Course(
            webhook_id=each,
            before=before,
            after=health.after(before, attempts[each], moment),
            moment=moment,
        )
        for each, before in stored_health.lock_health(tx, failing).items()
    }
    for each, course in courses.items():
        stored_health.write_health(tx, each, course.after)
    return courses


def _attempted(result: Recorded) -> Attempted:
    return Attempted(
        delivered=result.status is DeliveryStatus.DELIVERED,
        is_probe=result.is_probe,
        asked_seconds=result.asked_seconds,
    )


def spare(result: Recorded, owner: Owned, course: Course | None) -> Recorded:
    """The result; but nothing fails, or is put off, for a receiver that is dead or held.

    What a person asked for is sent to a dead one too, so it then waits until the next probe.
    """
    is_dead = course is not None and course.after.is_backed_off
    if result.status is DeliveryStatus.DELIVERED or (owner.webhook_is_active and not is_dead):
        return result
    delay = result.asked_seconds
    if course is not None and owner.kind.is_asked_for:
        delay = max(delay, course.seconds_until_probe)
    return replace(result, status=DeliveryStatus.PENDING, delay_seconds=delay)


def close_gone(tx: Transaction, targets: Iterable[Target], now: datetime) -> list[Webhook]:
    """Disable the webhooks whose receivers said 410; those that were.

    A Zapier subscription is deleted instead: that is how Zapier says that nobody listens. One
    that points elsewhere by now stays: it was not that receiver who said so.
    """
    closed = []
    for target in targets:
        webhook = _active(tx, target.organization_id, target.webhook_id)
        if webhook is not None and webhook.url == target.url:
            _close(tx, webhook, now)
            closed.append(webhook)
    return closed


def disable_hopeless(tx: Transaction, courses: Iterable[Course], now: datetime) -> list[Webhook]:
    """Disable the webhooks that nothing has arrived at for too long; those that were."""
    disabled = []
    for course in courses:
        if course.is_hopeless:
            organization_id = webhooks.organization_of(tx, course.webhook_id)
            webhook = _active(tx, organization_id, course.webhook_id)
            if webhook is not None:
                _disable(tx, webhook, HOPELESS, now)
                disabled.append(webhook)
    return disabled


def _active(tx: Transaction, organization_id: str, webhook_id: str) -> Webhook | None:
    webhook = webhooks.find_webhook(tx, organization_id, webhook_id, for_update=True)
    return webhook if webhook is not None and webhook.status is WebhookStatus.ACTIVE else None


def _close(tx: Transaction, webhook: Webhook, now: datetime) -> None:
    if webhook.kind is WebhookKind.ZAPIER:
        remove_webhook(tx, _schedule_of(webhook), webhook, now, reason=GONE)
    else:
        _disable(tx, webhook, GONE, now)


def _disable(tx: Transaction, webhook: Webhook, reason: str, now: datetime) -> None:
    status = WebhookStatus.DISABLED
    webhooks.set_webhook_status(tx, webhook.organization_id, webhook.id, status, reason)
    change = Change(
        actor=_schedule_of(webhook),
        action="webhook.disable",
        subject="webhook",
        subject_id=webhook.id,
        before={"status": webhook.status.value},
        after={"status": status.value},
        reason=reason,
    )
    audit.insert_changes(tx, [change], now)


def _schedule_of(webhook: Webhook) -> Actor:
    return Actor(organization_id=webhook.organization_id, role=Role.ADMIN, kind=ActorKind.SCHEDULE)


def log_closed(webhook: Webhook) -> None:
    if webhook.kind is WebhookKind.ZAPIER:
        _log.info("webhook.unsubscribed", webhook_id=webhook.id, reason=GONE)
    else:
        _log.error("webhook.disabled", webhook_id=webhook.id, reason=GONE)


def log_hopeless(webhook: Webhook) -> None:
    _log.error("webhook.disabled", webhook_id=webhook.id, reason=HOPELESS)


def log_course(course: Course) -> None:
    """Say when a webhook backs off or has recovered; nothing of single failures."""
    if course.has_backed_off:
        _log.warning(
            "webhook.backed_off",
            webhook_id=course.webhook_id,
            failures=course.after.failures,
            failing_since=course.after.failing_since,
            probe_at=course.after.probe_at,
        )
    if course.has_recovered:
        _log.info(
            "webhook.recovered",
            webhook_id=course.webhook_id,
            failures=course.before.failures,
            failing_since=course.before.failing_since,
        )
