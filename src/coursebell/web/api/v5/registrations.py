"""Registrations: users in offerings, from enrolment to result."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from pydantic.alias_generators import to_camel
from starlette.requests import Request
from starlette.responses import Response

from coursebell.domain.changes import UNSET, Unset
from coursebell.domain.completion import Command
from coursebell.domain.completion import Request as Wish
from coursebell.domain.lists import RegistrationFilters
from coursebell.domain.model import Role, Source, Status
from coursebell.errors import CoursebellError, ForbiddenError, InvalidInputError
from coursebell.services import enrolment, gradebook
from coursebell.services.enrolment import Enrolment
from coursebell.storage.registrations import TitledRegistration
from coursebell.web.answers import created, done, listed, shown
from coursebell.web.auth import Caller, Instructor, Learner
from coursebell.web.documents import ListDocument, RegistrationDocument, registration_document
from coursebell.web.fields import (
    GRADE,
    REFERENCE,
    WRITTEN,
    Body,
    Choice,
    Clearable,
    DateFilter,
    Line,
    ListQuery,
    Member,
    PathId,
    Prose,
    TextFilter,
    Truth,
)
from coursebell.web.openapi import BODY, CONFLICT, UNKNOWN, accomplishes, creates, shows
from coursebell.web.routes import ApiRoute

router = APIRouter(prefix="/api/v5/registrations", route_class=ApiRoute, tags=["registrations"])

COMMENT = Prose(10_000)
_REASON = Line(1_000)
_GRADING = ("grade", "passed", "source")  # what a learner's own token may not send


class Ejection(StrEnum):
    """The only status that can be set."""

    EJECTED = Status.EJECTED.value


class RegistrationQuery(ListQuery):
    status: Annotated[Status | None, Choice(Status)] = None
    user_id: TextFilter = None
    offering_id: TextFilter = None
    created_date: DateFilter = None
    begin_date: DateFilter = None
    last_active_date: DateFilter = None
    end_date: DateFilter = None


class Override(Body):
    """How an administrator passes the windows."""

    override: Annotated[bool, Truth()] = False
    reason: Annotated[str | None, Clearable(_REASON)] = None


class RegistrationCreation(Override):
    user_id: Annotated[str, REFERENCE]
    offering_id: Annotated[str, REFERENCE]


class Completion(Override):
    grade: Annotated[Decimal | None, Clearable(GRADE)] = None
    source: Annotated[Source | None, Clearable(Member(Source))] = None


class Grading(Body):
    """Either a grade with what belongs to it, or a status."""

    grade: Annotated[Decimal | Unset, GRADE] = UNSET
    grader_comment: Annotated[str | None, Clearable(COMMENT)] = None
    end_date: Annotated[str | None, Clearable(WRITTEN)] = None
    reason: Annotated[str | None, Clearable(_REASON)] = None
    status: Annotated[Ejection | Unset, Member(Ejection)] = UNSET


class Reopening(Body):
    reason: Annotated[str, _REASON]


async def leave_grading_to_others(request: Request, caller: Learner) -> None:
    """Raise ForbiddenError for a learner who grades, whatever else is wrong with the body."""
    body = request.scope.get("coursebell.body") or {}
    if not caller.actor.is_at_least(Role.INSTRUCTOR) and not body.keys().isdisjoint(_GRADING):
        raise ForbiddenError("A learner may not send grade, passed or source.")


@router.get("", **shows(ListDocument[RegistrationDocument]))
async def list_registrations(
    request: Request, caller: Learner, query: Annotated[RegistrationQuery, Query()]
) -> Response:
    """Registrations, in the order in which they were made; learners see their own."""
    filters = RegistrationFilters(
        status=query.status,
        user_id=query.user_id,
        offering_id=query.offering_id,
        created=query.created_date,
        begin=query.begin_date,
        last_active=query.last_active_date,
        end=query.end_date,
    )
    found = await caller.run(gradebook.list_registrations, filters, query.page)
    return listed(request, query.page, found, _document)


@router.get("/{registration_id}", **shows(RegistrationDocument, *UNKNOWN))
async def get_registration(registration_id: PathId, caller: Learner) -> Response:
    return shown(_document(await caller.run(gradebook.get_registration, registration_id)))


@router.post("", **creates(*BODY))
async def register(request: Request, caller: Learner, body: RegistrationCreation) -> Response:
    """Register a user for an offering; learners register themselves."""
    wanted = Enrolment(actor=caller.actor, **body.named())
    (result,) = await caller.run_batch(enrolment.register, [wanted])
    if isinstance(result, CoursebellError):
        raise result
    return created(request, "registrations", result.id)


@router.put("/{registration_id}", **accomplishes(*UNKNOWN, *BODY))
async def grade_registration(
    registration_id: PathId, caller: Instructor, body: Grading
) -> Response:
    """Grade by hand, which ends an active registration and re-grades an ended one; or eject."""
    if body.status is not UNSET:
        _refuse_beside_status(body)
        await carry_out(caller, registration_id, Command.EJECT)
        return done()
    if body.grade is UNSET:
        raise InvalidInputError(field_errors={"grade": "Is required, or else status."})
    await carry_out(
        caller,
        registration_id,
        Command.GRADE,
        grade=body.grade,
        comment=_comment(body),
        end_at=await caller.instant(body.end_date, "endDate", end=True),
        reason=body.reason,
    )
    return done()


@router.post("/{registration_id}/activity", **accomplishes(*UNKNOWN, *BODY, *CONFLICT))
async def record_activity(
    registration_id: PathId, caller: Learner, body: Override | None = None
) -> Response:
    """The learner did something: the first time sets `beginDate`."""
    body = body or Override()
    await carry_out(caller, registration_id, Command.ACTIVITY, **body.named())
    return done()


@router.post(
    "/{registration_id}/complete",
    dependencies=[Depends(leave_grading_to_others)],
    **accomplishes(*UNKNOWN, *BODY, *CONFLICT),
)
async def complete_registration(
    registration_id: PathId, caller: Learner, body: Completion | None = None
) -> Response:
    """End a registration. Asking again for what is stored changes nothing; else it conflicts."""
    body = body or Completion()
    await carry_out(caller, registration_id, Command.COMPLETE, **body.named())
    return done()


@router.post("/{registration_id}/reopen", **accomplishes(*UNKNOWN, *BODY, *CONFLICT))
async def reopen_registration(
    registration_id: PathId, caller: Instructor, body: Reopening
) -> Response:
    """Make a passed or failed registration active again."""
    await carry_out(caller, registration_id, Command.REOPEN, reason=body.reason)
    return done()


async def carry_out(caller: Caller, registration_id: str, command: Command, **details: Any) -> None:
    """Ask this of a registration. Raises what it is refused with."""
    wish = Wish(registration_id=registration_id, command=command, actor=caller.actor, **details)
    (result,) = await caller.run_batch(gradebook.change_registrations, [wish])
    if isinstance(result, CoursebellError):
        raise result


def _document(found: TitledRegistration) -> RegistrationDocument:
    return registration_document(found.registration, found.title)


def _comment(body: Grading) -> str | None:
    """What the gradebook takes: None leaves the comment that stands, an empty one removes it."""
    return (body.grader_comment or "") if "grader_comment" in body.model_fields_set else None


def _refuse_beside_status(body: Grading) -> None:
    others = sorted(body.model_fields_set - {"status"})
    if others:
        names = {to_camel(name): "Must not be sent together with status." for name in others}
        raise InvalidInputError(field_errors=names)
