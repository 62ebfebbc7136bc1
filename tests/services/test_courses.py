"""Courses and categories."""

from dataclasses import replace
from decimal import Decimal

import pytest

from coursebell.domain.lists import CategoryFilters, CourseFilters, OfferingFilters, Page
from coursebell.domain.model import MoveOn, Role, new_id
from coursebell.errors import ForbiddenError, InvalidInputError, NotFoundError
from coursebell.services import courses, offerings, people
from coursebell.services.courses import CategoryChanges, CourseChanges, NewCategory, NewCourse
from coursebell.services.offerings import OfferingChanges
from coursebell.services.people import UserChanges
from coursebell.storage import audit
from factories import DAY, NOW, open_school


def change(school, course, **changes):
    return courses.change_course(
        school.registrar, school.admin, course.id, CourseChanges(**changes), NOW
    )


def category(school, **fields):
    new = NewCategory(**({"name": "Safety"} | fields))
    return courses.create_category(school.registrar, school.admin, new, NOW)


def test_a_course_has_the_default_rules(school):
    course = school.course(title="Ladders")

    assert courses.get_course(school.registrar, school.admin, course.id) == course
    assert (course.passing_grade, course.move_on) == (Decimal("70.0"), MoveOn.COMPLETED_AND_PASSED)
    assert str(course.passing_grade) == "70.0"
    assert (course.instructor, course.created_at) == (None, NOW)


def test_what_is_not_named_keeps_its_value_and_none_takes_the_instructor_off(school):
    instructor = school.user(role=Role.INSTRUCTOR)
    course = school.course(instructor=instructor.id, passing_grade=Decimal("33.3333"))

    renamed = change(school, course, title="Other")
    without = change(school, course, instructor=None, move_on=MoveOn.COMPLETED)

    assert renamed == replace(course, title="Other")
    assert without == replace(renamed, instructor=None, move_on=MoveOn.COMPLETED)
    assert courses.get_course(school.registrar, school.admin, course.id) == without


def test_an_instructor_is_an_instructor_or_administrator_of_the_organization(school):
    assert school.course(instructor=school.user(role=Role.ADMIN).id)
    elsewhere = open_school(school.database).user(role=Role.INSTRUCTOR)

    for user_id in (school.user().id, elsewhere.id, new_id(), ""):
        with pytest.raises(InvalidInputError) as refused:
            school.course(instructor=user_id)
        assert list(refused.value.field_errors) == ["instructor"]
        with pytest.raises(InvalidInputError):
            change(school, school.course(), instructor=user_id)


def test_an_instructor_who_is_one_no_more_stands_in_the_way_of_no_other_change(school):
    instructor = school.user(role=Role.INSTRUCTOR)
    course = school.course(instructor=instructor.id)
    people.change_user(
        school.registrar, school.admin, instructor.id, UserChanges(role=Role.LEARNER), NOW
    )

    assert change(school, course, title="Other") == replace(course, title="Other")
    with pytest.raises(InvalidInputError):
        change(school, school.course(), instructor=instructor.id)


def test_a_course_is_deleted_with_its_offerings(school):
    course = school.course()
    offering = school.offering(course=course)

    courses.delete_course(school.registrar, school.admin, course.id, NOW)

    with pytest.raises(NotFoundError):
        courses.get_course(school.registrar, school.admin, course.id)
    with pytest.raises(NotFoundError):
        offerings.get_offering(school.registrar, school.admin, offering.id)
    with pytest.raises(NotFoundError):
        courses.delete_course(school.registrar, school.admin, course.id, NOW)


def test_a_course_with_a_registration_is_not_deleted(school):
    course = school.course()
    school.registration(offering=school.offering(course=course))
    other = school.offering(course=course)

    with pytest.raises(InvalidInputError):
        courses.delete_course(school.registrar, school.admin, course.id, NOW)

    assert courses.get_course(school.registrar, school.admin, course.id) == course
    assert offerings.get_offering(school.registrar, school.admin, other.id) == other


@pytest.mark.parametrize("done", ["report", "judge"])
def test_a_course_is_not_deleted_when_an_offering_has_taken_work_on_its_elements_away(school, done):
    course = school.course()
    element = school.element(course)
    offering = school.offering(course=course)
    registration = school.registration(offering=offering)
    if done == "report":
        school.report(registration, element, grade=50)
    else:
        school.judge(registration, element, exempt=True)
    moved = OfferingChanges(course_id=school.course().id)
    offerings.change_offering(school.registrar, school.admin, offering.id, moved, NOW)

    with pytest.raises(InvalidInputError, match="worked on its elements"):
        courses.delete_course(school.registrar, school.admin, course.id, NOW)

    assert courses.get_course(school.registrar, school.admin, course.id) == course


def test_courses_are_read_by_instructors_and_written_by_administrators(school):
    course = school.course()
    other = open_school(school.database)
    instructor, learner = school.instructor(), school.learner()
    read = (
        lambda who: courses.get_course(school.registrar, who, course.id),
        lambda who: courses.list_courses(school.registrar, who, CourseFilters(), Page()),
    )
    write = (
        lambda who: courses.create_course(school.registrar, who, NewCourse(title="X"), NOW),
        lambda who: courses.change_course(
            school.registrar, who, course.id, CourseChanges(title="X"), NOW
        ),
        lambda who: courses.delete_course(school.registrar, who, course.id, NOW),
    )

    for call in read:
        assert call(instructor)
    for call, actor in [(each, learner) for each in read + write] + [
        (each, instructor) for each in write
    ]:
        with pytest.raises(ForbiddenError):
            call(actor)
    for call in (read[0], *write[1:]):
        with pytest.raises(NotFoundError):
            call(other.admin)


def test_courses_are_listed_in_order_by_title_and_date(school):
    old = school.course(title="Fire", now=NOW - DAY)
    new = school.course(title="fire 2")
    open_school(school.database).course(title="Fire elsewhere")

    def listed(**filters):
        found = courses.list_courses(
            school.registrar, school.admin, CourseFilters(**filters), Page()
        )
        return list(found.items)

    assert listed() == listed(title="FIRE") == [old, new]
    assert listed(title="fire 2") == [new]


def test_changes_are_in_the_trail_with_before_and_after(school):
    course = school.course()
    change(school, course, passing_grade=Decimal("50"))
    courses.delete_course(school.registrar, school.admin, course.id, NOW)

    with school.database.snapshot() as tx:
        created, changed, deleted = audit.list_changes_of(tx, school.organization.id, course.id)

    assert (created.before, created.after["passing_grade"]) == (None, "70.0")
    assert (changed.before, changed.after) == ({"passing_grade": "70.0"}, {"passing_grade": "50"})
    assert (deleted.action, deleted.before["title"]) == ("course.delete", course.title)
    assert deleted.after is None


def test_a_category_is_made_changed_listed_and_taken_off_every_offering(school):
    safety = category(school, color="#ff0000")
    other = category(school, name="Other")
    one = school.offering(category_ids=(safety.id, other.id))
    two = school.offering(category_ids=(safety.id,))

    changed = courses.change_category(
        school.registrar, school.admin, safety.id, CategoryChanges(name="S", color=None), NOW
    )
    listed = courses.list_categories(
        school.registrar, school.learner(), CategoryFilters(name="s"), Page()
    )
    courses.delete_category(school.registrar, school.admin, safety.id, NOW)

    assert changed == replace(safety, name="S", color=None)
    assert list(listed.items) == [changed]
    left = [
        offerings.get_offering(school.registrar, school.admin, each.id).category_ids
        for each in (one, two)
    ]
    assert left == [(other.id,), ()]
    found = offerings.list_offerings(
        school.registrar, school.admin, OfferingFilters(category_id=safety.id), Page(), NOW
    )
    assert found.items == []


def test_categories_are_written_by_administrators_of_the_organization(school):
    made = category(school)
    other = open_school(school.database)

    assert courses.get_category(school.registrar, school.learner(), made.id) == made
    for call in (
        lambda who: courses.create_category(school.registrar, who, NewCategory(name="X"), NOW),
        lambda who: courses.change_category(
            school.registrar, who, made.id, CategoryChanges(name="X"), NOW
        ),
        lambda who: courses.delete_category(school.registrar, who, made.id, NOW),
    ):
        with pytest.raises(ForbiddenError):
            call(school.instructor())
    for call in (
        lambda: courses.get_category(other.registrar, other.admin, made.id),
        lambda: courses.delete_category(other.registrar, other.admin, made.id, NOW),
    ):
        with pytest.raises(NotFoundError):
            call()
