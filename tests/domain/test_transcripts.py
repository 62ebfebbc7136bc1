"""Which registrations of a course stand out on a transcript."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coursebell.domain.model import Status
from coursebell.domain.transcripts import Taken, TranscriptView, transcript_of
from factories import a_registration

COURSE, OTHER = "c" * 32, "d" * 32


def taken(status, grade=None, course_id=COURSE):
    grade = None if grade is None else Decimal(grade)
    return Taken(
        registration=a_registration(Status(status), grade=grade),
        course_id=course_id,
        offering_title="Spring",
        course_title="Ladders",
    )


def shown(entries):
    return [each.taken for each in entries]


@pytest.mark.parametrize(
    ("results", "best"),
    [
        (
            [("failed", 60), ("passed", 71), ("passed", 90), ("passed", 90)],
            2,
        ),  # the first of equals
        ([("failed", 99), ("passed", 50)], 1),  # passed before failed
        ([("failed", None), ("failed", 0)], 1),  # a grade before none
        ([("passed", None), ("failed", 90)], 0),
        ([("passed", 80), ("ejected", None), ("active", None)], 0),
        ([("active", None), ("ejected", None)], None),
        ([], None),
    ],
)
def test_the_best_is_passed_before_failed_and_then_by_grade(results, best):
    all_ = [taken(*each) for each in results]

    found = transcript_of(all_, TranscriptView.BEST)

    assert shown(found) == ([] if best is None else [all_[best]])


def test_each_course_has_a_best_and_a_latest_of_its_own():
    ladders, knots = taken("passed", 80), taken("failed", 90, OTHER)
    again, now = taken("failed", 10), taken("active", course_id=OTHER)
    all_ = [ladders, knots, again, now]

    assert shown(transcript_of(all_, TranscriptView.BEST)) == [ladders, knots]
    assert shown(transcript_of(all_, TranscriptView.LATEST)) == [again, now]
    marks = [(each.is_best, each.is_latest) for each in transcript_of(all_, TranscriptView.ALL)]
    assert marks == [(True, False), (True, False), (False, True), (False, True)]


RESULTS = st.lists(
    st.builds(
        taken,
        st.sampled_from(Status),
        st.none() | st.integers(0, 100),
        st.sampled_from([COURSE, OTHER]),
    ),
    max_size=8,
)


@given(RESULTS)
def test_whatever_was_taken_each_course_has_one_latest_and_at_most_one_best(all_):
    entries = transcript_of(all_, TranscriptView.ALL)
    courses = {each.course_id for each in all_}

    assert shown(entries) == all_
    for course_id in courses:
        of_course = [each for each in entries if each.taken.course_id == course_id]
        results = [each for each in of_course if each.taken.registration.status.has_result]
        assert [each.is_latest for each in of_course] == [False] * (len(of_course) - 1) + [True]
        assert sum(each.is_best for each in of_course) == bool(results)
        for best in (each for each in of_course if each.is_best):
            assert all(worth(best) >= worth(each) for each in results)


def worth(entry):
    registration = entry.taken.registration
    return registration.status is Status.PASSED, Decimal(
        -1
    ) if registration.grade is None else registration.grade
