"""The dispatcher's transactions: claiming deliveries, recording attempts, giving back."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from coursebell.domain.model import Actor, ActorKind, Role, Webhook, WebhookKind, WebhookStatus
from coursebell.logs import logger
from coursebell.services.registrar import Registrar
from coursebell.services.webhooks import remove_webhook
from coursebell.storage import audit, claims, webhooks
from coursebell.storage.audit import Change
from coursebell.storage.claims import Claimed, Recorded, Recording
from coursebell.storage.database import Transaction
from coursebell.storage.webhooks import Target

_log = logger(__name__)

CLAIM = 500  # deliveries in one claim
LEASE_SECONDS = 75.0  # longer than any wait in hand followed by the longest attempt


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What a claim brought, and what it left."""

    claimed: Sequence[Claimed]
    full: frozenset[str]  # webhooks of which there may be more due than was taken
    seconds_until_due: float | None  # of the other webhooks; None: nothing else is pending


def claim(
    registrar: Registrar,
    in_hand: Mapping[str, int],
    depth: int,
    lease: str,
    lease_seconds: float,
    now: datetime,
    *,
    besides: Collection[str] = (),
) -> Batch:
    """Claim due deliveries of active webhooks, so that none has more than `depth` in hand.

    Fair across webhooks: each gets its share of a claim, however much another has pending.
    Nothing is claimed for those in `besides`.
    """
    with registrar.database.snapshot() as tx:
        due = [each for each in claims.list_webhooks_with_work(tx, now) if each not in besides]
    rooms = _share({each: room for each in due if (room := depth - in_hand.get(each, 0)) > 0})
    claimed: Sequence[Claimed] = []
    if rooms:
        with registrar.database.transaction() as tx:
            claimed = claims.claim(tx, rooms, lease, lease_seconds, now)
    taken = Counter(each.webhook_id for each in claimed)
    full = frozenset(each for each in due if taken[each] >= rooms.get(each, 0))
    with registrar.database.snapshot() as tx:
        wait = claims.seconds_until_due(tx, now, besides=full.union(besides))
    return Batch(claimed=claimed, full=full, seconds_until_due=wait)


def _share(rooms: Mapping[str, int]) -> dict[str, int]:
    """What each webhook gets of one claim; where they are too many, chance decides which do."""
    chosen = list(rooms) if len(rooms) <= CLAIM else random.sample(list(rooms), CLAIM)
    share = CLAIM // max(1, len(chosen))
    return {each: min(share, rooms[each]) for each in chosen}


def read_targets(registrar: Registrar, webhook_ids: Iterable[str]) -> Mapping[str, Target]:
    """Where and how to send, of those webhooks that are still active."""
    with registrar.database.snapshot() as tx:
        return webhooks.list_targets(tx, webhook_ids)


def record(
    registrar: Registrar,
    results: Sequence[Recorded],
    gone: Mapping[str, Target],
    now: datetime,
) -> Recording:
    """Record attempts, and disable the webhooks in `gone` (by id) that said 410.

    A Zapier subscription is deleted instead: that is how Zapier says that nobody listens. One
    that points elsewhere by now stays: it was not that receiver who said so.
    """

    def work(tx: Transaction) -> tuple[Recording, list[Webhook]]:
        recorded = claims.record(tx, results, now)
        told = [_still_active(tx, target) for target in gone.values()]
        closed = [webhook for webhook in told if webhook is not None]
        for webhook in closed:
            _close(tx, webhook, now)
        return recorded, closed

    recorded, closed = registrar.database.run(work)
    for webhook in closed:
        _log_closed(webhook)
    return recorded


GONE = "the receiver answered 410 Gone"


def _still_active(tx: Transaction, target: Target) -> Webhook | None:
    """The webhook as it stands, if it is active and points where the 410 came from."""
    webhook = webhooks.find_webhook(tx, target.organization_id, target.webhook_id, for_update=True)
    if webhook is None or webhook.status is not WebhookStatus.ACTIVE or webhook.url != target.url:
        return None
    return webhook


def _close(tx: Transaction, webhook: Webhook, now: datetime) -> None:
    organization_id = webhook.organization_id
    actor = Actor(organization_id=organization_id, role=Role.ADMIN, kind=ActorKind.SCHEDULE)
    if webhook.kind is WebhookKind.ZAPIER:
        remove_webhook(tx, actor, webhook, now, reason=GONE)
        return
    webhooks.set_webhook_status(tx, organization_id, webhook.id, WebhookStatus.DISABLED, GONE)
    change = Change(
        actor=actor,
        action="webhook.disable",
        subject="webhook",
        subject_id=webhook.id,
        before={"status": webhook.status.value},
        after={"status": WebhookStatus.DISABLED.value},
        reason=GONE,
    )
    audit.insert_changes(tx, [change], now)


def _log_closed(webhook: Webhook) -> None:
    if webhook.kind is WebhookKind.ZAPIER:
        _log.info("webhook.unsubscribed", webhook_id=webhook.id, reason=GONE)
    else:
        _log.error("webhook.disabled", webhook_id=webhook.id, reason=GONE)


def give_back(registrar: Registrar, claimed: Mapping[int, str], now: datetime) -> None:
    """Claimed deliveries (key to lease) that were not attempted are due again at once."""

    def work(tx: Transaction) -> None:
        claims.release(tx, claimed, now)
        tx.wake_dispatcher()  # another may have what this one lacks: time, a key

    registrar.database.run(work)


def follow_clock(registrar: Registrar, step_seconds: float, now: datetime) -> None:
    """The machine's clock was set by so much: what waits goes on waiting as long as it had to.

    On PostgreSQL due times go by its server's clock, so only the log is told.
    """
    moved = 0
    if not registrar.database.is_postgres:
        with registrar.database.transaction() as tx:
            moved = claims.shift_due_times(tx, step_seconds, now)
    _log.warning("clock.stepped", seconds=round(step_seconds, 1), deliveries=moved)


def recover(registrar: Registrar, now: datetime) -> None:
    """Take over what a dispatcher that was killed had claimed, where there can be only one."""
    with registrar.database.transaction() as tx:
        claims.recover_leases(tx, now)
