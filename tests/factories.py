"""Things to test with, made the way the product makes them, with a default for everything."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any

from coursebell.domain.addresses import AddressRules
from coursebell.domain.completion import Command, Request, Transition
from coursebell.domain.elements import AttemptsPolicy, Element, ElementStatus, ElementType, Work
from coursebell.domain.events import EventName
from coursebell.domain.lists import DeliveryFilters, EventFilters, Page
from coursebell.domain.model import (
    Actor,
    ActorKind,
    Course,
    Delivery,
    Event,
    MoveOn,
    Offering,
    Organization,
    Policy,
    Registration,
    Role,
    SignIn,
    Source,
    Status,
    User,
    new_id,
)
from coursebell.domain.progress import Report, Verdict
from coursebell.errors import CoursebellError
from coursebell.services import (
    accounts,
    courses,
    deliveries,
    elements,
    enrolment,
    gradebook,
    offerings,
    people,
    webhooks,
)
from coursebell.services.enrolment import Enrolment
from coursebell.services.organizations import operator_of
from coursebell.services.registrar import Registrar
from coursebell.services.webhooks import ConnectedWebhook
from coursebell.storage import people as stored_people
from coursebell.storage import registrations as stored_registrations
from coursebell.storage.database import Database

NOW = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
EVERYTHING = tuple(name.value for name in EventName)

_numbers = count(1)


def a_registrar(database: Database, **fields: Any) -> Registrar:
    """A registrar that may call loopback, where tests have their receivers."""
    defaults = {
        "public_url": "https://bell.example",
        "address_rules": AddressRules.parse("127.0.0.0/8"),
    }
    return Registrar(database=database, **(defaults | fields))


def an_actor(**fields: Any) -> Actor:
    defaults = {"organization_id": new_id(), "role": Role.ADMIN, "kind": ActorKind.ADMIN}
    return Actor(**(defaults | fields))


def identify(registrar: Registrar, secret: str, now: datetime = NOW) -> Actor:
    """Who holds a token. Raises what a caller with it is told."""
    return _only(accounts.authenticate(registrar, [secret], now))


def a_policy(**fields: Any) -> Policy:
    defaults = {"passing_grade": Decimal("70.0"), "move_on": MoveOn.COMPLETED_AND_PASSED}
    return Policy(**(defaults | fields))


def a_user(**fields: Any) -> User:
    """A user in memory only."""
    defaults = {
        "id": new_id(),
        "first_name": "Mei",
        "last_name": "Tanaka",
        "username": "mei@learner.example",
        "email": "mei@learner.example",
        "locale": "en",
        "tags": (),
        "role": Role.LEARNER,
        "created_at": NOW - 30 * DAY,
        "last_login_at": None,
    }
    return User(**(defaults | fields))


def an_offering(**fields: Any) -> Offering:
    """An offering in memory only: without windows, ruled by its course."""
    defaults = {
        "id": new_id(),
        "course_id": new_id(),
        "title": "Fire safety",
        "created_at": NOW - 30 * DAY,
        "begin_at": None,
        "end_at": None,
        "registration_begin_at": None,
        "registration_end_at": None,
        "catalog_description": None,
        "dashboard_description": None,
        "delivery_description": None,
        "price": None,
        "category_ids": (),
        "tags": (),
        "order_index": 0,
        "passing_grade": None,
        "move_on": None,
        "require_every_element_passed": None,
        "retakes": False,
    }
    return Offering(**(defaults | fields))


def an_element(type_: ElementType | str = ElementType.TEST, **fields: Any) -> Element:
    """An active element in memory only; numbers and texts may stand for grades."""
    defaults = {
        "id": new_id(),
        "course_id": new_id(),
        "type": ElementType(type_),
        "title": "Knots",
        "question": "Which knot holds?" if type_ == ElementType.ASSIGNMENT else None,
        "weight": Decimal(1),
        "required": True,
        "attempts_policy": AttemptsPolicy.BEST,
        "max_attempts": None,
        "passing_grade": None,
        "status": ElementStatus.ACTIVE,
        "order_index": 0,
        "created_at": NOW - 30 * DAY,
    }
    return Element(**(defaults | fields))


def some_work(element: Element, number: int = 1, **fields: Any) -> Work:
    """An attempt at the element in memory only, passed from 70 on."""
    grade = fields.pop("grade", None)
    grade = None if grade is None else Decimal(grade)
    defaults = {
        "registration_id": "1" * 32,
        "element_id": element.id,
        "number": number,
        "handed_in_at": NOW,
        "source": Source.SELF,
        "response": None,
        "grade": grade,
        "passed": None if grade is None else grade >= 70,
        "awaiting": False,
        "graded_at": None,
        "grader_id": None,
        "grader_comment": None,
    }
    return Work(**(defaults | fields))


def a_registration(status: Status = Status.ACTIVE, **fields: Any) -> Registration:
    """A registration in memory only, with what its status calls for."""
    defaults: dict[str, Any] = {
        "id": new_id(),
        "user_id": new_id(),
        "offering_id": new_id(),
        "attempt": 1,
        "status": status,
        "grade": None,
        "computed": False,
        "source": None,
        "grader_id": None,
        "grader_comment": None,
        "created_at": NOW - 7 * DAY,
        "begin_at": NOW - 6 * DAY,
        "last_active_at": NOW - DAY,
        "end_at": None,
        "extended": False,
        "event_count": 1,
        "policy": None,
    }
    if status is not Status.ACTIVE:
        defaults |= {"end_at": NOW - HOUR, "source": Source.ADMIN, "event_count": 2}
    if status.has_result:
        grade = Decimal("80") if status is Status.PASSED else Decimal("40")
        defaults |= {"grade": grade, "policy": a_policy()}
    return Registration(**(defaults | fields))


def open_school(
    database: Database,
    *,
    name: str = "Harbour School",
    zone: str = "UTC",
    locale: str = "en",
    sign_in: SignIn = SignIn.EMAIL,
    now: datetime = NOW,
    **registrar: Any,
) -> School:
    """An organization of its own in `database`, which may have others, with its administrator."""
    organization = Organization(
        id=new_id(), name=name, zone=zone, locale=locale, sign_in=sign_in, created_at=now
    )
    with database.transaction() as tx:
        stored_people.insert_organization(tx, organization)
    operator = operator_of(organization)
    school = School(
        registrar=a_registrar(database, **registrar), organization=organization, admin=operator
    )
    return replace(school, admin=school.actor(school.user(role=Role.ADMIN, now=now)))


@dataclass(frozen=True, slots=True, kw_only=True)
class School:
    """An organization to act in. What is left out when something is made gets a default."""

    registrar: Registrar
    organization: Organization
    admin: Actor

    @property
    def operator(self) -> Actor:
        """The command line: an administrator without a user."""
        return operator_of(self.organization)

    @property
    def database(self) -> Database:
        return self.registrar.database

    def user(self, *, role: Role = Role.LEARNER, now: datetime = NOW, **fields: Any) -> User:
        number = next(_numbers)
        defaults = {
            "first_name": f"First{number}",
            "last_name": f"Last{number}",
            "email": f"person{number}@{role}.example",
        }
        new = people.NewUser(role=role, **(defaults | fields))
        return people.create_user(self.registrar, self.admin, new, now)

    def actor(self, user: User) -> Actor:
        """The user, acting through a token."""
        return Actor(
            organization_id=self.organization.id,
            role=user.role,
            kind=ActorKind(user.role),
            user_id=user.id,
        )

    def learner(self, **fields: Any) -> Actor:
        return self.actor(self.user(**fields))

    def instructor(self, **fields: Any) -> Actor:
        return self.actor(self.user(role=Role.INSTRUCTOR, **fields))

    def course(self, *, now: datetime = NOW, **fields: Any) -> Course:
        new = courses.NewCourse(**({"title": f"Course {next(_numbers)}"} | fields))
        return courses.create_course(self.registrar, self.admin, new, now)

    def element(
        self,
        course: Course,
        type_: ElementType | str = ElementType.TEST,
        *,
        now: datetime = NOW,
        **fields: Any,
    ) -> Element:
        """An active element of the course, after the others."""
        defaults = {"title": f"Element {next(_numbers)}", "status": ElementStatus.ACTIVE}
        new = elements.NewElement(type=ElementType(type_), **(defaults | fields))
        return elements.create_element(self.registrar, self.admin, course.id, new, now)

    def offering(
        self, *, course: Course | None = None, now: datetime = NOW, **fields: Any
    ) -> Offering:
        course = course or self.course(now=now)
        new = offerings.NewOffering(course_id=course.id, **({"title": course.title} | fields))
        return offerings.create_offering(self.registrar, self.admin, new, now)

    def registration(
        self,
        *,
        user: User | Actor | None = None,
        offering: Offering | None = None,
        actor: Actor | None = None,
        now: datetime = NOW,
        **fields: Any,
    ) -> Registration:
        enrolment = self.enrolment(user=user, offering=offering, actor=actor, now=now, **fields)
        return self.enrol(enrolment, now=now)

    def enrolment(
        self,
        *,
        user: User | Actor | None = None,
        offering: Offering | None = None,
        actor: Actor | None = None,
        now: datetime = NOW,
        **fields: Any,
    ) -> Enrolment:
        user = user or self.user(now=now)
        return Enrolment(
            actor=actor or self.admin,
            user_id=_id_of(user),
            offering_id=(offering or self.offering(now=now)).id,
            **fields,
        )

    def enrol(self, enrolment_: Enrolment, *, now: datetime = NOW) -> Registration:
        """Raises what was wrong with it."""
        results = enrolment.register(self.registrar, self.organization.id, [enrolment_], now)
        return _only(results)

    def registrations(self, number: int, *, now: datetime = NOW) -> list[Registration]:
        """Of that many users, in one offering."""
        offering = self.offering(now=now)
        return [self.registration(offering=offering, now=now) for _ in range(number)]

    def ask(
        self,
        registration: Registration,
        command: Command,
        *,
        actor: Actor | None = None,
        now: datetime = NOW,
        **fields: Any,
    ) -> Transition:
        """Carry out one command. Raises what it was refused with."""
        request = self.request(registration, command, actor=actor, **fields)
        results = gradebook.change_registrations(
            self.registrar, self.organization.id, [request], now
        )
        return _only(results)

    def report(
        self,
        registration: Registration,
        element: Element,
        *,
        actor: Actor | None = None,
        source: Source | None = None,
        now: datetime = NOW,
        completed: bool = True,
        **said: Any,
    ) -> Transition:
        """What an instructor's token reports of the learner's work on an element."""
        report = Report(completed=completed, **_exact(said))
        return self.ask(
            registration,
            Command.PROGRESS,
            actor=actor,
            now=now,
            source=source,
            element_id=element.id,
            report=report,
        )

    def judge(
        self,
        registration: Registration,
        element: Element,
        *,
        actor: Actor | None = None,
        now: datetime = NOW,
        **said: Any,
    ) -> Transition:
        """A grade by hand for an element, or an exemption from it."""
        return self.ask(
            registration,
            Command.GRADE_ELEMENT,
            actor=actor,
            now=now,
            element_id=element.id,
            verdict=Verdict(**_exact(said)),
        )

    def request(
        self,
        registration: Registration,
        command: Command,
        *,
        actor: Actor | None = None,
        **fields: Any,
    ) -> Request:
        if isinstance(fields.get("grade"), str | int):
            fields["grade"] = Decimal(fields["grade"])
        return Request(
            registration_id=registration.id, command=command, actor=actor or self.admin, **fields
        )

    def learner_of(self, registration: Registration) -> Actor:
        return Actor(
            organization_id=self.organization.id,
            role=Role.LEARNER,
            kind=ActorKind.LEARNER,
            user_id=registration.user_id,
        )

    def stored(self, registration: Registration) -> Registration:
        """The registration as it stands now."""
        with self.database.snapshot() as tx:
            found = stored_registrations.find_registration(
                tx, self.organization.id, registration.id
            )
        assert found is not None
        return found.registration

    def webhook(
        self,
        *,
        url: str = "http://127.0.0.1:9/",
        events: tuple[str, ...] = EVERYTHING,
        now: datetime = NOW,
        **fields: Any,
    ) -> ConnectedWebhook:
        """A webhook told everything, at an address where nobody listens."""
        new = webhooks.NewWebhook(url=url, events=events, **fields)
        return webhooks.create_webhook(self.registrar, self.admin, new, now)

    def events(
        self, *, event: str | None = None, registration: Registration | None = None
    ) -> list[Event]:
        """Up to 1000, oldest first."""
        filters = EventFilters(
            event=event, registration_id=None if registration is None else registration.id
        )
        page = Page(limit=1000)
        found = deliveries.list_events(self.registrar, self.admin, filters, page)
        return list(reversed(found.items))

    def documents(
        self, *, event: str | None = None, registration: Registration | None = None
    ) -> list[dict[str, Any]]:
        """What receivers of the full profile are told, oldest first."""
        found = self.events(event=event, registration=registration)
        return [json.loads(each.body or b"") for each in found]

    def deliveries(self, webhook: ConnectedWebhook, **filters: Any) -> list[Delivery]:
        """Up to 1000, oldest first."""
        found = deliveries.list_deliveries(
            self.registrar,
            self.admin,
            webhook.webhook.id,
            DeliveryFilters(**filters),
            Page(limit=1000),
        )
        return list(reversed(found.items))


def _exact(said: dict[str, Any]) -> dict[str, Any]:
    """With a grade that was written as a number or text made exact."""
    return {
        name: Decimal(value) if name == "grade" and isinstance(value, str | int) else value
        for name, value in said.items()
    }


def _id_of(user: User | Actor) -> str:
    if isinstance(user, User):
        return user.id
    assert user.user_id is not None
    return user.user_id


def _only(results: list[Any]) -> Any:
    (result,) = results
    if isinstance(result, CoursebellError):
        raise result
    return result
