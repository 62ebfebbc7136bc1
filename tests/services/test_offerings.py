"""Offerings: their windows, their filters, who sees them."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from coursebell.domain.completion import Command
from coursebell.domain.instants import parse_date_filter
from coursebell.domain.lists import OfferingFilters, Page
from coursebell.domain.model import MoveOn, new_id
from coursebell.errors import ForbiddenError, InvalidInputError, NotFoundError
from coursebell.services import courses, offerings, people
from coursebell.services.courses import NewCategory
from coursebell.services.offerings import NewOffering, OfferingChanges
from coursebell.storage import audit
from factories import DAY, HOUR, NOW, open_school

MICROSECOND = timedelta(microseconds=1)


def change(school, offering, **changes):
    return offerings.change_offering(
        school.registrar, school.admin, offering.id, OfferingChanges(**changes), NOW
    )


def listed(school, *, actor=None, now=NOW, **filters):
    found = offerings.list_offerings(
        school.registrar, actor or school.admin, OfferingFilters(**filters), Page(), now
    )
    return list(found.items)


def category(school):
    new = NewCategory(name="Safety")
    return courses.create_category(school.registrar, school.admin, new, NOW).id


def test_an_offering_keeps_everything_it_is_given(school):
    shelf = category(school)
    offering = school.offering(
        begin_at=NOW,
        end_at=NOW + DAY,
        registration_begin_at=NOW - DAY,
        registration_end_at=NOW + HOUR,
        catalog_description="A",
        dashboard_description="B",
        delivery_description="C",
        price=Decimal("12.50"),
        category_ids=(shelf, shelf),
        tags=("north east", "south,north"),
        order_index=-3,
        passing_grade=Decimal("0"),
        move_on=MoveOn.COMPLETED,
        retakes=True,
    )

    assert offerings.get_offering(school.registrar, school.admin, offering.id) == offering
    assert offering.tags == ("north", "east", "south")
    assert offering.category_ids == (shelf,)
    assert str(offering.price) == "12.50"


def test_what_is_not_named_keeps_its_value(school):
    offering = school.offering(begin_at=NOW, tags=("a",), price=Decimal("1.5"))

    changed = change(school, offering, begin_at=None, tags=("b c",), retakes=True)

    assert changed == replace(offering, begin_at=None, tags=("b", "c"), retakes=True)
    assert offerings.get_offering(school.registrar, school.admin, offering.id) == changed


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"begin_at": NOW, "end_at": NOW}, "endDate"),
        ({"begin_at": NOW, "end_at": NOW - HOUR}, "endDate"),
        (
            {"registration_begin_at": NOW, "registration_end_at": NOW - HOUR},
            "registrationEndDate",
        ),
        ({"category_ids": ("0" * 32,)}, "offeringCategoryIds"),
    ],
)
def test_a_bad_value_is_refused_by_its_name(school, fields, named):
    offering = school.offering()

    with pytest.raises(InvalidInputError) as made:
        school.offering(**fields)
    with pytest.raises(InvalidInputError) as changed:
        change(school, offering, **fields)

    assert list(made.value.field_errors) == list(changed.value.field_errors) == [named]
    assert offerings.get_offering(school.registrar, school.admin, offering.id) == offering


def test_a_window_is_judged_together_with_what_stays(school):
    offering = school.offering(begin_at=NOW)

    with pytest.raises(InvalidInputError):
        change(school, offering, end_at=NOW - HOUR)


def test_an_offering_is_of_a_course_and_of_categories_of_the_organization(school):
    other = open_school(school.database)

    for course_id in (new_id(), other.course().id):
        with pytest.raises(InvalidInputError) as refused:
            change(school, school.offering(), course_id=course_id)
        assert list(refused.value.field_errors) == ["courseId"]
    with pytest.raises(InvalidInputError) as refused:
        school.offering(category_ids=(category(other),))
    assert list(refused.value.field_errors) == ["offeringCategoryIds"]


def test_an_offering_with_a_registration_is_not_deleted(school):
    taken, free = school.offering(), school.offering()
    registration = school.registration(offering=taken)
    school.ask(registration, Command.EJECT)

    with pytest.raises(InvalidInputError):
        offerings.delete_offering(school.registrar, school.admin, taken.id, NOW)
    offerings.delete_offering(school.registrar, school.admin, free.id, NOW)

    assert listed(school) == [taken]
    with pytest.raises(NotFoundError):
        offerings.delete_offering(school.registrar, school.admin, free.id, NOW)


def test_everybody_reads_and_administrators_write(school):
    offering = school.offering()
    other = open_school(school.database)
    new = NewOffering(course_id=offering.course_id, title="X")
    write = (
        lambda who: offerings.create_offering(school.registrar, who, new, NOW),
        lambda who: offerings.change_offering(
            school.registrar, who, offering.id, OfferingChanges(title="X"), NOW
        ),
        lambda who: offerings.delete_offering(school.registrar, who, offering.id, NOW),
    )

    for actor in (school.learner(), school.instructor()):
        assert offerings.get_offering(school.registrar, actor, offering.id) == offering
        assert listed(school, actor=actor) == [offering]
        for call in write:
            with pytest.raises(ForbiddenError):
                call(actor)
    assert listed(other) == []
    with pytest.raises(NotFoundError):
        offerings.get_offering(other.registrar, other.admin, offering.id)
    for call in write[1:]:
        with pytest.raises(NotFoundError):
            call(other.admin)


def test_titles_and_dates_filter(school):
    old = school.offering(title="Fire 100%", now=NOW - 2 * DAY)
    new = school.offering(title="Fire 1000")

    assert listed(school, title="fire 100") == [old, new]
    assert listed(school, title="100%") == [old]
    assert listed(school, created=parse_date_filter("..2026-02-28")) == [old]


def test_tags_filter_as_whole_words_and_all_of_them(school):
    both = school.offering(tags=("north", "winter"))
    one = school.offering(tags=("northern", "winter"))
    school.offering()

    assert listed(school, tags=("winter",)) == [both, one]
    assert listed(school, tags=("winter", "north")) == [both]
    assert listed(school, tags=("nor",)) == []
    assert listed(school, tags=("%",)) == []


def test_a_category_filters(school):
    shelf, other = category(school), category(school)
    offering = school.offering(category_ids=(other, shelf))
    school.offering(category_ids=(other,))

    assert listed(school, category_id=shelf) == [offering]


def test_available_is_what_the_user_could_register_for_now(school):
    user = school.user()
    open_ = school.offering(
        registration_begin_at=NOW, registration_end_at=NOW + MICROSECOND, end_at=NOW + MICROSECOND
    )
    later = school.offering(registration_begin_at=NOW + MICROSECOND)
    closed = school.offering(registration_end_at=NOW)
    ended = school.offering(end_at=NOW)
    active = school.offering(retakes=True)
    school.registration(user=user, offering=active)
    taken = school.offering()
    school.ask(school.registration(user=user, offering=taken), Command.GRADE, grade="80")
    again = school.offering(retakes=True)
    school.ask(school.registration(user=user, offering=again), Command.EJECT)

    available = listed(school, available_to=user.id)

    assert available == [open_, again]
    for offering in (open_, again):
        assert school.registration(user=user, offering=offering)
    for offering in (later, closed, ended, active, taken):
        with pytest.raises(InvalidInputError):
            school.registration(user=user, offering=offering)


def test_nothing_is_available_to_who_is_not_there(school):
    school.offering()
    gone = school.user()
    people.delete_user(school.registrar, school.admin, gone.id, NOW)
    elsewhere = open_school(school.database).user()

    for user_id in (new_id(), gone.id, elsewhere.id):
        assert listed(school, available_to=user_id) == []


def test_a_learner_asks_what_is_available_to_himself_only(school):
    offering = school.offering()
    learner, other = school.learner(), school.learner()

    assert listed(school, actor=learner, available_to=learner.user_id) == [offering]
    assert listed(school, actor=learner, available_to=other.user_id) == []
    assert listed(school, actor=school.instructor(), available_to=other.user_id) == [offering]


def test_changes_are_in_the_trail(school):
    offering = school.offering(end_at=NOW + DAY)
    change(school, offering, end_at=NOW + 2 * DAY, title="Other")

    with school.database.snapshot() as tx:
        created, changed = audit.list_changes_of(tx, school.organization.id, offering.id)

    assert (created.action, changed.action) == ("offering.create", "offering.update")
    assert sorted(changed.before) == sorted(changed.after) == ["end_at", "title"]
