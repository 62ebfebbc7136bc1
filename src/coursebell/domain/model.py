"""The glossary: every thing Coursebell keeps, with its fields and states, in one place.

Instants are aware UTC datetimes, grades are `Decimal`, ids are 32 lowercase hex characters.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from os import urandom
from time import time_ns

from coursebell.errors import ForbiddenError


def new_id() -> str:
    """A fresh public id: a UUID of version 7 (RFC 9562) as 32 lowercase hex characters.

    It begins with the millisecond and goes on with 74 random bits. So what is made together lies
    together in every index, which spares a database most of the pages that random ids touch.
    """
    milliseconds = time_ns() // 1_000_000
    bits = milliseconds << 80 | int.from_bytes(urandom(10)) & _RANDOM_BITS | _VERSION_7
    return f"{bits:032x}"


_RANDOM_BITS = 0x0FFF << 64 | 0x3FFF << 48 | 0xFFFF_FFFF_FFFF
_VERSION_7 = 0x7000 << 64 | 0x8000 << 48  # with the variant of the RFC


class Role(StrEnum):
    """What a user may do. Each role includes the one before it."""

    LEARNER = "learner"
    INSTRUCTOR = "instructor"
    ADMIN = "admin"

    @property
    def rank(self) -> int:
        return _RANKS[self]


_RANKS = {Role.LEARNER: 0, Role.INSTRUCTOR: 1, Role.ADMIN: 2}


class SignIn(StrEnum):
    """What the users of an organization sign in with."""

    EMAIL = "email"  # a user's username is the e-mail address
    USERNAME = "username"


class Source(StrEnum):
    """Who caused an event, as receivers see it."""

    SELF = "SELF"  # the learner's own action
    ADMIN = "ADMIN"  # anybody and anything else


class ActorKind(StrEnum):
    """Who caused a change, exactly, as the audit trail keeps it."""

    LEARNER = "learner"
    INSTRUCTOR = "instructor"
    ADMIN = "admin"
    API = "api"  # a token reporting for the learner, such as a course player
    SCHEDULE = "schedule"  # the end of the offering
    IMPORT = "import"


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """On whose behalf a use case runs, and in which organization."""

    organization_id: str
    role: Role
    kind: ActorKind
    user_id: str | None = None  # None: the command line or the schedule
    token_id: str | None = None

    def require(self, role: Role) -> None:
        """Raise `ForbiddenError` unless this actor has `role` or more."""
        if self.role.rank < role.rank:
            raise ForbiddenError(f"This needs the role {role}; yours is {self.role}.")

    def is_at_least(self, role: Role) -> bool:
        return self.role.rank >= role.rank

    def is_self(self, user_id: str) -> bool:
        return self.user_id == user_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Organization:
    """A training provider. Everything belongs to one, and nobody sees another's."""

    id: str
    name: str
    zone: str  # IANA name: plain dates are days of this zone
    locale: str  # what a user gets who brings none
    sign_in: SignIn
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A person: learner, instructor or administrator."""

    id: str
    first_name: str
    last_name: str
    username: str
    email: str
    locale: str  # whatever came, never refused (domain rule 14)
    tags: tuple[str, ...]
    role: Role
    created_at: datetime
    last_login_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """An API credential with the permissions of its user; the secret itself is stored hashed."""

    id: str
    user_id: str
    name: str
    created_at: datetime
    last_used_at: datetime | None


class MoveOn(StrEnum):
    """What a learner must reach to pass, in cmi5's words (cmi5 specification, section 13.1.4)."""

    PASSED = "Passed"  # the grade reaches the passing grade
    COMPLETED = "Completed"  # everything required is done
    COMPLETED_AND_PASSED = "CompletedAndPassed"
    COMPLETED_OR_PASSED = "CompletedOrPassed"
    NOT_APPLICABLE = "NotApplicable"  # ending is enough


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """What is taught, and the rules by which a registration in it ends."""

    id: str
    title: str
    instructor: str | None  # a user's id
    passing_grade: Decimal
    move_on: MoveOn
    require_every_element_passed: bool
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferingCategory:
    """A shelf in the catalogue that offerings are put on."""

    id: str
    name: str
    description: str | None
    color: str | None  # `#rrggbb`
    order_index: int
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Offering:
    """A course as it is offered: with its windows, its price and its place in the catalogue."""

    id: str
    course_id: str
    title: str
    created_at: datetime
    begin_at: datetime | None  # activity from here ...
    end_at: datetime | None  # ... to before here; active registrations are then halted
    registration_begin_at: datetime | None
    registration_end_at: datetime | None
    catalog_description: str | None
    dashboard_description: str | None
    delivery_description: str | None
    price: Decimal | None
    category_ids: tuple[str, ...]
    tags: tuple[str, ...]
    order_index: int
    passing_grade: Decimal | None  # None: the course's
    move_on: MoveOn | None  # None: the course's
    require_every_element_passed: bool | None  # None: the course's
    retakes: bool


class Status(StrEnum):
    """The state of a registration."""

    ACTIVE = "active"
    PASSED = "passed"
    FAILED = "failed"
    EJECTED = "ejected"

    @property
    def has_result(self) -> bool:
        """Passed or failed. Ended is not passed, and ejected is not ended with a result."""
        return self in (Status.PASSED, Status.FAILED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The rules that decide a registration; stored with the result they gave."""

    passing_grade: Decimal
    move_on: MoveOn
    require_every_element_passed: bool = False  # nobody passes without each required element


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """One attempt of a user at an offering. Ended ones are never overwritten by a later attempt."""

    id: str
    user_id: str
    offering_id: str
    attempt: int  # 1, 2, ... within this user and offering
    status: Status
    grade: Decimal | None  # 0-100, exact; none while active
    computed: bool  # the grade was left to the course's elements; else it was given
    source: Source | None  # who ended it
    grader_id: str | None
    grader_comment: str | None
    created_at: datetime
    begin_at: datetime | None  # first activity; set once
    last_active_at: datetime | None
    end_at: datetime | None  # when the rule was met
    extended: bool  # the end of the offering leaves it alone (reopened, or let in afterwards)
    event_count: int  # events this registration has fired so far
    policy: Policy | None  # what decided the result


class Method(StrEnum):
    """How a webhook is called."""

    POST = "POST"
    PUT = "PUT"


class Payload(StrEnum):
    """How much of an event a webhook is told."""

    FULL = "full"
    IDS = "ids"  # ids only: no personal data
    THIN = "thin"  # ids and a link to the resource


class WebhookKind(StrEnum):
    """How a webhook came about."""

    WEBHOOK = "webhook"  # an administrator connected a receiver
    ZAPIER = "zapier"  # a Zap that was turned on; it goes when the receiver says 410


class WebhookStatus(StrEnum):
    """Whether a webhook is being delivered to."""

    ACTIVE = "active"
    PAUSED = "paused"  # by a person; what it would get is held
    DISABLED = "disabled"  # by Coursebell, with a reason; what it would get is held


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """A callback URL and which events it is told, how."""

    id: str
    organization_id: str
    kind: WebhookKind
    name: str
    url: str
    method: Method
    events: tuple[str, ...]
    filters: Mapping[str, object]
    header_names: tuple[str, ...]  # values are write-only
    payload: Payload
    timeout_seconds: int
    retry_schedule: tuple[int, ...]  # seconds after the end of each failed attempt
    max_in_flight: int
    rate_per_second: int | None
    status: WebhookStatus
    disabled_reason: str | None
    created_at: datetime
    failed_deliveries: int | None = 0  # and not sent again since; None: not counted
    consecutive_failures: int = 0  # attempts, up to now
    failing_since: datetime | None = None
    backed_off_until: datetime | None = None  # the next probe; the others wait for its success


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened, with the bytes that every receiver is sent."""

    id: str
    name: str
    source: Source | None
    occurred_at: datetime
    user_id: str | None
    registration_id: str | None
    registration_seq: int | None  # counts a registration's events from 1
    offering_id: str | None
    element_id: str | None
    position: int  # in the order of commits, from 1 without a gap within the organization
    body: bytes | None  # None: removed by retention


class DeliveryKind(StrEnum):
    """Why a delivery exists; sent as the header `coursebell-delivery`."""

    LIVE = "live"
    RESEND = "resend"
    REPLAY = "replay"
    BACKFILL = "backfill"
    TEST = "test"

    @property
    def is_asked_for(self) -> bool:
        """A person wants to see this one arrive: it is sent to a backed-off webhook as well."""
        return self in (DeliveryKind.RESEND, DeliveryKind.TEST)


class DeliveryStatus(StrEnum):
    """What has become of a delivery."""

    PENDING = "pending"  # waiting for its first or next attempt
    DELIVERED = "delivered"
    FAILED = "failed"  # its retry schedule is used up
    HELD = "held"  # its webhook is paused or disabled
    CANCELLED = "cancelled"  # its webhook was deleted, or the person it is about was erased

    @property
    def is_open(self) -> bool:
        return self in (DeliveryStatus.PENDING, DeliveryStatus.HELD)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One event on its way to one webhook."""

    id: str
    webhook_id: str
    event_id: str
    event: str
    registration_id: str | None
    kind: DeliveryKind
    status: DeliveryStatus
    attempts: int
    created_at: datetime
    next_attempt_at: datetime | None  # while pending
    finished_at: datetime | None
    last_outcome: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One request of a delivery, and what came back."""

    number: int  # from 1 within its delivery
    started_at: datetime
    duration_ms: int
    outcome: str  # `delivered`, `http_500`, `timeout`, ...
    status_code: int | None
    address: str | None  # the address connected to
    response_headers: str | None  # for other than 2xx, up to 2 KB
    response_body: bytes | None  # for other than 2xx, up to 4 KB
    truncated: bool  # the body was longer than is read
