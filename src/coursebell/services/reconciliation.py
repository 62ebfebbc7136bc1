"""Reconciliation: whether a webhook was told all that was committed and that it wants."""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import chain

from coursebell.domain.books import Account, Books, Ledger, Standing, standing_of
from coursebell.domain.events import matches
from coursebell.domain.model import Actor, Role, Webhook, WebhookStatus
from coursebell.errors import NotFoundError
from coursebell.services.registrar import Registrar
from coursebell.storage import books, feed, webhooks
from coursebell.storage.books import Told
from coursebell.storage.database import Transaction
from coursebell_receiver import Signer, Tally, tally

STEP = 5_000  # events read in one transaction
# Events are read in the order of commits. One that is committed later is hardly ever this much
# earlier by its date: transactions are short, and clocks of servers differ by seconds.
DISORDER = timedelta(hours=1)
DAY = timedelta(days=1)
_BEGINNING, _END = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)

Progress = Callable[[int, int], None]  # events read so far, and in all


def _silent(_read: int, _total: int) -> None:
    """Where nobody waits for news."""


def reconcile(
    registrar: Registrar,
    actor: Actor,
    webhook_id: str,
    since: datetime,
    until: datetime,
    *,
    limit: int = 20,
    progress: Progress = _silent,
) -> Books:
    """The books of a webhook over the events whose date is from `since` up to `until`.

    Counts every event that it was told or, by its events and filters of today, should have been;
    lists the first `limit` of each standing in which something is owed. What was never told and is
    of before the webhook was made counts apart: that was not promised. Reads in steps, so events
    that change their standing meanwhile may be counted as either. Raises `NotFoundError`.
    """
    actor.require(Role.ADMIN)
    webhook = _found(registrar, actor, webhook_id)
    ledger = Ledger(made_at=webhook.created_at, limit=limit)
    for told in _told_between(registrar, webhook, since, until, progress):
        account = _account(webhook, told)
        if account.standing is not Standing.UNTOLD or _wants(webhook, told):
            ledger.enter(account)
        elif told.event in webhook.events and told.body is None:
            ledger.gone += 1
    return Books(
        webhook_id=webhook.id,
        since=since,
        until=until,
        counts=dict(ledger.counts),
        untold_before=ledger.untold_before,
        gone=ledger.gone,
        listed=ledger.listed,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """What was meant for a webhook of the events of one UTC day: how many, and their digest."""

    webhook_id: str
    begin: datetime
    is_settled: bool  # the day is over and nothing of it is open
    all: Tally
    expected: Tally  # of these, all but the cancelled
    wanted: Tally  # all, and what would be told today but was not: what a reader of the feed has
    by_standing: dict[Standing, Tally]


def sum_up_day(
    registrar: Registrar, actor: Actor, webhook_id: str, begin: datetime, now: datetime
) -> Day:
    """Raises `NotFoundError`."""
    actor.require(Role.ADMIN)
    webhook = _found(registrar, actor, webhook_id)
    ids: dict[Standing, list[str]] = {}
    untold: list[str] = []
    for told in _told_between(registrar, webhook, begin, begin + DAY, _silent):
        account = _account(webhook, told)
        if account.standing is not Standing.UNTOLD:
            ids.setdefault(account.standing, []).append(account.event_id)
        elif _wants(webhook, told) or _wanted_whatever_it_said(webhook, told):
            untold.append(account.event_id)
    expected = (found for standing, found in ids.items() if standing is not Standing.CANCELLED)
    return Day(
        webhook_id=webhook.id,
        begin=begin,
        is_settled=now >= _later(begin + DAY) and not any(each.is_open for each in ids),
        all=tally(chain.from_iterable(ids.values())),
        expected=tally(chain.from_iterable(expected)),
        wanted=tally(chain(untold, *ids.values())),
        by_standing={standing: tally(found) for standing, found in ids.items()},
    )


def sign_answer(
    registrar: Registrar, actor: Actor, webhook_id: str, message_id: str, now: datetime, body: bytes
) -> str:
    """The value of `webhook-signature` for an answer about a webhook, as its deliveries have it.

    Raises `NotFoundError`, and `SealError` when no key opens the webhook's secret.
    """
    actor.require(Role.ADMIN)
    with registrar.database.snapshot() as tx:
        secrets = webhooks.open_signing_secrets(
            tx, actor.organization_id, webhook_id, registrar.database.seal, now
        )
    if not secrets:
        raise NotFoundError
    timestamp = int(now.timestamp())
    return " ".join(Signer(each).sign(message_id, timestamp, body) for each in secrets)


def _found(registrar: Registrar, actor: Actor, webhook_id: str) -> Webhook:
    with registrar.database.snapshot() as tx:
        webhook = webhooks.find_webhook(tx, actor.organization_id, webhook_id)
    if webhook is None:
        raise NotFoundError
    return webhook


def _told_between(
    registrar: Registrar, webhook: Webhook, since: datetime, until: datetime, progress: Progress
) -> Iterator[Told]:
    organization_id = webhook.organization_id
    with registrar.database.snapshot() as tx:
        head = feed.find_head(tx, organization_id)
        first = _position_at(tx, organization_id, head, _earlier(since))
        last = _position_at(tx, organization_id, head, _later(until))
    for start in range(first, last, STEP):
        end = min(start + STEP, last)
        with registrar.database.snapshot() as tx:
            step = list(books.list_told(tx, organization_id, webhook.id, after=start, until=end))
        yield from (told for told in step if since <= told.occurred_at < until)
        progress(end - first, last - first)


def _position_at(tx: Transaction, organization_id: str, head: int, moment: datetime) -> int:
    """How many events stand before `moment`, as if they were in the order of their dates."""
    return bisect_left(
        range(1, head + 1),
        moment,
        key=lambda position: books.find_occurred_at(tx, organization_id, position),
    )


def _earlier(moment: datetime) -> datetime:
    return moment - DISORDER if moment > _BEGINNING + DISORDER else _BEGINNING


def _later(moment: datetime) -> datetime:
    return moment + DISORDER if moment < _END - DISORDER else _END


def _account(webhook: Webhook, told: Told) -> Account:
    is_active = webhook.status is WebhookStatus.ACTIVE
    return Account(
        event_id=told.event_id,
        event=told.event,
        position=told.position,
        occurred_at=told.occurred_at,
        registration_id=told.registration_id,
        standing=standing_of(told.statuses, is_active=is_active),
        delivery_id=told.delivery_id,
    )


def _wants(webhook: Webhook, told: Told) -> bool:
    """Whether it would be told today. What retention removed cannot be sent, nor be judged."""
    if told.event not in webhook.events or told.body is None:
        return False
    return not webhook.filters or matches(json.loads(told.body), webhook.filters)


def _wanted_whatever_it_said(webhook: Webhook, told: Told) -> bool:
    """Whether it would have been told of what retention removed, because nothing is filtered."""
    return told.body is None and told.event in webhook.events and not webhook.filters
