"""Work on elements: attempts, events, grades, and the end that comes by itself."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coursebell.domain.completion import Command, Effect, Request
from coursebell.domain.elements import AttemptsPolicy, ElementStatus
from coursebell.domain.lists import Page
from coursebell.domain.model import ActorKind, MoveOn, Source, Status, new_id
from coursebell.domain.progress import Report, Verdict
from coursebell.errors import (
    ConflictError,
    CoursebellError,
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
)
from coursebell.services import elements, gradebook, records, transitions
from coursebell.services.elements import ElementChanges
from coursebell.storage import audit, offerings
from coursebell.storage import progress as stored_progress
from factories import DAY, HOUR, NOW, open_school

MINUTE = timedelta(minutes=1)


class Class:
    """A registration in a course with a test, an essay and something to read."""

    def __init__(self, school, *, essay=True, offering=None, **course):
        self.school = school
        self.course = school.course(**course)
        self.test = school.element(self.course, "test", title="Knots", weight=Decimal(1))
        self.essay = (
            school.element(
                self.course, "assignment", title="Essay", question="Why?", weight=Decimal(3)
            )
            if essay
            else None
        )
        self.offering = school.offering(course=self.course, **(offering or {}))
        self.registration = school.registration(offering=self.offering)
        self.learner = school.learner_of(self.registration)

    @property
    def stored(self):
        return self.school.stored(self.registration)

    @property
    def events(self):
        found = self.school.events(registration=self.registration)
        return [(each.name, each.registration_seq) for each in found][1:]

    def documents(self, event):
        return self.school.documents(event=event, registration=self.registration)

    def explained(self):
        return records.explain(self.school.registrar, self.school.admin, self.registration.id)


@pytest.fixture
def lesson(school):
    return Class(school)


def trail(school, subject_id):
    with school.database.snapshot() as tx:
        return audit.list_changes_of(tx, school.organization.id, subject_id)


# --- the story of issue 5: everything passed but an assignment that nobody has graded


def test_who_passed_all_but_an_ungraded_assignment_completes_when_it_is_graded(school, lesson):
    webhook = school.webhook()
    instructor = school.instructor()
    began, handed_in, graded = NOW + HOUR, NOW + 2 * HOUR, NOW + 3 * DAY
    school.report(lesson.registration, lesson.test, grade=90, source=Source.SELF, now=began)
    school.report(
        lesson.registration,
        lesson.essay,
        actor=lesson.learner,
        response="Because.\n\nIt holds.",
        now=handed_in,
    )

    waiting = lesson.stored
    assert (waiting.status, waiting.grade, waiting.end_at) == (Status.ACTIVE, None, None)
    assert [name for name, _ in lesson.events] == ["element_completed", "element_awaiting_grade"]
    with pytest.raises(ConflictError, match="Essay"):
        school.ask(lesson.registration, Command.COMPLETE, actor=lesson.learner, now=handed_in)

    school.judge(
        lesson.registration, lesson.essay, grade=80, comment="Good", actor=instructor, now=graded
    )

    ended = lesson.stored
    assert (ended.status, ended.grade, ended.computed) == (Status.PASSED, Decimal("82.5"), True)
    assert (ended.begin_at, ended.end_at, ended.source) == (began, graded, Source.ADMIN)
    assert ended.last_active_at == handed_in
    assert lesson.events == [
        ("element_completed", 2),
        ("element_awaiting_grade", 3),
        ("element_completed", 4),
        ("offering_completed", 5),
    ]
    (awaiting,) = lesson.documents("element_awaiting_grade")
    assert list(awaiting) == ["event", "date", "user", "element", "offering"]
    assert awaiting["element"] == {
        "type": "assignment",
        "id": lesson.essay.id,
        "title": "Essay",
        "question": "Why?",
        "response": "Because.\n\nIt holds.",
    }
    first, second = lesson.documents("element_completed")
    assert (first["source"], first["element"]["grade"]) == ("SELF", 90.0)
    assert list(first["element"]) == ["type", "id", "title", "grade", "passed"]
    assert (second["source"], second["date"]) == ("ADMIN", "2026-03-05T10:00:00Z")
    assert second["element"] == awaiting["element"] | {"grade": 80.0, "passed": True}
    (completed,) = lesson.documents("offering_completed")
    assert completed["source"] == "ADMIN"
    assert completed["registration"] == {
        "id": lesson.registration.id,
        "beginDate": "2026-03-02T11:00:00Z",
        "endDate": "2026-03-05T10:00:00Z",
        "grade": 82.5,
        "passed": True,
    }
    assert len(school.deliveries(webhook, registration_id=lesson.registration.id)) == 4


# --- reports


def test_a_learner_finishes_by_the_last_element_and_it_is_their_own_doing(school):
    lesson = Class(school, essay=False, move_on=MoveOn.COMPLETED)
    board = school.element(lesson.course, "chalkboard", title="Read this")
    school.report(lesson.registration, lesson.test, grade=30)

    transition = school.report(lesson.registration, board, actor=lesson.learner, now=NOW + HOUR)

    assert transition.effect is Effect.END
    assert (lesson.stored.status, lesson.stored.source) == (Status.PASSED, Source.SELF)
    assert lesson.stored.grade == Decimal(30)
    document = lesson.documents("element_completed")[-1]
    assert document["element"] == {"type": "chalkboard", "id": board.id, "title": "Read this"}
    assert document["source"] == "SELF"


def test_being_at_work_is_activity_and_no_attempt(school, lesson):
    school.report(
        lesson.registration, lesson.test, actor=lesson.learner, completed=False, now=NOW + HOUR
    )

    assert lesson.stored.begin_at == lesson.stored.last_active_at == NOW + HOUR
    assert lesson.events == []
    assert lesson.explained().standing.elements[0].made == 0


def test_looking_again_is_activity_and_no_second_event(school, lesson):
    board = school.element(lesson.course, "chalkboard", required=False)
    school.report(lesson.registration, board)

    school.report(lesson.registration, board, now=NOW + HOUR)

    assert lesson.events == [("element_completed", 2)]
    assert lesson.stored.last_active_at == NOW + HOUR


@pytest.mark.parametrize("said", [{"grade": 80}, {"passed": True}, {"source": Source.SELF}])
def test_a_learner_grades_nothing(school, lesson, said):
    with pytest.raises(ForbiddenError):
        school.report(lesson.registration, lesson.test, actor=lesson.learner, **said)
    with pytest.raises(ForbiddenError):
        school.judge(lesson.registration, lesson.essay, actor=lesson.learner, grade=100)

    assert lesson.events == []


def test_a_learner_works_in_no_other_registration(school, lesson):
    stranger = school.learner()

    with pytest.raises(NotFoundError):
        school.report(lesson.registration, lesson.test, actor=stranger)
    for ask in (records.explain, lambda *who: records.list_element_records(*who, Page())):
        with pytest.raises(NotFoundError):
            ask(school.registrar, stranger, lesson.registration.id)


def test_a_draft_and_an_element_of_another_course_are_unknown(school, lesson):
    draft = school.element(lesson.course, status=ElementStatus.DRAFT)
    foreign = school.element(school.course())

    for element in (draft, foreign, replace(draft, id=new_id())):
        with pytest.raises(NotFoundError):
            school.report(lesson.registration, element, grade=80)
        with pytest.raises(NotFoundError):
            school.judge(lesson.registration, element, grade=80)
        with pytest.raises(NotFoundError):
            records.get_element_record(
                school.registrar, school.admin, lesson.registration.id, element.id
            )
    without = school.registration()
    with pytest.raises(NotFoundError):
        school.report(without, draft, grade=80)
    assert lesson.stored.begin_at is None


def test_attempts_are_counted_and_used_up(school):
    lesson = Class(school, essay=False)
    elements.change_element(
        school.registrar,
        school.admin,
        lesson.course.id,
        lesson.test.id,
        ElementChanges(max_attempts=2),
        NOW,
    )
    school.report(lesson.registration, lesson.test, grade=10)

    transition = school.report(lesson.registration, lesson.test, grade=60, now=NOW + HOUR)

    assert transition.effect is Effect.END
    assert (lesson.stored.status, lesson.stored.grade) == (Status.FAILED, Decimal(60))
    with pytest.raises(ConflictError, match="ended as failed"):
        school.report(lesson.registration, lesson.test, grade=90)


def test_the_window_gates_work_and_not_grading(school):
    lesson = Class(school, offering={"begin_at": NOW + HOUR, "end_at": NOW + DAY})

    for now in (NOW, NOW + DAY):
        with pytest.raises(InvalidInputError):
            school.report(lesson.registration, lesson.test, grade=80, now=now)

    assert school.judge(lesson.registration, lesson.test, grade=80).effect is Effect.WORK
    assert lesson.stored.begin_at is None


def test_a_refused_report_leaves_nothing(school, lesson):
    with pytest.raises(InvalidInputError) as refused:
        school.report(lesson.registration, lesson.test, response="Because.")

    assert list(refused.value.field_errors) == ["response"]
    assert (lesson.events, lesson.stored) == ([], lesson.registration)


# --- grading by hand


def test_a_test_that_a_learner_vouches_for_awaits_a_grade(school, lesson):
    school.report(lesson.registration, lesson.test, actor=lesson.learner)

    assert lesson.events == [("element_awaiting_grade", 2)]
    with pytest.raises(ConflictError, match="awaits a grade"):
        school.report(lesson.registration, lesson.test, grade=90)


def test_grading_again_tells_the_new_grade_and_the_same_grade_nothing(school, lesson):
    school.judge(lesson.registration, lesson.essay, grade=40)
    school.judge(lesson.registration, lesson.essay, grade=40, now=NOW + MINUTE)
    school.judge(lesson.registration, lesson.essay, grade=60, now=NOW + MINUTE)
    school.judge(lesson.registration, lesson.essay, grade=60, comment="Better", now=NOW + MINUTE)

    assert [each["element"]["grade"] for each in lesson.documents("element_completed")] == [40, 60]
    record = records.get_element_record(
        school.registrar, school.admin, lesson.registration.id, lesson.essay.id
    )
    (work,) = record.work
    assert (work.grade, work.grader_comment) == (Decimal(60), "Better")
    assert (work.grader_id, work.graded_at) == (school.admin.user_id, NOW + MINUTE)
    actions = [each.action for each in trail(school, lesson.registration.id)]
    assert actions.count("registration.grade_element") == 3


def test_an_exemption_takes_the_element_out_of_grade_and_end(school, lesson):
    school.report(lesson.registration, lesson.test, grade=72)
    school.report(lesson.registration, lesson.essay, response="?", now=NOW + MINUTE)

    school.judge(lesson.registration, lesson.essay, exempt=True, comment="Ill", now=NOW + HOUR)

    assert (lesson.stored.status, lesson.stored.grade) == (Status.PASSED, Decimal(72))
    assert lesson.stored.end_at == NOW + HOUR
    assert [name for name, _ in lesson.events][-1] == "offering_completed"
    record = records.get_element_record(
        school.registrar, lesson.learner, lesson.registration.id, lesson.essay.id
    )
    assert record.exemption is not None
    assert record.exemption.comment == "Ill"


def test_an_exemption_is_taken_back_and_given_again(school, lesson):
    def exempt(value, **said):
        return school.judge(lesson.registration, lesson.essay, exempt=value, **said).effect

    assert exempt(True, comment="Ill") is Effect.WORK
    assert exempt(True) is Effect.NOTHING
    assert exempt(True, comment="Ill") is Effect.NOTHING
    assert exempt(True, comment="Away") is Effect.WORK
    assert exempt(False) is Effect.WORK
    assert exempt(False) is Effect.NOTHING
    assert not lesson.explained().standing.elements[1].exempt
    exempt(True)
    school.judge(lesson.registration, lesson.essay, grade=50)

    standing = lesson.explained().standing.elements[1]
    assert (standing.exempt, standing.grade) == (False, Decimal(50))
    changes = [
        (each.before, each.after)
        for each in trail(school, lesson.registration.id)
        if each.action == "registration.grade_element"
    ]
    assert changes[0] == (
        {"element_id": lesson.essay.id, "exempt": False},
        {"element_id": lesson.essay.id, "exempt": True, "comment": "Ill"},
    )


def test_what_has_ended_is_not_graded_piece_by_piece_until_it_is_reopened(school, lesson):
    school.report(lesson.registration, lesson.test, grade=90)
    school.judge(lesson.registration, lesson.essay, grade=10)
    school.ask(lesson.registration, Command.COMPLETE, actor=school.admin, now=NOW + HOUR)
    assert lesson.stored.status is Status.FAILED

    with pytest.raises(ConflictError, match="reopen"):
        school.judge(lesson.registration, lesson.essay, grade=80)
    school.ask(lesson.registration, Command.REOPEN, reason="An error", now=NOW + DAY)
    school.judge(lesson.registration, lesson.essay, grade=80, now=NOW + 2 * DAY)

    assert (lesson.stored.status, lesson.stored.grade) == (Status.PASSED, Decimal("82.5"))
    assert [name for name, _ in lesson.events].count("offering_completed") == 2
    assert lesson.explained().standing.elements[1].grade == Decimal(80)


# --- what decided is kept


def test_editing_elements_never_changes_what_has_ended(school, lesson):
    school.report(lesson.registration, lesson.test, grade=60)
    school.judge(lesson.registration, lesson.essay, grade=80)
    before = lesson.explained()
    assert (before.registration.status, before.standing.grade) == (Status.PASSED, Decimal(75))

    for element, changes in (
        (lesson.test, {"weight": Decimal(100), "title": "Ropes"}),
        (lesson.essay, {"status": ElementStatus.DRAFT}),
    ):
        elements.change_element(
            school.registrar,
            school.admin,
            lesson.course.id,
            element.id,
            ElementChanges(**changes),
            NOW,
        )
    school.element(lesson.course, "test", title="New")

    assert lesson.explained() == before
    shown = records.list_element_records(
        school.registrar, school.admin, lesson.registration.id, Page()
    )
    assert [each.standing.title for each in shown.items] == ["Knots", "Essay"]
    assert [each.standing.share for each in shown.items] == [Decimal(25), Decimal(75)]


def test_an_explanation_of_what_goes_on_follows_the_rules_of_today(school, lesson):
    school.report(lesson.registration, lesson.test, grade=60)
    policy = lesson.explained().policy

    school.element(lesson.course, "test", title="New")

    found = lesson.explained()
    assert [each.title for each in found.standing.elements] == ["Knots", "Essay", "New"]
    assert (found.standing.grade, found.policy) == (Decimal(60), policy)
    assert found.registration.grade is None


def test_offerings_override_the_rules_of_their_course(school):
    strict = Class(school, essay=False, offering={"require_every_element_passed": True})
    lax = Class(
        school,
        essay=False,
        require_every_element_passed=True,
        offering={"require_every_element_passed": False},
    )
    for lesson in (strict, lax):
        second = school.element(lesson.course, max_attempts=1)
        elements.change_element(
            school.registrar,
            school.admin,
            lesson.course.id,
            lesson.test.id,
            ElementChanges(max_attempts=1),
            NOW,
        )
        school.report(lesson.registration, lesson.test, grade=100)
        school.report(lesson.registration, second, grade=60)

    assert (strict.stored.status, lax.stored.status) == (Status.FAILED, Status.PASSED)
    assert strict.stored.policy.require_every_element_passed


def test_a_page_of_elements(school, lesson):
    first = records.list_element_records(
        school.registrar, lesson.learner, lesson.registration.id, Page(limit=1)
    )
    second = records.list_element_records(
        school.registrar, lesson.learner, lesson.registration.id, Page(limit=1, offset=1)
    )

    assert ([each.standing.title for each in first.items], first.more) == (["Knots"], True)
    assert ([each.standing.title for each in second.items], second.more) == (["Essay"], False)
    assert second.items[0].question == "Why?"


# --- ends of other kinds


def test_the_gradebook_completes_with_what_the_elements_give(school, lesson):
    school.report(lesson.registration, lesson.test, grade=90)

    school.ask(lesson.registration, Command.COMPLETE_ONCE)

    assert (lesson.stored.status, lesson.stored.grade) == (Status.PASSED, Decimal(90))
    (document,) = lesson.documents("offering_completed")
    assert document["registration"]["grade"] == 90.0


def test_the_end_of_the_offering_grades_from_what_exists(school):
    lesson = Class(school, offering={"end_at": NOW + DAY})
    school.report(lesson.registration, lesson.test, grade=90)
    school.report(lesson.registration, lesson.essay, actor=lesson.learner, response="Late")

    gradebook.halt_ended_offerings(school.registrar, NOW + DAY + HOUR)

    stored = lesson.stored
    assert (stored.status, stored.grade, stored.end_at) == (Status.FAILED, Decimal(90), NOW + DAY)
    assert lesson.explained().standing.awaiting


def test_a_course_player_reports_as_the_api(school, lesson):
    school.report(
        lesson.registration, lesson.test, actor=school.instructor(), grade=80, source=Source.SELF
    )

    entries = [
        each
        for each in trail(school, lesson.registration.id)
        if each.action == "registration.progress"
    ]
    assert [each.actor for each in entries] == [ActorKind.API]
    assert entries[0].after == {
        "element_id": lesson.test.id,
        "number": 1,
        "handed_in_at": "2026-03-02T10:00:00Z",
        "source": "SELF",
        "grade": "80",
        "passed": True,
        "awaiting": False,
    }


# --- batches


def test_a_batch_is_what_its_requests_would_be_one_by_one(school):
    lesson = Class(school)
    other = school.registration(offering=lesson.offering)

    def progress(registration, element, **said):
        return Request(
            registration_id=registration.id,
            command=Command.PROGRESS,
            actor=school.admin,
            element_id=element.id,
            report=Report(completed=True, **said),
        )

    def verdict(registration, element, **said):
        return Request(
            registration_id=registration.id,
            command=Command.GRADE_ELEMENT,
            actor=school.admin,
            element_id=element.id,
            verdict=Verdict(**said),
        )

    applied = gradebook.change_registrations(
        school.registrar,
        school.organization.id,
        [
            progress(lesson.registration, lesson.test, grade=Decimal(50)),
            progress(lesson.registration, lesson.essay, response="A"),
            progress(lesson.registration, lesson.essay, response="B"),
            progress(other, lesson.test, grade=Decimal(100)),
            verdict(lesson.registration, lesson.essay, grade=Decimal(90)),
            progress(lesson.registration, lesson.test, grade=Decimal(100)),
            verdict(other, lesson.essay, exempt=True),
            verdict(other, lesson.essay, exempt=False),
        ],
        NOW,
    )

    effects = [getattr(each, "effect", type(each)) for each in applied]
    assert effects == [
        Effect.WORK,
        Effect.WORK,
        ConflictError,
        Effect.WORK,
        Effect.END,
        ConflictError,
        Effect.END,
        ConflictError,
    ]
    assert lesson.events == [
        ("element_completed", 2),
        ("element_awaiting_grade", 3),
        ("element_completed", 4),
        ("offering_completed", 5),
    ]
    assert lesson.stored.grade == Decimal(80)
    assert school.stored(other).grade == Decimal(100)


def test_what_ends_and_is_reopened_in_one_batch_ends_again_with_what_decided_then(school):
    lesson = Class(school, essay=False)
    school.report(lesson.registration, lesson.test, grade=80)
    ask = {"registration_id": lesson.registration.id, "actor": school.admin}
    again = Request(
        command=Command.PROGRESS,
        element_id=lesson.test.id,
        report=Report(completed=True, grade=Decimal(90)),
        **ask,
    )
    reopen = Request(command=Command.REOPEN, reason="Again", **ask)

    applied = gradebook.change_registrations(
        school.registrar, school.organization.id, [reopen, again, reopen, again], NOW
    )

    assert [each.effect for each in applied] == [
        Effect.REOPEN,
        Effect.END,
        Effect.REOPEN,
        Effect.END,
    ]
    assert lesson.explained().standing.elements[0].made == 3


WORK = st.tuples(
    st.sampled_from(["test", "essay"]),
    st.sampled_from(["report", "grade", "exempt", "unexempt"]),
    st.none() | st.integers(0, 100),
    st.booleans(),  # by the learner
)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(work=st.lists(WORK, min_size=1, max_size=10), policy=st.sampled_from(AttemptsPolicy))
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_one_batch_or_one_by_one_is_the_same(school, work, policy):
    course = school.course(move_on=MoveOn.COMPLETED_AND_PASSED)
    parts = {
        "test": school.element(course, "test", max_attempts=3, attempts_policy=policy),
        "essay": school.element(course, "assignment", attempts_policy=policy),
    }
    offering = school.offering(course=course)
    together, alone = (school.registration(offering=offering) for _ in range(2))

    results = {}
    for registration, size in ((together, len(work)), (alone, 1)):
        requests = [_request(school, registration, parts, *each) for each in work]
        steps = [requests[start : start + size] for start in range(0, len(requests), size)]
        results[registration.id] = [
            getattr(each, "effect", type(each))
            for step in steps
            for each in gradebook.change_registrations(
                school.registrar, school.organization.id, step, NOW
            )
        ]

    assert results[together.id] == results[alone.id]
    found = [records.explain(school.registrar, school.admin, each.id) for each in (together, alone)]
    assert found[0].standing == found[1].standing
    assert found[0].registration.status is found[1].registration.status
    names = [
        [each.name for each in school.events(registration=each_)] for each_ in (together, alone)
    ]
    assert names[0] == names[1]


def _request(school, registration, parts, which, what, grade, by_learner):
    exact = None if grade is None else Decimal(grade)
    asked = {"registration_id": registration.id, "element_id": parts[which].id}
    if what == "report":
        actor = school.learner_of(registration) if by_learner else school.admin
        report = Report(completed=True, grade=None if by_learner else exact)
        return Request(command=Command.PROGRESS, actor=actor, report=report, **asked)
    verdict = (
        Verdict(grade=exact or Decimal(0)) if what == "grade" else Verdict(exempt=what == "exempt")
    )
    return Request(command=Command.GRADE_ELEMENT, actor=school.admin, verdict=verdict, **asked)


def test_another_organization_neither_works_nor_looks(school, lesson):
    elsewhere = open_school(school.database)

    for ask in (
        lambda: elsewhere.report(lesson.registration, lesson.test, grade=80),
        lambda: records.explain(elsewhere.registrar, elsewhere.admin, lesson.registration.id),
    ):
        with pytest.raises(CoursebellError) as refused:
            ask()
        assert isinstance(refused.value, NotFoundError)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_batch_reads_as_often_as_a_single_report(school):
    lesson = Class(school)
    many = [school.registration(offering=lesson.offering) for _ in range(20)]

    def reads(registrations):
        requests = [
            Request(
                registration_id=each.id,
                command=Command.PROGRESS,
                actor=school.admin,
                element_id=element.id,
                report=Report(completed=True, grade=Decimal(90)),
            )
            for each in registrations
            for element in (lesson.test, lesson.essay)
        ]
        statements = []
        with school.database.transaction() as tx:
            driver = tx.connection.connection.driver_connection
            driver.set_trace_callback(statements.append)
            applied = transitions.apply(school.registrar, school.organization.id, requests, NOW, tx)
            driver.set_trace_callback(None)
        assert [each.effect for each in applied] == [Effect.WORK, Effect.END] * len(registrations)
        return sum(each.lstrip().startswith("SELECT") for each in statements)

    assert reads([lesson.registration]) == reads(many)


def test_without_responses_attempts_are_otherwise_the_same(school, lesson):
    school.report(lesson.registration, lesson.test, grade=50)
    school.report(lesson.registration, lesson.essay, actor=lesson.learner, response="So.")
    wanted = (school.organization.id, {lesson.registration.id})

    with school.database.snapshot() as tx:
        whole = stored_progress.list_work(tx, *wanted)
        bare = stored_progress.list_work(tx, *wanted, with_responses=False)

    assert sorted(str(each.response) for each in whole) == ["None", "So."]
    assert bare == [replace(each, response=None) for each in whole]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_what_a_class_has_written_is_read_only_to_tell_of_it(school, lesson):
    school.report(lesson.registration, lesson.essay, actor=lesson.learner, response="So.")
    of_class = [school.stored(lesson.registration)]

    def halt(tx):
        request = Request(
            registration_id=lesson.registration.id, command=Command.HALT, actor=school.admin
        )
        transitions.apply(school.registrar, school.organization.id, [request], NOW, tx)

    def grade(tx):
        request = Request(
            registration_id=lesson.registration.id,
            command=Command.GRADE_ELEMENT,
            actor=school.admin,
            element_id=lesson.essay.id,
            verdict=Verdict(grade=Decimal(90)),
        )
        transitions.apply(school.registrar, school.organization.id, [request], NOW, tx)

    def show(tx):
        ruled = offerings.ruled_offerings(tx, school.organization.id, {lesson.offering.id})
        records.standings_of(tx, school.organization.id, of_class, ruled)

    def reads_responses(work):
        statements = []
        with school.database.transaction() as tx:
            driver = tx.connection.connection.driver_connection
            driver.set_trace_callback(statements.append)
            work(tx)
            driver.set_trace_callback(None)
        about_work = [each for each in statements if "FROM work" in each.replace("\n", "")]
        assert about_work
        return any("work.response" in each for each in about_work)

    assert not reads_responses(show)
    assert not reads_responses(halt)
    assert reads_responses(grade)


def test_a_webhook_may_want_one_type_of_element(school, lesson):
    webhook = school.webhook(filters={"element.type": "assignment"})
    school.report(lesson.registration, lesson.test, grade=50)
    school.report(lesson.registration, lesson.essay, actor=lesson.learner, response="So.")

    school.judge(lesson.registration, lesson.essay, grade=60)

    told = [each.event for each in school.deliveries(webhook)]
    assert told == ["element_awaiting_grade", "element_completed"]
