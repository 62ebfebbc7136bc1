"""`coursebell reconcile`: whether a webhook was told everything, and what to do where not."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from coursebell.cli import moments
from coursebell.cli.choosing import WEBHOOK_HELP, choose_webhook
from coursebell.cli.context import clock, invocation_of
from coursebell.cli.output import answer, plain
from coursebell.domain.books import Account, Books, Standing
from coursebell.domain.instants import format_instant
from coursebell.domain.model import Webhook
from coursebell.services import organizations, reconciliation

_UNBALANCED = 1


def reconcile(
    context: typer.Context,
    *,
    webhook: Annotated[str, typer.Option(metavar="ID", help=WEBHOOK_HELP)],
    since: Annotated[str, typer.Option(metavar="WHEN", help=f"From when: {moments.HELP}.")],
    until: Annotated[
        str | None, typer.Option(metavar="WHEN", help="Up to when, in the same forms; else now.")
    ] = None,
    limit: Annotated[
        int, typer.Option(min=0, max=100_000, metavar="N", help="How many to list of each kind.")
    ] = 20,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a JSON object instead of lines.")
    ] = False,
) -> None:
    """Compare what was committed, and wanted by a webhook, with what it was delivered.

    Counts every event by what became of it, lists those that are owed, and says what to do. The
    exit code is 0 when the books balance: all is delivered, or cancelled for a reason. Otherwise
    it is 1, also while something is still on its way. What is of before the webhook was made is
    not owed; it is counted apart.

    The last week:

    `coursebell reconcile --webhook 0123456789abcdef0123456789abcdef --since 7d`

    Every night, for what should have arrived by then:

    `coursebell reconcile --webhook crm --since 48h --until 1h --json`
    """
    now = clock()
    with invocation_of(context).office() as (registrar, actor):
        found = choose_webhook(registrar, actor, webhook)
        zone = ZoneInfo(organizations.get_organization(registrar, actor).zone)
        begin = moments.read_moment(since, "--since", now, zone)
        end = now if until is None else moments.read_moment(until, "--until", now, zone, end=True)
        if end <= begin:
            raise typer.BadParameter("Must be later than --since.", param_hint="--until")
        books = reconciliation.reconcile(
            registrar, actor, found.id, begin, end, limit=limit, progress=_progress
        )
    if as_json:
        answer(json.dumps(_document(books), default=plain, ensure_ascii=False, indent=2))
    else:
        for line in _lines(found, books):
            answer(line)
    if not books.balance:
        raise typer.Exit(_UNBALANCED)


def _progress(read: int, total: int) -> None:
    if sys.stderr.isatty() and total > reconciliation.STEP:
        sys.stderr.write(f"\r{read} of {total} events read" + ("\n" if read == total else ""))


def _lines(webhook: Webhook, books: Books) -> Iterator[str]:
    yield f"{webhook.name} ({webhook.id}), {webhook.status.value}"
    yield f"Events from {format_instant(books.since)} to {format_instant(books.until)}:"
    yield f"  {books.total:>9}  committed and wanted"
    for standing in Standing:
        if count := books.counts.get(standing, 0):
            yield f"  {count:>9}  {standing.value}"
            yield from _owed(webhook, books, standing)
    if books.untold_before:
        yield f"  {books.untold_before:>9}  of before the webhook was made, never told: not owed"
        yield "             To send them, marked as a backfill:"
        yield f"             {_backfill(webhook, books.since)}"
    if books.gone:
        yield f"  {books.gone:>9}  never told, and their content was removed by retention"
    yield _verdict(books)


def _owed(webhook: Webhook, books: Books, standing: Standing) -> Iterator[str]:
    for advice in _advice(webhook, books, standing):
        yield f"             {advice}"
    listed = books.listed.get(standing, ())
    for account in listed:
        yield f"             {_line(account)}"
    if listed and len(listed) < books.counts[standing]:
        yield f"             and {books.counts[standing] - len(listed)} more (--limit)"


def _line(account: Account) -> str:
    about = f" registration {account.registration_id}" if account.registration_id else ""
    moment = format_instant(account.occurred_at)
    return f"{moment} {account.event} event {account.event_id}{about}"


def _advice(webhook: Webhook, books: Books, standing: Standing) -> Iterator[str]:
    """What a person can do about events of this standing."""
    span = f"--since {format_instant(books.since)} --until {format_instant(books.until)}"
    match standing:
        case Standing.DELIVERED:
            return
        case Standing.PENDING:
            if webhook.backed_off_until:
                yield "The receiver is dead; all are sent when it answers one of the probes. Why:"
            else:
                yield "On their way, or waiting for their next attempt. To see why:"
            yield f"coursebell webhook deliveries {webhook.id} --status pending; coursebell doctor"
        case Standing.HELD:
            why = f" ({webhook.disabled_reason})" if webhook.disabled_reason else ""
            yield f"The webhook is {webhook.status.value}{why}. To send them:"
            yield f"coursebell webhook resume {webhook.id}"
        case Standing.FAILED:
            yield "Every attempt failed. Once the receiver is repaired, to send them again:"
            yield f"coursebell webhook replay {webhook.id} {span} --status failed"
        case Standing.CANCELLED:
            yield "The person was erased: they must not be sent any more."
        case Standing.UNTOLD:
            yield "Imported without telling, or the webhook did not want them then."
            yield "To send them, marked as a backfill:"
            yield _backfill(webhook, max(books.since, webhook.created_at))


def _backfill(webhook: Webhook, since: datetime) -> str:
    return f"coursebell webhook backfill {webhook.id} --since {format_instant(since)}"


def _verdict(books: Books) -> str:
    if books.balance:
        return "The books balance: nothing is owed."
    return f"The books do not balance: {books.owed} owed."


def _document(books: Books) -> dict[str, object]:
    return {
        "webhookId": books.webhook_id,
        "since": books.since,
        "until": books.until,
        "balance": books.balance,
        "total": books.total,
        "counts": {standing.value: books.counts.get(standing, 0) for standing in Standing},
        "untoldBefore": books.untold_before,
        "gone": books.gone,
        "owed": [_row(account) for listed in books.listed.values() for account in listed],
    }


def _row(account: Account) -> dict[str, datetime | str | int | None]:
    return {
        "eventId": account.event_id,
        "event": account.event,
        "date": account.occurred_at,
        "position": account.position,
        "registrationId": account.registration_id,
        "standing": account.standing.value,
        "deliveryId": account.delivery_id,
    }
