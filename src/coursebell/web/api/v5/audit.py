"""The audit trail: who changed what, when, from what to what, and why."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from coursebell.domain.lists import AuditFilters
from coursebell.domain.model import ActorKind
from coursebell.services import trail
from coursebell.web.answers import listed, shown
from coursebell.web.auth import Admin
from coursebell.web.documents import AuditDocument, ListDocument, audit_document
from coursebell.web.fields import Choice, DateFilter, ListQuery, PathId, TextFilter
from coursebell.web.openapi import UNKNOWN, shows
from coursebell.web.routes import ApiRoute

router = APIRouter(prefix="/api/v5/audit", route_class=ApiRoute, tags=["audit"])


class AuditQuery(ListQuery):
    actor: Annotated[ActorKind | None, Choice(ActorKind)] = None
    user_id: TextFilter = None
    action: TextFilter = None
    subject: TextFilter = None
    subject_id: TextFilter = None
    created_date: DateFilter = None


@router.get("", **shows(ListDocument[AuditDocument]))
async def list_audit(
    request: Request, caller: Admin, query: Annotated[AuditQuery, Query()]
) -> Response:
    """Every change, newest first."""
    filters = AuditFilters(
        actor=query.actor,
        user_id=query.user_id,
        action=query.action,
        subject=query.subject,
        subject_id=query.subject_id,
        created=query.created_date,
    )
    found = await caller.run(trail.list_changes, filters, query.page)
    return listed(request, query.page, found, audit_document)


@router.get("/{entry_id}", **shows(AuditDocument, *UNKNOWN))
async def get_audit_entry(entry_id: PathId, caller: Admin) -> Response:
    return shown(audit_document(await caller.run(trail.get_change, entry_id)))
