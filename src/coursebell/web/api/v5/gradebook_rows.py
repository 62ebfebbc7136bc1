"""The gradebook of an offering: registrations by elements, a page at a time or all at once."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from coursebell.domain.lists import GradebookFilters
from coursebell.domain.model import Status
from coursebell.services import gradebook_rows
from coursebell.web.answers import JSON, listed
from coursebell.web.auth import Instructor
from coursebell.web.documents import ListDocument
from coursebell.web.fields import Choice, ListQuery, PathId, TextFilter
from coursebell.web.gradebook_export import as_csv, as_json
from coursebell.web.openapi import UNKNOWN, shows, shows_also
from coursebell.web.record_documents import (
    GradebookDocument,
    GradebookRowDocument,
    gradebook_row_document,
)
from coursebell.web.routes import ApiRoute

router = APIRouter(
    prefix="/api/v5/offerings/{offering_id}/gradebook", route_class=ApiRoute, tags=["gradebook"]
)

CSV = "text/csv"


class YesOrNo(StrEnum):
    """The two values of a filter that asks whether."""

    TRUE = "true"
    FALSE = "false"


class Format(StrEnum):
    """How a gradebook is written out."""

    CSV = "csv"
    JSON = "json"


class GradebookQuery(ListQuery):
    status: Annotated[Status | None, Choice(Status)] = None
    name: TextFilter = None
    awaiting: Annotated[YesOrNo | None, Choice(YesOrNo)] = None


class ExportQuery(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Annotated[Format | None, Choice(Format)] = None


@router.get("", **shows(ListDocument[GradebookRowDocument], *UNKNOWN))
async def list_gradebook(
    request: Request,
    offering_id: PathId,
    caller: Instructor,
    query: Annotated[GradebookQuery, Query()],
) -> Response:
    """Registrations with their elements, in the order in which they were made."""
    filters = GradebookFilters(
        status=query.status,
        name=query.name,
        awaiting=None if query.awaiting is None else query.awaiting is YesOrNo.TRUE,
    )
    found = await caller.run(gradebook_rows.list_rows, offering_id, filters, query.page)
    return listed(request, query.page, found, gradebook_row_document)


@router.get("/export", **shows_also(CSV, GradebookDocument, *UNKNOWN))
async def export_gradebook(
    offering_id: PathId, caller: Instructor, query: Annotated[ExportQuery, Query()]
) -> Response:
    """All of it at once, for spreadsheets (`csv`, unless given) or programs (`json`)."""
    found = await caller.run(gradebook_rows.open_gradebook, offering_id)
    if query.format is Format.JSON:
        return StreamingResponse(as_json(found), media_type=JSON)
    name = f'attachment; filename="gradebook-{offering_id}.csv"'
    return StreamingResponse(as_csv(found), media_type=CSV, headers={"content-disposition": name})
