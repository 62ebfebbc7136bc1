"""Users: creating, changing, deleting and reading them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from coursebell.domain import events
from coursebell.domain.changes import UNSET, Unset, changed, named
from coursebell.domain.completion import Command, Request
from coursebell.domain.lists import Page, Slice, UserFilters
from coursebell.domain.model import Actor, Organization, Role, SignIn, Source, User, new_id
from coursebell.domain.people import check_email, check_password, split_tags
from coursebell.errors import (
    CoursebellError,
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
)
from coursebell.services import trail, transitions
from coursebell.services.passwords import hash_password
from coursebell.services.publishing import publish
from coursebell.services.registrar import Registrar
from coursebell.storage import accounts, audit, people, registrations
from coursebell.storage.database import Transaction
from coursebell.storage.people import fold

_TAKEN = "Another user has it."


@dataclass(frozen=True, slots=True, kw_only=True)
class NewUser:
    """What a user is made of."""

    first_name: str
    last_name: str
    email: str
    username: str | None = None  # None: the e-mail address
    password: str | None = None  # None: cannot sign in until one is set
    locale: str | None = None  # None: the organization's
    tags: tuple[str, ...] = ()
    role: Role = Role.LEARNER


@dataclass(frozen=True, slots=True, kw_only=True)
class UserChanges:
    """What of a user is to change."""

    first_name: str | Unset = UNSET
    last_name: str | Unset = UNSET
    email: str | Unset = UNSET
    username: str | Unset = UNSET
    password: str | Unset = UNSET
    locale: str | Unset = UNSET
    tags: tuple[str, ...] | Unset = UNSET
    role: Role | Unset = UNSET


_OWN = frozenset({"first_name", "last_name", "locale", "password"})  # what one may change oneself


def create_users(
    registrar: Registrar, actor: Actor, new: Sequence[NewUser], now: datetime
) -> list[User | CoursebellError]:
    """Create users: a user or an error for each, in order. Passwords are hashed beforehand."""
    actor.require(Role.ADMIN)
    checked = [_checked(each) for each in new]
    hashes = [
        hash_password(each.password) if error is None and each.password is not None else None
        for each, error in zip(new, checked, strict=True)
    ]
    return registrar.database.run(
        lambda tx: insert_new_users(tx, registrar, actor, new, checked, hashes, now)
    )


def create_user(registrar: Registrar, actor: Actor, new: NewUser, now: datetime) -> User:
    """Create one user. Raises `InvalidInputError`."""
    (result,) = create_users(registrar, actor, [new], now)
    if isinstance(result, CoursebellError):
        raise result
    return result


def insert_new_users(
    tx: Transaction,
    registrar: Registrar,
    actor: Actor,
    new: Sequence[NewUser],
    checked: Sequence[CoursebellError | None],
    hashes: Sequence[str | None],
    now: datetime,
) -> list[User | CoursebellError]:
    """Create users inside another use case's transaction."""
    organization = people.get_organization(tx, actor.organization_id)
    wanted = {fold(name) for each in new for name in (each.email, each.username or each.email)}
    taken = people.list_names(tx, organization.id, wanted)
    results: list[User | CoursebellError] = []
    rows: list[tuple[User, str | None]] = []
    for each, error, password_hash in zip(new, checked, hashes, strict=True):
        try:
            if error is not None:
                raise error
            user = _user_of(each, organization, now)
            check_names(user, organization, taken)
        except CoursebellError as exc:
            results.append(exc)
            continue
        taken.append(people.Names(user.id, fold(user.email), fold(user.username)))
        rows.append((user, password_hash))
        results.append(user)
    people.insert_users(tx, organization.id, rows)
    created = [user for user, _ in rows]
    happened = [
        events.user_created(event_id=new_id(), source=Source.ADMIN, now=now, user=user)
        for user in created
    ]
    audit.insert_changes(
        tx, [trail.change(actor, "user.create", None, user) for user in created], now
    )
    publish(tx, registrar, organization.id, happened, now)
    return results


def change_user(
    registrar: Registrar, actor: Actor, user_id: str, changes: UserChanges, now: datetime
) -> User:
    """Change what is named. Raises `NotFoundError`, `ForbiddenError`, `InvalidInputError`."""
    _check_may_change(actor, user_id, changes)
    _check_values(changes)
    password = changes.password
    password_hash = None if password is UNSET else hash_password(password)

    def work(tx: Transaction) -> User:
        organization = people.get_organization(tx, actor.organization_id)
        admins = people.lock_admins(tx, organization.id) if changes.role is not UNSET else set()
        before = _found(people.find_user(tx, organization.id, user_id, for_update=True))
        after = _changed_user(before, changes, organization)
        if after.role is not Role.ADMIN and admins == {user_id}:
            raise InvalidInputError(field_errors={"role": "This is the last administrator."})
        wanted = {fold(after.email), fold(after.username)}
        check_names(after, organization, people.list_names(tx, organization.id, wanted))
        people.update_user(tx, organization.id, after, password_hash)
        audit.insert_changes(
            tx, [_updated(actor, before, after, has_password=password_hash is not None)], now
        )
        return after

    return registrar.database.run(work)


def delete_user(registrar: Registrar, actor: Actor, user_id: str, now: datetime) -> None:
    """Delete a user: tokens are revoked, active registrations ejected, history is kept."""
    actor.require(Role.ADMIN)

    def work(tx: Transaction) -> None:
        admins = people.lock_admins(tx, actor.organization_id)
        user = _found(people.find_user(tx, actor.organization_id, user_id, for_update=True))
        if admins == {user_id}:
            raise InvalidInputError(["The last administrator cannot be deleted."])
        withdraw(tx, registrar, actor, user_id, "user deleted", now)
        audit.insert_changes(tx, [trail.change(actor, "user.delete", user, None)], now)

    registrar.database.run(work)


def withdraw(
    tx: Transaction, registrar: Registrar, actor: Actor, user_id: str, reason: str, now: datetime
) -> None:
    """Let a user, whose row is locked, in no more: for deleting and erasing."""
    accounts.delete_tokens_of(tx, actor.organization_id, user_id)
    active = registrations.active_ids_of_user(tx, actor.organization_id, user_id)
    ejections = [
        Request(registration_id=each, command=Command.EJECT, actor=actor, reason=reason)
        for each in active
    ]
    for result in transitions.apply(registrar, actor.organization_id, ejections, now, tx):
        if isinstance(result, CoursebellError):
            raise result
    people.mark_user_deleted(tx, actor.organization_id, user_id, now)


def get_user(registrar: Registrar, actor: Actor, user_id: str) -> User:
    """Raises `NotFoundError`, also for a learner who asks for another."""
    if not actor.is_at_least(Role.INSTRUCTOR) and not actor.is_self(user_id):
        raise NotFoundError
    with registrar.database.snapshot() as tx:
        return _found(people.find_user(tx, actor.organization_id, user_id))


def list_users(registrar: Registrar, actor: Actor, filters: UserFilters, page: Page) -> Slice[User]:
    actor.require(Role.INSTRUCTOR)
    with registrar.database.snapshot() as tx:
        return people.list_users(tx, actor.organization_id, filters, page)


def find_user_by_email(registrar: Registrar, actor: Actor, email: str) -> User:
    """For the command line, where people are known by e-mail. Raises `NotFoundError`."""
    actor.require(Role.ADMIN)
    with registrar.database.snapshot() as tx:
        user = people.find_user_by_email(tx, actor.organization_id, email)
    if user is None:
        raise NotFoundError(f"No user has the e-mail address {email}.")
    return user


def check_new_user(new: NewUser) -> None:
    """Raise `InvalidInputError` naming every field that breaks a rule by itself."""
    _collect([(check_email, new.email), (check_password, new.password)])


def _checked(new: NewUser) -> CoursebellError | None:
    try:
        check_new_user(new)
    except InvalidInputError as exc:
        return exc
    return None


def _check_values(changes: UserChanges) -> None:
    email = None if changes.email is UNSET else changes.email
    password = None if changes.password is UNSET else changes.password
    _collect([(check_email, email), (check_password, password)])


def _collect(checks: Sequence[tuple[Callable[[str], None], str | None]]) -> None:
    field_errors: dict[str, str] = {}
    for check, value in checks:
        try:
            if value is not None:
                check(value)
        except InvalidInputError as exc:
            field_errors |= exc.field_errors
    if field_errors:
        raise InvalidInputError(field_errors=field_errors)


def _user_of(new: NewUser, organization: Organization, now: datetime) -> User:
    return User(
        id=new_id(),
        first_name=new.first_name,
        last_name=new.last_name,
        username=new.username or new.email,
        email=new.email,
        locale=new.locale or organization.locale,
        tags=split_tags(new.tags),
        role=new.role,
        created_at=now,
        last_login_at=None,
    )


def _changed_user(before: User, changes: UserChanges, organization: Organization) -> User:
    values = dict(named(changes))
    values.pop("password", None)
    after = changed(before, values)
    if changes.tags is not UNSET:
        after = replace(after, tags=split_tags(changes.tags))
    if organization.sign_in is SignIn.EMAIL and changes.username is UNSET:
        after = replace(after, username=after.email)
    return after


def check_names(user: User, organization: Organization, taken: Sequence[people.Names]) -> None:
    """Raise `InvalidInputError` where another user has one of the names, or the two differ."""
    if organization.sign_in is SignIn.EMAIL and user.username != user.email:
        rule = "Must equal the e-mail address, because this organization signs in by e-mail."
        raise InvalidInputError(field_errors={"username": rule})
    others = [names for names in taken if names.user_id != user.id]
    field_errors = {}
    if any(names.email == fold(user.email) for names in others):
        field_errors["email"] = _TAKEN
    if any(names.username == fold(user.username) for names in others):
        field_errors["username"] = _TAKEN
    if organization.sign_in is SignIn.EMAIL and "email" in field_errors:
        field_errors.pop("username", None)  # the same name twice
    if field_errors:
        raise InvalidInputError(field_errors=field_errors)


def _check_may_change(actor: Actor, user_id: str, changes: UserChanges) -> None:
    if actor.is_at_least(Role.ADMIN):
        return
    if not actor.is_self(user_id):
        if actor.is_at_least(Role.INSTRUCTOR):
            raise ForbiddenError("Only an administrator may change another user.")
        raise NotFoundError
    beyond = sorted(named(changes).keys() - _OWN)
    if beyond:
        raise ForbiddenError(f"Only an administrator may change {', '.join(beyond)}.")


def _found(user: User | None) -> User:
    if user is None:
        raise NotFoundError
    return user


def _updated(actor: Actor, before: User, after: User, *, has_password: bool) -> audit.Change:
    entry = trail.change(actor, "user.update", before, after)
    if not has_password:
        return entry
    # That it changed, never what to.
    return replace(entry, after={**(entry.after or {}), "password": "changed"})
