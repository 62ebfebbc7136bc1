"""The elements of a course: making, changing, ordering, activating and deleting them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from coursebell.domain import events
from coursebell.domain.changes import UNSET, Unset, changed, named
from coursebell.domain.elements import AttemptsPolicy, Element, ElementStatus, ElementType
from coursebell.domain.lists import ElementFilters, Page, Slice
from coursebell.domain.model import Actor, Course, Role, new_id
from coursebell.errors import InvalidInputError, NotFoundError
from coursebell.services import trail
from coursebell.services.publishing import publish
from coursebell.services.registrar import Registrar
from coursebell.storage import audit, courses, elements, people
from coursebell.storage.database import Transaction

MAX_ELEMENTS = 500  # of a course, so that a standing stays small


@dataclass(frozen=True, slots=True, kw_only=True)
class NewElement:
    type: ElementType
    title: str
    question: str | None = None
    weight: Decimal = Decimal(1)
    required: bool = True
    attempts_policy: AttemptsPolicy = AttemptsPolicy.BEST
    max_attempts: int | None = None
    passing_grade: Decimal | None = None
    status: ElementStatus = ElementStatus.DRAFT
    order_index: int | None = None  # None: after the others


@dataclass(frozen=True, slots=True, kw_only=True)
class ElementChanges:
    type: ElementType | Unset = UNSET
    title: str | Unset = UNSET
    question: str | Unset | None = UNSET
    weight: Decimal | Unset = UNSET
    required: bool | Unset = UNSET
    attempts_policy: AttemptsPolicy | Unset = UNSET
    max_attempts: int | Unset | None = UNSET
    passing_grade: Decimal | Unset | None = UNSET
    status: ElementStatus | Unset = UNSET
    order_index: int | Unset = UNSET


def create_element(
    registrar: Registrar, actor: Actor, course_id: str, new: NewElement, now: datetime
) -> Element:
    """Put a new element into a course, as a draft unless it says otherwise."""
    actor.require(Role.ADMIN)
    with registrar.database.transaction() as tx:
        course = _locked_course(tx, actor, course_id)
        places = elements.element_places(tx, actor.organization_id, course_id)
        if len(places) >= MAX_ELEMENTS:
            raise InvalidInputError([f"A course has at most {MAX_ELEMENTS} elements."])
        place = _place(new.order_index, len(places))
        values = {**named(new), "order_index": place}
        element = Element(id=new_id(), course_id=course_id, created_at=now, **values)  # type: ignore[arg-type]
        _check(element)
        elements.insert_element(tx, actor.organization_id, element)
        _move(tx, places | {element.id: element.order_index}, element)
        audit.insert_changes(tx, [trail.change(actor, "element.create", None, element)], now)
        if element.status is ElementStatus.ACTIVE:
            _publish(tx, registrar, actor, course, element, now)
    return element


def change_element(
    registrar: Registrar,
    actor: Actor,
    course_id: str,
    element_id: str,
    changes: ElementChanges,
    now: datetime,
) -> Element:
    """Change what is named. A new place moves the others; results that stand do not change."""
    actor.require(Role.ADMIN)
    with registrar.database.transaction() as tx:
        course = _locked_course(tx, actor, course_id)
        before = _found(tx, actor, course_id, element_id)
        after = changed(before, named(changes))
        _check(after)
        _check_type(tx, before, after)
        places = elements.element_places(tx, actor.organization_id, course_id)
        after = replace(after, order_index=_place(after.order_index, len(places) - 1))
        elements.update_element(tx, actor.organization_id, after)
        _move(tx, places, after)
        audit.insert_changes(tx, [trail.change(actor, "element.update", before, after)], now)
        if after.status is ElementStatus.ACTIVE and before.status is ElementStatus.DRAFT:
            _publish(tx, registrar, actor, course, after, now)
    return after


def delete_element(
    registrar: Registrar, actor: Actor, course_id: str, element_id: str, now: datetime
) -> None:
    """Refused once somebody has attempted it; making it a draft takes it out of the course."""
    actor.require(Role.ADMIN)

    def work(tx: Transaction) -> None:
        _locked_course(tx, actor, course_id)
        element = _found(tx, actor, course_id, element_id)
        if elements.element_has_progress(tx, element_id):
            rule = "Somebody has worked on this element. Make it a draft, and it no longer counts."
            raise InvalidInputError([rule])
        elements.delete_element(tx, actor.organization_id, element)
        places = elements.element_places(tx, actor.organization_id, course_id)
        elements.place_elements(tx, _changed_places(list(places), places))
        audit.insert_changes(tx, [trail.change(actor, "element.delete", element, None)], now)

    registrar.database.run(work)


def get_element(registrar: Registrar, actor: Actor, course_id: str, element_id: str) -> Element:
    actor.require(Role.INSTRUCTOR)
    with registrar.database.snapshot() as tx:
        return _found(tx, actor, course_id, element_id)


def list_elements(
    registrar: Registrar, actor: Actor, course_id: str, filters: ElementFilters, page: Page
) -> Slice[Element]:
    """The elements of a course in their order, drafts too."""
    actor.require(Role.INSTRUCTOR)
    with registrar.database.snapshot() as tx:
        if courses.find_course(tx, actor.organization_id, course_id) is None:
            raise NotFoundError
        return elements.list_elements(tx, actor.organization_id, course_id, filters, page)


def _locked_course(tx: Transaction, actor: Actor, course_id: str) -> Course:
    """The course, locked, so that its elements change places one after the other."""
    course = courses.find_course(tx, actor.organization_id, course_id, for_update=True)
    if course is None:
        raise NotFoundError
    return course


def _found(tx: Transaction, actor: Actor, course_id: str, element_id: str) -> Element:
    element = elements.find_element(tx, actor.organization_id, course_id, element_id)
    if element is None:
        raise NotFoundError
    return element


def _check(element: Element) -> None:
    if element.question is not None and element.type is not ElementType.ASSIGNMENT:
        rule = f"A {element.type} has no question; only an assignment has."
        raise InvalidInputError(field_errors={"question": rule})


def _check_type(tx: Transaction, before: Element, after: Element) -> None:
    if after.type is not before.type and elements.element_has_progress(tx, after.id):
        rule = f"Somebody has worked on this {before.type}; it stays one."
        raise InvalidInputError(field_errors={"type": rule})


def _place(wanted: int | None, last: int) -> int:
    """The place that is wanted, no further than the last one there can be."""
    return last if wanted is None else min(wanted, last)


def _move(tx: Transaction, places: dict[str, int], element: Element) -> None:
    """Put the element into its place among the others, which close up around it."""
    order = [each for each in places if each != element.id]
    order.insert(element.order_index, element.id)
    elements.place_elements(tx, _changed_places(order, places))


def _changed_places(order: list[str], places: dict[str, int]) -> dict[str, int]:
    numbered = {element_id: place for place, element_id in enumerate(order)}
    return {each: place for each, place in numbered.items() if places[each] != place}


def _publish(
    tx: Transaction,
    registrar: Registrar,
    actor: Actor,
    course: Course,
    element: Element,
    now: datetime,
) -> None:
    instructor = (
        None
        if course.instructor is None
        else people.find_user(tx, actor.organization_id, course.instructor)
    )
    event = events.element_published(
        event_id=new_id(), now=now, element=element, course=course, instructor=instructor
    )
    publish(tx, registrar, actor.organization_id, [event], now)
