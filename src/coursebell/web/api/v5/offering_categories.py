"""Offering categories: the shelves of the catalogue."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from coursebell.domain.changes import UNSET, Unset
from coursebell.domain.lists import CategoryFilters
from coursebell.services import courses
from coursebell.services.courses import CategoryChanges, NewCategory
from coursebell.web.answers import created, done, listed, shown
from coursebell.web.auth import Admin, Learner
from coursebell.web.documents import CategoryDocument, ListDocument, category_document
from coursebell.web.fields import (
    ORDER_INDEX,
    Body,
    Clearable,
    Color,
    DateFilter,
    Line,
    ListQuery,
    PathId,
    Prose,
    TextFilter,
)
from coursebell.web.openapi import BODY, UNKNOWN, accomplishes, creates, shows
from coursebell.web.routes import ApiRoute

COLLECTION = "offeringcategories"
router = APIRouter(prefix=f"/api/v5/{COLLECTION}", route_class=ApiRoute, tags=[COLLECTION])

_NAME = Line(255)
_DESCRIPTION = Clearable(Prose(10_000))
_COLOR = Clearable(Color())


class CategoryQuery(ListQuery):
    created_date: DateFilter = None
    name: TextFilter = None


class CategoryCreation(Body):
    name: Annotated[str, _NAME]
    description: Annotated[str | None, _DESCRIPTION] = None
    color: Annotated[str | None, _COLOR] = None
    order_index: Annotated[int, ORDER_INDEX] = 0


class CategoryUpdate(Body):
    name: Annotated[str | Unset, _NAME] = UNSET
    description: Annotated[str | Unset | None, _DESCRIPTION] = UNSET
    color: Annotated[str | Unset | None, _COLOR] = UNSET
    order_index: Annotated[int | Unset, ORDER_INDEX] = UNSET


@router.get("", **shows(ListDocument[CategoryDocument]))
async def list_offering_categories(
    request: Request, caller: Learner, query: Annotated[CategoryQuery, Query()]
) -> Response:
    filters = CategoryFilters(created=query.created_date, name=query.name)
    found = await caller.run(courses.list_categories, filters, query.page)
    return listed(request, query.page, found, category_document)


@router.get("/{category_id}", **shows(CategoryDocument, *UNKNOWN))
async def get_offering_category(category_id: PathId, caller: Learner) -> Response:
    return shown(category_document(await caller.run(courses.get_category, category_id)))


@router.post("", **creates(*BODY))
async def create_offering_category(
    request: Request, caller: Admin, body: CategoryCreation
) -> Response:
    new = NewCategory(**body.named())
    category = await caller.run(courses.create_category, new, caller.now)
    return created(request, COLLECTION, category.id)


@router.put("/{category_id}", **accomplishes(*UNKNOWN, *BODY))
async def change_offering_category(
    category_id: PathId, caller: Admin, body: CategoryUpdate
) -> Response:
    changes = CategoryChanges(**body.named())
    await caller.run(courses.change_category, category_id, changes, caller.now)
    return done()


@router.delete("/{category_id}", **accomplishes(*UNKNOWN))
async def delete_offering_category(category_id: PathId, caller: Admin) -> Response:
    """Delete a category and take it off every offering."""
    await caller.run(courses.delete_category, category_id, caller.now)
    return done()
