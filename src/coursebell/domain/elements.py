"""Elements, the parts of a course, and what learners hand in: this half of the glossary."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from coursebell.domain.model import Source

MOST_ATTEMPTS = 1_000  # at an element within a registration: all are read with each further one


class ElementType(StrEnum):
    """What kind of part an element is, in the vendor's words."""

    CHALKBOARD = "chalkboard"
    TEST = "test"
    FILE = "file"
    ASSIGNMENT = "assignment"
    SCO = "sco"  # SCORM content
    WEBARCHIVE = "webarchive"

    @property
    def is_graded(self) -> bool:
        """Whether it can have a grade: looking at something has none."""
        return self not in (ElementType.CHALKBOARD, ElementType.FILE)


class ElementStatus(StrEnum):
    """Whether learners have the element."""

    DRAFT = "draft"  # being made: nobody can work on it, and it counts for nothing
    ACTIVE = "active"


class AttemptsPolicy(StrEnum):
    """Which of several attempts at an element gives its grade."""

    BEST = "best"
    LAST = "last"
    FIRST = "first"
    AVERAGE = "average"


@dataclass(frozen=True, slots=True, kw_only=True)
class Element:
    """A part of a course: something to look at, to do, or to hand in."""

    id: str
    course_id: str
    type: ElementType
    title: str
    question: str | None  # what an assignment asks
    weight: Decimal  # its part of the grade, beside the weights of the others
    required: bool
    attempts_policy: AttemptsPolicy
    max_attempts: int | None  # None: as many as one likes, up to MOST_ATTEMPTS
    passing_grade: Decimal | None  # None: that of the offering or course
    status: ElementStatus
    order_index: int  # its place in the course: 0, 1, ...
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One attempt at an element within a registration, and how it was graded."""

    registration_id: str
    element_id: str
    number: int  # 1, 2, ... within this registration and element
    handed_in_at: datetime
    source: Source  # who completed it
    response: str | None  # what the learner wrote, to an assignment
    grade: Decimal | None
    passed: bool | None  # None: it was not judged
    awaiting: bool  # a person must grade it
    graded_at: datetime | None  # by hand
    grader_id: str | None
    grader_comment: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Exemption:
    """A learner need not do an element, and it counts for nothing."""

    registration_id: str
    element_id: str
    created_at: datetime
    grader_id: str | None
    comment: str | None
