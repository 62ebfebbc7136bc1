"""Webhooks: who is told about events, and how."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from coursebell.domain.changes import UNSET, Unset
from coursebell.domain.events import EventName
from coursebell.domain.lists import DeliveryFilters
from coursebell.domain.model import DeliveryStatus, Method, Payload
from coursebell.domain.retry import DEFAULT_SCHEDULE
from coursebell.domain.targets import MAX_HEADER_VALUE_LENGTH, MAX_HEADERS, MAX_URL_LENGTH
from coursebell.services import deliveries, webhooks
from coursebell.services.webhooks import (
    DEFAULT_MAX_IN_FLIGHT,
    DEFAULT_TIMEOUT_SECONDS,
    NewWebhook,
    WebhookChanges,
)
from coursebell.web.answers import created_with_secret, done, listed, shown
from coursebell.web.auth import Admin
from coursebell.web.documents import (
    DeliveryReference,
    DeliverySummary,
    ListDocument,
    SecretDocument,
    WebhookDocument,
    delivery_summary,
    webhook_document,
)
from coursebell.web.fields import (
    Anything,
    Body,
    Choice,
    Clearable,
    DateFilter,
    Items,
    Line,
    ListQuery,
    Member,
    Pairs,
    PathId,
    Secret,
    TextFilter,
    Whole,
)
from coursebell.web.openapi import (
    BODY,
    CONFLICT,
    UNKNOWN,
    accomplishes,
    creates_shown,
    shows,
)
from coursebell.web.routes import ApiRoute

router = APIRouter(prefix="/api/v5/webhooks", route_class=ApiRoute, tags=["webhooks"])

_NAME = Line(MAX_URL_LENGTH)
_URL = Line(MAX_URL_LENGTH)
_METHOD = Member(Method)
_EVENTS = Items(Member(EventName), min_length=1, max_length=len(EventName))
_FILTERS = Pairs(Anything(), max_length=20)
_HEADERS = Pairs(Secret(MAX_HEADER_VALUE_LENGTH), max_length=MAX_HEADERS)
_PAYLOAD = Member(Payload)
_TIMEOUT = Whole(1, 30)
_SCHEDULE = Items(Whole(1, 7 * 86_400), max_length=30)
_IN_FLIGHT = Whole(1, 100)
_RATE = Clearable(Whole(1, 10_000))


class DeliveryQuery(ListQuery):
    status: Annotated[DeliveryStatus | None, Choice(DeliveryStatus)] = None
    event: Annotated[EventName | None, Choice(EventName)] = None
    registration_id: TextFilter = None
    created_date: DateFilter = None


class WebhookCreation(Body):
    url: Annotated[str, _URL]
    events: Annotated[tuple[str, ...], _EVENTS]
    name: Annotated[str | None, Clearable(_NAME)] = None
    method: Annotated[Method, _METHOD] = Method.POST
    filters: Annotated[Mapping[str, object], _FILTERS] = {}
    headers: Annotated[Mapping[str, str], _HEADERS] = {}
    payload: Annotated[Payload, _PAYLOAD] = Payload.FULL
    timeout_seconds: Annotated[int, _TIMEOUT] = DEFAULT_TIMEOUT_SECONDS
    retry_schedule: Annotated[tuple[int, ...], _SCHEDULE] = DEFAULT_SCHEDULE
    max_in_flight: Annotated[int, _IN_FLIGHT] = DEFAULT_MAX_IN_FLIGHT
    rate_per_second: Annotated[int | None, _RATE] = None


class WebhookUpdate(Body):
    url: Annotated[str | Unset, _URL] = UNSET
    events: Annotated[tuple[str, ...] | Unset, _EVENTS] = UNSET
    name: Annotated[str | Unset, _NAME] = UNSET
    method: Annotated[Method | Unset, _METHOD] = UNSET
    filters: Annotated[Mapping[str, object] | Unset, _FILTERS] = UNSET
    headers: Annotated[Mapping[str, str] | Unset, _HEADERS] = UNSET
    payload: Annotated[Payload | Unset, _PAYLOAD] = UNSET
    timeout_seconds: Annotated[int | Unset, _TIMEOUT] = UNSET
    retry_schedule: Annotated[tuple[int, ...] | Unset, _SCHEDULE] = UNSET
    max_in_flight: Annotated[int | Unset, _IN_FLIGHT] = UNSET
    rate_per_second: Annotated[int | Unset | None, _RATE] = UNSET


@router.get("", **shows(ListDocument[WebhookDocument]))
async def list_webhooks(
    request: Request, caller: Admin, query: Annotated[ListQuery, Query()]
) -> Response:
    """Webhooks, in the order in which they were made."""
    found = await caller.run(webhooks.list_webhooks, query.page)
    return listed(request, query.page, found, webhook_document)


@router.get("/{webhook_id}", **shows(WebhookDocument, *UNKNOWN))
async def get_webhook(webhook_id: PathId, caller: Admin) -> Response:
    return shown(webhook_document(await caller.run(webhooks.get_webhook, webhook_id)))


@router.post("", **creates_shown(SecretDocument, *BODY))
async def create_webhook(request: Request, caller: Admin, body: WebhookCreation) -> Response:
    """Connect a receiver. The answer is the only place where its secret can be read."""
    made = await caller.run(webhooks.create_webhook, NewWebhook(**body.named()), caller.now)
    document = SecretDocument(id=made.webhook.id, secret=made.secret)
    return created_with_secret(request, "webhooks", made.webhook.id, document)


@router.put("/{webhook_id}", **accomplishes(*UNKNOWN, *BODY))
async def change_webhook(webhook_id: PathId, caller: Admin, body: WebhookUpdate) -> Response:
    """Change what is named; `headers`, `events` and `filters` replace what stood there."""
    changes = WebhookChanges(**body.named())
    await caller.run(webhooks.change_webhook, webhook_id, changes, caller.now)
    return done()


@router.delete("/{webhook_id}", **accomplishes(*UNKNOWN))
async def delete_webhook(webhook_id: PathId, caller: Admin) -> Response:
    """Delete a webhook: its open deliveries are cancelled, its history stays."""
    await caller.run(webhooks.delete_webhook, webhook_id, caller.now)
    return done()


@router.post("/{webhook_id}/pause", **accomplishes(*UNKNOWN, *CONFLICT))
async def pause_webhook(webhook_id: PathId, caller: Admin) -> Response:
    """Hold what it would get until it is resumed."""
    await caller.run(webhooks.pause_webhook, webhook_id, caller.now)
    return done()


@router.post("/{webhook_id}/resume", **accomplishes(*UNKNOWN))
async def resume_webhook(webhook_id: PathId, caller: Admin) -> Response:
    """Deliver again, first what was held."""
    await caller.run(webhooks.resume_webhook, webhook_id, caller.now)
    return done()


@router.post("/{webhook_id}/test", **shows(DeliveryReference, *UNKNOWN, *CONFLICT, status=202))
async def test_webhook(webhook_id: PathId, caller: Admin) -> Response:
    """Send a sample of the webhook's first event, marked as a test."""
    delivery_id = await caller.run(webhooks.test_webhook, webhook_id, caller.now)
    return shown(DeliveryReference(delivery_id=delivery_id), status=202)


@router.get("/{webhook_id}/deliveries", **shows(ListDocument[DeliverySummary], *UNKNOWN))
async def list_deliveries(
    webhook_id: PathId,
    request: Request,
    caller: Admin,
    query: Annotated[DeliveryQuery, Query()],
) -> Response:
    """What the webhook was sent and will be, newest first."""
    filters = DeliveryFilters(
        status=query.status,
        event=query.event,
        registration_id=query.registration_id,
        created=query.created_date,
    )
    found = await caller.run(deliveries.list_deliveries, webhook_id, filters, query.page)
    return listed(request, query.page, found, delivery_summary)
