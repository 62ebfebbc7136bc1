"""Progress: what a registration's learner has done about the elements of the course."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from starlette.requests import Request
from starlette.responses import Response

from coursebell.domain.changes import UNSET, Unset
from coursebell.domain.completion import Command
from coursebell.domain.model import Source
from coursebell.domain.progress import Report, Verdict
from coursebell.errors import InvalidInputError
from coursebell.services import records
from coursebell.web.answers import done, listed, shown
from coursebell.web.api.v5.registrations import COMMENT, carry_out, leave_grading_to_others
from coursebell.web.auth import Instructor, Learner
from coursebell.web.documents import ListDocument
from coursebell.web.fields import (
    GRADE,
    Body,
    Clearable,
    ListQuery,
    Member,
    PathId,
    Prose,
    Truth,
)
from coursebell.web.openapi import BODY, CONFLICT, UNKNOWN, accomplishes, shows
from coursebell.web.record_documents import (
    ElementRecordDocument,
    ExplanationDocument,
    element_record_document,
    explanation_document,
)
from coursebell.web.routes import ApiRoute

router = APIRouter(
    prefix="/api/v5/registrations/{registration_id}", route_class=ApiRoute, tags=["progress"]
)

_RESPONSE = Prose(100_000)


class ProgressReport(Body):
    completed: Annotated[bool, Truth()]
    response: Annotated[str | None, Clearable(_RESPONSE)] = None
    grade: Annotated[Decimal | None, Clearable(GRADE)] = None
    passed: Annotated[bool | None, Clearable(Truth())] = None
    source: Annotated[Source | None, Clearable(Member(Source))] = None


class ElementVerdict(Body):
    """Either a grade or an exemption, with a comment."""

    grade: Annotated[Decimal | Unset, GRADE] = UNSET
    exempt: Annotated[bool | Unset, Truth()] = UNSET
    comment: Annotated[str | None, Clearable(COMMENT)] = None


@router.get("/elements", **shows(ListDocument[ElementRecordDocument], *UNKNOWN))
async def list_element_records(
    request: Request,
    registration_id: PathId,
    caller: Learner,
    query: Annotated[ListQuery, Query()],
) -> Response:
    """How a registration stands with each element; learners see their own."""
    found = await caller.run(records.list_element_records, registration_id, query.page)
    return listed(request, query.page, found, element_record_document)


@router.get("/elements/{element_id}", **shows(ElementRecordDocument, *UNKNOWN))
async def get_element_record(
    registration_id: PathId, element_id: PathId, caller: Learner
) -> Response:
    found = await caller.run(records.get_element_record, registration_id, element_id)
    return shown(element_record_document(found))


@router.post(
    "/elements/{element_id}",
    dependencies=[Depends(leave_grading_to_others)],
    **accomplishes(*UNKNOWN, *BODY, *CONFLICT),
)
async def report_progress(
    registration_id: PathId, element_id: PathId, caller: Learner, body: ProgressReport
) -> Response:
    """The learner works on an element, or has completed it, which may end the registration."""
    report = Report(
        completed=body.completed, response=body.response, grade=body.grade, passed=body.passed
    )
    await carry_out(
        caller,
        registration_id,
        Command.PROGRESS,
        element_id=element_id,
        report=report,
        source=body.source,
    )
    return done()


@router.put("/elements/{element_id}", **accomplishes(*UNKNOWN, *BODY, *CONFLICT))
async def grade_element(
    registration_id: PathId, element_id: PathId, caller: Instructor, body: ElementVerdict
) -> Response:
    """Grade an element by hand, or exempt the learner from it; this may end the registration."""
    verdict = _verdict(body)
    await carry_out(
        caller, registration_id, Command.GRADE_ELEMENT, element_id=element_id, verdict=verdict
    )
    return done()


@router.get("/explanation", **shows(ExplanationDocument, *UNKNOWN))
async def explain_registration(registration_id: PathId, caller: Learner) -> Response:
    """Why a registration has its grade and its result; while active, how it stands so far."""
    found = await caller.run(records.explain, registration_id)
    return shown(explanation_document(found))


def _verdict(body: ElementVerdict) -> Verdict:
    if body.grade is UNSET and body.exempt is UNSET:
        raise InvalidInputError(field_errors={"grade": "Is required, or else exempt."})
    if body.grade is not UNSET and body.exempt is not UNSET:
        raise InvalidInputError(field_errors={"exempt": "Must not be sent together with grade."})
    given = "comment" in body.model_fields_set
    return Verdict(
        grade=None if body.grade is UNSET else body.grade,
        exempt=None if body.exempt is UNSET else body.exempt,
        comment=(body.comment or "") if given else None,
    )
