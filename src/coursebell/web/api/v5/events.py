"""Events: what happened, as receivers are told."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from coursebell.domain.events import EventName
from coursebell.domain.lists import EventFilters
from coursebell.services import deliveries
from coursebell.web.answers import listed, shown
from coursebell.web.auth import Admin
from coursebell.web.documents import (
    EventDocument,
    EventSummary,
    ListDocument,
    event_document,
    event_summary,
)
from coursebell.web.fields import Choice, DateFilter, ListQuery, PathId, TextFilter
from coursebell.web.openapi import UNKNOWN, shows
from coursebell.web.routes import ApiRoute

router = APIRouter(prefix="/api/v5/events", route_class=ApiRoute, tags=["events"])


class EventQuery(ListQuery):
    event: Annotated[EventName | None, Choice(EventName)] = None
    registration_id: TextFilter = None
    user_id: TextFilter = None
    date: DateFilter = None


@router.get("", **shows(ListDocument[EventSummary]))
async def list_events(
    request: Request, caller: Admin, query: Annotated[EventQuery, Query()]
) -> Response:
    """Events, newest first."""
    filters = EventFilters(
        event=query.event,
        registration_id=query.registration_id,
        user_id=query.user_id,
        created=query.date,
    )
    found = await caller.run(deliveries.list_events, filters, query.page)
    return listed(request, query.page, found, event_summary)


@router.get("/{event_id}", **shows(EventDocument, *UNKNOWN))
async def get_event(event_id: PathId, caller: Admin) -> Response:
    """One event, with what receivers are sent in the full profile."""
    return shown(event_document(await caller.run(deliveries.get_event, event_id)))
