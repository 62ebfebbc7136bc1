"""Importing users: by their key, else by their e-mail address."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from coursebell.domain import events
from coursebell.domain.imports import Done, Line
from coursebell.domain.model import Organization, Role, SignIn, Source, User, new_id
from coursebell.errors import CoursebellError, InvalidInputError
from coursebell.services import trail
from coursebell.services.importing import Taken, Work, external_key, value
from coursebell.services.people import check_names
from coursebell.services.publishing import publish
from coursebell.storage import audit, external_keys, people
from coursebell.storage.external_keys import Known
from coursebell.storage.people import Names, fold

_FIELDS = {
    "email": "email",
    "firstName": "first_name",
    "lastName": "last_name",
    "username": "username",
    "locale": "locale",
    "tags": "tags",
    "role": "role",
}


class UserImporter:
    """Makes users without a password: they cannot sign in until one is set."""

    subject = "user"

    def __init__(self, work: Work, lines: Sequence[Line]) -> None:
        self._work = work
        self._organization: Organization = people.get_organization(work.tx, work.organization_id)
        wanted = {
            fold(str(line.values[name]))
            for line in lines
            for name in ("email", "username")
            if name in line.values
        }
        found = people.list_names(work.tx, work.organization_id, wanted)
        self._by_email = {names.email: names for names in found}
        self._by_username = {names.username: names for names in found}
        self._stored: dict[str, User] = {}
        self._admins: set[str] = set()
        self._linked: set[str] = set()  # who has a key of another system
        self._new: list[User] = []
        self._changed: list[tuple[User, User]] = []

    def key_of(self, line: Line) -> str:
        return external_key(line, fold(str(line.values["email"])))

    def prepare(self, known: Mapping[str, Known]) -> None:
        wanted = {each.subject_id for each in known.values()}
        wanted |= {names.user_id for names in self._by_email.values()}
        tx, organization_id = self._work.tx, self._work.organization_id
        self._admins = people.lock_admins(tx, organization_id)
        self._stored = dict(people.lock_living_users(tx, organization_id, wanted))
        self._linked = external_keys.linked_subjects(tx, organization_id, wanted)

    def take(self, line: Line, subject_id: str | None) -> Taken:
        found = subject_id or self._by_address(line)
        if found is None:
            user = self._made(line)
            self._remember(line, user)
            self._new.append(user)
            return Taken(user.id, Done.CREATED)
        before = self._stored.get(found)
        if before is None:
            raise InvalidInputError(["The user was deleted."])
        after = self._changed_by(line, before)
        self._remember(line, after)
        if after == before:
            return Taken(before.id, Done.UNCHANGED)
        self._changed.append((before, after))
        return Taken(before.id, Done.UPDATED)

    def finish(self) -> Mapping[int, CoursebellError]:
        tx, actor, now = self._work.tx, self._work.actor, self._work.now
        people.insert_users(tx, actor.organization_id, [(user, None) for user in self._new])
        people.update_users(tx, actor.organization_id, [after for _, after in self._changed])
        happened = [
            events.user_created(event_id=new_id(), source=Source.ADMIN, now=now, user=user)
            for user in self._new
        ]
        changes = [
            *(trail.change(actor, "user.create", None, user) for user in self._new),
            *(trail.change(actor, "user.update", *each) for each in self._changed),
        ]
        audit.insert_changes(tx, changes, now)
        publish(
            tx,
            self._work.registrar,
            actor.organization_id,
            happened,
            now,
            is_told=self._work.is_told,
        )
        return {}

    def _by_address(self, line: Line) -> str | None:
        """Who has the address, unless somebody else's key is theirs already."""
        names = self._by_email.get(fold(str(line.values["email"])))
        if names is None:
            return None
        if "externalKey" in line.values and names.user_id in self._linked:
            rule = "Belongs to a user with another externalKey."
            raise InvalidInputError(field_errors={"email": rule})
        return names.user_id

    def _made(self, line: Line) -> User:
        created = value(line, "createdDate", datetime)
        email = str(line.values["email"])
        user = User(
            id=new_id(),
            first_name=str(line.values["firstName"]),
            last_name=str(line.values["lastName"]),
            username=value(line, "username", str) or email,
            email=email,
            locale=value(line, "locale", str) or self._organization.locale,
            tags=value(line, "tags", tuple) or (),
            role=value(line, "role", Role) or Role.LEARNER,
            created_at=created or self._work.now,
            last_login_at=None,
        )
        if user.created_at > self._work.now:
            raise InvalidInputError(field_errors={"createdDate": "Must not be in the future."})
        self._check_names(user)
        return user

    def _changed_by(self, line: Line, before: User) -> User:
        named: dict[str, Any] = {
            field: line.values[name] for name, field in _FIELDS.items() if name in line.values
        }
        after = replace(before, **named)
        if self._organization.sign_in is SignIn.EMAIL and "username" not in named:
            after = replace(after, username=after.email)
        self._check_names(after)
        if before.role is Role.ADMIN and after.role is not Role.ADMIN:
            if self._admins == {before.id}:
                raise InvalidInputError(field_errors={"role": "This is the last administrator."})
            self._admins.discard(before.id)
        return after

    def _check_names(self, user: User) -> None:
        same = (
            self._by_email.get(fold(user.email)),
            self._by_username.get(fold(user.username)),
        )
        check_names(user, self._organization, [names for names in same if names is not None])

    def _remember(self, line: Line, user: User) -> None:
        if "externalKey" in line.values:
            self._linked.add(user.id)
        names = Names(user.id, fold(user.email), fold(user.username))
        self._by_email[names.email] = self._by_username[names.username] = names
        self._stored[user.id] = user
