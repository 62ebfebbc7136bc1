"""Courses, and the categories offerings are shelved in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from coursebell.domain.changes import UNSET, Unset, changed, named
from coursebell.domain.lists import CategoryFilters, CourseFilters, Page, Slice
from coursebell.domain.model import Actor, Course, MoveOn, OfferingCategory, Role, new_id
from coursebell.errors import InvalidInputError, NotFoundError
from coursebell.services import trail
from coursebell.services.registrar import Registrar
from coursebell.storage import audit, courses, elements, people
from coursebell.storage.database import Transaction

DEFAULT_PASSING_GRADE = Decimal("70.0")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCourse:
    title: str
    instructor: str | None = None
    passing_grade: Decimal = DEFAULT_PASSING_GRADE
    move_on: MoveOn = MoveOn.COMPLETED_AND_PASSED
    require_every_element_passed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CourseChanges:
    title: str | Unset = UNSET
    instructor: str | Unset | None = UNSET
    passing_grade: Decimal | Unset = UNSET
    move_on: MoveOn | Unset = UNSET
    require_every_element_passed: bool | Unset = UNSET


def create_course(registrar: Registrar, actor: Actor, new: NewCourse, now: datetime) -> Course:
    actor.require(Role.ADMIN)
    course = Course(
        id=new_id(),
        title=new.title,
        instructor=new.instructor,
        passing_grade=new.passing_grade,
        move_on=new.move_on,
        require_every_element_passed=new.require_every_element_passed,
        created_at=now,
    )
    with registrar.database.transaction() as tx:
        _check_instructor(tx, actor, course)
        courses.insert_course(tx, actor.organization_id, course)
        audit.insert_changes(tx, [trail.change(actor, "course.create", None, course)], now)
    return course


def change_course(
    registrar: Registrar, actor: Actor, course_id: str, changes: CourseChanges, now: datetime
) -> Course:
    """Change what is named. Results that stand keep the policy that decided them."""
    actor.require(Role.ADMIN)
    with registrar.database.transaction() as tx:
        before = courses.find_course(tx, actor.organization_id, course_id, for_update=True)
        if before is None:
            raise NotFoundError
        after = changed(before, named(changes))
        if after.instructor != before.instructor:  # who stays may have become a learner since
            _check_instructor(tx, actor, after)
        courses.update_course(tx, actor.organization_id, after)
        audit.insert_changes(tx, [trail.change(actor, "course.update", before, after)], now)
    return after


def delete_course(registrar: Registrar, actor: Actor, course_id: str, now: datetime) -> None:
    """Delete it with its elements and offerings; refused once there is work or a registration."""
    actor.require(Role.ADMIN)

    def work(tx: Transaction) -> None:
        course = courses.find_course(tx, actor.organization_id, course_id, for_update=True)
        if course is None:
            raise NotFoundError
        if courses.course_has_registrations(tx, actor.organization_id, course_id):
            raise InvalidInputError(["A course with registrations cannot be deleted."])
        if elements.course_has_progress(tx, actor.organization_id, course_id):
            rule = "Somebody worked on its elements before their offering moved to another course."
            raise InvalidInputError([f"The course cannot be deleted. {rule}"])
        courses.delete_course(tx, actor.organization_id, course_id)
        audit.insert_changes(tx, [trail.change(actor, "course.delete", course, None)], now)

    registrar.database.run(work)


def get_course(registrar: Registrar, actor: Actor, course_id: str) -> Course:
    actor.require(Role.INSTRUCTOR)
    with registrar.database.snapshot() as tx:
        course = courses.find_course(tx, actor.organization_id, course_id)
    if course is None:
        raise NotFoundError
    return course


def list_courses(
    registrar: Registrar, actor: Actor, filters: CourseFilters, page: Page
) -> Slice[Course]:
    actor.require(Role.INSTRUCTOR)
    with registrar.database.snapshot() as tx:
        return courses.list_courses(tx, actor.organization_id, filters, page)


def _check_instructor(tx: Transaction, actor: Actor, course: Course) -> None:
    if course.instructor is None:
        return
    user = people.find_user(tx, actor.organization_id, course.instructor)
    if user is None or user.role is Role.LEARNER:
        rule = "No instructor or administrator exists with this id."
        raise InvalidInputError(field_errors={"instructor": rule})


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCategory:
    name: str
    description: str | None = None
    color: str | None = None
    order_index: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CategoryChanges:
    name: str | Unset = UNSET
    description: str | Unset | None = UNSET
    color: str | Unset | None = UNSET
    order_index: int | Unset = UNSET


def create_category(
    registrar: Registrar, actor: Actor, new: NewCategory, now: datetime
) -> OfferingCategory:
    actor.require(Role.ADMIN)
    category = OfferingCategory(
        id=new_id(),
        name=new.name,
        description=new.description,
        color=new.color,
        order_index=new.order_index,
        created_at=now,
    )
    with registrar.database.transaction() as tx:
        courses.insert_category(tx, actor.organization_id, category)
        audit.insert_changes(tx, [trail.change(actor, "category.create", None, category)], now)
    return category


def change_category(
    registrar: Registrar, actor: Actor, category_id: str, changes: CategoryChanges, now: datetime
) -> OfferingCategory:
    actor.require(Role.ADMIN)
    with registrar.database.transaction() as tx:
        before = _found_category(courses.find_category(tx, actor.organization_id, category_id))
        after = changed(before, named(changes))
        courses.update_category(tx, actor.organization_id, after)
        audit.insert_changes(tx, [trail.change(actor, "category.update", before, after)], now)
    return after


def delete_category(registrar: Registrar, actor: Actor, category_id: str, now: datetime) -> None:
    """Delete it and take it off every offering."""
    actor.require(Role.ADMIN)
    with registrar.database.transaction() as tx:
        category = _found_category(courses.find_category(tx, actor.organization_id, category_id))
        courses.delete_category(tx, actor.organization_id, category_id)
        audit.insert_changes(tx, [trail.change(actor, "category.delete", category, None)], now)


def get_category(registrar: Registrar, actor: Actor, category_id: str) -> OfferingCategory:
    """Everybody may look at the shelves."""
    with registrar.database.snapshot() as tx:
        return _found_category(courses.find_category(tx, actor.organization_id, category_id))


def list_categories(
    registrar: Registrar, actor: Actor, filters: CategoryFilters, page: Page
) -> Slice[OfferingCategory]:
    with registrar.database.snapshot() as tx:
        return courses.list_categories(tx, actor.organization_id, filters, page)


def _found_category(category: OfferingCategory | None) -> OfferingCategory:
    if category is None:
        raise NotFoundError
    return category
