"""What a report or a verdict makes of a learner's work on an element."""

from dataclasses import replace
from decimal import Decimal

import pytest

from coursebell.domain.elements import MOST_ATTEMPTS, ElementType
from coursebell.domain.model import Source
from coursebell.domain.progress import Report, Verdict, check_report, grade_by_hand, hand_in
from coursebell.errors import ConflictError, InvalidInputError
from factories import HOUR, NOW, a_policy, an_element, some_work

REGISTRATION = "1" * 32


def report(element, *before, by_learner=False, policy=None, **said):
    said = Report(**({"completed": True} | said))
    return hand_in(
        REGISTRATION,
        said,
        element,
        before,
        policy or a_policy(),
        source=Source.SELF,
        by_learner=by_learner,
        now=NOW,
    )


def grade(element, *before, policy=None, now=NOW, **said):
    return grade_by_hand(
        REGISTRATION,
        Verdict(**said),
        element,
        before,
        policy or a_policy(),
        grader_id="9" * 32,
        now=now,
    )


# --- reports


@pytest.mark.parametrize("type_", ElementType)
def test_what_can_be_said_of_each_type(type_):
    element = an_element(type_)
    said = Report(completed=True, grade=Decimal(80), passed=True, response="So.")

    broken = set()
    try:
        check_report(said, element)
    except InvalidInputError as refused:
        broken = set(refused.field_errors)

    assert ("response" in broken) == (type_ is not ElementType.ASSIGNMENT)
    assert ({"grade", "passed"} <= broken) == (type_ in (ElementType.CHALKBOARD, ElementType.FILE))


def test_who_is_still_at_work_has_neither_grade_nor_response():
    element = an_element("assignment")
    check_report(Report(completed=False), element)

    for said in ({"grade": Decimal(0)}, {"passed": False}, {"response": ""}):
        with pytest.raises(InvalidInputError) as refused:
            check_report(Report(completed=False, **said), element)
        assert list(refused.value.field_errors) == list(said)


def test_each_report_is_an_attempt_of_its_own():
    test = an_element()

    second = report(test, some_work(test, grade=10), grade=Decimal(80))

    assert (second.number, second.grade, second.passed) == (2, Decimal(80), True)
    assert (second.handed_in_at, second.source) == (NOW, Source.SELF)
    assert (second.graded_at, second.grader_id) == (None, None)


def test_looking_again_is_no_second_attempt():
    board = an_element("chalkboard")

    first = report(board)

    assert (first.grade, first.passed, first.awaiting) == (None, None, False)
    assert report(board, first) is None


def test_attempts_are_used_up():
    test = an_element(max_attempts=2)
    work = [some_work(test, 1, grade=10), some_work(test, 2, grade=20)]

    assert report(test, work[0], grade=Decimal(90)).number == 2
    with pytest.raises(ConflictError, match="used up: there are 2"):
        report(test, *work, grade=Decimal(90))


def test_nobody_piles_up_attempts_without_end():
    sco = an_element(ElementType.SCO)
    work = [some_work(sco, number) for number in range(1, MOST_ATTEMPTS)]

    last = report(sco, *work)
    assert last.number == MOST_ATTEMPTS
    with pytest.raises(ConflictError, match="used up: there are 1000"):
        report(sco, *work, last)


def test_nothing_more_is_handed_in_while_the_last_awaits_a_grade():
    essay = an_element("assignment")

    with pytest.raises(ConflictError, match="awaits a grade"):
        report(essay, some_work(essay, awaiting=True))


@pytest.mark.parametrize(
    ("type_", "by_learner", "said", "awaits"),
    [
        ("assignment", True, {"response": "So."}, True),
        ("assignment", False, {}, True),
        ("assignment", False, {"grade": Decimal(80)}, False),
        ("assignment", False, {"passed": True}, False),
        ("test", True, {}, True),  # nobody gets around a test by saying it is done
        ("test", False, {}, False),
        ("sco", True, {}, False),
        ("webarchive", True, {}, False),
        ("chalkboard", True, {}, False),
        ("file", True, {}, False),
    ],
)
def test_what_a_person_must_grade(type_, by_learner, said, awaits):
    assert report(an_element(type_), by_learner=by_learner, **said).awaiting is awaits


@pytest.mark.parametrize(
    ("mark", "given", "told", "passed"),
    [
        (None, "70", None, True),  # inclusive, the course's
        (None, "69.9999", None, False),
        ("80", "79", None, False),
        ("0", "0", None, True),
        (None, "10", True, True),  # as it is told
        (None, "90", False, False),
        (None, None, True, True),
        (None, None, None, None),
    ],
)
def test_an_attempt_is_passed_as_told_or_by_the_mark_in_force(mark, given, told, passed):
    element = an_element("sco", passing_grade=None if mark is None else Decimal(mark))

    work = report(element, grade=None if given is None else Decimal(given), passed=told)

    assert work.passed is passed


# --- verdicts


def test_a_verdict_grades_what_was_handed_in_last():
    essay = an_element("assignment")
    first, last = some_work(essay, 1, grade=40), some_work(essay, 2, awaiting=True, response="So.")

    graded = grade(essay, first, last, grade=Decimal(80), comment="Good")

    assert graded == replace(
        last,
        grade=Decimal(80),
        passed=True,
        awaiting=False,
        graded_at=NOW,
        grader_id="9" * 32,
        grader_comment="Good",
    )


def test_what_nobody_handed_in_can_be_graded_too():
    oral = an_element("assignment")

    graded = grade(oral, grade=Decimal(60))

    assert (graded.number, graded.grade, graded.passed) == (1, Decimal(60), False)
    assert (graded.source, graded.handed_in_at, graded.graded_at) == (Source.ADMIN, NOW, NOW)


def test_the_same_verdict_again_changes_nothing():
    essay = an_element("assignment")
    graded = grade(essay, some_work(essay, awaiting=True), grade=Decimal(80), comment="Good")

    for said in ({}, {"comment": "Good"}):
        assert grade(essay, graded, now=NOW + HOUR, grade=Decimal(80), **said) is graded
    other = grade(essay, graded, now=NOW + HOUR, grade=Decimal(80), comment="Better")
    assert (other.grader_comment, other.graded_at) == ("Better", NOW + HOUR)
    assert grade(essay, graded, grade=Decimal(80), comment="").grader_comment is None


def test_what_is_looked_at_is_not_graded():
    with pytest.raises(InvalidInputError) as refused:
        grade(an_element("file"), grade=Decimal(80))

    assert refused.value.field_errors == {"grade": "A file is not graded."}
