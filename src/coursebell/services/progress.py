"""What the registrations of a batch have done about the elements of their courses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from coursebell.domain.elements import Element, Exemption, Work
from coursebell.domain.grading import NO_ELEMENTS, Standing, standing_of
from coursebell.domain.model import Registration
from coursebell.storage import elements, progress
from coursebell.storage.database import Transaction
from coursebell.storage.offerings import RuledOffering
from coursebell.storage.progress import Pair

_Attempt = tuple[str, str, int]  # registration, element, number


@dataclass(slots=True)
class Progress:
    """Elements by course, attempts and exemptions by registration, and what changed of them."""

    elements: Mapping[str, Sequence[Element]] = field(default_factory=dict)
    work: dict[str, dict[str, list[Work]]] = field(default_factory=dict)
    exemptions: dict[str, dict[str, Exemption]] = field(default_factory=dict)
    _new_work: dict[_Attempt, Work] = field(default_factory=dict, init=False)
    _graded_work: dict[_Attempt, Work] = field(default_factory=dict, init=False)
    _exempted: dict[Pair, Exemption] = field(default_factory=dict, init=False)
    _no_longer_exempt: set[Pair] = field(default_factory=set, init=False)

    def standing(self, registration: Registration, ruled: RuledOffering) -> Standing:
        """Where the registration stands with the active elements of its course."""
        of_course = self.elements.get(ruled.offering.course_id, ())
        if not of_course:
            return NO_ELEMENTS
        work = self.work.get(registration.id, {})
        exempt = self.exemptions.get(registration.id, {}).keys()
        return standing_of(of_course, work, exempt, ruled.policy)

    def element(self, course_id: str, element_id: str | None) -> Element | None:
        """The active element of this id; None if the course has no such."""
        of_course = self.elements.get(course_id, ())
        return next((each for each in of_course if each.id == element_id), None)

    def attempts_at(self, registration_id: str, element_id: str) -> Sequence[Work]:
        return self.work.get(registration_id, {}).get(element_id, ())

    def hand_in(self, work: Work) -> None:
        """Remember a new attempt, to be saved."""
        self._attempts(work).append(work)
        self._new_work[work.registration_id, work.element_id, work.number] = work

    def grade(self, work: Work) -> None:
        """Remember how an attempt was graded; or a first one, which nobody handed in."""
        attempts = self._attempts(work)
        key = (work.registration_id, work.element_id, work.number)
        if len(attempts) < work.number or key in self._new_work:
            self._new_work[key] = work
        else:
            self._graded_work[key] = work
        attempts[work.number - 1 :] = [work]

    def _attempts(self, work: Work) -> list[Work]:
        of_registration = self.work.setdefault(work.registration_id, {})
        return of_registration.setdefault(work.element_id, [])

    def exemption(self, registration_id: str, element_id: str) -> Exemption | None:
        return self.exemptions.get(registration_id, {}).get(element_id)

    def exempt(self, exemption: Exemption) -> None:
        """Remember an exemption, in place of the one that stands."""
        pair = (exemption.registration_id, exemption.element_id)
        self.take_exemption_back(*pair)
        self.exemptions.setdefault(pair[0], {})[pair[1]] = exemption
        self._exempted[pair] = exemption

    def take_exemption_back(self, registration_id: str, element_id: str) -> None:
        if self.exemptions.get(registration_id, {}).pop(element_id, None) is not None:
            pair = (registration_id, element_id)
            if self._exempted.pop(pair, None) is None:
                self._no_longer_exempt.add(pair)

    def save(self, tx: Transaction, organization_id: str) -> None:
        """Write what changed, a statement for each kind of change that there is."""
        progress.insert_work(tx, organization_id, list(self._new_work.values()))
        progress.update_work(tx, list(self._graded_work.values()))
        progress.delete_exemptions(tx, self._no_longer_exempt)
        progress.insert_exemptions(tx, organization_id, list(self._exempted.values()))


def load(
    tx: Transaction,
    organization_id: str,
    registrations: Iterable[Registration],
    ruled: Mapping[str, RuledOffering],
    *,
    with_responses: bool,
) -> Progress:
    """The progress of those whose course has elements; no statement where none has.

    Only what tells of an element needs to know the words that were handed in.
    """
    ids = {each.id for each in registrations if ruled[each.offering_id].has_elements}
    if not ids:
        return Progress()
    courses = {each.offering.course_id for each in ruled.values() if each.has_elements}
    found = Progress(elements=elements.active_elements(tx, organization_id, courses))
    for work in progress.list_work(tx, organization_id, ids, with_responses=with_responses):
        found.work.setdefault(work.registration_id, {}).setdefault(work.element_id, []).append(work)
    for exemption in progress.list_exemptions(tx, organization_id, ids):
        found.exemptions.setdefault(exemption.registration_id, {})[exemption.element_id] = exemption
    return found
