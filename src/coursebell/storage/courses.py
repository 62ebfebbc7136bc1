"""Courses, and the categories their offerings are shelved in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Row, delete, exists, insert, select, update

from coursebell.domain.lists import CategoryFilters, CourseFilters, Page, Slice
from coursebell.domain.model import Course, MoveOn, OfferingCategory
from coursebell.storage.columns import belongs_to, contains_word
from coursebell.storage.database import Transaction
from coursebell.storage.lists import has_text, in_range, slice_of
from coursebell.storage.tables import (
    courses,
    elements,
    offering_categories,
    offerings,
    registrations,
)


def insert_course(tx: Transaction, organization_id: str, course: Course) -> None:
    tx.execute(
        insert(courses).values(
            id=course.id,
            organization_id=organization_id,
            created_at=course.created_at,
            **_course_values(course),
        )
    )


def update_course(tx: Transaction, organization_id: str, course: Course) -> None:
    statement = update(courses).where(
        courses.c.organization_id == organization_id, courses.c.id == course.id
    )
    tx.execute(statement.values(_course_values(course)))


def delete_course(tx: Transaction, organization_id: str, course_id: str) -> None:
    """Delete it with its elements and its offerings, none of which has a registration."""
    tx.execute(
        delete(elements).where(
            elements.c.organization_id == organization_id, elements.c.course_id == course_id
        )
    )
    tx.execute(
        delete(offerings).where(
            offerings.c.organization_id == organization_id, offerings.c.course_id == course_id
        )
    )
    tx.execute(
        delete(courses).where(
            courses.c.organization_id == organization_id, courses.c.id == course_id
        )
    )


def course_has_registrations(tx: Transaction, organization_id: str, course_id: str) -> bool:
    query = select(
        exists().where(
            belongs_to(registrations.c.organization_id, organization_id),
            registrations.c.offering_id == offerings.c.id,
            offerings.c.course_id == course_id,
        )
    )
    return bool(tx.execute(query).scalar_one())


def find_course(
    tx: Transaction, organization_id: str, course_id: str, *, for_update: bool = False
) -> Course | None:
    query = select(courses).where(
        courses.c.organization_id == organization_id, courses.c.id == course_id
    )
    row = tx.execute(query.with_for_update() if for_update else query).one_or_none()
    return None if row is None else _course(row)


def ids_by_title(
    tx: Transaction, organization_id: str, titles: set[str]
) -> Mapping[str, list[str]]:
    """The courses of each title that has any, oldest first."""
    query = select(courses.c.title, courses.c.id).where(
        courses.c.organization_id == organization_id, courses.c.title.in_(titles)
    )
    found: dict[str, list[str]] = {}
    for row in tx.execute(query.order_by(courses.c.key)):
        found.setdefault(row.title, []).append(row.id)
    return found


def known_courses(tx: Transaction, organization_id: str, wanted: set[str]) -> set[str]:
    """Those ids among `wanted` that are courses."""
    query = select(courses.c.id).where(
        belongs_to(courses.c.organization_id, organization_id), courses.c.id.in_(wanted)
    )
    return set(tx.execute(query).scalars())


def list_courses(
    tx: Transaction, organization_id: str, filters: CourseFilters, page: Page
) -> Slice[Course]:
    query = (
        select(courses)
        .where(
            courses.c.organization_id == organization_id,
            in_range(courses.c.created_at, filters.created),
            has_text(courses.c.title, filters.title),
        )
        .order_by(courses.c.key)
    )
    return slice_of(tx, query, page, _course)


def _course_values(course: Course) -> dict[str, Any]:
    return {
        "title": course.title,
        "instructor": course.instructor,
        "passing_grade": course.passing_grade,
        "move_on": course.move_on,
        "require_every_element_passed": course.require_every_element_passed,
    }


def _course(row: Row[Any]) -> Course:
    return Course(
        id=row.id,
        title=row.title,
        instructor=row.instructor,
        passing_grade=row.passing_grade,
        move_on=MoveOn(row.move_on),
        require_every_element_passed=row.require_every_element_passed,
        created_at=row.created_at,
    )


def insert_category(tx: Transaction, organization_id: str, category: OfferingCategory) -> None:
    tx.execute(
        insert(offering_categories).values(
            id=category.id,
            organization_id=organization_id,
            created_at=category.created_at,
            **_category_values(category),
        )
    )


def update_category(tx: Transaction, organization_id: str, category: OfferingCategory) -> None:
    statement = update(offering_categories).where(
        offering_categories.c.organization_id == organization_id,
        offering_categories.c.id == category.id,
    )
    tx.execute(statement.values(_category_values(category)))


def delete_category(tx: Transaction, organization_id: str, category_id: str) -> None:
    """Delete it and take it off every offering."""
    shelved = select(offerings.c.id, offerings.c.category_ids).where(
        offerings.c.organization_id == organization_id,
        contains_word(offerings.c.category_ids, category_id),
    )
    for row in tx.execute(shelved).all():
        rest = tuple(each for each in row.category_ids if each != category_id)
        tx.execute(update(offerings).where(offerings.c.id == row.id).values(category_ids=rest))
    tx.execute(
        delete(offering_categories).where(
            offering_categories.c.organization_id == organization_id,
            offering_categories.c.id == category_id,
        )
    )


def _category_values(category: OfferingCategory) -> dict[str, Any]:
    return {
        "name": category.name,
        "description": category.description,
        "color": category.color,
        "order_index": category.order_index,
    }


def find_category(
    tx: Transaction, organization_id: str, category_id: str
) -> OfferingCategory | None:
    query = select(offering_categories).where(
        offering_categories.c.organization_id == organization_id,
        offering_categories.c.id == category_id,
    )
    row = tx.execute(query).one_or_none()
    return None if row is None else _category(row)


def known_categories(tx: Transaction, organization_id: str, wanted: set[str]) -> set[str]:
    """Those of `wanted` that exist."""
    query = select(offering_categories.c.id).where(
        offering_categories.c.organization_id == organization_id,
        offering_categories.c.id.in_(wanted),
    )
    return set(tx.execute(query).scalars())


def list_categories(
    tx: Transaction, organization_id: str, filters: CategoryFilters, page: Page
) -> Slice[OfferingCategory]:
    query = (
        select(offering_categories)
        .where(
            offering_categories.c.organization_id == organization_id,
            in_range(offering_categories.c.created_at, filters.created),
            has_text(offering_categories.c.name, filters.name),
        )
        .order_by(offering_categories.c.key)
    )
    return slice_of(tx, query, page, _category)


def _category(row: Row[Any]) -> OfferingCategory:
    return OfferingCategory(
        id=row.id,
        name=row.name,
        description=row.description,
        color=row.color,
        order_index=row.order_index,
        created_at=row.created_at,
    )
