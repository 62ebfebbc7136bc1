"""What a registration's elements make of its grade. Pure arithmetic, and nothing is rounded up.

Sums are exact fractions; a grade that leaves here is cut off after 12 decimals. Marks have at
most 4 decimals, so that never decides otherwise than the exact number would.
`docs/reference/completions.md` has worked examples, which the tests calculate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import assert_never

from coursebell.domain.elements import (
    MOST_ATTEMPTS,
    AttemptsPolicy,
    Element,
    ElementType,
    Work,
)
from coursebell.domain.model import Policy

_DECIMALS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class ElementStanding:
    """How far a learner has come with one element, and the rules that say so."""

    element_id: str
    type: ElementType
    title: str
    required: bool
    weight: Decimal
    attempts_policy: AttemptsPolicy
    max_attempts: int | None
    passing_grade: Decimal  # the mark in force for it
    made: int  # attempts so far
    counted: tuple[int, ...]  # the numbers of the attempts that its grade comes from
    grade: Decimal | None
    passed: bool | None  # None: not judged
    completed: bool
    awaiting: bool
    exempt: bool
    share: Decimal | None  # of the registration's grade, in percent; None: it counts for nothing

    @property
    def fulfilled(self) -> bool:
        """Passed; or completed where there is nothing to pass; or exempt."""
        return self.exempt or self.passed is True or (self.completed and self.passed is None)

    @property
    def exhausted(self) -> bool:
        """Whether nothing more can be done about it."""
        seen = self.completed and not self.type.is_graded
        return self.exempt or seen or self.made >= (self.max_attempts or MOST_ATTEMPTS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How far a learner has come with the elements of a course, in their order."""

    elements: tuple[ElementStanding, ...] = ()
    grade: Decimal | None = None  # of what is graded so far; None: nothing is

    @property
    def begun(self) -> bool:
        """Whether anything is completed, or need not be."""
        return any(each.completed or each.exempt for each in self.elements)

    @property
    def awaiting(self) -> bool:
        """Whether somebody must grade something."""
        return any(each.awaiting for each in self.elements)

    @property
    def done(self) -> bool:
        """Every required element is completed; without elements, never by itself."""
        return bool(self.elements) and all(each.completed or each.exempt for each in self.needed)

    @property
    def every_passed(self) -> bool:
        return all(each.fulfilled for each in self.needed)

    @property
    def exhausted(self) -> bool:
        """Whether no required element can be attempted again."""
        return all(each.exhausted for each in self.needed)

    @property
    def needed(self) -> tuple[ElementStanding, ...]:
        """The required elements; all of them where none is required."""
        return tuple(each for each in self.elements if each.required) or self.elements


NO_ELEMENTS = Standing()


def standing_of(
    elements: Sequence[Element],
    work: Mapping[str, Sequence[Work]],
    exempt: AbstractSet[str],
    policy: Policy,
) -> Standing:
    """Where a learner stands with `elements`, by attempts and exemptions of each element's id.

    The weights are normalised over what is graded and not exempt. Nothing graded is no grade.
    """
    all_done = [
        _Done.of(each, work.get(each.id, ()), exempt=each.id in exempt) for each in elements
    ]
    total = sum((each.weight for each in all_done), Fraction(0))
    weighted = sum((each.weight * each.grade for each in all_done if each.grade), Fraction(0))
    return Standing(
        elements=tuple(_element_standing(each, policy, total) for each in all_done),
        grade=_cut_off(weighted / total) if total else None,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Done:
    """What was done about an element, and what of it counts, exactly."""

    element: Element
    work: Sequence[Work]  # in order
    exempt: bool
    counting: tuple[Work, ...]  # the attempts that give the grade
    grade: Fraction | None

    @classmethod
    def of(cls, element: Element, work: Sequence[Work], *, exempt: bool) -> _Done:
        work = sorted(work, key=lambda each: each.number)
        counting = () if exempt else _counting(element.attempts_policy, work)
        grades = [Fraction(each.grade) for each in counting if each.grade is not None]
        mean = sum(grades, Fraction(0)) / len(grades) if grades else None
        return cls(element=element, work=work, exempt=exempt, counting=counting, grade=mean)

    @property
    def weight(self) -> Fraction:
        """What it weighs now: nothing while it has no grade."""
        return Fraction(0) if self.grade is None else Fraction(self.element.weight)


def _counting(rule: AttemptsPolicy, work: Sequence[Work]) -> tuple[Work, ...]:
    """The attempts whose grades, on average, are the element's; those without a grade never."""
    graded = [each for each in work if each.grade is not None]
    if not graded:
        return ()
    match rule:
        case AttemptsPolicy.BEST:
            return (max(graded, key=lambda each: each.grade or 0),)
        case AttemptsPolicy.LAST:
            return (graded[-1],)
        case AttemptsPolicy.FIRST:
            return (graded[0],)
        case AttemptsPolicy.AVERAGE:
            return tuple(graded)
        case _:
            assert_never(rule)


def _element_standing(done: _Done, policy: Policy, total: Fraction) -> ElementStanding:
    element = done.element
    mark = policy.passing_grade if element.passing_grade is None else element.passing_grade
    finished = [each for each in done.work if not each.awaiting]
    return ElementStanding(
        element_id=element.id,
        type=element.type,
        title=element.title,
        required=element.required,
        weight=element.weight,
        attempts_policy=element.attempts_policy,
        max_attempts=element.max_attempts,
        passing_grade=mark,
        made=len(done.work),
        counted=tuple(each.number for each in done.counting),
        grade=None if done.grade is None else _cut_off(done.grade),
        passed=None
        if done.exempt
        else _passed(element.attempts_policy, finished, done.grade, mark),
        completed=bool(finished),
        awaiting=not done.exempt and len(finished) < len(done.work),
        exempt=done.exempt,
        share=_cut_off(100 * done.weight / total) if done.weight else None,
    )


def _passed(
    rule: AttemptsPolicy, finished: Sequence[Work], grade: Fraction | None, mark: Decimal
) -> bool | None:
    """Whether an element is passed, as the attempts that count say; None: none was judged."""
    verdicts = [each.passed for each in finished if each.passed is not None]
    if not verdicts:
        return None
    match rule:
        case AttemptsPolicy.BEST:
            return any(verdicts)
        case AttemptsPolicy.LAST:
            return verdicts[-1]
        case AttemptsPolicy.FIRST:
            return verdicts[0]
        case AttemptsPolicy.AVERAGE:
            return any(verdicts) if grade is None else grade >= Fraction(mark)
        case _:
            assert_never(rule)


def _cut_off(exact: Fraction) -> Decimal:
    """The fraction as a `Decimal`, cut off after 12 decimals, without trailing zeros."""
    scaled = exact.numerator * 10**_DECIMALS // exact.denominator
    whole, rest = divmod(scaled, 10**_DECIMALS)
    return Decimal(f"{whole}.{rest:0{_DECIMALS}d}".rstrip("0").rstrip("."))
