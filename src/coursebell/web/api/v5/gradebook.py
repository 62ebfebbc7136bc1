"""The gradebook: completing and grading many registrations by hand at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Annotated, Literal

from fastapi import APIRouter
from pydantic import Field
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from coursebell.domain.completion import Command, Effect
from coursebell.domain.completion import Request as Wish
from coursebell.domain.model import Status
from coursebell.errors import CoursebellError, InvalidInputError
from coursebell.services import gradebook
from coursebell.services.transitions import Applied
from coursebell.web.answers import shown
from coursebell.web.api.v5.registrations import COMMENT
from coursebell.web.auth import Caller, Instructor
from coursebell.web.documents import Absent, Document
from coursebell.web.fields import GRADE, REFERENCE, Body, Clearable
from coursebell.web.openapi import BODY, shows
from coursebell.web.routes import BulkRoute

router = APIRouter(prefix="/api/v5/gradebook", route_class=BulkRoute, tags=["gradebook"])

_MAX_COMPLETIONS = 10_000


class HandCompletion(Body):
    registration_id: Annotated[str, REFERENCE]
    grade: Annotated[Decimal | None, Clearable(GRADE)] = None
    comment: Annotated[str | None, Clearable(COMMENT)] = None


class HandCompletions(Body):
    completions: list[HandCompletion] = Field(max_length=_MAX_COMPLETIONS)


class HandGrade(Body):
    registration_id: Annotated[str, REFERENCE]
    grade: Annotated[Decimal, GRADE]
    comment: Annotated[str | None, Clearable(COMMENT)] = None


class HandGrades(Body):
    grades: list[HandGrade] = Field(max_length=_MAX_COMPLETIONS)


class CompletionResult(Document):
    """What became of one completion."""

    registration_id: str
    result: Literal["completed", "already_ended", "error"]
    status: Status | Absent = Field(None, description="Of the registration, unless in error.")
    errors: list[str] | Absent = Field(None, description="Why, in error.")


class CompletionResults(Document):
    results: list[CompletionResult] = Field(description="In the order of the input.")


class GradeResult(Document):
    """What became of one grade."""

    registration_id: str
    result: Literal["graded", "unchanged", "error"]
    status: Status | Absent = Field(None, description="Of the registration, unless in error.")
    errors: list[str] | Absent = Field(None, description="Why, in error.")


class GradeResults(Document):
    results: list[GradeResult] = Field(description="In the order of the input.")


@router.post("/complete", **shows(CompletionResults, *BODY))
async def complete_by_hand(caller: Instructor, body: HandCompletions) -> Response:
    """Complete up to 10,000 registrations, each for itself; one that has ended stays as it is."""
    return await run_in_threadpool(_complete, caller, body.completions)


@router.post("/grade", **shows(GradeResults, *BODY))
async def grade_by_hand(caller: Instructor, body: HandGrades) -> Response:
    """Grade up to 10,000 registrations, each for itself: ends active ones, re-grades ended ones."""
    return await run_in_threadpool(_grade, caller, body.grades)


def _complete(caller: Caller, completions: Sequence[HandCompletion]) -> Response:
    """All on one thread: even writing down ten thousand results would hold up other requests."""
    applied = _carry_out(caller, Command.COMPLETE_ONCE, completions)
    return shown(CompletionResults(results=[_completed(*each) for each in applied]))


def _grade(caller: Caller, grades: Sequence[HandGrade]) -> Response:
    applied = _carry_out(caller, Command.GRADE, grades)
    return shown(GradeResults(results=[_graded(*each) for each in applied]))


def _carry_out(
    caller: Caller, command: Command, items: Sequence[HandCompletion] | Sequence[HandGrade]
) -> Iterator[tuple[str, Applied]]:
    """The id of each registration, and what became of it."""
    wishes = [
        Wish(
            registration_id=each.registration_id,
            command=command,
            actor=caller.actor,
            grade=each.grade,
            comment=_comment(each),
        )
        for each in items
    ]
    organization_id = caller.actor.organization_id
    applied = gradebook.change_registrations(caller.registrar, organization_id, wishes, caller.now)
    return zip((wish.registration_id for wish in wishes), applied, strict=True)


def _comment(item: HandCompletion | HandGrade) -> str | None:
    """None leaves the comment that stands, an empty one removes it."""
    return (item.comment or "") if "comment" in item.model_fields_set else None


def _completed(registration_id: str, applied: Applied) -> CompletionResult:
    if isinstance(applied, CoursebellError):
        return CompletionResult(
            registration_id=registration_id, result="error", errors=_reasons(applied)
        )
    ended = applied.effect is Effect.END
    return CompletionResult(
        registration_id=registration_id,
        result="completed" if ended else "already_ended",
        status=applied.after.status,
    )


def _graded(registration_id: str, applied: Applied) -> GradeResult:
    if isinstance(applied, CoursebellError):
        return GradeResult(
            registration_id=registration_id, result="error", errors=_reasons(applied)
        )
    return GradeResult(
        registration_id=registration_id,
        result="graded" if applied.changes else "unchanged",
        status=applied.after.status,
    )


def _reasons(error: CoursebellError) -> list[str]:
    if isinstance(error, InvalidInputError):
        return [*error.errors, *(f"{name}: {rule}" for name, rule in error.field_errors.items())]
    return [error.message]
