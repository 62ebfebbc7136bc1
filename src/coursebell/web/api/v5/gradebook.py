"""The gradebook: completing many registrations by hand at once."""

from __future__ import annotations

from collections.abc import Sequence
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


class CompletionResult(Document):
    """What became of one completion."""

    registration_id: str
    result: Literal["completed", "already_ended", "error"]
    status: Status | Absent = Field(None, description="Of the registration, unless in error.")
    errors: list[str] | Absent = Field(None, description="Why, in error.")


class CompletionResults(Document):
    results: list[CompletionResult] = Field(description="In the order of the input.")


@router.post("/complete", **shows(CompletionResults, *BODY))
async def complete_by_hand(caller: Instructor, body: HandCompletions) -> Response:
    """Complete up to 10,000 registrations, each for itself; one that has ended stays as it is."""
    return await run_in_threadpool(_complete, caller, body.completions)


def _complete(caller: Caller, completions: Sequence[HandCompletion]) -> Response:
    """All on one thread: even writing down ten thousand results would hold up other requests."""
    wishes = [
        Wish(
            registration_id=each.registration_id,
            command=Command.COMPLETE_ONCE,
            actor=caller.actor,
            grade=each.grade,
            comment=each.comment,
        )
        for each in completions
    ]
    organization_id = caller.actor.organization_id
    applied = gradebook.change_registrations(caller.registrar, organization_id, wishes, caller.now)
    results = [
        _result(wish.registration_id, result) for wish, result in zip(wishes, applied, strict=True)
    ]
    return shown(CompletionResults(results=results))


def _result(registration_id: str, applied: Applied) -> CompletionResult:
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


def _reasons(error: CoursebellError) -> list[str]:
    if isinstance(error, InvalidInputError):
        return [*error.errors, *(f"{name}: {rule}" for name, rule in error.field_errors.items())]
    return [error.message]
