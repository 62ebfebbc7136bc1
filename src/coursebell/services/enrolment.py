"""Enrolment: registering users for offerings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from coursebell.domain import events
from coursebell.domain.agreements import AgreementType
from coursebell.domain.events import EventName, NewEvent
from coursebell.domain.instants import format_instant
from coursebell.domain.model import (
    Actor,
    Offering,
    Registration,
    Role,
    Source,
    Status,
    User,
    new_id,
)
from coursebell.errors import CoursebellError, ForbiddenError, InvalidInputError
from coursebell.services.publishing import publish
from coursebell.services.registrar import Registrar
from coursebell.storage import agreements, audit, offerings, people, registrations
from coursebell.storage.database import Transaction
from coursebell.storage.offerings import RuledOffering

BATCH = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolment:
    """One user to be registered for one offering."""

    actor: Actor
    user_id: str
    offering_id: str
    override: bool = False  # passes the registration window (administrators, with a reason)
    reason: str | None = None


Enrolled = Registration | CoursebellError
_Pair = tuple[str, str]


@dataclass(slots=True)
class _Batch:
    users: Mapping[str, User]
    offerings: Mapping[str, RuledOffering]
    active: dict[_Pair, str]
    attempts: dict[_Pair, int]
    to_agree: Mapping[str, Sequence[AgreementType]]  # of users who register themselves


def register(
    registrar: Registrar, organization_id: str, enrolments: Sequence[Enrolment], now: datetime
) -> list[Enrolled]:
    """Register users of one organization: a registration or an error for each, in order."""
    results: list[Enrolled] = []
    for start in range(0, len(enrolments), BATCH):
        chunk = enrolments[start : start + BATCH]
        work = partial(_register, registrar, organization_id, chunk, now)
        results += registrar.database.run(work)
    return results


def _register(
    registrar: Registrar,
    organization_id: str,
    enrolments: Sequence[Enrolment],
    now: datetime,
    tx: Transaction,
) -> list[Enrolled]:
    batch = _load(tx, organization_id, enrolments)
    results: list[Enrolled] = []
    new: list[Registration] = []
    happened: list[NewEvent] = []
    changes: list[audit.Change] = []
    for enrolment in enrolments:
        try:
            registration = _enrol(batch, enrolment, now)
        except CoursebellError as exc:
            results.append(exc)
            continue
        results.append(registration)
        new.append(registration)
        happened.append(_event(batch, enrolment, registration, now))
        changes.append(_change(enrolment, registration))
    registrations.insert_registrations(tx, organization_id, new)
    audit.insert_changes(tx, changes, now)
    publish(tx, registrar, organization_id, happened, now)
    return results


def _load(tx: Transaction, organization_id: str, enrolments: Sequence[Enrolment]) -> _Batch:
    users = people.lock_living_users(
        tx, organization_id, {enrolment.user_id for enrolment in enrolments}
    )
    ruled = offerings.ruled_offerings(
        tx, organization_id, {enrolment.offering_id for enrolment in enrolments}
    )
    pairs = {
        (enrolment.user_id, enrolment.offering_id)
        for enrolment in enrolments
        if enrolment.user_id in users and enrolment.offering_id in ruled
    }
    own = {enrolment.user_id for enrolment in enrolments if _is_own_wish(enrolment)}
    return _Batch(
        users=users,
        offerings=ruled,
        active=dict(registrations.active_attempts(tx, pairs)),
        attempts=dict(registrations.last_attempts(tx, pairs)),
        to_agree=agreements.list_outstanding(tx, organization_id, own) if own else {},
    )


def _enrol(batch: _Batch, enrolment: Enrolment, now: datetime) -> Registration:
    _check_role(enrolment)
    offering = _known(batch, enrolment)
    pair = (enrolment.user_id, enrolment.offering_id)
    if pair in batch.active:
        raise InvalidInputError(["The user has an active registration for this offering."])
    attempt = batch.attempts.get(pair, 0) + 1
    if attempt > 1 and not offering.retakes:
        raise InvalidInputError(["The user took this offering before, and it allows no retakes."])
    if not enrolment.override:
        _check_open(offering, now)
    if _is_own_wish(enrolment):
        _check_agreed(batch, enrolment.user_id)
    registration = Registration(
        id=new_id(),
        user_id=enrolment.user_id,
        offering_id=enrolment.offering_id,
        attempt=attempt,
        status=Status.ACTIVE,
        grade=None,
        computed=False,
        source=None,
        grader_id=None,
        grader_comment=None,
        created_at=now,
        begin_at=None,
        last_active_at=None,
        end_at=None,
        extended=offering.end_at is not None and offering.end_at <= now,
        event_count=1,
        policy=None,
    )
    batch.active[pair], batch.attempts[pair] = registration.id, attempt
    return registration


def _check_role(enrolment: Enrolment) -> None:
    actor = enrolment.actor
    if not actor.is_at_least(Role.INSTRUCTOR) and not actor.is_self(enrolment.user_id):
        raise ForbiddenError("A learner may register nobody else.")
    if enrolment.override:
        actor.require(Role.ADMIN)
        if not enrolment.reason:
            raise InvalidInputError(field_errors={"reason": "Required with override."})


def _is_own_wish(enrolment: Enrolment) -> bool:
    """Whether a learner registers alone; for whom others register, the organization answers."""
    actor = enrolment.actor
    return actor.is_self(enrolment.user_id) and not actor.is_at_least(Role.INSTRUCTOR)


def _check_agreed(batch: _Batch, user_id: str) -> None:
    errors = [
        f"Agree to the {kind} agreement first: PUT users/{user_id}/agreements/{kind}."
        for kind in batch.to_agree.get(user_id, ())
    ]
    if errors:
        raise InvalidInputError(errors)


def _known(batch: _Batch, enrolment: Enrolment) -> Offering:
    unknown = {}
    if enrolment.user_id not in batch.users:
        unknown["userId"] = "No user exists with this id."
    if enrolment.offering_id not in batch.offerings:
        unknown["offeringId"] = "No offering exists with this id."
    if unknown:
        raise InvalidInputError(field_errors=unknown)
    return batch.offerings[enrolment.offering_id].offering


def _check_open(offering: Offering, now: datetime) -> None:
    begin, end = offering.registration_begin_at, offering.registration_end_at
    if begin is not None and now < begin:
        raise InvalidInputError([f"Registration opens at {format_instant(begin)}."])
    if end is not None and now >= end:
        raise InvalidInputError([f"Registration closed at {format_instant(end)}."])
    if offering.end_at is not None and now >= offering.end_at:
        raise InvalidInputError([f"The offering ended at {format_instant(offering.end_at)}."])


def _event(
    batch: _Batch, enrolment: Enrolment, registration: Registration, now: datetime
) -> NewEvent:
    own = enrolment.actor.is_self(enrolment.user_id)
    return events.registration_event(
        event_id=new_id(),
        name=EventName.OFFERING_REGISTERED,
        source=Source.SELF if own else Source.ADMIN,
        now=now,
        user=batch.users[registration.user_id],
        registration=registration,
        registration_part=events.identity_part(registration),
        offering=batch.offerings[registration.offering_id].offering,
    )


def _change(enrolment: Enrolment, registration: Registration) -> audit.Change:
    return audit.Change(
        actor=enrolment.actor,
        action="registration.create",
        subject="registration",
        subject_id=registration.id,
        after={
            "user_id": registration.user_id,
            "offering_id": registration.offering_id,
            "attempt": registration.attempt,
        },
        reason=enrolment.reason,
    )
