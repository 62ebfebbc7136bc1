"""Events: what happened, as receivers are told."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from coursebell.domain.events import EventName
from coursebell.domain.feed import DEFAULT_PAGE, MAX_PAGE, Cursor, FeedPage
from coursebell.domain.lists import DEFAULT_LIMIT, MAX_LIMIT, EventFilters
from coursebell.errors import InvalidInputError
from coursebell.services import deliveries, feed
from coursebell.web.answers import listed, shown
from coursebell.web.auth import Admin, Caller
from coursebell.web.documents import (
    EventDocument,
    EventSummary,
    FeedDocument,
    ListDocument,
    event_document,
    event_summary,
)
from coursebell.web.fields import (
    After,
    Choice,
    DateFilter,
    Digits,
    ListQuery,
    PathId,
    TextFilter,
)
from coursebell.web.openapi import UNKNOWN, shows
from coursebell.web.paging import link
from coursebell.web.routes import ApiRoute

router = APIRouter(prefix="/api/v5/events", route_class=ApiRoute, tags=["events"])


class EventQuery(ListQuery):
    limit: Annotated[int, Digits(1, MAX_PAGE)] = DEFAULT_LIMIT
    after: Annotated[Cursor | None, After()] = None
    event: Annotated[EventName | None, Choice(EventName)] = None
    registration_id: TextFilter = None
    user_id: TextFilter = None
    date: DateFilter = None

    @property
    def filters(self) -> EventFilters:
        return EventFilters(
            event=self.event,
            registration_id=self.registration_id,
            user_id=self.user_id,
            created=self.date,
        )


@router.get("", **shows(ListDocument[EventSummary] | FeedDocument))
async def list_events(
    request: Request, caller: Admin, query: Annotated[EventQuery, Query()]
) -> Response:
    """Events, newest first; with `after`, the feed: in the order of commits, with their bodies.

    `after` empty begins the feed. Its `next` is where to read on, and is there on every page; up
    to 1000 events come at once, 100 unless told otherwise. Without `after` the limit is 100.
    """
    if query.after is not None:
        return await _show_feed(request, caller, query, query.after)
    if query.limit > MAX_LIMIT:
        rule = f"Must be between 1 and {MAX_LIMIT} without after."
        raise InvalidInputError(field_errors={"limit": rule})
    found = await caller.run(deliveries.list_events, query.filters, query.page)
    return listed(request, query.page, found, event_summary)


async def _show_feed(
    request: Request, caller: Caller, query: EventQuery, after: Cursor
) -> Response:
    if query.offset:
        raise InvalidInputError(field_errors={"offset": "Has no place beside after."})
    limit = query.limit if "limit" in query.model_fields_set else DEFAULT_PAGE
    page = await caller.run(feed.read_feed, query.filters, after, limit)
    return await run_in_threadpool(_feed_answer, page, link(request, "after", str(page.cursor)))


def _feed_answer(page: FeedPage, following: str) -> Response:
    """A thousand bodies take tens of milliseconds, which must not hold up other requests."""
    results = [event_document(each) for each in page.events]
    return shown(FeedDocument(results=results, next=following, more=page.more))


@router.get("/{event_id}", **shows(EventDocument, *UNKNOWN))
async def get_event(event_id: PathId, caller: Admin) -> Response:
    """One event, with what receivers are sent in the full profile."""
    return shown(event_document(await caller.run(deliveries.get_event, event_id)))
