"""Organizations: the first one with its administrator, and finding one by name."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from zoneinfo import available_timezones

from coursebell.domain.model import (
    Actor,
    ActorKind,
    Organization,
    Role,
    SignIn,
    User,
    new_id,
)
from coursebell.errors import ConflictError, CoursebellError, InvalidInputError, NotFoundError
from coursebell.services import accounts
from coursebell.services import people as user_cases
from coursebell.services.passwords import hash_password
from coursebell.services.people import NewUser
from coursebell.services.registrar import Registrar
from coursebell.storage import people
from coursebell.storage.database import Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class NewOrganization:
    name: str
    zone: str = "UTC"
    locale: str = "en"
    sign_in: SignIn = SignIn.EMAIL


@dataclass(frozen=True, slots=True, kw_only=True)
class Founded:
    """What `found` made. The token is the only way in until another is made."""

    organization: Organization
    admin: User
    token: str


def found(registrar: Registrar, new: NewOrganization, admin: NewUser, now: datetime) -> Founded:
    """Make the first organization, its first administrator and a token, all or nothing.

    Raises `ConflictError` when there is an organization already, `InvalidInputError`.
    """
    check_new(new, admin)
    admin = replace(admin, role=Role.ADMIN)
    password_hash = None if admin.password is None else hash_password(admin.password)
    return registrar.database.run(lambda tx: _found(tx, registrar, new, admin, password_hash, now))


def check_new(new: NewOrganization, admin: NewUser) -> None:
    """Whether `found` would take them, before there is a database. Raises `InvalidInputError`."""
    if new.zone not in available_timezones():
        raise InvalidInputError(field_errors={"zone": "Must be an IANA name, as Europe/Berlin."})
    user_cases.check_new_user(admin)


def _found(
    tx: Transaction,
    registrar: Registrar,
    new: NewOrganization,
    admin: NewUser,
    password_hash: str | None,
    now: datetime,
) -> Founded:
    people.lock_organizations(tx)
    if people.list_organizations(tx):
        raise ConflictError(
            "This database already has an organization; nothing was changed. "
            "Run: coursebell serve, with --database before it if you gave one"
        )
    organization = Organization(
        id=new_id(),
        name=new.name,
        zone=new.zone,
        locale=new.locale,
        sign_in=new.sign_in,
        created_at=now,
    )
    people.insert_organization(tx, organization)
    actor = operator_of(organization)
    (user,) = user_cases.insert_new_users(
        tx, registrar, actor, [admin], [None], [password_hash], now
    )
    if isinstance(user, CoursebellError):
        raise user
    token = accounts.issue_token(tx, actor, user.id, "coursebell init", now)
    return Founded(organization=organization, admin=user, token=token.secret)


def operator_of(organization: Organization) -> Actor:
    """The person at the command line: an administrator without a user."""
    return Actor(organization_id=organization.id, role=Role.ADMIN, kind=ActorKind.ADMIN)


def choose_organization(registrar: Registrar, wanted: str | None) -> Organization:
    """By id or name; without either, the only one there is. Raises `NotFoundError`."""
    with registrar.database.snapshot() as tx:
        known = people.list_organizations(tx)
    if not known:
        raise NotFoundError("There is no organization yet. Run: coursebell init")
    matching = [each for each in known if wanted in (None, each.id, each.name)]
    if len(matching) == 1:
        return matching[0]
    names = ", ".join(each.name for each in known)
    if not matching:
        raise NotFoundError(f"No organization is called {wanted}. There are: {names}")
    raise NotFoundError(f"Say which with --organization; there are: {names}")


def list_organizations(registrar: Registrar) -> list[Organization]:
    """All of them, for the operator of the installation."""
    with registrar.database.snapshot() as tx:
        return people.list_organizations(tx)


def get_organization(registrar: Registrar, actor: Actor) -> Organization:
    """The actor's own."""
    with registrar.database.snapshot() as tx:
        return people.get_organization(tx, actor.organization_id)
