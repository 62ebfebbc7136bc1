"""`coursebell webhook`: who is told, and what became of it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from coursebell.cli import moments
from coursebell.cli.choosing import WEBHOOK_HELP, choose_webhook
from coursebell.cli.context import clock, invocation_of
from coursebell.cli.output import AsJson, Row, answer, every, say, show_list
from coursebell.cli.texts import line
from coursebell.domain.events import EventName
from coursebell.domain.lists import DeliveryFilters, Page
from coursebell.domain.model import Delivery, DeliveryStatus, Webhook
from coursebell.domain.targets import MAX_URL_LENGTH
from coursebell.errors import InvalidInputError
from coursebell.services import deliveries, organizations, replaying, rotation, webhooks
from coursebell.services.replaying import Past, Sent

app = typer.Typer(no_args_is_help=False, help="Webhooks: who is told, and what became of it.")

_DELIVERY_COLUMNS = (
    "id",
    "event",
    "status",
    "attemptCount",
    "lastOutcome",
    "createdDate",
    "nextAttemptDate",
)

Wanted = Annotated[str, typer.Argument(metavar="ID", help=WEBHOOK_HELP)]


@app.command("add")
def add(
    context: typer.Context,
    *,
    url: Annotated[str, typer.Argument(metavar="URL", help="Where deliveries go.")],
    event: Annotated[
        list[EventName],
        typer.Option(metavar="E", help=f"What it is told; repeatable. {', '.join(EventName)}."),
    ],
    name: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", callback=line(MAX_URL_LENGTH), help="What it is for; else the URL."
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print id and secret as a JSON object.")
    ] = False,
) -> None:
    """Connect a receiver and print its secret alone. It is shown only now.

    For example:

    `coursebell webhook add https://lms.example/hook --event offering_completed`

    On this machine, with COURSEBELL_ALLOWED_NETWORKS=127.0.0.0/8 here and for the server:

    `coursebell webhook add http://127.0.0.1:9000/ --event offering_completed`
    """
    new = webhooks.NewWebhook(url=url, events=tuple(event), name=name)
    with invocation_of(context).office() as (registrar, actor), _advice():
        made = webhooks.create_webhook(registrar, actor, new, clock())
    if as_json:
        answer(json.dumps({"id": made.webhook.id, "secret": made.secret}))
        return
    say(f"Webhook {made.webhook.id} is told {', '.join(made.webhook.events)}.")
    say("Its secret, shown only now:")
    answer(made.secret)


@contextmanager
def _advice() -> Iterator[None]:
    """Say what allows an address that is refused for not being public."""
    try:
        yield
    except InvalidInputError as exc:
        rule = exc.field_errors.get("url", "")
        if "not public" not in rule:
            raise
        told = f"{rule} To allow it: COURSEBELL_ALLOWED_NETWORKS, here and for the server."
        raise InvalidInputError(field_errors={"url": told}) from exc


@app.command("list")
def list_webhooks(context: typer.Context, *, as_json: AsJson = False) -> None:
    """List webhooks, without their secrets.

    For example:

    `coursebell webhook list`
    """
    with invocation_of(context).office() as (registrar, actor):
        found = list(every(lambda page: webhooks.list_webhooks(registrar, actor, page)))
    show_list([_webhook_row(webhook) for webhook in found], as_json=as_json, columns=_COLUMNS)


@app.command("test")
def test(context: typer.Context, *, webhook: Wanted) -> None:
    """Send a sample to a webhook and print the id of the delivery.

    For example:

    `coursebell webhook test 0123456789abcdef0123456789abcdef`
    """
    with invocation_of(context).office() as (registrar, actor):
        webhook_id = choose_webhook(registrar, actor, webhook).id
        delivery_id = webhooks.test_webhook(registrar, actor, webhook_id, clock())
    say(f"On its way. To see what became of it: coursebell webhook deliveries {webhook_id}")
    answer(delivery_id)


@app.command("pause")
def pause(context: typer.Context, *, webhook: Wanted) -> None:
    """Hold what a webhook would get until it is resumed.

    For example, while its receiver is being moved:

    `coursebell webhook pause 0123456789abcdef0123456789abcdef`
    """
    with invocation_of(context).office() as (registrar, actor):
        webhook_id = choose_webhook(registrar, actor, webhook).id
        webhooks.pause_webhook(registrar, actor, webhook_id, clock())
    say(f"Paused. What it misses is held until: coursebell webhook resume {webhook_id}")


@app.command("resume")
def resume(context: typer.Context, *, webhook: Wanted) -> None:
    """Deliver to a webhook that is paused, disabled or has backed off; first what was held.

    For example:

    `coursebell webhook resume 0123456789abcdef0123456789abcdef`
    """
    with invocation_of(context).office() as (registrar, actor):
        webhook_id = choose_webhook(registrar, actor, webhook).id
        webhooks.resume_webhook(registrar, actor, webhook_id, clock())
    say(f"Active. To watch what was held drain: coursebell webhook deliveries {webhook_id}")


@app.command("rotate")
def rotate(
    context: typer.Context,
    *,
    webhook: Wanted,
    overlap: Annotated[
        int,
        typer.Option(
            min=0,
            max=rotation.MAX_OVERLAP_SECONDS,
            metavar="SECONDS",
            help="How long the old secret signs too.",
        ),
    ] = rotation.DEFAULT_OVERLAP_SECONDS,
) -> None:
    """Replace a webhook's secret and print the new one alone. It is shown only now.

    Deliveries carry a signature of each until the overlap is over: give the receiver the new
    secret in that time.

    For example:

    `coursebell webhook rotate 0123456789abcdef0123456789abcdef`
    """
    with invocation_of(context).office() as (registrar, actor):
        webhook_id = choose_webhook(registrar, actor, webhook).id
        rotated = rotation.rotate_secret(registrar, actor, webhook_id, overlap, clock())
    if rotated.old_secret_until is None:
        say("The old secret signs no more. The new one, shown only now:")
    else:
        say(f"The old secret signs too for {overlap} more seconds. The new one, shown only now:")
    answer(rotated.secret)


@app.command("replay")
def replay(
    context: typer.Context,
    *,
    webhook: Wanted,
    since: Annotated[str, typer.Option(metavar="WHEN", help=f"From when: {moments.HELP}.")],
    until: Annotated[
        str | None, typer.Option(metavar="WHEN", help="Up to when, in the same forms; else now.")
    ] = None,
    event: Annotated[EventName | None, typer.Option(help="Only this event.")] = None,
    status: Annotated[
        DeliveryStatus | None, typer.Option(help="Only what stands so, such as failed.")
    ] = None,
) -> None:
    """Send again what a webhook was told, and print how many deliveries that are.

    They carry their old webhook-id and the mark `replay`, so a receiver that remembers ids does
    nothing twice.

    What has failed since yesterday:

    `coursebell webhook replay 0123456789abcdef0123456789abcdef --since 24h --status failed`
    """
    now = clock()
    with invocation_of(context).office() as (registrar, actor):
        webhook_id = choose_webhook(registrar, actor, webhook).id
        zone = ZoneInfo(organizations.get_organization(registrar, actor).zone)
        past = Past(
            since=moments.read_moment(since, "--since", now, zone),
            until=None
            if until is None
            else moments.read_moment(until, "--until", now, zone, end=True),
            event=event,
            status=status,
        )
        sent = replaying.replay(registrar, actor, webhook_id, past, now, _progress)
    _tell(sent, webhook_id)


@app.command("backfill")
def backfill(
    context: typer.Context,
    *,
    webhook: Wanted,
    since: Annotated[str, typer.Option(metavar="WHEN", help=f"From when: {moments.HELP}.")],
) -> None:
    """Send a webhook what happened before it was there, and print how many deliveries that are.

    Only events that it asks for and was never told; doing it twice adds nothing.

    For example:

    `coursebell webhook backfill 0123456789abcdef0123456789abcdef --since 2031-01-01`
    """
    now = clock()
    with invocation_of(context).office() as (registrar, actor):
        webhook_id = choose_webhook(registrar, actor, webhook).id
        zone = ZoneInfo(organizations.get_organization(registrar, actor).zone)
        begin = moments.read_moment(since, "--since", now, zone)
        sent = replaying.backfill(registrar, actor, webhook_id, begin, now, _progress)
    _tell(sent, webhook_id)


def _progress(sent: int) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{sent} so far")


def _tell(sent: Sent, webhook_id: str) -> None:
    if sent.gone:
        say(f"{sent.gone} events cannot be sent: retention has removed their content.")
    if sent.deliveries:
        say(f"On their way. To watch them: coursebell webhook deliveries {webhook_id}")
    else:
        say("There is nothing to send.")
    answer(str(sent.deliveries))


@app.command("deliveries")
def list_deliveries(
    context: typer.Context,
    *,
    webhook: Wanted,
    status: Annotated[DeliveryStatus | None, typer.Option(help="Only in this state.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, metavar="N", help="How many.")] = 20,
    as_json: AsJson = False,
) -> None:
    """List a webhook's deliveries, newest first.

    For example:

    `coursebell webhook deliveries 0123456789abcdef0123456789abcdef --status failed`
    """
    filters = DeliveryFilters(status=status)
    with invocation_of(context).office() as (registrar, actor):
        webhook_id = choose_webhook(registrar, actor, webhook).id
        found = deliveries.list_deliveries(
            registrar, actor, webhook_id, filters, Page(limit=limit)
        ).items
    columns = (
        "id",
        "event",
        "status",
        "attemptCount",
        "lastOutcome",
        "createdDate",
        "nextAttemptDate",
    )
    show_list([_delivery_row(delivery) for delivery in found], as_json=as_json, columns=columns)


_COLUMNS = (
    "id",
    "kind",
    "name",
    "url",
    "events",
    "status",
    "failedDeliveries",
    "consecutiveFailures",
    "disabledReason",
    "backedOffUntil",
)


def _webhook_row(webhook: Webhook) -> Row:
    return {
        "id": webhook.id,
        "kind": webhook.kind,
        "name": webhook.name,
        "url": webhook.url,
        "method": webhook.method,
        "events": list(webhook.events),
        "status": webhook.status,
        "disabledReason": webhook.disabled_reason,
        "failedDeliveries": webhook.failed_deliveries,
        "consecutiveFailures": webhook.consecutive_failures,
        "failingSince": webhook.failing_since,
        "backedOffUntil": webhook.backed_off_until,
        "createdDate": webhook.created_at,
    }


def _delivery_row(delivery: Delivery) -> Row:
    return {
        "id": delivery.id,
        "event": delivery.event,
        "eventId": delivery.event_id,
        "registrationId": delivery.registration_id,
        "kind": delivery.kind,
        "status": delivery.status,
        "attemptCount": delivery.attempts,
        "lastOutcome": delivery.last_outcome,
        "createdDate": delivery.created_at,
        "nextAttemptDate": delivery.next_attempt_at,
        "finishedDate": delivery.finished_at,
    }
