"""The feed of events, by which a receiver finds what it missed."""

from __future__ import annotations

from coursebell.domain.feed import Cursor, FeedPage, cursor_at
from coursebell.domain.lists import EventFilters
from coursebell.domain.model import Actor, Role
from coursebell.errors import InvalidInputError
from coursebell.services.registrar import Registrar
from coursebell.storage import feed
from coursebell.storage.database import Transaction

SPAN = 10_000  # positions that one page looks through: a filter may match none of them


def read_feed(
    registrar: Registrar,
    actor: Actor,
    filters: EventFilters,
    after: Cursor,
    limit: int,
    *,
    span: int = SPAN,
) -> FeedPage:
    """Up to `limit` events of `span` positions that follow the cursor, oldest first.

    Following the pages' cursors shows every event that passes the filters exactly once, also
    while others commit. Raises `InvalidInputError` for a cursor of another history.
    """
    actor.require(Role.ADMIN)
    organization_id = actor.organization_id
    with registrar.database.snapshot() as tx:
        head = feed.find_head(tx, organization_id)  # first: what is read then is complete up to it
        _check(tx, organization_id, after, head)
        until = min(head, after.position + span)
        found = feed.list_between(
            tx, organization_id, filters, after=after.position, until=until, limit=limit
        )
        reached = found[-1].position if len(found) == limit else until
        cursor = _cursor(tx, organization_id, after, reached)
    return FeedPage(events=found, cursor=cursor, more=reached < head)


def _check(tx: Transaction, organization_id: str, after: Cursor, head: int) -> None:
    if after.position > head:
        raise _stranger(f"The newest event has position {head}.")
    if after.position and after.mark is not None:
        seen = feed.find_id_at(tx, organization_id, after.position)
        if seen is None or not after.fits(seen):
            raise _stranger(f"At position {after.position} stands another event than the one seen.")


def _stranger(found: str) -> InvalidInputError:
    advice = (
        "This cursor belongs to another history; was a backup restored? "
        "Read again from an earlier position or from 0, and pass over ids that are known."
    )
    return InvalidInputError(field_errors={"after": f"{found} {advice}"})


def _cursor(tx: Transaction, organization_id: str, after: Cursor, reached: int) -> Cursor:
    """The cursor at a position, with its mark."""
    if reached == 0 or (reached == after.position and after.mark is not None):
        return after
    seen = feed.find_id_at(tx, organization_id, reached)
    assert seen is not None  # noqa: S101 - positions up to the head have no gap
    return cursor_at(reached, seen)
