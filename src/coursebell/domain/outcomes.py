"""What a registration ends as, and whether it ends by itself: cmi5's moveOn, and the marks."""

from __future__ import annotations

from decimal import Decimal
from typing import assert_never

from coursebell.domain.grading import Standing
from coursebell.domain.model import MoveOn, Policy, Status


def outcome_of(
    policy: Policy, *, done: bool, grade: Decimal | None, every_passed: bool = True
) -> Status:
    """Passed or failed, by cmi5's moveOn; the passing grade is inclusive (domain rule 8).

    Where the policy wants every required element passed, nobody passes without, unless passing
    asks nothing at all (`NotApplicable`).
    """
    reached = grade is not None and grade >= policy.passing_grade
    match policy.move_on:
        case MoveOn.PASSED:
            passed = reached
        case MoveOn.COMPLETED:
            passed = done
        case MoveOn.COMPLETED_AND_PASSED:
            passed = done and reached
        case MoveOn.COMPLETED_OR_PASSED:
            passed = done or reached
        case MoveOn.NOT_APPLICABLE:
            passed = True
        case _:
            assert_never(policy.move_on)
    if policy.require_every_element_passed and policy.move_on is not MoveOn.NOT_APPLICABLE:
        passed = passed and every_passed
    return Status.PASSED if passed else Status.FAILED


def ends_by_itself(policy: Policy, standing: Standing) -> bool:
    """Nothing awaits a grade, and it would be passed or nothing more can be done (rule 8).

    Never before something is done, even where passing asks for nothing.
    """
    if standing.awaiting or not standing.begun:
        return False
    return standing.exhausted or _outcome(policy, standing) is Status.PASSED


def _outcome(policy: Policy, standing: Standing) -> Status:
    return outcome_of(
        policy, done=standing.done, grade=standing.grade, every_passed=standing.every_passed
    )


def needs_grade(policy: Policy) -> bool:
    """Whether nobody passes without a grade."""
    return policy.move_on in (MoveOn.PASSED, MoveOn.COMPLETED_AND_PASSED)
