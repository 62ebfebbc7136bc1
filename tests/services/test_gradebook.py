"""Ending, grading, ejecting, reopening and halting registrations, with their events."""

from datetime import timedelta
from decimal import Decimal
from itertools import product

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coursebell.domain.completion import Command, Effect, Transition
from coursebell.domain.lists import Page, RegistrationFilters
from coursebell.domain.model import ActorKind, MoveOn, Role, Source, Status
from coursebell.errors import (
    ConflictError,
    CoursebellError,
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
)
from coursebell.services import courses, gradebook, offerings, people
from coursebell.services.courses import CourseChanges
from coursebell.services.offerings import OfferingChanges
from coursebell.storage import audit
from factories import DAY, HOUR, NOW, School, open_school

MINUTE = timedelta(minutes=1)
LATER = NOW + MINUTE


def names(school: School, registration) -> list[str]:
    return [event.name for event in school.events(registration=registration)]


def completions(school: School, registration) -> list[dict]:
    return school.documents(event="offering_completed", registration=registration)


def trail(school: School, subject_id: str) -> list[audit.Entry]:
    with school.database.snapshot() as tx:
        return audit.list_changes_of(tx, school.organization.id, subject_id)


def in_state(school: School, status: Status, **offering):
    """A registration that has come into this state the ordinary way."""
    registration = school.registration(offering=school.offering(**offering))
    match status:
        case Status.PASSED:
            school.ask(registration, Command.GRADE, grade="80")
        case Status.FAILED:
            school.ask(registration, Command.GRADE, grade="40")
        case Status.EJECTED:
            school.ask(registration, Command.EJECT)
    return school.stored(registration)


# --- the table again, on real databases: what each cell fires, and that nothing else does

FIRES = {
    Effect.END: "offering_completed",
    Effect.REGRADE: "registration_grade_changed",
    Effect.EJECT: "registration_ejected",
    Effect.REOPEN: "registration_reopened",
}
ENDS = {
    (Command.COMPLETE, Status.ACTIVE),
    (Command.COMPLETE_ONCE, Status.ACTIVE),
    (Command.GRADE, Status.ACTIVE),
    (Command.GRADE, Status.EJECTED),
    (Command.HALT, Status.ACTIVE),
    (Command.IMPORT, Status.ACTIVE),
    (Command.IMPORT, Status.EJECTED),
}
REGRADES = (Command.GRADE, Command.IMPORT)
CHANGES = (
    dict.fromkeys(ENDS, "offering_completed")
    | dict.fromkeys(
        [(by, ended) for by in REGRADES for ended in (Status.PASSED, Status.FAILED)],
        "registration_grade_changed",
    )
    | {(Command.EJECT, Status.ACTIVE): "registration_ejected"}
    | dict.fromkeys(
        [(Command.REOPEN, Status.PASSED), (Command.REOPEN, Status.FAILED)],
        "registration_reopened",
    )
)


def test_every_cell_of_the_table_fires_its_event_and_no_other(school):
    for command, status in product(Command, Status):
        registration = in_state(school, status, end_at=NOW + HOUR)
        before = names(school, registration)
        now = NOW + 2 * HOUR if command is Command.HALT else LATER
        grade = "90" if command in (Command.GRADE, Command.COMPLETE_ONCE) else None
        refused = False

        try:
            school.ask(registration, command, grade=grade, now=now)
        except CoursebellError:
            refused = True

        fired = names(school, registration)[len(before) :]
        expected = CHANGES.get((command, status))
        assert fired == ([expected] if expected else []), (command, status)
        changed = school.stored(registration) != registration
        touched = (command, status) == (Command.ACTIVITY, Status.ACTIVE)
        assert changed == (expected is not None or touched), (command, status)
        assert not (refused and changed)


def test_a_learner_finishes_and_every_receiver_is_told_who_and_what(school):
    webhook = school.webhook()
    registration = school.registration(offering=school.offering(move_on=MoveOn.COMPLETED))
    learner = school.learner_of(registration)
    user = people.get_user(school.registrar, school.admin, registration.user_id)
    offering = offerings.get_offering(school.registrar, school.admin, registration.offering_id)

    school.ask(registration, Command.ACTIVITY, actor=learner, now=NOW + HOUR)
    school.ask(registration, Command.COMPLETE, actor=learner, now=NOW + 2 * HOUR)

    (document,) = completions(school, registration)
    assert document == {
        "event": "offering_completed",
        "date": "2026-03-02T12:00:00Z",
        "source": "SELF",
        "user": {
            "id": user.id,
            "firstName": user.first_name,
            "lastName": user.last_name,
            "username": user.email,
            "email": user.email,
            "locale": "en",
        },
        "registration": {
            "id": registration.id,
            "beginDate": "2026-03-02T11:00:00Z",
            "endDate": "2026-03-02T12:00:00Z",
            "passed": True,
        },
        "offering": {"id": offering.id, "title": offering.title},
    }
    assert len(school.deliveries(webhook, event="offering_completed")) == 1


def test_an_instructor_completes_by_hand_with_a_grade_that_is_stored_exactly(school):
    registration = school.registration()
    instructor = school.instructor()

    school.ask(registration, Command.GRADE, grade="69.99999", comment="so close", actor=instructor)

    stored = school.stored(registration)
    assert (stored.status, stored.grade) == (Status.FAILED, Decimal("69.99999"))
    assert (stored.grader_id, stored.grader_comment) == (instructor.user_id, "so close")
    (document,) = completions(school, registration)
    assert document["source"] == "ADMIN"
    assert document["registration"]["grade"] == 69.9999
    assert document["registration"]["passed"] is False


def test_asking_again_is_no_transition(school):
    registration = school.registration()
    learner = school.learner_of(registration)

    first = school.ask(registration, Command.COMPLETE, actor=learner)
    again = school.ask(registration, Command.COMPLETE, actor=learner, now=LATER)
    school.ask(registration, Command.COMPLETE_ONCE, grade="99", now=LATER)

    assert (first.effect, again.effect) == (Effect.END, Effect.NOTHING)
    assert len(completions(school, registration)) == 1
    assert school.stored(registration).end_at == NOW


def test_asking_otherwise_of_what_has_ended_is_a_conflict(school):
    registration = school.registration()
    school.ask(registration, Command.GRADE, grade="80")

    with pytest.raises(ConflictError, match=r"passed.*80.*2026-03-02T10:00:00Z.*ADMIN"):
        school.ask(registration, Command.COMPLETE, actor=school.learner_of(registration))


def test_the_same_grade_and_comment_again_leave_no_trace(school):
    registration = school.registration()
    school.ask(registration, Command.GRADE, grade="80", comment="good")
    before = school.stored(registration)
    entries = trail(school, registration.id)

    for fields in ({"grade": "80"}, {"grade": "80.0000", "comment": "good"}):
        transition = school.ask(registration, Command.GRADE, now=LATER, **fields)
        assert transition.effect is Effect.NOTHING

    assert school.stored(registration) == before
    assert names(school, registration) == ["offering_registered", "offering_completed"]
    assert trail(school, registration.id) == entries


def test_a_re_grade_says_what_was_before_and_is_no_second_completion(school):
    registration = school.registration()
    school.ask(registration, Command.GRADE, grade="40")

    school.ask(registration, Command.GRADE, grade="70", now=LATER)

    (document,) = school.documents(event="registration_grade_changed", registration=registration)
    assert document["registration"] == {
        "id": registration.id,
        "beginDate": "2026-03-02T10:00:00Z",
        "endDate": "2026-03-02T10:00:00Z",
        "grade": 70.0,
        "passed": True,
        "previousGrade": 40.0,
        "previousPassed": False,
    }
    assert document["date"] == "2026-03-02T10:01:00Z"
    assert len(completions(school, registration)) == 1


def test_editing_marks_never_changes_a_result_nor_how_it_is_decided_again(school):
    course = school.course()
    offering = school.offering(course=course)
    registration = school.registration(offering=offering)
    school.ask(registration, Command.GRADE, grade="60")

    lower = Decimal("50")
    courses.change_course(
        school.registrar, school.admin, course.id, CourseChanges(passing_grade=lower), LATER
    )
    unchanged = school.stored(registration)
    school.ask(registration, Command.GRADE, grade="65", now=LATER)
    offerings.change_offering(
        school.registrar, school.admin, offering.id, OfferingChanges(passing_grade=lower), LATER
    )
    school.ask(registration, Command.GRADE, grade="69", now=LATER)

    assert unchanged.status is Status.FAILED
    assert school.stored(registration).status is Status.FAILED
    assert school.stored(registration).policy.passing_grade == 70
    other = school.registration(offering=offering)
    assert school.ask(other, Command.GRADE, grade="65").after.status is Status.PASSED


def test_the_offerings_own_rules_go_before_the_courses(school):
    course = school.course(passing_grade=Decimal("90"), move_on=MoveOn.PASSED)
    own = school.offering(course=course, passing_grade=Decimal("0"))
    ruled = school.offering(course=course)

    lenient = school.ask(school.registration(offering=own), Command.GRADE, grade="0")
    strict = school.ask(school.registration(offering=ruled), Command.GRADE, grade="89.9999")

    assert (lenient.after.status, strict.after.status) == (Status.PASSED, Status.FAILED)
    assert strict.after.policy.move_on is MoveOn.PASSED


def test_ejected_then_graded_ends_with_one_completion(school):
    registration = school.registration()
    school.ask(registration, Command.EJECT)

    school.ask(registration, Command.GRADE, grade="80", now=LATER)

    assert school.stored(registration).status is Status.PASSED
    assert names(school, registration) == [
        "offering_registered",
        "registration_ejected",
        "offering_completed",
    ]


def test_an_ejection_is_told_with_its_dates_and_no_result(school):
    registration = school.registration()
    school.ask(registration, Command.EJECT, actor=school.instructor(), now=LATER)

    (document,) = school.documents(event="registration_ejected", registration=registration)

    assert document["source"] == "ADMIN"
    assert document["registration"] == {
        "id": registration.id,
        "beginDate": "2026-03-02T10:01:00Z",
        "endDate": "2026-03-02T10:01:00Z",
    }


def test_reopened_and_ended_again_is_a_new_event_of_the_same_registration(school):
    registration = school.registration()
    school.ask(registration, Command.ACTIVITY, now=NOW)
    school.ask(registration, Command.GRADE, grade="40", now=NOW + HOUR)
    school.ask(registration, Command.REOPEN, reason="appeal", now=NOW + DAY)
    reopened = school.stored(registration)
    school.ask(registration, Command.GRADE, grade="75", now=NOW + 2 * DAY)

    events = school.events(registration=registration)
    first, second = completions(school, registration)

    assert (reopened.status, reopened.grade, reopened.end_at) == (Status.ACTIVE, None, None)
    assert reopened.begin_at == NOW
    assert len({event.id for event in events}) == len(events) == 4
    assert [event.registration_seq for event in events] == [1, 2, 3, 4]
    assert first["registration"]["id"] == second["registration"]["id"] == registration.id
    assert second["registration"]["beginDate"] == first["registration"]["beginDate"]
    assert (first["registration"]["passed"], second["registration"]["passed"]) == (False, True)


def test_an_attempt_is_not_reopened_while_another_is_active(school):
    offering = school.offering(retakes=True)
    first = school.registration(offering=offering)
    school.ask(first, Command.GRADE, grade="40")
    second = school.registration(offering=offering, user=school.learner_of(first))

    with pytest.raises(InvalidInputError):
        school.ask(first, Command.REOPEN, reason="appeal")
    school.ask(second, Command.GRADE, grade="50")

    assert school.ask(first, Command.REOPEN, reason="appeal").after.status is Status.ACTIVE


# --- several requests in one batch


def apply(school: School, *requests, now=LATER):
    return gradebook.change_registrations(
        school.registrar, school.organization.id, list(requests), now
    )


def test_requests_of_a_batch_see_each_other_and_fail_on_their_own(school):
    one, two = school.registrations(2)

    ended, again, missing, other = apply(
        school,
        school.request(one, Command.GRADE, grade="80"),
        school.request(one, Command.COMPLETE, grade="81"),
        school.request(one, Command.ACTIVITY, actor=school.learner_of(two)),
        school.request(two, Command.COMPLETE_ONCE, grade="30"),
    )

    assert ended.effect is Effect.END
    assert isinstance(again, ConflictError)
    assert isinstance(missing, NotFoundError)
    assert other.after.status is Status.FAILED
    assert len(completions(school, one)) == len(completions(school, two)) == 1


def test_a_batch_may_end_reopen_and_end_the_same_registration(school):
    (registration,) = school.registrations(1)

    apply(
        school,
        school.request(registration, Command.GRADE, grade="80"),
        school.request(registration, Command.REOPEN, reason="appeal"),
        school.request(registration, Command.GRADE, grade="90"),
    )

    events = school.events(registration=registration)
    assert [event.registration_seq for event in events] == [1, 2, 3, 4]
    assert school.stored(registration).grade == 90
    assert school.stored(registration).event_count == 4


def two_attempts(school: School):
    """A first attempt that ended and a second that is active, of one user."""
    offering = school.offering(retakes=True)
    first = school.registration(offering=offering)
    school.ask(first, Command.GRADE, grade="40")
    return first, school.registration(offering=offering, user=school.learner_of(first))


def test_grading_an_attempt_does_not_let_it_be_reopened_beside_another(school):
    first, second = two_attempts(school)

    regraded, refused = apply(
        school,
        school.request(first, Command.GRADE, grade="45"),
        school.request(first, Command.REOPEN, reason="appeal"),
    )

    assert regraded.effect is Effect.REGRADE
    assert isinstance(refused, InvalidInputError)
    assert school.stored(second).status is Status.ACTIVE


def test_a_batch_may_end_one_attempt_and_reopen_the_other(school):
    first, second = two_attempts(school)

    results = apply(
        school,
        school.request(first, Command.GRADE, grade="45"),
        school.request(second, Command.GRADE, grade="50"),
        school.request(first, Command.REOPEN, reason="appeal"),
    )

    assert [each.effect for each in results] == [Effect.REGRADE, Effect.END, Effect.REOPEN]
    assert school.stored(first).status is Status.ACTIVE
    assert school.stored(second).status is Status.FAILED


def test_of_two_attempts_a_batch_reopens_one(school):
    first, second = two_attempts(school)
    school.ask(second, Command.GRADE, grade="50")

    reopened, refused = apply(
        school,
        school.request(second, Command.REOPEN, reason="appeal"),
        school.request(first, Command.REOPEN, reason="appeal"),
    )

    assert reopened.effect is Effect.REOPEN
    assert isinstance(refused, InvalidInputError)


def test_more_requests_than_one_transaction_takes_are_all_carried_out(school, monkeypatch):
    monkeypatch.setattr(gradebook, "BATCH", 2)
    registrations = school.registrations(5)
    requests = [school.request(each, Command.GRADE, grade="80") for each in registrations]

    results = apply(school, *requests)

    assert [each.after.id for each in results] == [each.id for each in registrations]
    assert len(school.events(event="offering_completed")) == 5


def test_no_requests_give_no_results(school):
    assert apply(school) == []


def test_each_completion_is_counted_once_with_source_and_result(database):
    counted = []
    school = open_school(database, count_completion=lambda *told: counted.append(told))
    one, two = school.registrations(2)

    school.ask(one, Command.GRADE, grade="80")
    school.ask(one, Command.GRADE, grade="90")
    school.ask(two, Command.COMPLETE, grade="20", source=Source.SELF)
    school.ask(two, Command.COMPLETE, grade="20", source=Source.SELF)

    assert counted == [(Source.ADMIN, True), (Source.SELF, False)]


# --- who may do what


@pytest.mark.parametrize("command", sorted(set(Command) - {Command.ACTIVITY, Command.COMPLETE}))
def test_a_learner_may_not_grade_eject_reopen_or_halt(school, command):
    registration = school.registration()

    with pytest.raises(ForbiddenError):
        school.ask(registration, command, grade="80", actor=school.learner_of(registration))

    assert school.stored(registration) == registration


@pytest.mark.parametrize("fields", [{"grade": "80"}, {"source": Source.SELF}, {"grade": "0"}])
def test_a_learner_may_not_send_a_grade_or_a_source(school, fields):
    registration = school.registration()

    with pytest.raises(ForbiddenError):
        school.ask(registration, Command.COMPLETE, actor=school.learner_of(registration), **fields)

    assert completions(school, registration) == []


@pytest.mark.parametrize("command", [Command.ACTIVITY, Command.COMPLETE])
def test_another_learners_registration_does_not_exist(school, command):
    registration = school.registration()

    with pytest.raises(NotFoundError):
        school.ask(registration, command, actor=school.learner())
    with pytest.raises(NotFoundError):
        gradebook.get_registration(school.registrar, school.learner(), registration.id)

    assert school.stored(registration) == registration


def test_another_organizations_registration_does_not_exist(school):
    other = open_school(school.database)
    registration = school.registration()

    with pytest.raises(NotFoundError):
        other.ask(registration, Command.GRADE, grade="80")
    with pytest.raises(NotFoundError):
        gradebook.get_registration(other.registrar, other.admin, registration.id)

    assert school.stored(registration) == registration


@pytest.mark.parametrize("role", [Role.LEARNER, Role.INSTRUCTOR])
@pytest.mark.parametrize("fields", [{"override": True}, {"end_at": NOW - DAY}])
def test_only_an_administrator_overrides_and_backdates(school, role, fields):
    registration = school.registration()
    actor = school.instructor() if role is Role.INSTRUCTOR else school.learner_of(registration)

    with pytest.raises(ForbiddenError):
        school.ask(registration, Command.COMPLETE, actor=actor, reason="sick", **fields)


@pytest.mark.parametrize("reason", [None, ""])
@pytest.mark.parametrize("fields", [{"override": True}, {"end_at": NOW - DAY}])
def test_overriding_and_backdating_need_a_reason(school, fields, reason):
    registration = school.registration()

    with pytest.raises(InvalidInputError) as refused:
        school.ask(registration, Command.GRADE, grade="80", reason=reason, **fields)

    assert list(refused.value.field_errors) == ["reason"]


def test_an_administrator_backdates_with_a_reason(school):
    registration = school.registration(now=NOW - 3 * DAY)

    school.ask(
        registration, Command.GRADE, grade="80", end_at=NOW - DAY, reason="paper exam", now=NOW
    )

    (document,) = completions(school, registration)
    assert document["registration"]["beginDate"] == "2026-03-01T10:00:00Z"
    assert document["registration"]["endDate"] == "2026-03-01T10:00:00Z"
    assert document["date"] == "2026-03-02T10:00:00Z"
    assert trail(school, registration.id)[-1].reason == "paper exam"


# --- the audit trail


def test_the_trail_says_who_what_and_why(school):
    registration = school.registration()
    instructor = school.instructor()
    school.ask(registration, Command.GRADE, grade="80", actor=instructor)
    school.ask(registration, Command.REOPEN, reason="appeal", now=LATER)

    created, ended, reopened = trail(school, registration.id)

    assert (created.action, created.actor) == ("registration.create", "admin")
    assert (ended.action, ended.actor, ended.user_id, ended.at) == (
        "registration.end",
        "instructor",
        instructor.user_id,
        NOW,
    )
    assert (ended.before["status"], ended.after["status"]) == ("active", "passed")
    assert (ended.before["grade"], ended.after["grade"]) == (None, "80")
    assert (reopened.action, reopened.reason) == ("registration.reopen", "appeal")


def test_a_course_player_is_api_in_the_trail_and_self_to_receivers(school):
    registration = school.registration()
    school.ask(
        registration,
        Command.COMPLETE,
        grade="80",
        source=Source.SELF,
        actor=school.instructor(),
    )

    assert trail(school, registration.id)[-1].actor == "api"
    assert completions(school, registration)[0]["source"] == "SELF"


def test_the_learner_is_learner_in_the_trail(school):
    registration = school.registration()
    learner = school.learner_of(registration)
    school.ask(registration, Command.ACTIVITY, actor=learner)
    school.ask(registration, Command.ACTIVITY, actor=learner, now=LATER)
    school.ask(registration, Command.COMPLETE, actor=learner, now=LATER)

    entries = trail(school, registration.id)[1:]

    assert [entry.action for entry in entries] == ["registration.touch", "registration.end"]
    assert {entry.actor for entry in entries} == {"learner"}


# --- the end of the offering


def test_at_its_end_an_offering_halts_what_is_active_and_nothing_else(school):
    offering = school.offering(end_at=NOW + HOUR)
    active, passed, reopened, ejected = (school.registration(offering=offering) for _ in range(4))
    school.ask(active, Command.ACTIVITY, actor=school.learner_of(active))
    school.ask(passed, Command.GRADE, grade="80")
    school.ask(reopened, Command.GRADE, grade="40")
    school.ask(reopened, Command.REOPEN, reason="appeal")
    school.ask(ejected, Command.EJECT)
    elsewhere = school.registration(offering=school.offering(end_at=NOW + 3 * HOUR))

    early = gradebook.halt_ended_offerings(school.registrar, NOW + HOUR - MINUTE)
    halted = gradebook.halt_ended_offerings(school.registrar, NOW + 2 * HOUR)
    again = gradebook.halt_ended_offerings(school.registrar, NOW + 2 * HOUR)

    assert (early, halted, again) == (0, 1, 0)
    stored = school.stored(active)
    assert (stored.status, stored.grade) == (Status.FAILED, None)
    assert (stored.begin_at, stored.end_at) == (NOW, NOW + HOUR)
    (document,) = completions(school, active)
    assert document["source"] == "ADMIN"
    assert document["registration"]["endDate"] == "2026-03-02T11:00:00Z"
    assert document["date"] == "2026-03-02T12:00:00Z"
    assert trail(school, active.id)[-1].actor == ActorKind.SCHEDULE
    statuses = [school.stored(each).status for each in (passed, reopened, ejected, elsewhere)]
    assert statuses == [Status.PASSED, Status.ACTIVE, Status.EJECTED, Status.ACTIVE]


def test_halting_works_through_every_organization_and_any_number(database, monkeypatch):
    monkeypatch.setattr(gradebook, "BATCH", 2)
    schools = [open_school(database) for _ in range(2)]
    for school in schools:
        offering = school.offering(end_at=NOW + HOUR)
        for _ in range(3):
            school.registration(offering=offering)
        school.registration(offering=school.offering(end_at=NOW + HOUR))

    assert gradebook.halt_ended_offerings(schools[0].registrar, NOW + HOUR) == 8
    for school in schools:
        assert len(school.events(event="offering_completed")) == 4


def test_without_activity_what_is_halted_began_when_it_ended(school):
    registration = school.registration(offering=school.offering(end_at=NOW + HOUR))

    gradebook.halt_ended_offerings(school.registrar, NOW + DAY)

    (document,) = completions(school, registration)
    assert document["registration"]["beginDate"] == document["registration"]["endDate"]
    assert document["registration"]["endDate"] == "2026-03-02T11:00:00Z"


def test_who_is_let_in_after_the_end_is_not_halted(school):
    offering = school.offering(end_at=NOW + HOUR)
    late = school.registration(
        offering=offering, override=True, reason="moved house", now=NOW + DAY
    )
    learner = school.learner_of(late)

    halted = gradebook.halt_ended_offerings(school.registrar, NOW + 2 * DAY)
    school.ask(late, Command.ACTIVITY, actor=learner, now=NOW + 2 * DAY)
    school.ask(late, Command.COMPLETE, actor=learner, now=NOW + 3 * DAY)

    assert halted == 0
    assert completions(school, late)[0]["registration"]["endDate"] == "2026-03-05T10:00:00Z"


def test_the_windows_hold_until_an_administrator_overrides_with_a_reason(school):
    registration = school.registration(offering=school.offering(begin_at=NOW + HOUR))
    learner = school.learner_of(registration)

    with pytest.raises(InvalidInputError):
        school.ask(registration, Command.ACTIVITY, actor=learner)
    school.ask(registration, Command.ACTIVITY, override=True, reason="pilot group")
    with pytest.raises(InvalidInputError):
        school.ask(registration, Command.COMPLETE, actor=learner)
    school.ask(registration, Command.ACTIVITY, actor=learner, now=NOW + HOUR)

    assert school.stored(registration).begin_at == NOW
    assert trail(school, registration.id)[1].reason == "pilot group"


# --- reading


def test_a_registration_is_shown_with_the_title_of_its_offering(school):
    registration = school.registration(offering=school.offering(title="Ladders"))

    for actor in (school.admin, school.instructor(), school.learner_of(registration)):
        found = gradebook.get_registration(school.registrar, actor, registration.id)
        assert (found.registration, found.title) == (registration, "Ladders")


def test_a_learner_lists_his_own_and_an_instructor_all(school):
    one, two = school.registrations(2)
    school.registration(user=school.learner_of(one))
    learner = school.learner_of(one)

    def count(actor, **filters):
        found = gradebook.list_registrations(
            school.registrar, actor, RegistrationFilters(**filters), Page()
        )
        return len(found.items)

    assert count(learner) == count(learner, user_id=learner.user_id) == 2
    assert count(learner, user_id=two.user_id) == 0
    assert count(school.instructor()) == 3
    assert count(open_school(school.database).admin) == 0


# --- one batch, or one by one: it makes no difference

STEPS = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.sampled_from(sorted(set(Command) - {Command.HALT})),
        st.sampled_from(["40", "80"]),
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_a_batch_does_what_its_requests_would_do_one_by_one(database, steps):
    together, apart = (three_registrations(open_school(database)) for _ in range(2))

    school, registrations = together
    at_once = apply(school, *(request(school, registrations, step) for step in steps))
    story = outcome(school, registrations, at_once)
    school, registrations = apart
    in_turn = [apply(school, request(school, registrations, step))[0] for step in steps]

    assert story == outcome(school, registrations, in_turn)


def three_registrations(school: School):
    """Two attempts of one user, the first of which ended, and one of another."""
    first, second = two_attempts(school)
    return school, [first, second, school.registration()]


def request(school: School, registrations, step):
    index, command, grade = step
    graded = command in (Command.COMPLETE, Command.COMPLETE_ONCE, Command.GRADE)
    return school.request(registrations[index], command, grade=grade if graded else None)


def outcome(school: School, registrations, results):
    """What each request came to, how each registration stands, and what each told."""
    stands = [school.stored(each) for each in registrations]
    assert sum(each.status is Status.ACTIVE for each in stands[:2]) <= 1
    for registration in stands:
        events = school.events(registration=registration)
        assert [each.registration_seq for each in events] == list(range(1, len(events) + 1))
    return (
        [each.effect if isinstance(each, Transition) else type(each) for each in results],
        [(each.status, each.grade, each.attempt, each.event_count) for each in stands],
        [names(school, each) for each in registrations],
    )
