"""How learners stand: element by element, and what decided where a registration has ended."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from coursebell.domain.elements import Exemption, Work
from coursebell.domain.grading import NO_ELEMENTS, ElementStanding, Standing
from coursebell.domain.lists import Page, Slice
from coursebell.domain.model import Actor, Policy, Registration, Role
from coursebell.errors import NotFoundError
from coursebell.services import progress
from coursebell.services.registrar import Registrar
from coursebell.storage import elements, offerings, registrations
from coursebell.storage import progress as stored_progress
from coursebell.storage.database import Transaction
from coursebell.storage.offerings import RuledOffering


@dataclass(frozen=True, slots=True, kw_only=True)
class ElementRecord:
    """An element in a registration: how it stands, and all that was done about it."""

    standing: ElementStanding
    question: str | None
    work: Sequence[Work]  # every attempt, in order
    exemption: Exemption | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Why a registration stands as it does: the policy, and what each element counts for."""

    registration: Registration
    policy: Policy  # that decided; while active, that would decide today
    standing: Standing


def list_element_records(
    registrar: Registrar, actor: Actor, registration_id: str, page: Page
) -> Slice[ElementRecord]:
    """In the order of the course: as they stand, or stood when the registration ended."""
    with registrar.database.snapshot() as tx:
        found = _explained(tx, actor, registration_id)
        shown = found.standing.elements[page.offset : page.offset + page.limit]
        more = len(found.standing.elements) > page.offset + page.limit
        return Slice(_records(tx, actor, registration_id, shown), more=more)


def get_element_record(
    registrar: Registrar, actor: Actor, registration_id: str, element_id: str
) -> ElementRecord:
    with registrar.database.snapshot() as tx:
        found = _explained(tx, actor, registration_id)
        shown = [each for each in found.standing.elements if each.element_id == element_id]
        if not shown:
            raise NotFoundError
        return _records(tx, actor, registration_id, shown)[0]


def explain(registrar: Registrar, actor: Actor, registration_id: str) -> Explanation:
    """Raises `NotFoundError`, also for a learner who asks for another's."""
    with registrar.database.snapshot() as tx:
        return _explained(tx, actor, registration_id)


def standings_of(
    tx: Transaction,
    organization_id: str,
    found: Iterable[Registration],
    ruled: Mapping[str, RuledOffering],
) -> dict[str, Standing]:
    """By registration: as it stands, or as it stood when it ended; a fixed number of statements."""
    ended = {each.id for each in found if each.status.has_result}
    open_ = [each for each in found if each.id not in ended]
    stored = stored_progress.list_standings(tx, organization_id, ended) if ended else {}
    current = progress.load(tx, organization_id, open_, ruled, with_responses=False)
    return {
        **dict.fromkeys(ended, NO_ELEMENTS),
        **stored,
        **{each.id: current.standing(each, ruled[each.offering_id]) for each in open_},
    }


def _explained(tx: Transaction, actor: Actor, registration_id: str) -> Explanation:
    organization_id = actor.organization_id
    found = registrations.find_registration(tx, organization_id, registration_id)
    if found is None or not may_see(actor, found.registration):
        raise NotFoundError
    registration = found.registration
    ruled = offerings.ruled_offerings(tx, organization_id, {registration.offering_id})
    standings = standings_of(tx, organization_id, [registration], ruled)
    return Explanation(
        registration=registration,
        policy=registration.policy or ruled[registration.offering_id].policy,
        standing=standings[registration.id],
    )


def may_see(actor: Actor, registration: Registration) -> bool:
    return actor.is_at_least(Role.INSTRUCTOR) or actor.is_self(registration.user_id)


def _records(
    tx: Transaction, actor: Actor, registration_id: str, shown: Sequence[ElementStanding]
) -> list[ElementRecord]:
    organization_id = actor.organization_id
    done: dict[str, list[Work]] = {}
    for work in stored_progress.list_work(tx, organization_id, {registration_id}):
        done.setdefault(work.element_id, []).append(work)
    exemptions = {
        each.element_id: each
        for each in stored_progress.list_exemptions(tx, organization_id, {registration_id})
    }
    questions = elements.questions_of(tx, organization_id, {each.element_id for each in shown})
    return [
        ElementRecord(
            standing=each,
            question=questions.get(each.element_id),
            work=done.get(each.element_id, ()),
            exemption=exemptions.get(each.element_id),
        )
        for each in shown
    ]
