"""Offerings: courses as they are offered, with their windows and their place in the catalogue."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Query
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from coursebell.domain.changes import UNSET, Unset
from coursebell.domain.lists import OfferingFilters
from coursebell.domain.model import MoveOn
from coursebell.domain.people import split_tags
from coursebell.errors import InvalidInputError
from coursebell.services import offerings
from coursebell.services.offerings import NewOffering, OfferingChanges
from coursebell.web.answers import created, done, listed, shown
from coursebell.web.auth import Admin, Caller, Learner
from coursebell.web.documents import ListDocument, OfferingDocument, offering_document
from coursebell.web.fields import (
    GRADE,
    ORDER_INDEX,
    REFERENCE,
    WRITTEN,
    Amount,
    Body,
    Clearable,
    DateFilter,
    Items,
    Line,
    ListQuery,
    Member,
    PathId,
    Prose,
    TextFilter,
    Truth,
    instant_of,
)
from coursebell.web.openapi import BODY, UNKNOWN, accomplishes, creates, shows
from coursebell.web.routes import ApiRoute

router = APIRouter(prefix="/api/v5/offerings", route_class=ApiRoute, tags=["offerings"])

_TITLE = Line(255)
_DATE = Clearable(WRITTEN)
_DESCRIPTION = Clearable(Prose(50_000))
_PRICE = Clearable(Amount(0, 1_000_000_000))
_CATEGORIES = Items(REFERENCE, max_length=100)
_TAGS = Items(Line(100), max_length=100)
_GRADE = Clearable(GRADE)
_MOVE_ON = Clearable(Member(MoveOn))
_EVERY = Clearable(Truth())

# Where the API's words for a field are not the domain's. True: the field is an end.
_INSTANTS: Mapping[str, tuple[str, str, bool]] = {
    "begin_date": ("begin_at", "beginDate", False),
    "end_date": ("end_at", "endDate", True),
    "registration_begin_date": ("registration_begin_at", "registrationBeginDate", False),
    "registration_end_date": ("registration_end_at", "registrationEndDate", True),
}


class OfferingQuery(ListQuery):
    created_date: DateFilter = None
    title: TextFilter = None
    offering_category_id: TextFilter = None
    category_id: TextFilter = Field(None, description="The same as `offeringCategoryId`.")
    tag: list[TextFilter] = Field(
        default_factory=list, description="Repeated, or split on space or comma: all must match."
    )
    student_id: TextFilter = Field(
        None, description="Offerings that this user could register for now."
    )
    user_id: TextFilter = Field(None, description="The same as `studentId`.")


class OfferingCreation(Body):
    course_id: Annotated[str, REFERENCE]
    title: Annotated[str, _TITLE]
    begin_date: Annotated[str | None, _DATE] = None
    end_date: Annotated[str | None, _DATE] = None
    registration_begin_date: Annotated[str | None, _DATE] = None
    registration_end_date: Annotated[str | None, _DATE] = None
    catalog_description: Annotated[str | None, _DESCRIPTION] = None
    dashboard_description: Annotated[str | None, _DESCRIPTION] = None
    delivery_description: Annotated[str | None, _DESCRIPTION] = None
    price: Annotated[Decimal | None, _PRICE] = None
    offering_category_ids: Annotated[tuple[str, ...], _CATEGORIES] = ()
    tags: Annotated[tuple[str, ...], _TAGS] = ()
    order_index: Annotated[int, ORDER_INDEX] = 0
    passing_grade: Annotated[Decimal | None, _GRADE] = None
    move_on: Annotated[MoveOn | None, _MOVE_ON] = None
    require_every_element_passed: Annotated[bool | None, _EVERY] = None
    retakes: Annotated[bool, Truth()] = False


class OfferingUpdate(Body):
    course_id: Annotated[str | Unset, REFERENCE] = UNSET
    title: Annotated[str | Unset, _TITLE] = UNSET
    begin_date: Annotated[str | Unset | None, _DATE] = UNSET
    end_date: Annotated[str | Unset | None, _DATE] = UNSET
    registration_begin_date: Annotated[str | Unset | None, _DATE] = UNSET
    registration_end_date: Annotated[str | Unset | None, _DATE] = UNSET
    catalog_description: Annotated[str | Unset | None, _DESCRIPTION] = UNSET
    dashboard_description: Annotated[str | Unset | None, _DESCRIPTION] = UNSET
    delivery_description: Annotated[str | Unset | None, _DESCRIPTION] = UNSET
    price: Annotated[Decimal | Unset | None, _PRICE] = UNSET
    offering_category_ids: Annotated[tuple[str, ...] | Unset, _CATEGORIES] = UNSET
    tags: Annotated[tuple[str, ...] | Unset, _TAGS] = UNSET
    order_index: Annotated[int | Unset, ORDER_INDEX] = UNSET
    passing_grade: Annotated[Decimal | Unset | None, _GRADE] = UNSET
    move_on: Annotated[MoveOn | Unset | None, _MOVE_ON] = UNSET
    require_every_element_passed: Annotated[bool | Unset | None, _EVERY] = UNSET
    retakes: Annotated[bool | Unset, Truth()] = UNSET


@router.get("", **shows(ListDocument[OfferingDocument]))
async def list_offerings(
    request: Request, caller: Learner, query: Annotated[OfferingQuery, Query()]
) -> Response:
    """Offerings, in the order in which they were created."""
    filters = OfferingFilters(
        created=query.created_date,
        title=query.title,
        category_id=_either(query.offering_category_id, query.category_id, "categoryId"),
        tags=split_tags(tag for tag in query.tag if tag),
        available_to=_either(query.student_id, query.user_id, "userId"),
    )
    found = await caller.run(offerings.list_offerings, filters, query.page, caller.now)
    return listed(request, query.page, found, offering_document)


@router.get("/{offering_id}", **shows(OfferingDocument, *UNKNOWN))
async def get_offering(offering_id: PathId, caller: Learner) -> Response:
    return shown(offering_document(await caller.run(offerings.get_offering, offering_id)))


@router.post("", **creates(*BODY))
async def create_offering(request: Request, caller: Admin, body: OfferingCreation) -> Response:
    new = NewOffering(**await _in_the_domains_words(caller, body))
    offering = await caller.run(offerings.create_offering, new, caller.now)
    return created(request, "offerings", offering.id)


@router.put("/{offering_id}", **accomplishes(*UNKNOWN, *BODY))
async def change_offering(offering_id: PathId, caller: Admin, body: OfferingUpdate) -> Response:
    """Change what is named. Results that stand keep the rules that decided them."""
    changes = OfferingChanges(**await _in_the_domains_words(caller, body))
    await caller.run(offerings.change_offering, offering_id, changes, caller.now)
    return done()


@router.delete("/{offering_id}", **accomplishes(*UNKNOWN))
async def delete_offering(offering_id: PathId, caller: Admin) -> Response:
    """Delete an offering; refused while it has a registration."""
    await caller.run(offerings.delete_offering, offering_id, caller.now)
    return done()


def _either(value: str | None, alias: str | None, name: str) -> str | None:
    """A filter that has two names; two different values for it are one too many."""
    if value is not None and alias is not None and value != alias:
        raise InvalidInputError(field_errors={name: "Another value is given by its other name."})
    return value if alias is None else alias


async def _in_the_domains_words(
    caller: Caller, body: OfferingCreation | OfferingUpdate
) -> dict[str, Any]:
    values = body.named()
    if "offering_category_ids" in values:
        values["category_ids"] = values.pop("offering_category_ids")
    if values.keys() & _INSTANTS.keys():
        _resolve_instants(values, await caller.zone())
    return values


def _resolve_instants(values: dict[str, Any], zone: ZoneInfo) -> None:
    for name in values.keys() & _INSTANTS.keys():
        inner, shown_as, is_end = _INSTANTS[name]
        values[inner] = instant_of(values.pop(name), zone, shown_as, end=is_end)
