"""Tokens: making, checking and revoking them."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from coursebell.domain.lists import Page, Slice
from coursebell.domain.model import Actor, ActorKind, Role, Token, new_id
from coursebell.errors import InvalidInputError, NotFoundError, UnauthenticatedError
from coursebell.services import trail
from coursebell.services.registrar import Registrar
from coursebell.storage import accounts, audit, people
from coursebell.storage.accounts import Credential
from coursebell.storage.database import Transaction

_PREFIX = "cb_"
_REMEMBER_USE = timedelta(minutes=1)  # how exact lastUsedDate is; spares a write per request


@dataclass(frozen=True, slots=True, kw_only=True)
class NewToken:
    """A token just made: the only time its secret is known."""

    token: Token
    secret: str


def authenticate(
    registrar: Registrar, presented: Sequence[str], now: datetime
) -> list[Actor | UnauthenticatedError]:
    """Who holds these tokens: an actor for each, or the error of one that nobody holds."""
    digests = [_digest(secret) for secret in presented]
    with registrar.database.snapshot() as tx:
        credentials = accounts.find_credentials(tx, set(digests))
    used = {
        each.token_id
        for each in credentials.values()
        if each.last_used_at is None or now - each.last_used_at >= _REMEMBER_USE
    }
    if used:
        with registrar.database.transaction() as tx:
            accounts.record_use(tx, used, now)
    actors = {digest: _holder(credential) for digest, credential in credentials.items()}
    return [actors.get(digest) or UnauthenticatedError() for digest in digests]


def _holder(credential: Credential) -> Actor:
    return Actor(
        organization_id=credential.organization_id,
        role=credential.role,
        kind=ActorKind(credential.role),
        user_id=credential.user_id,
        token_id=credential.token_id,
    )


def create_token(
    registrar: Registrar, actor: Actor, user_id: str, name: str, now: datetime
) -> NewToken:
    """A token for a user, with that user's permissions."""
    actor.require(Role.ADMIN)
    with registrar.database.transaction() as tx:
        if people.find_user(tx, actor.organization_id, user_id) is None:
            raise InvalidInputError(field_errors={"userId": "No user exists with this id."})
        return issue_token(tx, actor, user_id, name, now)


def issue_token(tx: Transaction, actor: Actor, user_id: str, name: str, now: datetime) -> NewToken:
    """Make a token inside another use case's transaction."""
    secret = _PREFIX + secrets.token_urlsafe(32)
    token = Token(id=new_id(), user_id=user_id, name=name, created_at=now, last_used_at=None)
    accounts.insert_token(tx, actor.organization_id, token, _digest(secret))
    audit.insert_changes(tx, [trail.change(actor, "token.create", None, token)], now)
    return NewToken(token=token, secret=secret)


def get_token(registrar: Registrar, actor: Actor, token_id: str) -> Token:
    actor.require(Role.ADMIN)
    with registrar.database.snapshot() as tx:
        token = accounts.find_token(tx, actor.organization_id, token_id)
    if token is None:
        raise NotFoundError
    return token


def list_tokens(
    registrar: Registrar, actor: Actor, user_id: str | None, page: Page
) -> Slice[Token]:
    actor.require(Role.ADMIN)
    with registrar.database.snapshot() as tx:
        return accounts.list_tokens(tx, actor.organization_id, user_id, page)


def revoke_token(registrar: Registrar, actor: Actor, token_id: str, now: datetime) -> None:
    """From now on nobody gets in with it. Raises `NotFoundError`."""
    actor.require(Role.ADMIN)
    with registrar.database.transaction() as tx:
        token = accounts.find_token(tx, actor.organization_id, token_id)
        if token is None:
            raise NotFoundError
        accounts.delete_token(tx, actor.organization_id, token_id)
        audit.insert_changes(tx, [trail.change(actor, "token.revoke", token, None)], now)


def _digest(secret: str) -> str:
    """Tokens have 256 random bits: a plain hash of one cannot be searched back."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
