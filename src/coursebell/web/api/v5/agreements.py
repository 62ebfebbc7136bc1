"""Agreements: the texts that the organization has its users agree to."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from coursebell.domain.agreements import AgreementType
from coursebell.domain.changes import UNSET, Unset
from coursebell.services import agreements
from coursebell.services.agreements import AgreementChanges
from coursebell.web.answers import done, listed, shown
from coursebell.web.auth import Admin, Learner
from coursebell.web.documents import ListDocument
from coursebell.web.fields import Body, Line, ListQuery, Member, Prose, Truth
from coursebell.web.openapi import BODY, UNKNOWN, accomplishes, shows
from coursebell.web.profile_documents import AgreementDocument, agreement_document
from coursebell.web.routes import ApiRoute

router = APIRouter(prefix="/api/v5/agreements", route_class=ApiRoute, tags=["agreements"])

AgreementPath: TypeAlias = Annotated[AgreementType, Member(AgreementType)]


class AgreementUpdate(Body):
    title: Annotated[str | Unset, Line(255)] = UNSET
    text: Annotated[str | Unset, Prose(100_000)] = UNSET
    required: Annotated[bool | Unset, Truth()] = UNSET


@router.get("", **shows(ListDocument[AgreementDocument]))
async def list_agreements(
    request: Request, caller: Learner, query: Annotated[ListQuery, Query()]
) -> Response:
    """The agreements that there are, in the order in which they were made."""
    found = await caller.run(agreements.list_agreements, query.page)
    return listed(request, query.page, found, agreement_document)


@router.get("/{agreement_type}", **shows(AgreementDocument, *UNKNOWN))
async def get_agreement(agreement_type: AgreementPath, caller: Learner) -> Response:
    return shown(agreement_document(await caller.run(agreements.get_agreement, agreement_type)))


@router.put("/{agreement_type}", **accomplishes(*UNKNOWN, *BODY))
async def write_agreement(
    agreement_type: AgreementPath, caller: Admin, body: AgreementUpdate
) -> Response:
    """Make the agreement, or change what is named. Who agreed to another wording has agreed."""
    changes = AgreementChanges(**body.named())
    await caller.run(agreements.write_agreement, agreement_type, changes, caller.now)
    return done()
