"""The one write path by which a registration begins to be active, ends, is re-graded or reopened.

API, schedule, progress in elements, deletion of a user and import all come through `apply`.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from coursebell.domain import events
from coursebell.domain.changes import difference
from coursebell.domain.completion import (
    Command,
    Effect,
    Request,
    Transition,
    decide,
    effect_of,
    source_of,
)
from coursebell.domain.events import Document, EventName, NewEvent
from coursebell.domain.grading import NO_ELEMENTS, Standing
from coursebell.domain.model import (
    Actor,
    ActorKind,
    Registration,
    Role,
    Source,
    Status,
    User,
    new_id,
)
from coursebell.errors import (
    CoursebellError,
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
)
from coursebell.logs import logger, together
from coursebell.services import element_work, progress, trail
from coursebell.services.element_work import Done
from coursebell.services.progress import Progress
from coursebell.services.publishing import publish
from coursebell.services.registrar import Registrar
from coursebell.storage import audit, offerings, people, registrations
from coursebell.storage import progress as stored_progress
from coursebell.storage.database import Transaction
from coursebell.storage.offerings import RuledOffering

_log = logger(__name__)

Applied = Transition | CoursebellError

_EVENT_OF = {
    Effect.END: EventName.OFFERING_COMPLETED,
    Effect.REGRADE: EventName.REGISTRATION_GRADE_CHANGED,
    Effect.EJECT: EventName.REGISTRATION_EJECTED,
    Effect.REOPEN: EventName.REGISTRATION_REOPENED,
}


_ABOUT_ELEMENTS = {Command.PROGRESS, Command.GRADE_ELEMENT}

# What takes the elements into account; the rest never looks at them.
_DECIDES = _ABOUT_ELEMENTS | {
    Command.COMPLETE,
    Command.COMPLETE_ONCE,
    Command.GRADE,
    Command.HALT,
}


@dataclass(slots=True)
class _Batch:
    """What a batch works on: rows as locked, and how they stand after each request."""

    now: datetime
    registrations: dict[str, Registration]
    offerings: Mapping[str, RuledOffering]
    users: Mapping[str, User]
    active: dict[tuple[str, str], str]  # (user, offering) to the active registration, if known
    progress: Progress
    arriving: Container[str]  # those that are not stored yet
    changed: dict[str, Registration]
    standings: dict[str, Standing]  # of those that ended in a course with elements
    reopened: set[str]
    events: list[NewEvent]
    changes: list[audit.Change]


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrivals:
    """Registrations that an import brings: active, and not stored yet."""

    registrations: Sequence[Registration] = ()
    actor: Actor


def apply(
    registrar: Registrar,
    organization_id: str,
    requests: Sequence[Request],
    now: datetime,
    tx: Transaction,
    *,
    arrivals: Arrivals | None = None,
    is_told: bool = True,
) -> list[Applied]:
    """Carry out `requests`, one after the other, in a fixed number of statements.

    Each gives its transition or its error. Requests for the same registration see each other's
    effect. `arrivals` are stored as the requests leave them; one whose request fails is not. With
    `is_told` False, webhooks are not told. Raises `RaceError` when another process was faster; the
    caller starts again.
    """
    new = () if arrivals is None else arrivals.registrations
    batch = _load(tx, organization_id, requests, now, new)
    results: list[Applied] = []
    for request in requests:
        try:
            results.append(_carry_out(batch, request))
        except CoursebellError as exc:
            results.append(exc)
    if arrivals is not None:
        refused = {
            request.registration_id
            for request, result in zip(requests, results, strict=True)
            if isinstance(result, CoursebellError)
        }
        _store_arrivals(tx, batch, arrivals, refused)
    registrations.update_registrations(tx, batch.changed.values())
    batch.progress.save(tx, organization_id)
    stored_progress.delete_standings(tx, batch.reopened)
    stored_progress.insert_standings(tx, organization_id, batch.standings)
    audit.insert_changes(tx, batch.changes, now)
    publish(tx, registrar, organization_id, batch.events, now, is_told=is_told)
    return results


def report_completions(registrar: Registrar, results: Iterable[Applied]) -> None:
    """Log and count each registration that ended. Called after the commit."""
    with together():
        for result in results:
            if isinstance(result, Transition) and result.effect is Effect.END:
                _report_completion(registrar, result.after)


def _report_completion(registrar: Registrar, ended: Registration) -> None:
    assert ended.source is not None  # noqa: S101 - whatever ended has one
    registrar.count_completion(ended.source, ended.status is Status.PASSED)
    _log.info(
        "registration.completed",
        registration_id=ended.id,
        user_id=ended.user_id,
        offering_id=ended.offering_id,
        status=ended.status.value,
        source=ended.source.value,
        grade=None if ended.grade is None else str(ended.grade),
    )


def _store_arrivals(
    tx: Transaction, batch: _Batch, arrivals: Arrivals, refused: Container[str]
) -> None:
    """Insert those that nothing is wrong with; what is told of each begins with its enrolment."""
    stored = [each for each in arrivals.registrations if each.id not in refused]
    final = [batch.changed.pop(each.id, each) for each in stored]
    registrations.insert_registrations(tx, arrivals.actor.organization_id, final)
    batch.events[:0] = [_arrival_event(batch, each) for each in stored]
    batch.changes += [
        trail.change(arrivals.actor, "registration.import", None, each) for each in final
    ]


def _arrival_event(batch: _Batch, registration: Registration) -> NewEvent:
    return events.registration_event(
        event_id=new_id(),
        name=EventName.OFFERING_REGISTERED,
        source=Source.ADMIN,
        now=batch.now,
        user=batch.users[registration.user_id],
        registration=registration,
        registration_part=events.identity_part(registration),
        offering=batch.offerings[registration.offering_id].offering,
    )


def _load(
    tx: Transaction,
    organization_id: str,
    requests: Sequence[Request],
    now: datetime,
    new: Sequence[Registration],
) -> _Batch:
    wanted = {request.registration_id for request in requests} - {each.id for each in new}
    rows = dict(registrations.lock_registrations(tx, organization_id, wanted)) if wanted else {}
    rows |= {each.id: each for each in new}
    reopened = {
        (row.user_id, row.offering_id)
        for request in requests
        if request.command is Command.REOPEN
        and (row := rows.get(request.registration_id)) is not None
    }
    ruled = offerings.ruled_offerings(
        tx, organization_id, {row.offering_id for row in rows.values()}
    )
    decided = {
        request.registration_id: row
        for request in requests
        if request.command in _DECIDES and (row := rows.get(request.registration_id)) is not None
    }
    return _Batch(
        now=now,
        registrations=rows,
        offerings=ruled,
        progress=progress.load(
            tx,
            organization_id,
            decided.values(),
            ruled,
            with_responses=any(each.command in _ABOUT_ELEMENTS for each in requests),
        ),
        users=people.list_users_by_id(tx, organization_id, {row.user_id for row in rows.values()}),
        active=dict(registrations.active_attempts(tx, reopened)),
        arriving={each.id for each in new},
        changed={},
        standings={},
        reopened=set(),
        events=[],
        changes=[],
    )


def _carry_out(batch: _Batch, request: Request) -> Transition:
    _check_role(request)
    registration = batch.registrations.get(request.registration_id)
    if registration is None or not _may_see(request, registration):
        raise NotFoundError
    ruled = batch.offerings[registration.offering_id]
    done = None
    if request.command in _ABOUT_ELEMENTS:
        effect_of(request, registration, ruled.offering, batch.now)  # refused before it is done
        done = element_work.do(batch.progress, request, registration, ruled, batch.now)
    standing = NO_ELEMENTS
    if request.command in _DECIDES:
        standing = batch.progress.standing(registration, ruled)
    transition = decide(request, registration, ruled.offering, ruled.policy, batch.now, standing)
    if transition.effect is Effect.REOPEN:
        _check_no_other_attempt(batch, registration)
    if done is not None:
        transition = _note(batch, request, transition, done)
    if transition.changes:
        transition = _take(batch, request, transition, standing)
    return transition


def _check_role(request: Request) -> None:
    actor = request.actor
    if request.command not in (Command.ACTIVITY, Command.PROGRESS, Command.COMPLETE):
        actor.require(Role.INSTRUCTOR)
    elif not actor.is_at_least(Role.INSTRUCTOR) and (
        request.is_graded or request.source is not None
    ):
        raise ForbiddenError("A learner may not send grade, passed or source.")
    if request.override or request.end_at is not None:
        actor.require(Role.ADMIN)
        if not request.reason:
            raise InvalidInputError(field_errors={"reason": "Required with override or endDate."})


def _may_see(request: Request, registration: Registration) -> bool:
    actor = request.actor
    return actor.is_at_least(Role.INSTRUCTOR) or actor.is_self(registration.user_id)


def _check_no_other_attempt(batch: _Batch, registration: Registration) -> None:
    pair = (registration.user_id, registration.offering_id)
    if pair in batch.active:
        raise InvalidInputError(["Another attempt of this user at this offering is active."])
    batch.active[pair] = registration.id


def _note(batch: _Batch, request: Request, transition: Transition, done: Done) -> Transition:
    """Tell of the element before of the end that it may bring, and note who did it."""
    if done.after is not None:
        batch.changes.append(
            audit.Change(
                actor=_reporter(request, transition),
                action=f"registration.{request.command}",
                subject="registration",
                subject_id=transition.before.id,
                before=done.before,
                after=done.after,
            )
        )
    if done.work is None:
        repeats = done.after is None and transition.after == transition.before
        return replace(transition, effect=Effect.NOTHING) if repeats else transition
    transition = _numbered(transition)
    batch.events.append(
        events.element_event(
            event_id=new_id(),
            source=source_of(request, transition.before),
            now=batch.now,
            user=batch.users[transition.before.user_id],
            registration=transition.after,
            element=done.element,
            work=done.work,
            offering=batch.offerings[transition.before.offering_id].offering,
        )
    )
    return transition


def _numbered(transition: Transition) -> Transition:
    """With one event more, whose number is the new count."""
    after = transition.after
    return replace(transition, after=replace(after, event_count=after.event_count + 1))


def _take(
    batch: _Batch, request: Request, transition: Transition, standing: Standing
) -> Transition:
    """Number the event, remember the new state, and note who did it."""
    name = _EVENT_OF.get(transition.effect)
    if name is not None:
        transition = _numbered(transition)
        batch.events.append(_event(batch, request, transition, name))
    after = transition.after
    batch.registrations[after.id] = batch.changed[after.id] = after
    _keep_standing(batch, transition, standing)
    pair = (after.user_id, after.offering_id)
    if after.status is not Status.ACTIVE and batch.active.get(pair) == after.id:
        del batch.active[pair]
    if after.id in batch.arriving:
        return transition  # noted once, as it is stored
    began = transition.before.begin_at is None and after.begin_at is not None
    if name is not None or began or request.override:
        batch.changes.append(_change(request, transition))
    return transition


def _keep_standing(batch: _Batch, transition: Transition, standing: Standing) -> None:
    """What decided is kept with the result; a reopening takes both back."""
    registration_id = transition.after.id
    if transition.effect is Effect.END and standing.elements:
        batch.standings[registration_id] = standing
    elif transition.effect is Effect.REOPEN:
        batch.standings.pop(registration_id, None)
        batch.reopened.add(registration_id)


def _event(batch: _Batch, request: Request, transition: Transition, name: EventName) -> NewEvent:
    after = transition.after
    return events.registration_event(
        event_id=new_id(),
        name=name,
        source=source_of(request, transition.before),
        now=batch.now,
        user=batch.users[after.user_id],
        registration=after,
        registration_part=_part(transition),
        offering=batch.offerings[after.offering_id].offering,
    )


def _part(transition: Transition) -> Document:
    match transition.effect:
        case Effect.REGRADE:
            return events.regraded_part(transition.after, transition.before)
        case Effect.REOPEN:
            return events.identity_part(transition.after)
        case _:
            return events.result_part(transition.after)


def _change(request: Request, transition: Transition) -> audit.Change:
    before, after = difference(transition.before, transition.after)
    return audit.Change(
        actor=_reporter(request, transition),
        action=f"registration.{transition.effect}",
        subject="registration",
        subject_id=transition.after.id,
        before=before,
        after=after,
        reason=request.reason,
    )


def _reporter(request: Request, transition: Transition) -> Actor:
    """Who did it; a course player that reports for the learner is the API."""
    actor = request.actor
    if request.source is Source.SELF and not actor.is_self(transition.before.user_id):
        return replace(actor, kind=ActorKind.API)
    return actor
