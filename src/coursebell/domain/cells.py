"""What may stand in the cells of a table that is imported, and what it means.

A reader makes a value of the domain of a cell that is not empty, or raises the rule it breaks.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from coursebell.domain.instants import InvalidInstantError, parse_instant
from coursebell.domain.people import check_email, split_tags
from coursebell.errors import InvalidInputError

_match_number = re.compile(r"[+-]?[0-9]{1,12}(?:[.,][0-9]{1,20})?").fullmatch
_match_wall = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[ T]([0-9]{2}:[0-9]{2})(:[0-9]{2})?"
).fullmatch


class CellError(ValueError):
    """The cell breaks the rule that the message says."""


Read = Callable[[str, ZoneInfo], object]


def plain_name(header: str) -> str:
    """A name as names are compared: `E-Mail Address` is `emailaddress`."""
    return "".join(char for char in header.casefold() if char.isalnum())


def text(max_length: int, *, several_lines: bool = False) -> Read:
    """Text without control characters."""

    def read(cell: str, _zone: ZoneInfo) -> str:
        if len(cell) > max_length:
            raise CellError(f"Must have at most {max_length} characters")
        if not cell.isprintable():
            _refuse_control(cell, "\n\r\t" if several_lines else "")
        return cell

    return read


def _refuse_control(cell: str, allowed: str) -> None:
    for char in cell:
        category = unicodedata.category(char)
        if category == "Cs":
            raise CellError("Must be text in UTF-8")
        if category == "Cc" and char not in allowed:
            raise CellError("Must not contain control characters")


def email(cell: str, zone: ZoneInfo) -> str:
    """An e-mail address, by its syntax."""
    address = str(text(254)(cell, zone))
    try:
        check_email(address)
    except InvalidInputError as exc:
        raise CellError(exc.field_errors["email"]) from exc
    return address


def tags(cell: str, zone: ZoneInfo) -> tuple[str, ...]:
    """Words, separated by spaces or commas."""
    return split_tags([str(text(1_000)(cell, zone))])


def number(minimum: Decimal, maximum: Decimal) -> Read:
    """A number as it is written, with a point or a comma, and perhaps a percent sign."""

    def read(cell: str, _zone: ZoneInfo) -> Decimal:
        written = cell.removesuffix("%").strip()
        if _match_number(written) is None:
            raise CellError("Must be a number such as 87.5")
        found = Decimal(written.replace(",", "."))
        if not minimum <= found <= maximum:
            raise CellError(f"Must be between {minimum} and {maximum}")
        return found

    return read


def whole(cell: str, _zone: ZoneInfo) -> int:
    """A whole number that is not negative."""
    if re.fullmatch(r"[0-9]{1,7}", cell) is None or int(cell) > 1_000_000:
        raise CellError("Must be a whole number from 0 to 1000000")
    return int(cell)


def instant(*, end: bool) -> Read:
    """RFC 3339; a plain date, a day of the organization's zone; or a time of its clocks."""

    def read(cell: str, zone: ZoneInfo) -> datetime:
        if wall := _match_wall(cell):
            moment = f"{wall[1]}T{wall[2]}{wall[3] or ':00'}"
            return _at_clock(moment, zone)
        try:
            return parse_instant(cell, zone, end=end)
        except InvalidInstantError as exc:
            raise CellError(
                "Must be 2031-02-03, 2031-02-03 04:05:06 or 2031-02-03T04:05:06Z"
            ) from exc

    return read


def _at_clock(moment: str, zone: ZoneInfo) -> datetime:
    try:  # fold=0 is the later reading in a gap and the first one in a fold (PEP 495)
        return datetime.fromisoformat(moment).replace(tzinfo=zone, fold=0).astimezone(UTC)
    except (ValueError, OverflowError) as exc:
        raise CellError("No such date and time exists") from exc


def word(words: Mapping[str, object]) -> Read:
    """One of some words, whatever its case, and what it stands for."""
    known = {plain_name(word): value for word, value in words.items()}

    def read(cell: str, _zone: ZoneInfo) -> object:
        if (plain := plain_name(cell)) not in known:
            raise CellError(f"Must be one of {', '.join(words)}")
        return known[plain]

    return read
