"""The feed: every event in the order of commits, read from a cursor on.

A reader stores one cursor and acknowledges nothing. What it has not seen is what stands after it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from coursebell.domain.model import Event

DEFAULT_PAGE = 100
MAX_PAGE = 1_000

_MARK = 8  # characters of an event's id: its last ones, because the first tell the time
_match_cursor = re.compile(r"([0-9]{1,18})(?:-([0-9a-f]{8}))?", re.ASCII).fullmatch


class InvalidCursorError(ValueError):
    """A cursor is a position, or what `next` of a page of the feed has for `after`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """How far a reader has come: a position, and which event it has seen there.

    The mark betrays a cursor of another history: after a restored backup, positions are given
    again to other events.
    """

    position: int
    mark: str | None  # the last characters of that event's id; None: not known

    def fits(self, event_id: str) -> bool:
        """Whether this may be the event that the reader saw at this position."""
        return self.mark is None or event_id.endswith(self.mark)

    def __str__(self) -> str:
        return str(self.position) if self.mark is None else f"{self.position}-{self.mark}"


START = Cursor(position=0, mark=None)


def cursor_at(position: int, event_id: str) -> Cursor:
    return Cursor(position=position, mark=event_id[-_MARK:])


def parse_cursor(text: str) -> Cursor:
    """The empty text is the beginning. Raises `InvalidCursorError`."""
    if not text:
        return START
    match = _match_cursor(text)
    if match is None:
        raise InvalidCursorError
    return Cursor(position=int(match[1]), mark=match[2])


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedPage:
    """Events after a cursor, oldest first."""

    events: Sequence[Event]
    cursor: Cursor  # from where to read on; never before the one that was asked with
    more: bool  # something stands after it already
