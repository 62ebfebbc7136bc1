"""API tokens: credentials of users, stored as digests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, delete, insert, select, update

from coursebell.domain.lists import Page, Slice
from coursebell.domain.model import Role, Token
from coursebell.storage.database import Transaction
from coursebell.storage.lists import slice_of
from coursebell.storage.prepared import Prepared, among
from coursebell.storage.tables import tokens, users


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """A token with what its user may do."""

    token_id: str
    organization_id: str
    user_id: str
    role: Role
    last_used_at: datetime | None


def insert_token(tx: Transaction, organization_id: str, token: Token, digest: str) -> None:
    tx.execute(
        insert(tokens).values(
            id=token.id,
            organization_id=organization_id,
            user_id=token.user_id,
            name=token.name,
            digest=digest,
            created_at=token.created_at,
        )
    )


def find_credentials(tx: Transaction, digests: set[str]) -> Mapping[str, Credential]:
    """By digest. The one query that names no organization: the token is what says which."""
    return {
        row.digest: Credential(
            token_id=row.id,
            organization_id=row.organization_id,
            user_id=row.user_id,
            role=Role(row.role),
            last_used_at=row.last_used_at,
        )
        for row in _CREDENTIALS.rows(tx, digests=digests)
    }


_CREDENTIALS = Prepared(
    select(
        tokens.c.digest,
        tokens.c.id,
        tokens.c.organization_id,
        tokens.c.user_id,
        tokens.c.last_used_at,
        users.c.role,
    )
    .join(users, users.c.id == tokens.c.user_id)
    .where(among(tokens.c.digest, "digests"), users.c.deleted_at.is_(None))
)


def record_use(tx: Transaction, token_ids: set[str], now: datetime) -> None:
    """That they were used now. Nobody waits: one that somebody else writes about is left to them.

    Two who waited for each other's tokens would be a deadlock.
    """
    free = select(tokens.c.id).where(tokens.c.id.in_(token_ids)).with_for_update(skip_locked=True)
    tx.execute(update(tokens).where(tokens.c.id.in_(free)).values(last_used_at=now))


def find_token(tx: Transaction, organization_id: str, token_id: str) -> Token | None:
    query = select(tokens).where(
        tokens.c.organization_id == organization_id, tokens.c.id == token_id
    )
    row = tx.execute(query).one_or_none()
    return None if row is None else read_token(row)


def list_tokens(
    tx: Transaction, organization_id: str, user_id: str | None, page: Page
) -> Slice[Token]:
    query = select(tokens).where(tokens.c.organization_id == organization_id)
    if user_id:
        query = query.where(tokens.c.user_id == user_id)
    return slice_of(tx, query.order_by(tokens.c.key), page, read_token)


def delete_token(tx: Transaction, organization_id: str, token_id: str) -> None:
    tx.execute(
        delete(tokens).where(tokens.c.organization_id == organization_id, tokens.c.id == token_id)
    )


def delete_tokens_of(tx: Transaction, organization_id: str, user_id: str) -> Sequence[str]:
    """Revoke all of a user's tokens; their ids."""
    statement = (
        delete(tokens)
        .where(tokens.c.organization_id == organization_id, tokens.c.user_id == user_id)
        .returning(tokens.c.id)
    )
    return tx.execute(statement).scalars().all()


def read_token(row: Row[Any]) -> Token:
    return Token(
        id=row.id,
        user_id=row.user_id,
        name=row.name,
        created_at=row.created_at,
        last_used_at=row.last_used_at,
    )
