"""The dispatcher's transactions: claiming deliveries, recording attempts, giving back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from coursebell.domain.model import Actor, ActorKind, Role, WebhookStatus
from coursebell.logs import logger
from coursebell.services.registrar import Registrar
from coursebell.storage import audit, deliveries, webhooks
from coursebell.storage.audit import Change
from coursebell.storage.database import Transaction
from coursebell.storage.deliveries import Claimed, Recorded
from coursebell.storage.webhooks import Target

_log = logger(__name__)

CLAIM = 500  # deliveries in one claim


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
) -> Batch:
    """Claim due deliveries of active webhooks, so that none has more than `depth` in hand.

    Fair across webhooks: each gets its share of a claim, however much another has pending.
    """
    with registrar.database.snapshot() as tx:
        due = deliveries.list_webhooks_with_work(tx, now)
    share = max(1, CLAIM // max(1, len(due)))
    rooms = {each: min(share, depth - in_hand.get(each, 0)) for each in due}
    claimed = _claim(registrar, rooms, lease, lease_seconds, now)
    taken = Counter(each.webhook_id for each in claimed)
    full = frozenset(each for each in due if taken[each] >= rooms[each])
    with registrar.database.snapshot() as tx:
        wait = deliveries.seconds_until_due(tx, now, besides=full)
    return Batch(claimed=claimed, full=full, seconds_until_due=wait)


def _claim(
    registrar: Registrar,
    rooms: Mapping[str, int],
    lease: str,
    lease_seconds: float,
    now: datetime,
) -> Sequence[Claimed]:
    wanted = {each: room for each, room in rooms.items() if room > 0}
    if not wanted:
        return []
    with registrar.database.transaction() as tx:
        return deliveries.claim(tx, wanted, lease, lease_seconds, now)


def read_targets(registrar: Registrar, webhook_ids: Iterable[str]) -> Mapping[str, Target]:
    """Where and how to send, of those webhooks that are still active."""
    with registrar.database.snapshot() as tx:
        return webhooks.list_targets(tx, webhook_ids)


def record(
    registrar: Registrar,
    results: Sequence[Recorded],
    gone: Mapping[str, str],
    now: datetime,
) -> set[int]:
    """Record attempts, and disable the webhooks in `gone` (id to organization) that said 410.

    The keys of those recorded: one whose lease another dispatcher has taken leaves no trace.
    """

    def work(tx: Transaction) -> set[int]:
        recorded = deliveries.record(tx, results, now)
        for webhook_id, organization_id in gone.items():
            _disable(tx, webhook_id, organization_id, now)
        return recorded

    recorded = registrar.database.run(work)
    for webhook_id in gone:
        _log.error("webhook.disabled", webhook_id=webhook_id, reason=GONE)
    return recorded


GONE = "the receiver answered 410 Gone"


def _disable(tx: Transaction, webhook_id: str, organization_id: str, now: datetime) -> None:
    webhook = webhooks.find_webhook(tx, organization_id, webhook_id, for_update=True)
    if webhook is None or webhook.status is not WebhookStatus.ACTIVE:
        return
    webhooks.set_webhook_status(tx, organization_id, webhook_id, WebhookStatus.DISABLED, GONE)
    deliveries.hold_pending(tx, webhook_id)
    change = Change(
        actor=Actor(organization_id=organization_id, role=Role.ADMIN, kind=ActorKind.SCHEDULE),
        action="webhook.disable",
        subject="webhook",
        subject_id=webhook_id,
        before={"status": webhook.status.value},
        after={"status": WebhookStatus.DISABLED.value},
        reason=GONE,
    )
    audit.insert_changes(tx, [change], now)


def give_back(registrar: Registrar, claimed: Mapping[int, str], now: datetime) -> None:
    """Claimed deliveries (key to lease) that were not attempted are due again at once."""
    with registrar.database.transaction() as tx:
        deliveries.release(tx, claimed, now)


def recover(registrar: Registrar, now: datetime) -> None:
    """Take over what a dispatcher that was killed had claimed, where there can be only one."""
    with registrar.database.transaction() as tx:
        deliveries.recover_leases(tx, now)
