"""Instants: how they are written, how they are read, and the spans that date filters name.

An instant is an aware `datetime` in UTC with whole seconds. The formats are those of the REST
API: timestamps are RFC 3339; plain dates are days of the organization's zone.
"""

from __future__ import annotations

import re
from calendar import monthrange
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from coursebell.errors import CoursebellError

# No place on earth was ever further from UTC than 16 hours; more than 18 is a slip.
_FURTHEST_OFFSET = timedelta(hours=18)

_match_date = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})").fullmatch
_match_timestamp = re.compile(
    r"(?P<wall>[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.[0-9]+)?"
    r"(?:Z|(?P<sign>[+-])(?P<hours>[0-9]{2}):(?P<minutes>[0-5][0-9]))",
    re.IGNORECASE,
).fullmatch
_match_span = re.compile(r"([0-9]{4})(?:-([0-9]{2})(?:-([0-9]{2})(?:[Tt]([0-9]{2}))?)?)?").fullmatch


class InvalidInstantError(CoursebellError, ValueError):
    """The text names no instant that Coursebell can hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InstantRange:
    """The instants from `start` up to but not including `end`; `None` is an open side."""

    start: datetime | None
    end: datetime | None

    def __contains__(self, instant: datetime) -> bool:
        return (self.start is None or self.start <= instant) and (
            self.end is None or instant < self.end
        )


def format_instant(instant: datetime) -> str:
    """Write an aware datetime as the wire contract does: `2014-04-18T00:39:57Z`.

    A fraction of a second is cut off.
    """
    universal = instant if instant.tzinfo is UTC else instant.astimezone(UTC)
    return f"{universal.isoformat(timespec='seconds').removesuffix('+00:00')}Z"


def parse_instant(text: str, zone: ZoneInfo, *, end: bool) -> datetime:
    """Read a date of a request body.

    A timestamp is RFC 3339 with `Z` or an offset; its fraction is cut off. A plain date is a day
    in `zone`: its first instant, or with `end` the instant when it is over. Where the clock
    skips that midnight, the later instant is meant; where it strikes twice, the first.
    Raises InvalidInstantError.
    """
    if _match_date(text):
        return _midnight(text, zone, end=end)
    if match := _match_timestamp(text):
        return _timestamp(match)
    raise InvalidInstantError("Must be a date (2031-02-03) or a timestamp (2031-02-03T04:05:06Z)")


def parse_date_filter(text: str) -> InstantRange:
    """Read the value of a date filter: one span, or two spans joined by `..`.

    A span is the second of a timestamp, or a whole year, month, day or hour of UTC: `2031`,
    `2031-02`, `2031-02-03`, `2031-02-03T04`. Of a range, one side may be left open; both spans
    belong to it. Raises InvalidInstantError.
    """
    first, dots, last = text.partition("..")
    if not dots:
        return _span(text)
    if not first and not last:
        raise InvalidInstantError("A range needs a date on at least one side of the dots")
    found = InstantRange(
        start=_span(first).start if first else None,
        end=_span(last).end if last else None,
    )
    if found.start and found.end and found.end <= found.start:
        raise InvalidInstantError("The range ends before it begins")
    return found


def _midnight(text: str, zone: ZoneInfo, *, end: bool) -> datetime:
    try:
        day = date.fromisoformat(text) + timedelta(days=1 if end else 0)
        # fold=0 is the later reading in a gap and the first one in a fold (PEP 495).
        return datetime(day.year, day.month, day.day, tzinfo=zone, fold=0).astimezone(UTC)
    except (ValueError, OverflowError) as exc:
        raise InvalidInstantError("No such day exists") from exc


def _timestamp(match: re.Match[str]) -> datetime:
    offset = _offset(match["sign"], match["hours"], match["minutes"])
    try:
        return datetime.fromisoformat(match["wall"].upper()).replace(tzinfo=UTC) - offset
    except (ValueError, OverflowError) as exc:
        raise InvalidInstantError("No such date and time exists") from exc


def _offset(sign: str | None, hours: str, minutes: str) -> timedelta:
    if sign is None:
        return timedelta(0)
    offset = timedelta(hours=int(hours), minutes=int(minutes))
    if offset > _FURTHEST_OFFSET:
        raise InvalidInstantError("The offset from UTC is more than 18 hours")
    return offset if sign == "+" else -offset


def _span(text: str) -> InstantRange:
    if match := _match_timestamp(text):
        start = _timestamp(match)
        return InstantRange(start=start, end=_plus(start, timedelta(seconds=1)))
    if match := _match_span(text):
        year, month, day, hour = (None if part is None else int(part) for part in match.groups())
        return _calendar_span(year or 0, month, day, hour)
    raise InvalidInstantError(
        "Must be a timestamp (2031-02-03T04:05:06Z), a year, month, day or hour of UTC "
        "(2031, 2031-02, 2031-02-03, 2031-02-03T04), or two of these joined by two dots"
    )


def _calendar_span(year: int, month: int | None, day: int | None, hour: int | None) -> InstantRange:
    try:
        start = datetime(
            year, 1 if month is None else month, 1 if day is None else day, hour or 0, tzinfo=UTC
        )
    except ValueError as exc:
        raise InvalidInstantError("No such date exists") from exc
    if month is None:
        return InstantRange(start=start, end=_plus(start, _months(start, 12)))
    if day is None:
        return InstantRange(start=start, end=_plus(start, _months(start, 1)))
    return InstantRange(
        start=start, end=_plus(start, timedelta(days=1) if hour is None else timedelta(hours=1))
    )


def _months(start: datetime, count: int) -> timedelta:
    """How long `count` months from the first of a month are: 1 or 12."""
    months = range(start.month, start.month + count)
    return timedelta(days=sum(monthrange(start.year, month)[1] for month in months))


def _plus(start: datetime, length: timedelta) -> datetime | None:
    """The end of a span; at the end of the calendar there is none, and none is needed."""
    try:
        return start + length
    except OverflowError:
        return None
