"""What a report or a verdict makes of a learner's work on an element."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from coursebell.domain.elements import MOST_ATTEMPTS, Element, ElementType, Work
from coursebell.domain.model import Policy, Source
from coursebell.errors import ConflictError, InvalidInputError


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What is said of a learner's work on an element."""

    completed: bool  # False: at work on it
    response: str | None = None
    grade: Decimal | None = None
    passed: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a person says of it: a grade, or that the learner need not do it."""

    grade: Decimal | None = None
    comment: str | None = None
    exempt: bool | None = None  # False takes an exemption back


def check_report(report: Report, element: Element) -> None:
    """Raise `InvalidInputError` for what cannot be said of an element of this type."""
    broken = {}
    judged = {"grade": report.grade, "passed": report.passed}
    for name, value in judged.items():
        if value is not None and not element.type.is_graded:
            broken[name] = f"A {element.type} is not graded."
        elif value is not None and not report.completed:
            broken[name] = "Must not be sent while completed is false."
    if report.response is not None and element.type is not ElementType.ASSIGNMENT:
        broken["response"] = f"A {element.type} has no response; only an assignment has."
    elif report.response is not None and not report.completed:
        broken["response"] = "Must not be sent while completed is false."
    if broken:
        raise InvalidInputError(field_errors=broken)


def hand_in(
    registration_id: str,
    report: Report,
    element: Element,
    before: Sequence[Work],
    policy: Policy,
    *,
    source: Source,
    by_learner: bool,
    now: datetime,
) -> Work | None:
    """The attempt that a report of completion makes, after the attempts `before`.

    None when it was completed and there is nothing to do better. Raises `ConflictError` while the
    last attempt awaits a grade and when all attempts are used up.
    """
    if before and not element.type.is_graded:
        return None
    if any(each.awaiting for each in before):
        raise ConflictError("The last attempt at this element awaits a grade.")
    allowed = element.max_attempts or MOST_ATTEMPTS
    if len(before) >= allowed:
        raise ConflictError(f"All attempts at this element are used up: there are {allowed}.")
    return Work(
        registration_id=registration_id,
        element_id=element.id,
        number=len(before) + 1,
        handed_in_at=now,
        source=source,
        response=report.response,
        grade=report.grade,
        passed=_judged(report, element, policy),
        awaiting=_must_be_graded(report, element, by_learner=by_learner),
        graded_at=None,
        grader_id=None,
        grader_comment=None,
    )


def grade_by_hand(
    registration_id: str,
    verdict: Verdict,
    element: Element,
    before: Sequence[Work],
    policy: Policy,
    *,
    grader_id: str | None,
    now: datetime,
) -> Work:
    """The last attempt with the grade of `verdict`, or a first one where there is none yet.

    A comment that is not given stays. Raises `InvalidInputError` where there is nothing to grade.
    """
    if not element.type.is_graded:
        raise InvalidInputError(field_errors={"grade": f"A {element.type} is not graded."})
    last = before[-1] if before else _unseen(registration_id, element, now)
    comment = last.grader_comment if verdict.comment is None else verdict.comment or None
    graded = replace(
        last,
        grade=verdict.grade,
        passed=_judged(Report(completed=True, grade=verdict.grade), element, policy),
        awaiting=False,
        grader_id=grader_id,
        grader_comment=comment,
    )
    same = (graded.grade, graded.grader_comment) == (last.grade, last.grader_comment)
    return last if same and before and not last.awaiting else replace(graded, graded_at=now)


def _unseen(registration_id: str, element: Element, now: datetime) -> Work:
    """An attempt that nobody handed in: an oral examination, say."""
    return Work(
        registration_id=registration_id,
        element_id=element.id,
        number=1,
        handed_in_at=now,
        source=Source.ADMIN,
        response=None,
        grade=None,
        passed=None,
        awaiting=False,
        graded_at=None,
        grader_id=None,
        grader_comment=None,
    )


def _judged(report: Report, element: Element, policy: Policy) -> bool | None:
    """Passed as it is told, else by the mark in force; None without a grade."""
    if report.passed is not None or report.grade is None:
        return report.passed
    mark = policy.passing_grade if element.passing_grade is None else element.passing_grade
    return report.grade >= mark


def _must_be_graded(report: Report, element: Element, *, by_learner: bool) -> bool:
    """An assignment that came without a verdict; and a test that its learner alone vouches for."""
    if report.grade is not None or report.passed is not None:
        return False
    alone = by_learner and element.type is ElementType.TEST
    return element.type is ElementType.ASSIGNMENT or alone
