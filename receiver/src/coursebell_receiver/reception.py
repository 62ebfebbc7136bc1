"""The whole answer to one request: verify, handle once, say with which status."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from http import HTTPStatus

from coursebell_receiver.deduplication import Deduplicator, once
from coursebell_receiver.errors import InProgressError, VerificationError
from coursebell_receiver.events import Event
from coursebell_receiver.verification import Headers, verify

_log = logging.getLogger("coursebell_receiver")


def receive(
    headers: Headers,
    body: bytes,
    secrets: str | Iterable[str],
    handle: Callable[[Event], object],
    *,
    deduplicator: Deduplicator | None = None,
    now: int | None = None,
) -> HTTPStatus:
    """Verify the request as `verify` does, call `handle` with its event, return what to answer.

    204: handled, now or before. 400: not genuine, with the reason as a warning in the log. 503:
    the same event is being handled at this moment. What `handle` raises is raised here, and the
    event stays unhandled: let it become a 500, and Coursebell tries again.
    Without a `deduplicator`, `handle` sees duplicates.
    """
    try:
        event = verify(headers, body, secrets, now=now)
    except VerificationError as error:
        _log.warning("refused a delivery: %s", error)
        return HTTPStatus.BAD_REQUEST
    if deduplicator is None:
        handle(event)
        return HTTPStatus.NO_CONTENT
    return _handle_once(event, handle, deduplicator)


def _handle_once(
    event: Event, handle: Callable[[Event], object], deduplicator: Deduplicator
) -> HTTPStatus:
    try:
        with once(deduplicator, event.id) as first:
            if first:
                handle(event)
    except InProgressError:
        return HTTPStatus.SERVICE_UNAVAILABLE
    return HTTPStatus.NO_CONTENT
