"""What a person may ask for: all that is kept about them, and that it is forgotten.

`docs/guides/move-out.md` says what stays after erasing, and why.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from coursebell.domain import events
from coursebell.domain.agreements import AgreementType, UserAgreement
from coursebell.domain.elements import Exemption, Work
from coursebell.domain.model import Actor, Event, Role, Source, Token, User, new_id
from coursebell.domain.people import pseudonym_of
from coursebell.domain.user_fields import Value
from coursebell.errors import ForbiddenError, InvalidInputError, NotFoundError
from coursebell.services import people as user_cases
from coursebell.services.publishing import publish
from coursebell.services.registrar import Registrar
from coursebell.storage import (
    agreements,
    audit,
    external_keys,
    people,
    privacy,
    progress,
    registrations,
    user_fields,
)
from coursebell.storage.audit import Entry
from coursebell.storage.database import Transaction
from coursebell.storage.people import Person
from coursebell.storage.privacy import Disclosure
from coursebell.storage.registrations import TitledRegistration


@dataclass(frozen=True, slots=True, kw_only=True)
class Dossier:
    """Everything that is kept about a person, each part oldest first."""

    user: User
    field_values: Mapping[str, Value]  # by the id of the user field, private ones too
    agreements: Sequence[UserAgreement]  # those that the person agreed to
    registrations: Sequence[TitledRegistration]
    work: Sequence[Work]
    exemptions: Sequence[Exemption]
    tokens: Sequence[Token]
    events: Sequence[Event]
    disclosures: Sequence[Disclosure]
    changes: Sequence[Entry]


def export_person(registrar: Registrar, actor: Actor, user_id: str) -> Dossier:
    """All about oneself; for an administrator about anybody, deleted users too."""
    _check_may_export(actor, user_id)
    with registrar.database.snapshot() as tx:
        person = _found(people.find_person(tx, actor.organization_id, user_id))
        organization_id = actor.organization_id
        taken = registrations.list_of_user(tx, organization_id, user_id)
        held = privacy.list_tokens(tx, organization_id, user_id)
        keys = privacy.list_event_keys(tx, organization_id, user_id)
        own = {each.registration.id for each in taken}
        subjects = {user_id, *own}
        subjects |= privacy.list_token_subjects(tx, organization_id, user_id)
        return Dossier(
            user=person.user,
            field_values=user_fields.list_values(tx, organization_id, user_id, with_private=True),
            agreements=agreements.list_agreed(tx, organization_id, user_id),
            registrations=taken,
            work=progress.list_work(tx, organization_id, own),
            exemptions=progress.list_exemptions(tx, organization_id, own),
            tokens=held,
            events=privacy.list_events(tx, keys),
            disclosures=privacy.list_disclosures(tx, organization_id, keys),
            changes=privacy.list_changes(tx, organization_id, subjects),
        )


def erase_user(
    registrar: Registrar, actor: Actor, user_id: str, reason: str, now: datetime
) -> None:
    """Forget who a user was, and keep what was learned (domain rule 16).

    Deletes the user too, unless that is done already. Erasing again changes nothing. Raises
    `NotFoundError`, and `InvalidInputError` for the last administrator.
    """
    actor.require(Role.ADMIN)

    def work(tx: Transaction) -> None:
        admins = people.lock_admins(tx, actor.organization_id)
        person = _found(people.find_person(tx, actor.organization_id, user_id, for_update=True))
        if person.erased_at is not None:
            return
        if admins == {user_id}:
            raise InvalidInputError(["The last administrator cannot be erased."])
        own = registrations.lock_ids_of_user(tx, actor.organization_id, user_id)
        if person.deleted_at is None:
            user_cases.withdraw(tx, registrar, actor, user_id, "user erased", now)
        _forget(tx, actor, person.user, own, now)
        _tell(tx, registrar, actor, user_id, reason, now)

    registrar.database.run(work)


def _forget(
    tx: Transaction, actor: Actor, user: User, registration_ids: Sequence[str], now: datetime
) -> None:
    """Nobody writes about the person meanwhile: their row and their registrations are locked."""
    organization = people.get_organization(tx, actor.organization_id)
    people.write_pseudonym(tx, organization.id, pseudonym_of(user, organization.locale), now)
    registrations.forget_comments(tx, organization.id, user.id)
    user_fields.delete_values_of_user(tx, organization.id, user.id)
    agreements.delete_user_agreements(tx, organization.id, user.id, tuple(AgreementType))
    progress.forget_words(tx, organization.id, user.id)
    keys = privacy.list_event_keys(tx, organization.id, user.id)
    privacy.cancel_open_deliveries(tx, keys, now)
    privacy.reduce_events(tx, keys)
    subjects = {user.id, *registration_ids}
    external_keys.forget_keys(tx, organization.id, subjects)
    subjects |= privacy.list_token_subjects(tx, organization.id, user.id)
    privacy.scrub_audit(tx, organization.id, subjects)


def _tell(
    tx: Transaction, registrar: Registrar, actor: Actor, user_id: str, reason: str, now: datetime
) -> None:
    event = events.user_erased(event_id=new_id(), source=Source.ADMIN, now=now, user_id=user_id)
    change = audit.Change(
        actor=actor, action="user.erase", subject="user", subject_id=user_id, reason=reason
    )
    audit.insert_changes(tx, [change], now)
    publish(tx, registrar, actor.organization_id, [event], now)


def _check_may_export(actor: Actor, user_id: str) -> None:
    if actor.is_at_least(Role.ADMIN) or actor.is_self(user_id):
        return
    if actor.is_at_least(Role.INSTRUCTOR):
        raise ForbiddenError("Only an administrator may export another user.")
    raise NotFoundError


def _found(person: Person | None) -> Person:
    if person is None:
        raise NotFoundError
    return person
