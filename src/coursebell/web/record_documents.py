"""What the API shows of how learners stand."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from pydantic import Field

from coursebell.domain.elements import AttemptsPolicy, ElementType, Work
from coursebell.domain.grading import ElementStanding
from coursebell.domain.model import MoveOn, Source, Status
from coursebell.domain.transcripts import TranscriptEntry
from coursebell.services.gradebook_rows import GradebookRow
from coursebell.services.records import ElementRecord, Explanation
from coursebell.web.documents import Absent, Document, Id, Instant, Number


class WorkDocument(Document):
    """One attempt at an element, and how it was graded."""

    number: int = Field(description="1, 2, ... within this registration and element.")
    date: Instant = Field(description="When it was handed in.")
    source: Source
    response: str | Absent = Field(None, description="What was handed in, to an assignment.")
    grade: Number | Absent = None
    passed: bool | Absent = Field(None, description="Absent: not judged.")
    awaiting_grade: bool = Field(description="A person must grade it.")
    graded_date: Instant | Absent = Field(None, description="Where a person graded it.")
    grader_id: Id | Absent = None
    grader_comment: str | Absent = None


def work_document(work: Work) -> WorkDocument:
    return WorkDocument(
        number=work.number,
        date=work.handed_in_at,
        source=work.source,
        response=work.response,
        grade=work.grade,
        passed=work.passed,
        awaiting_grade=work.awaiting,
        graded_date=work.graded_at,
        grader_id=work.grader_id,
        grader_comment=work.grader_comment,
    )


class ElementStandingDocument(Document):
    """How a learner stands with one element, and the rules that say so."""

    element_id: Id
    type: ElementType
    title: str
    required: bool
    weight: Number
    attempts_policy: AttemptsPolicy
    max_attempts: int | Absent = Field(None, description="Absent: up to 1,000.")
    passing_grade: Number = Field(description="The mark in force for it.")
    attempt_count: int
    counted_attempts: Sequence[int] = Field(description="Those that its grade comes from.")
    grade: Number | Absent = Field(None, description="Absent: nothing is graded.")
    passed: bool | Absent = Field(None, description="Absent: not judged.")
    completed: bool
    awaiting_grade: bool
    exempt: bool
    share: Number | Absent = Field(
        None, description="Of the registration's grade, in percent. Absent: it does not count."
    )


def element_standing_document(standing: ElementStanding) -> ElementStandingDocument:
    return ElementStandingDocument(
        element_id=standing.element_id,
        type=standing.type,
        title=standing.title,
        required=standing.required,
        weight=standing.weight,
        attempts_policy=standing.attempts_policy,
        max_attempts=standing.max_attempts,
        passing_grade=standing.passing_grade,
        attempt_count=standing.made,
        counted_attempts=standing.counted,
        grade=standing.grade,
        passed=standing.passed,
        completed=standing.completed,
        awaiting_grade=standing.awaiting,
        exempt=standing.exempt,
        share=standing.share,
    )


class ElementRecordDocument(ElementStandingDocument):
    """An element in a registration: how it stands, and every attempt at it."""

    question: str | Absent = Field(None, description="What an assignment asks.")
    exemption_comment: str | Absent = None
    attempts: Sequence[WorkDocument]


def element_record_document(record: ElementRecord) -> ElementRecordDocument:
    exemption = record.exemption
    return ElementRecordDocument(
        **dict(element_standing_document(record.standing)),
        question=record.question,
        exemption_comment=None if exemption is None else exemption.comment,
        attempts=[work_document(each) for each in record.work],
    )


class PolicyDocument(Document):
    """The rules that decide."""

    passing_grade: Number
    move_on: MoveOn
    require_every_element_passed: bool


class ExplanationDocument(Document):
    """Why a registration stands as it does."""

    registration_id: Id
    status: Status
    grade: Number | Absent = Field(None, description="The result's; while active, so far.")
    exact_grade: str | Absent = Field(
        None, description="The same, cut off after 12 decimals: what is compared with the mark."
    )
    graded_by: str | Absent = Field(
        None, description="`elements`, or `hand` where it was given with a request."
    )
    done: bool = Field(description="Every required element is completed.")
    awaiting_grade: bool
    every_element_passed: bool
    policy: PolicyDocument
    elements: Sequence[ElementStandingDocument]


def explanation_document(found: Explanation) -> ExplanationDocument:
    registration, standing = found.registration, found.standing
    grade = registration.grade if registration.status.has_result else standing.grade
    by_elements = registration.computed or not registration.status.has_result
    return ExplanationDocument(
        registration_id=registration.id,
        status=registration.status,
        grade=grade,
        exact_grade=None if grade is None else plain_number(grade),
        graded_by=None if grade is None else "elements" if by_elements else "hand",
        done=standing.done,
        awaiting_grade=standing.awaiting,
        every_element_passed=standing.every_passed,
        policy=PolicyDocument(
            passing_grade=found.policy.passing_grade,
            move_on=found.policy.move_on,
            require_every_element_passed=found.policy.require_every_element_passed,
        ),
        elements=[element_standing_document(each) for each in standing.elements],
    )


def plain_number(number: Decimal) -> str:
    """A number as text, without exponent and trailing zeros: `82.5`, `70`."""
    return f"{number.normalize():f}"


class GradebookCellDocument(Document):
    """How a learner stands with one element."""

    element_id: Id
    title: str
    grade: Number | Absent = Field(None, description="Absent: nothing is graded.")
    passed: bool | Absent = Field(None, description="Absent: not judged.")
    completed: bool
    awaiting_grade: bool
    exempt: bool
    attempt_count: int


class GradebookRowDocument(Document):
    """A registration with its learner, and how they stand, or stood when it ended."""

    registration_id: Id
    user_id: Id
    first_name: str
    last_name: str
    username: str
    email: str
    attempt: int
    status: Status
    grade: Number | Absent = Field(None, description="The result's. Absent while active.")
    current_grade: Number | Absent = Field(
        None, description="What the elements give so far. Absent once it has ended."
    )
    done: bool = Field(description="Every required element is completed.")
    awaiting_grade: bool
    begin_date: Instant | Absent = None
    end_date: Instant | Absent = None
    elements: Sequence[GradebookCellDocument]


def gradebook_row_document(row: GradebookRow) -> GradebookRowDocument:
    registration, standing = row.enrolled.registration, row.standing
    return GradebookRowDocument(
        registration_id=registration.id,
        user_id=registration.user_id,
        first_name=row.enrolled.first_name,
        last_name=row.enrolled.last_name,
        username=row.enrolled.username,
        email=row.enrolled.email,
        attempt=registration.attempt,
        status=registration.status,
        grade=registration.grade,
        current_grade=standing.grade if registration.status is Status.ACTIVE else None,
        done=standing.done,
        awaiting_grade=standing.awaiting,
        begin_date=registration.begin_at,
        end_date=registration.end_at,
        elements=[gradebook_cell_document(each) for each in standing.elements],
    )


def gradebook_cell_document(standing: ElementStanding) -> GradebookCellDocument:
    return GradebookCellDocument(
        element_id=standing.element_id,
        title=standing.title,
        grade=standing.grade,
        passed=standing.passed,
        completed=standing.completed,
        awaiting_grade=standing.awaiting,
        exempt=standing.exempt,
        attempt_count=standing.made,
    )


class GradebookDocument(Document):
    """All of an offering's gradebook."""

    offering_id: Id
    title: str
    results: Sequence[GradebookRowDocument]


class TranscriptEntryDocument(Document):
    """A registration on a transcript."""

    registration_id: Id
    offering_id: Id
    title: str = Field(description="The title of the offering.")
    course_id: Id
    course_title: str
    attempt: int = Field(description="1, 2, ... within this user and offering.")
    status: Status
    grade: Number | Absent = None
    created_date: Instant
    begin_date: Instant | Absent = None
    end_date: Instant | Absent = None
    best: bool = Field(description="The best result of the course.")
    latest: bool = Field(description="The last registration of the course.")


def transcript_entry_document(entry: TranscriptEntry) -> TranscriptEntryDocument:
    registration = entry.taken.registration
    return TranscriptEntryDocument(
        registration_id=registration.id,
        offering_id=registration.offering_id,
        title=entry.taken.offering_title,
        course_id=entry.taken.course_id,
        course_title=entry.taken.course_title,
        attempt=registration.attempt,
        status=registration.status,
        grade=registration.grade,
        created_date=registration.created_at,
        begin_date=registration.begin_at,
        end_date=registration.end_at,
        best=entry.is_best,
        latest=entry.is_latest,
    )
