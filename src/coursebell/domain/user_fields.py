"""User fields: what an organization asks of its users besides, and which values each takes.

Types, names of constraints and JSON types are the vendor's (its "Userfield Type Reference").
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, TypeAlias

from coursebell.domain.people import check_email
from coursebell.errors import InvalidInputError

Value: TypeAlias = "str | int | float | bool | list[str]"  # as JSON knows it

_MAX_TEXT = 10_000  # characters of a text
_MAX_NUMBER = 10**10  # up to here a float with 4 decimals is read back as it was written
_FRACTION = Decimal("0.0001")
_match_date = re.compile(r"([0-9]{2})/([0-9]{2})/([0-9]{4})", re.ASCII).fullmatch


class FieldType(StrEnum):
    """What a field holds."""

    TEXT = "text"
    NUMBER = "number"  # a whole one
    DECIMAL = "decimal"
    EMAIL = "email"
    DATE = "date"  # a calendar date, `MM/dd/yyyy`
    DROPDOWN = "dropdown"  # one of the options
    RADIOBUTTONS = "radiobuttons"  # one of the options
    CHECKBOX = "checkbox"  # true or false
    CHECKBOXES = "checkboxes"  # some of the options
    TRUEFALSE = "truefalse"
    YESNO = "yesno"  # `yes` or `no`
    MESSAGE = "message"  # holds nothing: a text shown among the fields


class CategoryType(StrEnum):
    """Who sees the fields of a category."""

    PUBLIC = "public"  # the user too
    PRIVATE = "private"  # instructors and administrators only


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """A value that may be chosen."""

    name: str
    selected: bool  # chosen to begin with, where a form shows it


@dataclass(frozen=True, slots=True, kw_only=True)
class UserField:
    """Something that an organization asks of its users."""

    id: str
    type: FieldType
    name: str | None  # a message has none
    category_name: str
    category_type: CategoryType  # the same in the whole category
    order_index: int
    required: bool
    options: tuple[Option, ...]
    constraints: Mapping[str, object]
    message: str | None  # the text of a message
    created_at: datetime


class _WrongError(ValueError):
    """The value breaks the rule that the message says."""


def checked(field: UserField) -> UserField:
    """The field with its constraints as they are stored.

    Raises `InvalidInputError` naming everything that does not fit the field's type.
    """
    field_errors = {**_name_errors(field), **_option_errors(field)}
    if field.required and field.type in _NEVER_REQUIRED:
        field_errors["required"] = f"A field of type {field.type} cannot be required."
    constraints, broken = _constraints(field)
    field_errors |= broken
    if field_errors:
        raise InvalidInputError(field_errors=field_errors)
    return replace(field, constraints=constraints)


def accepted(
    fields: Mapping[str, UserField], values: Mapping[str, object]
) -> Mapping[str, Value | None]:
    """What to store for `values`, by the id of the field; None takes the value away.

    So does an empty text or list. Raises `InvalidInputError` naming each id that is unknown or has
    a value that its type or constraints do not allow.
    """
    stored: dict[str, Value | None] = {}
    field_errors = {}
    for field_id, value in values.items():
        field = fields.get(field_id)
        if field is None:
            field_errors[field_id] = "No user field exists with this id."
            continue
        try:
            stored[field_id] = None if value in (None, "", []) else _accepted(field, value)
        except _WrongError as exc:
            field_errors[field_id] = f"{exc}."
    if field_errors:
        raise InvalidInputError(field_errors=field_errors)
    return stored


def _accepted(field: UserField, value: object) -> Value:
    kept = _READERS[field.type](field, value)
    if bounds := _BOUNDS.get(field.type):
        bounds.require(field.constraints, kept)
    return kept


def _read_text(_field: UserField, value: object) -> Value:
    return _text(value)


def _read_number(_field: UserField, value: object) -> Value:
    return int(_whole(value))


def _read_decimal(_field: UserField, value: object) -> Value:
    return float(_number(value))


def _read_email(_field: UserField, value: object) -> Value:
    try:
        check_email(_text(value))
    except InvalidInputError as exc:
        raise _WrongError("Invalid email address") from exc
    return str(value)


def _read_date(_field: UserField, value: object) -> Value:
    _date(value)
    return str(value)


def _read_choice(field: UserField, value: object) -> Value:
    names = [option.name for option in field.options]
    if not isinstance(value, str) or value not in names:
        raise _WrongError(f"Must be one of {', '.join(names)}")
    return value


def _read_choices(field: UserField, value: object) -> Value:
    names = [option.name for option in field.options]
    if not isinstance(value, list) or not all(each in names for each in value):
        raise _WrongError(f"Must be a list of some of {', '.join(names)}")
    return [name for name in names if name in value]


def _read_truth(_field: UserField, value: object) -> Value:
    if not isinstance(value, bool):
        raise _WrongError("Must be true or false")
    return value


def _read_answer(_field: UserField, value: object) -> Value:
    if value not in ("yes", "no"):
        raise _WrongError("Must be yes or no")
    return str(value)


def _refuse(_field: UserField, _value: object) -> Value:
    raise _WrongError("A message holds no value")


_READERS: Mapping[FieldType, Callable[[UserField, object], Value]] = {
    FieldType.TEXT: _read_text,
    FieldType.NUMBER: _read_number,
    FieldType.DECIMAL: _read_decimal,
    FieldType.EMAIL: _read_email,
    FieldType.DATE: _read_date,
    FieldType.DROPDOWN: _read_choice,
    FieldType.RADIOBUTTONS: _read_choice,
    FieldType.CHECKBOX: _read_truth,
    FieldType.CHECKBOXES: _read_choices,
    FieldType.TRUEFALSE: _read_truth,
    FieldType.YESNO: _read_answer,
    FieldType.MESSAGE: _refuse,
}
_NEVER_REQUIRED = (FieldType.CHECKBOX, FieldType.MESSAGE)
_CHOOSING_ONE = (FieldType.DROPDOWN, FieldType.RADIOBUTTONS)
_CHOOSING = (*_CHOOSING_ONE, FieldType.CHECKBOXES)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise _WrongError("Must be a string")
    if len(value) > _MAX_TEXT:
        raise _WrongError(f"Must have at most {_MAX_TEXT} characters")
    if any(unicodedata.category(char) == "Cc" and char not in "\n\r\t" for char in value):
        raise _WrongError("Must not contain control characters")
    return value


def _number(value: object) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise _WrongError("Must be a number")
    number = Decimal(str(value))
    if not -_MAX_NUMBER <= number <= _MAX_NUMBER:
        raise _WrongError(f"Must be between {-_MAX_NUMBER} and {_MAX_NUMBER}")
    if number != number.quantize(_FRACTION):
        raise _WrongError("Must have at most 4 decimals")
    return number


def _whole(value: object) -> Decimal:
    number = _number(value)
    if number != int(number):
        raise _WrongError("Must be a whole number")
    return number


def _length(value: object) -> Decimal:
    length = _whole(value)
    if not 0 <= length <= _MAX_TEXT:
        raise _WrongError(f"Must be between 0 and {_MAX_TEXT}")
    return length


def _date(value: object) -> date:
    match = _match_date(value) if isinstance(value, str) else None
    if match is None:
        raise _WrongError("Must be a date written MM/dd/yyyy")
    month, day, year = map(int, match.groups())
    try:
        return date(year, month, day)
    except ValueError as exc:
        raise _WrongError("No such date exists") from exc


@dataclass(frozen=True, slots=True)
class _Bounds:
    """The two constraints of a type: their names, how they are read, what they are put on."""

    least: str
    most: str
    read: Callable[[object], Any]
    measure: Callable[[Any], Any]
    too_little: str
    too_much: str

    def require(self, constraints: Mapping[str, object], value: Value) -> None:
        """Raise `_WrongError` for a value that is not between them; both belong to it."""
        found = self.measure(value)
        least, most = constraints.get(self.least), constraints.get(self.most)
        if least is not None and found < self.read(least):
            raise _WrongError(self.too_little.format(least))
        if most is not None and found > self.read(most):
            raise _WrongError(self.too_much.format(most))


_LENGTHS = _Bounds(
    least="minimumLength",
    most="maximumLength",
    read=_length,
    measure=len,
    too_little="Must have at least {} characters",
    too_much="Must have at most {} characters",
)
_VALUES = _Bounds(
    least="minimumValue",
    most="maximumValue",
    read=_number,
    measure=_number,
    too_little="Must be at least {}",
    too_much="Must be at most {}",
)
_BOUNDS: Mapping[FieldType, _Bounds] = {
    FieldType.TEXT: _LENGTHS,
    FieldType.EMAIL: _LENGTHS,
    FieldType.NUMBER: replace(_VALUES, read=_whole),
    FieldType.DECIMAL: _VALUES,
    FieldType.DATE: _Bounds(
        least="minimumDate",
        most="maximumDate",
        read=_date,
        measure=_date,
        too_little="Must not be before {}",
        too_much="Must not be after {}",
    ),
}


def _name_errors(field: UserField) -> dict[str, str]:
    is_message = field.type is FieldType.MESSAGE
    shown, hidden = ("message", "name") if is_message else ("name", "message")
    field_errors = {}
    if not getattr(field, shown):
        field_errors[shown] = f"Is required in a field of type {field.type}."
    if getattr(field, hidden) is not None:
        field_errors[hidden] = f"Has no place in a field of type {field.type}."
    return field_errors


def _option_errors(field: UserField) -> dict[str, str]:
    names = [option.name for option in field.options]
    selected = sum(option.selected for option in field.options)
    if field.type not in _CHOOSING:
        rule = f"Has no place in a field of type {field.type}." if names else None
    elif not names:
        rule = f"Is required in a field of type {field.type}."
    elif len(set(names)) < len(names):
        rule = "Must not have a name twice."
    elif selected > 1 and field.type in _CHOOSING_ONE:
        rule = f"At most one can be selected in a field of type {field.type}."
    else:
        rule = None
    return {"options": rule} if rule else {}


def _constraints(field: UserField) -> tuple[dict[str, object], dict[str, str]]:
    """The constraints as they are stored, and what is wrong with them."""
    bounds = _BOUNDS.get(field.type)
    names = () if bounds is None else (bounds.least, bounds.most)
    stored: dict[str, object] = {}
    field_errors = {}
    for name, value in field.constraints.items():
        if bounds is None or name not in names:
            known = f"Known are {', '.join(names)}." if names else "This type has none."
            field_errors[f"constraints.{name}"] = f"Unknown. {known}"
            continue
        try:
            stored[name] = _plain(bounds.read(value), value)
        except _WrongError as exc:
            field_errors[f"constraints.{name}"] = f"{exc}."
    if bounds is not None and not field_errors and stored.keys() == set(names):
        least, most = bounds.read(stored[bounds.least]), bounds.read(stored[bounds.most])
        if most < least:
            field_errors[f"constraints.{bounds.most}"] = f"Must not be less than {bounds.least}."
    return stored, field_errors


def _plain(read: object, written: object) -> object:
    """A constraint as JSON knows it: a number without a needless fraction, or a date's text."""
    if isinstance(read, Decimal):
        return int(read) if read == int(read) else float(read)
    return written
