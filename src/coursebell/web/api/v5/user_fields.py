"""User fields: what the organization asks of its users besides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from coursebell.domain.changes import UNSET, Unset
from coursebell.domain.lists import UserFieldFilters
from coursebell.domain.user_fields import CategoryType, FieldType, Option
from coursebell.services import user_fields
from coursebell.services.user_fields import NewUserField, UserFieldChanges
from coursebell.web.answers import created, done, listed, shown
from coursebell.web.auth import Admin, Learner
from coursebell.web.documents import ListDocument
from coursebell.web.fields import (
    ORDER_INDEX,
    Anything,
    Body,
    Choice,
    Clearable,
    DateFilter,
    Items,
    Line,
    ListQuery,
    Member,
    Pairs,
    Part,
    PathId,
    Prose,
    Rule,
    TextFilter,
    Truth,
)
from coursebell.web.openapi import BODY, UNKNOWN, accomplishes, creates, shows
from coursebell.web.profile_documents import UserFieldDocument, user_field_document
from coursebell.web.routes import ApiRoute

COLLECTION = "userfields"
router = APIRouter(prefix=f"/api/v5/{COLLECTION}", route_class=ApiRoute, tags=[COLLECTION])


@dataclass(frozen=True)
class TypeName(Rule):
    """A type of field; the vendor's pages call `radiobuttons` also `radios`."""

    def accept(self, value: object) -> object:
        return Member(FieldType).accept("radiobuttons" if value == "radios" else value)

    def schema(self) -> dict[str, object]:
        return {"type": "string", "enum": [*FieldType, "radios"]}


class OptionBody(Body):
    name: Annotated[str, Line(255)]
    selected: Annotated[bool, Truth()] = False


_NAME = Line(255)
_CATEGORY = Line(255)
_CATEGORY_TYPE = Member(CategoryType)
_OPTIONS = Items(Part(OptionBody), max_length=200)
_CONSTRAINTS = Pairs(Anything(), max_length=10)
_MESSAGE = Prose(10_000)


class UserFieldQuery(ListQuery):
    created_date: DateFilter = None
    name: TextFilter = None
    type: Annotated[FieldType | None, Choice(FieldType)] = None
    category_name: TextFilter = None
    category_type: Annotated[CategoryType | None, Choice(CategoryType)] = None


class UserFieldCreation(Body):
    type: Annotated[FieldType, TypeName()]
    category_name: Annotated[str, _CATEGORY]
    name: Annotated[str | None, Clearable(_NAME)] = None
    category_type: Annotated[CategoryType | None, Clearable(_CATEGORY_TYPE)] = None
    order_index: Annotated[int | None, Clearable(ORDER_INDEX)] = None
    required: Annotated[bool, Truth()] = False
    options: Annotated[tuple[OptionBody, ...], _OPTIONS] = ()
    constraints: Annotated[Mapping[str, object], _CONSTRAINTS] = {}
    message: Annotated[str | None, Clearable(_MESSAGE)] = None


class UserFieldUpdate(Body):
    type: Annotated[FieldType | Unset, TypeName()] = UNSET
    category_name: Annotated[str | Unset, _CATEGORY] = UNSET
    name: Annotated[str | Unset, _NAME] = UNSET
    category_type: Annotated[CategoryType | Unset, _CATEGORY_TYPE] = UNSET
    order_index: Annotated[int | Unset, ORDER_INDEX] = UNSET
    required: Annotated[bool | Unset, Truth()] = UNSET
    options: Annotated[tuple[OptionBody, ...] | Unset, _OPTIONS] = UNSET
    constraints: Annotated[Mapping[str, object] | Unset, _CONSTRAINTS] = UNSET
    message: Annotated[str | Unset, _MESSAGE] = UNSET


@router.get("", **shows(ListDocument[UserFieldDocument]))
async def list_user_fields(
    request: Request, caller: Learner, query: Annotated[UserFieldQuery, Query()]
) -> Response:
    """User fields, in the order in which they were made; learners see the public ones."""
    filters = UserFieldFilters(
        created=query.created_date,
        name=query.name,
        type=query.type,
        category_name=query.category_name,
        category_type=query.category_type,
    )
    found = await caller.run(user_fields.list_fields, filters, query.page)
    return listed(request, query.page, found, user_field_document)


@router.get("/{field_id}", **shows(UserFieldDocument, *UNKNOWN))
async def get_user_field(field_id: PathId, caller: Learner) -> Response:
    """One user field; learners see public ones only."""
    return shown(user_field_document(await caller.run(user_fields.get_field, field_id)))


@router.post("", **creates(*BODY))
async def create_user_field(request: Request, caller: Admin, body: UserFieldCreation) -> Response:
    """Make a field. A category that no field is in yet is made with it."""
    new = NewUserField(**_in_the_domains_words(body))
    field = await caller.run(user_fields.create_field, new, caller.now)
    return created(request, COLLECTION, field.id)


@router.put("/{field_id}", **accomplishes(*UNKNOWN, *BODY))
async def change_user_field(field_id: PathId, caller: Admin, body: UserFieldUpdate) -> Response:
    """Change what is named; `options` and `constraints` replace what stood there."""
    changes = UserFieldChanges(**_in_the_domains_words(body))
    await caller.run(user_fields.change_field, field_id, changes, caller.now)
    return done()


@router.delete("/{field_id}", **accomplishes(*UNKNOWN))
async def delete_user_field(field_id: PathId, caller: Admin) -> Response:
    """Delete a field with every value that users have in it."""
    await caller.run(user_fields.delete_field, field_id, caller.now)
    return done()


def _in_the_domains_words(body: UserFieldCreation | UserFieldUpdate) -> dict[str, Any]:
    values = body.named()
    if "options" in values:
        given = values["options"]
        values["options"] = tuple(Option(name=each.name, selected=each.selected) for each in given)
    return values
