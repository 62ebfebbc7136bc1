"""Organizations and their users."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, and_, bindparam, func, insert, select, text, union, update

from coursebell.domain.lists import Page, Slice, UserFilters
from coursebell.domain.model import Organization, Role, SignIn, User
from coursebell.storage.columns import belongs_to, is_exactly
from coursebell.storage.database import Transaction
from coursebell.storage.lists import equals, has_text, in_range, slice_of
from coursebell.storage.prepared import Prepared, among
from coursebell.storage.tables import event_counters, organizations, users

USER_COLUMNS = (
    users.c.id,
    users.c.first_name,
    users.c.last_name,
    users.c.username,
    users.c.email,
    users.c.locale,
    users.c.tags,
    users.c.role,
    users.c.created_at,
    users.c.last_login_at,
)


def read_user(row: Row[Any]) -> User:
    return User(
        id=row.id,
        first_name=row.first_name,
        last_name=row.last_name,
        username=row.username,
        email=row.email,
        locale=row.locale,
        tags=row.tags,
        role=Role(row.role),
        created_at=row.created_at,
        last_login_at=row.last_login_at,
    )


def insert_organization(tx: Transaction, organization: Organization) -> None:
    tx.execute(
        insert(organizations).values(
            id=organization.id,
            name=organization.name,
            zone=organization.zone,
            locale=organization.locale,
            sign_in=organization.sign_in,
            created_at=organization.created_at,
        )
    )
    tx.execute(insert(event_counters).values(organization_id=organization.id, last=0))


def lock_organizations(tx: Transaction) -> None:
    """Nobody else makes an organization before this transaction ends."""
    if tx.is_postgres:  # SQLite has one writer at a time
        tx.execute(text("LOCK TABLE organizations IN SHARE ROW EXCLUSIVE MODE"))


def get_organization(tx: Transaction, organization_id: str) -> Organization:
    """The organization of an actor, which is known to exist."""
    query = select(organizations).where(organizations.c.id == organization_id)
    return _organization(tx.execute(query).one())


def list_organizations(tx: Transaction) -> list[Organization]:
    """All of them, oldest first: for the operator's command line only."""
    return [
        _organization(row)
        for row in tx.execute(select(organizations).order_by(organizations.c.key))
    ]


def _organization(row: Row[Any]) -> Organization:
    return Organization(
        id=row.id,
        name=row.name,
        zone=row.zone,
        locale=row.locale,
        sign_in=SignIn(row.sign_in),
        created_at=row.created_at,
    )


def insert_users(
    tx: Transaction, organization_id: str, new: Sequence[tuple[User, str | None]]
) -> None:
    """Users with their password hashes. Raises `RaceError` when a name was taken meanwhile."""
    rows = [
        {
            "id": user.id,
            "organization_id": organization_id,
            "password_hash": password_hash,
            "created_at": user.created_at,
            **_changeable(user),
        }
        for user, password_hash in new
    ]
    if rows:
        tx.execute(insert(users), rows)


def update_user(
    tx: Transaction, organization_id: str, user: User, password_hash: str | None
) -> None:
    """Write what may change; a `password_hash` of None leaves the stored one."""
    values = _changeable(user)
    if password_hash is not None:
        values["password_hash"] = password_hash
    tx.execute(update(users).where(_is(organization_id, user.id)).values(values))


def update_users(tx: Transaction, organization_id: str, changed: Sequence[User]) -> None:
    """Write what may change of them all. Raises `RaceError` when a name was taken meanwhile."""
    rows = [{"row_id": user.id, **_changeable(user)} for user in changed]
    if rows:
        statement = update(users).where(
            users.c.organization_id == organization_id, users.c.id == bindparam("row_id")
        )
        names = rows[0].keys() - {"row_id"}
        tx.execute(statement.values({name: bindparam(name) for name in names}), rows)


def _changeable(user: User) -> dict[str, Any]:
    return {
        "first_name": user.first_name,
        "last_name": user.last_name,
        "username": user.username,
        "username_folded": fold(user.username),
        "email": user.email,
        "email_folded": fold(user.email),
        "locale": user.locale,
        "tags": user.tags,
        "role": user.role,
    }


def mark_user_deleted(tx: Transaction, organization_id: str, user_id: str, now: datetime) -> None:
    tx.execute(update(users).where(_is(organization_id, user_id)).values(deleted_at=now))


def write_pseudonym(tx: Transaction, organization_id: str, pseudonym: User, now: datetime) -> None:
    """Put the pseudonym in the person's place, for good."""
    values = {
        **_changeable(pseudonym),
        "password_hash": None,
        "last_login_at": pseudonym.last_login_at,
        "erased_at": now,
    }
    tx.execute(update(users).where(_is(organization_id, pseudonym.id)).values(values))


def find_user(
    tx: Transaction, organization_id: str, user_id: str, *, for_update: bool = False
) -> User | None:
    query = select(*USER_COLUMNS).where(_is(organization_id, user_id), users.c.deleted_at.is_(None))
    row = tx.execute(query.with_for_update() if for_update else query).one_or_none()
    return None if row is None else read_user(row)


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A user whom history may point at still: living, deleted or erased."""

    user: User
    deleted_at: datetime | None
    erased_at: datetime | None


def find_person(
    tx: Transaction, organization_id: str, user_id: str, *, for_update: bool = False
) -> Person | None:
    query = select(*USER_COLUMNS, users.c.deleted_at, users.c.erased_at).where(
        _is(organization_id, user_id)
    )
    row = tx.execute(query.with_for_update() if for_update else query).one_or_none()
    if row is None:
        return None
    return Person(user=read_user(row), deleted_at=row.deleted_at, erased_at=row.erased_at)


def find_user_by_email(tx: Transaction, organization_id: str, email: str) -> User | None:
    query = select(*USER_COLUMNS).where(
        users.c.organization_id == organization_id,
        users.c.email_folded == fold(email),
        users.c.deleted_at.is_(None),
    )
    row = tx.execute(query).one_or_none()
    return None if row is None else read_user(row)


def list_users_by_id(
    tx: Transaction, organization_id: str, user_ids: set[str]
) -> Mapping[str, User]:
    """Those that exist, deleted ones too: history points at them."""
    rows = _BY_ID.rows(tx, organization_id=organization_id, ids=user_ids)
    return {row.id: read_user(row) for row in rows}


_BY_ID = Prepared(
    select(*USER_COLUMNS).where(
        belongs_to(users.c.organization_id, bindparam("organization_id")), among(users.c.id, "ids")
    )
)


def lock_living_users(
    tx: Transaction, organization_id: str, user_ids: set[str]
) -> Mapping[str, User]:
    """Those that exist and are not deleted, nor can be before this transaction ends."""
    query = (
        select(*USER_COLUMNS)
        .where(
            belongs_to(users.c.organization_id, organization_id),
            users.c.id.in_(user_ids),
            users.c.deleted_at.is_(None),
        )
        .order_by(users.c.key)
        .with_for_update(read=True)
    )
    return {row.id: read_user(row) for row in tx.execute(query)}


@dataclass(frozen=True, slots=True)
class Names:
    """The e-mail address and the username of a living user, folded as they are compared."""

    user_id: str
    email: str
    username: str


def list_names(tx: Transaction, organization_id: str, wanted: set[str]) -> list[Names]:
    """Of the living users whose e-mail address or username is among `wanted`, folded."""
    # a statement for each, because SQLite would search by neither
    by_email, by_username = (
        select(users.c.id, users.c.email_folded, users.c.username_folded).where(
            users.c.organization_id == organization_id,
            users.c.deleted_at.is_(None),
            column.in_(wanted),
        )
        for column in (users.c.email_folded, users.c.username_folded)
    )
    rows = tx.execute(union(by_email, by_username))
    return [Names(row.id, row.email_folded, row.username_folded) for row in rows]


def fold(name: str) -> str:
    """How e-mail addresses and usernames are compared."""
    return name.casefold()


def lock_admins(tx: Transaction, organization_id: str) -> set[str]:
    """The ids of all administrators, locked so that two cannot demote each other at once."""
    query = select(users.c.id).where(
        users.c.organization_id == organization_id,
        is_exactly(users.c.role, Role.ADMIN),
        users.c.deleted_at.is_(None),
    )
    return set(tx.execute(query.order_by(users.c.key).with_for_update()).scalars())


def list_users(
    tx: Transaction, organization_id: str, filters: UserFilters, page: Page
) -> Slice[User]:
    query: Select[Any] = (
        select(*USER_COLUMNS)
        .where(
            users.c.organization_id == organization_id,
            users.c.deleted_at.is_(None),
            in_range(users.c.created_at, filters.created),
            in_range(users.c.last_login_at, filters.last_login),
            has_text(users.c.first_name, filters.first_name),
            has_text(users.c.last_name, filters.last_name),
            has_text(users.c.username, filters.username),
            has_text(users.c.email, filters.email),
            equals(users.c.role, filters.role),
        )
        .order_by(users.c.key)
    )
    return slice_of(tx, query, page, read_user)


def count_users(tx: Transaction) -> int:
    """Living users of all organizations."""
    query = select(func.count()).select_from(users).where(users.c.deleted_at.is_(None))
    count: int = tx.execute(query).scalar_one()
    return count


def _is(organization_id: str, user_id: str) -> Any:
    return and_(users.c.organization_id == organization_id, users.c.id == user_id)
