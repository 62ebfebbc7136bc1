"""User fields: what an organization asks of its users besides, and what they answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from coursebell.domain.changes import UNSET, Unset, changed, named
from coursebell.domain.lists import Page, Slice, UserFieldFilters
from coursebell.domain.model import Actor, Role, new_id
from coursebell.domain.user_fields import (
    CategoryType,
    FieldType,
    Option,
    UserField,
    Value,
    accepted,
    checked,
)
from coursebell.errors import ForbiddenError, InvalidInputError, NotFoundError
from coursebell.services import trail
from coursebell.services.registrar import Registrar
from coursebell.storage import audit, people, user_fields
from coursebell.storage.database import Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class NewUserField:
    type: FieldType
    category_name: str  # one that no field has yet is a new category
    name: str | None = None
    category_type: CategoryType | None = None  # None: the category's, a new one's is public
    order_index: int | None = None  # None: after the last of the category
    required: bool = False
    options: tuple[Option, ...] = ()
    constraints: Mapping[str, object] | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UserFieldChanges:
    type: FieldType | Unset = UNSET  # only to what it is
    category_name: str | Unset = UNSET
    name: str | Unset = UNSET
    category_type: CategoryType | Unset = UNSET
    order_index: int | Unset = UNSET
    required: bool | Unset = UNSET
    options: tuple[Option, ...] | Unset = UNSET
    constraints: Mapping[str, object] | Unset = UNSET
    message: str | Unset = UNSET


def create_field(registrar: Registrar, actor: Actor, new: NewUserField, now: datetime) -> UserField:
    actor.require(Role.ADMIN)

    def work(tx: Transaction) -> UserField:
        category = user_fields.find_category(tx, actor.organization_id, new.category_name)
        kind, place = category or (CategoryType.PUBLIC, 0)
        field = checked(
            UserField(
                id=new_id(),
                type=new.type,
                name=new.name,
                category_name=new.category_name,
                category_type=new.category_type or kind,
                order_index=place if new.order_index is None else new.order_index,
                required=new.required,
                options=new.options,
                constraints=new.constraints or {},
                message=new.message,
                created_at=now,
            )
        )
        user_fields.insert_field(tx, actor.organization_id, field)
        _align_category(tx, actor, field)
        audit.insert_changes(tx, [trail.change(actor, "userfield.create", None, field)], now)
        return field

    return registrar.database.run(work)


def change_field(
    registrar: Registrar, actor: Actor, field_id: str, changes: UserFieldChanges, now: datetime
) -> UserField:
    """Change what is named; `options` and `constraints` replace what stood there.

    Values that users have are left as they are. The type of a category is that of all its fields.
    """
    actor.require(Role.ADMIN)

    def work(tx: Transaction) -> UserField:
        before = _found(
            user_fields.find_field(tx, actor.organization_id, field_id, for_update=True)
        )
        if changes.type is not UNSET and changes.type is not before.type:
            rule = f"Is {before.type} and cannot be changed; make another field."
            raise InvalidInputError(field_errors={"type": rule})
        after = changed(before, named(changes))
        if after.category_name != before.category_name and changes.category_type is UNSET:
            category = user_fields.find_category(tx, actor.organization_id, after.category_name)
            after = replace(after, category_type=category[0] if category else before.category_type)
        after = checked(after)
        user_fields.update_field(tx, actor.organization_id, after)
        _align_category(tx, actor, after)
        audit.insert_changes(tx, [trail.change(actor, "userfield.update", before, after)], now)
        return after

    return registrar.database.run(work)


def delete_field(registrar: Registrar, actor: Actor, field_id: str, now: datetime) -> None:
    """Delete it with every value that users have in it."""
    actor.require(Role.ADMIN)

    def work(tx: Transaction) -> None:
        field = _found(user_fields.find_field(tx, actor.organization_id, field_id, for_update=True))
        user_fields.delete_field(tx, actor.organization_id, field_id)
        audit.insert_changes(tx, [trail.change(actor, "userfield.delete", field, None)], now)

    registrar.database.run(work)


def get_field(registrar: Registrar, actor: Actor, field_id: str) -> UserField:
    """Raises `NotFoundError`, also for a learner who asks for a private one."""
    with registrar.database.snapshot() as tx:
        field = _found(user_fields.find_field(tx, actor.organization_id, field_id))
    if field.category_type is CategoryType.PRIVATE and not _sees_private(actor):
        raise NotFoundError
    return field


def list_fields(
    registrar: Registrar, actor: Actor, filters: UserFieldFilters, page: Page
) -> Slice[UserField]:
    """A learner is shown the public ones."""
    if not _sees_private(actor):
        if filters.category_type == CategoryType.PRIVATE:
            return Slice([], more=False)
        filters = replace(filters, category_type=CategoryType.PUBLIC)
    with registrar.database.snapshot() as tx:
        return user_fields.list_fields(tx, actor.organization_id, filters, page)


def get_values(registrar: Registrar, actor: Actor, user_id: str) -> dict[str, Value]:
    """What a user has, by the id of the field; learners see their own, in public fields."""
    if not actor.is_at_least(Role.INSTRUCTOR) and not actor.is_self(user_id):
        raise NotFoundError
    with registrar.database.snapshot() as tx:
        if people.find_user(tx, actor.organization_id, user_id) is None:
            raise NotFoundError
        return user_fields.list_values(
            tx, actor.organization_id, user_id, with_private=_sees_private(actor)
        )


def change_values(
    registrar: Registrar,
    actor: Actor,
    user_id: str,
    values: Mapping[str, object],
    now: datetime,
) -> None:
    """Set the values that are named; None takes one away.

    Administrators do that for everybody, others for themselves, in public fields. Raises
    `InvalidInputError` naming each id that is unknown or has a bad value; nothing is set then.
    """
    _check_may_answer(actor, user_id)
    with_private = actor.is_at_least(Role.ADMIN)

    def work(tx: Transaction) -> None:
        if people.find_user(tx, actor.organization_id, user_id, for_update=True) is None:
            raise NotFoundError
        known = user_fields.fields_by_id(
            tx, actor.organization_id, values, with_private=with_private
        )
        stored = accepted(known, values)
        had = user_fields.list_values(tx, actor.organization_id, user_id, with_private=True)
        differing = {each: value for each, value in stored.items() if had.get(each) != value}
        if not differing:
            return
        user_fields.replace_values(tx, actor.organization_id, user_id, differing)
        audit.insert_changes(tx, [_answered(actor, user_id, had, differing)], now)

    registrar.database.run(work)


def _align_category(tx: Transaction, actor: Actor, field: UserField) -> None:
    user_fields.set_category_type(
        tx, actor.organization_id, field.category_name, field.category_type
    )


def _check_may_answer(actor: Actor, user_id: str) -> None:
    if actor.is_at_least(Role.ADMIN) or actor.is_self(user_id):
        return
    if actor.is_at_least(Role.INSTRUCTOR):
        raise ForbiddenError("Only an administrator may change another user.")
    raise NotFoundError


def _answered(
    actor: Actor, user_id: str, had: Mapping[str, Value], new: Mapping[str, Value | None]
) -> audit.Change:
    return audit.Change(
        actor=actor,
        action="user.answer",
        subject="user",
        subject_id=user_id,
        before={each: had[each] for each in new if each in had} or None,
        after={each: value for each, value in new.items() if value is not None} or None,
    )


def _sees_private(actor: Actor) -> bool:
    return actor.is_at_least(Role.INSTRUCTOR)


def _found(field: UserField | None) -> UserField:
    if field is None:
        raise NotFoundError
    return field
