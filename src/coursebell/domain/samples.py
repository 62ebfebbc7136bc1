"""Sample events: what a test delivery sends, and what the documentation shows.

Everything in them is made up; ids are plainly not random, addresses are under `.example`.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from coursebell.domain import events
from coursebell.domain.elements import AttemptsPolicy, Element, ElementStatus, ElementType, Work
from coursebell.domain.events import EventName, NewEvent
from coursebell.domain.model import (
    Course,
    MoveOn,
    Offering,
    Policy,
    Registration,
    Role,
    Source,
    Status,
    User,
)

_LONG_AGO = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)

USER = User(
    id="0a1b2c3d4e5f60718293a4b5c6d7e8f9",
    first_name="Nia",
    last_name="Okoro",
    username="nia.okoro@learner.example",
    email="nia.okoro@learner.example",
    locale="en",
    tags=(),
    role=Role.LEARNER,
    created_at=_LONG_AGO,
    last_login_at=None,
)

OFFERING = Offering(
    id="99998888777766665555444433332222",
    course_id="12121212343434345656565678787878",
    title="Ladder safety",
    created_at=_LONG_AGO,
    begin_at=None,
    end_at=None,
    registration_begin_at=None,
    registration_end_at=None,
    catalog_description=None,
    dashboard_description=None,
    delivery_description=None,
    price=None,
    category_ids=(),
    tags=(),
    order_index=0,
    passing_grade=None,
    move_on=None,
    require_every_element_passed=None,
    retakes=False,
)


INSTRUCTOR = replace(
    USER,
    id="ada0ada0ada0ada0ada0ada0ada0ada0",
    first_name="Ada",
    last_name="Berg",
    username="ada.berg@school.example",
    email="ada.berg@school.example",
    role=Role.INSTRUCTOR,
)

COURSE = Course(
    id=OFFERING.course_id,
    title="Ladder safety",
    instructor=INSTRUCTOR.id,
    passing_grade=Decimal("70.0"),
    move_on=MoveOn.COMPLETED_AND_PASSED,
    require_every_element_passed=False,
    created_at=_LONG_AGO,
)

ELEMENT = Element(
    id="e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1",
    course_id=COURSE.id,
    type=ElementType.ASSIGNMENT,
    title="A safe angle",
    question="At which angle does a ladder stand safely, and why?",
    weight=Decimal(1),
    required=True,
    attempts_policy=AttemptsPolicy.BEST,
    max_attempts=None,
    passing_grade=None,
    status=ElementStatus.ACTIVE,
    order_index=3,
    created_at=_LONG_AGO,
)


def sample_event(name: EventName, event_id: str, now: datetime) -> NewEvent:
    """An event of this kind as it would look had it just happened."""
    match name:
        case EventName.USER_CREATED:
            return events.user_created(event_id=event_id, source=Source.ADMIN, now=now, user=USER)
        case EventName.USER_ERASED:
            return events.user_erased(
                event_id=event_id, source=Source.ADMIN, now=now, user_id=USER.id
            )
        case EventName.ELEMENT_PUBLISHED:
            return events.element_published(
                event_id=event_id, now=now, element=ELEMENT, course=COURSE, instructor=INSTRUCTOR
            )
        case EventName.ELEMENT_COMPLETED | EventName.ELEMENT_AWAITING_GRADE:
            return _element_event(name, event_id, now)
        case _:
            return _registration_event(name, event_id, now)


def _element_event(name: EventName, event_id: str, now: datetime) -> NewEvent:
    completed = name is EventName.ELEMENT_COMPLETED
    work = Work(
        registration_id=_registration(now).id,
        element_id=ELEMENT.id,
        number=1,
        handed_in_at=now,
        source=Source.SELF,
        response="About 75 degrees.\n\nFlatter slides away, steeper tips over.",
        grade=Decimal("88.0") if completed else None,
        passed=True if completed else None,
        awaiting=not completed,
        graded_at=None,
        grader_id=None,
        grader_comment=None,
    )
    return events.element_event(
        event_id=event_id,
        source=Source.ADMIN,
        now=now,
        user=USER,
        registration=_registration(now),
        element=ELEMENT,
        work=work,
        offering=OFFERING,
    )


def _registration_event(name: EventName, event_id: str, now: datetime) -> NewEvent:
    registration = _registration(now)
    return events.registration_event(
        event_id=event_id,
        name=name,
        source=Source.SELF if name is EventName.OFFERING_COMPLETED else Source.ADMIN,
        now=now,
        user=USER,
        registration=registration,
        registration_part=_part(name, registration),
        offering=OFFERING,
    )


def _part(name: EventName, registration: Registration) -> events.Document:
    match name:
        case EventName.OFFERING_COMPLETED:
            return events.result_part(registration)
        case EventName.REGISTRATION_GRADE_CHANGED:
            before = replace(registration, grade=Decimal("64.0"), status=Status.FAILED)
            return events.regraded_part(registration, before)
        case EventName.REGISTRATION_EJECTED:
            ejected = replace(registration, grade=None, status=Status.EJECTED)
            return events.result_part(ejected)
        case _:
            return events.identity_part(registration)


def _registration(now: datetime) -> Registration:
    return Registration(
        id="1111222233334444aaaabbbbccccdddd",
        user_id=USER.id,
        offering_id=OFFERING.id,
        attempt=1,
        status=Status.PASSED,
        grade=Decimal("71.5"),
        computed=False,
        source=Source.SELF,
        grader_id=None,
        grader_comment=None,
        created_at=now - timedelta(days=30),
        begin_at=now - timedelta(days=29),
        last_active_at=now,
        end_at=now,
        extended=False,
        event_count=2,
        policy=Policy(passing_grade=Decimal("70.0"), move_on=MoveOn.COMPLETED_AND_PASSED),
    )
