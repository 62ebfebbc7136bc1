"""A webhook's past: its secret is replaced, events are sent again or for the first time."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from starlette.responses import Response

from coursebell.domain.events import EventName
from coursebell.domain.model import DeliveryStatus
from coursebell.services import replaying, rotation
from coursebell.services.replaying import Past, Sent
from coursebell.services.rotation import DEFAULT_OVERLAP_SECONDS, MAX_OVERLAP_SECONDS
from coursebell.web.answers import shown
from coursebell.web.auth import Admin
from coursebell.web.documents import NewSecretDocument, SentDocument
from coursebell.web.fields import WRITTEN, Body, Clearable, Member, PathId, Whole
from coursebell.web.openapi import BODY, UNKNOWN, shows
from coursebell.web.routes import ApiRoute

router = APIRouter(prefix="/api/v5/webhooks", route_class=ApiRoute, tags=["webhooks"])

_OVERLAP = Whole(0, MAX_OVERLAP_SECONDS)


class Rotation(Body):
    overlap_seconds: Annotated[int, _OVERLAP] = DEFAULT_OVERLAP_SECONDS


class Replay(Body):
    since: Annotated[str, WRITTEN]
    until: Annotated[str | None, Clearable(WRITTEN)] = None
    event: Annotated[EventName | None, Clearable(Member(EventName))] = None
    status: Annotated[DeliveryStatus | None, Clearable(Member(DeliveryStatus))] = None


class Backfill(Body):
    since: Annotated[str, WRITTEN]


@router.post("/{webhook_id}/rotate", **shows(NewSecretDocument, *UNKNOWN, *BODY))
async def rotate_secret(webhook_id: PathId, caller: Admin, body: Rotation) -> Response:
    """Replace the secret. The answer is the only place where the new one can be read.

    Deliveries are signed with both until the overlap is over.
    """
    rotated = await caller.run(rotation.rotate_secret, webhook_id, body.overlap_seconds, caller.now)
    return shown(NewSecretDocument(secret=rotated.secret))


@router.post("/{webhook_id}/replay", **shows(SentDocument, *UNKNOWN, *BODY, status=202))
async def replay_webhook(webhook_id: PathId, caller: Admin, body: Replay) -> Response:
    """Send again what the webhook was told, or is owed, marked `replay`."""
    since = await caller.instant(body.since, "since", end=False)
    assert since is not None  # noqa: S101 - it is required
    until = await caller.instant(body.until, "until", end=True)
    past = Past(since=since, until=until, event=body.event, status=body.status)
    sent = await caller.run(replaying.replay, webhook_id, past, caller.now)
    return shown(_document(sent), status=202)


@router.post("/{webhook_id}/backfill", **shows(SentDocument, *UNKNOWN, *BODY, status=202))
async def backfill_webhook(webhook_id: PathId, caller: Admin, body: Backfill) -> Response:
    """Send events that the webhook wants and was never told, marked `backfill`."""
    since = await caller.instant(body.since, "since", end=False)
    assert since is not None  # noqa: S101 - it is required
    sent = await caller.run(replaying.backfill, webhook_id, since, caller.now)
    return shown(_document(sent), status=202)


def _document(sent: Sent) -> SentDocument:
    return SentDocument(deliveries=sent.deliveries, gone=sent.gone)
