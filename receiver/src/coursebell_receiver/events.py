"""The events of Coursebell and the things that they tell of.

A webhook chooses its payload profile. In `full` an event says all that is known; in `ids` and
`thin` it names people and things by their id alone, so every other field may be `None`. `None`
always means that the event does not say.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import TypeAlias

Json: TypeAlias = "str | int | bool | Decimal | list[Json] | dict[str, Json] | None"
"""What a body is made of: a number with a fraction or an exponent is read exactly, as `Decimal`."""


class Source(StrEnum):
    """Who caused the event."""

    SELF = "SELF"
    """The learner's own action."""
    ADMIN = "ADMIN"
    """All else: an instructor, an API client, the end of the offering, an import."""


class DeliveryKind(StrEnum):
    """Why the event comes now: the header `coursebell-delivery`, which the signature leaves out."""

    LIVE = "live"
    """It just happened, or an earlier attempt at telling you failed."""
    RESEND = "resend"
    """A person asked for this delivery again."""
    REPLAY = "replay"
    """A person asked for a range of deliveries again."""
    BACKFILL = "backfill"
    """It happened before the webhook existed."""
    TEST = "test"
    """A sample: nothing happened."""


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A person of the organization; `username` equals `email` where people sign in by e-mail."""

    id: str
    first_name: str | None = None
    last_name: str | None = None
    username: str | None = None
    email: str | None = None
    locale: str | None = None
    """A preference as stored, such as `en` or `en_US`; not always a known locale."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """One attempt of a user at an offering."""

    id: str
    begin_date: datetime | None = None
    """When the user was first active; aware, UTC, as all instants here."""
    end_date: datetime | None = None
    """When it ended. May be later than the event's `date`, as in the vendor's example."""
    grade: Decimal | None = None
    """0 to 100, at most 4 decimals, rounded down; `None` where it ended without a grade."""
    passed: bool | None = None
    """Decided by the server; never derive it from `grade`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegradedRegistration(Registration):
    """A registration with the result that it had before it was graded again."""

    previous_grade: Decimal | None = None
    previous_passed: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Offering:
    """A course as it is offered to users."""

    id: str
    title: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Element:
    """A part of a course."""

    id: str
    type: str | None = None
    """`chalkboard`, `test`, `file`, `assignment`, `sco` or `webarchive`; others may be added."""
    title: str | None = None
    grade: Decimal | None = None
    passed: bool | None = None
    question: str | None = None
    """What an `assignment` asks."""
    response: str | None = None
    """What the user answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """What an offering teaches."""

    id: str
    title: str | None = None
    instructor: str | None = None
    """A name to display, not an id."""
    passing_grade: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something happened. Every event is one of the classes below."""

    id: str
    """`webhook-id`: the same at every attempt, resend and replay, so de-duplicate by it."""
    event: str
    """The event's name, such as `offering_completed`."""
    date: datetime
    """When it happened; aware, UTC, whole seconds."""
    source: Source | None = None
    link: str | None = None
    """In the profile `thin`: where the REST API tells the rest."""
    delivery: DeliveryKind | None = None
    """Not signed, so a hint and no proof; `None` when absent or unknown to this version."""
    document: Mapping[str, Json] = field(repr=False, compare=False)
    """The whole body as parsed, also what this version has no field for. Only to be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferingCompleted(Event):
    """`offering_completed`: a registration ended as passed or failed; see `registration.passed`."""

    user: User
    registration: Registration
    offering: Offering


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferingRegistered(Event):
    """`offering_registered`: a user was registered for an offering."""

    user: User
    registration: Registration
    offering: Offering


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrationGradeChanged(Event):
    """`registration_grade_changed`: an ended registration was graded again."""

    user: User
    registration: RegradedRegistration
    offering: Offering


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrationReopened(Event):
    """`registration_reopened`: an ended registration is active again and has no result."""

    user: User
    registration: Registration
    offering: Offering


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrationEjected(Event):
    """`registration_ejected`: a registration ended without completing."""

    user: User
    registration: Registration
    offering: Offering


@dataclass(frozen=True, slots=True, kw_only=True)
class ElementCompleted(Event):
    """`element_completed`: a user completed an element; its grade is left out where ungraded."""

    user: User
    element: Element
    offering: Offering


@dataclass(frozen=True, slots=True, kw_only=True)
class ElementAwaitingGrade(Event):
    """`element_awaiting_grade`: a user handed in an element that a person must grade."""

    user: User
    element: Element
    offering: Offering


@dataclass(frozen=True, slots=True, kw_only=True)
class ElementPublished(Event):
    """`element_published`: an element was activated into a course."""

    element: Element
    course: Course


@dataclass(frozen=True, slots=True, kw_only=True)
class UserCreated(Event):
    """`user_created`: a user was created. A password is never told."""

    user: User


@dataclass(frozen=True, slots=True, kw_only=True)
class UserErased(Event):
    """`user_erased`: a person's data were erased; do the same for `user.id`."""

    user: User


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownEvent(Event):
    """A rightly signed event that is newer than this version: see `document`, and answer 2xx."""
