"""User agreements: what a user agreed to, and what is still to be agreed to."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from coursebell.services import agreements
from coursebell.web.answers import done, listed, shown
from coursebell.web.api.v5.agreements import AgreementPath
from coursebell.web.auth import Learner
from coursebell.web.documents import ListDocument
from coursebell.web.fields import Body, ListQuery, PathId, Truth
from coursebell.web.openapi import BODY, UNKNOWN, accomplishes, shows
from coursebell.web.profile_documents import UserAgreementDocument, user_agreement_document
from coursebell.web.routes import ApiRoute

router = APIRouter(
    prefix="/api/v5/users/{user_id}/agreements", route_class=ApiRoute, tags=["useragreements"]
)


class Agreeing(Body):
    agreed: Annotated[bool, Truth()]


@router.get("", **shows(ListDocument[UserAgreementDocument], *UNKNOWN))
async def list_user_agreements(
    user_id: PathId, request: Request, caller: Learner, query: Annotated[ListQuery, Query()]
) -> Response:
    """The agreements that are on; learners see their own."""
    found = await caller.run(agreements.list_user_agreements, user_id, query.page)
    return listed(request, query.page, found, user_agreement_document)


@router.get("/{agreement_type}", **shows(UserAgreementDocument, *UNKNOWN))
async def get_user_agreement(
    user_id: PathId, agreement_type: AgreementPath, caller: Learner
) -> Response:
    """One agreement, which is unknown while it is off."""
    found = await caller.run(agreements.get_user_agreement, user_id, agreement_type)
    return shown(user_agreement_document(found))


@router.put("/{agreement_type}", **accomplishes(*UNKNOWN, *BODY))
async def agree(
    user_id: PathId, agreement_type: AgreementPath, caller: Learner, body: Agreeing
) -> Response:
    """Agree to the newest wording, or take that back; administrators for anybody."""
    await caller.run(agreements.agree, user_id, agreement_type, caller.now, agreed=body.agreed)
    return done()
