"""What receivers are told: the documents of every event, their bytes, their profiles, filters.

The shapes and the order of keys follow the vendor's event pages (`docs/reference/events.md`); the
seed page's example is a golden file of the tests.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_DOWN, Decimal
from enum import StrEnum

from coursebell.domain.elements import Element, ElementType, Work
from coursebell.domain.instants import format_instant
from coursebell.domain.model import Course, Offering, Payload, Registration, Source, User

Document = dict[str, object]


class EventName(StrEnum):
    """What can happen, as receivers name it."""

    OFFERING_COMPLETED = "offering_completed"
    OFFERING_REGISTERED = "offering_registered"
    ELEMENT_COMPLETED = "element_completed"
    ELEMENT_AWAITING_GRADE = "element_awaiting_grade"
    ELEMENT_PUBLISHED = "element_published"
    USER_CREATED = "user_created"
    REGISTRATION_GRADE_CHANGED = "registration_grade_changed"
    REGISTRATION_REOPENED = "registration_reopened"
    REGISTRATION_EJECTED = "registration_ejected"
    USER_ERASED = "user_erased"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEvent:
    """An event about to be committed, as a document in the full profile."""

    id: str
    name: EventName
    source: Source | None
    occurred_at: datetime
    user_id: str | None
    registration_id: str | None
    registration_seq: int | None
    offering_id: str | None
    element_id: str | None = None
    document: Document


def encode(document: Document) -> bytes:
    """Compact UTF-8 JSON; `Decimal` becomes a number rounded down to 4 decimals."""
    return _to_json(document).encode()


def number(value: Decimal) -> float:
    """What is sent for a grade or price: rounded down, never up into a pass (domain rule 9).

    Its `repr` has at least one fraction digit, and below 10^15 no exponent.
    """
    rounded = value.quantize(_FOUR_DECIMALS, rounding=ROUND_DOWN)
    return float(rounded) + 0.0  # which makes -0.0 a plain 0.0


_FOUR_DECIMALS = Decimal("0.0001")


def _number(value: object) -> float:
    if isinstance(value, Decimal):
        return number(value)
    raise TypeError(f"{type(value).__name__} has no place in an event")


_to_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=_number).encode


def without_empty(document: Mapping[str, object | None]) -> Document:
    """A field with no value is left out, never null."""
    return {key: value for key, value in document.items() if value is not None}


def user_part(user: User) -> Document:
    return {
        "id": user.id,
        "firstName": user.first_name,
        "lastName": user.last_name,
        "username": user.username,
        "email": user.email,
        "locale": user.locale,
    }


def result_part(registration: Registration) -> Document:
    """The registration with its dates and result, as far as it has them."""
    passed = registration.status == "passed" if registration.status.has_result else None
    return without_empty(
        {
            "id": registration.id,
            "beginDate": _instant(registration.begin_at),
            "endDate": _instant(registration.end_at),
            "grade": registration.grade,
            "passed": passed,
        }
    )


def _instant(instant: datetime | None) -> str | None:
    return None if instant is None else format_instant(instant)


def regraded_part(registration: Registration, before: Registration) -> Document:
    """The result, and what it was before it was graded again."""
    previous = without_empty({"previousGrade": before.grade})
    return {
        **result_part(registration),
        **previous,
        "previousPassed": before.status == "passed",
    }


def identity_part(registration: Registration) -> Document:
    """All that `offering_registered` and `registration_reopened` say of the registration."""
    return {"id": registration.id}


def registration_event(
    *,
    event_id: str,
    name: EventName,
    source: Source,
    now: datetime,
    user: User,
    registration: Registration,
    registration_part: Document,
    offering: Offering,
) -> NewEvent:
    """An event about a registration; its number is the registration's `event_count`."""
    return NewEvent(
        id=event_id,
        name=name,
        source=source,
        occurred_at=now,
        user_id=user.id,
        registration_id=registration.id,
        registration_seq=registration.event_count,
        offering_id=offering.id,
        document={
            "event": name.value,
            "date": format_instant(now),
            "source": source.value,
            "user": user_part(user),
            "registration": registration_part,
            "offering": {"id": offering.id, "title": offering.title},
        },
    )


def user_created(*, event_id: str, source: Source, now: datetime, user: User) -> NewEvent:
    return _user_event(event_id, EventName.USER_CREATED, source, now, user_part(user))


def user_erased(*, event_id: str, source: Source, now: datetime, user_id: str) -> NewEvent:
    """All that is still known of the person is the id."""
    return _user_event(event_id, EventName.USER_ERASED, source, now, {"id": user_id})


def _user_event(
    event_id: str, name: EventName, source: Source, now: datetime, part: Document
) -> NewEvent:
    return NewEvent(
        id=event_id,
        name=name,
        source=source,
        occurred_at=now,
        user_id=str(part["id"]),
        registration_id=None,
        registration_seq=None,
        offering_id=None,
        document={
            "event": name.value,
            "date": format_instant(now),
            "source": source.value,
            "user": part,
        },
    )


def element_event(
    *,
    event_id: str,
    source: Source,
    now: datetime,
    user: User,
    registration: Registration,
    element: Element,
    work: Work,
    offering: Offering,
) -> NewEvent:
    """`element_completed`; or, of work that awaits a grade, `element_awaiting_grade`.

    The latter has no source. Its number is the registration's `event_count`.
    """
    awaiting = work.awaiting
    name = EventName.ELEMENT_AWAITING_GRADE if awaiting else EventName.ELEMENT_COMPLETED
    return NewEvent(
        id=event_id,
        name=name,
        source=None if awaiting else source,
        occurred_at=now,
        user_id=user.id,
        registration_id=registration.id,
        registration_seq=registration.event_count,
        offering_id=offering.id,
        element_id=element.id,
        document=without_empty(
            {
                "event": name.value,
                "date": format_instant(now),
                "source": None if awaiting else source.value,
                "user": user_part(user),
                "element": element_part(element, work),
                "offering": {"id": offering.id, "title": offering.title},
            }
        ),
    )


def element_part(element: Element, work: Work | None = None) -> Document:
    """The element, and how it was done; question and response belong to assignments."""
    is_assignment = element.type is ElementType.ASSIGNMENT
    return without_empty(
        {
            "type": element.type.value,
            "id": element.id,
            "title": element.title,
            "grade": None if work is None else work.grade,
            "passed": None if work is None else work.passed,
            "question": element.question if is_assignment else None,
            "response": work.response if work is not None and is_assignment else None,
        }
    )


def element_published(
    *, event_id: str, now: datetime, element: Element, course: Course, instructor: User | None
) -> NewEvent:
    """About nobody: its document has neither source nor user. `instructor` is told by name.

    So it is an event that says something of the instructor, who may want to be forgotten.
    """
    name = None if instructor is None else f"{instructor.first_name} {instructor.last_name}"
    return NewEvent(
        id=event_id,
        name=EventName.ELEMENT_PUBLISHED,
        source=None,
        occurred_at=now,
        user_id=None if instructor is None else instructor.id,
        registration_id=None,
        registration_seq=None,
        offering_id=None,
        element_id=element.id,
        document={
            "event": EventName.ELEMENT_PUBLISHED.value,
            "date": format_instant(now),
            "element": element_part(element),
            "course": without_empty(
                {
                    "id": course.id,
                    "title": course.title,
                    "instructor": name,
                    "passingGrade": course.passing_grade,
                }
            ),
        },
    )


def without_personal_data(body: bytes) -> bytes:
    """The bytes of an event, in any profile, reduced to what the profile `ids` tells."""
    return encode(_reduced(json.loads(body)))


_SUBJECTS = ("user", "registration", "element", "offering", "course")


def in_profile(event: NewEvent, payload: Payload, public_url: str | None) -> Document:
    """The event's document as a webhook with this payload profile is told it.

    `thin` links to the event's own resource under `public_url`: its element, as the registration
    or the course has it, else its registration, else its user.
    """
    if payload is Payload.FULL:
        return event.document
    reduced = _reduced(event.document)
    if payload is Payload.THIN and public_url is not None:
        reduced["link"] = f"{public_url}/api/v5/{_resource_of(event, reduced)}"
    return reduced


def _reduced(document: Document) -> Document:
    """What happened, to whom and to what, by ids alone."""
    reduced: Document = {}
    for key, value in document.items():
        if key in _SUBJECTS and isinstance(value, dict):
            reduced[key] = {"id": value["id"]}
        elif key in ("event", "date", "source"):
            reduced[key] = value
    return reduced


def _resource_of(event: NewEvent, reduced: Document) -> str:
    course = reduced.get("course")
    if event.registration_id is not None:
        whole = f"registrations/{event.registration_id}"
    elif isinstance(course, dict):
        whole = f"courses/{course['id']}"
    else:
        whole = f"users/{event.user_id}"
    return whole if event.element_id is None else f"{whole}/elements/{event.element_id}"


FilterTest = Callable[[object, object], bool]


def _equals(value: object, wanted: object) -> bool:
    return value in wanted if isinstance(wanted, (list, tuple)) else value == wanted


def _contains(value: object, wanted: object) -> bool:
    return str(wanted).casefold() in str(value).casefold()


def _ends_with(value: object, wanted: object) -> bool:
    return str(value).casefold().endswith(str(wanted).casefold())


FILTERS: dict[str, tuple[tuple[str, ...], FilterTest]] = {
    "offering.id": (("offering", "id"), _equals),
    "offering.title.contains": (("offering", "title"), _contains),
    "user.email.endswith": (("user", "email"), _ends_with),
    "registration.passed": (("registration", "passed"), _equals),
    "source": (("source",), _equals),
    "element.type": (("element", "type"), _equals),
}


def matches(document: Document, filters: Mapping[str, object]) -> bool:
    """Whether every filter matches; one on a field the event lacks does not."""
    for name, wanted in filters.items():
        path, test = FILTERS[name]
        value = _value_at(document, path)
        if value is None or not test(value, wanted):
            return False
    return True


def _value_at(document: Document, path: tuple[str, ...]) -> object | None:
    value: object = document
    for key in path:
        if not isinstance(value, dict) or key not in value:
            return None
        value = value[key]
    return value
