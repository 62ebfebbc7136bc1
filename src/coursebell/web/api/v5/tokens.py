"""Tokens: API credentials, each with the permissions of one user."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from coursebell.services import accounts
from coursebell.web.answers import created_with_secret, done, listed, shown
from coursebell.web.auth import Admin
from coursebell.web.documents import (
    ListDocument,
    SecretDocument,
    TokenDocument,
    token_document,
)
from coursebell.web.fields import REFERENCE, Body, Line, ListQuery, PathId, TextFilter
from coursebell.web.openapi import BODY, UNKNOWN, accomplishes, creates_shown, shows
from coursebell.web.routes import ApiRoute

router = APIRouter(prefix="/api/v5/tokens", route_class=ApiRoute, tags=["tokens"])


class TokenQuery(ListQuery):
    user_id: TextFilter = None


class TokenCreation(Body):
    user_id: Annotated[str, REFERENCE]
    name: Annotated[str, Line(100)]


@router.get("", **shows(ListDocument[TokenDocument]))
async def list_tokens(
    request: Request, caller: Admin, query: Annotated[TokenQuery, Query()]
) -> Response:
    found = await caller.run(accounts.list_tokens, query.user_id, query.page)
    return listed(request, query.page, found, token_document)


@router.get("/{token_id}", **shows(TokenDocument, *UNKNOWN))
async def get_token(token_id: PathId, caller: Admin) -> Response:
    return shown(token_document(await caller.run(accounts.get_token, token_id)))


@router.post("", **creates_shown(SecretDocument, *BODY))
async def create_token(request: Request, caller: Admin, body: TokenCreation) -> Response:
    """Make a token for a user. The answer is the only place where it can be read."""
    new = await caller.run(accounts.create_token, body.user_id, body.name, caller.now)
    document = SecretDocument(id=new.token.id, secret=new.secret)
    return created_with_secret(request, "tokens", new.token.id, document)


@router.delete("/{token_id}", **accomplishes(*UNKNOWN))
async def revoke_token(token_id: PathId, caller: Admin) -> Response:
    """From now on nobody gets in with it."""
    await caller.run(accounts.revoke_token, token_id, caller.now)
    return done()
