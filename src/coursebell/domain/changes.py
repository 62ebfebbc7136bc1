"""Partial changes: what is not named keeps its value."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from datetime import datetime
from decimal import Decimal
from enum import Enum
from functools import cache
from operator import attrgetter
from typing import Final, TypeVar

from coursebell.domain.instants import format_instant

T = TypeVar("T")


class Unset(Enum):
    """The one value that says: not named."""

    UNSET = "unset"


UNSET: Final = Unset.UNSET


def named(changes: object) -> Mapping[str, object]:
    """The fields of a dataclass of changes that were named."""
    values = {field.name: getattr(changes, field.name) for field in fields(changes)}  # type: ignore[arg-type]
    return {name: value for name, value in values.items() if value is not UNSET}


def changed(current: T, values: Mapping[str, object]) -> T:
    """`current` with `values` in place."""
    return replace(current, **values)  # type: ignore[type-var]


def snapshot_of(value: object) -> dict[str, object]:
    """The fields of a dataclass value that have something in them, as plain JSON values."""
    names, read = _fields_of(type(value))  # type: ignore[arg-type]
    return {
        name: plain(each) for name, each in zip(names, read(value), strict=True) if each is not None
    }


def difference(before: object, after: object) -> tuple[dict[str, object], dict[str, object]]:
    """The fields of two dataclass values of a kind that differ, as plain JSON values."""
    old, new = {}, {}
    names, read = _fields_of(type(after))  # type: ignore[arg-type]
    for name, was, is_ in zip(names, read(before), read(after), strict=True):
        if was is not is_ and was != is_:
            old[name], new[name] = plain(was), plain(is_)
    return old, new


@cache
def _fields_of(kind: type) -> tuple[Sequence[str], Callable[[object], tuple[object, ...]]]:
    """The names of the fields of a dataclass, and what reads all of them at once."""
    first, *others = (field.name for field in fields(kind))
    if not others:
        return (first,), lambda value: (getattr(value, first),)
    return (first, *others), attrgetter(first, *others)


def plain(value: object) -> object:
    """A value as JSON knows it; what JSON lacks becomes its text."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str | Decimal):
        return str(value)  # of an enumeration, the word alone
    if isinstance(value, datetime):
        return format_instant(value)
    return _plain_inside(value)


def _plain_inside(value: object) -> object:
    if is_dataclass(value):
        return snapshot_of(value)
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, tuple | list):
        return [plain(each) for each in value]
    return str(value)
