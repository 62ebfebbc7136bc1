"""The elements of a course: what there is to look at, to do and to hand in."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from coursebell.domain.changes import UNSET, Unset
from coursebell.domain.elements import (
    MOST_ATTEMPTS,
    AttemptsPolicy,
    ElementStatus,
    ElementType,
)
from coursebell.domain.lists import ElementFilters
from coursebell.services import elements
from coursebell.services.elements import ElementChanges, NewElement
from coursebell.web.answers import created, done, listed, shown
from coursebell.web.auth import Admin, Instructor
from coursebell.web.documents import ElementDocument, ListDocument, element_document
from coursebell.web.fields import (
    GRADE,
    ORDER_INDEX,
    Amount,
    Body,
    Choice,
    Clearable,
    Line,
    ListQuery,
    Member,
    PathId,
    Prose,
    TextFilter,
    Truth,
    Whole,
)
from coursebell.web.openapi import BODY, UNKNOWN, accomplishes, creates, shows
from coursebell.web.routes import ApiRoute

router = APIRouter(
    prefix="/api/v5/courses/{course_id}/elements", route_class=ApiRoute, tags=["elements"]
)

_TYPE = Member(ElementType)
_TITLE = Line(255)
_QUESTION = Clearable(Prose(50_000))
_WEIGHT = Amount(0, 1_000_000)
_ATTEMPTS = Member(AttemptsPolicy)
_MAX_ATTEMPTS = Clearable(Whole(1, MOST_ATTEMPTS))
_MARK = Clearable(GRADE)
_STATUS = Member(ElementStatus)


class ElementQuery(ListQuery):
    type: Annotated[ElementType | None, Choice(ElementType)] = None
    status: Annotated[ElementStatus | None, Choice(ElementStatus)] = None
    title: TextFilter = None


class ElementCreation(Body):
    type: Annotated[ElementType, _TYPE]
    title: Annotated[str, _TITLE]
    question: Annotated[str | None, _QUESTION] = None
    weight: Annotated[Decimal, _WEIGHT] = Decimal(1)
    required: Annotated[bool, Truth()] = True
    attempts_policy: Annotated[AttemptsPolicy, _ATTEMPTS] = AttemptsPolicy.BEST
    max_attempts: Annotated[int | None, _MAX_ATTEMPTS] = None
    passing_grade: Annotated[Decimal | None, _MARK] = None
    status: Annotated[ElementStatus, _STATUS] = ElementStatus.DRAFT
    order_index: Annotated[int | None, Clearable(ORDER_INDEX)] = None


class ElementUpdate(Body):
    type: Annotated[ElementType | Unset, _TYPE] = UNSET
    title: Annotated[str | Unset, _TITLE] = UNSET
    question: Annotated[str | Unset | None, _QUESTION] = UNSET
    weight: Annotated[Decimal | Unset, _WEIGHT] = UNSET
    required: Annotated[bool | Unset, Truth()] = UNSET
    attempts_policy: Annotated[AttemptsPolicy | Unset, _ATTEMPTS] = UNSET
    max_attempts: Annotated[int | Unset | None, _MAX_ATTEMPTS] = UNSET
    passing_grade: Annotated[Decimal | Unset | None, _MARK] = UNSET
    status: Annotated[ElementStatus | Unset, _STATUS] = UNSET
    order_index: Annotated[int | Unset, ORDER_INDEX] = UNSET


@router.get("", **shows(ListDocument[ElementDocument], *UNKNOWN))
async def list_elements(
    request: Request,
    course_id: PathId,
    caller: Instructor,
    query: Annotated[ElementQuery, Query()],
) -> Response:
    """The elements of a course in their order, drafts too."""
    filters = ElementFilters(type=query.type, status=query.status, title=query.title)
    found = await caller.run(elements.list_elements, course_id, filters, query.page)
    return listed(request, query.page, found, element_document)


@router.get("/{element_id}", **shows(ElementDocument, *UNKNOWN))
async def get_element(course_id: PathId, element_id: PathId, caller: Instructor) -> Response:
    return shown(element_document(await caller.run(elements.get_element, course_id, element_id)))


@router.post("", **creates(*UNKNOWN, *BODY))
async def create_element(
    request: Request, course_id: PathId, caller: Admin, body: ElementCreation
) -> Response:
    """Put an element into a course; as a draft, unless `status` says `active`."""
    new = NewElement(**body.named())
    element = await caller.run(elements.create_element, course_id, new, caller.now)
    return created(request, f"courses/{course_id}/elements", element.id)


@router.put("/{element_id}", **accomplishes(*UNKNOWN, *BODY))
async def change_element(
    course_id: PathId, element_id: PathId, caller: Admin, body: ElementUpdate
) -> Response:
    """Change what is named. Results that stand keep the rules that decided them."""
    changes = ElementChanges(**body.named())
    await caller.run(elements.change_element, course_id, element_id, changes, caller.now)
    return done()


@router.delete("/{element_id}", **accomplishes(*UNKNOWN))
async def delete_element(course_id: PathId, element_id: PathId, caller: Admin) -> Response:
    """Delete an element; refused once somebody has worked on it."""
    await caller.run(elements.delete_element, course_id, element_id, caller.now)
    return done()
