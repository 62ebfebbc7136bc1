"""The events as JSON schema, and the `webhooks` section of the OpenAPI document.

The examples are made by the code that makes events, so that they cannot tell otherwise.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from coursebell.domain.elements import ElementType
from coursebell.domain.events import EventName, encode
from coursebell.domain.samples import sample_event

Schema = dict[str, Any]  # JSON schema

_SAMPLE_TIME = datetime(2031, 2, 3, 4, 5, 6, tzinfo=UTC)
_ID: Schema = {"type": "string", "pattern": "^[0-9a-f]{32}$"}
_TEXT: Schema = {"type": "string"}
_GRADE: Schema = {"type": "number", "minimum": 0, "maximum": 100}
_INSTANT: Schema = {
    "type": "string",
    "format": "date-time",
    "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$",
}


def _object(properties: Mapping[str, Schema], *, optional: tuple[str, ...] = ()) -> Schema:
    """An object of these properties and no others; the `optional` ones may be left out."""
    return {
        "type": "object",
        "properties": dict(properties),
        "required": [name for name in properties if name not in optional],
        "additionalProperties": False,
    }


_RESULT: Mapping[str, Schema] = {
    "id": _ID,
    "beginDate": _INSTANT,
    "endDate": _INSTANT,
    "grade": _GRADE,
    "passed": {"type": "boolean"},
}
_REGRADED: Mapping[str, Schema] = {
    **_RESULT,
    "previousGrade": _GRADE,
    "previousPassed": {"type": "boolean"},
}
_USER = _object(
    {
        "id": _ID,
        "firstName": _TEXT,
        "lastName": _TEXT,
        "username": _TEXT,
        "email": _TEXT,
        "locale": _TEXT,
    }
)
_OFFERING = _object({"id": _ID, "title": _TEXT})
_ELEMENT: Mapping[str, Schema] = {
    "type": {"type": "string", "enum": list(ElementType)},
    "id": _ID,
    "title": _TEXT,
    "grade": _GRADE,
    "passed": {"type": "boolean"},
    "question": _TEXT,
    "response": _TEXT,
}
_COURSE = _object(
    {"id": _ID, "title": _TEXT, "instructor": _TEXT, "passingGrade": _GRADE},
    optional=("instructor",),
)


def _element(*told: str) -> Schema:
    """An element of which an event tells this much, besides its type, id and title."""
    names = ("type", "id", "title", *told)
    return _object({name: _ELEMENT[name] for name in names}, optional=told)


_SOURCE: Mapping[str, Schema] = {"source": {"type": "string", "enum": ["SELF", "ADMIN"]}}


def _about(registration: Schema) -> Mapping[str, Schema]:
    return {**_SOURCE, "user": _USER, "registration": registration, "offering": _OFFERING}


# What comes after `event` and `date`.
_PARTS: Mapping[EventName, Mapping[str, Schema]] = {
    EventName.OFFERING_COMPLETED: _about(_object(_RESULT, optional=("grade",))),
    EventName.OFFERING_REGISTERED: _about(_object({"id": _ID})),
    EventName.ELEMENT_COMPLETED: {
        **_SOURCE,
        "user": _USER,
        "element": _element("grade", "passed", "question", "response"),
        "offering": _OFFERING,
    },
    EventName.ELEMENT_AWAITING_GRADE: {
        "user": _USER,
        "element": _element("question", "response"),
        "offering": _OFFERING,
    },
    EventName.ELEMENT_PUBLISHED: {"element": _element("question"), "course": _COURSE},
    EventName.USER_CREATED: {**_SOURCE, "user": _USER},
    EventName.REGISTRATION_GRADE_CHANGED: _about(
        _object(_REGRADED, optional=("grade", "previousGrade"))
    ),
    EventName.REGISTRATION_REOPENED: _about(_object({"id": _ID})),
    EventName.REGISTRATION_EJECTED: _about(_object(_RESULT, optional=("grade", "passed"))),
    EventName.USER_ERASED: {**_SOURCE, "user": _object({"id": _ID})},
}

_SUMMARIES: Mapping[EventName, str] = {
    EventName.OFFERING_COMPLETED: "A registration ended as passed or failed.",
    EventName.OFFERING_REGISTERED: "A user was registered for an offering.",
    EventName.ELEMENT_COMPLETED: "A user completed an element of a course.",
    EventName.ELEMENT_AWAITING_GRADE: "A user handed in an element that a person must grade.",
    EventName.ELEMENT_PUBLISHED: "An element was activated into a course.",
    EventName.USER_CREATED: "A user was created.",
    EventName.REGISTRATION_GRADE_CHANGED: "An ended registration was graded again.",
    EventName.REGISTRATION_REOPENED: "An ended registration is active again.",
    EventName.REGISTRATION_EJECTED: "An active registration was ejected.",
    EventName.USER_ERASED: "A person's data were erased.",
}


def schema_name(event: EventName) -> str:
    """`offering_completed` is the component `OfferingCompletedEvent`."""
    return event.title().replace("_", "") + "Event"


def _event_schema(event: EventName) -> Schema:
    name: Schema = {"type": "string", "const": event.value}
    return _object({"event": name, "date": _INSTANT, **_PARTS[event]})


SCHEMAS: Mapping[str, Schema] = {schema_name(event): _event_schema(event) for event in EventName}

_HEADERS: Mapping[str, str] = {
    "webhook-id": "The event's id, the same at every attempt and replay.",
    "webhook-timestamp": "When this attempt started, in seconds since 1970.",
    "webhook-signature": "Standard Webhooks signatures of this attempt, space separated.",
    "ce-specversion": "CloudEvents: 1.0.",
    "ce-id": "The same as webhook-id.",
    "ce-type": "The event's name.",
    "ce-source": "The organization.",
    "ce-time": "When it happened.",
    "ce-subject": "The id of the registration, element or user.",
    "coursebell-delivery": "live, resend, replay, backfill or test.",
}


def webhooks_section() -> Schema:
    """What receivers are sent, by event: the full payload profile."""
    return {event.value: {"post": _operation(event)} for event in EventName}


def _operation(event: EventName) -> Schema:
    sample = sample_event(event, "5f60718293a4b5c6d7e8f90a1b2c3d4e", _SAMPLE_TIME)
    content = {
        "schema": {"$ref": f"#/components/schemas/{schema_name(event)}"},
        "examples": {"sample": {"value": json.loads(encode(sample.document))}},
    }
    return {
        "operationId": f"on_{event.value}",
        "summary": _SUMMARIES[event],
        "security": [],
        "parameters": [_header(name, text) for name, text in _HEADERS.items()],
        "requestBody": {"required": True, "content": {"application/json": content}},
        "responses": {
            "2XX": {"description": "Delivered. Anything else is tried again."},
            "410": {"description": "The webhook is disabled; a Zapier subscription is deleted."},
        },
    }


def _header(name: str, description: str) -> Schema:
    return {
        "name": name,
        "in": "header",
        "required": True,
        "description": description,
        "schema": _TEXT,
    }
