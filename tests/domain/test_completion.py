"""How a registration changes: every cell of the table, the pass rule, the dates."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coursebell.domain.completion import (
    TRANSITIONS,
    Command,
    Effect,
    Request,
    decide,
)
from coursebell.domain.grading import NO_ELEMENTS, standing_of
from coursebell.domain.model import ActorKind, MoveOn, Role, Source, Status
from coursebell.domain.outcomes import outcome_of
from coursebell.domain.progress import Report
from coursebell.errors import ConflictError, CoursebellError, InvalidInputError
from factories import (
    DAY,
    HOUR,
    NOW,
    a_policy,
    a_registration,
    an_actor,
    an_element,
    an_offering,
    some_work,
)

MICROSECOND = timedelta(microseconds=1)
NEEDS_MARK = (MoveOn.PASSED, MoveOn.COMPLETED_AND_PASSED)


def ask(
    registration,
    command,
    *,
    offering=None,
    policy=None,
    now=NOW,
    grade=None,
    actor=None,
    standing=NO_ELEMENTS,
    **fields,
):
    """What one command makes of the registration."""
    request = Request(
        registration_id=registration.id,
        command=command,
        actor=actor or an_actor(),
        grade=None if grade is None else Decimal(grade),
        **fields,
    )
    return decide(
        request, registration, offering or an_offering(), policy or a_policy(), now, standing
    )


def after(registration, command, **fields):
    return ask(registration, command, **fields).after


def learner_of(registration):
    return an_actor(role=Role.LEARNER, kind=ActorKind.LEARNER, user_id=registration.user_id)


# --- the table: what the specification says of every command in every state

A, P, F, E = Status.ACTIVE, Status.PASSED, Status.FAILED, Status.EJECTED
CELLS = {
    # An activity of what has ended is refused; it takes a reopening.
    (Command.ACTIVITY, A): Effect.TOUCH,
    (Command.ACTIVITY, P): ConflictError,
    (Command.ACTIVITY, F): ConflictError,
    (Command.ACTIVITY, E): ConflictError,
    # Neither is there anything left to do, nor to grade piece by piece.
    (Command.PROGRESS, A): Effect.WORK,
    (Command.PROGRESS, P): ConflictError,
    (Command.PROGRESS, F): ConflictError,
    (Command.PROGRESS, E): ConflictError,
    (Command.GRADE_ELEMENT, A): Effect.WORK,
    (Command.GRADE_ELEMENT, P): ConflictError,
    (Command.GRADE_ELEMENT, F): ConflictError,
    (Command.GRADE_ELEMENT, E): ConflictError,
    # "on an ended registration 204 ... if grade and source equal what is stored, else 409"
    (Command.COMPLETE, A): Effect.END,
    (Command.COMPLETE, P): ConflictError,
    (Command.COMPLETE, F): ConflictError,
    (Command.COMPLETE, E): ConflictError,
    # gradebook/complete "never re-grades"
    (Command.COMPLETE_ONCE, A): Effect.END,
    (Command.COMPLETE_ONCE, P): Effect.NOTHING,
    (Command.COMPLETE_ONCE, F): Effect.NOTHING,
    (Command.COMPLETE_ONCE, E): Effect.NOTHING,
    # An ended one is graded again; on an ejected one "the ejection is cleared and it ends"
    (Command.GRADE, A): Effect.END,
    (Command.GRADE, P): Effect.REGRADE,
    (Command.GRADE, F): Effect.REGRADE,
    (Command.GRADE, E): Effect.END,
    # "only while active; else 400"
    (Command.EJECT, A): Effect.EJECT,
    (Command.EJECT, P): InvalidInputError,
    (Command.EJECT, F): InvalidInputError,
    (Command.EJECT, E): InvalidInputError,
    # "204 from passed or failed, else 409"
    (Command.REOPEN, A): ConflictError,
    (Command.REOPEN, P): Effect.REOPEN,
    (Command.REOPEN, F): Effect.REOPEN,
    (Command.REOPEN, E): ConflictError,
    # "At endDate active registrations are halted"
    (Command.HALT, A): Effect.END,
    (Command.HALT, P): Effect.NOTHING,
    (Command.HALT, F): Effect.NOTHING,
    (Command.HALT, E): Effect.NOTHING,
    # As another system decided it, whose word may have changed since it was imported
    (Command.IMPORT, A): Effect.END,
    (Command.IMPORT, P): Effect.REGRADE,
    (Command.IMPORT, F): Effect.REGRADE,
    (Command.IMPORT, E): Effect.END,
}


def test_the_table_has_every_command_in_every_state():
    cells = {(command, status) for command, row in TRANSITIONS.items() for status in row}

    assert cells == set(product(Command, Status)) == set(CELLS)


@pytest.mark.parametrize(("command", "status"), CELLS, ids=lambda value: value.value)
def test_every_command_in_every_state(command, status):
    registration = a_registration(status)
    offering = an_offering(end_at=NOW - HOUR) if command is Command.HALT else an_offering()
    grade = "55.5" if command in (Command.COMPLETE, Command.COMPLETE_ONCE, Command.GRADE) else None
    expected = CELLS[command, status]

    if not isinstance(expected, Effect):
        with pytest.raises(expected):
            ask(registration, command, grade=grade, offering=offering)
        return
    transition = ask(registration, command, grade=grade, offering=offering)

    assert transition.effect is expected
    assert transition.before is registration
    noted = expected is Effect.WORK  # elsewhere: the registration itself need not change
    assert transition.changes == (noted or transition.after != registration)


@pytest.mark.parametrize("status", [P, F, E])
def test_what_is_refused_says_how_and_when_it_ended(status):
    registration = a_registration(status, grade=Decimal("80"), end_at=NOW - HOUR)

    with pytest.raises(ConflictError) as refused:
        ask(registration, Command.COMPLETE, grade="79")

    assert status in refused.value.message
    assert "80" in refused.value.message
    assert "2026-03-02T09:00:00Z" in refused.value.message


def test_reopening_what_is_active_says_so():
    with pytest.raises(ConflictError, match="active"):
        ask(a_registration(), Command.REOPEN)


@pytest.mark.parametrize("status", [P, F, E])
def test_ejecting_what_has_ended_is_bad_input_about_the_status(status):
    with pytest.raises(InvalidInputError) as refused:
        ask(a_registration(status), Command.EJECT)

    assert list(refused.value.field_errors) == ["status"]


# --- passed or failed

PASSES = {
    # (moveOn, done): the grades, of none, below, at and above the mark, that pass
    (MoveOn.PASSED, False): "at above",
    (MoveOn.PASSED, True): "at above",
    (MoveOn.COMPLETED, False): "",
    (MoveOn.COMPLETED, True): "none below at above",
    (MoveOn.COMPLETED_AND_PASSED, False): "",
    (MoveOn.COMPLETED_AND_PASSED, True): "at above",
    (MoveOn.COMPLETED_OR_PASSED, False): "at above",
    (MoveOn.COMPLETED_OR_PASSED, True): "none below at above",
    (MoveOn.NOT_APPLICABLE, False): "none below at above",
    (MoveOn.NOT_APPLICABLE, True): "none below at above",
}
GRADES = {"none": None, "below": "69.9999999", "at": "70", "above": "70.0000001"}


@pytest.mark.parametrize("grade", GRADES)
@pytest.mark.parametrize(("move_on", "done"), PASSES, ids=str)
def test_outcome_by_move_on_done_and_grade(move_on, done, grade):
    value = None if GRADES[grade] is None else Decimal(GRADES[grade])

    outcome = outcome_of(a_policy(move_on=move_on), done=done, grade=value)

    assert outcome is (Status.PASSED if grade in PASSES[move_on, done].split() else Status.FAILED)


def test_the_pass_table_has_every_move_on():
    assert set(PASSES) == set(product(MoveOn, [False, True]))


@given(
    grade=st.decimals(0, 100, places=6),
    mark=st.decimals(0, 100, places=4),
)
def test_a_grade_passes_exactly_from_the_mark_on_un_rounded(grade, mark):
    policy = a_policy(passing_grade=mark, move_on=MoveOn.PASSED)

    assert (outcome_of(policy, done=True, grade=grade) is Status.PASSED) == (grade >= mark)


def test_a_mark_of_zero_still_needs_a_grade():
    policy = a_policy(passing_grade=Decimal(0))

    assert outcome_of(policy, done=True, grade=None) is Status.FAILED
    assert outcome_of(policy, done=True, grade=Decimal(0)) is Status.PASSED


@pytest.mark.parametrize("move_on", NEEDS_MARK)
def test_finishing_without_a_grade_where_a_mark_is_needed_fails_without_a_grade(move_on):
    registration = a_registration()

    ended = after(
        registration,
        Command.COMPLETE,
        policy=a_policy(move_on=move_on),
        actor=learner_of(registration),
    )

    assert (ended.status, ended.grade) == (Status.FAILED, None)


@pytest.mark.parametrize("move_on", NEEDS_MARK)
def test_the_gradebook_must_give_a_grade_where_a_mark_is_needed(move_on):
    with pytest.raises(InvalidInputError) as refused:
        ask(a_registration(), Command.COMPLETE_ONCE, policy=a_policy(move_on=move_on))

    assert list(refused.value.field_errors) == ["grade"]


@pytest.mark.parametrize("move_on", sorted(set(MoveOn) - set(NEEDS_MARK)))
def test_the_gradebook_may_leave_the_grade_out_where_no_mark_is_needed(move_on):
    ended = after(a_registration(), Command.COMPLETE_ONCE, policy=a_policy(move_on=move_on))

    assert (ended.status, ended.grade) == (Status.PASSED, None)


def test_the_policy_that_decided_is_stored_with_the_result():
    policy = a_policy(passing_grade=Decimal("40"))

    assert after(a_registration(), Command.GRADE, grade="50", policy=policy).policy == policy


@pytest.mark.parametrize("grade", ["-0.0001", "100.0001", "NaN", "sNaN", "Infinity"])
@pytest.mark.parametrize("status", Status)
def test_a_grade_outside_its_range_is_refused_by_its_name(status, grade):
    for command in (Command.COMPLETE, Command.COMPLETE_ONCE, Command.GRADE):
        with pytest.raises(InvalidInputError) as refused:
            ask(a_registration(status), command, grade=grade)
        assert list(refused.value.field_errors) == ["grade"]


@pytest.mark.parametrize("grade", ["0", "-0", "100.0000"])
def test_a_grade_at_the_end_of_its_range_is_taken(grade):
    assert after(a_registration(), Command.GRADE, grade=grade).grade == Decimal(grade)


# --- grading again

STRICTER = a_policy(passing_grade=Decimal("95"))


def test_grading_again_decides_by_the_policy_that_decided_first():
    registration = a_registration(Status.FAILED)

    regraded = after(registration, Command.GRADE, grade="75", policy=STRICTER)

    assert regraded.status is Status.PASSED
    assert regraded.policy == registration.policy


@pytest.mark.parametrize("comment", [None, "well done"])
@pytest.mark.parametrize("grade", ["80", "80.0000"])
def test_the_same_grade_and_comment_again_change_nothing(grade, comment):
    registration = a_registration(Status.PASSED, grader_comment="well done")

    transition = ask(registration, Command.GRADE, grade=grade, comment=comment, policy=STRICTER)

    assert transition.effect is Effect.NOTHING


@pytest.mark.parametrize("change", [{"grade": "80.0001"}, {"comment": "see me"}, {"comment": ""}])
def test_another_grade_or_comment_is_a_re_grade(change):
    registration = a_registration(Status.PASSED, grader_comment="well done")

    transition = ask(registration, Command.GRADE, **{"grade": "80", "actor": None} | change)

    assert transition.effect is Effect.REGRADE
    assert transition.after.end_at == registration.end_at
    assert transition.after.begin_at == registration.begin_at


def test_a_comment_that_is_not_given_stays_and_an_empty_one_removes_it():
    registration = a_registration(Status.PASSED, grader_comment="well done")

    assert after(registration, Command.GRADE, grade="90").grader_comment == "well done"
    assert after(registration, Command.GRADE, grade="90", comment="").grader_comment is None


def test_whoever_grades_by_hand_is_remembered():
    instructor = an_actor(role=Role.INSTRUCTOR, user_id="4" * 32)

    ended = after(a_registration(), Command.GRADE, grade="90", comment="good", actor=instructor)

    assert (ended.grader_id, ended.grader_comment) == ("4" * 32, "good")
    assert ended.source is Source.ADMIN


def test_nobody_graded_what_the_learner_finished():
    registration = a_registration()

    ended = after(registration, Command.COMPLETE, actor=learner_of(registration))

    assert (ended.grader_id, ended.grader_comment) == (None, None)


# --- asking the same again


def test_finishing_twice_with_the_same_grade_and_source_changes_nothing():
    registration = a_registration(Status.PASSED, source=Source.SELF)

    transition = ask(registration, Command.COMPLETE, grade="80.0", source=Source.SELF)

    assert transition.effect is Effect.NOTHING


@pytest.mark.parametrize("other", [{"grade": "81"}, {"source": Source.ADMIN}, {"grade": None}])
def test_finishing_again_with_another_grade_or_source_is_a_conflict(other):
    registration = a_registration(Status.PASSED, source=Source.SELF)

    with pytest.raises(ConflictError):
        ask(registration, Command.COMPLETE, **{"grade": "80", "source": Source.SELF} | other)


# --- who caused it


def test_the_learners_own_finish_is_self():
    registration = a_registration()

    ended = after(registration, Command.COMPLETE, actor=learner_of(registration))

    assert ended.source is Source.SELF


@pytest.mark.parametrize("command", [Command.COMPLETE, Command.COMPLETE_ONCE, Command.GRADE])
def test_whatever_others_do_is_admin(command):
    assert after(a_registration(), command, grade="80").source is Source.ADMIN


def test_a_course_player_may_report_the_learners_finish():
    ended = after(a_registration(), Command.COMPLETE, grade="80", source=Source.SELF)

    assert ended.source is Source.SELF


def test_instructors_who_grade_themselves_do_not_act_as_learners():
    registration = a_registration()
    instructor = replace(learner_of(registration), role=Role.INSTRUCTOR)

    assert after(registration, Command.COMPLETE, actor=instructor).source is Source.SELF
    graded = after(registration, Command.COMPLETE, actor=instructor, grade="80")
    assert graded.source is Source.ADMIN


def test_the_end_of_the_offering_is_admin():
    ended = after(a_registration(), Command.HALT, offering=an_offering(end_at=NOW))

    assert ended.source is Source.ADMIN


# --- dates


def test_the_first_activity_sets_the_begin_date_and_later_ones_do_not():
    registration = a_registration(begin_at=None, last_active_at=None)

    first = after(registration, Command.ACTIVITY, now=NOW)
    second = after(first, Command.ACTIVITY, now=NOW + HOUR)

    assert (first.begin_at, first.last_active_at) == (NOW, NOW)
    assert (second.begin_at, second.last_active_at) == (NOW, NOW + HOUR)


def test_a_clock_that_went_back_does_not_take_activity_back():
    registration = a_registration(last_active_at=NOW + HOUR)

    assert after(registration, Command.ACTIVITY).last_active_at == NOW + HOUR


@pytest.mark.parametrize(
    ("command", "fields"),
    [
        (Command.COMPLETE, {"grade": "80"}),
        (Command.COMPLETE, {"source": Source.SELF}),
        (Command.COMPLETE_ONCE, {"grade": "80"}),
        (Command.GRADE, {"grade": "80"}),
        (Command.EJECT, {}),
        (Command.HALT, {"offering": an_offering(end_at=NOW - DAY)}),
    ],
)
def test_without_activity_it_began_when_it_ended_however_it_ended(command, fields):
    registration = a_registration(begin_at=None, last_active_at=None)

    ended = after(registration, command, **fields)

    assert ended.begin_at == ended.end_at is not None


def test_at_a_forced_end_the_end_date_is_the_offerings():
    ended = after(
        a_registration(), Command.HALT, offering=an_offering(end_at=NOW - HOUR), now=NOW + DAY
    )

    assert ended.end_at == NOW - HOUR


def test_an_activity_after_an_end_that_was_moved_forward_keeps_the_dates_in_order():
    registration = a_registration(begin_at=NOW - HOUR)

    ended = after(registration, Command.HALT, offering=an_offering(end_at=NOW - DAY))

    assert ended.begin_at == ended.end_at == NOW - HOUR


def test_what_is_halted_was_not_completed():
    offering = an_offering(end_at=NOW)
    statuses = {
        move_on: after(
            a_registration(), Command.HALT, offering=offering, policy=a_policy(move_on=move_on)
        ).status
        for move_on in MoveOn
    }

    assert statuses.pop(MoveOn.NOT_APPLICABLE) is Status.PASSED
    assert set(statuses.values()) == {Status.FAILED}


@pytest.mark.parametrize(
    ("offering", "extended"),
    [
        (an_offering(), False),
        (an_offering(end_at=NOW + MICROSECOND), False),
        (an_offering(end_at=NOW - DAY), True),
    ],
)
def test_nothing_is_halted_before_the_end_or_when_let_in_afterwards(offering, extended):
    registration = a_registration(extended=extended)

    transition = ask(registration, Command.HALT, offering=offering)

    assert transition.effect is Effect.NOTHING


def test_an_offering_ends_at_its_end_date_to_the_instant():
    transition = ask(a_registration(), Command.HALT, offering=an_offering(end_at=NOW))

    assert transition.effect is Effect.END


# --- windows

BEFORE = an_offering(begin_at=NOW + MICROSECOND)
AFTER = an_offering(end_at=NOW)


@pytest.mark.parametrize("command", [Command.ACTIVITY, Command.COMPLETE])
@pytest.mark.parametrize("offering", [BEFORE, AFTER], ids=["before", "after"])
def test_outside_its_window_an_offering_takes_no_activity(command, offering):
    with pytest.raises(InvalidInputError) as refused:
        ask(a_registration(), command, offering=offering)

    assert len(refused.value.errors) == 1


@pytest.mark.parametrize("command", [Command.ACTIVITY, Command.COMPLETE])
def test_the_window_has_its_begin_and_not_its_end(command):
    offering = an_offering(begin_at=NOW, end_at=NOW + MICROSECOND)

    assert ask(a_registration(), command, offering=offering).changes


@pytest.mark.parametrize("command", [Command.ACTIVITY, Command.COMPLETE])
@pytest.mark.parametrize("offering", [BEFORE, AFTER], ids=["before", "after"])
def test_an_override_passes_the_window(command, offering):
    assert ask(a_registration(), command, offering=offering, override=True).changes


@pytest.mark.parametrize("command", [Command.COMPLETE_ONCE, Command.GRADE])
@pytest.mark.parametrize("offering", [BEFORE, AFTER], ids=["before", "after"])
def test_an_instructor_grades_at_any_time(command, offering):
    transition = ask(a_registration(), command, offering=offering, grade="80")

    assert transition.effect is Effect.END
    assert transition.after.end_at == NOW


def test_who_was_let_in_late_is_not_halted_and_may_go_on():
    late = after(a_registration(), Command.ACTIVITY, offering=AFTER, override=True)

    assert ask(late, Command.HALT, offering=AFTER).effect is Effect.NOTHING
    assert ask(late, Command.ACTIVITY, offering=AFTER).effect is Effect.TOUCH
    assert ask(late, Command.COMPLETE, offering=AFTER).effect is Effect.END


def test_an_override_before_the_begin_does_not_exempt_from_the_end():
    early = after(a_registration(), Command.ACTIVITY, offering=BEFORE, override=True)

    assert ask(early, Command.HALT, offering=AFTER).effect is Effect.END


# --- backdating


@pytest.mark.parametrize("status", [A, P, E])
def test_an_end_in_the_past_is_taken(status):
    registration = a_registration(status)
    earlier = NOW - 2 * DAY

    ended = after(registration, Command.GRADE, grade="81", end_at=earlier)

    assert (ended.begin_at, ended.end_at) == (registration.begin_at, earlier)


@pytest.mark.parametrize("status", [A, P, E])
def test_an_end_in_the_future_is_refused(status):
    with pytest.raises(InvalidInputError) as refused:
        ask(a_registration(status), Command.GRADE, grade="81", end_at=NOW + MICROSECOND)

    assert list(refused.value.field_errors) == ["endDate"]


@pytest.mark.parametrize("status", [A, P, E])
def test_an_end_before_the_first_activity_is_refused_and_says_when_that_was(status):
    registration = a_registration(status, begin_at=NOW - 3 * DAY)

    with pytest.raises(InvalidInputError) as refused:
        ask(registration, Command.GRADE, grade="81", end_at=NOW - 4 * DAY)

    assert "2026-02-27T10:00:00Z" in refused.value.field_errors["endDate"]


def test_an_end_may_be_now_and_may_be_the_begin():
    registration = a_registration(begin_at=NOW - DAY)

    assert after(registration, Command.GRADE, grade="81", end_at=NOW).end_at == NOW
    assert after(registration, Command.GRADE, grade="81", end_at=NOW - DAY).end_at == NOW - DAY


def test_a_backdated_end_takes_the_begin_along_where_there_was_no_activity():
    registration = a_registration(begin_at=None, last_active_at=None)

    ended = after(registration, Command.GRADE, grade="81")
    moved = after(ended, Command.GRADE, grade="81", end_at=NOW - DAY)

    assert ended.begin_at == ended.end_at == NOW
    assert moved.begin_at == moved.end_at == NOW - DAY


def test_only_another_end_date_is_a_re_grade_and_the_same_is_none():
    registration = a_registration(Status.PASSED)

    same = ask(registration, Command.GRADE, grade="80", end_at=registration.end_at)
    other = ask(registration, Command.GRADE, grade="80", end_at=NOW - 2 * DAY)

    assert (same.effect, other.effect) == (Effect.NOTHING, Effect.REGRADE)


# --- reopening and ejecting


@pytest.mark.parametrize("status", [P, F])
def test_reopening_clears_the_result_and_keeps_the_begin(status):
    registration = a_registration(status, grader_id="4" * 32, grader_comment="good")

    reopened = after(registration, Command.REOPEN, reason="appeal")

    assert reopened == replace(
        registration,
        status=Status.ACTIVE,
        grade=None,
        source=None,
        policy=None,
        end_at=None,
        grader_id=None,
        grader_comment=None,
        extended=True,
    )


def test_what_was_reopened_is_decided_by_the_marks_of_the_day():
    reopened = after(a_registration(Status.PASSED), Command.REOPEN)

    ended = after(reopened, Command.GRADE, grade="80", policy=STRICTER)

    assert (ended.status, ended.policy) == (Status.FAILED, STRICTER)


def test_what_was_reopened_is_left_alone_by_the_end_of_the_offering():
    reopened = after(a_registration(Status.PASSED), Command.REOPEN)

    assert ask(reopened, Command.HALT, offering=AFTER).effect is Effect.NOTHING
    assert ask(reopened, Command.COMPLETE, offering=AFTER).effect is Effect.END


def test_an_ejection_ends_without_a_result():
    ejected = after(a_registration(), Command.EJECT)

    assert (ejected.status, ejected.end_at) == (Status.EJECTED, NOW)
    assert (ejected.grade, ejected.policy) == (None, None)


def test_grading_what_was_ejected_clears_the_ejection():
    graded = after(a_registration(Status.EJECTED), Command.GRADE, grade="80")

    assert (graded.status, graded.grade, graded.end_at) == (Status.PASSED, Decimal("80"), NOW)


# --- with elements

PASSED_TEST = an_element(max_attempts=2)
ESSAY = an_element("assignment")
EXTRA = an_element(required=False)


def at(*elements, policy=None, **grades):
    """A standing with these elements, graded by position: `e0=80, e1="awaiting"`."""
    work = {}
    for name, grade in grades.items():
        element = elements[int(name[1:])]
        many = grade if isinstance(grade, list) else [grade]
        work[element.id] = [
            some_work(element, number, awaiting=True)
            if each == "awaiting"
            else some_work(element, number, grade=each)
            for number, each in enumerate(many, 1)
        ]
    return standing_of(elements, work, set(), policy or a_policy())


STANDINGS = [
    NO_ELEMENTS,
    at(PASSED_TEST),
    at(PASSED_TEST, e0=80),
    at(PASSED_TEST, e0=[10, 20]),
    at(PASSED_TEST, ESSAY, e0=80, e1="awaiting"),
    at(PASSED_TEST, ESSAY, e0=80, e1=100),
    at(PASSED_TEST, EXTRA, e0=90, e1=10),
]


def progress(standing, registration=None, **fields):
    """What a registration becomes whose learner just came to stand so."""
    registration = registration or a_registration()
    defaults = {"actor": learner_of(registration), "standing": standing}
    return ask(registration, Command.PROGRESS, **(defaults | fields))


def test_the_rule_that_is_met_ends_it_by_itself():
    done = progress(at(PASSED_TEST, e0=80))

    assert (done.effect, done.after.status) == (Effect.END, Status.PASSED)
    assert (done.after.grade, done.after.computed) == (Decimal(80), True)
    assert (done.after.source, done.after.end_at) == (Source.SELF, NOW)
    assert (done.after.grader_id, done.after.last_active_at) == (None, NOW)


def test_a_grader_reporting_ends_it_as_admin_unless_it_says_otherwise():
    standing = at(PASSED_TEST, e0=80)
    report = Report(completed=True, grade=Decimal(80))

    by_grader = progress(standing, actor=an_actor(), report=report).after
    for_learner = progress(standing, actor=an_actor(), report=report, source=Source.SELF).after
    own_verdict = progress(standing, report=report).after

    assert (by_grader.source, for_learner.source) == (Source.ADMIN, Source.SELF)
    assert own_verdict.source is Source.ADMIN


@pytest.mark.parametrize(
    ("standing", "ends"),
    [
        (at(PASSED_TEST, e0=69), None),  # a second attempt is left
        (at(PASSED_TEST, e0=[60, 69]), F),  # none is
        (at(PASSED_TEST, e0=[60, 70]), P),
        (at(PASSED_TEST, ESSAY, e0=90), None),
        (at(PASSED_TEST, ESSAY, e0=90, e1="awaiting"), None),
        (at(PASSED_TEST, ESSAY, e0=[10, 10], e1="awaiting"), None),  # lost, but it waits
        (at(PASSED_TEST, ESSAY, e0=90, e1=60), P),
        (at(PASSED_TEST, EXTRA, e0=90), P),  # the extra is not needed ...
        (at(PASSED_TEST, EXTRA, e0=80, e1=40), None),  # ... and can still hurt
        (at(EXTRA), None),
        (at(EXTRA, e0=80), P),
    ],
)
def test_when_it_ends_by_itself(standing, ends):
    transition = progress(standing)

    assert transition.effect is (Effect.WORK if ends is None else Effect.END)
    assert transition.after.status is (ends or A)


@pytest.mark.parametrize(
    ("move_on", "standing", "ends"),
    [
        (MoveOn.PASSED, at(PASSED_TEST, ESSAY, e0=90), P),  # the mark alone decides
        (MoveOn.PASSED, at(PASSED_TEST, ESSAY, e0=60), None),
        (MoveOn.COMPLETED, at(PASSED_TEST, ESSAY, e0=90), None),
        (MoveOn.COMPLETED, at(PASSED_TEST, ESSAY, e0=10, e1=10), P),
        (MoveOn.COMPLETED_OR_PASSED, at(PASSED_TEST, ESSAY, e0=10, e1=10), P),
        (MoveOn.COMPLETED_OR_PASSED, at(PASSED_TEST, ESSAY, e0=90), P),
        (MoveOn.NOT_APPLICABLE, at(PASSED_TEST, ESSAY), None),  # at work, and nothing done yet
        (MoveOn.NOT_APPLICABLE, at(PASSED_TEST, ESSAY, e0=10), P),
        (MoveOn.NOT_APPLICABLE, at(PASSED_TEST, ESSAY, e1="awaiting"), None),
    ],
)
def test_when_it_ends_under_other_rules(move_on, standing, ends):
    after = progress(standing, policy=a_policy(move_on=move_on)).after

    assert after.status is (ends or A)


@pytest.mark.parametrize("move_on", MoveOn)
def test_nobody_passes_without_every_element_where_the_policy_wants_it(move_on):
    policy = a_policy(move_on=move_on, require_every_element_passed=True)
    one, other = an_element(max_attempts=1), an_element(max_attempts=1)

    good_on_average = progress(at(one, other, e0=100, e1=60), policy=policy).after
    good_in_each = progress(at(one, other, e0=80, e1=70), policy=policy).after

    assert good_on_average.status is (P if move_on is MoveOn.NOT_APPLICABLE else F)
    assert good_in_each.status is P


def test_grading_the_last_element_ends_it_then_as_admin_and_is_no_activity():
    began = NOW - DAY
    registration = a_registration(begin_at=began, last_active_at=began)

    after_ = ask(
        registration, Command.GRADE_ELEMENT, standing=at(PASSED_TEST, ESSAY, e0=90, e1=80)
    ).after

    assert (after_.status, after_.end_at, after_.source) == (P, NOW, Source.ADMIN)
    assert (after_.begin_at, after_.last_active_at) == (began, began)
    assert (after_.grader_id, after_.computed) == (None, True)


def test_progress_is_activity_and_gated_by_the_windows():
    registration = a_registration(begin_at=None, last_active_at=None)
    standing = at(PASSED_TEST, ESSAY, e0=90)

    after_ = progress(standing, registration).after

    assert (after_.begin_at, after_.last_active_at) == (NOW, NOW)
    for window in (an_offering(begin_at=NOW + HOUR), an_offering(end_at=NOW)):
        with pytest.raises(InvalidInputError):
            progress(standing, registration, offering=window)
        graded = ask(registration, Command.GRADE_ELEMENT, offering=window, standing=standing)
        assert graded.effect is Effect.WORK


def test_complete_takes_the_grade_of_the_elements_and_done_from_them():
    registration = a_registration()
    unfinished = at(PASSED_TEST, ESSAY, e0=90)

    left = ask(registration, Command.COMPLETE, standing=unfinished).after
    given_ = ask(registration, Command.COMPLETE, standing=unfinished, grade=95).after
    done = ask(registration, Command.COMPLETE, standing=at(PASSED_TEST, e0=90)).after

    assert (left.status, left.grade, left.computed) == (F, Decimal(90), True)
    assert (given_.status, given_.grade, given_.computed) == (F, Decimal(95), False)
    assert (done.status, done.grade) == (P, Decimal(90))


def test_complete_waits_for_what_awaits_a_grade_unless_one_is_given():
    registration = a_registration()
    waiting = at(PASSED_TEST, ESSAY, e0=90, e1="awaiting")

    with pytest.raises(ConflictError, match="Knots"):
        ask(registration, Command.COMPLETE, standing=waiting)

    assert ask(registration, Command.COMPLETE, standing=waiting, grade=95).after.status is F
    assert ask(registration, Command.GRADE, standing=waiting, grade=95).after.status is P


def test_completing_again_without_a_grade_repeats_what_the_elements_gave():
    registration = a_registration()
    actor = learner_of(registration)
    standing = at(PASSED_TEST, e0=90)
    ended = ask(registration, Command.COMPLETE, standing=standing, actor=actor).after

    again = ask(ended, Command.COMPLETE, standing=standing, actor=actor)

    assert again.effect is Effect.NOTHING
    with pytest.raises(ConflictError):
        ask(ended, Command.COMPLETE, standing=standing, grade=91)


def test_by_hand_counts_as_done_and_takes_the_elements_grade_when_none_is_given():
    registration = a_registration()
    standing = at(PASSED_TEST, ESSAY, e0=90)
    every = a_policy(require_every_element_passed=True)

    left = ask(registration, Command.COMPLETE_ONCE, standing=standing).after
    given_ = ask(registration, Command.GRADE, standing=standing, grade=71, policy=every).after

    assert (left.status, left.grade, left.computed) == (P, Decimal(90), True)
    assert (given_.status, given_.computed) == (P, False)
    with pytest.raises(InvalidInputError):
        ask(registration, Command.COMPLETE_ONCE, standing=at(PASSED_TEST))


def test_the_end_of_the_offering_grades_from_what_exists():
    registration = a_registration()

    def halted(standing, **policy):
        policy = a_policy(**policy)
        return ask(
            registration, Command.HALT, offering=AFTER, standing=standing, policy=policy
        ).after

    assert halted(at(PASSED_TEST, ESSAY, e0=90)).status is F
    assert halted(at(PASSED_TEST, ESSAY, e0=90)).grade == Decimal(90)
    assert halted(at(PASSED_TEST, ESSAY, e0=90, e1="awaiting")).grade == Decimal(90)
    assert halted(at(PASSED_TEST, ESSAY, e0=90), move_on=MoveOn.PASSED).status is P
    assert halted(at(PASSED_TEST), move_on=MoveOn.PASSED).grade is None


def test_a_grade_by_hand_is_no_longer_the_elements():
    ended = progress(at(PASSED_TEST, e0=80)).after

    regraded = ask(ended, Command.GRADE, grade=75).after

    assert (ended.computed, regraded.computed) == (True, False)
    assert not after(ended, Command.REOPEN).computed
    assert ask(ended, Command.GRADE, grade=80).effect is Effect.NOTHING


# --- what another system decided


def imported(registration, status=None, grade="65", end_at=NOW - HOUR, **fields):
    grade = None if grade is None else Decimal(grade)
    request = Request(
        registration_id=registration.id,
        command=Command.IMPORT,
        actor=an_actor(),
        grade=grade,
        status=status,
        end_at=end_at,
        **fields,
    )
    return decide(request, registration, an_offering(), a_policy(), NOW)


@pytest.mark.parametrize("status", [P, F])
def test_what_another_system_decided_stands_whatever_the_rules_here(status):
    after = imported(a_registration(begin_at=None, last_active_at=None), status).after

    assert (after.status, after.grade, after.policy) == (status, Decimal(65), None)
    assert (after.begin_at, after.end_at, after.source) == (NOW - HOUR, NOW - HOUR, Source.ADMIN)


def test_what_was_only_completed_there_is_decided_here():
    below, above = (imported(a_registration(), grade=grade).after for grade in ("69.99999", "70"))

    assert (below.status, above.status) == (F, P)
    assert below.policy == above.policy == a_policy()


def test_what_is_imported_again_changes_only_if_it_says_something_else():
    once = imported(a_registration(), P, comment="Fine").after

    same = imported(once, P, comment="Fine")
    other = imported(once, P, "66")

    assert (same.effect, other.effect) == (Effect.NOTHING, Effect.REGRADE)
    assert (other.after.grade, other.after.grader_comment) == (Decimal(66), "Fine")


def test_who_was_ejected_there_is_ejected_here_while_active():
    ejected = imported(a_registration(), E, None)

    assert (ejected.effect, ejected.after.status) == (Effect.EJECT, E)
    assert imported(ejected.after, E, None).effect is Effect.NOTHING
    assert imported(ejected.after, P).effect is Effect.END
    with pytest.raises(ConflictError):
        imported(a_registration(Status.PASSED), E, None)


def test_nothing_is_imported_from_the_future_or_from_before_it_began():
    for end_at in (NOW + HOUR, NOW - 30 * DAY):
        with pytest.raises(InvalidInputError, match="endDate"):
            imported(a_registration(), P, end_at=end_at)


# --- whatever is asked, in whatever order

COMMANDS = st.tuples(
    st.sampled_from(Command),
    st.one_of(st.none(), st.decimals(0, 100, places=4)),
    st.integers(0, 40),  # hours since the last command
    st.booleans(),  # by the learner, where a learner may
    st.booleans(),  # with an override
    st.one_of(st.none(), st.integers(0, 100)),  # hours to backdate by
)


def _request(registration, command, grade, by_learner, override, end_at):
    own = by_learner and command in (Command.ACTIVITY, Command.COMPLETE, Command.PROGRESS)
    graded = command in (Command.COMPLETE, Command.COMPLETE_ONCE, Command.GRADE) and not own
    if command is Command.GRADE and grade is None:
        grade = Decimal(50)
    return Request(
        registration_id=registration.id,
        command=command,
        actor=learner_of(registration) if own else an_actor(),
        grade=grade if graded else None,
        override=override and not own,
        end_at=end_at if command in (Command.GRADE, Command.IMPORT) else None,
    )


@given(
    commands=st.lists(COMMANDS, max_size=12),
    move_on=st.sampled_from(MoveOn),
    every=st.booleans(),
    ends_after=st.one_of(st.none(), st.integers(1, 60)),
    standings=st.lists(st.sampled_from(STANDINGS), min_size=12, max_size=12),
)
def test_no_sequence_of_commands_breaks_what_must_hold(
    commands, move_on, every, ends_after, standings
):
    end_at = None if ends_after is None else NOW + ends_after * HOUR
    offering = an_offering(end_at=end_at)
    policy = a_policy(move_on=move_on, require_every_element_passed=every)
    current = a_registration(begin_at=None, last_active_at=None)
    now, began = NOW, None

    for (command, grade, hours, by_learner, override, backdate), standing in zip(
        commands, standings, strict=False
    ):
        now += hours * HOUR
        backdated = None if backdate is None else now - backdate * HOUR
        request = _request(current, command, grade, by_learner, override, backdated)
        try:
            transition = decide(request, current, offering, policy, now, standing)
        except CoursebellError:
            continue
        previous, current = current, transition.after

        entered = current.status.has_result and not previous.status.has_result
        assert (transition.effect is Effect.END) == entered
        may_repeat = transition.effect in (Effect.WORK, Effect.TOUCH)  # at the same instant
        assert transition.changes == (may_repeat or current != previous)
        assert not (entered and standing.awaiting and command is Command.PROGRESS)
        _check_fields(current, now)
        if current.last_active_at is not None:
            began = began or current.begin_at
            assert current.begin_at == began, "begins once"


def _check_fields(registration, now):
    active = registration.status is Status.ACTIVE
    assert active == (registration.end_at is None) == (registration.source is None)
    assert registration.status.has_result == (registration.policy is not None)
    if active:
        assert registration.grade is None
    if registration.end_at is not None:
        assert registration.begin_at <= registration.end_at <= now
    if registration.status is Status.PASSED:
        assert outcome_of(registration.policy, done=True, grade=registration.grade) is P
    assert not registration.computed or registration.status.has_result
