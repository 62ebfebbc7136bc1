"""What the API shows of each thing: the documents, and the functions that make them.

A field with no value is left out, never null. Names are camelCase, instants UTC with whole
seconds, grades and prices numbers with at least one fraction digit and at most four.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Generic, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, SerializeAsAny, WithJsonSchema
from pydantic.alias_generators import to_camel
from pydantic.json_schema import SkipJsonSchema

from coursebell.domain.elements import AttemptsPolicy, Element, ElementStatus, ElementType
from coursebell.domain.events import EventName, number
from coursebell.domain.instants import format_instant
from coursebell.domain.model import (
    ActorKind,
    Attempt,
    Course,
    Delivery,
    DeliveryKind,
    DeliveryStatus,
    Event,
    Method,
    MoveOn,
    Offering,
    OfferingCategory,
    Payload,
    Registration,
    Role,
    Source,
    Status,
    Token,
    User,
    Webhook,
    WebhookKind,
    WebhookStatus,
)
from coursebell.services.deliveries import DeliveryWithAttempts
from coursebell.services.headers import Headers
from coursebell.services.reconciliation import Day
from coursebell.storage.audit import Entry
from coursebell.web.fields import without_defaults
from coursebell_receiver import Tally

Absent: TypeAlias = SkipJsonSchema[None]  # the field is left out: its schema knows no null

Id: TypeAlias = Annotated[
    str, WithJsonSchema({"type": "string", "pattern": "^[0-9a-f]{32}$"}, mode="serialization")
]
Instant: TypeAlias = Annotated[
    datetime,
    PlainSerializer(format_instant, return_type=str),
    WithJsonSchema(
        {
            "type": "string",
            "format": "date-time",
            "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$",
        },
        mode="serialization",
    ),
]
Number: TypeAlias = Annotated[
    Decimal,
    PlainSerializer(number, return_type=float),
    WithJsonSchema({"type": "number"}, mode="serialization"),
]
Strings: TypeAlias = Annotated[
    tuple[str, ...],
    WithJsonSchema({"type": "array", "items": {"type": "string"}}, mode="serialization"),
]


class Document(BaseModel):
    """Something the API shows."""

    model_config = ConfigDict(
        frozen=True,
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=False,
        serialize_by_alias=True,
        json_schema_extra=without_defaults,
    )

    def to_json(self) -> bytes:
        return self.model_dump_json(exclude_none=True).encode()


D = TypeVar("D", bound=Document)


class ListDocument(Document, Generic[D]):
    """One page of a list. Links are absent where there is no such page."""

    results: Sequence[SerializeAsAny[D]]
    next: str | Absent = None
    prev: str | Absent = None
    previous: str | Absent = Field(None, description="The same as `prev`.")


class UserDocument(Document):
    """A person: learner, instructor or administrator."""

    id: Id
    first_name: str
    last_name: str
    username: str
    email: str
    locale: str
    tags: Strings
    role: Role
    created_date: Instant
    last_login_date: Instant | Absent = None


def user_document(user: User) -> UserDocument:
    return UserDocument(
        id=user.id,
        first_name=user.first_name,
        last_name=user.last_name,
        username=user.username,
        email=user.email,
        locale=user.locale,
        tags=user.tags,
        role=user.role,
        created_date=user.created_at,
        last_login_date=user.last_login_at,
    )


class CourseDocument(Document):
    """What is taught, and the rules by which a registration in it ends."""

    id: Id
    title: str
    instructor: Id | Absent = None
    passing_grade: Number
    move_on: MoveOn
    require_every_element_passed: bool
    created_date: Instant


def course_document(course: Course) -> CourseDocument:
    return CourseDocument(
        id=course.id,
        title=course.title,
        instructor=course.instructor,
        passing_grade=course.passing_grade,
        move_on=course.move_on,
        require_every_element_passed=course.require_every_element_passed,
        created_date=course.created_at,
    )


class ElementDocument(Document):
    """A part of a course: something to look at, to do, or to hand in."""

    id: Id
    course_id: Id
    type: ElementType
    title: str
    question: str | Absent = Field(None, description="What an assignment asks.")
    weight: Number = Field(description="Its part of the grade, beside those of the others.")
    required: bool
    attempts_policy: AttemptsPolicy = Field(
        description="Which of several attempts gives its grade."
    )
    max_attempts: int | Absent = Field(None, description="Absent: up to 1,000.")
    passing_grade: Number | Absent = Field(
        None, description="Absent: that of the offering or course."
    )
    status: ElementStatus
    order_index: int = Field(description="Its place in the course: 0, 1, ...")
    created_date: Instant


def element_document(element: Element) -> ElementDocument:
    return ElementDocument(
        id=element.id,
        course_id=element.course_id,
        type=element.type,
        title=element.title,
        question=element.question,
        weight=element.weight,
        required=element.required,
        attempts_policy=element.attempts_policy,
        max_attempts=element.max_attempts,
        passing_grade=element.passing_grade,
        status=element.status,
        order_index=element.order_index,
        created_date=element.created_at,
    )


class CategoryDocument(Document):
    """A shelf in the catalogue that offerings are put on."""

    id: Id
    name: str
    description: str | Absent = None
    color: str | Absent = None
    order_index: int
    created_date: Instant


def category_document(category: OfferingCategory) -> CategoryDocument:
    return CategoryDocument(
        id=category.id,
        name=category.name,
        description=category.description,
        color=category.color,
        order_index=category.order_index,
        created_date=category.created_at,
    )


class OfferingDocument(Document):
    """A course as it is offered: with its windows, its price and its place in the catalogue."""

    id: Id
    course_id: Id
    title: str
    created_date: Instant
    begin_date: Instant | Absent = None
    end_date: Instant | Absent = None
    registration_begin_date: Instant | Absent = None
    registration_end_date: Instant | Absent = None
    catalog_description: str | Absent = None
    dashboard_description: str | Absent = None
    delivery_description: str | Absent = None
    price: Number | Absent = None
    offering_category_ids: Strings
    tags: Strings
    order_index: int
    passing_grade: Number | Absent = Field(None, description="Absent: the course's.")
    move_on: MoveOn | Absent = Field(None, description="Absent: the course's.")
    require_every_element_passed: bool | Absent = Field(None, description="Absent: the course's.")
    retakes: bool


def offering_document(offering: Offering) -> OfferingDocument:
    return OfferingDocument(
        id=offering.id,
        course_id=offering.course_id,
        title=offering.title,
        created_date=offering.created_at,
        begin_date=offering.begin_at,
        end_date=offering.end_at,
        registration_begin_date=offering.registration_begin_at,
        registration_end_date=offering.registration_end_at,
        catalog_description=offering.catalog_description,
        dashboard_description=offering.dashboard_description,
        delivery_description=offering.delivery_description,
        price=offering.price,
        offering_category_ids=offering.category_ids,
        tags=offering.tags,
        order_index=offering.order_index,
        passing_grade=offering.passing_grade,
        move_on=offering.move_on,
        require_every_element_passed=offering.require_every_element_passed,
        retakes=offering.retakes,
    )


class RegistrationDocument(Document):
    """One attempt of a user at an offering."""

    id: Id
    user_id: Id
    offering_id: Id
    title: str = Field(description="The title of the offering.")
    attempt: int = Field(description="1, 2, ... within this user and offering.")
    status: Status
    grade: Number | Absent = None
    grader_id: Id | Absent = None
    grader_comment: str | Absent = None
    created_date: Instant
    begin_date: Instant | Absent = Field(None, description="First activity.")
    last_active_date: Instant | Absent = None
    end_date: Instant | Absent = None


def registration_document(registration: Registration, title: str) -> RegistrationDocument:
    return RegistrationDocument(
        id=registration.id,
        user_id=registration.user_id,
        offering_id=registration.offering_id,
        title=title,
        attempt=registration.attempt,
        status=registration.status,
        grade=registration.grade,
        grader_id=registration.grader_id,
        grader_comment=registration.grader_comment,
        created_date=registration.created_at,
        begin_date=registration.begin_at,
        last_active_date=registration.last_active_at,
        end_date=registration.end_at,
    )


class TokenDocument(Document):
    """An API credential with the permissions of its user. The token itself is not shown again."""

    id: Id
    name: str
    user_id: Id
    created_date: Instant
    last_used_date: Instant | Absent = None


def token_document(token: Token) -> TokenDocument:
    return TokenDocument(
        id=token.id,
        name=token.name,
        user_id=token.user_id,
        created_date=token.created_at,
        last_used_date=token.last_used_at,
    )


class SecretDocument(Document):
    """What was created, with the secret that is shown this once."""

    id: Id
    secret: str


class WebhookDocument(Document):
    """A callback URL and which events it is told, how."""

    id: Id
    kind: WebhookKind
    name: str
    url: str
    method: Method
    events: Sequence[EventName]
    filters: dict[str, Any]
    headers: Strings = Field(description="The names; values are write-only.")
    payload: Payload
    timeout_seconds: int
    retry_schedule: Sequence[int]
    max_in_flight: int
    rate_per_second: int | Absent = None
    status: WebhookStatus
    disabled_reason: str | Absent = None
    failed_deliveries: int | Absent = Field(
        None,
        description="Deliveries whose schedule is exhausted, not sent again since.",
    )
    consecutive_failures: int = Field(description="Attempts that failed since the last success.")
    failing_since: Instant | Absent = None
    backed_off_until: Instant | Absent = Field(
        None, description="When the next probe asks whether the receiver is back."
    )
    created_date: Instant


def webhook_document(webhook: Webhook) -> WebhookDocument:
    return WebhookDocument(
        id=webhook.id,
        kind=webhook.kind,
        name=webhook.name,
        url=webhook.url,
        method=webhook.method,
        events=[EventName(name) for name in webhook.events],
        filters=dict(webhook.filters),
        headers=webhook.header_names,
        payload=webhook.payload,
        timeout_seconds=webhook.timeout_seconds,
        retry_schedule=webhook.retry_schedule,
        max_in_flight=webhook.max_in_flight,
        rate_per_second=webhook.rate_per_second,
        status=webhook.status,
        disabled_reason=webhook.disabled_reason,
        failed_deliveries=webhook.failed_deliveries,
        consecutive_failures=webhook.consecutive_failures,
        failing_since=webhook.failing_since,
        backed_off_until=webhook.backed_off_until,
        created_date=webhook.created_at,
    )


class EventSummary(Document):
    """Something that happened."""

    id: Id = Field(description="The `webhook-id` of its deliveries.")
    event: str
    source: Source | Absent = None
    date: Instant
    user_id: Id | Absent = None
    registration_id: Id | Absent = None
    offering_id: Id | Absent = None
    element_id: Id | Absent = None
    registration_seq: int | Absent = Field(
        None, description="Counts the registration's events from 1."
    )
    position: int = Field(description="In the order of commits, from 1 without a gap.")


class EventDocument(EventSummary):
    """Something that happened, with what receivers are sent in the full profile."""

    body: dict[str, Any] | Absent = Field(None, description="Absent: removed by retention.")


class FeedDocument(Document):
    """Events in the order of commits, oldest first."""

    results: Sequence[EventDocument]
    next: str = Field(description="From where to read on, now or later. Always there.")
    more: bool = Field(description="There is more to read at once.")


def event_summary(event: Event) -> EventSummary:
    return EventSummary(
        id=event.id,
        event=event.name,
        source=event.source,
        date=event.occurred_at,
        user_id=event.user_id,
        registration_id=event.registration_id,
        offering_id=event.offering_id,
        element_id=event.element_id,
        registration_seq=event.registration_seq,
        position=event.position,
    )


def event_document(event: Event) -> EventDocument:
    body = None if event.body is None else json.loads(event.body)
    return EventDocument(**dict(event_summary(event)), body=body)


class TallyDocument(Document):
    """A set of event ids: how many, and what tells it from another set."""

    count: int
    digest: str = Field(
        description="SHA-256, in hexadecimal, of the ids in ascending order, joined by line feeds."
    )


class ReconciliationDocument(TallyDocument):
    """What was meant for a webhook of the events of one UTC day."""

    webhook_id: Id
    date: str = Field(description="The day that the events' `date` falls on.")
    settled: bool = Field(description="The day is over and nothing is pending or held.")
    expected: TallyDocument = Field(
        description="What the receiver is to have: of these, all but the cancelled."
    )
    wanted: TallyDocument = Field(
        description="What a receiver has that also read the feed: all of these, and the events "
        "that the webhook's `events` and `filters` of today want and that it was not told."
    )
    statuses: dict[str, TallyDocument] = Field(
        description="The same by `delivered`, `pending`, `held`, `failed`, `cancelled`; those that "
        "occur."
    )


def reconciliation_document(day: Day) -> ReconciliationDocument:
    return ReconciliationDocument(
        webhook_id=day.webhook_id,
        date=day.begin.date().isoformat(),
        settled=day.is_settled,
        **dict(tally_document(day.all)),
        expected=tally_document(day.expected),
        wanted=tally_document(day.wanted),
        statuses={name.value: tally_document(each) for name, each in day.by_standing.items()},
    )


def tally_document(tally: Tally) -> TallyDocument:
    return TallyDocument(count=tally.count, digest=tally.digest)


class DeliveryReference(Document):
    """A delivery that is on its way now."""

    delivery_id: Id


class NewSecretDocument(Document):
    """A webhook's new secret, shown only now."""

    secret: str


class SentDocument(Document):
    """What a replay or backfill has put on its way."""

    deliveries: int
    gone: int = Field(description="Events whose content retention has removed.")


class DeliverySummary(Document):
    """One event on its way to one webhook."""

    id: Id
    webhook_id: Id
    event_id: Id
    event: str
    registration_id: Id | Absent = None
    kind: DeliveryKind
    status: DeliveryStatus
    attempt_count: int
    created_date: Instant
    next_attempt_date: Instant | Absent = Field(None, description="While pending.")
    finished_date: Instant | Absent = None
    last_outcome: str | Absent = Field(None, description="`delivered`, `http_500`, `timeout`, ...")


class AttemptDocument(Document):
    """One request of a delivery, and what came back."""

    number: int = Field(description="From 1.")
    started_date: Instant
    duration_ms: int
    outcome: str
    status_code: int | Absent = None
    address: str | Absent = Field(None, description="The address connected to.")
    request_headers: str = Field(
        description="Rebuilt as they would be now: the webhook's custom headers, and the version in"
        " `user-agent`, may have changed since. Secrets as `***`. Nothing was sent where no"
        " connection was made."
    )
    response_headers: str | Absent = Field(None, description="For other than 2xx, up to 2 KB.")
    response_body: str | Absent = Field(None, description="For other than 2xx, up to 4 KB.")
    truncated: bool = Field(description="The body was longer than is read.")


class DeliveryDocument(DeliverySummary):
    """One event on its way to one webhook, with its attempts, newest first."""

    attempts: Sequence[AttemptDocument]


def delivery_summary(delivery: Delivery) -> DeliverySummary:
    return DeliverySummary(
        id=delivery.id,
        webhook_id=delivery.webhook_id,
        event_id=delivery.event_id,
        event=delivery.event,
        registration_id=delivery.registration_id,
        kind=delivery.kind,
        status=delivery.status,
        attempt_count=delivery.attempts,
        created_date=delivery.created_at,
        next_attempt_date=delivery.next_attempt_at,
        finished_date=delivery.finished_at,
        last_outcome=delivery.last_outcome,
    )


def delivery_document(found: DeliveryWithAttempts) -> DeliveryDocument:
    return DeliveryDocument(
        **dict(delivery_summary(found.delivery)),
        attempts=[
            attempt_document(attempt, found.request_headers(attempt)) for attempt in found.attempts
        ],
    )


def attempt_document(attempt: Attempt, headers: Headers) -> AttemptDocument:
    body = attempt.response_body
    return AttemptDocument(
        number=attempt.number,
        started_date=attempt.started_at,
        duration_ms=attempt.duration_ms,
        outcome=attempt.outcome,
        status_code=attempt.status_code,
        address=attempt.address,
        request_headers="".join(f"{name}: {value}\r\n" for name, value in headers),
        response_headers=attempt.response_headers,
        response_body=None if body is None else body.decode("utf-8", "replace"),
        truncated=attempt.truncated,
    )


class AuditDocument(Document):
    """One change. `before` and `after` hold the fields that changed, without secrets."""

    id: Id
    created_date: Instant
    actor: ActorKind
    user_id: Id | Absent = Field(None, description="Who did it. Absent: nobody with a user.")
    token_id: Id | Absent = Field(None, description="With which token.")
    action: str = Field(description="What was done: `registration.end`, `user.create`, ...")
    subject: str = Field(description="To what kind of thing.")
    subject_id: str
    before: dict[str, Any] | Absent = Field(None, description="Absent: it was made, or erased.")
    after: dict[str, Any] | Absent = Field(None, description="Absent: it is gone, or erased.")
    reason: str | Absent = None


def audit_document(entry: Entry) -> AuditDocument:
    return AuditDocument(
        id=entry.id,
        created_date=entry.at,
        actor=entry.actor,
        user_id=entry.user_id,
        token_id=entry.token_id,
        action=entry.action,
        subject=entry.subject,
        subject_id=entry.subject_id,
        before=_as_api_names(entry.before),
        after=_as_api_names(entry.after),
        reason=entry.reason,
    )


def _as_api_names(values: Mapping[str, object] | None) -> dict[str, Any] | None:
    """The trail's names as the API writes them: `begin_at` is `beginDate`. Nothing is null."""
    if values is None:
        return None
    return {
        _api_name(name): _as_api_value(value) for name, value in values.items() if value is not None
    }


def _as_api_value(value: object) -> object:
    return _as_api_names(value) if isinstance(value, dict) else value


def _api_name(name: str) -> str:
    if "_" not in name:  # an id, of a user field for one, is no name
        return name
    return to_camel(f"{name.removesuffix('_at')}_date" if name.endswith("_at") else name)
