"""The gradebook: ending, grading, ejecting and reopening registrations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial

from coursebell.domain.completion import Command, Request
from coursebell.domain.lists import Page, RegistrationFilters, Slice
from coursebell.domain.model import Actor, ActorKind, Role
from coursebell.errors import NotFoundError
from coursebell.services import transitions
from coursebell.services.registrar import Registrar
from coursebell.services.transitions import Applied
from coursebell.storage import offerings, registrations
from coursebell.storage.registrations import TitledRegistration

BATCH = 200  # requests in one transaction; the write lock of SQLite is held for some 50 ms


def change_registrations(
    registrar: Registrar, organization_id: str, requests: Sequence[Request], now: datetime
) -> list[Applied]:
    """Carry out requests of one organization: a transition or an error for each, in order.

    A transaction for every 200; each request is atomic with its event and its deliveries.
    """
    results: list[Applied] = []
    for chunk in _chunks(requests):
        work = partial(transitions.apply, registrar, organization_id, chunk, now)
        applied = registrar.database.run(work)
        transitions.report_completions(registrar, applied)
        results.extend(applied)
    return results


def _chunks(requests: Sequence[Request]) -> Iterator[Sequence[Request]]:
    for start in range(0, len(requests), BATCH):
        yield requests[start : start + BATCH]


def halt_ended_offerings(registrar: Registrar, now: datetime) -> int:
    """Halt, grade and end what is active in offerings past their end; how many.

    Works through everything that is due, a transaction for every 200, until nothing moves.
    """
    halted = 0
    while True:
        with registrar.database.snapshot() as tx:
            due = offerings.list_offerings_to_halt(tx, now, BATCH)
        step = sum(_halt(registrar, *each, now) for each in due)
        if not step:
            return halted
        halted += step


def _halt(registrar: Registrar, organization_id: str, offering_id: str, now: datetime) -> int:
    actor = Actor(organization_id=organization_id, role=Role.ADMIN, kind=ActorKind.SCHEDULE)
    with registrar.database.snapshot() as tx:
        ids = registrations.ids_to_halt(tx, offering_id, BATCH)
    requests = [Request(registration_id=each, command=Command.HALT, actor=actor) for each in ids]
    applied = change_registrations(registrar, organization_id, requests, now)
    return sum(1 for each in applied if not isinstance(each, Exception) and each.changes)


def get_registration(
    registrar: Registrar, actor: Actor, registration_id: str
) -> TitledRegistration:
    """Raises `NotFoundError`, also for a learner who asks for another's."""
    with registrar.database.snapshot() as tx:
        found = registrations.find_registration(tx, actor.organization_id, registration_id)
    may_see = found is not None and (
        actor.is_at_least(Role.INSTRUCTOR) or actor.is_self(found.registration.user_id)
    )
    if found is None or not may_see:
        raise NotFoundError
    return found


def list_registrations(
    registrar: Registrar, actor: Actor, filters: RegistrationFilters, page: Page
) -> Slice[TitledRegistration]:
    """Those the actor may see: a learner's own."""
    own = None if actor.is_at_least(Role.INSTRUCTOR) else actor.user_id
    if own is not None and filters.user_id not in (None, own):
        return Slice([], more=False)
    if own is not None:
        filters = replace(filters, user_id=own)
    with registrar.database.snapshot() as tx:
        return registrations.list_registrations(tx, actor.organization_id, filters, page)
