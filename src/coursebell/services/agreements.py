"""Agreements: writing them, and who agrees to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from coursebell.domain.agreements import Agreement, AgreementType, UserAgreement
from coursebell.domain.changes import UNSET, Unset, changed, named
from coursebell.domain.lists import Page, Slice
from coursebell.domain.model import Actor, Role
from coursebell.errors import ForbiddenError, InvalidInputError, NotFoundError
from coursebell.services import trail
from coursebell.services.registrar import Registrar
from coursebell.storage import agreements, audit, people
from coursebell.storage.database import Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class AgreementChanges:
    title: str | Unset = UNSET
    text: str | Unset = UNSET
    required: bool | Unset = UNSET


def write_agreement(
    registrar: Registrar,
    actor: Actor,
    kind: AgreementType,
    changes: AgreementChanges,
    now: datetime,
) -> Agreement:
    """Change what is named, or make the agreement, which is then required unless it says not.

    Who agreed to another wording has agreed. Raises `InvalidInputError`.
    """
    actor.require(Role.ADMIN)
    values = named(changes)
    if changes.text is not UNSET and not changes.text.strip():
        raise InvalidInputError(field_errors={"text": "Must not be empty."})

    def work(tx: Transaction) -> Agreement:
        before = agreements.find_agreement(tx, actor.organization_id, kind, for_update=True)
        if before is None:
            after = _new(kind, values, now)
            agreements.insert_agreement(tx, actor.organization_id, after)
            entry = trail.change(actor, "agreement.create", None, after)
        else:
            after = changed(before, values)
            reworded = (after.title, after.text) != (before.title, before.text)
            after = changed(after, {"updated_at": now}) if reworded else after
            agreements.update_agreement(tx, actor.organization_id, after, reworded=reworded)
            entry = trail.change(actor, "agreement.update", before, after)
        audit.insert_changes(tx, [entry], now)
        return after

    return registrar.database.run(work)


def get_agreement(registrar: Registrar, actor: Actor, kind: AgreementType) -> Agreement:
    """Everybody may read what there is to agree to."""
    with registrar.database.snapshot() as tx:
        found = agreements.find_agreement(tx, actor.organization_id, kind)
    if found is None:
        raise NotFoundError
    return found


def list_agreements(registrar: Registrar, actor: Actor, page: Page) -> Slice[Agreement]:
    with registrar.database.snapshot() as tx:
        return agreements.list_agreements(tx, actor.organization_id, page)


def get_user_agreement(
    registrar: Registrar, actor: Actor, user_id: str, kind: AgreementType
) -> UserAgreement:
    """Raises `NotFoundError`, also while the agreement is off; learners see their own."""
    _check_may_see(actor, user_id)
    with registrar.database.snapshot() as tx:
        return _found(tx, actor, user_id, kind)


def list_user_agreements(
    registrar: Registrar, actor: Actor, user_id: str, page: Page
) -> Slice[UserAgreement]:
    """Those that are on; learners see their own."""
    _check_may_see(actor, user_id)
    with registrar.database.snapshot() as tx:
        if people.find_user(tx, actor.organization_id, user_id) is None:
            raise NotFoundError
        return agreements.list_user_agreements(tx, actor.organization_id, user_id, page)


def agree(
    registrar: Registrar,
    actor: Actor,
    user_id: str,
    kind: AgreementType,
    now: datetime,
    *,
    agreed: bool,
) -> None:
    """Agree to the newest wording, or take that back. Agreeing again changes nothing.

    Users do that for themselves, administrators for everybody.
    """
    _check_may_agree(actor, user_id)

    def work(tx: Transaction) -> None:
        before = _found(tx, actor, user_id, kind, for_update=True)
        if agreed == (before.agreed_at is not None):
            return
        if agreed:
            agreements.insert_user_agreement(tx, actor.organization_id, user_id, kind, now)
        else:
            agreements.delete_user_agreements(tx, actor.organization_id, user_id, [kind])
        audit.insert_changes(tx, [_agreed(actor, user_id, before, agreed=agreed)], now)

    registrar.database.run(work)


def _new(kind: AgreementType, values: Mapping[str, object], now: datetime) -> Agreement:
    missing = {name: "Is required." for name in ("title", "text") if name not in values}
    if missing:
        raise InvalidInputError(field_errors=missing)
    blank = Agreement(type=kind, title="", text="", required=True, created_at=now, updated_at=now)
    return changed(blank, values)


def _check_may_see(actor: Actor, user_id: str) -> None:
    if not actor.is_at_least(Role.INSTRUCTOR) and not actor.is_self(user_id):
        raise NotFoundError


def _check_may_agree(actor: Actor, user_id: str) -> None:
    if actor.is_at_least(Role.ADMIN) or actor.is_self(user_id):
        return
    if actor.is_at_least(Role.INSTRUCTOR):
        raise ForbiddenError("Only an administrator may agree for another user.")
    raise NotFoundError


def _found(
    tx: Transaction,
    actor: Actor,
    user_id: str,
    kind: AgreementType,
    *,
    for_update: bool = False,
) -> UserAgreement:
    """`for_update` locks the user, so that nobody else agrees for them meanwhile."""
    user = people.find_user(tx, actor.organization_id, user_id, for_update=for_update)
    found = agreements.find_user_agreement(tx, actor.organization_id, user_id, kind)
    if user is None or found is None:
        raise NotFoundError
    return found


def _agreed(actor: Actor, user_id: str, before: UserAgreement, *, agreed: bool) -> audit.Change:
    what = {"agreement": before.type.value, "title": before.title}
    return audit.Change(
        actor=actor,
        action="user.agree" if agreed else "user.withdraw_agreement",
        subject="user",
        subject_id=user_id,
        before=None if agreed else what,
        after=what if agreed else None,
    )
