"""Offerings: making, changing, deleting and reading them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from coursebell.domain.changes import UNSET, Unset, changed, named
from coursebell.domain.lists import OfferingFilters, Page, Slice
from coursebell.domain.model import Actor, MoveOn, Offering, Role, new_id
from coursebell.domain.people import split_tags
from coursebell.errors import InvalidInputError, NotFoundError
from coursebell.services import trail
from coursebell.services.registrar import Registrar
from coursebell.storage import audit, courses, offerings
from coursebell.storage.database import Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class NewOffering:
    course_id: str
    title: str
    begin_at: datetime | None = None
    end_at: datetime | None = None
    registration_begin_at: datetime | None = None
    registration_end_at: datetime | None = None
    catalog_description: str | None = None
    dashboard_description: str | None = None
    delivery_description: str | None = None
    price: Decimal | None = None
    category_ids: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    order_index: int = 0
    passing_grade: Decimal | None = None  # None: the course's
    move_on: MoveOn | None = None
    require_every_element_passed: bool | None = None
    retakes: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferingChanges:
    course_id: str | Unset = UNSET
    title: str | Unset = UNSET
    begin_at: datetime | Unset | None = UNSET
    end_at: datetime | Unset | None = UNSET
    registration_begin_at: datetime | Unset | None = UNSET
    registration_end_at: datetime | Unset | None = UNSET
    catalog_description: str | Unset | None = UNSET
    dashboard_description: str | Unset | None = UNSET
    delivery_description: str | Unset | None = UNSET
    price: Decimal | Unset | None = UNSET
    category_ids: tuple[str, ...] | Unset = UNSET
    tags: tuple[str, ...] | Unset = UNSET
    order_index: int | Unset = UNSET
    passing_grade: Decimal | Unset | None = UNSET
    move_on: MoveOn | Unset | None = UNSET
    require_every_element_passed: bool | Unset | None = UNSET
    retakes: bool | Unset = UNSET


def create_offering(
    registrar: Registrar, actor: Actor, new: NewOffering, now: datetime
) -> Offering:
    actor.require(Role.ADMIN)
    offering = _normal(Offering(id=new_id(), created_at=now, **named(new)))  # type: ignore[arg-type]
    with registrar.database.transaction() as tx:
        _check(tx, actor, offering)
        offerings.insert_offering(tx, actor.organization_id, offering)
        audit.insert_changes(tx, [trail.change(actor, "offering.create", None, offering)], now)
    return offering


def change_offering(
    registrar: Registrar, actor: Actor, offering_id: str, changes: OfferingChanges, now: datetime
) -> Offering:
    """Change what is named. Results that stand keep the policy that decided them."""
    actor.require(Role.ADMIN)
    with registrar.database.transaction() as tx:
        before = offerings.find_offering(tx, actor.organization_id, offering_id, for_update=True)
        if before is None:
            raise NotFoundError
        after = _normal(changed(before, named(changes)))
        _check(tx, actor, after)
        offerings.update_offering(tx, actor.organization_id, after)
        audit.insert_changes(tx, [trail.change(actor, "offering.update", before, after)], now)
    return after


def delete_offering(registrar: Registrar, actor: Actor, offering_id: str, now: datetime) -> None:
    """Refused while it has a registration."""
    actor.require(Role.ADMIN)

    def work(tx: Transaction) -> None:
        offering = offerings.find_offering(tx, actor.organization_id, offering_id, for_update=True)
        if offering is None:
            raise NotFoundError
        if offerings.offering_has_registrations(tx, offering_id):
            raise InvalidInputError(["An offering with registrations cannot be deleted."])
        offerings.delete_offering(tx, actor.organization_id, offering_id)
        audit.insert_changes(tx, [trail.change(actor, "offering.delete", offering, None)], now)

    registrar.database.run(work)


def get_offering(registrar: Registrar, actor: Actor, offering_id: str) -> Offering:
    with registrar.database.snapshot() as tx:
        offering = offerings.find_offering(tx, actor.organization_id, offering_id)
    if offering is None:
        raise NotFoundError
    return offering


def list_offerings(
    registrar: Registrar, actor: Actor, filters: OfferingFilters, page: Page, now: datetime
) -> Slice[Offering]:
    """A learner may ask what is available to nobody but himself."""
    wanted = filters.available_to
    if wanted is not None and not actor.is_at_least(Role.INSTRUCTOR) and not actor.is_self(wanted):
        return Slice([], more=False)
    with registrar.database.snapshot() as tx:
        return offerings.list_offerings(tx, actor.organization_id, filters, page, now)


def _normal(offering: Offering) -> Offering:
    return replace(
        offering,
        tags=split_tags(offering.tags),
        category_ids=tuple(dict.fromkeys(offering.category_ids)),
    )


def _check(tx: Transaction, actor: Actor, offering: Offering) -> None:
    field_errors = {}
    if courses.find_course(tx, actor.organization_id, offering.course_id) is None:
        field_errors["courseId"] = "No course exists with this id."
    wanted = set(offering.category_ids)
    if wanted and courses.known_categories(tx, actor.organization_id, wanted) != wanted:
        field_errors["offeringCategoryIds"] = "No offering category exists with one of these ids."
    field_errors |= window_errors(offering)
    if field_errors:
        raise InvalidInputError(field_errors=field_errors)


def window_errors(offering: Offering) -> dict[str, str]:
    """What is wrong with its dates, by field."""
    field_errors = {}
    if _is_backwards(offering.begin_at, offering.end_at):
        field_errors["endDate"] = "Must be after beginDate."
    if _is_backwards(offering.registration_begin_at, offering.registration_end_at):
        field_errors["registrationEndDate"] = "Must be after registrationBeginDate."
    return field_errors


def _is_backwards(begin: datetime | None, end: datetime | None) -> bool:
    return begin is not None and end is not None and end <= begin
