"""From the bytes of a verified body to a typed event.

Fields that this version does not know are ignored and names of events that it does not know give
`UnknownEvent`, so a newer server does not break an older receiver.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import NoReturn, TypedDict, TypeVar

from coursebell_receiver.errors import Reason, VerificationError
from coursebell_receiver.events import (
    Course,
    DeliveryKind,
    Element,
    ElementAwaitingGrade,
    ElementCompleted,
    ElementPublished,
    Event,
    Json,
    Offering,
    OfferingCompleted,
    OfferingRegistered,
    Registration,
    RegistrationEjected,
    RegistrationGradeChanged,
    RegistrationReopened,
    RegradedRegistration,
    Source,
    UnknownEvent,
    User,
    UserCreated,
    UserErased,
)

_T = TypeVar("_T")
_INSTANT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")


def parse_event(body: bytes, *, event_id: str, delivery: DeliveryKind | None = None) -> Event:
    """The event that `body` tells; checks no signature, so call `verify` unless it is your own.

    Raises `VerificationError` with the reason `not_json` or `malformed_event`.
    """
    document = _object(body)
    fields = _Fields(document, "")
    name = fields.required("event", fields.text)
    envelope = _Envelope(
        id=event_id,
        event=name,
        date=fields.required("date", fields.instant),
        source=fields.source("source"),
        link=fields.text("link"),
        delivery=delivery,
        document=document,
    )
    return _READERS.get(name, _unknown_event)(envelope, fields)


class _Envelope(TypedDict):
    id: str
    event: str
    date: datetime
    source: Source | None
    link: str | None
    delivery: DeliveryKind | None
    document: Mapping[str, Json]


def _object(body: bytes) -> dict[str, Json]:
    try:
        # decoded here, because json.loads would also accept UTF-16 and UTF-32
        document = json.loads(body.decode(), parse_float=Decimal, parse_constant=_refuse_constant)
    except (ValueError, ArithmeticError, RecursionError) as error:
        # ArithmeticError: an exponent that Decimal cannot hold; ValueError: all else
        raise VerificationError(Reason.NOT_JSON, "the body is not UTF-8 JSON") from error
    if not isinstance(document, dict):
        _malformed("the body is not an object")
    return document


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _malformed(message: str) -> NoReturn:
    raise VerificationError(Reason.MALFORMED_EVENT, message)


@dataclass(frozen=True, slots=True)
class _Fields:
    """An object of the body, read by name and type; absent and `null` are `None`."""

    values: Mapping[str, Json]
    path: str

    def required(self, name: str, read: Callable[[str], _T | None]) -> _T:
        value = read(name)
        if value is None:
            _malformed(f"{self.path}{name} is missing")
        return value

    def text(self, name: str) -> str | None:
        value = self.values.get(name)
        if value is None or isinstance(value, str):
            return value
        _malformed(f"{self.path}{name} is not a string")

    def id(self) -> str:
        return self.required("id", self.text)

    def flag(self, name: str) -> bool | None:
        value = self.values.get(name)
        if value is None or isinstance(value, bool):
            return value
        _malformed(f"{self.path}{name} is not true or false")

    def grade(self, name: str) -> Decimal | None:
        value = self.values.get(name)
        if value is None:
            return None
        if isinstance(value, int | Decimal) and not isinstance(value, bool):
            grade = Decimal(value)
            if grade.is_finite() and 0 <= grade <= 100:
                return grade
        _malformed(f"{self.path}{name} is not a number from 0 to 100")

    def instant(self, name: str) -> datetime | None:
        text = self.text(name)
        if text is None:
            return None
        try:
            if _INSTANT.fullmatch(text):
                return datetime.fromisoformat(text)
        except ValueError:
            pass  # a day or an hour that no calendar has
        _malformed(f"{self.path}{name} is not a timestamp such as 2014-04-18T00:39:57Z")

    def source(self, name: str) -> Source | None:
        text = self.text(name)
        if text is None:
            return None
        if text not in Source.__members__:
            _malformed(f"{self.path}{name} is not SELF or ADMIN")
        return Source(text)

    def part(self, name: str, read: Callable[[_Fields], _T]) -> _T:
        value = self.values.get(name)
        if not isinstance(value, dict):
            _malformed(f"{self.path}{name} is not an object")
        return read(_Fields(value, f"{self.path}{name}."))


def _user(fields: _Fields) -> User:
    return User(
        id=fields.id(),
        first_name=fields.text("firstName"),
        last_name=fields.text("lastName"),
        username=fields.text("username"),
        email=fields.text("email"),
        locale=fields.text("locale"),
    )


def _registration(fields: _Fields) -> Registration:
    return Registration(
        id=fields.id(),
        begin_date=fields.instant("beginDate"),
        end_date=fields.instant("endDate"),
        grade=fields.grade("grade"),
        passed=fields.flag("passed"),
    )


def _regraded_registration(fields: _Fields) -> RegradedRegistration:
    return RegradedRegistration(
        id=fields.id(),
        begin_date=fields.instant("beginDate"),
        end_date=fields.instant("endDate"),
        grade=fields.grade("grade"),
        passed=fields.flag("passed"),
        previous_grade=fields.grade("previousGrade"),
        previous_passed=fields.flag("previousPassed"),
    )


def _offering(fields: _Fields) -> Offering:
    return Offering(id=fields.id(), title=fields.text("title"))


def _element(fields: _Fields) -> Element:
    return Element(
        id=fields.id(),
        type=fields.text("type"),
        title=fields.text("title"),
        grade=fields.grade("grade"),
        passed=fields.flag("passed"),
        question=fields.text("question"),
        response=fields.text("response"),
    )


def _course(fields: _Fields) -> Course:
    return Course(
        id=fields.id(),
        title=fields.text("title"),
        instructor=fields.text("instructor"),
        passing_grade=fields.grade("passingGrade"),
    )


_AboutRegistration = TypeVar(
    "_AboutRegistration",
    OfferingCompleted,
    OfferingRegistered,
    RegistrationReopened,
    RegistrationEjected,
)
_AboutElement = TypeVar("_AboutElement", ElementCompleted, ElementAwaitingGrade)
_AboutUser = TypeVar("_AboutUser", UserCreated, UserErased)
_Reader = Callable[[_Envelope, _Fields], Event]


def _about_registration(kind: type[_AboutRegistration]) -> _Reader:
    def read(envelope: _Envelope, fields: _Fields) -> _AboutRegistration:
        return kind(
            **envelope,
            user=fields.part("user", _user),
            registration=fields.part("registration", _registration),
            offering=fields.part("offering", _offering),
        )

    return read


def _about_element(kind: type[_AboutElement]) -> _Reader:
    def read(envelope: _Envelope, fields: _Fields) -> _AboutElement:
        return kind(
            **envelope,
            user=fields.part("user", _user),
            element=fields.part("element", _element),
            offering=fields.part("offering", _offering),
        )

    return read


def _about_user(kind: type[_AboutUser]) -> _Reader:
    def read(envelope: _Envelope, fields: _Fields) -> _AboutUser:
        return kind(**envelope, user=fields.part("user", _user))

    return read


def _grade_changed(envelope: _Envelope, fields: _Fields) -> RegistrationGradeChanged:
    return RegistrationGradeChanged(
        **envelope,
        user=fields.part("user", _user),
        registration=fields.part("registration", _regraded_registration),
        offering=fields.part("offering", _offering),
    )


def _element_published(envelope: _Envelope, fields: _Fields) -> ElementPublished:
    return ElementPublished(
        **envelope,
        element=fields.part("element", _element),
        course=fields.part("course", _course),
    )


def _unknown_event(envelope: _Envelope, _fields: _Fields) -> UnknownEvent:
    return UnknownEvent(**envelope)


_READERS: Mapping[str, _Reader] = {
    "offering_completed": _about_registration(OfferingCompleted),
    "offering_registered": _about_registration(OfferingRegistered),
    "registration_grade_changed": _grade_changed,
    "registration_reopened": _about_registration(RegistrationReopened),
    "registration_ejected": _about_registration(RegistrationEjected),
    "element_completed": _about_element(ElementCompleted),
    "element_awaiting_grade": _about_element(ElementAwaitingGrade),
    "element_published": _element_published,
    "user_created": _about_user(UserCreated),
    "user_erased": _about_user(UserErased),
}

EVENT_NAMES = frozenset(_READERS)
"""The names of the events that have a class of their own."""
