"""Registering users for offerings."""

import pytest

from coursebell.domain.completion import Command
from coursebell.domain.model import Role, Status, new_id
from coursebell.errors import ForbiddenError, InvalidInputError
from coursebell.services import enrolment, people
from coursebell.storage import audit
from factories import DAY, HOUR, NOW, open_school


def test_a_registration_begins_active_and_is_told(school):
    user = school.user()
    offering = school.offering(title="Ladders")

    registration = school.registration(user=user, offering=offering)

    assert school.stored(registration) == registration
    assert (registration.status, registration.attempt) == (Status.ACTIVE, 1)
    assert (registration.begin_at, registration.end_at, registration.grade) == (None, None, None)
    (event,) = school.events(registration=registration)
    assert (event.name, event.registration_seq) == ("offering_registered", 1)
    (document,) = school.documents(registration=registration)
    assert list(document) == ["event", "date", "source", "user", "registration", "offering"]
    assert document["source"] == "ADMIN"
    assert document["registration"] == {"id": registration.id}
    assert document["offering"] == {"id": offering.id, "title": "Ladders"}


def test_a_learner_registers_himself_and_is_the_source(school):
    learner = school.learner()

    registration = school.registration(user=learner, actor=learner)

    assert school.documents(registration=registration)[0]["source"] == "SELF"
    with school.database.snapshot() as tx:
        (entry,) = audit.list_changes_of(tx, school.organization.id, registration.id)
    assert (entry.action, entry.actor) == ("registration.create", "learner")
    assert entry.after["attempt"] == 1


def test_a_learner_registers_nobody_else(school):
    with pytest.raises(ForbiddenError):
        school.registration(actor=school.learner())

    assert school.events(event="offering_registered") == []


def test_an_instructor_registers_others(school):
    assert school.registration(actor=school.instructor()).status is Status.ACTIVE


def test_unknown_ids_are_named(school):
    other = open_school(school.database)
    gone = school.user()
    people.delete_user(school.registrar, school.admin, gone.id, NOW)
    users = [new_id(), gone.id, other.user().id]
    offerings = [new_id(), other.offering().id, school.offering().id]

    for user_id, offering_id in zip(users, offerings, strict=True):
        asked = enrolment.Enrolment(actor=school.admin, user_id=user_id, offering_id=offering_id)
        with pytest.raises(InvalidInputError) as refused:
            school.enrol(asked)
        assert "userId" in refused.value.field_errors
        assert ("offeringId" in refused.value.field_errors) == (offering_id != offerings[2])


def test_a_user_has_one_active_registration_for_an_offering(school):
    registration = school.registration(offering=school.offering(retakes=True))
    again = enrolment.Enrolment(
        actor=school.admin,
        user_id=registration.user_id,
        offering_id=registration.offering_id,
        override=True,
        reason="even so",
    )

    with pytest.raises(InvalidInputError, match="active"):
        school.enrol(again)


@pytest.mark.parametrize("ending", [Command.GRADE, Command.EJECT])
def test_without_retakes_nobody_takes_an_offering_twice(school, ending):
    registration = school.registration()
    grade = "80" if ending is Command.GRADE else None
    school.ask(registration, ending, grade=grade)

    with pytest.raises(InvalidInputError, match="retakes"):
        school.enrol(
            enrolment.Enrolment(
                actor=school.admin,
                user_id=registration.user_id,
                offering_id=registration.offering_id,
            )
        )


def test_with_retakes_attempts_are_numbered_and_earlier_ones_stay_as_they_were(school):
    offering = school.offering(retakes=True)
    user = school.user()
    first = school.registration(user=user, offering=offering)
    school.ask(first, Command.GRADE, grade="40")
    kept = school.stored(first)
    second = school.registration(user=user, offering=offering)
    school.ask(second, Command.EJECT)

    third = school.registration(user=user, offering=offering)
    other = school.registration(offering=offering)

    assert [each.attempt for each in (first, second, third, other)] == [1, 2, 3, 1]
    assert school.stored(first) == kept
    assert len({first.id, second.id, third.id}) == 3


@pytest.mark.parametrize(
    "window",
    [
        {"registration_begin_at": NOW + HOUR},
        {"registration_end_at": NOW},
        {"end_at": NOW},
    ],
)
def test_registration_closed_is_refused_until_an_administrator_overrides_with_a_reason(
    school, window
):
    offering = school.offering(**window)
    user = school.user()

    with pytest.raises(InvalidInputError) as refused:
        school.registration(user=user, offering=offering)
    with pytest.raises(InvalidInputError) as unexplained:
        school.registration(user=user, offering=offering, override=True)
    with pytest.raises(ForbiddenError):
        school.registration(
            user=user, offering=offering, override=True, reason="x", actor=school.instructor()
        )
    let_in = school.registration(user=user, offering=offering, override=True, reason="moved")

    assert len(refused.value.errors) == 1
    assert list(unexplained.value.field_errors) == ["reason"]
    assert let_in.extended == ("end_at" in window)
    with school.database.snapshot() as tx:
        (entry,) = audit.list_changes_of(tx, school.organization.id, let_in.id)
    assert entry.reason == "moved"


def test_the_registration_window_has_its_begin_and_activity_may_begin_later(school):
    offering = school.offering(
        registration_begin_at=NOW, registration_end_at=NOW + HOUR, begin_at=NOW + DAY
    )

    assert school.registration(offering=offering).status is Status.ACTIVE


def test_a_batch_gives_a_registration_or_an_error_for_each_in_order(school, monkeypatch):
    monkeypatch.setattr(enrolment, "BATCH", 2)
    offering = school.offering()
    users = [school.user() for _ in range(4)]
    asked = [school.enrolment(user=user, offering=offering) for user in users]
    asked.insert(1, asked[0])
    asked.insert(3, enrolment.Enrolment(actor=school.admin, user_id="", offering_id=offering.id))

    results = enrolment.register(school.registrar, school.organization.id, asked, NOW)

    refused = [index for index, each in enumerate(results) if isinstance(each, Exception)]
    assert refused == [1, 3]
    told = [event.user_id for event in school.events(event="offering_registered")]
    assert told == [user.id for user in users]


def test_a_user_of_any_role_may_be_registered(school):
    admin = school.user(role=Role.ADMIN)

    own = school.registration(user=admin, actor=school.actor(admin))

    assert school.documents(registration=own)[0]["source"] == "SELF"
