"""The elements of a course: made, changed, moved, activated, deleted."""

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coursebell.domain.elements import AttemptsPolicy, ElementStatus, ElementType
from coursebell.domain.lists import ElementFilters, Page
from coursebell.domain.model import Role, new_id
from coursebell.errors import ForbiddenError, InvalidInputError, NotFoundError
from coursebell.services import courses, elements
from coursebell.services.elements import MAX_ELEMENTS, ElementChanges, NewElement
from coursebell.storage import audit
from factories import NOW, open_school

DRAFT, ACTIVE = ElementStatus.DRAFT, ElementStatus.ACTIVE


def change(school, element, **changes):
    return elements.change_element(
        school.registrar,
        school.admin,
        element.course_id,
        element.id,
        ElementChanges(**changes),
        NOW,
    )


def listed(school, course, **filters):
    found = elements.list_elements(
        school.registrar, school.admin, course.id, ElementFilters(**filters), Page(limit=100)
    )
    return list(found.items)


def titles(school, course):
    found = listed(school, course)
    assert [each.order_index for each in found] == list(range(len(found)))
    return "".join(each.title for each in found)


def test_an_element_is_a_draft_with_the_usual_rules_unless_it_says_otherwise(school):
    course = school.course()

    element = elements.create_element(
        school.registrar,
        school.admin,
        course.id,
        NewElement(type=ElementType.TEST, title="Knots"),
        NOW,
    )

    found = elements.get_element(school.registrar, school.admin, course.id, element.id)
    assert found == element
    assert (found.status, found.required, found.weight) == (DRAFT, True, Decimal(1))
    assert (found.attempts_policy, found.max_attempts) == (AttemptsPolicy.BEST, None)
    assert (found.passing_grade, found.question, found.order_index) == (None, None, 0)
    assert school.events(event="element_published") == []


def test_activating_tells_once_of_the_element_and_its_course(school):
    instructor = school.user(role=Role.INSTRUCTOR, first_name="Ada", last_name="Berg")
    course = school.course(instructor=instructor.id, passing_grade=Decimal("80.5"))
    webhook = school.webhook()
    essay = school.element(course, "assignment", question="Why?", status=DRAFT, title="Essay")

    change(school, essay, status=ACTIVE)
    change(school, essay, status=ACTIVE, title="Essays")

    (event,) = school.events(event="element_published")
    (document,) = school.documents(event="element_published")
    assert document == {
        "event": "element_published",
        "date": "2026-03-02T10:00:00Z",
        "element": {"type": "assignment", "id": essay.id, "title": "Essay", "question": "Why?"},
        "course": {
            "id": course.id,
            "title": course.title,
            "instructor": "Ada Berg",
            "passingGrade": 80.5,
        },
    }
    assert (event.element_id, event.registration_id) == (essay.id, None)
    assert event.user_id == instructor.id  # whom it names
    assert len(school.deliveries(webhook, event="element_published")) == 1


def test_what_becomes_active_again_is_published_again(school):
    course = school.course()
    test = school.element(course)

    change(school, test, status=DRAFT)
    change(school, test, status=ACTIVE)

    assert len(school.documents(event="element_published")) == 2
    assert "instructor" not in school.documents(event="element_published")[0]["course"]


def test_what_is_not_named_keeps_its_value_and_none_takes_away(school):
    element = school.element(
        school.course(), max_attempts=3, passing_grade=Decimal("33.3333"), weight=Decimal("2.5")
    )

    renamed = change(school, element, title="Other")
    without = change(school, element, max_attempts=None, passing_grade=None)

    assert renamed == replace(element, title="Other")
    assert without == replace(renamed, max_attempts=None, passing_grade=None)


def test_elements_stand_in_the_order_they_were_made_in_until_they_are_moved(school):
    course = school.course()
    a, b, c, d = (school.element(course, title=title) for title in "abcd")
    assert titles(school, course) == "abcd"

    assert change(school, d, order_index=0).order_index == 0
    assert titles(school, course) == "dabc"
    assert change(school, d, order_index=99).order_index == 3
    assert titles(school, course) == "abcd"
    change(school, b, order_index=2)
    assert titles(school, course) == "acbd"
    school.element(course, title="e", order_index=1)
    assert titles(school, course) == "aecbd"
    elements.delete_element(school.registrar, school.admin, course.id, a.id, NOW)
    assert titles(school, course) == "ecbd"
    assert c.course_id == course.id


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(moves=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 6)), max_size=6))
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_however_they_are_moved_they_stand_as_a_list_would(school, moves):
    course = school.course()
    made = [school.element(course, title=title) for title in "abcde"]
    expected = list("abcde")

    for which, place in moves:
        change(school, made[which], order_index=place)
        expected.remove(made[which].title)
        expected.insert(place, made[which].title)

    assert titles(school, course) == "".join(expected)


def test_only_an_assignment_asks_a_question(school):
    course = school.course()
    with pytest.raises(InvalidInputError) as refused:
        school.element(course, "test", question="Why?")
    assert list(refused.value.field_errors) == ["question"]

    essay = school.element(course, "assignment", question="Why?")

    with pytest.raises(InvalidInputError):
        change(school, essay, type=ElementType.FILE)
    assert change(school, essay, type=ElementType.FILE, question=None).type == "file"


def test_what_somebody_has_worked_on_is_neither_deleted_nor_another_type(school):
    course = school.course()
    test, other = school.element(course), school.element(course)
    registration = school.registration(offering=school.offering(course=course))
    school.report(registration, test, grade=50)
    school.judge(registration, other, exempt=True)

    for element in (test, other):
        with pytest.raises(InvalidInputError, match="draft"):
            elements.delete_element(school.registrar, school.admin, course.id, element.id, NOW)
        with pytest.raises(InvalidInputError) as refused:
            change(school, element, type=ElementType.SCO)
        assert list(refused.value.field_errors) == ["type"]
    assert len(listed(school, course)) == 2


def test_elements_are_listed_by_type_status_and_title(school):
    course = school.course()
    knots = school.element(course, "test", title="Knots")
    school.element(course, "file", title="Ropes", status=DRAFT)

    assert [each.id for each in listed(school, course, type="test")] == [knots.id]
    assert [each.title for each in listed(school, course, status="draft")] == ["Ropes"]
    assert [each.title for each in listed(school, course, title="KNO")] == ["Knots"]


def test_a_course_is_deleted_with_its_elements(school):
    course = school.course()
    element = school.element(course)

    courses.delete_course(school.registrar, school.admin, course.id, NOW)

    with pytest.raises(NotFoundError):
        elements.get_element(school.registrar, school.admin, course.id, element.id)


def test_an_element_belongs_to_its_course_and_organization(school):
    course, other = school.course(), school.course()
    element = school.element(course)
    elsewhere = open_school(school.database)
    lost = [(school, other.id), (school, new_id()), (elsewhere, course.id)]

    for who, course_id in lost:
        for ask in (
            lambda who, id_: elements.get_element(who.registrar, who.admin, id_, element.id),
            lambda who, id_: elements.change_element(
                who.registrar, who.admin, id_, element.id, ElementChanges(title="X"), NOW
            ),
            lambda who, id_: elements.delete_element(
                who.registrar, who.admin, id_, element.id, NOW
            ),
        ):
            with pytest.raises(NotFoundError):
                ask(who, course_id)
    with pytest.raises(NotFoundError):
        listed(school, replace(course, id=new_id()))
    with pytest.raises(NotFoundError):
        school.element(replace(course, id=new_id()))


def test_administrators_make_elements_and_instructors_look_at_them(school):
    course = school.course()
    element = school.element(course)
    instructor, learner = school.instructor(), school.learner()

    assert elements.get_element(school.registrar, instructor, course.id, element.id) == element
    new = NewElement(type=ElementType.TEST, title="X")
    for ask in (
        lambda: elements.create_element(school.registrar, instructor, course.id, new, NOW),
        lambda: elements.change_element(
            school.registrar, instructor, course.id, element.id, ElementChanges(), NOW
        ),
        lambda: elements.delete_element(school.registrar, instructor, course.id, element.id, NOW),
        lambda: elements.get_element(school.registrar, learner, course.id, element.id),
        lambda: elements.list_elements(
            school.registrar, learner, course.id, ElementFilters(), Page()
        ),
    ):
        with pytest.raises(ForbiddenError):
            ask()


def test_a_course_has_room_for_so_many(school, monkeypatch):
    monkeypatch.setattr(elements, "MAX_ELEMENTS", 2)
    course = school.course()
    school.element(course)
    school.element(course)

    with pytest.raises(InvalidInputError, match="at most 2 elements"):
        school.element(course)
    assert MAX_ELEMENTS == 500


def test_the_trail_says_what_was_changed(school):
    element = school.element(school.course(), title="Knots")
    change(school, element, title="Ropes")
    elements.delete_element(school.registrar, school.admin, element.course_id, element.id, NOW)

    with school.database.snapshot() as tx:
        entries = audit.list_changes_of(tx, school.organization.id, element.id)

    assert [each.action for each in entries] == [
        "element.create",
        "element.update",
        "element.delete",
    ]
    assert (entries[1].before, entries[1].after) == ({"title": "Knots"}, {"title": "Ropes"})
