"""What benchmarks work on: organizations with webhooks, pending deliveries, registrations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from itertools import count
from typing import TypeVar

from coursebell.domain import samples
from coursebell.domain.addresses import AddressRules
from coursebell.domain.events import EventName, NewEvent
from coursebell.domain.model import Actor, Organization, Role, SignIn, User, new_id
from coursebell.errors import CoursebellError
from coursebell.services import accounts, courses, enrolment, offerings, people, webhooks
from coursebell.services.organizations import operator_of
from coursebell.services.publishing import publish
from coursebell.services.registrar import Registrar
from coursebell.storage import people as stored_people
from coursebell.storage.database import Database

ALLOWED = "127.0.0.0/8"
PUBLIC_URL = "https://bell.example"
T = TypeVar("T")

COMPLETED = EventName.OFFERING_COMPLETED
REGRADED = EventName.REGISTRATION_GRADE_CHANGED
IN_FLIGHT = webhooks.DEFAULT_MAX_IN_FLIGHT
GRADE = Decimal("80.5")
_BATCH = 500
_numbers = count(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class School:
    """An organization and who acts in it."""

    registrar: Registrar
    organization: Organization
    operator: Actor

    def connect(self, url: str, *, in_flight: int = IN_FLIGHT, timeout: int = 5) -> str:
        """The id of a new webhook that is told of completions and changed grades."""
        new = webhooks.NewWebhook(
            url=url,
            events=(COMPLETED.value, REGRADED.value),
            max_in_flight=in_flight,
            timeout_seconds=timeout,
        )
        made = webhooks.create_webhook(self.registrar, self.operator, new, _now())
        return made.webhook.id

    def fill(self, number: int) -> None:
        """That many completions, of as many registrations, that are due to every webhook."""
        for size in _batches(number):
            self.publish([_event(COMPLETED, new_id(), 1) for _ in range(size)])

    def publish(self, events: Sequence[NewEvent]) -> None:
        """Make these events happen."""
        with self.registrar.database.transaction() as tx:
            publish(tx, self.registrar, self.organization.id, events, _now())

    def publish_pair(self) -> None:
        """A completion and a change of its grade, which is told after it."""
        registration_id = new_id()
        self.publish([_event(COMPLETED, registration_id, 1), _event(REGRADED, registration_id, 2)])

    def users(self, number: int, role: Role = Role.LEARNER) -> list[User]:
        new = [
            people.NewUser(first_name="Mei", last_name="Tanaka", email=_email(), role=role)
            for _ in range(number)
        ]
        made = [
            each
            for start in range(0, number, _BATCH)
            for each in people.create_users(
                self.registrar, self.operator, new[start : start + _BATCH], _now()
            )
        ]
        return [_good(each) for each in made]

    def token(self) -> str:
        """An administrator's."""
        (admin,) = self.users(1, Role.ADMIN)
        made = accounts.create_token(self.registrar, self.operator, admin.id, "bench", _now())
        return made.secret

    def registrations(self, users: Sequence[User], number: int) -> list[str]:
        """Ids of that many new ones, spread over the users."""
        course = courses.create_course(
            self.registrar, self.operator, courses.NewCourse(title="Fire safety"), _now()
        )
        ids: list[str] = []
        while len(ids) < number:
            new = offerings.NewOffering(course_id=course.id, title=course.title)
            offering = offerings.create_offering(self.registrar, self.operator, new, _now())
            wanted = [
                enrolment.Enrolment(actor=self.operator, user_id=user.id, offering_id=offering.id)
                for user in users[: number - len(ids)]
            ]
            made = enrolment.register(self.registrar, self.organization.id, wanted, _now())
            ids.extend(_good(each).id for each in made)
        return ids


def registrar_of(database: Database) -> Registrar:
    return Registrar(
        database=database, public_url=PUBLIC_URL, address_rules=AddressRules.parse(ALLOWED)
    )


def open_school(database: Database) -> School:
    organization = Organization(
        id=new_id(),
        name="Harbour School",
        zone="UTC",
        locale="en",
        sign_in=SignIn.EMAIL,
        created_at=_now(),
    )
    with database.transaction() as tx:
        stored_people.insert_organization(tx, organization)
    return School(
        registrar=registrar_of(database),
        organization=organization,
        operator=operator_of(organization),
    )


def _event(name: EventName, registration_id: str, seq: int) -> NewEvent:
    event = samples.sample_event(name, new_id(), _now())
    return replace(event, registration_id=registration_id, registration_seq=seq)


def _good(made: T | CoursebellError) -> T:
    if isinstance(made, CoursebellError):
        raise made
    return made


def _batches(number: int) -> Iterator[int]:
    for start in range(0, number, _BATCH):
        yield min(_BATCH, number - start)


def _email() -> str:
    return f"person{next(_numbers)}-{new_id()[:8]}@learner.example"


def _now() -> datetime:
    return datetime.now(UTC)
