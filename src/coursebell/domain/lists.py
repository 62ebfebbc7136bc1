"""How lists are asked for and answered: pages, and the filters of each collection.

A filter that is None does not filter. Text filters are case-insensitive substrings; the others
match exactly. All that are given must match.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from coursebell.domain.instants import InstantRange

T = TypeVar("T")

DEFAULT_LIMIT = 15
MAX_LIMIT = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Which part of a list is wanted."""

    limit: int = DEFAULT_LIMIT
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Slice(Generic[T]):
    """One page of a list, and whether there is another after it."""

    items: Sequence[T]
    more: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class UserFilters:
    created: InstantRange | None = None
    last_login: InstantRange | None = None
    first_name: str | None = None
    last_name: str | None = None
    username: str | None = None
    email: str | None = None
    role: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CourseFilters:
    created: InstantRange | None = None
    title: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ElementFilters:
    type: str | None = None
    status: str | None = None
    title: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CategoryFilters:
    created: InstantRange | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferingFilters:
    created: InstantRange | None = None
    title: str | None = None
    category_id: str | None = None
    tags: tuple[str, ...] = ()  # all of them
    available_to: str | None = None  # a user's id: offerings that user could register for now


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrationFilters:
    status: str | None = None
    user_id: str | None = None
    offering_id: str | None = None
    created: InstantRange | None = None
    begin: InstantRange | None = None
    last_active: InstantRange | None = None
    end: InstantRange | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UserFieldFilters:
    created: InstantRange | None = None
    name: str | None = None
    type: str | None = None
    category_name: str | None = None
    category_type: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GradebookFilters:
    status: str | None = None
    name: str | None = None  # in first and last name, with a space between
    awaiting: bool | None = None  # whether a person must grade something


@dataclass(frozen=True, slots=True, kw_only=True)
class EventFilters:
    event: str | None = None
    registration_id: str | None = None
    user_id: str | None = None
    created: InstantRange | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFilters:
    actor: str | None = None
    user_id: str | None = None  # who did it
    action: str | None = None
    subject: str | None = None
    subject_id: str | None = None
    created: InstantRange | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryFilters:
    status: str | None = None
    event: str | None = None
    registration_id: str | None = None
    created: InstantRange | None = None
