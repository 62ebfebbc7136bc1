"""The types of what clients send: body fields and query parameters, each with its rule.

Body models are strict: no value is taken for another type, no unknown property is passed over.
A rule is written once, as the phrase that a client reads when it breaks it.
"""

from __future__ import annotations

import re
import unicodedata
from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, TypeAlias
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.alias_generators import to_camel
from pydantic.config import JsonDict
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from coursebell.domain.changes import UNSET
from coursebell.domain.feed import Cursor, InvalidCursorError, parse_cursor
from coursebell.domain.instants import (
    InstantRange,
    InvalidInstantError,
    parse_date_filter,
    parse_instant,
)
from coursebell.domain.lists import DEFAULT_LIMIT, MAX_LIMIT, Page
from coursebell.errors import InvalidInputError
from coursebell.web.rules import RULE

_UTC = ZoneInfo("UTC")
_MAX_OFFSET = 2**31 - 1
_MAX_FILTER = 400  # characters
_MAX_NAME = 100  # characters of a name in an object
_MAX_INSTANT = 60  # characters: a timestamp with a fraction of many digits
_DECIMALS = Decimal("0.0001")
_CONTROL = ("Cc", "Cs")  # control characters and halves of surrogate pairs
_LINE_BREAKS = "\n\r\t"
_match_color = re.compile(r"#[0-9A-Fa-f]{6}").fullmatch
_match_id = re.compile(r"[0-9a-f]{32}").fullmatch
_match_day = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}").fullmatch
_match_digits = re.compile(r"[0-9]+").fullmatch


class BrokenRuleError(ValueError):
    """The value breaks the rule that the message says."""


class Shape(ABC):
    """What a value must be, as metadata of an annotated type.

    It decides alone: the annotated type is only what the type checker is told.
    """

    @abstractmethod
    def core(self) -> CoreSchema:
        """How pydantic checks it."""

    @abstractmethod
    def schema(self) -> dict[str, object]:
        """What is told in JSON schema."""

    def __get_pydantic_core_schema__(
        self, _source: object, _handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return self.core()

    def __get_pydantic_json_schema__(
        self, _schema: CoreSchema, _handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return self.schema()


@dataclass(frozen=True, slots=True)
class Clearable(Shape):
    """Null is as good as a value: it takes away what stands there."""

    of: Shape

    def core(self) -> CoreSchema:
        return core_schema.nullable_schema(self.of.core())

    def schema(self) -> dict[str, object]:
        return {"anyOf": [self.of.schema(), {"type": "null"}]}


@dataclass(frozen=True, slots=True)
class Items(Shape):
    """A list, kept as a tuple."""

    of: Shape
    max_length: int
    min_length: int = 0

    def core(self) -> CoreSchema:
        items = core_schema.list_schema(
            self.of.core(), min_length=self.min_length, max_length=self.max_length, strict=True
        )
        return core_schema.no_info_after_validator_function(tuple, items)

    def schema(self) -> dict[str, object]:
        return {
            "type": "array",
            "items": self.of.schema(),
            "minItems": self.min_length,
            "maxItems": self.max_length,
        }


@dataclass(frozen=True, slots=True)
class Pairs(Shape):
    """A flat object: names, and values of one kind."""

    of: Shape
    max_length: int

    def core(self) -> CoreSchema:
        names = Line(_MAX_NAME).core()
        return core_schema.dict_schema(
            names, self.of.core(), max_length=self.max_length, strict=True
        )

    def schema(self) -> dict[str, object]:
        return {
            "type": "object",
            "additionalProperties": self.of.schema(),
            "maxProperties": self.max_length,
        }


@dataclass(frozen=True, slots=True)
class Part(Shape):
    """An object inside the body, with the properties of a body of its own."""

    of: type[Body]

    def core(self) -> CoreSchema:
        return self.of.__pydantic_core_schema__

    def schema(self) -> dict[str, object]:
        return self.of.model_json_schema()


@dataclass(frozen=True, slots=True)
class Anything(Shape):
    """A value that the use case judges."""

    def core(self) -> CoreSchema:
        return core_schema.any_schema()

    def schema(self) -> dict[str, object]:
        return {}


class Rule(Shape):
    """A shape that one function can check."""

    @abstractmethod
    def accept(self, value: object) -> object:
        """The value to keep. Raises BrokenRuleError or InvalidInstantError."""

    def core(self) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self._check)

    def _check(self, value: object) -> object:
        try:
            return self.accept(value)
        except (BrokenRuleError, InvalidInstantError) as exc:
            raise PydanticCustomError(RULE, "{rule}", {"rule": str(exc)}) from exc


@dataclass(frozen=True, slots=True)
class Line(Rule):
    """A line of text: white space around it is cut off, and something must be left."""

    max_length: int

    def accept(self, value: object) -> str:
        line = _string(value).strip()
        if not line:
            raise BrokenRuleError("Must not be empty")
        _require_length(line, self.max_length)
        _require_printable(line)
        return line

    def schema(self) -> dict[str, object]:
        return {"type": "string", "minLength": 1, "maxLength": self.max_length}


@dataclass(frozen=True, slots=True)
class Identity(Rule):
    """An id of ours in a path; whatever looks otherwise cannot be one."""

    def accept(self, value: object) -> str:
        if _match_id(_string(value)) is None:
            raise BrokenRuleError("Must be 32 lowercase hexadecimal characters")
        return _string(value)

    def schema(self) -> dict[str, object]:
        return {"type": "string", "pattern": "^[0-9a-f]{32}$"}


@dataclass(frozen=True, slots=True)
class Prose(Rule):
    """Text of any number of lines, kept as it came."""

    max_length: int

    def accept(self, value: object) -> str:
        prose = _string(value)
        _require_length(prose, self.max_length)
        _require_printable(prose, allowed=_LINE_BREAKS)
        return prose

    def schema(self) -> dict[str, object]:
        return {"type": "string", "maxLength": self.max_length}


@dataclass(frozen=True, slots=True)
class Color(Rule):
    """A color as `#rrggbb`."""

    def accept(self, value: object) -> str:
        if _match_color(_string(value)) is None:
            raise BrokenRuleError("Must be a color such as #1a2b3c")
        return _string(value)

    def schema(self) -> dict[str, object]:
        return {"type": "string", "pattern": "^#[0-9A-Fa-f]{6}$"}


@dataclass(frozen=True, slots=True)
class Secret(Rule):
    """A string that is never shown nor changed, whatever it is made of."""

    max_length: int

    def accept(self, value: object) -> str:
        secret = _string(value)
        _require_length(secret, self.max_length)
        return secret

    def schema(self) -> dict[str, object]:
        return {"type": "string", "maxLength": self.max_length, "writeOnly": True}


@dataclass(frozen=True, slots=True)
class Truth(Rule):
    """True or false."""

    def accept(self, value: object) -> bool:
        if not isinstance(value, bool):
            raise BrokenRuleError("Must be true or false")
        return value

    def schema(self) -> dict[str, object]:
        return {"type": "boolean"}


@dataclass(frozen=True, slots=True)
class Amount(Rule):
    """A number with at most 4 decimals, taken exactly as it is written."""

    minimum: int
    maximum: int

    def accept(self, value: object) -> Decimal:
        number = _number(value)
        if not self.minimum <= number <= self.maximum:
            raise BrokenRuleError(f"Must be between {self.minimum} and {self.maximum}")
        kept = number.quantize(_DECIMALS)
        if kept != number:
            raise BrokenRuleError("Must have at most 4 decimals")
        return _plain(kept)

    def schema(self) -> dict[str, object]:
        return {"type": "number", "minimum": self.minimum, "maximum": self.maximum}


@dataclass(frozen=True, slots=True)
class Whole(Rule):
    """A whole number; `5.0` is one."""

    minimum: int
    maximum: int

    def accept(self, value: object) -> int:
        number = _number(value)
        if not self.minimum <= number <= self.maximum:
            raise BrokenRuleError(f"Must be between {self.minimum} and {self.maximum}")
        if number != (whole := int(number)):
            raise BrokenRuleError("Must be a whole number")
        return whole

    def schema(self) -> dict[str, object]:
        return {"type": "integer", "minimum": self.minimum, "maximum": self.maximum}


@dataclass(frozen=True, slots=True)
class Member(Rule):
    """One word of an enumeration, spelt exactly."""

    of: type[StrEnum]

    def accept(self, value: object) -> StrEnum:
        try:
            return self.of(_string(value))
        except BrokenRuleError:
            raise
        except ValueError as exc:
            raise BrokenRuleError(f"Must be one of {', '.join(self.of)}") from exc

    def schema(self) -> dict[str, object]:
        return {"type": "string", "enum": list(self.of)}


@dataclass(frozen=True, slots=True)
class Written(Rule):
    """A date or timestamp, still as it is written: what it means depends on the zone."""

    def accept(self, value: object) -> str:
        written = _string(value)
        _require_length(written, _MAX_INSTANT)
        parse_instant(written, _UTC, end=False)
        return written

    def schema(self) -> dict[str, object]:
        return {
            "type": "string",
            "description": "An RFC 3339 timestamp, or a plain date: a day of the organization's "
            "zone.",
            "examples": ["2031-02-03T04:05:06Z", "2031-02-03"],
        }


class Parameter(Rule):
    """A query parameter that is a filter: an empty value is as good as none."""

    def accept(self, value: object) -> object:
        written = _string(value)
        _require_length(written, _MAX_FILTER)
        _require_printable(written)
        return self.wanted(written) if written else None

    @abstractmethod
    def wanted(self, written: str) -> object:
        """What the filter looks for. Raises BrokenRuleError or InvalidInstantError."""

    def schema(self) -> dict[str, object]:
        return {"type": "string"}


@dataclass(frozen=True, slots=True)
class Text(Parameter):
    """Text to look for, or an id."""

    def wanted(self, written: str) -> str:
        return written


@dataclass(frozen=True, slots=True)
class Span(Parameter):
    """Dates to look in."""

    def wanted(self, written: str) -> InstantRange:
        return parse_date_filter(written)

    def schema(self) -> dict[str, object]:
        return {
            "type": "string",
            "description": "A timestamp, a whole year, month, day or hour of UTC, or a range "
            "`A..B` of these, either side open.",
            "examples": ["2031-02-03T04:05:06Z", "2031-02", "2031-02-03..2031-02-10"],
        }


@dataclass(frozen=True, slots=True)
class Switch(Parameter):
    """Something that is done or left, `true` or `false`."""

    def wanted(self, written: str) -> bool:
        if written not in ("true", "false"):
            raise BrokenRuleError("Must be true or false")
        return written == "true"

    def schema(self) -> dict[str, object]:
        return {"type": "string", "enum": ["true", "false", ""]}


@dataclass(frozen=True, slots=True)
class Choice(Parameter):
    """A word of an enumeration to look for, spelt exactly."""

    of: type[StrEnum]

    def wanted(self, written: str) -> object:
        return Member(self.of).accept(written)

    def schema(self) -> dict[str, object]:
        return {"type": "string", "enum": [*self.of, ""]}


@dataclass(frozen=True, slots=True)
class After(Rule):
    """A cursor of the feed; the empty one is its beginning."""

    def accept(self, value: object) -> Cursor:
        try:
            return parse_cursor(_string(value))
        except InvalidCursorError as exc:
            raise BrokenRuleError("Must be a position, or the cursor of a next link") from exc

    def schema(self) -> dict[str, object]:
        return {
            "type": "string",
            "pattern": "^([0-9]{1,18}(-[0-9a-f]{8})?)?$",
            "description": "Read the feed: what was committed after this cursor.",
            "examples": ["0", "4211-8d1f0a3c"],
        }


@dataclass(frozen=True, slots=True)
class Day(Rule):
    """A day of UTC, as the instant at which it begins."""

    def accept(self, value: object) -> datetime:
        if _match_day(_string(value)) is None:
            raise BrokenRuleError("Must be a day such as 2031-02-03")
        parse_instant(_string(value), _UTC, end=True)  # the last day there is has no end
        return parse_instant(_string(value), _UTC, end=False)

    def schema(self) -> dict[str, object]:
        return {
            "type": "string",
            "format": "date",
            "description": "A day of UTC.",
            "examples": ["2031-02-03"],
        }


@dataclass(frozen=True, slots=True)
class Digits(Rule):
    """A whole number of a query parameter, in plain digits."""

    minimum: int
    maximum: int

    def accept(self, value: object) -> int:
        if _match_digits(_string(value)) is None:
            raise BrokenRuleError("Must be a whole number")
        # Eleven digits are beyond every maximum; of thousands Python makes no number.
        digits = _string(value).lstrip("0")[:11] or "0"
        return Whole(self.minimum, self.maximum).accept(int(digits))

    def schema(self) -> dict[str, object]:
        return {"type": "integer", "minimum": self.minimum, "maximum": self.maximum}


def without_defaults(schema: JsonDict) -> None:
    """UNSET is nothing that a client could send."""
    properties = schema.get("properties")
    for described in properties.values() if isinstance(properties, dict) else ():
        if isinstance(described, dict) and described.get("default") in (UNSET.value, None):
            described.pop("default", None)


GRADE = Amount(0, 100)
ORDER_INDEX = Whole(0, 1_000_000)
REFERENCE = Line(_MAX_NAME)  # an id in a body: the use case knows which there are
WRITTEN = Written()

PathId: TypeAlias = Annotated[str, Identity()]
TextFilter: TypeAlias = Annotated[str | None, Text()]
DateFilter: TypeAlias = Annotated[InstantRange | None, Span()]


class Body(BaseModel):
    """What a client sends: names in camelCase, types exact, nothing that is not known.

    A property whose default is UNSET keeps its value when it is not named.
    """

    model_config = ConfigDict(
        strict=True,
        extra="forbid",
        frozen=True,
        alias_generator=to_camel,
        json_schema_extra=without_defaults,
    )

    def named(self) -> dict[str, Any]:
        """The properties that were named, by the names of the domain, for its `...Changes`."""
        return {name: getattr(self, name) for name in self.model_fields_set}


class ListQuery(BaseModel):
    """The query parameters of every list."""

    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel)

    limit: Annotated[int, Digits(1, MAX_LIMIT)] = DEFAULT_LIMIT
    offset: Annotated[int, Digits(0, _MAX_OFFSET)] = 0

    @property
    def page(self) -> Page:
        return Page(limit=self.limit, offset=self.offset)


def instant_of(written: str | None, zone: ZoneInfo, name: str, *, end: bool) -> datetime | None:
    """The instant a `BodyInstant` means in `zone`; `name` is the field it came in.

    Raises InvalidInputError for a day on the edge of the calendar.
    """
    if written is None:
        return None
    try:
        return parse_instant(written, zone, end=end)
    except InvalidInstantError as exc:
        raise InvalidInputError(field_errors={name: f"{exc.message}."}) from exc


def _string(value: object) -> str:
    if not isinstance(value, str):
        raise BrokenRuleError("Must be a string")
    return value


def _number(value: object) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise BrokenRuleError("Must be a number")
    return Decimal(value)


def _plain(number: Decimal) -> Decimal:
    """The number without trailing zeros, and without a sign where it is zero."""
    return Decimal(f"{number.normalize():f}") if number else Decimal(0)


def _require_length(text: str, max_length: int) -> None:
    if len(text) > max_length:
        raise BrokenRuleError(f"Must have at most {max_length} characters")


def _require_printable(text: str, allowed: str = "") -> None:
    if text.isprintable():
        return
    if any(unicodedata.category(char) in _CONTROL and char not in allowed for char in text):
        raise BrokenRuleError("Must not contain control characters")
